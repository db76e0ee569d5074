"""The shipped NATS server beside geotarget, which asks geotarget whom it lets in."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from geotarget.ingest.nats_server import find_server
from tests.conftest import REPOSITORY
from tests.e2e.harness import free_ports
from tests.test_cli import geotarget

SOON_S = 10.0


@contextlib.contextmanager
def nats_of_ones_own(folder: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Run it: URL of the ingest, port of phones, what geotarget has to be told."""
    seed, issuer = (
        line.partition("=")[2] for line in geotarget("devices", "issuer").stdout.splitlines()
    )
    clients, port, http = free_ports(3)
    text = (REPOSITORY / "services/nats/nats.conf").read_text()
    head, callout = text.split("# authorization {")
    text = head + "authorization {" + re.sub("^# ?", "", callout, flags=re.MULTILINE)
    text = text.replace("/var/lib/nats", str(folder / "store"))
    for shipped, free in (("127.0.0.1:8222", http), ("0.0.0.0:1883", port)):
        text = text.replace(shipped, f"127.0.0.1:{free}")
    text = re.sub(r'listen: "[^"]+:4222"', f'listen: "127.0.0.1:{clients}"', text)
    (folder / "nats.conf").write_text(text)
    users = ("ADMIN", "INGEST", "DEVICE", "CALLOUT")
    passwords = {f"NATS_{name}_PASSWORD": f"for-{name.lower()}" for name in users}
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(
            [str(find_server(None)), "-c", str(folder / "nats.conf")],
            env={**os.environ, **passwords, "NATS_CALLOUT_ISSUER": issuer},
            stdout=log,
            stderr=log,
        )
    callout_url = f"nats://callout:for-callout@127.0.0.1:{clients}"
    told = {"GEOTARGET_AUTH_CALLOUT_URL": callout_url, "GEOTARGET_AUTH_CALLOUT_SEED": seed}
    try:
        yield f"mqtt://ingest:for-ingest@127.0.0.1:{port}", port, told
    finally:
        process.terminate()
        process.wait(SOON_S)
