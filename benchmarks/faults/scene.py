"""What nearly every row needs: a node, a receiver, phones, and the check at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from benchmarks.faults.ledger import Event, Verdict, Walks, check, features, posts_from
from benchmarks.faults.node import Node, eventually
from benchmarks.faults.phones import Phones
from benchmarks.faults.receiver import SECRET, Receiver
from benchmarks.faults.row import Result, Run

RATE = 2_000.0
DEVICES = 100
ENDPOINT = "shop"
EVENTS = ("transition.enter", "transition.exit", "offer.triggered")
KINDS = ("enter", "exit", "offer")
DAYS_BACK = 10


class Scene:
    """A node with twenty zones, one campaign and one endpoint, beside a receiver.

    Parameters
    ----------
    run
        How the row is run.
    broker, environment, arguments, launcher
        As in `Node`.
    rate
        Pings a second.
    behaviour
        Of the receiver.
    clock_file
        Of the receiver.
    """

    def __init__(
        self,
        run: Run,
        *,
        broker: str = "",
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        launcher: Sequence[str] = ("-m", "geotarget"),
        rate: float = RATE,
        behaviour: str = "ok",
        clock_file: str = "",
    ) -> None:
        self.run = run
        self.receiver = Receiver(run.folder, clock_file=clock_file)
        self.node = Node(
            run.folder / "node",
            broker=broker,
            environment=environment or {},
            arguments=arguments,
            launcher=launcher,
        )
        self._rate = rate
        self._behaviour = behaviour
        self.phones: Phones | None = None
        self._read = 0

    def __enter__(self) -> Self:
        """Start receiver and node, and put zones, endpoint and campaign."""
        self.receiver.start()
        try:
            self.node.start()
            self.prepare()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything that runs."""
        if self.phones is not None:
            self.phones.halt()
        if self.node.process is not None:
            self.node.kill()
        self.receiver.kill()

    def prepare(self) -> None:
        """Put zones, endpoint and campaign through the API."""
        self.node.post("/v1/zones", features())
        self.put_endpoint(ENDPOINT, self._behaviour)
        self.node.put(
            "/v1/campaigns/greeting",
            {
                "name": "greeting",
                "trigger": {"on": ["enter"], "zones": {}},
                "offer": {"title": "Hello at {{ zone.name }}"},
                "endpoints": [ENDPOINT],
                "status": "active",
            },
        )

    def put_endpoint(self, name: str, behaviour: str = "ok", **changes: Any) -> None:
        """Make an endpoint that wants all events."""
        self.node.put(
            f"/v1/endpoints/{name}",
            {
                "url": self.receiver.url(name, behaviour),
                "secret": SECRET,
                "events": list(EVENTS),
                **changes,
            },
        )

    def publish(self, name: str = "d", walks: Walks | None = None, **options: Any) -> Phones:
        """Let phones publish from now on; `name` begins their ids, `options` as in `Phones`."""
        if self.phones is not None:
            self.phones.halt()
        walks = walks or Walks(name, DEVICES, int(time.time()) - DAYS_BACK * 86_400)
        options = {"rate": self._rate, **options}
        self.phones = Phones(*self.node.phone_address, walks, **options)
        return self.phones.start()

    # -- the end ----------------------------------------------------------------------------

    def owed(self, kinds: Collection[str] = KINDS) -> set[Event]:
        """Return what the acknowledged pings imply."""
        assert self.phones is not None
        return set(self.phones.walks.events(self.phones.acknowledged, kinds))

    def arrived(self, owed: Collection[Event], *, seconds: float, endpoint: str = ENDPOINT) -> None:
        """Wait until everything owed has arrived, or no longer; the check tells what is missing."""
        left, read = set(owed), 0
        pause = threading.Event()
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            more, read = posts_from(self.receiver.file, read)
            for each in more:
                event = each.event() if each.accepted and each.endpoint == endpoint else None
                if event is not None:
                    left.discard(event)
            pause.wait(0.1)

    def wait_for_post(self, moment: float, *, seconds: float = 120.0) -> float:
        """Wait for an event of a ping that was acknowledged after a moment; return how long after.

        That is when everything works again, from the phone to the receiver.
        """
        phones = self.phones
        assert phones is not None
        found: list[float] = []

        def came() -> bool:
            more, self._read = posts_from(self.receiver.file, self._read)
            for each in more:
                event = each.event() if each.accepted and each.at > moment else None
                if event is None or not event.device.startswith(phones.walks.name):
                    continue
                if phones.acknowledged.get(phones.walks.number(event), 0.0) > moment:
                    found.append(each.at - moment)
            return bool(found)

        eventually(came, seconds=seconds, what="an event of a ping that came after the fault")
        return min(found)

    def verdict(self, *, seconds: float = 60.0, publishing_s: float = 60.0) -> Verdict:
        """End the load in order, wait until nothing is left to be sent, check what arrived."""
        assert self.phones is not None
        self.phones.finish(publishing_s)
        owed = self.owed()
        self.arrived(owed, seconds=seconds)
        self.settle(seconds)
        return check(owed, self.receiver.posts(), ENDPOINT, self.phones.walks.name)

    def settle(self, seconds: float = 90.0) -> None:
        """Wait until the outbox is empty; what a killed sender held comes after its lease."""
        pending = "geotarget_outbox_pending"
        eventually(lambda: self.node.metric(pending) == 0, seconds=seconds, what="an empty outbox")

    def slowest_s(self, phones: Phones) -> float:
        """Return the longest time from a ping's acknowledgement to the first arrival of its event.

        Only of events that arrived.
        """
        came: dict[Event, float] = {}
        for each in self.receiver.posts():
            event = each.event() if each.accepted else None
            if event is not None and event.device.startswith(phones.walks.name):
                came.setdefault(event, each.at)
        known = phones.acknowledged
        return max(
            (at - known.get(phones.walks.number(event), at) for event, at in came.items()),
            default=0.0,
        )

    def result(
        self,
        verdict: Verdict,
        size: str,
        *,
        recovery_s: float | None = None,
        note: str = "",
        problems: Iterable[str] = (),
    ) -> Result:
        """Return the row's result; `problems` are added to those of the verdict."""
        return Result(
            self.run.name,
            size,
            verdict.owed,
            len(verdict.lost),
            verdict.duplicates,
            None if recovery_s is None else round(recovery_s, 1),
            note,
            (*verdict.problems, *problems),
        )
