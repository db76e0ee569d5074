"""What is to be sent at a time of day goes on when that is set back."""

from __future__ import annotations

import time
from pathlib import Path

from geotarget.delivery.wall_clock import WallClock
from geotarget.model import BatchWrite
from geotarget.store import Store
from geotarget.store.ordering import PARKED_MS
from tests.delivery.memory_outbox import MemoryOutbox
from tests.delivery.test_sender import delivery, endpoint, reached, run, sending
from tests.delivery.verifying_receiver import Receiver

HOUR_MS = 3_600_000


def test_only_the_way_back_is_told_and_only_once() -> None:
    """Forward is no matter; back is told once, less than a second when it has become more."""
    now = {"ms": 1_000_000, "s": 50.0}
    clock = WallClock(lambda: int(now["ms"]), lambda: now["s"])

    def after(seconds: float, *, stepped_ms: int = 0) -> int:
        now["s"] += seconds
        now["ms"] += 1000 * seconds + stepped_ms
        return clock.set_back_ms()

    assert after(10) == 0
    assert after(1, stepped_ms=HOUR_MS) == 0
    assert after(1, stepped_ms=-HOUR_MS) == HOUR_MS
    assert after(1) == 0
    assert after(1, stepped_ms=-600) == 0
    assert after(1, stepped_ms=-600) == 1_200


def test_retries_do_not_wait_for_the_hour_that_the_clock_was_set_back() -> None:
    """A delivery whose retry was due at a later time of day is posted when it was meant to be."""

    async def case() -> None:
        outbox, ahead_ms = MemoryOutbox(), HOUR_MS
        async with Receiver() as receiver:
            outbox.add(delivery())
            (row,) = outbox.rows.values()
            row.next_attempt_ms = time.time_ns() // 1_000_000 + HOUR_MS + 300
            ends = {"crm": endpoint(receiver.url)}
            receiver.verify = False  # the signature's time is an hour ahead at first
            async with sending(outbox, ends, now_ms=lambda: time.time_ns() // 1_000_000 + ahead_ms):
                ahead_ms = 0
                await reached(outbox, delivered=1)

    run(case)


def test_what_waits_for_another_delivery_is_not_brought_forward(tmp_path: Path) -> None:
    """Only times are moved: what is due stays due, what is parked stays parked."""
    made = [delivery(number) for number in (1, 2, 3)]
    due, later, parked = (each.webhook_id for each in made)
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.write_batch(BatchWrite(deliveries=made))
        times = {due: 500, later: 5_000, parked: PARKED_MS}
        with store._database.write() as connection:
            for each in made:
                connection.exec_driver_sql(
                    "UPDATE waiting SET next_attempt_ms = ? WHERE webhook_id = ?",
                    (times[each.webhook_id], each.webhook_id),
                )
        assert store.bring_forward(now_ms=1_000, by_ms=3_000) == 1
        with store._database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT webhook_id, next_attempt_ms FROM waiting"
            ).fetchall()
    assert {tuple(row) for row in rows} == {(due, 500), (later, 2_000), (parked, PARKED_MS)}
