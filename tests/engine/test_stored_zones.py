"""Zones of a saved index: what comes back is what was saved."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotarget.engine.frozen import read, write
from geotarget.engine.stored_zones import COLUMNS, StoredZones, pack_zones
from geotarget.errors import InvalidIndexFile, InvalidZone
from geotarget.geojson import load_zones
from geotarget.model import EntryPolicy, Zone
from tests.strategies import stars, zone_lists

SHAPES = ("xy", "ring", "part", "zone", "lng", "lat", "radius_m")
SQUARE = shapely.box(0, 0, 1, 1)


def columns_of(zones: list[Zone]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the shapes of zones in columns."""
    parts = [
        [each for each in shapely.get_parts(zone.geometry) if zone.radius_m is None]
        for zone in zones
    ]
    rings = [list(shapely.get_rings(each)) for zone in parts for each in zone]
    points = [shapely.get_coordinates(ring) for each in rings for ring in each]
    circles = [
        (zone.geometry.x, zone.geometry.y, zone.radius_m) if zone.radius_m else (np.nan,) * 3
        for zone in zones
    ]
    lng, lat, radius = np.array(circles, np.float64).reshape(-1, 3).T.copy()
    return {
        "xy": np.concatenate([np.zeros((0, 2)), *points]),
        "ring": np.array([0, *np.cumsum([len(each) for each in points])], np.int64),
        "part": np.array([0, *np.cumsum([len(each) for each in rings])], np.int64),
        "zone": np.array([0, *np.cumsum([len(each) for each in parts])], np.int64),
        "lng": lng,
        "lat": lat,
        "radius_m": radius,
    }


def stored(zones: list[Zone], path: Path) -> StoredZones:
    """Return zones that went through a file."""
    arrays = {**pack_zones(zones), **columns_of(zones)}
    write(path, kind="zones", version=1, header={}, arrays=arrays)
    _, found = read(path, kind="zones", version=1, columns=COLUMNS)
    return StoredZones(
        {name: found[name] for name in COLUMNS}, **{name: found[name] for name in SHAPES}, path=path
    )


def assert_same(wanted: list[Zone], found: list[Zone]) -> None:
    """Compare zones, coordinates by bit, values by type."""
    assert wanted == found
    for one, other in zip(wanted, found, strict=True):
        assert type(one.geometry) is type(other.geometry)
        assert shapely.to_wkb(one.geometry) == shapely.to_wkb(other.geometry)
        assert repr(one.properties) == repr(other.properties)
        assert type(one.entry) is type(other.entry)
        assert int is type(other.key) is type(other.revision)


def test_real_zones_come_back(shared_data: Path, tmp_path: Path) -> None:
    """All real sets: every field of every zone, whether asked for alone or all at once."""
    for path in sorted((shared_data / "zones").glob("*.geojson")):
        zones = load_zones(path, number=True).zones
        found = stored(zones, tmp_path / "a")
        assert len(zones) == len(found)
        assert [zone.id for zone in zones] == found.ids().tolist()
        assert zones[-1] == found[-1]
        assert zones[len(zones) // 2] == found[len(zones) // 2]
        assert_same(zones, list(found))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(zone_lists(), st.integers(0, 5))
def test_zones_of_any_kind_come_back(tmp_path: Path, zones: list[Zone], at: int) -> None:
    """Circles, holes, many parts, both sides of the antimeridian."""
    found = stored(zones, tmp_path / "a")
    if at < len(zones):
        assert_same([zones[at]], [found[at]])
    assert_same(zones, list(found))
    assert [zone.id for zone in zones] == found.ids().tolist()


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inside: st.lists(inside) | st.dictionaries(st.sampled_from("abé"), inside),
    max_leaves=8,
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=5)
INT64 = st.integers(-(2**63), 2**63 - 1)
ZONES = st.builds(
    Zone,
    id=TEXTS,
    geometry=st.just(SQUARE),
    name=TEXTS,
    tags=st.lists(TEXTS, max_size=2).map(tuple),
    priority=st.integers(),
    entry=st.sampled_from(EntryPolicy),
    active=st.booleans(),
    sensitive=st.booleans(),
    starts_ms=st.none() | st.integers(),
    ends_ms=st.none() | st.integers(),
    time_zone=TEXTS,
    properties=st.dictionaries(st.sampled_from(["a", "é", "", 'b"']), VALUES),
    revision=INT64,
    key=INT64,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ZONES, max_size=4))
def test_every_field_comes_back(tmp_path: Path, zones: list[Zone]) -> None:
    """All values of JSON, as the types that they are, and text of all scripts."""
    found = stored(zones, tmp_path / "a")
    assert [zone.id for zone in zones] == found.ids().tolist()
    assert_same(zones, list(found))


def test_a_zone_is_made_once(tmp_path: Path) -> None:
    """Whoever asks again, alone or for all, gets the same object; packing makes none."""
    zones = stars(5)
    found = stored(zones, tmp_path / "a")
    assert "<5 stored zones, 0 made>" == repr(found)
    third = found[3]
    assert "<5 stored zones, 1 made>" == repr(found)
    made = list(found)
    assert third is made[3] is found[3] is found[-2] is found[2:4][1]
    packed = pack_zones(found)
    assert {name: array.tolist() for name, array in pack_zones(zones).items()} == {
        name: array.tolist() for name, array in packed.items()
    }


