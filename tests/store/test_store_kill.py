"""What was committed before a kill is there afterwards, whole; anything else is not, nor half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from contract_batch import devices_in
from records import at, transition

from geotarget.store import Store

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from geotarget.model import BatchWrite
from geotarget.store import Store
from records import decision, delivery, member, transition

with Store.open(sys.argv[2], log_rows=5) as store:
    start = int(sys.argv[3])
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
                decisions=[decision(number, profile="p")],
                deliveries=[delivery(number)],
            )
        )
        print(number, flush=True)
"""


def write_until_killed(url: str, start: int, batches: int, delay_bytes: int) -> int:
    """Let a child write batches, kill it after some, return the number of the last one it told."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(Path(__file__).parent), url, str(start)],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    for _ in range(batches):
        assert child.stdout.readline(), child.wait()
    spin = os.urandom(delay_bytes)  # a random moment within the next batches
    assert len(spin) == delay_bytes
    child.send_signal(signal.SIGKILL)
    told = child.stdout.read().split()
    child.stdout.close()
    assert -signal.SIGKILL == child.wait()
    return int(told[-1]) if told else start + batches - 1


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_nine(tmp_path: Path, kills: int) -> None:
    """Kills in a row: all that was told is there, each batch whole or not at all."""
    random = Random(kills)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    start = 0
    for _ in range(kills):
        told = write_until_killed(url, start, random.randrange(3, 25), random.randrange(400_000))
        with Store.open(url, log_rows=5) as store:
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
    assert last + 1 == len(list_all(store, "decisions_page"))
    assert last + 1 == len(list_all(store, "deliveries_page"))
    campaign = f"campaign-{last % 2}"
    assert {(campaign, "p"): at(last)} == store.last_fired([(campaign, "p")])


def list_all(store: Store, name: str) -> list[object]:
    """Read a list to its end."""
    items: list[object] = []
    cursor = None
    while True:
        page = getattr(store, name)(limit=1000, cursor=cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items
