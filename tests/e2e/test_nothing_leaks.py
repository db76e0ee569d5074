"""What a busy node writes into its log, with everything going wrong that can: no secret, nobody."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SECRET
from tests.e2e.harness import ADMIN_KEY, Node, Phones, Receiver, campaign, eventually, square

pytestmark = pytest.mark.e2e

LNG, LAT = 24.9398765, 60.1712345
PHONES = [f"phone-zulu-{number}" for number in range(40)]
PERSON = {
    "attributes": {"email": "pia.zulu@example.org", "phone": "+358401239876"},
    "consent": {"marketing": True},
    "external_ids": {"crm": "crm-zulu-77"},
}
TOKEN = "Zk3-token-of-a-header"
BROKER_PASSWORD = "pass-zulu-word"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WRONG_KEY = "gt_live_zuluzulu_0123456789abcdefghijklmnopqrstuv"

FORBIDDEN = {
    "a coordinate": r"60\.1[67]\d|24\.9[34]\d|95\.123|181\.987",
    "a device or profile": "zulu-[0-9]+|pia-zulu|crm-zulu",
    "an attribute": r"pia\.zulu|358401239876",
    "the admin key": re.escape(ADMIN_KEY),
    "a wrong key": "zuluzulu|0123456789abcdefghij",
    "a webhook secret": "MfKQ9r8GKYqrTwj|C2FVsBQIhrscChl",
    "the bytes of a secret": base64.b64decode(SECRET[6:]).hex(),
    "a header of an endpoint": TOKEN,
    "a token in a URL": "url-token-zulu|query-token-zulu",
    "a password of the broker": BROKER_PASSWORD,
    "a key that was made": r"gt_live_[a-z0-9]{4,}",
}


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    """Listen for posts and answer 500 with all that was sent; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = str(self.headers).encode() + body
            self.send_response(500)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def furnish(node: Node, receiver: Receiver, echo_port: int) -> list[str]:
    """Put everything there that may be told of; returns keys that were made."""
    token = {"X-Api-Token": TOKEN}
    node.put("/v1/zones/shop", square("shop", lng=LNG, lat=LAT, half_m=150))
    bad_ports = {"echo": f"http://127.0.0.1:{echo_port}", "closed": "http://127.0.0.1:9"}
    bad_ports["tls"] = f"https://127.0.0.1:{echo_port}"
    for name, where in bad_ports.items():
        url = f"{where}/url-token-zulu?key=query-token-zulu"
        node.put(f"/v1/endpoints/{name}", {"url": url, "secret": SECRET, "headers": token})
    node.put("/v1/endpoints/good", {"url": receiver.url, "secret": SECRET, "headers": token})
    node.put("/v1/campaigns/greeting", campaign("good", *bad_ports))
    for name in ("pia-zulu", PHONES[0]):
        devices = {"devices": [PHONES[1]]} if name == "pia-zulu" else {}
        node.put(f"/v1/profiles/{name}", PERSON | devices)
    status, made = node.call("POST", "/v1/keys", {"name": "till", "scopes": ["pings:write"]})
    assert status == 201
    document = {"secret": OTHER_SECRET, "overlap_s": 60}
    assert node.call("POST", "/v1/endpoints/echo:rotate", document)[0] == 200
    return [made["key"]]


