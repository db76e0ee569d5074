"""Slots: leases, the fence in front of every batch, and the states of a slot."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
import sqlalchemy as sa
from backends import Backend
from contract_batch import devices_in
from records import member, transition

from geotarget.errors import StoreError
from geotarget.ingest.slots import ALL_SLOTS, SLOTS, slot_of, slots_of
from geotarget.model import BatchWrite, IntArray, MemberRow
from geotarget.store import SlotLogs, SlotsLost, Store

LONG_MS = 60_000
PHONES = [f"phone-{number}" for number in range(300)]


def ready(store: Store) -> Store:
    """Make the rows of all slots."""
    store.prepare_slots(sorted(ALL_SLOTS), slot_of)
    return store


def take(store: Store, owner: str, most: int = SLOTS, lease_ms: int = LONG_MS) -> dict[int, int]:
    """Take slots; return their epochs."""
    taken = store.take_slots(owner, among=ALL_SLOTS, most=most, lease_ms=lease_ms)
    return {each.slot: each.epoch for each in taken}


def writing(store: Store, owner: str, epochs: dict[int, int], rows: int = 4) -> SlotLogs:
    """Let a store write into these slots."""
    logs = SlotLogs(owner, slots_of, max_rows=rows, max_bytes=1 << 20)
    logs.take(epochs)
    store.write_slots(logs)
    return logs


def states(devices: Sequence[str], value: int) -> BatchWrite:
    """Make a batch that gives each device this state and a membership."""
    return BatchWrite(
        devices=list(devices),
        device_states=b"".join(bytes([value]) * 8 for _ in devices),
        members_put=[member(each, "yard", number) for number, each in enumerate(devices)],
    )


class SlotsContract:
    """Many workers on one database."""

    def test_slots_are_taken_once(self, store: Store) -> None:
        """Nobody gets what somebody else has; in the end all are somebody's."""
        ready(store)
        ours, theirs = take(store, "a", most=40), take(store, "b")
        assert (40, 24) == (len(ours), len(theirs))
        assert {**ours, **theirs} == dict.fromkeys(range(SLOTS), 1)
        assert {} == take(store, "c")
        assert {"a", "b"} == {lease.owner for lease in store.slot_leases()}

    def test_only_among_those_that_are_wanted(self, store: Store) -> None:
        """A worker with slots of its own takes no others."""
        ready(store)
        taken = store.take_slots("a", among=[3, 70, 5], most=9, lease_ms=LONG_MS)
        assert [3, 5] == [each.slot for each in taken]

    def test_released_slots_say_how_they_were_left(self, store: Store) -> None:
        """Clean ones need not be held; who takes them has a higher epoch."""
        ready(store)
        epochs = take(store, "a", most=3)
        store.release_slots("a", epochs, clean=[0, 2])
        taken = store.take_slots("b", among=ALL_SLOTS, most=3, lease_ms=LONG_MS)
        assert [(0, 2, True), (1, 2, False), (2, 2, True)] == [
            (each.slot, each.epoch, each.clean) for each in taken
        ]

    def test_a_lease_that_runs_out(self, store: Store) -> None:
        """It is anybody's then, and not clean; renewed in time it stays."""
        ready(store)
        take(store, "a", most=2, lease_ms=-1)
        assert {0: 1, 1: 1} == store.renew_slots("a", lease_ms=-1).held
        taken = store.take_slots("b", among=[0], most=1, lease_ms=LONG_MS)
        assert [(0, 2, False)] == [(each.slot, each.epoch, each.clean) for each in taken]
        assert {1: 1} == store.renew_slots("a", lease_ms=LONG_MS).held
        assert [] == store.take_slots("b", among=[1], most=1, lease_ms=LONG_MS)

    def test_who_lives(self, store: Store) -> None:
        """Workers are counted while they renew, until they leave."""
        assert 1 == store.renew_slots("a", lease_ms=LONG_MS).workers
        assert 2 == store.renew_slots("b", lease_ms=-1).workers
        assert 1 == store.renew_slots("a", lease_ms=LONG_MS).workers
        store.leave_workers("a")
        assert 1 == store.renew_slots("c", lease_ms=LONG_MS).workers

    def test_a_stale_release_changes_nothing(self, store: Store) -> None:
        """A zombie that wakes up and gives back does not take the slot from its new owner."""
        ready(store)
        old = take(store, "a", most=1, lease_ms=-1)
        new = take(store, "b", most=1)
        store.release_slots("a", old, clean=[0])
        assert new == store.renew_slots("b", lease_ms=LONG_MS).held

    @pytest.mark.parametrize("batches", [1, 3, 12])
    def test_the_next_owner_finds_what_was_committed(self, backend: Backend, batches: int) -> None:
        """Whatever lies in the log and whatever was folded: each slot's devices, no others."""
        first = ready(backend.open())
        epochs = take(first, "a")
        writing(first, "a", epochs)
        for number in range(batches):
            first.write_batch(states(PHONES[number::3], number + 1))
        removed = PHONES[0]
        first.write_batch(BatchWrite(members_removed=[(removed, "yard")]))
        second = backend.open()
        expected = {
            phone: bytes([max(n for n in range(batches) if phone in PHONES[n::3]) + 1]) * 8
            for phone in PHONES
            if any(phone in PHONES[n::3] for n in range(batches))
        }
        found: dict[str, bytes] = {}
        for slot in range(SLOTS):
            ids, block = second.load_devices(slots=[slot])
            assert {slot} >= {slot_of(each) for each in ids}
            found |= {each: block[at * 8 : at * 8 + 8] for at, each in enumerate(ids)}
            assert {slot} >= {slot_of(row.device) for row in second.load_members(slots=[slot])}
        assert expected == found
        members = {row.device for row in second.load_members(slots=range(SLOTS))}
        assert (expected.keys() - {removed}) <= members
        some = PHONES[3]
        if some in expected:
            assert expected[some] == second.device_state(some)
            assert [some] == [row.device for row in second.members_of(some)]

    def test_full_logs_take_turns(self, backend: Backend) -> None:
        """Full all at once, they are folded a few a batch; none grows far, and nothing is lost."""
        store = ready(backend.open())
        writing(store, "a", take(store, "a"), rows=16)
        before, most = 0, 0
        for number in range(60):
            part = PHONES[number % 30 :: 30]  # memberships that nothing newer replaces
            store.write_batch(
                BatchWrite(
                    devices=PHONES,
                    device_states=bytes([number]) * 8 * len(PHONES),
                    members_put=[member(each, f"zone {number}", number) for each in part],
                )
            )
            with store._database.read() as connection:
                counted = sa.text("SELECT count(*) FROM slot_log WHERE seq > 0 GROUP BY slot")
                rows = connection.execute(counted).scalars().all()
            before, folded = sum(rows), before + len(rows) - sum(rows)
            most = max(most, folded)
            assert max(rows) <= 20
        assert SLOTS < most < 4 * SLOTS
        found = backend.open()
        assert dict.fromkeys(PHONES, bytes([59]) * 8) == devices_in(found)
        assert {
            (each, f"zone {number}") for number in range(60) for each in PHONES[number % 30 :: 30]
        } == {(row.device, row.zone) for row in found.load_members(slots=range(SLOTS))}

    @pytest.mark.parametrize("numbered", [False, True])
    @pytest.mark.parametrize("rows", [2, 8, 40])
    def test_logs_of_slots_at_random(self, backend: Backend, rows: int, numbered: bool) -> None:
        """Stays short and long, of who is numbered and who is not: owners find what was written."""
        random = Random(rows)
        places = {phone: at for at, phone in enumerate(random.sample(PHONES, len(PHONES)))}

        def number_of(devices: Sequence[str]) -> IntArray:
            return np.array([places[each] for each in devices], np.int64)

        def owned(owner: str) -> Store:
            store = ready(backend.open())
            epochs = take(store, owner, lease_ms=-1)
            logs = SlotLogs(
                owner,
                slots_of,
                max_rows=rows,
                max_bytes=1 << 20,
                number_of=number_of if numbered else None,
            )
            logs.take(epochs)
            store.write_slots(logs)
            return store

        store = owned("0")
        states: dict[str, bytes] = {}
        members: dict[tuple[str, str], MemberRow] = {}
        for number in range(90):
            movers = random.sample(PHONES, random.randrange(len(PHONES)))
            block = random.randbytes(len(movers) * 8)
            gone = random.sample(sorted(members), min(len(members), random.randrange(12)))
            put = [
                member(each, random.choice(["north", "south"]), number)
                for each in random.sample(PHONES, random.randrange(12))
            ]
            store.write_batch(
                BatchWrite(
                    devices=movers,
                    device_states=block,
                    rows=number_of(movers) if numbered else None,
                    members_put=put,
                    members_removed=gone,
                )
            )
            states |= {device: block[at * 8 :][:8] for at, device in enumerate(movers)}
            members = {pair: row for pair, row in members.items() if pair not in gone}
            members |= {(row.device, row.zone): row for row in put}
            if random.random() < 0.05:
                store.close()
                store = owned(str(number))
            if random.random() < 0.05:
                erased = random.choice(PHONES)
                store.erase_profile(erased)
                states.pop(erased, None)
                members = {pair: row for pair, row in members.items() if pair[0] != erased}
        found = backend.open()
        assert states == devices_in(found)
        assert members == {(row.device, row.zone): row for row in found.load_members()}
        some = random.choice([device for device, _ in members])
        assert [members[pair] for pair in sorted(members) if pair[0] == some] == found.members_of(
            some
        )

    def test_a_stay_that_outlasts_the_log_is_written_once(self, backend: Backend) -> None:
        """It comes into the table of memberships only if it lasts much longer than the log."""
        store = ready(backend.open())
        writing(store, "a", take(store, "a"), rows=8)

        def in_table() -> list[str]:
            with store._database.read() as connection:
                found = connection.execute(sa.text("SELECT zone FROM membership ORDER BY zone"))
                return list(found.scalars())

        phone = PHONES[0]
        for number in range(200):
            ended = [(phone, f"zone {number - 20}")] if number >= 20 else []
            store.write_batch(
                BatchWrite(
                    devices=[phone],
                    device_states=bytes([number]) * 8,
                    members_put=[member(phone, f"zone {number}", number)]
                    + ([member(phone, "home", number)] if not number else []),
                    members_removed=ended,
                )
            )
        assert ["home"] == in_table()
        there = {f"zone {number}" for number in range(180, 200)} | {"home"}
        assert there == {row.zone for row in store.members_of(phone)}
        assert there == {row.zone for row in store.load_members()}

    def test_a_zombie_commits_nothing(self, backend: Backend) -> None:
        """Neither states nor history, however much of the batch is about slots it still has."""
        zombie, heir = ready(backend.open()), backend.open()
        epochs = take(zombie, "a", lease_ms=-1)
        writing(zombie, "a", epochs)
        zombie.write_batch(states(PHONES, 1))
        stolen = heir.take_slots("b", among=[slot_of(PHONES[0])], most=1, lease_ms=LONG_MS)
        writing(heir, "b", {each.slot: each.epoch for each in stolen})
        heir.write_batch(states(PHONES[:1], 2))
        batch = states(PHONES, 3)
        batch = BatchWrite(
            devices=batch.devices,
            device_states=batch.device_states,
            transitions=[transition(1)],
        )
        with pytest.raises(SlotsLost) as lost:
            zombie.write_batch(batch)
        assert {slot_of(PHONES[0])} == lost.value.slots
        assert [] == heir.transitions_page().items
        assert bytes([2]) * 8 == heir.device_state(PHONES[0])
        assert bytes([1]) * 8 == heir.device_state(PHONES[1])

    def test_even_a_batch_without_the_lost_slot_tells(self, backend: Backend) -> None:
        """Who lost anything learns of it at the next commit."""
        zombie, heir = ready(backend.open()), backend.open()
        writing(zombie, "a", take(zombie, "a", lease_ms=-1))
        lost = slot_of(PHONES[0])
        heir.take_slots("b", among=[lost], most=1, lease_ms=LONG_MS)
        other = next(each for each in PHONES if slot_of(each) != lost)
        with pytest.raises(SlotsLost):
            zombie.write_batch(states([other], 1))

    def test_devices_without_a_slot_are_put_into_theirs(self, backend: Backend) -> None:
        """One worked alone before, in log and tables; nothing is lost on the way, nor back."""
        alone = backend.open(log_rows=2)
        for number in range(4):
            alone.write_batch(states(PHONES[number::2], number + 1))
        before, members = devices_in(alone), sorted(alone.load_members(), key=str)
        shared = backend.open()
        assert len(PHONES) == shared.prepare_slots(sorted(ALL_SLOTS), slot_of)
        assert 0 == shared.prepare_slots(sorted(ALL_SLOTS), slot_of)
        assert before == devices_in(shared)
        assert members == sorted(shared.load_members(), key=str)
        ids, _ = shared.load_devices(slots=[7])
        assert sorted(each for each in PHONES if slot_of(each) == 7) == sorted(ids)
        epochs = take(shared, "a")
        writing(shared, "a", epochs)
        shared.write_batch(states(PHONES[:5], 9))
        with pytest.raises(StoreError, match="workers with slots are at work"):
            alone.work_alone()
        shared.release_slots("a", epochs, clean=())
        again = backend.open()
        again.work_alone()
        assert {**before, **dict.fromkeys(PHONES[:5], bytes([9]) * 8)} == devices_in(again)
        assert ([], b"") == again.load_devices(slots=range(SLOTS))

    def test_erasure_reaches_the_logs_of_slots(self, backend: Backend) -> None:
        """Who is erased is in no slot's log; the worker goes on upon what is left."""
        store = ready(backend.open())
        writing(store, "a", take(store, "a"))
        for number in range(3):
            store.write_batch(states(PHONES[:9], number + 1))
        assert store.erase_profile(PHONES[2]) is not None
        assert PHONES[2] not in devices_in(store)
        for number in range(9):
            store.write_batch(states([*PHONES[:2], *PHONES[3:9]], number + 10))
        assert {*PHONES[:2], *PHONES[3:9]} == devices_in(store).keys()
        assert [] == store.members_of(PHONES[2])
