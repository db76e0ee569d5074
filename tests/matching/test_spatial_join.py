"""`sjoin` gives what GeoPandas gives."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st

import geotarget as gt
from geotarget.errors import InvalidInput, InvalidPing, InvalidZone
from tests.oracle import covers_in_plane
from tests.strategies import SEEDS, points_near, stars, zones

HOWS = ["inner", "left", "right"]


def frame_of_zones(count: int = 40, **columns: Any) -> gpd.GeoDataFrame:
    """Return a frame of stars, some of which overlap."""
    outlines = [zone.geometry for zone in stars(count)]
    return gpd.GeoDataFrame({"name": range(count), **columns}, geometry=outlines, crs=4326)


def frame_of_points(zones: gpd.GeoDataFrame, count: int = 300, seed: int = 0) -> gpd.GeoDataFrame:
    """Return points in, on and beside the zones, in no order."""
    rng = np.random.default_rng(seed)
    vertices = shapely.get_coordinates(np.asarray(zones.geometry))
    exact = vertices[rng.integers(0, len(vertices), count // 2)]
    near = vertices[rng.integers(0, len(vertices), count - len(exact))]
    places = np.concatenate([exact, near + rng.normal(0, 0.001, near.shape)])
    return gpd.GeoDataFrame(
        {"who": rng.permutation(count)}, geometry=shapely.points(places), crs=4326
    )


def peer(points: gpd.GeoDataFrame, zones: gpd.GeoDataFrame, **options: Any) -> gpd.GeoDataFrame:
    """Return what GeoPandas gives, matches of one point in the order of the zones."""
    numbered = zones.assign(zone_row=np.arange(len(zones)))
    joined = gpd.sjoin(
        points.assign(point_row=np.arange(len(points))),
        numbered,
        predicate="covered_by",
        **options,
    )
    by = ["point_row", "zone_row"]
    if options.get("how") == "right":
        by.reverse()
    order = np.lexsort([joined[name].to_numpy() for name in reversed(by)])
    return joined.iloc[order].drop(columns=["point_row", "zone_row"])


def assert_as_geopandas(
    points: gpd.GeoDataFrame, zones: gpd.GeoDataFrame, **options: Any
) -> gpd.GeoDataFrame:
    """Compare the two results whole: rows, order, labels, columns, types."""
    actual = gt.sjoin(points, zones, **options)
    assert_geodataframe_equal(peer(points, zones, **options), actual)
    assert type(actual) is gpd.GeoDataFrame
    return actual


@pytest.mark.parametrize("how", HOWS)
def test_result_is_that_of_geopandas(how: str) -> None:
    """Columns, labels, types, and rows by point, then by zone, are the same."""
    zones = frame_of_zones(400)
    actual = assert_as_geopandas(frame_of_points(zones, 600), zones, how=how)
    assert len(actual) > 200


@settings(max_examples=60, deadline=None)
@given(st.lists(zones(), min_size=1, max_size=4), SEEDS, st.sampled_from(HOWS))
def test_hard_zones_give_the_same_rows(drawn: list[Any], seed: int, how: str) -> None:
    """On outlines, at the antimeridian and at the poles too, all is as in the plane.

    Fractions say which pairs there are. GEOS reckons with 106 bits, and errs where a point is 1e-38
    degrees beside an edge; where it does not, the frames are compared as well.
    """
    polygons = [each.geometry for each in drawn if each.radius_m is None]
    frame = gpd.GeoDataFrame(geometry=gpd.GeoSeries(polygons, crs=4326))
    rng = np.random.default_rng(seed)
    places = np.concatenate([points_near(each, rng, 20) for each in drawn])
    points = gpd.GeoDataFrame(
        {"row": range(len(places))}, geometry=shapely.points(places), crs=4326
    )
    exact = np.array([covers_in_plane(each, *places.T) for each in polygons])
    exact = exact.reshape(len(polygons), len(places))
    joined = gt.sjoin(points, frame)
    wanted = np.argwhere(exact.T)
    assert wanted.tolist() == joined[["row", "index_right"]].to_numpy().tolist()
    geometry = np.asarray(points.geometry)
    if np.array_equal(shapely.covers(np.array(polygons, object)[:, None], geometry), exact):
        assert_as_geopandas(points, frame, how=how)


@pytest.mark.parametrize("how", HOWS)
def test_both_sides_of_the_antimeridian_are_far_apart(how: str) -> None:
    """As in GeoPandas, and unlike in a `ZoneIndex`, a point at -180 is not at 180."""
    zones = gpd.GeoDataFrame(
        geometry=[shapely.box(170, 0, 180, 1), shapely.box(-180, 0, -170, 1)], crs=4326
    )
    points = gpd.GeoDataFrame(geometry=shapely.points([180, -180, 180], [0.5, 0.5, 2]), crs=4326)
    actual = assert_as_geopandas(points, zones, how=how)
    assert 2 == actual.dropna().shape[0]


def test_an_edge_right_across_the_map_is_straight() -> None:
    """A zone around the whole Earth is what its coordinates say, not its short way round."""
    wide = shapely.Polygon([(-179, -10), (179, -10), (179, 10), (-179, 12)])
    zones = gpd.GeoDataFrame(geometry=[wide], crs=4326)
    points = gpd.GeoDataFrame(geometry=shapely.points([0, 179.5], [0, 0]), crs=4326)
    assert [0] == assert_as_geopandas(points, zones).index.tolist()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"same": 1, "a": 2}, {"same": 3, "b": 4}),
        ({"index_right_": 1}, {"index_left_": 1}),
        ({}, {}),
    ],
)
def test_columns_of_one_name_get_suffixes(
    how: str, left: dict[str, Any], right: dict[str, Any]
) -> None:
    """Suffixes are added as GeoPandas adds them, given ones too."""
    zones = frame_of_zones().assign(**right)
    points = frame_of_points(zones).assign(**left)
    assert_as_geopandas(points, zones, how=how)
    assert_as_geopandas(points, zones, how=how, lsuffix="ping", rsuffix="zone")


@pytest.mark.parametrize("how", HOWS)
def test_labels_may_come_twice(how: str) -> None:
    """Rows are told apart by position: equal labels in either frame do no harm."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    zones.index = pd.Index(["a", "b"] * 20)
    points.index = pd.Index([7] * len(points))
    assert_as_geopandas(points, zones, how=how)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("level", [1, 2])
