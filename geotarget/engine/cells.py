"""H3 cells in arrays: the cell of each point, its ancestors and its name.

For display and for reports; matching does not need them. `cells_at` gives what h3 gives, one
compiled loop over the whole array instead of one call a point.

**How.** No angle is computed, and nothing is searched. A point becomes a unit vector, in the frame
of `icosahedron`, where four sums and three signs name the face of the solid. Two products with that
face's axes, already turned and scaled for the resolution, are its coordinates on a lattice of
hexagons; the nearest point of that lattice is the cell. Digits follow from fine to coarse, since
the parent of a lattice point n is n / 7 rounded in the lattice of the parents. They are in the
face's directions; a table says which base cell they end in and by how much they must be turned.
Points go through each step in blocks of 512: most steps have no branches and become vector code.

**Exact?** Every step is plain float64, without contraction or reordering, so compiled and plain
runs give the same bits. The unit vector is good to about 2e-16, and the answer is
that of h3 unless a point lies so close to a border that the rounding of either decides: far within
1e-9 degrees, 0.1 mm. Only nearer than 20 m to one of the 20 face centres h3 itself strays further.
It takes the arc cosine of a number next to 1, and is wrong by up to 6e-17 / r at a distance r (both
in radians), at most 1 cm. The tests hold all of it against h3.

Costs, one core: 12 to 25 nanoseconds a point at any resolution, against 230 to 730 of h3 called
in a loop (`benchmarks/cells.py`); 4 microseconds a call; 2.5 s to compile, once. Ancestors take 4
and names 140 nanoseconds a cell. Plain Python takes 15 to 60 microseconds a point.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geotarget.engine import icosahedron
from geotarget.engine.compiled import njit
from geotarget.engine.coordinates import check_range, coordinates
from geotarget.errors import InvalidInput, Problem
from geotarget.model import FloatArray, IntArray, KeyArray

_RESOLUTION_AT = np.uint64(52)
_DIGITS = 15
_BLOCK = 512  # points; the work arrays of a block fit the fastest cache
_SHARE = 20_000  # points for which a thread of its own pays
_UNIT_DIGITS = 0o111111111111111  # 1 in each of 15 digits
_RADIAN = math.pi / 180.0

# Taylor series about 0 of sine and cosine without their first terms, highest power first. Up to 45
# degrees the next terms are below 5e-17 and 2e-18.
_SINE = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(7, 0, -1))
_COSINE = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(8, 0, -1))

_LETTERS = np.array(list("0123456789abcdef"))
_LETTERS_AT = np.arange(56, -1, -4).astype(np.uint64)

_PHI = icosahedron.PHI


def cells_at(*, lng: ArrayLike, lat: ArrayLike, resolution: int, threads: int = 1) -> KeyArray:
    """Return the cell of each point.

    Parameters
    ----------
    lng, lat
        Degrees, shape (n,); scalars are a batch of one. -180 and 180 are one meridian.
    resolution
        0 (cells with edges of 1,300 km) to 15 (half a metre).
    threads
        How many to use at most; answers do not depend on it.

    Returns
    -------
    ndarray of uint64, shape (n,)
        H3 indexes.

    Raises
    ------
    InvalidPing
        A coordinate is not finite or out of range (names its position), or the arrays are not of
        one length.
    InvalidInput
        There is no such resolution, or no thread.

    Examples
    --------
    >>> cells = cells_at(lng=[24.94, -180.0], lat=[60.17, 0.0], resolution=9)
    >>> to_strings(cells)
    array(['891126d338fffff', '897eb57221bffff'], dtype='<U15')
    """
    resolution = _whole("resolution", resolution, 0, icosahedron.RESOLUTIONS - 1)
    threads = _whole("threads", threads, 1, None)
    x, y = (_writable(each) for each in coordinates(lng, lat))
    check_range(x, y)
    cells = np.empty(len(x), np.uint64)
    tables = icosahedron.FRAME, icosahedron.AXES[resolution], icosahedron.PLACES

    def fill(begin: int, end: int) -> None:
        _cells(x[begin:end], y[begin:end], resolution, *tables, cells[begin:end])

    shares = max(1, min(threads, len(x) // _SHARE))
    if shares == 1:
        fill(0, len(x))
    else:
        bounds = [len(x) * share // shares for share in range(shares + 1)]
        with ThreadPoolExecutor(shares) as pool:
            list(pool.map(fill, bounds[:-1], bounds[1:]))
    return cells


def resolutions(cells: KeyArray) -> IntArray:
    """Return the resolution of each cell, shape (n,)."""
    return ((cells >> _RESOLUTION_AT) & np.uint64(15)).astype(np.int64)


def parents(cells: KeyArray, resolution: int) -> KeyArray:
    """Return the ancestors of cells, by their bits alone.

    Parameters
    ----------
    cells
        Cells of `resolution` or finer, shape (n,).
    resolution
        Of the ancestors.

    Returns
    -------
    ndarray of uint64, shape (n,)
        A point's ancestor is not always the cell that `cells_at` gives for the point: children
        reach a little over the border of their parent.

    Examples
    --------
    >>> to_strings(parents(cells_at(lng=24.94, lat=60.17, resolution=9), 5))
    array(['851126d3fffffff'], dtype='<U15')
    """
    unused = np.uint64((1 << 3 * (_DIGITS - resolution)) - 1)
    kept = cells & ~np.uint64(15 << 52)
    return kept | np.uint64(resolution << 52) | unused


def to_strings(cells: KeyArray) -> NDArray[np.str_]:
    """Return the names of cells as H3 writes them: 15 hexadecimal digits, shape (n,).

    Examples
    --------
    >>> to_strings(np.array([0x891126D338FFFFF], np.uint64))
    array(['891126d338fffff'], dtype='<U15')
    """
    letters: NDArray[np.str_] = _LETTERS[cells[:, None] >> _LETTERS_AT & np.uint64(15)]
    return letters.view("U15").ravel()


def _whole(name: str, value: int, least: int, most: int | None) -> int:
    """Return a whole number within bounds, or raise `InvalidInput`."""
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidInput(Problem(name, repr(value)[:80], f"must be a whole number {bound}"))
    return number


def _writable(values: FloatArray) -> FloatArray:
    """Return an array that may be written to: the kernel is not compiled anew for any other."""
    return values if values.flags.carray else values.copy()


# -- the kernel: each step takes a block of points and leaves its results in the work arrays -----


@njit(error_model="numpy")
def _cells(
    lng: FloatArray,
    lat: FloatArray,
    resolution: int,
    frame: FloatArray,
    axes: FloatArray,
    places: IntArray,
    out: KeyArray,
) -> None:
    """Write the cells of points; tables as in `icosahedron`, axes those of the resolution.

    The tables are arguments because a kernel that is kept on disk would keep globals as they were.
    """
    work = np.empty((4, _BLOCK))
    for begin in range(0, len(lng), _BLOCK):
        end = min(begin + _BLOCK, len(lng))
        size = end - begin
        x, y, z, key = work[0, :size], work[1, :size], work[2, :size], work[3, :size]
        _project(lng[begin:end], lat[begin:end], frame, x, y, z, key)
        _onto_lattice(x, y, z, key, axes)
        _to_hexagons(x, y)
        _to_digits(x, y, z, resolution)
        _to_cells(x, y, z, key, resolution, places, out[begin:end])


@njit(error_model="numpy")
def _project(
    lng: FloatArray,
    lat: FloatArray,
    frame: FloatArray,
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    key: FloatArray,
) -> None:
    """Find each point's face, and its place on the face's plane in the axes of the frame."""
    for n in range(len(lng)):
        east, ahead = _sine_and_cosine(lng[n])
        up, level = _sine_and_cosine(lat[n])
        a = level * ahead
        b = level * east
        u = frame[0, 0] * a + frame[0, 1] * b + frame[0, 2] * up
        v = frame[1, 0] * a + frame[1, 1] * b + frame[1, 2] * up
        w = frame[2, 0] * a + frame[2, 1] * b + frame[2, 2] * up
        sum_0 = abs(u) + abs(v) + abs(w)
        sum_1 = abs(v) * (1 / _PHI) + abs(w) * _PHI
        sum_2 = abs(w) * (1 / _PHI) + abs(u) * _PHI
        sum_3 = abs(u) * (1 / _PHI) + abs(v) * _PHI
        face, greatest = (8.0, sum_1) if sum_1 > sum_0 else (0.0, sum_0)
        face, greatest = (16.0, sum_2) if sum_2 > greatest else (face, greatest)
        face, greatest = (24.0, sum_3) if sum_3 > greatest else (face, greatest)
        face += 1.0 if u < 0.0 else 0.0
        face += 2.0 if v < 0.0 else 0.0
        face += 4.0 if w < 0.0 else 0.0
        scale = 1.0 / greatest
        x[n] = u * scale
        y[n] = v * scale
        z[n] = w * scale
        key[n] = face


@njit(error_model="numpy")
def _sine_and_cosine(degrees: float) -> tuple[float, float]:
    """Return sine and cosine of an angle within +-180 degrees, to about 1e-16.

    Taking off quarters of a turn in degrees is exact, and leaves at most 45 for the series.
    """
    quarters = np.rint(degrees * (1 / 90.0))
    x = (degrees - 90.0 * quarters) * _RADIAN
    square = x * x
    sine = 0.0
    for factor in _SINE:
        sine = sine * square + factor
    sine = x + x * square * sine
    cosine = 0.0
    for factor in _COSINE:
        cosine = cosine * square + factor
    cosine = 1.0 + square * cosine
    sign = 1.0 - 0.5 * (quarters * quarters)  # of no turn and of half a turn
    across = quarters * quarters == 1.0
    return (
        cosine * quarters if across else sine * sign,
        -sine * quarters if across else cosine * sign,
    )


@njit(error_model="numpy")
def _onto_lattice(
    x: FloatArray, y: FloatArray, z: FloatArray, key: FloatArray, axes: FloatArray
) -> None:
    """Put coordinates along the lattice's two axes, 60 degrees apart, into x and y."""
    for n in range(len(x)):
        face = axes[int(key[n])]
        u, v, w = x[n], y[n], z[n]
        x[n] = face[0, 0] * u + face[0, 1] * v + face[0, 2] * w
        y[n] = face[1, 0] * u + face[1, 1] * v + face[1, 2] * w


