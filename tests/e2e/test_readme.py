"""The README's own example, run as it stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.harness import Node, Phones, Receiver, eventually

pytestmark = pytest.mark.e2e


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(
        rf"```{language}\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL
    )


def test_the_readmes_ping_causes_the_readmes_webhook(
    node_factory: Callable[..., Node], receiver: Receiver, tmp_path: Path
) -> None:
    """Key, zone, endpoint, campaign and ping as printed; the webhook has the printed content."""
    node = node_factory(environment={"GEOTARGET_ADMIN_KEY": ""}).start()
    shell = blocks("sh")
    (setup,) = [block for block in shell if "geotarget keys create" in block]
    (ping,) = [block for block in shell if "mosquitto_pub" in block]
    script = (
        setup.replace("geotarget keys", f"{sys.executable} -m geotarget keys")
        .replace("http://127.0.0.1:8080", f"http://127.0.0.1:{node.port}")
        .replace(
            '"https://shop.example/hooks"',
            f'"{receiver.url}", "secret": "{receiver.secret}"',
        )
        .replace("curl -sS", "curl -sS --fail-with-body")
    )
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": "/usr/bin:/bin", "GEOTARGET_DATA": str(node.data), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    topic = re.search(r"-t (\S+)", ping)
    message = re.search(r'-m "(.*)"\n', ping)
    assert topic
    assert message
    text = message[1].replace("\\", "").replace("$(date +%s)", str(int(time.time())))
    phones = Phones(*node.broker_url)
    phones.publish_all([(topic[1], text.encode())])
    phones.close()
    eventually(lambda: len(receiver.bodies) == 1, seconds=60, what="the webhook")
    (printed,) = [json.loads(block) for block in blocks("json")]
    (event,) = receiver.events()
    assert receiver.unverified == []
    assert event["type"] == printed["type"]
    for part in ("campaign", "offer", "profile"):
        assert event["data"][part] == printed["data"][part]
    assert event["data"]["zone"]["id"] == printed["data"]["zone"]["id"]
    for part, value in printed["data"]["transition"].items():
        assert event["data"]["transition"][part] == value
