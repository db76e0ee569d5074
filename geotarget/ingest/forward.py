"""Pings that came over HTTP, passed on to the broker.

A stand-alone API process has no pipeline of its own. It publishes what it accepts with QoS 1 and
answers when the broker has taken it: accepted means durably queued, not yet committed. Same
`submit` as `Intake`, so the API does not know which of the two it speaks to. About 60 us a
message of up to 100 pings.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import structlog

from geotarget.errors import BrokerError, Overloaded
from geotarget.ingest.publish import MESSAGE_PINGS, OutgoingPing, Publisher
from geotarget.ingest.topics import PORTABLE_DEVICE
from geotarget.model import Outcome, PingBatch, Rejected

_STOP_S = 40.0
_RETRY_S = 1.0

_log = structlog.get_logger(__name__)


class Forwarder:
    """Publishes submissions and answers for them after the broker has.

    Parameters
    ----------
    publisher
        Connected by the forwarder when it is not yet; not closed by it.
    capacity
        Messages that may wait, in the queue and for their acknowledgement. A submission makes at
        least one for each of its devices.

    Notes
    -----
    Only device ids that every broker can carry in a topic are forwarded; pings of others are
    refused with the reason ``device``. Dead letters are not: the caller has them in the answer.
    """

    def __init__(self, publisher: Publisher, *, capacity: int = 20_000) -> None:
        self._publisher = publisher
        self._capacity = capacity
        self._queue: queue.SimpleQueue[tuple[str, list[OutgoingPing], _Answer] | None]
        self._queue = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._worker = threading.Thread(target=self._run, name="forward", daemon=True)

    def start(self) -> None:
        """Start the thread that connects and publishes."""
        self._worker.start()

    def stop(self) -> None:
        """Take nothing more, publish what waits, end the thread."""
        self._stopping.set()
        self._queue.put(None)
        if self._worker.ident is not None:
            self._worker.join(_STOP_S)

    def submit(self, pings: PingBatch, rejected: Sequence[Rejected] = ()) -> Future[Outcome]:
        """Publish pings, in order for each device. Does not block.

        Returns
        -------
        Future
            Done when the broker has acknowledged all of them. It may take as long as the broker
            is away, so wait with a time limit; pings sent again are recognised later on. Fails
            with `BrokerError` when the broker does not take them.

        Raises
        ------
        Overloaded
            When the broker is away or does not keep up, or the forwarder has stopped.
        """
        del rejected
        healthy, reason = self.health()
        if not healthy:
            raise Overloaded(f"can't forward pings: {reason}", retry_after_s=5.0)
        messages, refused = _messages(pings)
        waiting = self._queue.qsize() + self._publisher.in_flight
        if waiting and waiting + len(messages) > self._capacity:
            raise Overloaded(
                f"{waiting} of {self._capacity} messages wait for the broker", retry_after_s=1.0
            )
        answer = _Answer(len(messages), Outcome(len(pings) - len(refused), refused))
        for device, group in messages:
            self._queue.put((device, group, answer))
        return answer.future

    def health(self) -> tuple[bool, str]:
        """Tell whether pings can be forwarded, and why not."""
        if self._stopping.is_set():
            return False, "the forwarder has stopped"
        return self._publisher.health()

    def _run(self) -> None:
        while not self._publisher.connected and not self._stopping.is_set():
            try:
                self._publisher.connect()
            except BrokerError as error:
                _log.warning("can't forward pings yet", reason=str(error))
                self._stopping.wait(_RETRY_S)
        while message := self._queue.get():
            device, group, answer = message
            try:
                self._publisher.publish(device, group, done=answer.one_done)
            except BrokerError as error:
                answer.one_done(str(error))
        while not self._queue.empty():
            if message := self._queue.get():
                message[2].one_done("the forwarder has stopped")


class _Answer:
    """Counts the messages of one submission down."""

    def __init__(self, messages: int, outcome: Outcome) -> None:
        self.future: Future[Outcome] = Future()
        self.future.set_running_or_notify_cancel()
        self._left = messages
        self._outcome = outcome
        self._problem = ""
        self._lock = threading.Lock()
        if not messages:
            self.future.set_result(outcome)

    def one_done(self, problem: str) -> None:
        with self._lock:
            self._left -= 1
            self._problem = self._problem or problem
            if self._left:
                return
        if self._problem:
            self.future.set_exception(BrokerError(self._problem))
        else:
            self.future.set_result(self._outcome)


def _messages(
    pings: PingBatch,
) -> tuple[list[tuple[str, list[OutgoingPing]]], list[tuple[int, str, str]]]:
    """Group pings by device into messages; name those that can't be sent."""
    refused: list[tuple[int, str, str]] = []
    groups: dict[str, list[OutgoingPing]] = {}
    rows = zip(
        pings.device,
        (pings.ts / 1000).tolist(),
        pings.lat.tolist(),
        pings.lng.tolist(),
        pings.acc.tolist(),
        pings.key.tolist(),
        strict=True,
    )
    for position, (device, ts, lat, lng, acc, key) in enumerate(rows):
        if not PORTABLE_DEVICE.fullmatch(device):
            text = (
                f"$.device: a broker can't carry this name; it must match {PORTABLE_DEVICE.pattern}"
            )
            refused.append((position, "device", text))
            continue
        # The key stands for the message id, so that what is sent twice is known twice.
        ping = OutgoingPing(ts, lat, lng, None if acc != acc else acc, f"{key:016x}")  # noqa: PLR0124 NaN
        groups.setdefault(device, []).append(ping)
    messages = [
        (device, group[first : first + MESSAGE_PINGS])
        for device, group in groups.items()
        for first in range(0, len(group), MESSAGE_PINGS)
    ]
    return messages, refused
