"""Footfall in the database: added up, read back, aged out, and forgotten for one device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from geotarget import sketches
from geotarget.model import BatchWrite, Footfall
from geotarget.store import Store
from geotarget.store.footfall import SALT
from tests.postgres_server import SECRET_KEY

CELL, NEXT = 0x891126D338FFFFF, 0x891126D33C3FFFF
DAY = 20_000
NOW_MS = DAY * 86_400_000


def row(cell: int, day: int, devices: list[str], salt: bytes, *, counted: int = 1) -> Footfall:
    """Return what some devices leave behind, all of class 5."""
    hashes = np.array([sketches.hash_of(each, salt) for each in devices], np.uint64)
    counts = [0] * 32
    counts[5] = counted
    return Footfall(cell, day, sketches.to_bytes(sketches.sketch_of(hashes)), counts, counts)


@pytest.fixture
def store(ready_database_url: str) -> Iterator[Store]:
    """Open a database of this test's own, on day `DAY`."""
    with Store.open(
        ready_database_url, now_ms=lambda: NOW_MS, reach_days=30, secret_key=SECRET_KEY
    ) as opened:
        yield opened


def counted(store: Store, *cells: int) -> dict[tuple[int, int], float]:
    """Return the number of devices by cell and day."""
    rows = store.footfall(cells, from_day=0, to_day=2 * DAY)
    return {
        (each.cell, each.day): sketches.count(sketches.from_bytes(each.devices)) for each in rows
    }


def test_what_is_added_is_merged(store: Store) -> None:
    """The same devices again count once; accuracies and intervals add up."""
    salt = store.secret(SALT)
    for devices in (["a", "b"], ["b", "c"]):
        store.write_batch(
            BatchWrite(footfall=[row(CELL, DAY, devices, salt), row(NEXT, DAY - 1, ["a"], salt)])
        )
    assert {(CELL, DAY): 3.0, (NEXT, DAY - 1): 1.0} == counted(store, CELL, NEXT)
    (found,) = store.footfall([CELL], from_day=DAY, to_day=DAY)
    assert (2, 2) == (found.accuracies[5], found.intervals[5])
    assert {} == counted(store, CELL + 1)


def test_days_are_bounds_of_both_ends(store: Store) -> None:
    """Both the first and the last day count."""
    salt = store.secret(SALT)
    days = range(DAY - 4, DAY + 1)
    store.write_batch(BatchWrite(footfall=[row(CELL, day, ["a"], salt) for day in days]))
    found = store.footfall([CELL], from_day=DAY - 3, to_day=DAY - 1)
    assert [DAY - 3, DAY - 2, DAY - 1] == sorted(each.day for each in found)


def test_old_days_go(store: Store, ready_database_url: str) -> None:
    """The hourly sweep of a batch drops what is older than `reach_days`."""
    salt = store.secret(SALT)
    rows = [row(CELL, day, ["a"], salt) for day in (DAY - 31, DAY - 30, DAY)]
    store.write_batch(BatchWrite(footfall=rows))
    with Store.open(
        ready_database_url, now_ms=lambda: NOW_MS + 1, reach_days=30, secret_key=SECRET_KEY
    ) as later:
        later.write_batch(BatchWrite(footfall=[row(NEXT, DAY, ["a"], salt)]))
        assert [DAY - 30, DAY] == sorted(
            each.day for each in later.footfall([CELL], from_day=0, to_day=2 * DAY)
        )


def test_the_secret_is_made_once(store: Store, ready_database_url: str) -> None:
    """Every process of a database hashes with the same 32 random bytes."""
    first = store.secret(SALT)
    with Store.open(ready_database_url, secret_key=SECRET_KEY) as another:
        assert first == another.secret(SALT)
        assert first != another.secret("something else")
    assert 32 == len(first)


def test_a_device_is_forgotten(store: Store) -> None:
    """Its hash is in no row any more; full sketches go on as estimates."""
    salt = store.secret(SALT)
    many = [f"phone-{number}" for number in range(400)]
    two, crowd, one = (
        row(CELL, DAY, ["a", "b"], salt),
        row(NEXT, DAY, many, salt),
        row(NEXT, DAY - 1, ["b"], salt),
    )
    store.write_batch(BatchWrite(footfall=[two, crowd, one]))
    kept = sketches.from_bytes(store.footfall([NEXT], from_day=DAY, to_day=DAY)[0].devices)
    in_sketch = next(each for each in many if sketches.hash_of(each, salt) == int(kept[10]))
    assert (1, 1, 0) == tuple(map(store.forget_footfall, ("a", in_sketch, "never seen")))
    found = counted(store, CELL, NEXT)
    assert {(CELL, DAY): 1.0, (NEXT, DAY - 1): 1.0} == {
        place: count for place, count in found.items() if place != (NEXT, DAY)
    }
    assert found[NEXT, DAY] == pytest.approx(400, rel=0.2)
    left = b"".join(
        each.devices for each in store.footfall([CELL, NEXT], from_day=0, to_day=2 * DAY)
    )
    for gone in ("a", in_sketch):
        assert sketches.hash_of(gone, salt).to_bytes(8, "little") not in left


def test_a_large_question_reads_a_part_of_each_sketch(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then sketches come with a lower bound, and still count about right."""
    salt = b"always the same, and so are the estimates"
    monkeypatch.setattr("geotarget.store.footfall._MOST_HASHES", 1_000)
    cells = [CELL + 8 * number for number in range(10)]
    many = [[f"{number}-{each}" for each in range(2_000)] for number in range(10)]
    rows = [row(cell, DAY, seen, salt) for cell, seen in zip(cells, many, strict=True)]
    store.write_batch(BatchWrite(footfall=rows))
    found = store.footfall(cells, from_day=DAY, to_day=DAY)
    assert sum(len(each.devices) // 8 for each in found) <= 1_000
    pile = sketches.Pile.of([each.devices for each in found])
    assert pile.weighed(np.ones(10))[1] == pytest.approx(20_000, rel=0.1)
