"""The collector: what a stream of pings leaves behind, and that it is nobody's track."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from geotarget import sketches
from geotarget.engine.acceptance import APPLIED, DUPLICATE, LATE, SUSPECT
from geotarget.engine.cells import cells_at
from geotarget.engine.footfall import CLASSES, MOST_ROWS, Collector, bounds_of_class, classes_of
from geotarget.engine.live_state import LiveState
from geotarget.model import Footfall, PingBatch

SALT = b"a secret"
DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


def pings(rows: list[tuple[str, int, float, float]], *, acc: float = 12.0) -> PingBatch:
    """Return pings of (device, Unix ms, lng, lat)."""
    device, ts, lng, lat = zip(*rows, strict=True)
    at = np.array(ts, np.int64)
    return PingBatch(
        device=device,
        ts=at,
        lng=np.array(lng),
        lat=np.array(lat),
        acc=np.full(len(rows), acc),
        key=np.arange(1, len(rows) + 1).astype(np.uint64),
        received=at,
    )


def note(
    collector: Collector, state: LiveState, batch: PingBatch, status: int = APPLIED, now_ms: int = 0
) -> None:
    """Note a batch all of whose pings came to the same."""
    collector.note(state, batch, np.full(len(batch), status), now_ms)


def drained(collector: Collector, now_ms: int = 60_000) -> list[Footfall]:
    """Return everything that is due, batch by batch."""
    found: list[Footfall] = []
    while rows := collector.due(now_ms):
        found += rows
        collector.written()
    return found


def cell(lng: float, lat: float) -> int:
    return int(cells_at(lng=lng, lat=lat, resolution=9)[0])


def test_each_device_counts_once_in_each_cell_and_day() -> None:
    """Against the obvious count: sets of devices by (cell, day), over 40 random batches."""
    chance = np.random.default_rng(5)
    collector, state = Collector(SALT), LiveState()
    seen: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    for _ in range(40):
        count = 60
        devices = [f"phone-{number}" for number in chance.integers(0, 25, count).tolist()]
        ts = NOON_MS + chance.integers(0, 2 * DAY_MS, count)
        lng, lat = chance.uniform(24.9, 24.93, count), chance.uniform(60.16, 60.17, count)
        rows = list(zip(devices, ts.tolist(), lng.tolist(), lat.tolist(), strict=True))
        note(collector, state, pings(rows))
        cells = cells_at(lng=lng, lat=lat, resolution=9)
        for device, at, where in zip(devices, ts.tolist(), cells.tolist(), strict=True):
            seen[where, at // DAY_MS].add(sketches.hash_of(device, SALT))
    found = {
        (row.cell, row.day): set(sketches.from_bytes(row.devices)[:-1].tolist())
        for row in drained(collector)
    }
    assert dict(seen) == found


def test_accuracy_and_interval_are_noted_once_an_arrival() -> None:
    """A device that stays adds nothing more; each one that comes adds one of each."""
    collector, state = Collector(SALT), LiveState()
    state.rows(["a", "b"])
    state.devices["interval_ms"][:2] = 30_000, 0
    for turn in range(5):
        at = NOON_MS + 1_000 * turn
        note(collector, state, pings([("a", at, 24.94, 60.17), ("b", at, 24.94, 60.17)], acc=28.0))
    (row,) = drained(collector)
    accuracies, intervals = [0] * CLASSES, [0] * CLASSES
    accuracies[int(classes_of(np.array([28.0]))[0])] = 2
    intervals[int(classes_of(np.array([30.0]))[0])] = 1
    intervals[0] = 1  # nothing is known of the interval of a device with one ping
    assert (accuracies, intervals) == (list(row.accuracies), list(row.intervals))


def test_jitter_across_a_border_counts_once() -> None:
    """A device at rest between two cells is one arrival in each, however often it flips."""
    collector, state = Collector(SALT), LiveState()
    for turn in range(50):
        lng = (24.94, 24.95)[turn % 2]
        note(collector, state, pings([("a", NOON_MS + turn, lng, 60.17)]))
    assert [1, 1] == [sum(row.accuracies) for row in drained(collector)]


@pytest.mark.parametrize("status", [LATE, DUPLICATE, SUSPECT])
def test_pings_that_decide_nothing_are_left_out(status: int) -> None:
    """Late, repeated and suspect pings are no footfall."""
    collector, state = Collector(SALT), LiveState()
    note(collector, state, pings([("a", NOON_MS, 24.94, 60.17)]), status)
    assert [] == drained(collector)


def test_rows_wait_a_minute_and_stay_until_they_are_written() -> None:
    """Nothing is due before; a commit that failed gets the same rows again."""
    collector, state = Collector(SALT), LiveState()
    note(collector, state, pings([("a", NOON_MS, 24.94, 60.17)]), now_ms=1_000)
    assert () == tuple(collector.due(60_999))
    first = collector.due(61_000)
    assert [cell(24.94, 60.17)] == [row.cell for row in first]
    note(collector, state, pings([("b", NOON_MS, 24.96, 60.17)]), now_ms=61_000)
    assert list(first) == list(collector.due(200_000))
    collector.written()
    assert [cell(24.96, 60.17)] == [row.cell for row in collector.due(200_000)]


def test_one_transaction_gets_a_bounded_share() -> None:
    """A minute of many places goes out in pieces, nothing twice and nothing lost."""
    collector, state = Collector(SALT), LiveState()
    rows = [("a", NOON_MS + n, 20.0 + 0.01 * n, 50.0) for n in range(2 * MOST_ROWS + 7)]
    note(collector, state, pings(rows))
    sizes = []
    places = set()
    while due := collector.due(60_000):
        sizes.append(len(due))
        places |= {row.cell for row in due}
        assert {(1, 1, 16)} == {
            (sum(row.accuracies), sum(row.intervals), len(row.devices)) for row in due
        }
        collector.written()
    assert [MOST_ROWS, MOST_ROWS, 7] == sizes
    assert {cell(lng, lat) for _, _, lng, lat in rows} == places


def test_a_device_is_forgotten_wherever_it_waits() -> None:
    """In what was noted, in what is put in order, and in what was handed out and not written."""
    collector, state = Collector(SALT), LiveState()
    devices = ["phone-1", "phone-2", "phone-3"]
    places = 2 * MOST_ROWS

    def walk(north: float) -> None:
        for number in range(places):
            at = NOON_MS + number, 24.0 + number / 50, north
            note(collector, state, pings([(device, *at) for device in devices]))

    walk(60.0)
    assert MOST_ROWS == len(collector.due(60_000))
    walk(61.0)
    collector.forget(state._row["phone-2"])
    collector.forget(7_000_000)
    expected = {sketches.hash_of(each, SALT) for each in ("phone-1", "phone-3")}
    rows = drained(collector) + drained(collector, 120_000)
    assert 2 * places == len(rows)
    assert {frozenset(expected)} == {
        frozenset(sketches.from_bytes(row.devices)[:-1].tolist()) for row in rows
    }
    assert {2} == {sum(row.accuracies) for row in rows}
    note(collector, state, pings([("phone-2", NOON_MS, 24.0, 60.0)]))
    assert 1 == len(drained(collector, 180_000))


def test_what_waits_holds_no_device_id_and_no_position() -> None:
    """Neither ids nor coordinates can be found in the rows."""
    collector, state = Collector(SALT), LiveState()
    note(collector, state, pings([("phone-of-aino", NOON_MS, 24.94123, 60.17123)]))
    (row,) = drained(collector)
    assert b"aino" not in row.devices
    assert sketches.hash_of("phone-of-aino", SALT) == int(sketches.from_bytes(row.devices)[0])
    assert 2 == len(sketches.from_bytes(row.devices))


@pytest.mark.parametrize("value", [1.0, 3.7, 28.0, 59.9, 600.0])
def test_a_class_holds_its_values(value: float) -> None:
    """Classes are thirds of octaves: their bounds hold what falls into them."""
    low, high = bounds_of_class(int(classes_of(np.array([value]))[0]))
    assert low <= value < high
    assert pytest.approx(2 ** (1 / 3)) == high / low
