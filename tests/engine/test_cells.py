"""Cells in arrays against h3."""

from __future__ import annotations

import subprocess
import sys
from itertools import repeat
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geotarget.engine import cells, icosahedron
from geotarget.engine.compiled import COMPILED
from geotarget.errors import InvalidInput, InvalidPing

TOLERANCE_DEG = 1e-9
"""Nearer to a border than this, the cell on either side of it is right."""

FACE_CENTRES = icosahedron.CENTRES @ icosahedron.FRAME


def unit_vectors(lng: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Return points of the unit sphere, shape (n, 3)."""
    x, y = np.radians(lng), np.radians(lat)
    return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=1)


def degrees_of(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return longitude and latitude of vectors of any length."""
    x, y, z = vectors.T
    return np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))


def everywhere(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points all over the Earth: half of them where H3 is difficult.

    Those lie near pentagons, along the edges of the icosahedron, near the centres of its faces,
    near the poles and near the antimeridian; from 10 degrees to a millimetre away, and upon them.
    """
    rng = np.random.default_rng(seed)
    fives = np.array([h3.cell_to_latlng(cell) for cell in sorted(h3.get_pentagons(0))])
    corners = unit_vectors(fives[:, 1], fives[:, 0])
    beside = np.argsort(-corners @ corners.T, axis=1)[:, 1:6]
    first = rng.integers(0, 12, count)
    second = beside[first, rng.integers(0, 5, count)]
    along = rng.uniform(0, 1, (count, 1))
    meridian = unit_vectors(np.full(count, 180.0), rng.uniform(-90, 90, count))
    hard = [
        corners[first],
        corners[first] * along + corners[second] * (1 - along),
        FACE_CENTRES[rng.integers(0, 32, count)],
        np.array([[0, 0, 1.0], [0, 0, -1.0]])[rng.integers(0, 2, count)],
        meridian,
    ]
    spread = np.radians(10.0 ** rng.uniform(-8, 1, (count, 1)))
    near = np.choose(rng.integers(0, 5, (count, 1)), hard) + rng.normal(0, 1, (count, 3)) * spread
    easy = rng.uniform(0, 1, count) < 0.5
    lng, lat = degrees_of(np.where(easy[:, None], rng.normal(0, 1, (count, 3)), near))
    upon = np.arange(count) % 50
    lng[upon == 0], lng[upon == 1] = 180.0, -180.0
    lat[upon == 2], lat[upon == 3], lat[upon == 4] = 90.0, -90.0, 0.0
    lng[upon == 5] = -0.0
    exact = np.flatnonzero(upon == 6)
    lat[exact], lng[exact] = fives[first[exact]].T
    return lng, lat


def of_h3(lng: np.ndarray, lat: np.ndarray, resolution: int) -> np.ndarray:
    """Return the oracle's cells."""
    found = map(h3.latlng_to_cell, lat.tolist(), lng.tolist(), repeat(resolution))
    return np.fromiter(found, np.uint64, len(lng))


def strays(lng: np.ndarray, lat: np.ndarray, resolution: int) -> list[tuple[Any, ...]]:
    """Return the points whose cell is not h3's, nor h3's of a point within the tolerance.

    Next to the centre of a face h3's own rounding is larger; see the module.
    """
    actual = cells.cells_at(lng=lng, lat=lat, resolution=resolution)
    wanted = of_h3(lng, lat, resolution)
    found = []
    for n in np.flatnonzero(actual != wanted).tolist():
        place = unit_vectors(lng[n : n + 1], lat[n : n + 1])
        centre = np.linalg.norm(FACE_CENTRES - place, axis=1).min()
        reach = max(TOLERANCE_DEG, np.degrees(1e-16 / max(centre, 1e-8)))
        bearing = np.pi / 4 * np.arange(8)
        x = lng[n] + reach * np.cos(bearing) / max(np.cos(np.radians(lat[n])), 1e-9)
        y = np.clip(lat[n] + reach * np.sin(bearing), -90, 90)
        if actual[n] not in of_h3(np.clip(x, -180, 180), y, resolution):
            found.append((lng[n], lat[n], hex(actual[n]), hex(wanted[n])))
    return found


@pytest.mark.parametrize("resolution", range(16))
def test_cells_are_those_of_h3(resolution: int) -> None:
    """The cell of each point is what h3 says, at pentagons, seams, poles and anywhere else."""
    lng, lat = everywhere(6000, seed=resolution)
    assert [] == strays(lng, lat, resolution)
    actual = cells.cells_at(lng=lng, lat=lat, resolution=resolution)
    assert np.uint64 == actual.dtype
    assert [resolution] * len(lng) == cells.resolutions(actual).tolist()


@pytest.mark.slow
def test_two_million_cells_are_those_of_h3() -> None:
    """The same for as many points as show what happens once in a million."""
    for resolution in range(16):
        assert [] == strays(*everywhere(125_000, seed=100 + resolution), resolution)


NUMBERS = st.floats(-180, 180) | st.sampled_from([0.0, -0.0, 5e-324, -1e-300, 45.0, -135.0])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), st.integers(0, 15))
@example([(180.0, 180.0), (-180.0, -180.0), (-0.0, -0.0), (0.0, 5e-324)], 15)
def test_cells_are_those_of_h3_for_any_floats(
    points: list[tuple[float, float]], resolution: int
) -> None:
    """Tiny, negative zero, whole or of many digits: no float is special."""
    lng, lat = np.array(points).T
    assert [] == strays(lng, lat / 2, resolution)


