"""Files of zones become an index; what is wrong with one is said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from geotarget.engine import ZoneIndex
from geotarget.errors import GeotargetError, InvalidInput, InvalidZone
from geotarget.matching.zone_files import load_index
from tests.strategies import stars

WRITERS = {
    "z.geojson": lambda frame, path: frame.to_file(path, driver="GeoJSON"),
    "z.json": lambda frame, path: frame.to_file(path, driver="GeoJSON"),
    "z.gpkg": lambda frame, path: frame.to_file(path, layer="wards"),
    "z.parquet": lambda frame, path: frame.to_parquet(path),
}


def frame(count: int = 5, crs: int = 4326) -> gpd.GeoDataFrame:
    """Return zones with a code, and a column that no zone may have at the door."""
    columns = {"code": [f"c{n}" for n in range(count)], "entry": ["unknown"] * count}
    outlines = [zone.geometry for zone in stars(count)]
    return gpd.GeoDataFrame(columns, geometry=outlines, crs=4326).to_crs(crs)


def write(zones: gpd.GeoDataFrame, path: Path) -> Path:
    """Write a frame in the format that the name says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writers, about their own plans
        WRITERS[path.name](zones, path)
    return path


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("id", ["code", None])
def test_all_formats_give_the_same_index(tmp_path: Path, name: str, id: str | None) -> None:
    """Ids from a property, or positions where there is none; outlines as they are."""
    zones = frame().drop(columns="entry")
    index = load_index(write(zones, tmp_path / name), id=id)
    assert (["c0", "c1", "c2", "c3", "c4"] if id else ["0", "1", "2", "3", "4"]) == list(index.ids)
    inside = shapely.get_coordinates(shapely.point_on_surface(zones.geometry.to_numpy()))
    assert [0, 1, 2, 3, 4] == index.query(lng=inside[:, 0], lat=inside[:, 1])[0].tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_properties_of_other_people_do_not_matter(tmp_path: Path, name: str) -> None:
    """What a catalogue would refuse, such as a name that is a number, is no reason here."""
    zones = frame().assign(name=range(5), tags="a;b", priority="high")
    assert ["c0", "c1", "c2", "c3", "c4"] == list(
        load_index(write(zones, tmp_path / name), id="code").ids
    )


@pytest.mark.parametrize("name", ["z.gpkg", "z.parquet"])
def test_other_systems_are_converted(tmp_path: Path, name: str) -> None:
    """A projected file is converted."""
    path = write(frame(crs=3067), tmp_path / name)
    zones = frame()
    index = load_index(path, id="code")
    inside = shapely.get_coordinates(shapely.point_on_surface(zones.geometry.to_numpy()))
    assert [0, 1, 2, 3, 4] == index.query(lng=inside[:, 0], lat=inside[:, 1])[1].tolist()


@pytest.mark.parametrize("name", ["z.gpkg", "z.parquet"])
def test_a_column_id_holds_the_ids_unless_another_is_named(tmp_path: Path, name: str) -> None:
    """As in GeoJSON, `id` is an id."""
    path = write(frame().assign(id=[7, 8, 9, 10, 11]), tmp_path / name)
    assert ["7", "8", "9", "10", "11"] == list(load_index(path).ids)
    assert ["c0", "c1", "c2", "c3", "c4"] == list(load_index(path, id="code").ids)


def test_a_saved_index_is_loaded(tmp_path: Path) -> None:
    """A file that `ZoneIndex.save` wrote needs no building; what is none is refused."""
    saved = tmp_path / "wards.zones"
    ZoneIndex.build(stars(5)).save(saved)
    index = load_index(saved)
    assert ["s0", "s1", "s2", "s3", "s4"] == list(index.ids)
    with pytest.raises(InvalidInput, match=r"id: a saved index has its ids \(code\)"):
        load_index(saved, id="code")
    saved.write_bytes(b"nothing of the kind")
    with pytest.raises(GeotargetError, match=r"wards\.zones"):
        load_index(saved)


def test_circles_are_points_with_a_radius(tmp_path: Path) -> None:
    """A column `radius_m` makes circles of points."""
    zones = gpd.GeoDataFrame({"radius_m": [50.0]}, geometry=[shapely.Point(24.9, 60.2)], crs=4326)
    index = load_index(write(zones, tmp_path / "z.parquet"))
    assert [[0], [0]] == index.query(lng=[24.9, 24.91], lat=[60.2, 60.2]).tolist()


def test_geojson_names_the_file_and_the_place_of_each_problem(tmp_path: Path) -> None:
    """A self-crossing zone, a feature that is none: all are named, and nothing is matched."""
    star = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]
    document = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {}, "geometry": None},
            {
                "type": "Feature",
                "properties": {},
                "geometry": {"type": "Polygon", "coordinates": [star]},
            },
        ],
    }
    path = tmp_path / "z.geojson"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidZone) as caught:
        load_index(path)
    places = [problem.path for problem in caught.value.problems]
    assert f"{path}, $.features[0].geometry" == places[0]
    assert places[1].startswith(f"{path}, $.features[1].geometry.coordinates")
    assert 2 == len(places)


@pytest.mark.parametrize("name", ["z.gpkg", "z.parquet"])
def test_frames_name_the_file_and_the_row_of_each_problem(tmp_path: Path, name: str) -> None:
    """The row of a zone that is not valid is named, and one without an id."""
    zones = frame(2)
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    zones = pd.concat([zones, gpd.GeoDataFrame({"code": [None]}, geometry=[bow], crs=4326)])
    path = write(zones, tmp_path / name)
    with pytest.raises(InvalidZone, match=r"row 2.*is not a valid outline"):
        load_index(path)
    with pytest.raises(InvalidZone, match="row 2: code is missing"):
        load_index(path, id="code")


def test_layers_of_a_geopackage(tmp_path: Path) -> None:
    """One layer needs no name; of several one is chosen."""
    path = write(frame(2), tmp_path / "z.gpkg")
    assert 2 == len(load_index(path))
    frame(3).to_file(path, layer="shops")
    with pytest.raises(InvalidInput) as caught:
        load_index(path)
    assert (
        f"{path}: has not exactly one layer with geometry; choose one with --layer "
        "(found: wards, shops)" == str(caught.value)
    )
    assert 3 == len(load_index(path, layer="shops"))
    with pytest.raises(InvalidInput, match=r"has no layer 'streets' .*found: wards, shops"):
        load_index(path, layer="streets")


def test_what_is_not_there_is_answered_with_what_is(tmp_path: Path) -> None:
    """A wrong column, a Parquet file without geometry, another suffix, a broken file."""
    path = write(frame(), tmp_path / "z.parquet")
    with pytest.raises(InvalidInput, match=r"'name' that could hold .*\(found: code, entry\)"):
        load_index(path, id="name")
    with pytest.raises(InvalidInput, match=r"only a \.gpkg file has layers"):
        load_index(path, layer="wards")
    plain = tmp_path / "plain.parquet"
    pd.DataFrame({"a": [1]}).to_parquet(plain)
    with pytest.raises(InvalidInput, match=r"is no GeoParquet file.*\(found: a\)"):
        load_index(plain)
    with pytest.raises(
        InvalidInput, match=r"must be a \.geojson, \.json, \.gpkg or \.parquet file"
    ):
        load_index(tmp_path / "zones.shp")
    for name in ("z.gpkg", "broken.parquet", "broken.geojson"):
        broken = tmp_path / name
        broken.write_bytes(b"nothing of the kind")
        with pytest.raises((InvalidInput, InvalidZone)) as caught:
            load_index(broken)
        assert str(broken) in str(caught.value)
