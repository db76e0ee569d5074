"""Mapbox Vector Tiles, version 2: what maps in browsers read, written from arrays.

Only what zones need: polygons and points, properties of text and small numbers. All geometry of a
layer becomes protobuf in a dozen passes of NumPy, whatever the number of its corners; what is left
to Python is one short message a feature.

Costs: 60 ns a corner and 3 µs a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

EXTENT = 4096
"""Units along a side of a tile."""

POINT, POLYGON = 1, 3
"""What a layer is made of, in the numbers of the format."""

_MOVE, _LINE, _CLOSE = 1, 2, 7
_VERSION = bytes([15 << 3, 2])

Bytes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]
Units = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Geometries:
    """Geometries of a layer in the bytes of the format.

    Parameters
    ----------
    kind
        `POINT` or `POLYGON`.
    data
        All of them, one after the other.
    ends
        Where each of them ends, in bytes. Of what has no size left nothing is there.
    """

    kind: int
    data: bytes
    ends: list[int]


def text_value(text: str) -> bytes:
    """Return a text as a value of a layer."""
    return _field(1, text.encode())


def number_value(number: int) -> bytes:
    """Return a whole number, at least 0, as a value of a layer."""
    return bytes([5 << 3]) + varint(number)


def varint(number: int) -> bytes:
    """Return a whole number, at least 0, as protobuf writes it: seven bits a byte.

    Examples
    --------
    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def points(at: Units) -> Geometries:
    """Return points as geometries.

    Parameters
    ----------
    at
        x and y in units of the tile, y down; shape (n, 2).
    """
    numbers = np.empty((len(at), 3), np.int64)
    numbers[:, 0] = _command(_MOVE, 1)
    numbers[:, 1:] = _zigzag(np.rint(at).astype(np.int64))
    return _cut(POINT, numbers.ravel(), np.arange(1, len(at) + 1) * 3)


def polygons(shapes: npt.NDArray[np.object_], origin: Units, scale: float) -> Geometries:
    """Return polygons as geometries, without corners that fall on the one before.

    Parameters
    ----------
    shapes
        Polygons, multipolygons or nothing; y down.
    origin
        Of the tile, in the coordinates of `shapes`.
    scale
        Units of the tile in one of theirs.
    """
    parts, of_shape = shapely.get_parts(shapes, return_index=True)
    solid = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, of_shape = shapely.orient_polygons(parts[solid]), of_shape[solid]
    rings, of_part = shapely.get_rings(parts, return_index=True)
    corners, of_ring = shapely.get_coordinates(rings, return_index=True)
    at = np.rint((corners - origin) * scale).astype(np.int64)

    new = np.ones(len(at), bool)
    new[1:] = (of_ring[1:] != of_ring[:-1]) | (at[1:] != at[:-1]).any(axis=1)
    at, of_ring = at[new], of_ring[new]
    last = np.ones(len(at), bool)
    last[:-1] = of_ring[1:] != of_ring[:-1]
    at, of_ring = at[~last], of_ring[~last]  # a ring ends where it began
    size = np.bincount(of_ring, minlength=len(rings))
    kept = size[of_ring] >= 3
    at, of_ring = at[kept], of_ring[kept]
    there = size >= 3
    size, shape = size[there], of_shape[of_part][there]
    return _polygon_commands(at, size, shape, len(shapes))


def _polygon_commands(at: Whole, size: Whole, shape: Whole, shapes: int) -> Geometries:
    """Return rings as commands: of each its corners, of how many, of which shape."""
    length = 2 * size + 3
    start = np.cumsum(length) - length
    first = np.cumsum(size) - size
    numbers = np.empty(int(length.sum()), np.int64)
    numbers[start] = _command(_MOVE, 1)
    numbers[start + 3] = (size - 1) << 3 | _LINE
    numbers[start + length - 1] = _command(_CLOSE, 1)

    step = np.diff(at, axis=0, prepend=np.zeros((1, 2), np.int64))
    begins = np.ones(len(shape), bool)
    begins[1:] = shape[1:] != shape[:-1]
    step[first[begins]] = at[first[begins]]  # each feature counts from the tile's corner again
    ring = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(at)) - first[ring]
    put = start[ring] + np.where(place == 0, 1, 2 + 2 * place)
    numbers[put] = _zigzag(step[:, 0])
    numbers[put + 1] = _zigzag(step[:, 1])
    ends = np.cumsum(np.bincount(shape, weights=length, minlength=shapes)).astype(np.int64)
    return _cut(POLYGON, numbers, ends)


def layer(
    name: str,
    geometries: Geometries,
    *,
    keys: Sequence[str],
    values: Sequence[bytes],
    tags: Sequence[bytes],
) -> bytes:
    """Return a layer of a tile; a tile is nothing but its layers, one after the other.

    Parameters
    ----------
    name
        What styles call it.
    geometries
        One a feature.
    keys, values
        Of all properties, as `text_value` and `number_value` give them.
    tags
        Of each feature: positions in `keys` and `values` by turns, as `varint` gives them.
    """
    out = [_VERSION, _field(1, name.encode())]
    kind = bytes([3 << 3, geometries.kind])
    start = 0
    for end, own in zip(geometries.ends, tags, strict=True):
        if end > start:
            shape = _field(4, geometries.data[start:end])
            out.append(_field(2, _field(2, own) + kind + shape))
        start = end
    out += [_field(3, each.encode()) for each in keys]
    out += [_field(4, each) for each in values]
    out.append(bytes([5 << 3]) + varint(EXTENT))
    return _field(3, b"".join(out))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def _command(what: int, times: int) -> int:
    return times << 3 | what


def _zigzag(numbers: Whole) -> Whole:
    return (numbers << 1) ^ (numbers >> 63)


def _cut(kind: int, numbers: Whole, ends: Whole) -> Geometries:
    """Return numbers as varints, and where in them those before each end are over."""
    length = np.ones(len(numbers), np.int64)
    for bits in range(7, 63, 7):
        more = numbers >= 1 << bits
        if not more.any():
            break
        length += more
    after = np.concatenate([[0], np.cumsum(length)])
    out = np.empty(int(after[-1]), np.uint8)
    rest = numbers.copy()
    for byte in range(int(length.max(initial=0))):
        has = length > byte
        follows = (length[has] > byte + 1) * 128
        out[after[:-1][has] + byte] = rest[has] & 127 | follows
        rest >>= 7
    return Geometries(kind, out.tobytes(), after[ends].tolist())
