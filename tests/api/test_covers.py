"""The H3 cells of zones: every place in a zone has its cell, and whole cells lie inside."""

from __future__ import annotations

import time
from typing import Any

import h3
import numpy as np
import pytest
import shapely
from shapely.geometry import mapping

from geotarget import ZoneIndex
from geotarget.api.covers import MOST_CELLS, SHOWN
from geotarget.engine.cells import cells_at, to_strings
from geotarget.engine.ellipsoid import GEOD
from geotarget.geojson import parse_zone
from tests.api.conftest import Api
from tests.api.documents import collection, square

SQUARE = shapely.box(24.0, 60.0, 25.0, 60.5)
HOLE = shapely.box(24.3, 60.1, 24.7, 60.3)
SEAM_EAST, SEAM_WEST = shapely.box(179, 59, 180, 61), shapely.box(-180, 59, -179, 61)
SHAPES: dict[str, Any] = {
    "square": SQUARE,
    "hole": SQUARE - HOLE,
    "parts": shapely.MultiPolygon([SQUARE, shapely.box(26, 60, 26.2, 60.1)]),
    "wide": shapely.box(20, 60, 120, 75),
    "antimeridian": shapely.MultiPolygon([SEAM_EAST, SEAM_WEST]),
    "antimeridian with a hole over it": shapely.MultiPolygon([SEAM_EAST, SEAM_WEST])
    - shapely.MultiPolygon(
        [shapely.box(179.5, 59.8, 180, 60.2), shapely.box(-180, 59.8, -179.5, 60.2)]
    ),
    "a pole": shapely.box(-180, -90, 180, -75),
    "circle": (24.94, 60.17, 300.0),
    "small circle": (24.94, 60.17, 5.0),
    "circle over the antimeridian": (179.99, 10.0, 5_000.0),
    "circle around a pole": (10.0, 90.0, 100_000.0),
    "circle over a pole": (10.0, -89.5, 100_000.0),
    "circle beside a pole": (10.0, 89.0, 100_000.0),
}  # fmt: skip


def feature(shape: Any) -> dict[str, Any]:
    """Return a shape, or (lng, lat, radius), as a zone."""
    if isinstance(shape, tuple):
        *centre, radius_m = shape
        point = {"type": "Point", "coordinates": centre}
        return {"type": "Feature", "geometry": point, "properties": {"radius_m": radius_m}}
    return {"type": "Feature", "geometry": mapping(shape), "properties": {}}


def places_in(shape: Any, number: int = 20_000) -> tuple[Any, Any]:
    """Return places spread over a shape."""
    chance = np.random.default_rng(7)
    if isinstance(shape, tuple):
        lng, lat, radius_m = shape
        far = radius_m * np.sqrt(chance.uniform(0, 0.997, number))  # the rim has 64 corners
        whereto = chance.uniform(0, 360, number)
        x, y, _ = GEOD.fwd(np.full(number, lng), np.full(number, lat), whereto, far)
        return x, y
    found = []
    for part in shapely.get_parts(shape):
        west, south, east, north = part.bounds
        x, y = chance.uniform(west, east, number), chance.uniform(south, north, number)
        kept = shapely.contains_xy(part, x, y)
        found.append((x[kept], y[kept]))
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])


def places_of(outline: list[list[float]]) -> Any:
    """Return places in a cell, from its outline."""
    corners = np.array(outline[:-1])
    shares = np.random.default_rng(8).dirichlet(np.ones(len(corners)), 40)
    return shares @ corners


@pytest.mark.parametrize("name", SHAPES)
def test_a_cover_leaves_nothing_out(lasting: Api, name: str) -> None:
    """Each place in the zone lies in a cell, each place of a whole cell in the zone."""
    shape = SHAPES[name]
    document = feature(shape)
    found = lasting.call("POST", "/v1/zones:cells?outlines=true", json=document, expect=200)
    assert 0 < found["count"] == len(found["cells"]) <= SHOWN
    assert found["whole"] == sum(each["whole"] for each in found["cells"]) > 0
    names = [each["cell"] for each in found["cells"]]
    assert names == sorted(set(names))
    lng, lat = places_in(shape)
    cells = to_strings(cells_at(lng=lng, lat=lat, resolution=found["resolution"]))
    assert set() == set(cells.tolist()) - set(names)
    index = ZoneIndex.build([parse_zone(document | {"id": name})])
    inside = np.concatenate(
        [places_of(each["outline"]) for each in found["cells"] if each["whole"]]
    )
    turned = (inside[:, 0] + 540.0) % 360.0 - 180.0
    hits = index.query(lng=turned, lat=inside[:, 1])
    assert len(inside) == len(hits[0])


