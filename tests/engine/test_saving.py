"""Indexes that were saved, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geotarget.engine import ZoneIndex, frozen
from geotarget.engine.covering import PADDING
from geotarget.engine.saving import KIND, VERSION
from geotarget.errors import InvalidIndexFile
from geotarget.geojson import load_zones
from geotarget.model import Zone
from tests.strategies import SEEDS, points_near, stars, zone_lists


@settings(max_examples=40, deadline=None)
@given(zone_lists(), SEEDS)
def test_a_loaded_index_answers_as_the_saved_one(
    tmp_path_factory: pytest.TempPathFactory, found: list[Zone], seed: int
) -> None:
    """Same pairs, distances, stretches, zones and numbers, to the last bit."""
    path = tmp_path_factory.mktemp("saved") / "index.zones"
    index = ZoneIndex.build(found)
    index.save(path)
    again = ZoneIndex.load(path)
    rng = np.random.default_rng(seed)
    points = np.concatenate([np.zeros((1, 2)), *(points_near(zone, rng, 10) for zone in found)])
    lng, lat = points[:, 0], points[:, 1]
    pairs = index.query(lng=lng, lat=lat)
    assert pairs.tolist() == again.query(lng=lng, lat=lat).tolist()
    ping, zone = pairs
    near = {"lng": lng[ping], "lat": lat[ping], "zone": zone}
    assert index.signed_distance(**near).tolist() == again.signed_distance(**near).tolist()
    ways = {"lng": lng[1:], "lat": lat[1:], "to_lng": lng[:-1], "to_lat": lat[:-1]}
    for mine, its in zip(index.segments(**ways), again.segments(**ways), strict=True):
        assert mine.tolist() == its.tolist()
    assert list(index.zones) == list(again.zones)
    assert index.ids.tolist() == again.ids.tolist()
    assert index.area_m2.tolist() == again.area_m2.tolist()
    assert index.depth_m.tolist() == again.depth_m.tolist()


def test_real_zones_come_back(shared_data: Path, tmp_path: Path) -> None:
    """Catalogues with properties of every kind are saved whole."""
    for name in ("london_wards", "country_coder", "osm_community_overlap"):
        found = load_zones(shared_data / "zones" / f"{name}.geojson", number=True).zones
        index = ZoneIndex.build(found)
        index.save(tmp_path / name)
        assert list(found) == list(ZoneIndex.load(tmp_path / name).zones)


def test_a_loaded_index_can_be_edited_and_saved_over_itself(tmp_path: Path) -> None:
    """Edits go on top; the file may be replaced while the index that maps it lives."""
    path = tmp_path / "index.zones"
    ZoneIndex.build(stars(50)).save(path)
    loaded = ZoneIndex.load(path)
    edited = loaded.with_changes(put=stars(3, seed=5, first=48), remove=["s1"])
    edited.save(path)
    again = ZoneIndex.load(path)
    rng = np.random.default_rng(1)
    lng, lat = rng.uniform(24, 25, 20_000), rng.uniform(60, 60.5, 20_000)
    assert edited.query(lng=lng, lat=lat).tolist() == again.query(lng=lng, lat=lat).tolist()
    assert list(edited.zones) == list(again.zones)
    assert 50 == len(loaded)
    assert 1 == loaded.position("s1")


def saved(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Return a saved index and its arrays, to be spoilt."""
    path = tmp_path / "index.zones"
    zones = [*stars(20), Zone(id="round", geometry=shapely.Point(24.5, 60.2), radius_m=300.0)]
    ZoneIndex.build(zones).save(path)
    _, arrays = frozen.read(path, kind=KIND, version=VERSION)
    return path, {name: np.array(array) for name, array in arrays.items()}


def spoil(name: str, at: int, value: float, tmp_path: Path) -> Path:
    """Return a file with one wrong number and right checksums."""
    path, arrays = saved(tmp_path)
    arrays[name][at] = value
    frozen.write(path, kind=KIND, version=VERSION, header={}, arrays=arrays)
    return path


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("table", 0, 10**6),
        ("table", 0, -7),
        ("table", 0, -(10**8)),
        ("nodes", 21, 1),
        ("nodes", 21, -(10**8)),
        ("records", 4, 9),
        ("records", 5, -64),
        ("records", 5, 2**30),
        ("records", 6, 10**6),
        ("records", -PADDING - 1, 2**30),
        ("records", -PADDING - 2, 2**30),
        ("frame", 0, 40),
        ("frame", 3, 10**6),
        ("run_start", 0, 10**8),
        ("run_length", -2, 127),
        ("zone_run", 4, 10**6),
        ("ring", 3, 10**9),
        ("part", 2, -1),
        ("zone", 2, 10**6),
        ("zone_id_start", 2, 10**6),
    ],
)
def test_numbers_that_lead_out_of_an_array_are_refused(
    name: str, at: int, value: int, tmp_path: Path
) -> None:
    """A file with right checksums and wrong links is not believed either."""
    path = spoil(name, at, value, tmp_path)
    with pytest.raises(InvalidIndexFile, match="is damaged"):
        ZoneIndex.load(path)


def test_a_file_of_another_version_is_named_as_such(tmp_path: Path) -> None:
    """The message says which version was found and which is read."""
    path, arrays = saved(tmp_path)
    frozen.write(path, kind=KIND, version=VERSION + 1, header={}, arrays=arrays)
    with pytest.raises(InvalidIndexFile, match=f"version {VERSION + 1}"):
        ZoneIndex.load(path)


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    """Who catches `GeotargetError` catches that too."""
    with pytest.raises(InvalidIndexFile, match="can't be read"):
        ZoneIndex.load(tmp_path / "missing.zones")