def test_named_labels_keep_their_names(how: str, level: int) -> None:
    """A named index and one of several levels become the columns that GeoPandas makes."""
    zones = frame_of_zones(code=[f"z{number}" for number in range(40)], part=7)
    points = frame_of_points(zones).assign(day=3)
    zones = zones.set_index(["code", "part"][:level])
    points = points.set_index(["who", "day"][:level])
    assert_as_geopandas(points, zones, how=how)


@pytest.mark.parametrize("how", HOWS)
def test_geometry_columns_may_have_any_name(how: str) -> None:
    """The active geometry counts, whatever it is called and whatever stands beside it."""
    zones = frame_of_zones().rename_geometry("outline")
    points = frame_of_points(zones).rename_geometry("place")
    zones["inside"] = zones.geometry.representative_point()
    assert_as_geopandas(points, zones, how=how)


@pytest.mark.parametrize("how", HOWS)
def test_what_has_no_place_matches_nothing(how: str) -> None:
    """Missing and empty geometries, on either side, and points off the map are in no pair."""
    zones = frame_of_zones(5)
    centre = zones.geometry.iloc[0].representative_point()
    zones = gpd.GeoDataFrame(
        {"name": range(4)},
        geometry=[None, zones.geometry.iloc[0], shapely.Polygon(), zones.geometry.iloc[1]],
        crs=4326,
    )
    places = [None, centre, shapely.Point(), shapely.Point(400, 100), shapely.LineString()]
    points = gpd.GeoDataFrame(geometry=places, crs=4326)
    actual = assert_as_geopandas(points, zones, how=how)
    assert 1 == len(actual.dropna())


