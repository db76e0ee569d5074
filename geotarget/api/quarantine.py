"""Checks large zone documents in processes of their own, which can be killed.

A document of zones can be hostile: small to send, long to check. A thread can't be stopped, so a
document above `INLINE_BYTES` is parsed by a worker process under a time limit and a memory limit;
a worker that exceeds either is killed and replaced, the sender is told, and nobody else waits.
Smaller documents are parsed where they are: the slowest one that fits (nested shells, hundreds of
holes) is over in less than a tenth of a second.

Costs: a worker starts when the first large document comes (half a second, 40 MB) and stays;
handing over a document of 3,000 vertices and getting the zone back costs 9 ms. At most `WORKERS`
documents are checked and `WAITING` wait at one time, everybody else is sent away for a moment.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import structlog

from geotarget.errors import InvalidZone, Overloaded, Problem
from geotarget.geojson import GeometryLimits, ZonesReport, parse_feature, parse_zones
from geotarget.model import Zone

log = structlog.get_logger(__name__)

_Parsed = Zone | ZonesReport

INLINE_BYTES = 64 << 10
WORKERS = 2
WAITING = 4
START_S = 60.0
HEADER = 8


class Quarantine:
    """Parses zones under limits on time and memory.

    Thread-safe; calls block, so make them from worker threads.

    Parameters
    ----------
    limits
        What zones may weigh.
    limit_s
        Time for one document of the size of the largest zone, seconds; a larger one, which holds
        many zones, gets more in proportion.
    memory_bytes
        Address space of a worker; where the platform has no such limit only time is limited.
    """

    def __init__(
        self, limits: GeometryLimits, *, limit_s: float = 10.0, memory_bytes: int = 4 << 30
    ) -> None:
        self._limits = limits
        self._limit_s = limit_s
        self._memory_bytes = memory_bytes
        self._turns = threading.BoundedSemaphore(WORKERS)
        self._places = threading.BoundedSemaphore(WORKERS + WAITING)
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def zone(self, document: bytes, *, id: str) -> Zone:
        """Parse one zone.

        Parameters
        ----------
        document
            A Feature, as it came.
        id
            The zone's id.

        Raises
        ------
        InvalidZone
            It can't be accepted, or checking it exceeded a limit.
        Overloaded
            Too many documents are waiting to be checked.
        """
        answer = self._parse(_Order(document, self._limits, id))
        assert isinstance(answer, Zone)
        return answer

    def zones(self, document: bytes) -> ZonesReport:
        """Parse a document of zones.

        Parameters
        ----------
        document
            A FeatureCollection or a Feature, as it came.

        Raises
        ------
        InvalidZone
            The document as a whole can't be accepted, or checking it exceeded a limit.
        Overloaded
            Too many documents are waiting to be checked.
        """
        answer = self._parse(_Order(document, self._limits))
        assert isinstance(answer, ZonesReport)
        return answer

    def close(self) -> None:
        """End all workers that are idle; those at work end with their document."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                f"{WORKERS + WAITING} documents are being checked or wait for it",
                retry_after_s=self._limit_s,
            )
        try:
            with self._turns:
                yield
        finally:
            self._places.release()

    def _parse(self, order: _Order) -> _Parsed:
        if len(order.document) <= INLINE_BYTES:
            return order.parse()
        with self._turn():
            return self._elsewhere(order)

    def _elsewhere(self, order: _Order) -> _Parsed:
        worker = self._take()
        try:
            share = len(order.document) / self._limits.max_bytes
            answer = worker.ask(order, self._limit_s * max(1.0, share))
        except _Ended as ended:
            size = f"{len(order.document)} bytes"
            log.warning("zone document killed", size=size, reason=str(ended))
            raise InvalidZone(Problem("$", size, str(ended))) from None
        finally:
            self._give_back(worker)
        if isinstance(answer, _Refusal):
            raise InvalidZone(*answer.problems)
        return answer

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Worker(self._memory_bytes)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if worker.alive and not self._idle and not self._closed:
                self._idle.append(worker)
                return
        worker.end()


class _Ended(Exception):
    """The worker was killed or died; says why."""


@dataclass(frozen=True, slots=True)
class _Order:
    """A document to parse: one zone if it is given an id."""

    document: bytes
    limits: GeometryLimits
    id: str | None = None

    def parse(self) -> _Parsed:
        if self.id is None:
            return parse_zones(self.document, limits=self.limits)
        return parse_feature(self.document, id=self.id, limits=self.limits)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a document as a whole was refused."""

    problems: tuple[Problem, ...]


class _Worker:
    """One process that parses one document at a time."""

    def __init__(self, memory_bytes: int) -> None:
        # Not multiprocessing: its fork would copy a process with threads and a database, its
        # spawn would import the main program again.
        command = (
            f"import sys; sys.path[:] = {[str(each) for each in sys.path if each]!r};"
            f"from geotarget.api.quarantine import work; work({memory_bytes})"
        )
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
            [sys.executable, "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._memory_bytes = memory_bytes
        try:
            self._exchange(None, START_S, f"not ready after {START_S:g} s")
        except _Ended as ended:
            self.end()
            raise RuntimeError(f"the process that checks zones did not start: {ended}") from None

    @property
    def alive(self) -> bool:
        """Whether it can take another document."""
        return self._process.poll() is None

    def ask(self, order: _Order, limit_s: float) -> _Parsed | _Refusal:
        """Return what a document holds, or what is wrong with it as a whole."""
        answer = self._exchange(order, limit_s, f"checking it took longer than {limit_s:.3g} s")
        if isinstance(answer, MemoryError):
            raise _Ended(f"checking it took more than {self._memory_bytes >> 20} MiB of memory")
        return cast("_Parsed | _Refusal", answer)

    def end(self) -> None:
        """Kill the process and forget it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:  # what it had not read before it was killed
                continue
        self._process.wait()

    def _exchange(self, order: _Order | None, limit_s: float, too_long: str) -> Any:
        """Send an order, if there is one, and return the answer."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(limit_s, kill)
        timer.daemon = True
        timer.start()
        try:
            if order is not None:
                _send(self._process.stdin, order)
            return _receive(self._process.stdout)
        except (BrokenPipeError, EOFError):
            self._process.kill()
            status = self._process.wait()
            reason = (
                too_long if late.is_set() else f"checking it ended its process (status {status})"
            )
            raise _Ended(reason) from None
        finally:
            timer.cancel()


def _send(pipe: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(data).to_bytes(HEADER, "big"))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    header = pipe.read(HEADER)
    if len(header) < HEADER:
        raise EOFError
    size = int.from_bytes(header, "big")
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)  # noqa: S301 - both ends of the pipe are ours


def work(memory_bytes: int) -> None:
    """Be a worker: read orders from standard input until it closes, answer on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    orders = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up between the answers
    _limit_memory(memory_bytes)
    _send(answers, None)
    while True:
        try:
            order = _receive(orders)
        except EOFError:
            return
        answer: object
        try:
            answer = order.parse()
        except InvalidZone as error:
            answer = _Refusal(error.problems)
        except MemoryError:
            answer = MemoryError()
        _send(answers, answer)


def _limit_memory(memory_bytes: int) -> None:
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