@njit(error_model="numpy")
def _to_hexagons(x: FloatArray, y: FloatArray) -> None:
    """Round to the nearest point of the lattice, axes i and j, 120 degrees apart.

    Of the three coordinates, whose sum is 0, the one that rounding moves most follows from the
    other two.
    """
    for n in range(len(x)):
        a, b = x[n], y[n]
        c = -a - b
        near_a, near_b, near_c = np.rint(a), np.rint(b), np.rint(c)
        off_a, off_b, off_c = abs(near_a - a), abs(near_b - b), abs(near_c - c)
        move_a = off_a > off_b and off_a > off_c
        move_b = off_b > off_c and not move_a
        a = -near_b - near_c if move_a else near_a
        b = -near_a - near_c if move_b else near_b
        x[n] = a + b
        y[n] = b


@njit(error_model="numpy")
def _to_digits(i: FloatArray, j: FloatArray, digits: FloatArray, resolution: int) -> None:
    """Go up to resolution 0: leave the base cell's place in i and j, and the way as digits.

    A parent is its child over 7, turned by 19.1 degrees, one way at odd resolutions and the other
    way at even ones, and rounded: no quotient is near a half, and floats hold the digits exactly.
    """
    digits[:] = 0.0
    place = 1.0
    for finer in range(resolution, 0, -1):
        odd = finer % 2 == 1
        ii, ij, ji, jj = (3.0, -1.0, 1.0, 2.0) if odd else (2.0, 1.0, -1.0, 3.0)
        for n in range(len(i)):
            a, b = i[n], j[n]
            i[n] = np.rint((ii * a + ij * b) * (1 / 7.0))
            j[n] = np.rint((ji * a + jj * b) * (1 / 7.0))
            a -= jj * i[n] - ij * j[n]
            b -= ii * j[n] - ji * i[n]
            least = min(a, b, 0.0)
            digits[n] += place * (4.0 * a + 2.0 * b - 7.0 * least)
        place *= 8.0