@pytest.mark.parametrize("how", HOWS)
def test_empty_frames_are_joined(how: str) -> None:
    """No points, no zones, or neither: the same columns without a pair."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    for some_points, some_zones in (
        (points.iloc[:0], zones),
        (points, zones.iloc[:0]),
        (points.iloc[:0], zones.iloc[:0]),
    ):
        assert_as_geopandas(some_points, some_zones, how=how)


def test_heights_are_left_aside() -> None:
    """A third coordinate takes no part in the join, and stays with the points."""
    zones = gpd.GeoDataFrame(geometry=shapely.force_3d([shapely.box(0, 0, 1, 1)], 9.0), crs=4326)
    points = gpd.GeoDataFrame(geometry=shapely.points([[0.5, 0.5, 3.0], [2, 2, 3]]), crs=4326)
    assert assert_as_geopandas(points, zones).geometry.iloc[0].has_z


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("count", [3, 100, 5_000])
def test_few_points_and_many_give_the_same_rows(how: str, count: int) -> None:
    """Whether zones are looked at first, because points are few, or cells are split for many."""
    zones = frame_of_zones(200)
    assert_as_geopandas(frame_of_points(zones, count), zones, how=how)


@pytest.mark.parametrize("how", HOWS)
def test_points_far_west_and_east_of_all_zones_are_in_none(how: str) -> None:
    """Where most of them are, the same rows come out, whatever is missing or off the map there."""
    zones = gpd.GeoDataFrame(
        geometry=[shapely.box(-80, 0, -79, 1), shapely.box(80, 0, 81, 1)], crs=4326
    )
    rng = np.random.default_rng(3)
    far = np.column_stack([rng.uniform(-78, 79, 3_000), rng.uniform(-95, 95, 3_000)])
    near = np.column_stack([rng.uniform(-80.1, -78.9, 500), rng.uniform(-0.1, 95, 500)])
    odd = [None, shapely.Point(), shapely.Point(80.5, np.inf), shapely.Point(np.inf, 0.5)]
    corners = shapely.points([[-80, 0], [-79, 1], [80, 0], [81, 1]])
    places = [*shapely.points(np.concatenate([far, near])), *odd, *corners]
    points = gpd.GeoDataFrame(geometry=rng.permutation(np.array(places)), crs=4326)
    actual = assert_as_geopandas(points, zones, how=how)
    assert len(actual.dropna()) >= 4
    assert_as_geopandas(points.iloc[:0], zones, how=how)
    points.loc[2_000, "geometry"] = shapely.LineString([(0, 0), (1, 1)])
    with pytest.raises(InvalidPing, match="points, row 2000: must be a Point"):
        gt.sjoin(points, zones)


def test_only_zones_near_points_must_be_valid() -> None:
    """What nobody is near is not looked at."""
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    zones = gpd.GeoDataFrame(geometry=[bow, shapely.box(50, 50, 51, 51)], crs=4326)
    points = gpd.GeoDataFrame(geometry=shapely.points([[50.5, 50.5]] * 100), crs=4326)
    assert 100 == len(gt.sjoin(points, zones))
    points.loc[7, "geometry"] = shapely.Point(0.5, 0.2)
    with pytest.raises(InvalidZone, match="zones, row 0"):
        gt.sjoin(points, zones)


def test_frames_that_are_joined_are_not_changed() -> None:
    """Both frames are as they were."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    before = zones.copy(), points.copy()
    joined = gt.sjoin(points, zones)
    joined.iloc[:, 0] = -1
    assert_geodataframe_equal(before[0], zones)
    assert_geodataframe_equal(before[1], points)


def test_real_zones_and_real_pings_give_the_same_rows(shared_data: Path) -> None:
    """Recorded buses in the neighbourhoods of Austin."""
    zones = gpd.read_file(shared_data / "zones" / "austin_neighborhoods.geojson")
    recorded = pd.read_csv(shared_data / "pings" / "austin_bus_2015-03-07_18.csv")
    longitude = "lng" if "lng" in recorded else "lon"
    places = gpd.points_from_xy(recorded[longitude], recorded["lat"])
    points = gpd.GeoDataFrame(recorded, geometry=places, crs=4326)
    assert len(assert_as_geopandas(points, zones)) > 1000


# -- columns of every kind -----------------------------------------------------------------------

