"""H3's icosahedron: where its faces lie, and which base cells lie on them, as tables for a kernel.

No number of H3 is written down here. The orientation of the solid, the numbers of the base cells
and how each of them is turned are read off the answers of `h3` itself when the module is imported
(some 900 questions, 6 ms); the rest is the geometry of the solid. So there is no copy that could
differ from the library, and no file.

**Frame.** In suitable axes the centres of the 20 faces are the corners of a dodecahedron:
(+-1, +-1, +-1), and (0, +-1/phi, +-phi) with its cyclic shifts. The face of a point p is then found
without a search: of the four sums |x| + |y| + |z|, |y|/phi + |z| phi, |z|/phi + |x| phi and
|x|/phi + |y| phi the greatest names the family, the signs of x, y and z the face. That sum is also
sqrt(3) times the cosine by which the gnomonic projection divides. A face's **key** is
8 * family + 1 (x < 0) + 2 (y < 0) + 4 (z < 0), 0 to 31; where a family has a coordinate that is 0,
two keys name one face.

**Plane.** On a face the centres of base cells are a hexagonal lattice around the face's centre. Its
unit is 1/phi**2 and its axis i points to a corner, two units away; j is 120 degrees further,
counter-clockwise seen from outside. Any of the three corners serves: a turn by 120 degrees maps the
lattices of all resolutions onto themselves, and `PLACES` undoes it.

**Places.** Only 16 points of the lattice matter, those within 0.61 of the triangle. For a child's
centre is its parent's or a neighbour of that, sqrt(7) times nearer, so what descends from a base
cell is at most 1/sqrt(7) + 1/7 + ... = 1/(sqrt(7) - 1) away from its centre. `PLACES` says for each
which base cell it is and how many sixths of a turn lead from the face's directions to those of the
cell. A pentagon lacks the direction of digit 1. On two of its five faces a point's digits may lead
into that gap, and are then turned once more, over the gap: `PLACES` says which way.
"""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np

from geotarget.model import FloatArray, IntArray

PHI = (1 + 5**0.5) / 2

RESOLUTIONS = 16

_UNIT = PHI**-2
_CLASS_III_RAD = np.arcsin(np.sqrt(3 / 28))  # lattices of odd resolutions are turned by this much
_MODE_CELL = 1 << 59
_BASE_CELLS = 122
_TURNS = np.array([0, 4, 2, 3, 0, 5, 1])  # a digit's direction, sixths from axis i
_DELETED = 1
_OVER_THE_GAP = np.array([0, 0, 0, 1, 0, 5, 0])  # from 3 it is a sixth ahead, from 5 behind

_SIGNS = [(x, y, z) for z in (1, -1) for y in (1, -1) for x in (1, -1)]
_CORNERS = np.array(
    [np.roll([x, 0, z * PHI], shift) for shift in range(3) for x, y, z in _SIGNS if y > 0]
) / np.sqrt(1 + PHI**2)
CENTRES = np.concatenate(
    [_SIGNS] + [np.roll([0, 1 / PHI, PHI], shift) * _SIGNS for shift in range(3)]
) / np.sqrt(3)
"""Unit vectors to the centres of faces by key, in the frame's axes, shape (32, 3)."""


def _unit_vectors(cells: list[int]) -> FloatArray:
    """Return the cells' centres on the unit sphere, Earth's axes, shape (n, 3)."""
    lat, lng = np.radians(np.array([h3.cell_to_latlng(cell) for cell in cells])).T
    return np.stack([np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)], axis=1)


def _fitted_frame() -> FloatArray:
    """Return the rotation, shape (3, 3), from Earth's axes to those of the frame.

    Two neighbouring pentagons laid on two neighbouring corners fix it; all twelve, by least
    squares, fix it to the last bit but one.
    """
    found = _unit_vectors(sorted(h3.get_pentagons(0)))
    neighbour = found[np.argsort(-found @ found[0])[1]]
    close = _CORNERS[np.argsort(-_CORNERS @ _CORNERS[0])[1]]
    frame = _basis(_CORNERS[0], close).T @ _basis(found[0], neighbour)
    matched = _CORNERS[np.argmax(found @ frame.T @ _CORNERS.T, axis=1)]
    left, _, right = np.linalg.svd(matched.T @ found)
    fitted: FloatArray = left @ right
    return fitted


