"""What was committed before a kill is there afterwards, whole; anything else is not, nor half."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from random import Random

import pytest
from contract_batch import devices_in
from records import at, decision, delivery, member, transition
from recounted import every, recounted, stored

from geotarget.model import BatchWrite, Fired
from geotarget.store import Store
from tests.forking import Forked
from tests.postgres_server import SECRET_KEY

OWNERS = {"phone-0": "p", "phone-1": "p"}
"""Of whom the writer below says that they are one person."""


def write(pipe: Connection, url: str, start: int) -> None:
    """Write batches and tell the number of each when it is committed."""
    with Store.open(url, log_rows=5, secret_key=SECRET_KEY) as store:
        for number in range(start, start + 100_000):
            movers = [f"phone-{(number * 7 + step) % 40}" for step in range(10)]
            state = number.to_bytes(8, "big")
            store.write_batch(
                BatchWrite(
                    devices=movers,
                    device_states=state * len(movers),
                    members_put=[member(movers[0], "zone", number)],
                    members_removed=[(movers[1], "zone")],
                    transitions=[transition(number)],
                    decisions=[
                        decision(
                            number,
                            profile="p",
                            day=f"2026-01-{1 + number // 50 % 28:02}",
                            budget_day=f"2026-01-{1 + number // 40 % 28:02}",
                            cost_micros=number,
                            visit=f"visit-{number}",
                            counts_until_ms=at(number + 100),
                        ),
                        decision(
                            number,
                            id=f"held-{number}",
                            profile=f"q-{number % 30}",
                            gate="holdout",
                            zone="z",
                            counts_until_ms=at(number + 100),
                        ),
                        decision(number, id=f"refused-{number}", gate="audience", offer=None),
                    ],
                    deliveries=[delivery(number)],
                    profiles={"phone-0": "p", "phone-1": "p"},
                )
            )
            pipe.send(number)


def write_until_killed(url: str, start: int, batches: int, delay_bytes: int) -> int:
    """Let a child write batches, kill it after some, return the number of the last one it told."""
    child = Forked(write, url, start)
    for _ in range(batches):
        child.hear()
    spin = os.urandom(delay_bytes)  # a random moment within the next batches
    assert len(spin) == delay_bytes
    told = child.kill()
    assert -signal.SIGKILL == child.process.exitcode
    return int(told[-1]) if told else start + batches - 1


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_nine(ready_database_url: str, kills: int) -> None:
    """Kills in a row: all that was told is there, each batch whole or not at all."""
    random = Random(kills)
    url = ready_database_url
    start = 0
    for _ in range(kills):
        told = write_until_killed(url, start, random.randrange(3, 25), random.randrange(400_000))
        with Store.open(url, log_rows=5, secret_key=SECRET_KEY) as store:
            newest = store.transitions_page(limit=1).items[0]
            last = (newest.ts_ms - at(0)) // 1000
            assert told <= last <= told + 1  # the last one may be committed but not yet told
            assert transition(last) == newest
            check_whole(store, last)
        start = last + 1


def check_whole(store: Store, last: int) -> None:
    """Compare everything with what the batches up to the last one wrote."""
    states: dict[str, int] = {}
    members: dict[str, int] = {}
    for number in range(last + 1):
        movers = [f"phone-{(number * 7 + step) % 40}" for step in range(10)]
        states |= dict.fromkeys(movers, number)
        members.pop(movers[1], None)
        members[movers[0]] = number
    assert states == {
        device: int.from_bytes(state, "big") for device, state in devices_in(store).items()
    }
    assert {device: at(number) for device, number in members.items()} == {
        row.device: row.since_ms for row in store.load_members()
    }
    totals = store.counts()
    assert (last + 1, last + 1, last + 1) == (
        totals.transitions, totals.decisions_fired, totals.deliveries_pending,
    )  # fmt: skip
    assert 3 * (last + 1) == len(every(store, "decisions_page"))
    assert last + 1 == len(every(store, "deliveries_page"))
    campaign = f"campaign-{last % 2}"
    with store.turn() as turn:
        fired = turn.last_fired([(campaign, "p")])
    assert {(campaign, "p"): Fired(at(last), last // 2 + 1)} == fired
    assert recounted(store, OWNERS) == stored(store)