def refused(node: Node) -> None:
    """Ask for what is refused, in many ways; nothing of it may be a fault of ours."""
    bow = square("bow", lng=LNG, lat=LAT, half_m=100)
    ring = bow["geometry"]["coordinates"][0]
    ring[1], ring[2] = ring[2], ring[1]
    wrong = [
        ("GET", "/v1/profiles/pia-zulu", None, WRONG_KEY),
        ("GET", f"/v1/devices/{PHONES[2]}/explain", None, WRONG_KEY),
        ("PUT", "/v1/zones/bow", bow, ADMIN_KEY),
        ("POST", "/v1/zones", {"type": "FeatureCollection", "features": [bow, 7]}, ADMIN_KEY),
        ("PUT", "/v1/campaigns/bad", campaign("good", offer={"t": "{% if pia-zulu"}), ADMIN_KEY),
        ("PUT", "/v1/endpoints/bad", {"url": f"https://u:{TOKEN}@127.0.0.1/x"}, ADMIN_KEY),
        ("PUT", "/v1/endpoints/bad", {"url": "https://x.org", "secret": SECRET[:20]}, ADMIN_KEY),
        ("PUT", "/v1/profiles/pia-zulu", {"consent": {"marketing": TOKEN}}, ADMIN_KEY),
        ("POST", "/v1/pings", [{"device": PHONES[2], "lat": 95.123456, "lng": LNG}], ADMIN_KEY),
        ("GET", "/v1/devices/phone-zulu-404", None, ADMIN_KEY),
        ("GET", f"/v1/zones?bbox={LNG},{LAT}", None, ADMIN_KEY),
    ]
    for method, path, body, key in wrong:
        status, answer = node.call(method, path, body, key=key)
        partly = {"/v1/zones": 200, "/v1/pings": 202}.get(path) if method == "POST" else None
        assert 400 <= status < 500 or status == partly, (path, status, answer)


def publish(node: Node, phones: Phones) -> None:
    """Publish what is good, late, early, repeated, and poison of several kinds."""
    now = time.time()
    for name in PHONES:
        for ago, east in ((400, 0.02), (60, 0.0), (40, 0.0), (40, 0.0), (300, 0.02)):
            where = {"lat": LAT, "lng": round(LNG + east, 7), "acc": 8}
            phones.publish(f"pings/{name}", {"ts": now - ago, **where})
        phones.publish(f"pings/{name}", {"ts": now + 9e6, "lat": LAT, "lng": LNG})
        phones.publish(f"pings/{name}", {"ts": now, "lat": 95.123456, "lng": 181.987654})
        phones.publish(f"pings/{name}", f'{{"lat": {LAT}, "lng": '.encode())
    for payload in (b"\xff\xfe" * 40, b"[" * 5_000, json.dumps([{"lat": LAT}] * 101).encode()):
        phones.publish(f"pings/{PHONES[3]}", payload)
    phones.publish(f"pings/{PHONES[4]}/deeper", {"lat": LAT, "lng": LNG})
    phones.wait()
    body = [{"device": name, "ts": now, "lat": LAT, "lng": LNG, "acc": 5} for name in PHONES]
    assert node.call("POST", "/v1/pings", body)[0] == 202


def break_the_database(node: Node) -> None:
    """Damage a stored profile and a stored zone, so that reading them is a fault of ours."""
    with contextlib.closing(sqlite3.connect(node.data / "geotarget.db", timeout=30)) as database:
        broken = json.dumps(PERSON["attributes"])[:-3]
        database.execute("UPDATE profile SET attributes = ? WHERE id = 'pia-zulu'", (broken,))
        database.execute("UPDATE zone SET properties = ? WHERE id = 'shop'", (f'{{"a": {LAT},',))
        database.commit()
    for path in ("/v1/profiles/pia-zulu", "/v1/zones/shop"):
        status, answer = node.call("GET", path)
        assert status == 500
        assert {} == found(json.dumps(answer)), answer


def annoy_the_broker(node: Node) -> None:
    """Publish what the embedded broker closes a connection for, and says so with names."""
    log = node.data / "up.log"
    for number, (topic, size) in enumerate(((f"pings/{PHONES[5]} x", 10), ("pings/x", 9 << 20))):
        said = log.read_text().count("embedded broker")
        rude = Phones(*node.broker_url, name=f"phone-zulu-90{number}")
        rude.publish(topic, b" " * size)
        eventually(
            lambda said=said: log.read_text().count("embedded broker") > said,  # type: ignore[misc]
            seconds=30,
            what=f"a line of the broker about {topic}",
        )
        rude.close()


