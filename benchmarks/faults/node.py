"""`geotarget up` as a process with its own data folder: start, ask, kill, stop.

Knows geotarget as its users do: command line, HTTP, signals.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.row import Broken
from tests.ports import free_ports

ADMIN_KEY = "gt-faults-admin-key"
READY_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]


def eventually(holds: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait until a condition holds; return after how many seconds."""
    pause = threading.Event()
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise Broken(f"not within {seconds:g} s: {what}")
        pause.wait(0.05)
    return time.monotonic() - started


def rest(seconds: float) -> None:
    """Let the load go on for a while: the length is part of the row, nothing is awaited."""
    threading.Event().wait(seconds)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all its descendants, whatever their groups, at one go."""
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(process.pid)
        family = [top, *top.children(recursive=True)]
        top.suspend()  # so that nothing is started again meanwhile
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family[1:], timeout=10)
    process.wait(timeout=30)


@dataclass
class Node:
    """One node.

    Parameters
    ----------
    data
        Its folder.
    broker
        URL of an external broker; empty starts the embedded one.
    environment
        Added to that of this process.
    arguments
        Added to the command line of `geotarget up`.
    launcher
        What Python runs: `geotarget`, or a module that wraps it, with its own arguments.
    """

    data: Path
    broker: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    launcher: Sequence[str] = ("-m", "geotarget")
    port: int = field(init=False)
    mqtt_port: int = field(init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.port, self.mqtt_port = free_ports(2)

    # -- life -------------------------------------------------------------------------------

    def spawn(self, launcher: Sequence[str] = ()) -> Node:
        """Start it; `ready` waits."""
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._log_start = self.log.stat().st_size
            where = ["--mqtt", self.broker] if self.broker else ["--mqtt-port", str(self.mqtt_port)]
            self.process = subprocess.Popen(
                [
                    sys.executable, *(launcher or self.launcher), "up", "--no-live",
                    "--data", str(self.data), "--port", str(self.port), *where, *self.arguments,
                ],
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
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
        return self

    def ready(self, seconds: float = READY_S) -> float:
        """Wait until it says that it is ready; return for how long."""
        return eventually(self._is_ready, seconds=seconds, what=f"ready line in {self.log.name}")

    def start(self) -> Node:
        """Start it and wait until it is ready."""
        self.spawn()
        self.ready()
        return self

    def _is_ready(self) -> bool:
        said = self.said()
        if not self.alive:
            raise Broken(f"geotarget up ended with {self.status}: {said[-2_000:]}")
        return any(line.startswith("ready") for line in said.splitlines())

    def said(self) -> str:
        """Return what it has written since its last start."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.data / "up.log"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def status(self) -> int | None:
        """How it ended."""
        return None if self.process is None else self.process.poll()

    def kill(self) -> None:
        """SIGKILL to it and everything that it started, the embedded broker included."""
        assert self.process is not None
        end_tree(self.process)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended by itself; return its status."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"geotarget up still runs after {seconds:g} s") from None

    def stop(self, seconds: float = 60.0) -> float:
        """SIGTERM; return how long it took to end, which must be with status 0."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.wait(seconds)
        took = time.monotonic() - started
        if status != 0:
            raise Broken(f"geotarget up ended with {status} after SIGTERM: {self.said()[-2_000:]}")
        return took

    # -- what it is made of -----------------------------------------------------------------

    @property
    def broker_process(self) -> psutil.Process:
        """The embedded NATS server."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "nats.conf" in " ".join(child.cmdline()):
                    return child
        raise Broken("the embedded broker does not run")

    @property
    def cpu_s(self) -> float:
        """CPU of the node's own process so far, without the broker's."""
        assert self.process is not None
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)

    @property
    def rss_bytes(self) -> int:
        """Memory of the node's own process, without the broker's."""
        assert self.process is not None
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def phone_address(self) -> tuple[str, int]:
        """Where phones connect."""
        if self.broker:
            host, _, port = self.broker.removeprefix("mqtt://").partition(":")
            return host, int(port)
        return "127.0.0.1", self.mqtt_port

    # -- its API ----------------------------------------------------------------------------

    def call(
        self, method: str, path: str, body: Any = None, timeout: float = 30
    ) -> tuple[int, Any]:
        """Return (status, parsed answer) of one API call; OSError when nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Bearer {ADMIN_KEY}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, raw = error.code, error.read()
        return status, json.loads(raw) if raw[:1] in (b"{", b"[") else raw

    def put(self, path: str, body: Any) -> Any:
        """PUT and insist on success."""
        return self._succeed("PUT", path, body)

    def post(self, path: str, body: Any) -> Any:
        """POST and insist on success."""
        return self._succeed("POST", path, body)

    def _succeed(self, method: str, path: str, body: Any) -> Any:
        status, answer = self.call(method, path, body)
        if status not in (200, 201, 202, 204):
            raise Broken(f"{method} {path}: {status} {answer}")
        return answer

    def metric(self, name: str) -> float:
        """Return a metric, summed over its labels; 0 when there is none."""
        return sum(self.metrics(name).values())

    def metrics(self, name: str) -> dict[str, float]:
        """Return a metric by its labels, as they stand in braces."""
        _, text = self.call("GET", "/metrics")
        found = {}
        for line in text.decode().splitlines():
            if line.startswith((f"{name} ", f"{name}{{")):
                labels, _, value = line.removeprefix(name).rpartition(" ")
                found[labels] = float(value)
        return found
