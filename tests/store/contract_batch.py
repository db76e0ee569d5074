"""What every store keeps of a batch: live state, history, caps, dead letters."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from backends import Backend
from records import at, batch, decision, delivery, member, transition

from geotarget.errors import StoreError
from geotarget.model import BatchWrite, Kind, MemberRow, Rejected
from geotarget.store import Store


def devices_in(store: Store) -> dict[str, bytes]:
    """Return the state per device."""
    ids, states = store.load_devices()
    width = len(states) // max(len(ids), 1)
    return {id: states[place * width :][:width] for place, id in enumerate(ids)}


def members_in(store: Store) -> dict[tuple[str, str], MemberRow]:
    """Return the memberships by (device, zone)."""
    rows = store.load_members()
    assert len(rows) == len({(row.device, row.zone) for row in rows})
    return {(row.device, row.zone): row for row in rows}


class BatchContract:
    """`write_batch`, and what it gives back after a restart."""

    def test_empty_store_has_no_state(self, store: Store) -> None:
        """A new store knows no device and no membership."""
        assert store.load_devices() == ([], b"")
        assert store.load_members() == []

    def test_last_state_counts(self, backend: Backend) -> None:
        """After a reopening each device has its last committed state."""
        with backend.open() as store:
            store.write_batch(BatchWrite(devices=["a", "b"], device_states=b"a1b1"))
            store.write_batch(BatchWrite(devices=["b", "c\nd"], device_states=b"b2c2"))
            assert devices_in(store) == {"a": b"a1", "b": b"b2", "c\nd": b"c2"}
        with backend.open() as store:
            assert devices_in(store) == {"a": b"a1", "b": b"b2", "c\nd": b"c2"}

    @pytest.mark.parametrize("seed", range(4))
    def test_folding_changes_nothing(self, backend: Backend, seed: int) -> None:
        """Whatever is folded when, and however often it is reopened, the last state comes back."""
        random = Random(seed)
        ids = [f"phone-{number}" for number in range(30)]
        zones = ["north", "south"]
        states: dict[str, bytes] = {}
        members: dict[tuple[str, str], MemberRow] = {}
        store = backend.open(log_rows=random.randrange(1, 6), log_bytes=random.choice([1, 10**6]))
        for number in range(60):
            movers = random.sample(ids, random.randrange(8))
            block = random.randbytes(len(movers) * 16)
            pairs = [(device, random.choice(zones)) for device in random.sample(ids, 6)]
            put = [member(device, zone, number) for device, zone in pairs[:3]]
            store.write_batch(
                BatchWrite(
                    devices=movers,
                    device_states=block,
                    members_put=put,
                    members_removed=pairs[3:],
                )
            )
            states |= {device: block[at * 16 :][:16] for at, device in enumerate(movers)}
            for pair in pairs[3:]:
                members.pop(pair, None)
            members |= {(row.device, row.zone): row for row in put}
            if random.random() < 0.15:
                store.close()
                store = backend.open(log_rows=random.randrange(1, 6))
        assert states == devices_in(store)
        assert members == members_in(store)

    @pytest.mark.parametrize("log_rows", [1, 3, 100])
    def test_one_device_is_found_wherever_it_lies(self, backend: Backend, log_rows: int) -> None:
        """State and memberships of one device are those that all of them are read as."""
        random = Random(log_rows)
        store = backend.open(log_rows=log_rows)
        ids = [f"phone-{number}" for number in range(6)]
        for number in range(25):
            movers = random.sample(ids[:5], 2)
            store.write_batch(
                BatchWrite(
                    devices=movers,
                    device_states=random.randbytes(8),
                    members_put=[member(movers[0], random.choice(["north", "south"]), number)],
                    members_removed=[(movers[1], random.choice(["north", "south"]))],
                )
            )
            states, members = devices_in(store), members_in(store)
            for id in ids:
                assert states.get(id) == store.device_state(id)
                mine = [members[pair] for pair in sorted(members) if pair[0] == id]
                assert mine == store.members_of(id)

    def test_two_writers_in_turns(self, backend: Backend) -> None:
        """A successor that takes over folds nothing away that its predecessor wrote, or back."""
        first, second = backend.open(log_rows=2), backend.open(log_rows=2)
        states: dict[str, bytes] = {}
        for number in range(40):
            writer = (first, second)[number // 3 % 2]
            movers = [f"phone-{number % 7}", f"phone-{number % 11 + 7}"]
            block = number.to_bytes(2, "big") * 2
            writer.write_batch(BatchWrite(devices=movers, device_states=block))
            states |= dict.fromkeys(movers, block[:2])
        assert states == devices_in(first)
        assert states == devices_in(second)

    def test_put_wins_over_removed(self, backend: Backend) -> None:
        """A membership that one batch removes and puts is there, folded or not."""
        kept = member("a", "north", 7)
        with backend.open(log_rows=1) as store:
            write = BatchWrite(members_put=[kept], members_removed=[("a", "north")])
            store.write_batch(BatchWrite(members_put=[member("a", "north", 1)]))
            store.write_batch(write)
            assert [kept] == store.load_members()
            store.write_batch(BatchWrite(devices=["a"], device_states=b"x"))
            store.write_batch(BatchWrite(devices=["a"], device_states=b"y"))
            assert [kept] == store.load_members()

    def test_widths(self, backend: Backend) -> None:
        """States of an earlier, shorter version are filled up; mixed or longer ones are refused."""
        with backend.open() as store:
            store.write_batch(BatchWrite(devices=["a", "b"], device_states=b"a1b1"))
            assert store.load_devices(width=4) == (["a", "b"], b"a1\0\0b1\0\0")
            store.write_batch(BatchWrite(devices=["b"], device_states=b"b2__"))
            assert store.load_devices(width=4) == (["a", "b"], b"a1\0\0b2__")
            with pytest.raises(StoreError, match="different widths"):
                store.load_devices()
            with pytest.raises(StoreError, match="newer version"):
                store.load_devices(width=3)
            store.write_batch(BatchWrite(devices=["a"], device_states=b"a2__"))
            assert store.load_devices() == (["a", "b"], b"a2__b2__")

    @pytest.mark.parametrize(
        ("devices", "states"), [(["a", "b"], b"abc"), (["a"], b""), ([], b"a")]
    )
    def test_states_that_can_not_be_divided(
        self, store: Store, devices: list[str], states: bytes
    ) -> None:
        """A batch whose states fit no common width is refused whole."""
        with pytest.raises(ValueError, match="bytes of state"):
            store.write_batch(
                BatchWrite(devices=devices, device_states=states, transitions=[transition(1)])
            )
        assert store.transitions_page().items == []

    def test_everything_comes_back_as_it_was(self, store: Store) -> None:
        """Transitions, decisions and deliveries are read as they were written."""
        store.write_batch(batch(1))
        evident = transition(2, distance_m=-12.5, accuracy_m=8.25, reason="far")
        store.write_batch(BatchWrite(transitions=[evident]))
        assert [evident, transition(1)] == store.transitions_page().items
        assert [decision(1)] == store.decisions_page().items
        (detail,) = store.delivery(delivery(1).webhook_id)
        row = detail.delivery
        assert (delivery(1).body, ()) == (detail.body, detail.attempts)
        assert (row.endpoint, row.type, row.device) == ("crm", "offer.triggered", "phone-1")
        assert (row.state, row.attempts, row.status, row.finished_ms) == ("pending", 0, None, None)
        assert (row.created_ms, row.expires_ms) == (at(1), at(1) + 3_600_000)

    def test_any_json_survives(self, store: Store) -> None:
        """What JSON allows and a fast encoder refuses is kept as well."""
        odd = {"large": 2**70, "half": "\ud83d", "empty": {}, "text": "žluťoučký \u2028"}
        wanted = decision(1, inputs=odd, offer=odd)
        store.write_batch(BatchWrite(decisions=[wanted]))
        assert [wanted] == store.decisions_page().items

    def test_second_time_changes_nothing(self, store: Store) -> None:
        """A batch that is processed again inserts, counts and caps nothing twice."""
        store.write_batch(batch(1))
        changed = replace(
            batch(1),
            transitions=[transition(1, p=0.5), transition(2)],
            decisions=[decision(1, gate="audience"), decision(2)],
            deliveries=[delivery(1, body=b"other"), delivery(1, endpoint="till"), delivery(2)],
        )
        store.write_batch(changed)
        store.write_batch(changed)
        assert [transition(2), transition(1)] == store.transitions_page().items
        assert [decision(2), decision(1)] == store.decisions_page().items
        bodies = {each.delivery.endpoint: each.body for each in store.delivery(
            delivery(1).webhook_id
        )}  # fmt: skip
        assert {"crm": delivery(1).body, "till": delivery(1).body} == bodies
        totals = store.counts()
        assert (2, 2, 2, 0) == (
            totals.transitions, totals.entries, totals.decisions_fired, totals.decisions_refused,
        )  # fmt: skip
        assert (3, 3) == (totals.deliveries_pending, store.outbox_size()[0])

    def test_same_id_twice_in_one_batch(self, store: Store) -> None:
        """The first of two records of one id stays, and counts once."""
        store.write_batch(
            BatchWrite(
                transitions=[transition(1), transition(1, p=0.1), transition(2)],
                decisions=[decision(1), decision(1), decision(2)],
                deliveries=[delivery(1), delivery(1, body=b"x"), delivery(2)],
            )
        )
        assert [transition(2), transition(1)] == store.transitions_page().items
        assert 2 == store.counts().decisions_fired
        assert 2 == store.counts().deliveries_pending
        assert delivery(2).body == store.delivery(delivery(2).webhook_id)[0].body

    def test_kinds_are_counted(self, store: Store) -> None:
        """Entries are counted beside all transitions."""
        store.write_batch(
            BatchWrite(transitions=[transition(1), transition(2, kind=Kind.EXIT), transition(3)])
        )
        assert (3, 2) == (store.counts().transitions, store.counts().entries)

    def test_dead_letters_are_bounded(self, backend: Backend) -> None:
        """The newest dead letters stay, with at most 64 KiB of payload."""
        letters = [
            Rejected("pings/a", b"x" * 70_000, "json", f"letter {number}", at(number), number % 2)
            for number in range(25)
        ]
        with backend.open(max_dead_letters=10) as store:
            for start in range(0, 25, 7):
                store.write_batch(BatchWrite(rejected=letters[start : start + 7]))
            kept = store.dead_letters_page().items
            assert [replace(letter, payload=b"x" * 65_536) for letter in letters[:14:-1]] == kept
            assert 25 == store.counts().dead_letters
            store.write_batch(BatchWrite(rejected=letters))
            assert letters[:14:-1] == [
                replace(letter, payload=b"x" * 70_000) for letter in store.dead_letters_page().items
            ]
        with backend.open(max_dead_letters=0) as store:
            store.write_batch(BatchWrite(rejected=letters))
            assert 75 == store.counts().dead_letters