KINDS = {
    "int64": lambda rng, count: rng.integers(0, 9, count),
    "uint8": lambda rng, count: rng.integers(0, 9, count).astype(np.uint8),
    "float32": lambda rng, count: rng.normal(size=count).astype(np.float32),
    "complex": lambda rng, count: rng.normal(size=count) + 1j,
    "bool": lambda rng, count: rng.random(count) < 0.5,
    "text": lambda rng, count: pd.array(words(rng, count), "str"),
    "text, all missing": lambda _, count: pd.array([None] * count, "str"),
    "text, none missing": lambda rng, count: pd.array([str(each) for each in rng.random(count)]),
    "text, empty": lambda _, count: pd.array([""] * count, "str"),
    "text with NA": lambda rng, count: pd.array(words(rng, count), "string"),
    "text of Python": lambda rng, count: pd.array(
        words(rng, count), pd.StringDtype("python", na_value=np.nan)
    ),
    "text of Arrow": lambda rng, count: pd.array(words(rng, count), pd.ArrowDtype(pa.string())),
    "objects": lambda rng, count: pd.Series(words(rng, count), dtype=object).to_numpy(),
    "objects of all sorts": lambda rng, count: pd.Series(
        [[None, 1, "a", pd.Timestamp(0), [2]][each] for each in rng.integers(0, 5, count)],
        dtype=object,
    ).to_numpy(),
    "objects that are numbers": lambda rng, count: rng.integers(0, 9, count).astype(object),
    "objects that are times": lambda _, count: np.array([pd.Timestamp(0)] * count, object),
    "datetime": lambda rng, count: rng.integers(0, 9, count).astype("M8[s]"),
    "datetime with zone": lambda rng, count: (
        pd.DatetimeIndex(rng.integers(0, 9, count).astype("M8[ns]"), tz="Europe/Helsinki").array
    ),
    "timedelta": lambda rng, count: rng.integers(0, 9, count).astype("m8[ms]"),
    "period": lambda rng, count: (
        pd.PeriodIndex.from_ordinals(rng.integers(0, 9, count), freq="D").array
    ),
    "interval": lambda rng, count: pd.arrays.IntervalArray.from_breaks(np.arange(count + 1)),
    "category": lambda rng, count: pd.Categorical(words(rng, count)),
    "category in order": lambda rng, count: pd.Categorical(
        rng.integers(0, 3, count), [2, 1, 0, 7], ordered=True
    ),
    "Int16": lambda rng, count: pd.array(rng.integers(0, 9, count), "Int16"),
    "boolean": lambda rng, count: pd.array([[True, False, None][at % 3] for at in range(count)]),
    "sparse": lambda rng, count: pd.arrays.SparseArray(rng.integers(0, 2, count) * 1.0),
    "geometry": lambda rng, count: gpd.points_from_xy(*rng.random((2, count)), crs=3067),
    "geometry, some missing": lambda _, count: gpd.array.from_shapely(
        [shapely.Point(at, 0) if at % 2 else None for at in range(count)]
    ),
}
"""How to make columns of `count` rows."""


def words(rng: np.random.Generator, count: int) -> list[str | None]:
    """Return texts: none, empty, as long as what is copied at once, longer, of several bytes."""
    some = [None, "", "a", "sixteen letters!", "seventeen letters", "Käse 🧀", "x" * 100, "y" * 33]
    return [some[each] for each in rng.integers(0, len(some), count)]


LABELS = {
    "numbers": lambda _, count: pd.RangeIndex(count),
    "numbers in steps": lambda _, count: pd.RangeIndex(7, 7 - 3 * count, -3),
    "no order": lambda rng, count: pd.Index(rng.permutation(count)),
    "not unique": lambda rng, count: pd.Index(rng.integers(0, 3, count)),
    **{
        name: lambda rng, count, name=name: pd.Index(KINDS[name](rng, count))
        for name in ("float32", "text", "category", "Int16", "datetime with zone", "interval")
    },
    **{
        name: lambda rng, count, name=name: pd.Index(KINDS[name](rng, count), dtype=object)
        for name in ("objects", "objects that are numbers", "objects that are times")
    },
    "days": lambda _, count: pd.date_range("2026-03-01", periods=count),
}
"""How to make labels of `count` rows."""

NAMES = st.sampled_from(["a", "b", "name", "index", "level_0", "a_left", "a_right", 7, ("t", 1)])


