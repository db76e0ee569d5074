"""Named arrays in one file that is mapped into memory: what a saved index is made of.

The file holds numbers and nothing that could be run. Whoever reads it gets views of the mapping,
so that processes on one machine share one copy, and pages that nobody asks for are never read.
Every byte is checked before anything is believed: each array and the header have a checksum, the
padding is zero, and no array reaches beyond the file or into another. A checksum finds damage, not
malice: numbers that point into other arrays are to be checked by whoever follows them
(`check_offsets`).

Layout, all little-endian::

    0   16 bytes  MAGIC
    16  uint32    version of this layout
    20  uint32    CRC-32 of the header
    24  uint64    length of the header, bytes
    32  uint64    length of the file, bytes
    40  12 zeros
    52  uint32    CRC-32 of all above
    56  8 zeros
    64  header    JSON: kind, version, header of the caller, arrays; then zeros up to 64 bytes
    ..  arrays    each at a multiple of 64, zeros between them; the file ends with the last one

A file is written beside its place and renamed into it when it is complete and on disk: a reader
sees the old one or the new one. Never write into a file that is in use: whoever maps it would see
changes that no checksum was made for.

Costs: reading 130 MB takes 50 ms for the checksums, if the system has the file in memory.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from geotarget.errors import InvalidIndexFile, Problem

MAGIC = b"\x89geotarget\r\n\x1a\n\0\0"
"""Like PNG's: a transfer as text breaks it."""

LAYOUT = 1
ALIGNMENT = 64

_FRAME = struct.Struct("<16sIIQQ12s")
_FRAME_CRC = struct.Struct("<I8s")
_FRAME_BYTES = _FRAME.size + _FRAME_CRC.size
_KINDS = {
    f"{order}{kind}{size}"
    for order, kind, size in [
        ("|", "b", 1), ("|", "i", 1), ("|", "u", 1),
        *(("<", kind, size) for kind in "iu" for size in (2, 4, 8)),
        *(("<", "f", size) for size in (2, 4, 8)),
    ]
}  # fmt: skip
_MOST_DIMENSIONS = 8

Arrays = Mapping[str, NDArray[Any]]


class _Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an array stands, counted from the end of the header and its padding."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    crc32: int


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands before the arrays."""

    kind: str
    version: int
    header: dict[str, Any]
    arrays: tuple[_Column, ...]


def write(
    path: str | os.PathLike[str],
    *,
    kind: str,
    version: int,
    header: Mapping[str, Any],
    arrays: Arrays,
) -> None:
    """Write arrays to a file, all or nothing.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    kind
        What the file holds, in words.
    version
        Of the arrays' meaning, from 1; whoever changes that counts it up.
    header
        Values of JSON that belong to them.
    arrays
        Numbers or truth values of any shape, by name.

    Raises
    ------
    OSError
        It can't be written; what was there stays as it was.
    ValueError
        An array holds something else than numbers or truth values.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(f"{folder}/x", kind="example", version=1, header={"of": "what"},
    ...           arrays={"even": np.arange(0, 6, 2)})
    ...     header, arrays = read(f"{folder}/x", kind="example", version=1)
    >>> header, arrays["even"].tolist()
    ({'of': 'what'}, [0, 2, 4])
    """
    flat = {name: _little(name, array) for name, array in arrays.items()}
    columns = []
    end = 0
    for name, array in flat.items():
        start = _aligned(end)
        crc = zlib.crc32(_bytes(array))
        columns.append(_Column(name, array.dtype.str, array.shape, start, crc))
        end = start + array.nbytes
    head = msgspec.json.encode(_Header(kind, version, dict(header), tuple(columns)))
    first = _aligned(_FRAME_BYTES + len(head))
    frame = _FRAME.pack(MAGIC, LAYOUT, zlib.crc32(head), len(head), first + end, b"")
    frame += _FRAME_CRC.pack(zlib.crc32(frame), b"")

    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(frame + head)
            for column, array in zip(columns, flat.values(), strict=True):
                file.write(bytes(first + column.offset - file.tell()))
                file.write(_bytes(array))
            file.write(bytes(first + end - file.tell()))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _settle(path.parent)


def read(
    path: str | os.PathLike[str],
    *,
    kind: str,
    version: int,
    columns: Mapping[str, tuple[str, int]] | None = None,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Map a file that `write` made.

    Parameters
    ----------
    path
        Of the file; as long as any of the arrays lives, it stays mapped and must not be changed
        in place (replacing it is fine).
    kind, version
        What it must hold.
    columns
        Type (``"float64"``) and number of dimensions of each array that must be there.

    Returns
    -------
    header, arrays
        The arrays are read-only views of the mapping.

    Raises
    ------
    InvalidIndexFile
        It can't be read, is not such a file, is damaged or cut off, or of another kind or
        version; says what was found and what was expected.
    """
    place = str(path)
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < _FRAME_BYTES:
                _refuse(place, f"{size} bytes", "is not a saved index: too short to be one")
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: it shrank meanwhile, or a NUL in its name
        _refuse(place, "", f"can't be read: {getattr(error, 'strerror', None) or error}")
    header, first = _head(place, mapped)
    if header.kind != kind:
        _refuse(place, repr(header.kind), f"must hold {kind!r}")
    if header.version != version:
        than = "a newer" if header.version > version else "an older"
        reason = f"was written by {than} version of geotarget; this one reads version {version}"
        _refuse(place, f"version {header.version}", reason)
    arrays: dict[str, NDArray[Any]] = {}
    end = first
    for column in header.arrays:
        start, end = _checked_place(place, column, mapped, first, end)
        if column.name in arrays:
            _refuse(place, repr(column.name), "is damaged: an array comes twice")
        view = np.frombuffer(memoryview(mapped)[start:end], np.uint8)
        if zlib.crc32(view.data) != column.crc32:
            _refuse(place, repr(column.name), "is damaged: the checksum of an array is wrong")
        arrays[column.name] = view.view(column.dtype).reshape(column.shape)
    if end != len(mapped):
        _refuse(place, f"{len(mapped)} bytes", f"is damaged: its arrays end at {end}")
    if columns is not None:
        _check_columns(place, arrays, columns)
    return header.header, arrays


