"""The real thing for tests: `geotarget up` as a process, a webhook receiver, phones.

Nothing here knows the inside of geotarget; it speaks HTTP, MQTT and signals, as users do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from standardwebhooks import Webhook

ADMIN_KEY = "gt-test-admin-key"


def eventually(holds: Callable[[], bool], *, seconds: float, what: str = "") -> None:
    """Wait until a condition holds, or fail."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or holds.__qualname__}")
        pause.wait(0.05)


@dataclass
class Receiver:
    """A webhook receiver that verifies each signature with the `standardwebhooks` library."""

    secret: str
    status: Callable[[int], int] = lambda _: 204
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    unverified: list[str] = field(default_factory=list)
    url: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[Receiver]:
        """Listen on a free loopback port for the time of a block."""
        receiver = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event = self.headers["webhook-id"]
                with lock:
                    try:
                        Webhook(receiver.secret).verify(body, dict(self.headers.items()))
                    except Exception as error:  # noqa: BLE001 - any reason is a finding
                        receiver.unverified.append(f"{event}: {error}")
                    status = receiver.status(sum(receiver.posts.values()))
                    receiver.posts[event] += 1
                    if 200 <= status < 300:
                        receiver.bodies.setdefault(event, set()).add(body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def events(self) -> list[dict[str, Any]]:
        """Return one parsed event an id."""
        return [json.loads(next(iter(bodies))) for bodies in list(self.bodies.values())]


@dataclass
class Node:
    """One `geotarget up` with its own data folder and ports."""

    data: Path
    port: int
    mqtt_port: int
    broker: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Node:
        """Start and wait for the ready line."""
        self.data.mkdir(parents=True, exist_ok=True)
        log = self.data / "up.log"
        with log.open("ab") as out:
            start = log.stat().st_size
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "geotarget", "up", "--no-live",
                    "--data", str(self.data), "--port", str(self.port),
                    *(["--mqtt", self.broker] if self.broker else
                      ["--mqtt-port", str(self.mqtt_port)]),
                    *self.arguments,
                ],
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={
                    **os.environ,
                    "GEOTARGET_ADMIN_KEY": ADMIN_KEY,
                    "GEOTARGET_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
                    "GEOTARGET_OFFER_MAX_AGE_S": "1e12",
                    **self.environment,
                },
            )  # fmt: skip
        eventually(lambda: self._ready(log, start), seconds=180, what=f"ready line in {log}")
        return self

    def _ready(self, log: Path, start: int) -> bool:
        text = log.read_bytes()[start:].decode(errors="replace")
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"geotarget up ended with {self.process.returncode}:\n{text}")
        return any(line.startswith("ready") for line in text.splitlines())

    def kill(self) -> None:
        """SIGKILL to the whole process tree."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self, within_s: float = 60) -> int:
        """SIGINT to the main process, as Ctrl-C; return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=within_s)

    def call(
        self, method: str, path: str, body: Any = None, *, key: str = ADMIN_KEY
    ) -> tuple[int, Any]:
        """Return (status, parsed answer) of one API call."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "content-type": "application/json",
                **({"authorization": f"Bearer {key}"} if key else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        return status, json.loads(raw) if raw[:1] in b"{[" and raw else raw

    def put(self, path: str, body: Any) -> Any:
        """PUT and insist on success."""
        status, answer = self.call("PUT", path, body)
        assert status in (200, 201), (status, answer)
        return answer

    def pages(self, path: str) -> list[dict[str, Any]]:
        """Return all items of a list, following its cursors."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            status, answer = self.call(
                "GET", f"{path}{joint}limit=1000" + (f"&cursor={cursor}" if cursor else "")
            )
            assert status == 200, (status, answer)
            items += answer["items"]
            if not answer["next"]:
                return items
            cursor = answer["next"]

    @property
    def broker_url(self) -> tuple[str, int]:
        """Host and port that phones publish to."""
        if self.broker:
            host, _, port = self.broker.removeprefix("mqtt://").partition(":")
            return host, int(port)
        return "127.0.0.1", self.mqtt_port


class Phones:
    """Many devices on one plain paho connection, QoS 1, that survives a broker's death.

    Keeps order: a message that was not acknowledged is sent again by paho after the reconnect, and
    nothing is published until all of those are through. paho lets a message that is published
    between connecting and the broker's answer overtake them, as one phone would not.
    """

    def __init__(
        self, host: str, port: int, name: str = "phones", login: tuple[str, str] | None = None
    ) -> None:
        self.acknowledged = 0
        self.sent = 0
        self._lock = threading.Condition()
        self._nothing_to_repeat = threading.Event()
        self._nothing_to_repeat.set()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=False,
            protocol=mqtt.MQTTv311,
        )
        if login is not None:
            self.client.username_pw_set(*login)
        self.client.max_inflight_messages_set(200)
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = self._on_publish
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.connect(host, port, keepalive=30)
        self.client.loop_start()

    def _on_publish(self, *_: Any) -> None:
        with self._lock:
            self.acknowledged += 1
            if self.acknowledged == self.sent:
                self._nothing_to_repeat.set()

    def _on_connect(self, *_: Any) -> None:
        with self._lock:
            if self.acknowledged == self.sent:
                self._nothing_to_repeat.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._nothing_to_repeat.clear()

    def publish(self, topic: str, payload: Any) -> None:
        """Publish one message; JSON unless it is bytes."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        if not self._nothing_to_repeat.wait(120):
            raise AssertionError("the broker has not come back within 120 s")
        with self._lock:
            self.sent += 1
        self.client.publish(topic, raw, qos=1)

    def publish_all(self, messages: Iterable[tuple[str, Any]]) -> None:
        """Publish and wait until the broker has acknowledged everything."""
        for topic, payload in messages:
            self.publish(topic, payload)
        self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Wait until everything sent is acknowledged."""
        eventually(
            lambda: self.acknowledged >= self.sent,
            seconds=seconds,
            what="all messages acknowledged",
        )

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


def square(id: str, *, lng: float, lat: float, half_m: float, **properties: Any) -> dict[str, Any]:
    """Return a square zone as a GeoJSON feature."""
    dy = half_m / 111_195
    dx = dy / 0.497 if abs(lat - 60.17) < 0.2 else dy
    ring = [[lng - dx, lat - dy], [lng + dx, lat - dy], [lng + dx, lat + dy], [lng - dx, lat + dy]]
    return {
        "type": "Feature",
        "id": id,
        "properties": {"name": id, **properties},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


def campaign(*endpoints: str, **changes: Any) -> dict[str, Any]:
    """Return a campaign that fires on every entry."""
    return {
        "name": "greeting",
        "trigger": {"on": ["enter"], "zones": {}},
        "offer": {"title": "Hello {{ profile.first_name | default: 'you' }}, at {{ zone.name }}"},
        "endpoints": list(endpoints),
        "status": "active",
        **changes,
    }