def kill_the_broker(node: Node) -> None:
    """Kill the embedded broker; it comes back, and so do its clients."""
    pid = int((node.data / "broker" / "nats.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: b"reconnects_total 1" in metrics(node), seconds=60, what="a reconnect")


def metrics(node: Node) -> bytes:
    """Return all metrics."""
    return bytes(node.call("GET", "/metrics")[1])


def found(text: str) -> dict[str, list[str]]:
    """Return each forbidden thing with the lines that hold it."""
    lines = text.splitlines()
    return {
        what: hits[:3]
        for what, pattern in FORBIDDEN.items()
        if (hits := [line for line in lines if re.search(pattern, line)])
    }


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_no_secret_and_nobody_gets_into_the_log(
    node_factory: Callable[..., Node],
    receiver: Receiver,
    request: pytest.FixtureRequest,
    as_json: bool,
) -> None:
    """No coordinate, key, secret, attribute, device or profile, in the log or in the metrics.

    At level debug, as JSON with the embedded broker and as text with one that has a password, with
    good, late, early and poisonous pings, receivers that fail in three ways, refused requests,
    rows that can't be read and a broker that dies. Pseudonymous ids are no exception: no line has
    one, at any level.
    """
    settings = {"GEOTARGET_LOG_LEVEL": "debug", "GEOTARGET_LOG_JSON": str(as_json)}
    broker = "" if as_json else request.getfixturevalue("mosquitto")
    node = node_factory(environment=settings)
    if broker:
        address = broker.removeprefix("mqtt://")
        node.broker = f"mqtt://zulu:{BROKER_PASSWORD}@{address}"
    with echoing() as echo_port:
        node.start()
        keys = furnish(node, receiver, echo_port)
        phones = Phones(
            *(("127.0.0.1", int(broker.rsplit(":")[-1])) if broker else node.broker_url)
        )
        try:
            publish(node, phones)
            refused(node)
            ends = {"good": len(PHONES), "echo": 1, "closed": 1, "tls": 1}
            for endpoint, count in ends.items():
                path = f"/v1/deliveries?endpoint={endpoint}"
                eventually(
                    lambda path=path, count=count: (  # type: ignore[misc]
                        sum(each["attempts"] > 0 for each in node.pages(path)) >= count
                    ),
                    seconds=60,
                    what=f"{count} attempts at {endpoint}",
                )
            letters = node.call("GET", "/v1/dead-letters?limit=1000")[1]["items"]
            assert len(letters) > len(PHONES) * 2
            if not broker:
                annoy_the_broker(node)
                kill_the_broker(node)
            break_the_database(node)
            told = metrics(node).decode()
        finally:
            phones.close()
        node.stop()
    log = (node.data / "up.log").read_text()
    assert {} == found(log)
    assert not [key for key in keys if key in log]
    assert {} == found(told)
    assert log.count("request failed") == 2
    assert "Traceback" in log or '"exception"' in log
    if as_json:
        lines = [line for line in log.splitlines() if line.startswith("{")]
        assert {"info", "warning", "error"} <= {json.loads(line)["level"] for line in lines}
        plain = [line for line in log.splitlines() if not line.startswith("{")]
        assert [] == [line for line in plain if re.search("error|Error|Traceback", line)]


def test_the_search_finds_what_it_looks_for() -> None:
    """Each kind of thing is found in a line that has it: the search above is no empty one."""
    secrets = [
        f"at {LAT}",
        f"at {LNG}",
        f"device={PHONES[7]}",
        PERSON["attributes"]["email"],  # type: ignore[index]
        ADMIN_KEY,
        WRONG_KEY,
        SECRET,
        OTHER_SECRET,
        TOKEN,
        BROKER_PASSWORD,
        "gt_live_ab12cd_x",
        str(math.nextafter(LAT, 90)),
    ]
    assert all(found(f"2026 [info] {secret}") for secret in secrets)


def test_a_log_file_is_no_public_place(tmp_path: Path) -> None:
    """The words that logs may have stay out of the search: it has no false alarm."""
    assert {} == found("2026-01-01 [info] catalogue changed zones=1 took=0.25 port=24934")
