"""A row about what phones get wrong: twice, out of order, from the future, from nowhere."""

from __future__ import annotations

import random
import time
from collections import Counter

from benchmarks.faults.ledger import Walks
from benchmarks.faults.node import rest
from benchmarks.faults.phones import Message
from benchmarks.faults.row import Result, Row, Run
from benchmarks.faults.scene import DEVICES, Scene

BLOCK_TURNS = 4
WINDOW_S = 10.0
SLOW_RATE = 1_000.0
ROOMY = {
    "GEOTARGET_REORDER_WINDOW_S": str(WINDOW_S),
    "GEOTARGET_QUEUE_MESSAGES": "60000",  # a queue that is full shortens the window
}
SHARE_TWICE, SHARE_BAD = 0.1, 0.1


class Bent:
    """Makes of plain walks what bad phones send.

    Parameters
    ----------
    seed
        Of what is drawn.
    walks
        The plain ones. Within each `BLOCK_TURNS` turns their pings go out in a drawn order, which
        is undone by a reorder window of `WINDOW_S`; one in ten comes twice or once more later, and
        one in ten is accompanied by one that must be refused.
    """

    def __init__(self, seed: int, walks: Walks) -> None:
        self._walks = walks
        self._luck = random.Random(seed)
        self.refusable: Counter[str] = Counter()
        self.twice = 0

    def messages(self, place: int) -> list[Message]:
        """Return what is sent in the n-th place: a block at its first, else nothing."""
        size = BLOCK_TURNS * self._walks.devices
        if place % size:
            return []
        numbers = list(range(place, place + size))
        self._luck.shuffle(numbers)
        return [message for number in numbers for message in self._sent(number)]

    def _sent(self, number: int) -> list[Message]:
        ping = self._walks.ping(number)
        messages: list[Message] = [(ping.topic, ping.payload, number)]
        if self._luck.random() < SHARE_TWICE:
            self.twice += 1
            old = self._walks.ping(max(0, number - self._luck.choice((0, 0, 1, 7)) * DEVICES))
            messages.append((old.topic, old.payload, None))
        if self._luck.random() < SHARE_BAD:
            reason, payload = self._bad()
            self.refusable[reason] += 1
            messages.insert(self._luck.randrange(2), (ping.topic, payload, None))
        return messages

    def _bad(self) -> tuple[str, bytes]:
        now = time.time()
        return self._luck.choice(
            (
                ("json", b"{broken"),
                ("not_finite", b'{"ts": %.3f, "lat": NaN, "lng": 24.9}' % now),
                ("latitude", b'{"ts": %.3f, "lat": 95.0, "lng": 24.9}' % now),
                ("longitude", b'{"ts": %.3f, "lat": 60.17, "lng": 190.9}' % now),
                ("timestamp", b'{"ts": "soon", "lat": 60.17, "lng": 24.9}'),
                ("future", b'{"ts": %.3f, "lat": 60.17, "lng": 24.9, "acc": 5}' % (now + 3_600)),
                ("null_island", b'{"ts": %.3f, "lat": 0.0, "lng": 0.0}' % now),
            )
        )


def bent_pings(run: Run) -> Result:
    """Duplicates, disorder and nonsense among the pings: events as without them."""
    seconds = run.size(15, 4)
    with Scene(run, rate=SLOW_RATE, environment=ROOMY) as scene:
        start_s = int(time.time()) - 86_400
        walks = Walks("d", DEVICES, start_s)
        bent = Bent(run.seed, walks)
        phones = scene.publish(messages=bent.messages, walks=walks)
        phones.wait_for(int(SLOW_RATE * seconds), seconds + 60)
        verdict = scene.verdict()
        rest(2 * WINDOW_S)  # the last ones are held back as long as the others
        refused = {
            each.removeprefix('{reason="').removesuffix('"}'): int(count)
            for each, count in scene.node.metrics("geotarget_pings_rejected_total").items()
        }
        late = scene.node.metric("geotarget_pings_late_total")
        scene.node.stop()
    problems = []
    if late:
        problems.append(
            f"{late:.0f} pings came later than the reorder window allows "
            f"({phones.resent} were sent again)"
        )
    wanted = dict(bent.refusable)
    again = phones.resent  # these may have been refused twice
    if any(not 0 <= refused.get(key, 0) - wanted[key] <= again for key in wanted):
        problems.append(f"refused {refused} and not {wanted}")
    size = f"{len(phones.acknowledged):,} pings at {SLOW_RATE:,.0f}/s"
    note = (
        f"out of order within {BLOCK_TURNS} fixes of a device, {bent.twice:,} more of them twice, "
        f"{sum(wanted.values()):,} that can't be, each refused with its reason"
    )
    return scene.result(verdict, size, note=note, problems=problems)


ROWS = [Row("bent-pings", "duplicate, disordered, future and broken pings", bent_pings, 120)]