def test_whole_cells_are_those_of_the_library(lasting: Api) -> None:
    """Of a zone with a hole, far from poles and the antimeridian: touched and full ones."""
    found = lasting.call(
        "POST", "/v1/zones:cells?resolution=7", json=feature(SHAPES["hole"]), expect=200
    )
    for mode, flags in (("overlap", {True, False}), ("full", {True})):
        expected = h3.h3shape_to_cells_experimental(h3.geo_to_h3shape(SHAPES["hole"]), 7, mode)
        assert set(expected) == {each["cell"] for each in found["cells"] if each["whole"] in flags}


def test_cells_of_a_stored_zone(api: Api) -> None:
    """By its id, slashes and all; the default is the finest with few cells, outlines on demand."""
    api.call("PUT", "/v1/zones/shop/1", json=square(), expect=200)
    found = api.call("GET", "/v1/zones/shop/1/cells", expect=200)
    finer = f"/v1/zones/shop/1/cells?resolution={found['resolution'] + 1}"
    assert found["count"] <= SHOWN < api.call("GET", finer, expect=200)["count"]
    assert {None} == {each["outline"] for each in found["cells"]}
    assert found == api.call("POST", "/v1/zones:cells", json={"zone": "shop/1"}, expect=200)
    coarse = api.call("GET", "/v1/zones/shop/1/cells?resolution=0&outlines=true", expect=200)
    assert [(1, 0), False] == [(coarse["count"], coarse["whole"]), coarse["cells"][0]["whole"]]
    outline = coarse["cells"][0]["outline"]
    assert outline[0] == outline[-1]
    assert 404 == api.call("GET", "/v1/zones/nowhere/cells", expect=404)["status"]


def test_a_cell_on_the_antimeridian_is_in_one_piece(lasting: Api) -> None:
    """Its outline goes on beyond 180, and no edge runs around the world."""
    document = feature(SHAPES["antimeridian"])
    found = lasting.call("POST", "/v1/zones:cells?outlines=true", json=document, expect=200)
    rings = [np.array(each["outline"]) for each in found["cells"]]
    assert any((np.abs(ring[:, 0]) > 180).any() for ring in rings)
    assert all(np.abs(np.diff(ring[:, 0])).max() < 10 for ring in rings)


def test_too_many_cells_are_refused_with_what_fits(lasting: Api) -> None:
    """The bound and the finest resolution are named, and that one is answered; at no great cost."""
    document = feature(SHAPES["hole"])
    began = time.process_time()
    refused = lasting.call("POST", "/v1/zones:cells?resolution=15", json=document, expect=422)
    assert time.process_time() - began < 2.0
    (error,) = refused["errors"]
    assert ("resolution", "15") == (error["path"], error["value"])
    fits = error["reason"].removeprefix(
        f"would give more than {MOST_CELLS:,} cells; the finest resolution that fits is "
    )
    path = "/v1/zones:cells?resolution="
    assert SHOWN < lasting.call("POST", path + fits, json=document, expect=200)["count"]
    lasting.call("POST", f"{path}{int(fits) + 1}", json=document, expect=422)


@pytest.mark.parametrize("resolution", ["16", "-1", "fine"])
def test_there_are_sixteen_resolutions(lasting: Api, resolution: str) -> None:
    """Anything else is refused."""
    lasting.call("GET", f"/v1/zones/z/cells?resolution={resolution}", expect=422)


def test_no_zone_hides_behind_the_address_of_cells(api: Api) -> None:
    """An id that ends like the address is refused by both doors."""
    put = api.call("PUT", "/v1/zones/shop/cells", json=square(), expect=422)
    assert "may not end in /cells" in put["errors"][0]["reason"]
    document = collection(square("a"), square("shop/cells"))
    found = api.call("POST", "/v1/zones", json=document, expect=200)
    assert (1, 1) == (found["accepted"], found["rejected_count"])
    (rejected,) = found["rejected"]
    assert (1, "$.features[1].id") == (rejected["index"], rejected["errors"][0]["path"])
