"""The reorder window: what it holds, in which order it lets go, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.ingest.reordering import Parcel, Release, ReorderWindow, parcels
from geotarget.ingest.waiting import Entry, Frame, Received, Submitted
from geotarget.ingest.wire import Decoded
from geotarget.model import IntArray, PingBatch, Rejected
from geotarget.model.keys import ping_keys

WINDOW_S = 3.0

Arrival = tuple[str, int]
"""Device and fix time (seconds) of a ping."""


def batch(pings: Sequence[Arrival]) -> PingBatch:
    ts = np.array([second * 1000 for _, second in pings], dtype=np.int64)
    at = np.zeros(len(pings))
    return PingBatch([name for name, _ in pings], ts, at, at, at, ping_keys(ts, at, at), ts)


def entry(pings: Sequence[Arrival], since: float) -> Submitted:
    return Submitted(batch(pings), (), since)


def put(window: ReorderWindow, since: float, *pings: Arrival) -> Entry:
    one = entry(pings, since)
    window.add(one.pings, [Parcel(one, len(pings))])
    return one


def shown(release: Release) -> list[Arrival]:
    seconds = (release.pings.ts // 1000).tolist()
    return list(zip(release.pings.device, seconds, strict=True))


def entries(release: Release) -> list[Entry]:
    return [parcel.entry for parcel in release.parcels]


def test_a_ping_is_held_for_the_window() -> None:
    """Not a moment less; and no longer, once somebody asks."""
    window = ReorderWindow(WINDOW_S)
    one = put(window, 10.0, ("a", 1))
    assert window.oldest_s == 10.0
    assert shown(window.release(12.999)) == []
    release = window.release(13.0)
    assert (shown(release), entries(release)) == ([("a", 1)], [one])
    assert (window.oldest_s, window.turn) == (None, 1)


def test_an_older_fix_overtakes() -> None:
    """What arrived later and was fixed earlier goes with the ping that is due, before it."""
    window = ReorderWindow(WINDOW_S)
    first = put(window, 0.0, ("a", 9))
    second = put(window, 2.0, ("a", 7), ("a", 11), ("b", 1))
    release = window.release(3.0)
    assert shown(release) == [("a", 7), ("a", 9)]
    assert release.positions.tolist() == [1, 0]
    assert entries(release) == [first]
    release = window.release(5.0)
    assert shown(release) == [("b", 1), ("a", 11)]
    assert release.positions.tolist() == [3, 2]
    assert (entries(release), release.firsts) == ([second], [1])


def test_the_same_fix_time_goes_together() -> None:
    """Of two fixes of one time the better one wins, so both have to be there."""
    window = ReorderWindow(WINDOW_S)
    put(window, 0.0, ("a", 9))
    put(window, 2.0, ("a", 9), ("b", 9))
    assert shown(window.release(3.0)) == [("a", 9), ("a", 9)]


def test_what_went_ahead_takes_nothing_with_it_in_its_turn() -> None:
    """Its place in the queue is for the acknowledgement only."""
    window = ReorderWindow(WINDOW_S)
    put(window, 0.0, ("a", 9))
    ahead = put(window, 2.0, ("a", 8))
    assert shown(window.release(3.0)) == [("a", 8), ("a", 9)]
    put(window, 4.0, ("a", 8))
    put(window, 4.5, ("a", 7))
    release = window.release(5.0)
    assert (shown(release), entries(release)) == ([], [ahead])
    assert shown(window.release(7.0)) == [("a", 7), ("a", 8)]


def test_a_straggler_waits_for_one_that_is_due() -> None:
    """A ping that is not the newest stays as long as nothing newer goes."""
    window = ReorderWindow(WINDOW_S)
    put(window, 0.0, ("a", 5))
    put(window, 1.0, ("a", 9))
    put(window, 2.0, ("a", 8))
    assert shown(window.release(3.0)) == [("a", 5)]
    assert shown(window.release(4.0)) == [("a", 8), ("a", 9)]


def test_entries_without_pings_wait_for_their_turn() -> None:
    """Dead letters and ignored messages are told in order of arrival too."""
    window = ReorderWindow(WINDOW_S)
    letter = Rejected("pings/a", b"{", "json", "not JSON", 0)
    poison = Received([(b"pings/a", b"{", 1, 0x32)], list.clear, 0, 1.0)
    window.add(batch([]), [Parcel(poison, 0, [letter])])
    good = put(window, 2.0, ("a", 1))
    assert entries(window.release(3.0)) == []
    release = window.release(4.0)
    assert (entries(release), release.parcels[0].letters, len(release.pings)) == (
        [poison],
        [letter],
        0,
    )
    assert entries(window.release_all()) == [good]


def test_release_slots_takes_the_oldest() -> None:
    """As many entries as make up the slots, however young, and what precedes them."""
    window = ReorderWindow(WINDOW_S)
    first = put(window, 0.0, *(("a", second) for second in range(101, 251)))
    second = put(window, 0.1, ("a", 7))
    put(window, 0.2, ("a", 300), ("a", 120))
    release = window.release_slots(3)
    assert entries(release) == [first, second]
    assert shown(release)[:2] == [("a", 7), ("a", 101)]
    assert shown(release).count(("a", 120)) == 2
    assert shown(window.release_all()) == [("a", 300)]


def test_parcels_share_out_what_was_decoded_at_once() -> None:
    """Each entry gets the pings of its messages, the first one the dead letters."""
    frames: list[Frame] = [(b"pings/a", b"", mid, 0x32) for mid in range(1, 6)]
    run = [
        Received(frames[:2], list.clear, 0, 0.0),
        Received(frames[2:3], list.clear, 0, 0.1),
        Received(frames[3:], list.clear, 0, 0.2),
    ]
    letter = Rejected("pings/a", b"{", "json", "not JSON", 0)
    message: IntArray = np.array([0, 0, 1, 3, 4, 4, 4], dtype=np.int64)
    shares = parcels(run, Decoded(batch([("a", n) for n in range(7)]), [letter], message))
    assert [(share.entry, share.count, list(share.letters)) for share in shares] == [
        (run[0], 3, [letter]),
        (run[1], 0, []),
        (run[2], 4, []),
    ]


@dataclass
class Model:
    """The same rule, read off its sentence: a list that is searched from end to end."""

    held: list[tuple[int, float, str, int]] = field(default_factory=list)
    count: int = 0

    def add(self, since: float, pings: Sequence[Arrival]) -> None:
        for device, second in pings:
            self.held.append((self.count, since, device, second))
            self.count += 1

    def release(self, now: float) -> set[int]:
        due = [each for each in self.held if each[1] + WINDOW_S <= now]
        gone = {
            at
            for at, _, device, second in self.held
            if any(device == other[2] and second <= other[3] for other in due)
        }
        self.held = [each for each in self.held if each[0] not in gone]
        return gone


ARRIVALS = st.lists(
    st.tuples(
        st.integers(0, 15).map(lambda tenths: tenths / 10),  # seconds since the last one
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 12)), max_size=4),
        st.booleans(),  # whether somebody asks then
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(ARRIVALS)
def test_it_releases_what_its_sentence_says(
    arrivals: list[tuple[float, list[Arrival], bool]],
) -> None:
    """Any arrivals, asked at any time: the same pings as the plain model, each once, in order."""
    window, model, now = ReorderWindow(WINDOW_S), Model(), 0.0
    added: list[Arrival] = []
    told: list[Entry] = []
    senders: list[Entry] = []

    def check(release: Release, expected: set[int]) -> None:
        assert set(release.positions.tolist()) == expected
        assert len(release.pings) == len(expected)
        assert shown(release) == [added[at] for at in release.positions.tolist()]
        keys = list(zip(release.pings.ts.tolist(), release.positions.tolist(), strict=True))
        assert keys == sorted(keys)
        told.extend(entries(release))
        if release.parcels:
            assert window.turn == release.firsts[-1] + release.parcels[-1].count

    for pause, pings, asks in arrivals:
        now += pause
        senders.append(put(window, now, *pings))
        added += pings
        model.add(now, pings)
        if asks:
            check(window.release(now), model.release(now))
            assert window.oldest_s is None or window.oldest_s + WINDOW_S > now
    check(window.release(now + WINDOW_S), model.release(now + WINDOW_S))
    assert (model.held, window.oldest_s, told) == ([], None, senders)
    left = [window._newest, window._stragglers, window._ahead, window._chunks]
    assert [len(each) for each in left] == [0, 0, 0, 0]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 400),  # fix time, tenths of a second
            st.integers(0, 29),  # under way for so long, tenths
        ),
        max_size=60,
    ),
    st.integers(1, 40),
)
def test_disorder_within_the_window_comes_out_in_order(
    fixes: list[tuple[str, int, int]], every: int
) -> None:
    """Fixes that are under way for less than the window are all applied in fix-time order."""
    window = ReorderWindow(WINDOW_S)
    arriving = sorted((fix + delay, device, fix) for device, fix, delay in fixes)
    out: list[tuple[str, int]] = []
    for now in range(0, 480, every):
        while arriving and arriving[0][0] <= now:
            arrived, device, fix = arriving.pop(0)
            put(window, arrived / 10, (device, fix))
        out += shown(window.release(now / 10))
    for arrived, device, fix in arriving:
        put(window, arrived / 10, (device, fix))
    out += shown(window.release_all())
    for name in "abc":
        seen = [fix for device, fix in out if device == name]
        assert seen == sorted(fix for device, fix, _ in fixes if device == name)