@njit(error_model="numpy")
def _to_cells(
    i: FloatArray,
    j: FloatArray,
    digits: FloatArray,
    key: FloatArray,
    resolution: int,
    places: IntArray,
    out: KeyArray,
) -> None:
    """Turn the digits into the directions of their base cells and pack the indexes."""
    unused = 3 * (_DIGITS - resolution)
    stem = 1 << 59 | resolution << 52 | (1 << unused) - 1
    for n in range(len(key)):
        place = places[int(key[n]), int(i[n]) + 2, int(j[n]) + 2]
        way = _turned(int(digits[n]), place >> 7 & 1, place >> 8 & 3)
        over_the_gap = place >> 10
        if over_the_gap and _leading(way) == 1:
            way = _turned(way, 1, over_the_gap)
        out[n] = stem | (place & 127) << 45 | way << unused


@njit(error_model="numpy")
def _turned(digits: int, half: int, thirds: int) -> int:
    """Turn all digits at once, counter-clockwise: half a turn if `half`, and thirds of a turn.

    The bits of a digit are steps along three axes that are thirds of a turn apart. So a third moves
    the bits round, and half a turn complements those of digits that are not 0.
    """
    moved = (digits | digits >> 1 | digits >> 2) & _UNIT_DIGITS
    digits ^= moved * 7 * half
    low = (7 >> thirds) * _UNIT_DIGITS
    return (digits >> thirds & low) | (digits << 3 - thirds & 7 * _UNIT_DIGITS - low)


@njit(error_model="numpy")
def _leading(digits: int) -> int:
    """Return the first digit that is not 0, or 0."""
    while digits > 7:
        digits >>= 3
    return digits