def check_offsets(path: str | os.PathLike[str], name: str, offsets: NDArray[Any], end: int) -> None:
    """Raise `InvalidIndexFile` unless offsets start at 0, never fall, and end where they must.

    Parameters
    ----------
    path
        Of the file that they come from.
    name
        Of the array.
    offsets
        Where n pieces start in another array, and where the last one ends, shape (n + 1,).
    end
        Length of that other array.
    """
    fits = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == end
    if not fits or (offsets[1:] < offsets[:-1]).any():
        reason = f"is damaged: these offsets must rise from 0 to {end}"
        _refuse(str(path), repr(name), reason)


def _head(place: str, mapped: mmap.mmap) -> tuple[_Header, int]:
    """Return the header and where the arrays start; all before them is checked."""
    magic, layout, header_crc, header_bytes, file_bytes, zeros = _FRAME.unpack_from(mapped)
    frame_crc, more_zeros = _FRAME_CRC.unpack_from(mapped, _FRAME.size)
    if magic != MAGIC:
        _refuse(place, repr(magic[:12]), f"is not a saved index, which starts with {MAGIC[:12]!r}")
    if layout > LAYOUT:
        reason = f"was written by a newer version of geotarget; this one reads layout {LAYOUT}"
        _refuse(place, f"layout {layout}", reason)
    if frame_crc != zlib.crc32(mapped[: _FRAME.size]) or layout < 1 or any(zeros + more_zeros):
        _refuse(place, "", "is damaged: the checksum of its first 64 bytes is wrong")
    if file_bytes != len(mapped):
        found = "is cut off" if file_bytes > len(mapped) else "is too long"
        _refuse(place, f"{len(mapped)} bytes", f"{found}: it was written with {file_bytes} bytes")
    first = _aligned(_FRAME_BYTES + header_bytes)
    end = _FRAME_BYTES + header_bytes
    if first > len(mapped):
        _refuse(place, f"{header_bytes} bytes", "is damaged: its header is longer than the file")
    text = mapped[_FRAME_BYTES:end]
    if zlib.crc32(text) != header_crc:
        _refuse(place, "", "is damaged: the checksum of its header is wrong")
    if any(mapped[end:first]):
        _refuse(place, "", "is damaged: there must be zeros after its header")
    try:
        return msgspec.json.decode(text, type=_Header), first
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _refuse(place, "", f"is damaged: its header can't be understood: {error}")


def _checked_place(
    place: str, column: _Column, mapped: mmap.mmap, first: int, end: int
) -> tuple[int, int]:
    """Return start and end of an array, which must follow those before it within the file."""
    if column.dtype not in _KINDS:
        _refuse(place, f"{column.name!r} of {column.dtype!r}", "is damaged: no type of numbers")
    widest = prod(max(length, 1) for length in column.shape)
    most = len(column.shape) > _MOST_DIMENSIONS or widest > len(mapped)
    if most or any(length < 0 for length in column.shape):
        _refuse(place, f"{column.name!r} of {column.shape}", "is damaged: no shape of an array")
    start = first + column.offset
    wanted = _aligned(end)
    if start != wanted or any(mapped[end:wanted]):
        found = f"{column.name!r} at {column.offset}"
        _refuse(place, found, f"is damaged: after zeros an array must start at {wanted - first}")
    end = start + prod(column.shape) * np.dtype(column.dtype).itemsize
    if end > len(mapped):
        found = f"{column.name!r} of {column.shape}"
        _refuse(place, found, f"is damaged: an array reaches beyond its {len(mapped)} bytes")
    return start, end


def _check_columns(place: str, arrays: Arrays, columns: Mapping[str, tuple[str, int]]) -> None:
    for name, (dtype, dimensions) in columns.items():
        array = arrays.get(name)
        wanted = f"{name!r} must be an array of {dtype} with {dimensions} dimensions"
        if array is None:
            _refuse(place, "", f"{wanted}; it is missing")
        if array.dtype != np.dtype(dtype).newbyteorder("<") or array.ndim != dimensions:
            _refuse(place, f"{array.dtype} {array.shape}", wanted)


def _little(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as it is written."""
    flat = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    if flat.dtype.str not in _KINDS:
        raise ValueError(f"array {name!r} must hold numbers or truth values, not {array.dtype}")
    return flat


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _aligned(place: int) -> int:
    return -(-place // ALIGNMENT) * ALIGNMENT


def _settle(folder: Path) -> None:
    """Bring a new name in a folder to disk, where the system has a way to do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _refuse(place: str, found: str, reason: str) -> NoReturn:
    raise InvalidIndexFile(Problem(place, found, reason)) from None
