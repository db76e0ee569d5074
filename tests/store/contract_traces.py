"""What every store keeps of traces: switches, bounds, erasure, and letters of one device."""

from __future__ import annotations

from dataclasses import replace

import pytest
from backends import Backend
from records import at, batch, trace, transition

from geotarget.errors import InvalidInput
from geotarget.model import BatchWrite, Profile, Rejected
from geotarget.store import Store
from geotarget.store.batch import SWEEP_EVERY_MS
from geotarget.store.traces import DAY_MS, KEPT_MS, LONGEST_MS


class TracesContract:
    """Traces and their switches."""

    def test_traces_come_back_as_they_were(self, backend: Backend) -> None:
        """Oldest first, by device and span; of too many the newest."""
        store = backend.open(now_ms=lambda: at(100))
        lone = trace(
            20, device="a", zone="", distance_m=None, verdict="", reason="", before="", after="",
            status="late",
        )  # fmt: skip
        mine = [trace(number, device="a") for number in range(10)]
        store.write_batch(BatchWrite(traces=[lone, *mine, trace(3, device="b")]))
        assert [*mine, lone] == store.traces("a")
        assert mine[4:7] == store.traces("a", at(4), at(7))
        assert [*mine[8:], lone] == store.traces("a", limit=3)
        assert [] == store.traces("nobody")

    def test_traces_are_part_of_their_batch(self, store: Store) -> None:
        """A batch that is refused leaves no trace."""
        with pytest.raises(ValueError, match="bytes of state"):
            store.write_batch(BatchWrite(devices=["a"], traces=[trace(1)]))
        assert [] == store.traces("phone-1")

    def test_switch_ends_by_itself(self, backend: Backend) -> None:
        """A device is traced until its time, which can be moved, or until it is switched off."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        assert frozenset() == store.traced_devices(at(0))
        store.set_trace("a", at(60))
        store.set_trace("b", at(10))
        store.set_trace("b", at(30))
        assert frozenset({"a", "b"}) == store.traced_devices(at(20))
        assert frozenset({"a"}) == store.traced_devices(at(30))
        assert frozenset() == store.traced_devices(at(60))
        assert (at(60), None) == (store.trace_until("a"), store.trace_until("c"))
        store.set_trace("a", None)
        store.set_trace("nobody", None)
        assert None is store.trace_until("a")
        now[0] = at(31)
        assert None is store.trace_until("b")
        assert frozenset() == store.traced_devices(at(0)) - {"b"}

    @pytest.mark.parametrize("ahead_ms", [0, -1000, LONGEST_MS + 1])
    def test_switch_is_bounded(self, backend: Backend, ahead_ms: int) -> None:
        """A trace without an end in the next seven days is refused."""
        store = backend.open(now_ms=lambda: at(0))
        with pytest.raises(InvalidInput, match="at most 7 days ahead"):
            store.set_trace("a", at(0) + ahead_ms)
        assert None is store.trace_until("a")
        store.set_trace("a", at(0) + LONGEST_MS)

    def test_traces_are_bounded_in_number(self, backend: Backend) -> None:
        """The newest stay."""
        store = backend.open(max_traces=10, now_ms=lambda: at(100))
        for start in range(0, 24, 6):
            written = [trace(number, device="a") for number in range(start, start + 6)]
            store.write_batch(BatchWrite(traces=written))
        assert [at(number) for number in range(14, 24)] == [
            each.ts_ms for each in store.traces("a")
        ]

    def test_traces_are_bounded_in_age(self, backend: Backend) -> None:
        """After 30 days they are neither shown nor, from the next batch on, stored."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        store.write_batch(BatchWrite(traces=[trace(1)]))
        now[0] += KEPT_MS - 1
        assert [trace(1)] == store.traces("phone-1")
        now[0] += 1
        assert [] == store.traces("phone-1")
        now[0] += SWEEP_EVERY_MS
        store.write_batch(batch(1))
        now[0] = at(0)
        assert [] == store.traces("phone-1")

    def test_erasure_takes_traces_along(self, store: Store) -> None:
        """Traces go on request, and with the profile of their device; those of others stay."""
        store.write_batch(BatchWrite(traces=[trace(1), trace(6), trace(2), trace(3)]))
        assert 2 == store.forget_traces("phone-1")
        assert 0 == store.forget_traces("phone-1")
        store.put_profile(Profile("phone-2"))
        store.set_trace("phone-2", store._now_ms() + DAY_MS)
        assert store.erase_profile("phone-2")
        assert ([], None) == (store.traces("phone-2"), store.trace_until("phone-2"))
        assert store.erase_profile("phone-3")
        assert not store.erase_profile("phone-3")

    def test_same_transition_keeps_its_first_evidence(self, store: Store) -> None:
        """A transition that comes again does not change what it rested on."""
        first = transition(1, distance_m=3.5, accuracy_m=2.0, reason="deep")
        store.write_batch(BatchWrite(transitions=[first]))
        store.write_batch(BatchWrite(transitions=[replace(first, reason="centre")]))
        assert [first] == store.transitions_page().items

    def test_letters_of_one_device(self, store: Store) -> None:
        """By topic, or by what the ping itself says; names that only resemble it are others."""
        letters = [
            Rejected("pings/a", b"x", "json", "1", at(1)),
            Rejected("pings/ab", b"x", "json", "2", at(2)),
            Rejected("owntracks/u/a", b"x", "json", "3", at(3)),
            Rejected("http", b'{"device": "a", "lat": 95}', "latitude", "4", at(4), 0),
            Rejected("http", b'{"device": "b", "note": "a"}', "latitude", "5", at(5), 1),
            Rejected("intake", b'{"device":"a","ts":1}', "future", "6", at(6)),
            Rejected("http", b"{broken a", "json", "7", at(7)),
            Rejected("here/and/there/a", b"\xff", "json", "8", at(8)),
        ]
        store.write_batch(BatchWrite(rejected=letters))
        assert ["8", "6", "4", "1"] == [each.detail for each in store.dead_letters_of("a")]
        assert ["3"] == [each.detail for each in store.dead_letters_of("u/a")]
        assert ["4", "6"] == sorted(
            each.detail for each in store.dead_letters_of("a", from_ms=at(2), to_ms=at(8))
        )
        assert ["8"] == [each.detail for each in store.dead_letters_of("a", limit=1)]
