"""The shipped NATS server beside geotarget, which asks geotarget whom it lets in."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from geotarget.ingest.nats_server import find_server
from tests.conftest import REPOSITORY
from tests.ports import free_ports
from tests.test_cli import geotarget

SOON_S = 10.0


@contextlib.contextmanager
def nats_of_ones_own(folder: Path) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Run it: URL of the ingest, port of phones, what geotarget has to be told."""
    (folder / "issuer").mkdir()
    made = geotarget("devices", "issuer", "--nats", folder / "issuer" / "issuer.conf").stdout
    seed = made.splitlines()[0].partition("=")[2]
    clients, port, http = free_ports(3)
    shipped_folder = REPOSITORY / "services" / "nats"
    shutil.copy(shipped_folder / "nats-tokens.conf", folder)
    text = (shipped_folder / "nats.conf").read_text()
    text = text.replace("/var/lib/nats", str(folder / "store"))
    for shipped, free in (("127.0.0.1:8222", http), ("0.0.0.0:1883", port)):
        text = text.replace(shipped, f"127.0.0.1:{free}")
    text = re.sub(r'listen: "[^"]+:4222"', f'listen: "127.0.0.1:{clients}"', text)
    (folder / "nats.conf").write_text(text)
    users = ("ADMIN", "INGEST", "DEVICE", "FLEET", "CALLOUT")
    passwords = {f"NATS_{name}_PASSWORD": f"for-{name.lower()}" for name in users}
    with (folder / "nats.log").open("wb") as log:
        process = subprocess.Popen(
            [str(find_server(None)), "-c", str(folder / "nats-tokens.conf")],
            env={**os.environ, **passwords},
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
