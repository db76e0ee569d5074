"""Real brokers on free ports, a phone, and a recorder in the place of the pipeline."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from geotarget.errors import StoreError
from geotarget.ingest.listening import answers
from geotarget.ingest.nats_server import find_server
from geotarget.model import Outcome, PingBatch, Rejected
from tests.ports import find_port

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "services" / "mosquitto"
DEADLINE_S = 60.0

Eventually = Callable[..., None]


class Recorder:
    """Stands where the pipeline stands: notes batches, blocks, fails, refuses on demand."""

    def __init__(self) -> None:
        self.batches: list[PingBatch] = []
        self.rejected: list[Rejected] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.store_failures = 0
        self.defects = 0
        self.refuse: Callable[[PingBatch], Sequence[tuple[int, str, str]]] = lambda _: ()

    def process(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Outcome:
        self.entered.set()
        assert self.open.wait(60.0), "nobody opened the gate"
        if self.store_failures:
            self.store_failures -= 1
            raise StoreError("the disk is full")
        if self.defects:
            self.defects -= 1
            raise ZeroDivisionError("a defect")
        self.batches.append(pings)
        self.rejected.extend(rejected)
        refused = self.refuse(pings)
        return Outcome(accepted=len(pings) - len(refused), refused=refused)

    @property
    def count(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @property
    def seconds(self) -> list[int]:
        """Fix times in order of processing, in whole seconds."""
        return [ts // 1000 for batch in self.batches for ts in batch.ts.tolist()]

    @property
    def pings(self) -> list[tuple[str, int]]:
        """Devices and fix times, in order of processing; also while more come."""
        return [
            (device, ts // 1000)
            for batch in list(self.batches)
            for device, ts in zip(batch.device, batch.ts.tolist(), strict=True)
        ]

    @property
    def devices(self) -> list[str]:
        return [device for batch in self.batches for device in batch.device]


class Mosquitto:
    """Debian's broker with the shipped configuration, on a free port."""

    def __init__(
        self, program: str, folder: Path, *, secured: bool = False, more: str = ""
    ) -> None:
        self.program = program
        self.folder = folder
        self.port = find_port()
        self.config = folder / "mosquitto.conf"
        text = (SHIPPED / "mosquitto.conf").read_text()
        text = text.replace("listener 1883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/mosquitto/config", str(folder))
        text = text.replace("/mosquitto/data", str(folder))
        if not secured:
            lines = text.splitlines()
            named = ("allow_anon", "password_", "acl_", "use_username")
            kept = [line for line in lines if not line.startswith(named)]
            text = "\n".join([*kept, "allow_anonymous true"])
        if os.name == "posix" and os.geteuid() == 0:
            text += "\nuser root"  # or it can't write into the folder of the test
        self.config.write_text(f"{text}\n{more}\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                text = (self.folder / "mosquitto.log").read_text()
                assert self.process.poll() is None, text
                assert time.monotonic() < deadline, text
                pause.wait(0.01)
            else:
                return

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Phone:
    """A plain paho client that publishes and remembers what was acknowledged."""

    def __init__(
        self, port: int, *, login: tuple[str, str] | None = None, inflight: int = 500
    ) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if login is not None:
            self.client.username_pw_set(*login)
        self.client.max_inflight_messages_set(inflight)
        self.changed = threading.Condition()
        self.acknowledged: set[int] = set()
        self.connected = False
        self.client.on_publish = self._note
        self.client.on_connect = self._connected
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        with self.changed:
            assert self.changed.wait_for(lambda: self.connected, DEADLINE_S)

    def _connected(self, *arguments: object) -> None:
        with self.changed:
            self.connected = not arguments[3].is_failure  # type: ignore[attr-defined]
            self.changed.notify_all()

    def _note(self, _client: object, _data: object, mid: int, *_: object) -> None:
        with self.changed:
            self.acknowledged.add(mid)
            self.changed.notify_all()

    def publish(self, topic: str, payload: str | bytes, qos: int = 1) -> int:
        return self.client.publish(topic, payload, qos).mid

    def settle(self, count: int, seconds: float = DEADLINE_S) -> None:
        """Wait until the broker has acknowledged so many messages."""
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.acknowledged) >= count, seconds)
        assert done, f"{len(self.acknowledged)} of {count} were acknowledged"

    def close(self) -> None:
        self.client.disconnect()
        try:
            self.client.loop_stop()
        except AttributeError:
            assert self.client._thread is None  # paho's thread ended in the midst of it


class NatsServer:
    """A server with the shipped configuration of the cluster, alone, on free ports."""

    def __init__(self, folder: Path, *, ack_wait_s: float = 1.0) -> None:
        self.folder = folder
        self.client_port, self.port = find_port(), find_port()
        self.url = f"mqtt://ingest:for-ingest@127.0.0.1:{self.port}"
        self.admin_url = f"nats://admin:for-admin@127.0.0.1:{self.client_port}"
        self.login = ("device", "for-device")
        self.config = folder / "nats.conf"
        text = (REPOSITORY / "services" / "nats" / "nats-cluster.conf").read_text()
        text = re.sub(r"\ncluster \{.*?\n\}\n", "\n", text, flags=re.DOTALL)
        text = text.replace("stream_replicas: 3", "stream_replicas: 1")
        text = text.replace('"0.0.0.0"', '"127.0.0.1"').replace("http: $NATS_HTTP\n", "")
        self.config.write_text(text.replace('ack_wait: "3s"', f'ack_wait: "{ack_wait_s}s"'))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self.folder / "nats.log"
        environment = {
            "NATS_SERVER_NAME": "alone",
            "NATS_CLIENT_PORT": str(self.client_port),
            "NATS_MQTT_PORT": str(self.port),
            "NATS_STORE": str(self.folder / "store"),
            **{
                f"NATS_{name.upper()}_PASSWORD": f"for-{name}"
                for name in ("admin", "ingest", "device", "fleet", "callout")
            },
        }
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [str(find_server(None)), "-c", str(self.config)],
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
            )
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not answers("127.0.0.1", self.port):
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            pause.wait(0.01)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
