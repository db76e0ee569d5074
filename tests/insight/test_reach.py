"""Reach: devices of a draft zone against people whose places are known, and nobody shown alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget import sketches
from geotarget.engine.cells import cells_at, to_strings
from geotarget.errors import InvalidInput
from geotarget.geojson import parse_zone
from geotarget.insight.reach import CELL_KM2, MOST_CELLS, Read, about, covered, reach
from geotarget.model import Footfall, Zone

TODAY = 20_000
SALT = b"salt"


def zone(ring: list[list[float]]) -> Zone:
    return parse_zone(
        {
            "type": "Feature",
            "id": "draft",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        }
    )


def circle(lng: float, lat: float, radius_m: float) -> Zone:
    geometry = {"type": "Point", "coordinates": [lng, lat]}
    properties = {"radius_m": radius_m}
    return parse_zone(
        {"type": "Feature", "id": "draft", "properties": properties, "geometry": geometry}
    )


def whole(cells: Iterable[int]) -> Zone:
    """Return a zone that is a little larger than some cells together."""
    rings = [[(lng, lat) for lat, lng in h3.cell_to_boundary(cell)] for cell in cells]
    shape = shapely.union_all([shapely.Polygon(ring) for ring in rings]).buffer(1e-7)
    return zone([list(each) for each in shape.exterior.coords[:-1]])


def footfall(seen: dict[tuple[int, int], Iterable[str]]) -> Read:
    """Return a reader of devices by (cell, day)."""
    rows = []
    for (cell, day), devices in seen.items():
        hashes = np.array([sketches.hash_of(each, SALT) for each in devices], np.uint64)
        sketch = sketches.to_bytes(sketches.sketch_of(hashes))
        rows.append(Footfall(cell, day, sketch, [0] * 32, [0] * 32))

    def read(cells: Iterable[int], from_day: int, to_day: int) -> Sequence[Footfall]:
        asked = set(cells)
        return [each for each in rows if each.cell in asked and from_day <= each.day <= to_day]

    return read


HERE = int(cells_at(lng=24.94, lat=60.17, resolution=9)[0])
RING = sorted(h3.grid_disk(HERE, 1))


def phones(first: int, last: int) -> list[str]:
    return [f"phone-{number}" for number in range(first, last)]


def test_devices_of_several_days_and_cells_count_once() -> None:
    """A zone of whole cells: the union of everybody who was in any of them, on any day."""
    seen = {
        (RING[0], TODAY): phones(0, 60),
        (RING[0], TODAY - 29): phones(30, 90),
        (RING[1], TODAY): phones(50, 120),
        (RING[2], TODAY - 30): phones(200, 300),  # too long ago
    }
    found = reach(whole(RING), footfall(seen), today=TODAY, days=30, minimum=10)
    by_name = {each.cell: each.devices for each in found.cells if each.cell in names(RING)}
    assert 120 == found.devices
    assert "About 120 devices were here in the last 30 days." == found.sentence
    expected = dict.fromkeys(names(RING)) | {name(RING[0]): 90, name(RING[1]): 70}
    assert expected == by_name
    assert (TODAY - 29, TODAY, 9) == (found.from_day, found.to_day, found.resolution)


def name(cell: int) -> str:
    return str(to_strings(np.array([cell], np.uint64))[0])


def names(cells: Iterable[int]) -> list[str]:
    return [name(cell) for cell in cells]


def test_a_cell_that_is_cut_counts_for_its_share() -> None:
    """People are taken to be spread evenly: half of a cell, half of its devices."""
    lat, lng = h3.cell_to_latlng(HERE)
    ring = [(x, y) for y, x in h3.cell_to_boundary(HERE)]
    west = shapely.Polygon(ring).intersection(shapely.box(lng - 1, lat - 1, lng, lat + 1))
    draft = zone([list(each) for each in west.exterior.coords[:-1]])
    found = reach(draft, footfall({(HERE, TODAY): phones(0, 200)}), today=TODAY, days=1, minimum=10)
    mine = next(each for each in found.cells if each.cell == name(HERE))
    assert pytest.approx(0.5, abs=0.02) == mine.share
    assert (100, 200) == (found.devices, mine.devices)
    assert "50% of the size of a cell" in found.sentence


def test_small_zones_are_extrapolated_and_say_so() -> None:
    """A kiosk of 30 m radius in a busy cell: its share of the cell's devices."""
    lat, lng = h3.cell_to_latlng(HERE)
    share = np.pi * 30**2 / 1e6 / CELL_KM2
    read = footfall({(HERE, TODAY): phones(0, 20_000)})
    found = reach(circle(lng, lat, 30), read, today=TODAY, days=30, minimum=10)
    assert found.devices is not None
    assert pytest.approx(20_000 * share, rel=0.25) == found.devices
    assert "of the size of a cell" in found.sentence


def test_a_small_share_of_many_devices_is_not_shown() -> None:
    """A kiosk with 3 % of a cell of 200 devices: about six people, whoever else is in the cell."""
    lat, lng = h3.cell_to_latlng(HERE)
    read = footfall({(HERE, TODAY): phones(0, 200)})
    found = reach(circle(lng, lat, 30), read, today=TODAY, days=30, minimum=10)
    assert (None, [200]) == (found.devices, [each.devices for each in found.cells])


