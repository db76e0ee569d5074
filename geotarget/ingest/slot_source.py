"""Many slots in one process: a session with the broker for each, one intake behind them.

Slots are taken and released while it runs. Each session is a `MqttSource` like the only one of a
single machine, on a lane of its own: after an unclean takeover that slot alone is held and put in
order, and what was delivered over one connection is acknowledged to no other. Costs two sleeping
threads a slot: 64 slots idle at 0.5 % of a core, connect in 0.1 s and are released in 0.05 s.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import structlog

from geotarget import metrics
from geotarget.ingest.batch import Intake
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.consumers import Consumers
from geotarget.ingest.fellows import Fellows
from geotarget.ingest.knocking import knock
from geotarget.ingest.mqtt import MqttSource
from geotarget.ingest.nats_connection import StandingConnection
from geotarget.ingest.slots import ALL_SLOTS, slot_client_id, slot_filter, written_slots
from geotarget.ingest.stream_reading import StreamReader
from geotarget.ingest.unacknowledged import HoldEnder

WINDOW = 8_192
"""Messages that a slot may have unacknowledged: `max_ack_pending` of the NATS configuration."""

_log = structlog.get_logger(__name__)


class SlotSource:
    """Feeds an `Intake` from those slots that this process owns.

    Parameters
    ----------
    url
        ``mqtt://user:password@host:port`` or ``mqtts://…``; the login names the sessions too
        (`slot_client_id`), so all workers use the same.
    intake
        Where messages go.
    slots
        Those to take at the start.
    clean
        Those of them that whoever had them before released cleanly. The pings of the others are
        held for ``ack_wait_s`` + 1 s and put in order. Where `nats` can be asked, all are held
        until it says that nothing older can follow: who disconnects can't know what was on its way.
    window
        How many messages a slot may have unacknowledged.
    tls, mqtt5
        As in `MqttSource`.
    nats
        Where NATS answers its administrator, ``nats://user:password@host:4222``, several by
        commas; the user belongs to the account of the pings. It is asked what is unacknowledged
        (`HoldEnder`), and for what it has while it can't send it (`StreamReader`). Empty asks
        nobody.
    **options
        `ack_wait_s`, `keepalive_s` and the other options of `MqttSource`, for each session.

    Attributes
    ----------
    clean
        After `stop`: the slots that were left with everything committed and acknowledged.

    Examples
    --------
    ::

        source = SlotSource("mqtt://ingest:secret@broker", intake, slots=range(32))
        source.start()
        source.take([40], clean=False)
        clean = source.release([40], timeout_s=5.0)
    """

    def __init__(
        self,
        url: str,
        intake: Intake,
        *,
        slots: Iterable[int] = (),
        clean: Iterable[int] = (),
        window: int = WINDOW,
        tls: ssl.SSLContext | None = None,
        mqtt5: bool = True,
        nats: str = "",
        **options: Any,
    ) -> None:
        self.broker = BrokerUrl.parse(url)
        self.intake = intake
        self._url = url
        self._at_start = frozenset(slots)
        self._clean_at_start = frozenset(clean)
        self._options = {**options, "tls": tls, "window": window}
        self._fellows = Fellows(mqtt5=mqtt5)
        self._lock = threading.Lock()
        self._sessions: dict[int, MqttSource] = {}
        self._stopped = False
        names = {slot_client_id(slot, self.broker): slot_filter(slot) for slot in ALL_SLOTS}
        self._consumers = Consumers(names)
        self._nats = self._standing(nats) if nats else None
        self.clean: frozenset[int] = frozenset()

    @property
    def owned(self) -> frozenset[int]:
        """The slots that this process works on."""
        return frozenset(self._sessions)

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted one of the sessions at least."""
        return any(session.connected for session in list(self._sessions.values()))

    @property
    def reached_s(self) -> float:
        """When one of the sessions was connected last, by the monotonic clock."""
        sessions = list(self._sessions.values())
        return max((session.reached_s for session in sessions), default=float("-inf"))

    def knock(self) -> str:
        """Return why the broker does not let us in, empty when it does; no slot is touched."""
        return knock(self.broker, tls=self._options["tls"])

    def start(self) -> None:
        """Take the first slots; returns at once. `health` tells when it has worked."""
        if self._nats is not None:
            self._nats.start()
        self.take(self._at_start & self._clean_at_start, clean=True)
        self.take(self._at_start - self._clean_at_start, clean=False)

    def take(self, slots: Iterable[int], *, clean: bool = False) -> None:
        """Take slots, beside those that are owned; returns at once.

        Parameters
        ----------
        slots
            Nobody else may have them: the broker would give each session to who connected last.
        clean
            Whether whoever had them before released them cleanly. When not, their pings are held.
        """
        with self._lock:
            new = sorted(set(slots) - set(self._sessions))
            if self._stopped or not new:
                return
            for slot in new:
                self._sessions[slot] = session = self._session(slot, clean=clean)
                session.start()
            metrics.slots_owned.set(len(self._sessions))
        _log.info("slots taken", slots=written_slots(new), clean=clean)

    def release(self, slots: Iterable[int], *, timeout_s: float = 20.0) -> frozenset[int]:
        """Stop fetching from slots, commit and acknowledge what is here of them, disconnect.

        Parameters
        ----------
        slots
            Those that are not owned are left out.
        timeout_s
            How long to wait for the commit, for all of them together, in seconds. 0 for slots that
            were lost already: what waits of them is let go, and the broker gives it to the next.

        Returns
        -------
        frozenset of int
            Those that are clean: whoever takes them next need not hold their pings.
        """
        with self._lock:
            gone = {slot: self._sessions[slot] for slot in slots if slot in self._sessions}
            for session in gone.values():
                session.pausing.set()
            deadline = time.monotonic() + timeout_s
            for slot, session in gone.items():
                self.intake.settle(slot, max(0.0, deadline - time.monotonic()))
                session.end()
            clean = self._joined(gone)
            for slot in gone:
                del self._sessions[slot]
            metrics.slots_owned.set(len(self._sessions))
        if gone:
            _log.info("slots released", slots=written_slots(gone), clean=written_slots(clean))
        return clean

    def confirm(self, slots: Iterable[int]) -> None:
        """Say that slots are ours for certain: their sessions are taken back from anybody."""
        for slot in slots:
            session = self._sessions.get(slot)
            if session is not None:
                session.confirm()

    def disown(self, slots: Iterable[int]) -> None:
        """Acknowledge nothing of slots that were lost; returns at once. `release` them then."""
        for slot in slots:
            session = self._sessions.get(slot)
            if session is not None:
                session.disown()

    def stop(self, timeout_s: float = 20.0) -> bool:
        """Stop fetching, commit and acknowledge what is here, disconnect; the sessions stay.

        Returns
        -------
        bool
            Whether all slots are clean; `clean` names those that are.
        """
        if self._nats is not None:
            self._nats.stop()
        with self._lock:
            self._stopped = True
            sessions = dict(self._sessions)
            for session in sessions.values():
                session.pausing.set()
            committed = self.intake.drain(timeout_s)
            for session in sessions.values():
                session.end()
            clean = self._joined(sessions)
            self._sessions.clear()
            metrics.slots_owned.set(0)
            self.clean = clean if committed else frozenset()
        return self.clean >= sessions.keys()

    def health(self) -> tuple[bool, str]:
        """Tell whether messages flow from all slots, and why not."""
        bad = [(slot, trouble) for slot, (ok, trouble) in sorted(self._states().items()) if not ok]
        if not bad:
            return True, ""
        slot, trouble = bad[0]
        more = f", and {len(bad) - 1} other slots" if len(bad) > 1 else ""
        return False, f"slot {slot}{more}: {trouble}"

    def _standing(self, nats: str) -> StandingConnection:
        works = [each(self._all, self._consumers).work for each in (HoldEnder, StreamReader)]
        without = "slots are held for their full time, and wait for NATS' elections"
        return StandingConnection(nats, "nats", works, without=without)

    def _all(self) -> list[MqttSource]:
        return list(self._sessions.values())

    def _states(self) -> dict[int, tuple[bool, str]]:
        return {slot: session.health() for slot, session in list(self._sessions.items())}

    def _session(self, slot: int, *, clean: bool) -> MqttSource:
        return MqttSource(
            self._url,
            self.intake,
            client_id=slot_client_id(slot, self.broker),
            filters=(slot_filter(slot),),
            lane=slot,
            clean=clean and self._nats is None,
            fellows=self._fellows,
            **self._options,
        )

    def _joined(self, sessions: dict[int, MqttSource]) -> frozenset[int]:
        """Wait until sessions have ended; return those that are clean."""
        clean = frozenset(slot for slot, session in sessions.items() if session.join())
        for session in sessions.values():
            self._fellows.leave(session)
        return clean