def test_zones_are_a_sequence(tmp_path: Path) -> None:
    """Slices, membership, and an end."""
    zones = stars(4)
    found = stored(zones, tmp_path / "a")
    assert tuple(zones[::-2]) == found[::-2]
    assert zones[2] in found
    assert 2 == found.index(zones[2])
    for at in (4, -5):
        with pytest.raises(IndexError, match=f"no zone at {at} among 4"):
            found[at]
    assert [] == list(stored([], tmp_path / "b"))


def test_threads_get_the_same_zones(tmp_path: Path) -> None:
    """Several threads that ask at once hold the same objects afterwards."""
    found = stored(stars(300), tmp_path / "a")
    seen: list[list[Zone]] = []
    threads = [threading.Thread(target=lambda: seen.append(list(found))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 == len(seen)
    assert all(one is other for zones in seen for one, other in zip(seen[0], zones, strict=True))


class Colour(StrEnum):
    """A text of a derived type."""

    RED = "red"


def test_derived_types_come_back_plain(tmp_path: Path) -> None:
    """Tuples become lists; numbers and text of derived types plain ones."""
    given_values = {"a": (1, (2, 3)), "b": np.float64(1.5), "c": Colour.RED, "d": [Colour.RED]}
    (zone,) = stored([Zone(id="a", geometry=SQUARE, properties=given_values)], tmp_path / "a")
    wanted = {"a": [1, [2, 3]], "b": 1.5, "c": "red", "d": ["red"]}
    assert repr(wanted) == repr(zone.properties)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.int64(3), "is not a JSON value but a int64"),
        (float("nan"), "must be a finite number (nan)"),
        ([1, float("inf")], "must be a finite number (inf)"),
        (datetime(2026, 1, 1, tzinfo=UTC), "is not a JSON value but a datetime"),
        ({"b": {1, 2}}, "is not a JSON value but a set"),
        ({1: 2}, "names must be strings"),
        (b"text", "is not a JSON value but a bytes"),
        ("\ud800", "can't be saved"),
    ],
)
def test_values_that_json_can_not_hold_are_refused(value: Any, reason: str) -> None:
    """Nothing is turned into text in silence; zone and property are named."""
    sound, wrong = (
        Zone(id=id, geometry=SQUARE, properties={"b": v}) for id, v in [("s", 1), ("w", value)]
    )
    with pytest.raises(InvalidZone, match="zone 'w'") as caught:
        pack_zones([sound, wrong])
    assert reason in str(caught.value)
    with pytest.raises(InvalidZone, match="names must be strings"):
        pack_zones([Zone(id="w", geometry=SQUARE, properties={1: 2})])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ring", [0, 4, 3, 5], "'ring'"),
        ("ring", [0, 10**9], "'ring'"),
        ("part", [0, 0, 10**9], "'part'"),
        ("zone", [0, 10**9, 2, 2], "'zone'"),
        ("zone", [0, 1, 2, 2, 2], "4 in 'zone'"),
        ("zone", [0, 0, 2, 2], "0 polygons for zone 0"),
        ("zone_id_start", [0, 3, 1, 3], "'zone_id_start'"),
        ("zone_record_start", [0, 10**9, 0, 0], "'zone_record_start'"),
        ("zone_key", [1, 2], "in 'zone'"),
        ("radius_m", [1.0, np.nan, np.nan], "1 polygons for zone 0"),
        ("lng", [1.0], "1 in 'lng'"),
        ("zone_multi", [False], "1 in 'zone_multi'"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(
    name: str, value: list[Any], reason: str
) -> None:
    """Offsets that fall or lead outside, lengths that differ: found before they are followed."""
    zones = [
        Zone(id="a", geometry=SQUARE),
        Zone(id="b", geometry=SQUARE),
        Zone(id="c", geometry=shapely.Point(0, 0), radius_m=3.0),
    ]
    arrays = {**pack_zones(zones), **columns_of(zones)}
    arrays[name] = np.array(value, arrays[name].dtype)
    with pytest.raises(InvalidIndexFile, match="there") as caught:
        StoredZones(
            {each: arrays[each] for each in COLUMNS}, **{each: arrays[each] for each in SHAPES},
            path="there",
        )  # fmt: skip
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("zone_record", b"]"), ("zone_id", b"\xff"), ("zone_record", b'{"priority":"x"}')],
)
def test_records_that_are_none_are_refused(name: str, value: bytes) -> None:
    """A forged record says where it stands when its zone is asked for."""
    zones = [Zone(id="a", geometry=SQUARE)]
    arrays = {**pack_zones(zones), **columns_of(zones)}
    arrays[name] = np.frombuffer(value, np.uint8)
    arrays[f"{name}_start"] = np.array([0, len(value)])
    found = StoredZones(
        {each: arrays[each] for each in COLUMNS}, **{each: arrays[each] for each in SHAPES}
    )
    with pytest.raises(InvalidIndexFile, match="zone 0"):
        found[0]
    if name == "zone_id":
        with pytest.raises(InvalidIndexFile, match="ids are not UTF-8"):
            found.ids()


def test_rings_that_are_none_are_refused() -> None:
    """A forged ring of two points."""
    zones = [Zone(id="a", geometry=SQUARE)]
    arrays = {**pack_zones(zones), **columns_of(zones)}
    arrays["xy"], arrays["ring"] = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 2])
    found = StoredZones(
        {each: arrays[each] for each in COLUMNS}, **{each: arrays[each] for each in SHAPES}
    )
    with pytest.raises(InvalidIndexFile, match="zones 0 to 0"):
        found[0]