@pytest.mark.parametrize(
    ("title", "counts", "total", "shown"),
    [
        ("nobody", (0, 0, 0), None, (None, None, None)),
        ("too few in all", (4, 5, 0), None, (None, None, None)),
        ("enough in all, too few each", (6, 7, 8), 20, (None, None, None)),
        ("one cell too small: another goes too", (40, 5, 60), 100, (None, None, 60)),
        ("two too small, enough together", (40, 5, 6), 50, (40, None, None)),
        ("all large", (40, 50, 60), 150, (40, 50, 60)),
        ("an empty cell gives nothing away", (40, 0, 60), 100, (40, None, 60)),
    ],
)
def test_nobody_is_shown_alone(
    title: str,
    counts: tuple[int, ...],
    total: int | None,
    shown: tuple[int | None, ...],
) -> None:
    """Neither by a number nor by the rest of a sum: cells of different people, minimum 10."""
    first = 0
    seen = {}
    for cell, count in zip(RING, counts, strict=False):
        seen[cell, TODAY] = phones(first, first + count)
        first += count
    found = reach(whole(RING), footfall(seen), today=TODAY, days=30, minimum=10)
    by_name = {each.cell: each.devices for each in found.cells}
    assert (total, shown) == (found.devices, tuple(by_name[name(each)] for each in RING[:3])), title
    if total is None:
        assert "Fewer than 10 devices were here in the last 30 days: too few to show." == (
            found.sentence
        )


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(RING), st.sets(st.integers(0, 60), max_size=40), min_size=1),
    st.integers(2, 15),
)
def test_no_answer_is_below_the_minimum(people: dict[int, set[int]], minimum: int) -> None:
    """Whoever was where: numbers are at least the minimum, and hidden cells hide enough."""
    seen = {(cell, TODAY): [str(each) for each in who] for cell, who in people.items()}
    found = reach(whole(RING), footfall(seen), today=TODAY, days=30, minimum=minimum)
    shown = {each.cell: each.devices for each in found.cells if each.devices is not None}
    assert all(count >= minimum for count in shown.values())
    assert found.devices is None or found.devices >= minimum
    hidden = set().union(*(who for cell, who in people.items() if name(cell) not in shown))
    if hidden and shown:
        assert len(hidden) >= minimum


@pytest.mark.parametrize(
    ("count", "minimum", "shown"),
    [
        (10, 10, 10),
        (14.9, 10, 10),
        (15.1, 10, 20),
        (1237, 10, 1240),
        (48_321, 10, 48_300),
        (7, 5, 5),
    ],
)
def test_numbers_are_rounded(count: float, minimum: int, shown: int) -> None:
    """To tens, later to three digits: neighbours of a zone do not tell single devices."""
    assert shown == about(count, minimum)


@pytest.mark.parametrize(
    ("lng", "lat"), [(24.94, 60.17), (179.999, -16.8), (-179.999, 65.0), (7.0, 0.0)]
)
def test_shares_add_up_to_the_area(lng: float, lat: float) -> None:
    """Also across the antimeridian: shares times the areas of the cells are the zone's area."""
    cells, share = covered(circle(lng, lat, 900))
    areas = np.array([h3.cell_area(cell, unit="m^2") for cell in cells.tolist()])
    assert np.pi * 900**2 == pytest.approx(float((areas * share).sum()), rel=0.01)


def test_large_zones_are_shown_coarser() -> None:
    """Above 600 cells parents are shown, each with the union of what it holds of the zone."""
    draft = circle(24.94, 60.17, 6_000)
    cells, _ = covered(draft)
    assert 600 < len(cells) <= MOST_CELLS
    seen = defaultdict[tuple[int, int], list[str]](list)
    for number, cell in enumerate(cells.tolist()):
        seen[cell, TODAY] = phones(3 * number, 3 * number + 6)  # half of them in the next one too
    found = reach(draft, footfall(dict(seen)), today=TODAY, days=30, minimum=10)
    assert 8 == found.resolution
    assert len(found.cells) <= 600
    assert max(each.share for each in found.cells) == pytest.approx(1.0, abs=0.01)
    middle = next(each for each in found.cells if each.cell == name(h3.cell_to_parent(HERE, 8)))
    assert middle.devices is not None
    assert 20 <= middle.devices <= 50
    assert found.devices == pytest.approx(3 * len(cells), rel=0.1)


@pytest.mark.parametrize(
    "make", [lambda: circle(24.94, 60.17, 14_000), lambda: circle(0, 0, 50_000)]
)
def test_too_large_zones_are_refused_with_the_bound(make: Callable[[], Zone]) -> None:
    """Before anything is read: the message names the area and the bound."""
    with pytest.raises(
        InvalidInput, match=r"\$\.geometry: .* up to 5,000 cells of about 0.1 km2 .*km2"
    ):
        reach(make(), footfall({}), today=TODAY, days=30, minimum=10)