@pytest.mark.parametrize("resolution", range(16))
def test_cells_just_inside_their_corners_are_those_of_h3(resolution: int) -> None:
    """From a cell's corners a little towards its centre, the cell is found again.

    Pentagons and their neighbours are among the cells: their corners lie on edges of the solid.
    """
    fives = h3.get_pentagons(resolution)
    some = sorted({near for cell in fives for near in h3.grid_disk(cell, 1)})
    points, wanted = [], []
    for cell in some:
        corners = np.array(h3.cell_to_boundary(cell))
        centre = np.array(h3.cell_to_latlng(cell))
        if np.ptp(corners[:, 1]) < 180:
            points += list(corners + (centre - corners) * 0.01)
            wanted += [cell] * len(corners)
    lat, lng = np.array(points).T
    same = of_h3(lng, lat, resolution) == wanted  # borders of large cells are arcs, not chords
    assert same.mean() > 0.9
    actual = cells.cells_at(lng=lng, lat=lat, resolution=resolution)
    assert np.array(wanted)[same].tolist() == actual[same].tolist()


def test_both_ends_of_longitude_are_one_meridian() -> None:
    """-180 and 180 give the same cells, so do zeros of either sign."""
    lat = np.random.default_rng(1).uniform(-90, 90, 500)
    for resolution in range(16):
        east, west, plus, minus = (
            cells.cells_at(lng=np.full(500, lng), lat=lat, resolution=resolution).tolist()
            for lng in (180.0, -180.0, 0.0, -0.0)
        )
        assert west == east
        assert minus == plus


def test_any_column_of_numbers_is_taken() -> None:
    """Lists, integers, single precision, strides, read-only arrays and scalars; none is changed."""
    lng, lat = np.array([24.5, -180.0, 7.0, 0.0]), np.array([60.25, 90.0, -7.0, 0.0])
    wanted = of_h3(lng, lat, 9).tolist()
    frozen = lng.copy()
    frozen.flags.writeable = False
    for given_lng, given_lat in (
        (lng.tolist(), tuple(lat.tolist())),
        (lng.astype(np.float32), lat.astype(np.float32)),
        (np.repeat(lng, 2)[::2], np.repeat(lat, 3)[::3]),
        (lng.astype(">f8"), lat),
        (frozen, lat),
    ):
        actual = cells.cells_at(lng=given_lng, lat=given_lat, resolution=9)
        assert wanted == actual.tolist()
    assert wanted[:1] == cells.cells_at(lng=24.5, lat=60.25, resolution=9).tolist()
    assert [24.5, -180.0, 7.0, 0.0] == lng.tolist()


@pytest.mark.skipif(not COMPILED, reason="there is nothing to compile without numba")
def test_one_compilation_serves_all() -> None:
    """Neither the resolution nor the make of a column compiles the kernel anew."""
    lng = np.array([1.0, 2.0])
    cells.cells_at(lng=lng, lat=lng, resolution=3)
    lng.flags.writeable = False
    cells.cells_at(lng=lng, lat=lng[::-1], resolution=np.int32(15))
    assert 1 == len(cells._cells.signatures)


def test_no_points_have_no_cells() -> None:
    """An empty batch gives an empty array."""
    actual = cells.cells_at(lng=[], lat=[], resolution=7)
    assert ((0,), np.uint64) == (actual.shape, actual.dtype)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_give_the_same_cells(threads: int) -> None:
    """However the work is shared, each point has its cell."""
    lng, lat = everywhere(100_001, seed=3)
    wanted = cells.cells_at(lng=lng, lat=lat, resolution=11)
    actual = cells.cells_at(lng=lng, lat=lat, resolution=11, threads=threads)
    assert wanted.tolist() == actual.tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [("lng", np.nan), ("lng", np.inf), ("lng", -180.0000001), ("lat", np.nan), ("lat", 90.5)],
)
@pytest.mark.parametrize("count", [3, 1000])
def test_coordinates_out_of_range_are_refused(name: str, value: float, count: int) -> None:
    """The error names the coordinate, its position and its bound."""
    columns = {"lng": np.zeros(count), "lat": np.zeros(count)}
    columns[name][count - 2] = value
    bound = {"lng": "-180 and 180", "lat": "-90 and 90"}[name]
    with pytest.raises(InvalidPing) as error:
        cells.cells_at(**columns, resolution=9)
    (problem,) = error.value.problems
    assert (f"{name}[{count - 2}]", str(value)) == (problem.path, problem.value)
    assert problem.reason.endswith(f"must be a finite number within {bound}")