@st.composite
def dressed(draw: st.DrawFn, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Give a frame columns, labels, attributes and another name of its geometry."""
    rng = np.random.default_rng(draw(SEEDS))
    frame = frame[["geometry"]].copy()
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        values = KINDS[draw(st.sampled_from(sorted(KINDS)))](rng, len(frame))
        where = draw(st.integers(0, frame.shape[1]))
        frame.insert(where, name, pd.Series(values, frame.index, dtype=values.dtype))
    if draw(st.booleans()):
        other = draw(st.sampled_from(["place", "outline"]))
        frame = frame.rename_geometry(other)
    frame.index = LABELS[draw(st.sampled_from(sorted(LABELS)))](rng, len(frame))
    frame.index.name = draw(st.sampled_from([None, None, "row", "a", 7, "index"]))
    frame.columns.name = draw(st.sampled_from([None, "columns"]))
    frame.attrs = draw(st.sampled_from([{}, {"source": ["census"]}, {"source": "survey"}]))
    return frame


def outcome(join: Callable[[], gpd.GeoDataFrame]) -> tuple[Any, list[tuple[type, str]]]:
    """Return a result or an error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found: Any = join()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found = type(error), str(error)
    return found, [(each.category, str(each.message)) for each in caught]


def assert_same_frames(expected: gpd.GeoDataFrame, actual: gpd.GeoDataFrame) -> None:
    """Compare more than `assert_geodataframe_equal` does."""
    if expected.columns.is_unique:
        assert_geodataframe_equal(expected, actual)
    else:
        pd.testing.assert_frame_equal(pd.DataFrame(expected), pd.DataFrame(actual))
    pd.testing.assert_index_equal(expected.index, actual.index, exact=True)
    pd.testing.assert_index_equal(expected.columns, actual.columns, exact=True)
    assert expected.dtypes.tolist() == actual.dtypes.tolist()
    assert expected.attrs == actual.attrs
    assert expected.active_geometry_name == actual.active_geometry_name
    assert type(actual) is gpd.GeoDataFrame
    for at in range(expected.shape[1]):
        one, other = expected.iloc[:, at].array, actual.iloc[:, at].array
        assert type(one) is type(other)
        if one.dtype == np.object_:
            assert [type(each) for each in one] == [type(each) for each in other]
        if one.dtype == "geometry":
            assert one.crs == other.crs


APART = gpd.GeoDataFrame(
    geometry=[shapely.box(2 * x, y, 2 * x + 1, y + 1) for x in range(3) for y in range(0, 4, 2)],
    crs=4326,
)
"""Zones that have nothing in common, so that GeoPandas gives pairs in one order only."""


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(HOWS), st.sampled_from([0, 1, 2, 40]), SEEDS)
def test_frames_of_all_kinds_are_joined_as_by_geopandas(
    data: st.DataObject, how: str, count: int, seed: int
) -> None:
    """Columns of any type and name, labels, attributes: results, warnings and errors are equal."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.5, 5.5, (2, count))
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*places, crs=4326))
    points = data.draw(dressed(points), label="points")
    zones = data.draw(dressed(APART.iloc[: data.draw(st.integers(0, 6))]), label="zones")
    if data.draw(st.integers(0, 9)) == 0:  # two columns of one name
        points = pd.concat([points, points.drop(columns=points.active_geometry_name)], axis=1)
    options = data.draw(
        st.sampled_from([{}, {}, {"lsuffix": "x", "rsuffix": "y"}, {"lsuffix": "", "rsuffix": ""}])
    )
    expected, told = outcome(
        lambda: gpd.sjoin(points, zones, predicate="covered_by", how=how, **options)
    )
    actual, told_here = outcome(lambda: gt.sjoin(points, zones, how=how, **options))
    assert told == told_here
    if isinstance(expected, tuple):
        assert expected == actual
    else:
        assert isinstance(actual, gpd.GeoDataFrame), actual
        assert_same_frames(expected, actual)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_each_kind_are_taken_as_by_geopandas(kind: str, how: str) -> None:
    """On either side, with and without rows that find nothing."""
    rng = np.random.default_rng(5)
    zones = APART.assign(code=KINDS[kind](rng, len(APART)))
    places = rng.uniform(-0.5, 5.5, (2, 200))
    points = gpd.GeoDataFrame(
        {"value": KINDS[kind](rng, 200)}, geometry=gpd.points_from_xy(*places), crs=4326
    )
    for some in (points, points.iloc[50:], points.iloc[:1]):
        for few in (zones, zones.iloc[2:], zones.iloc[:1]):
            expected = gpd.sjoin(some, few, predicate="covered_by", how=how)
            assert_same_frames(expected, gt.sjoin(some, few, how=how))


@pytest.mark.parametrize("how", HOWS)
def test_text_may_lie_in_several_pieces(how: str) -> None:
    """As it does when frames were put one below the other."""
    zones = pd.concat([APART.iloc[:2].assign(code="a"), APART.iloc[2:].assign(code=None)])
    places = np.random.default_rng(6).uniform(-0.5, 5.5, (2, 100))
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*places), crs=4326)
    points = pd.concat([points.assign(who="x"), points.assign(who="yy")])
    expected = gpd.sjoin(points, zones, predicate="covered_by", how=how)
    assert_same_frames(expected, gt.sjoin(points, zones, how=how))


def test_more_zones_than_16_bits_can_number() -> None:
    """For "right" they are sorted in another way; the order is the same."""
    west, south = np.divmod(np.arange(70_000), 300) * np.array([[0.5], [0.25]])
    zones = gpd.GeoDataFrame(geometry=shapely.box(west, south, west + 0.4, south + 0.2), crs=4326)
    places = np.random.default_rng(7).uniform(0, [[117], [75]], (2, 2_000))
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*places), crs=4326)
    expected = gpd.sjoin(points, zones, predicate="covered_by", how="right")
    assert_same_frames(expected, gt.sjoin(points, zones, how="right"))


def test_a_frame_of_many_columns_may_be_added_to() -> None:
    """Pandas warns of frames with too many arrays; a join is none of those."""
    many = pd.DataFrame(np.zeros((len(APART), 150)), columns=[f"c{at}" for at in range(150)])
    zones = gpd.GeoDataFrame(many, geometry=APART.geometry)
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.5, 9], [0.5, 9]), crs=4326)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joined = gt.sjoin(points, zones)
        joined["more"] = 1
    assert 1 == len(joined)


def test_a_joined_frame_holds_nothing_of_the_frames_before() -> None:
    """Writing to a join, in place and into its arrays, leaves both frames as they were."""
    points = gpd.GeoDataFrame(
        {"who": [1, 2]}, geometry=gpd.points_from_xy([0.5, 0.6], [0.5, 0.6]), crs=4326
    )
    for how in HOWS:
        zones = APART.iloc[:1].assign(code="a", size=1.5)
        before = points.copy(), zones.copy()
        joined = gt.sjoin(points, zones, how=how)
        for name, value in (("who", 7), ("code", "b"), ("size", 9.0)):
            joined.loc[:, name] = value
        joined.loc[:, "geometry"] = None
        assert_geodataframe_equal(before[0], points)
        assert_geodataframe_equal(before[1], zones)


# -- what is refused -----------------------------------------------------------------------------


def test_a_mismatch_of_systems_warns_as_in_geopandas() -> None:
    """The warning is GeoPandas' own."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    for some in (points.set_crs(None, allow_override=True), points.to_crs(4258)):
        with pytest.warns(UserWarning, match="CRS mismatch"):
            wanted = peer(some, zones)
        with pytest.warns(UserWarning, match="CRS mismatch"):
            actual = gt.sjoin(some, zones)
        assert_geodataframe_equal(wanted, actual)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gt.sjoin(
            points.set_crs(None, allow_override=True), zones.set_crs(None, allow_override=True)
        )