def _basis(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return three orthonormal rows: along `first`, towards `second`, and across."""
    across = np.cross(first, second)
    across /= np.linalg.norm(across)
    return np.stack([first, np.cross(across, first), across])


def _plane_axes() -> FloatArray:
    """Return for each key the unit vectors of its plane, x along i, shape (32, 2, 3)."""
    nearness = np.round(CENTRES @ _CORNERS.T, 9)  # rounded, so that the first of three equals wins
    corner = _CORNERS[np.argmax(nearness, axis=1)]
    x = corner - np.sum(corner * CENTRES, axis=1)[:, None] * CENTRES
    x /= np.linalg.norm(x, axis=1)[:, None]
    return np.stack([x, np.cross(CENTRES, x)], axis=1)


def _lattice_axes(plane: FloatArray) -> FloatArray:
    """Return what turns points of a plane into lattice coordinates; see `AXES`."""
    axes = np.empty((RESOLUTIONS, len(plane), 2, 3))
    for resolution in range(RESOLUTIONS):
        turn = _CLASS_III_RAD * (resolution % 2)
        x = np.cos(turn) * plane[:, 0] + np.sin(turn) * plane[:, 1]
        y = np.cos(turn) * plane[:, 1] - np.sin(turn) * plane[:, 0]
        scale = np.sqrt(3) / _UNIT * 7 ** (resolution / 2)
        axes[resolution, :, 0] = scale * (x - y / np.sqrt(3))
        axes[resolution, :, 1] = scale * (y * 2 / np.sqrt(3))
    return axes


def _places(frame: FloatArray, plane: FloatArray) -> IntArray:
    """Return base cell and turn of the lattice points of each key; see `PLACES`.

    The base cell is the one whose centre is nearest. Its directions are those in which the cells
    with digits (0, 1) to (0, 6) lie at resolution 2, whose lattice is not turned; the one nearest
    to a direction of the face's lattice tells the turn. That direction is the one that leads to the
    face's centre: from a pentagon it is in the middle of what the face has of it.
    """
    stem = [_MODE_CELL | 2 << 52 | base << 45 | (1 << 39) - 1 for base in range(_BASE_CELLS)]
    fives = [h3.get_base_cell_number(cell) for cell in h3.get_pentagons(0)]
    family = [cell | digit << 39 for cell in stem for digit in range(7)]
    for base in fives:
        family[base * 7 + _DELETED] = stem[base]
    around = (_unit_vectors(family) @ frame.T).reshape(-1, 7, 3)
    away = around - around[:, :1]

    i, j = np.mgrid[-2:3, -2:3].reshape(2, -1)
    sixth = np.pi / 3 * np.arange(6)
    steps = np.stack([np.cos(sixth), np.sin(sixth)], axis=1)
    flat = np.outer(i, steps[0]) + np.outer(j, steps[2])
    inward = np.argmax(np.round(-flat @ steps.T, 9), axis=1)
    points = CENTRES[:, None] + _UNIT * flat @ plane  # by key and lattice point
    base = np.argmax(points @ around[:, 0].T, axis=2)
    digit = np.argmax(np.einsum("kpdc,kpc->kpd", away[base], steps[inward] @ plane), axis=2)
    turn = _TURNS[digit] - inward
    gap = np.where(np.isin(base, fives), _OVER_THE_GAP[digit], 0)
    places: IntArray = base | turn % 2 << 7 | -turn % 3 << 8 | -gap % 3 << 10
    return places.reshape(-1, 5, 5)


_PLANE = _plane_axes()

FRAME: FloatArray = _fitted_frame()
"""Rows are the axes of the frame in Earth's axes (x to 0 E, y to 90 E, z to the north pole)."""

AXES: FloatArray = _lattice_axes(_PLANE)
"""Lattice coordinates by resolution and key, shape (16, 32, 2, 3).

The two products with a point of the frame, divided by the greatest of the four sums, are its
coordinates along two axes 60 degrees apart, in distances of neighbouring cells.
"""

PLACES: IntArray = _places(FRAME, _PLANE)
"""Base cells by key, i + 2 and j + 2, packed, shape (32, 5, 5).

Bits 0 to 6 hold the base cell. The turn from the face's directions to those of the cell stands in
bit 7, half a turn, and bits 8 and 9, thirds of a turn. Bits 10 and 11 are for digits that lead into
a pentagon's gap: half a turn and so many thirds lead over it; 0 if the face has no gap beside it.
Lattice points beyond the 16 that matter are never looked up.
"""