def test_columns_of_two_lengths_are_refused() -> None:
    """Each point needs both of its coordinates."""
    with pytest.raises(InvalidPing, match=r"must be of one length \(2 and 1\)"):
        cells.cells_at(lng=[1, 2], lat=[1], resolution=9)


@pytest.mark.parametrize("resolution", [-1, 16, 9.0, "9", None])
def test_resolutions_that_h3_lacks_are_refused(resolution: Any) -> None:
    """The error names the value and the bounds."""
    with pytest.raises(InvalidInput) as error:
        cells.cells_at(lng=0, lat=0, resolution=resolution)
    wanted = f"resolution: must be a whole number from 0 to 15 ({resolution!r})"
    assert wanted == str(error.value)


@pytest.mark.parametrize("threads", [0, -2, 1.5])
def test_no_thread_is_refused(threads: Any) -> None:
    """There is at least one."""
    with pytest.raises(InvalidInput) as error:
        cells.cells_at(lng=0, lat=0, resolution=9, threads=threads)
    wanted = f"threads: must be a whole number of at least 1 ({threads})"
    assert wanted == str(error.value)


def test_plain_python_gives_the_same_bits() -> None:
    """Where numba is missing, and where borders are a rounding error away, cells are the same."""
    script = (
        "import sys; sys.modules[{block!r}] = None\n"
        "import numpy as np\n"
        "from geotarget.engine.cells import cells_at\n"
        "from geotarget.engine.compiled import COMPILED\n"
        "from tests.engine.test_cells import border_points\n"
        "print(COMPILED, file=sys.stderr)\n"
        "for resolution in (0, 1, 8, 15):\n"
        "    lng, lat = border_points(resolution)\n"
        "    print(cells_at(lng=lng, lat=lat, resolution=resolution).tolist())\n"
    )
    plain, compiled = (
        subprocess.run(
            [sys.executable, "-W", "error", "-c", script.format(block=block)],
            capture_output=True,
            text=True,
            check=True,
        )
        for block in ("numba", "no_such_module")
    )
    assert compiled.stdout == plain.stdout
    # the first process of a fresh machine says as well that it compiles
    assert "True" in compiled.stderr.splitlines()
    assert ["False"] == plain.stderr.splitlines()


def border_points(resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points all over the Earth, and corners of the cells that they lie in."""
    lng, lat = everywhere(100, seed=9)
    corners = [h3.cell_to_boundary(int(cell)) for cell in set(of_h3(lng, lat, resolution))]
    y, x = np.array([corner for each in sorted(corners) for corner in each]).T
    return np.concatenate([lng, x]), np.concatenate([lat, y])


def test_the_frame_lays_pentagons_on_corners() -> None:
    """The fitted frame is a rotation that maps the 12 pentagons onto the solid's corners."""
    frame = icosahedron.FRAME
    assert np.abs(frame @ frame.T - np.eye(3)).max() < 1e-15
    assert np.linalg.det(frame) > 0
    fives = np.array([h3.cell_to_latlng(cell) for cell in h3.get_pentagons(0)])
    laid = np.abs(unit_vectors(fives[:, 1], fives[:, 0]) @ frame.T) * np.sqrt(
        1 + icosahedron.PHI**2
    )
    assert np.abs(np.sort(laid, axis=1) - [0.0, 1.0, icosahedron.PHI]).max() < 2e-15


def test_places_name_all_base_cells() -> None:
    """All 122 base cells have places, and all 12 pentagons have faces beside their gap."""
    base = icosahedron.PLACES & 127
    assert list(range(122)) == np.unique(base).tolist()
    torn = np.unique(base[icosahedron.PLACES >> 10 > 0])
    wanted = {h3.get_base_cell_number(cell) for cell in h3.get_pentagons(0)}
    assert sorted(wanted) == torn.tolist()


def test_names_are_those_of_h3() -> None:
    """Cells are written as h3 writes them."""
    found = cells.cells_at(lng=[24.94, -180, 0], lat=[60.17, 90, 0], resolution=15)
    for resolution in range(16):
        each = cells.parents(found, resolution)
        assert [h3.int_to_str(cell) for cell in each.tolist()] == cells.to_strings(each).tolist()
    assert [] == cells.to_strings(found[:0]).tolist()


def test_ancestors_are_those_of_h3() -> None:
    """The bits alone give the parent that h3 gives."""
    lng, lat = everywhere(300)
    fine = cells.cells_at(lng=lng, lat=lat, resolution=12)
    for resolution in range(13):
        wanted = [h3.cell_to_parent(cell, resolution) for cell in fine.tolist()]
        assert wanted == cells.parents(fine, resolution).tolist()