def test_projected_frames_are_refused() -> None:
    """Straight edges are other lines in another plane: the message says how to convert."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    with pytest.raises(InvalidInput) as caught:
        gt.sjoin(points, zones.to_crs(3067))
    assert (
        "crs of zones: must be longitude and latitude in degrees: convert with to_crs(4326) "
        "(ETRS89 / TM35FIN(E,N))" == str(caught.value)
    )
    with pytest.raises(InvalidInput, match=r"crs of points: .*to_crs"):
        gt.sjoin(points.to_crs(3067), zones)


def test_zones_that_can_not_be_matched_are_named_by_row() -> None:
    """Every wrong row is named, with what is wrong with it."""
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    points = gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326)
    outlines = [None, bow, shapely.Point(0, 0), shapely.box(170, 0, 190, 1)]
    with pytest.raises(InvalidZone) as caught:
        gt.sjoin(points, gpd.GeoDataFrame(geometry=outlines, crs=4326))
    assert [
        ("zones, row 2", "Point", "must be a Polygon or MultiPolygon"),
        (
            "zones, row 3",
            "(170.0, 0.0, 190.0, 1.0)",
            "must lie within longitude +-180 and latitude +-90",
        ),
    ] == [(each.path, each.value, each.reason) for each in caught.value.problems]
    outlines = [bow, None, shapely.box(0, 0, 1, 1), bow]
    with pytest.raises(InvalidZone) as caught:
        gt.sjoin(points, gpd.GeoDataFrame(geometry=outlines, crs=4326))
    assert [
        "zones, row 0: is not a valid outline (Self-intersection[0.5 0.5])",
        "zones, row 3: is not a valid outline (Self-intersection[0.5 0.5])",
    ] == [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("how", HOWS)
def test_whatever_is_in_one_place_is_a_point(how: str) -> None:
    """As for GeoPandas: a multipoint of one point, a line that goes nowhere, on an outline too."""
    zones = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    places = [
        shape
        for x in (0.5, 1.0, 1.5)
        for shape in (
            shapely.MultiPoint([(x, 0.5), (x, 0.5)]),
            shapely.LineString([(x, 0.5), (x, 0.5)]),
            shapely.GeometryCollection([shapely.Point(x, 0.5)]),
        )
    ]
    points = gpd.GeoDataFrame({"who": range(9)}, geometry=places, crs=4326)
    assert 6 == len(assert_as_geopandas(points, zones, how=how).dropna())


def test_points_that_are_no_points_are_named() -> None:
    """A line among the points is refused with its row."""
    zones = frame_of_zones()
    places = [shapely.Point(0, 0), None, shapely.LineString([(0, 0), (1, 1)])]
    points = gpd.GeoDataFrame(geometry=places, crs=4326)
    with pytest.raises(InvalidPing) as caught:
        gt.sjoin(points, zones)
    assert "points, row 2: must be a Point (LineString)" == str(caught.value)


def test_what_geopandas_refuses_is_refused_by_it() -> None:
    """No frame of points, another `how`, a column in the way: the errors are GeoPandas' own."""
    zones = frame_of_zones()
    points = frame_of_points(zones)
    with pytest.raises(ValueError, match="should be GeoDataFrame"):
        gt.sjoin(pd.DataFrame({"a": [1]}), zones)
    with pytest.raises(ValueError, match="expected to be in"):
        gt.sjoin(points, zones, how="outer")
    with pytest.raises(ValueError, match="cannot be a column name"):
        gt.sjoin(points.assign(index_right=1), zones)
    with pytest.raises(InvalidInput, match="zones: must be a GeoDataFrame or a ZoneIndex"):
        gt.sjoin(points, [shapely.box(0, 0, 1, 1)])


# -- a ready index -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["inner", "left"])
def test_a_ready_index_gives_the_same_pairs(how: str) -> None:
    """With a `ZoneIndex` the joined column holds its ids; rows and labels are the same."""
    zones = frame_of_zones(400, code=[f"z{number}" for number in range(400)])
    points = frame_of_points(zones).set_index("who")
    index = gt.ZoneIndex.from_geopandas(zones[["code", "geometry"]], id="code")
    wanted = peer(points, zones[["code", "geometry"]], how=how).drop(columns="index_right")
    actual = gt.sjoin(points, index, how=how)
    assert isinstance(actual["zone_id"].dtype, pd.CategoricalDtype)
    actual["code"] = actual.pop("zone_id").astype(wanted["code"].dtype)
    assert_geodataframe_equal(wanted, actual)


def test_a_ready_index_knows_circles_and_the_antimeridian() -> None:
    """There the index decides: circles are zones, and both names of the meridian are one."""
    document = {
        "type": "Feature",
        "id": "island",
        "properties": {"radius_m": 1000},
        "geometry": {"type": "Point", "coordinates": [180, 0]},
    }
    index = gt.ZoneIndex.from_geojson(document)
    points = gpd.GeoDataFrame(geometry=shapely.points([180, -180, -179.999, 0], [0, 0, 0, 0]))
    assert [0, 1, 2] == gt.sjoin(points, index).index.tolist()


def test_what_does_not_fit_a_ready_index_is_refused() -> None:
    """WGS 84, inner or left, and no column of the same name."""
    index = gt.ZoneIndex.build(stars(2))
    points = frame_of_points(frame_of_zones())
    with pytest.raises(InvalidInput, match="how: must be inner or left"):
        gt.sjoin(points, index, how="right")
    with pytest.raises(InvalidInput, match=r"crs of points: must be WGS 84.*to_crs\(4326\)"):
        gt.sjoin(points.to_crs(4258), index)
    with pytest.raises(InvalidInput, match="zone_id: is a column of the pings already"):
        gt.sjoin(points.assign(zone_id=1), index)
    with pytest.raises(InvalidInput, match="points: must be a GeoDataFrame"):
        gt.sjoin(pd.DataFrame({"a": [1]}), index)
