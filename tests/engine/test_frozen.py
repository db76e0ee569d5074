"""Files of arrays: what is written is read, what is damaged is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from geotarget.engine.frozen import ALIGNMENT, LAYOUT, MAGIC, check_offsets, read, write
from geotarget.errors import InvalidIndexFile

ARRAYS = {
    "xy": np.arange(14, dtype=np.float64).reshape(7, 2) / 3,
    "empty": np.zeros((0, 3), np.int32),
    "flags": np.array([True, False, True]),
    "number": np.array(7, np.int64),
    "bytes": np.frombuffer(b"\x89\x00\xff", np.uint8),
}
HEADER = {"cells": 3, "name": "Käpylä", "nested": {"a": [1, 2.5, None]}}
KINDS = ["|b1", "|i1", "|u1", "<i2", "<u4", "<i8", "<u8", "<f4", "<f8", ">f8", ">i4"]
folder_is_reused = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, **changes: Any) -> Path:
    """Write a file and return its path."""
    write(path, **{"kind": "index", "version": 3, "header": HEADER, "arrays": ARRAYS} | changes)
    return path


def refusal(path: Path, **options: Any) -> str:
    """Return why a file is refused."""
    with pytest.raises(InvalidIndexFile) as caught:
        read(path, **{"kind": "index", "version": 3} | options)
    assert str(path) == caught.value.problems[0].path
    return str(caught.value).removeprefix(f"{path}: ")


def forged(path: Path, head: bytes, body: bytes = b"", **changes: int) -> Path:
    """Write a file whose checksums are right, whatever its header says."""
    first = -(-(64 + len(head)) // ALIGNMENT) * ALIGNMENT
    values = {"layout": LAYOUT, "header": len(head), "file": first + len(body)} | changes
    frame = struct.pack(
        "<16sIIQQ12s", MAGIC, values["layout"], zlib.crc32(head), values["header"],
        values["file"], b"",
    )  # fmt: skip
    frame += struct.pack("<I8s", zlib.crc32(frame), b"")
    path.write_bytes((frame + head).ljust(first, b"\0") + body)
    return path


def header_of(*columns: dict[str, Any]) -> bytes:
    """Return a header with columns."""
    sound = {"name": "a", "dtype": "<f8", "shape": [1], "offset": 0, "crc32": zlib.crc32(bytes(8))}
    return msgspec.json.encode(
        {"kind": "index", "version": 3, "header": {}, "arrays": [sound | each for each in columns]}
    )


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    """Types, shapes, values and the header; aligned, in their order, read-only."""
    header, arrays = read(written(tmp_path / "a"), kind="index", version=3)
    assert HEADER == header
    assert list(ARRAYS) == list(arrays)
    for name, array in arrays.items():
        assert ARRAYS[name].dtype == array.dtype
        assert ARRAYS[name].shape == array.shape
        assert ARRAYS[name].tobytes() == array.tobytes()
        assert 0 == array.__array_interface__["data"][0] % ALIGNMENT
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


@folder_is_reused
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=4),
        st.sampled_from(KINDS).flatmap(
            lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, min_side=0))
        ),
        max_size=4,
    )
)
def test_any_arrays_come_back(tmp_path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Of all types and shapes, NaN by its bits, whatever the byte order was."""
    _, found = read(written(tmp_path / "a", arrays=arrays), kind="index", version=3)
    assert list(arrays) == list(found)
    for name, array in arrays.items():
        little = array.astype(array.dtype.newbyteorder("<"))
        assert (little.dtype, array.shape) == (found[name].dtype, found[name].shape)
        assert little.tobytes() == found[name].tobytes()


def test_views_need_not_be_contiguous_to_be_written(tmp_path: Path) -> None:
    """Slices and transposed arrays are written as what they show."""
    grid = np.arange(12).reshape(3, 4)
    given_arrays = {"every": grid[:, ::2], "turned": grid.T}
    _, found = read(written(tmp_path / "a", arrays=given_arrays), kind="index", version=3)
    assert grid[:, ::2].tolist() == found["every"].tolist()
    assert grid.T.tolist() == found["turned"].tolist()


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j])])
def test_only_numbers_are_written(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    """Objects and text are a mistake of the caller."""
    with pytest.raises(ValueError, match="'a' must hold numbers or truth values"):
        written(tmp_path / "a", arrays={"a": array})


def test_every_byte_counts(tmp_path: Path) -> None:
    """Each single bit that flips anywhere in the file is found, padding included."""
    path = written(tmp_path / "a")
    sound = path.read_bytes()
    for at in range(len(sound)):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert refusal(path)


@folder_is_reused
@given(st.data())
def test_damage_of_any_kind_is_found(tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed, cut off, put in or taken out: refused, unless nothing was changed."""
    path = written(tmp_path / "a")
    sound = path.read_bytes()
    start = data.draw(st.integers(0, len(sound)))
    end = data.draw(st.integers(start, len(sound)))
    damaged = sound[:start] + data.draw(st.binary(max_size=80)) + sound[end:]
    path.write_bytes(damaged)
    if damaged == sound:
        read(path, kind="index", version=3)
    else:
        assert refusal(path)


def test_what_is_no_index_is_refused_with_what_was_found(tmp_path: Path) -> None:
    """Missing, a folder, too short, another format, of another kind, cut off."""
    path = tmp_path / "a"
    assert "can't be read: No such file or directory" == refusal(path)
    assert "can't be read: Is a directory" == refusal(tmp_path)
    path.write_bytes(b"")
    assert "is not a saved index: too short to be one (0 bytes)" == refusal(path)
    path.write_bytes(b'{"type": "FeatureCollection", "features": []}' * 2)
    assert refusal(path).startswith("is not a saved index, which starts with b'\\x89geotarget\\r")
    written(path)
    assert "must hold 'trie' ('index')" == refusal(path, kind="trie")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    wanted = f"is cut off: it was written with {len(whole)} bytes ({len(whole) - 1} bytes)"
    assert wanted == refusal(path)
    path.write_bytes(whole.replace(b"\r\n", b"\n"))
    assert refusal(path).startswith("is not a saved index")


def test_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    """Older and newer files, and a newer layout, say which version wrote them."""
    path = written(tmp_path / "a")
    newer = "was written by a newer version of geotarget; this one reads version 2 (version 3)"
    assert newer == refusal(path, version=2)
    older = "was written by an older version of geotarget; this one reads version 4 (version 3)"
    assert older == refusal(path, version=4)
    forged(path, header_of(), layout=LAYOUT + 1)
    assert f"this one reads layout {LAYOUT} (layout {LAYOUT + 1})" in refusal(path)


@pytest.mark.parametrize(
    ("columns", "body", "reason"),
    [
        ([{"offset": 64}], bytes(72), "an array must start at 0"),
        ([{"offset": -64}], bytes(8), "an array must start at 0"),
        ([{"offset": 2**70}], bytes(8), "an array must start at 0"),
        ([{}, {"name": "b"}], bytes(8), "an array must start at 64"),
        ([{}, {"offset": 64}], bytes(72), "an array comes twice"),
        ([{}, {"name": "b", "offset": 64}], bytes(8) + b"\1" * 56 + bytes(8), "after zeros"),
        ([{"shape": [2]}], bytes(8), "reaches beyond"),
        ([{"shape": [2**62, 4]}], bytes(8), "no shape of an array"),
        ([{"shape": [-1]}], bytes(8), "no shape of an array"),
        ([{"shape": [0, 2**70]}], b"", "no shape of an array"),
        ([{"shape": [1] * 9}], bytes(8), "no shape of an array"),
        ([{"dtype": "|O"}], bytes(8), "no type of numbers"),
        ([{"dtype": "f8"}], bytes(8), "no type of numbers"),
        ([{"dtype": "<U2"}], bytes(8), "no type of numbers"),
        ([{"shape": [0], "crc32": 0}], bytes(8), "its arrays end at"),
        ([{"crc32": 1}], bytes(8), "the checksum of an array is wrong ('a')"),
        ([{"crc32": "1"}], bytes(8), "its header can't be understood"),
        ([{"surprise": 1}], bytes(8), "its header can't be understood"),
    ],
)
def test_a_forged_header_leads_nowhere(
    tmp_path: Path, columns: list[dict[str, Any]], body: bytes, reason: str
) -> None:
    """Right checksums do not make up for places, shapes and types that can't be."""
    assert reason in refusal(forged(tmp_path / "a", header_of(*columns), body))


@pytest.mark.parametrize("head", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_header_that_is_none_is_refused(tmp_path: Path, head: bytes) -> None:
    """Whatever stands in its place."""
    assert "its header can't be understood" in refusal(forged(tmp_path / "a", head))


@pytest.mark.parametrize("length", [2**40, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_refused(tmp_path: Path, length: int) -> None:
    """Nothing is looked for where there is no file."""
    path = forged(tmp_path / "a", header_of({}), bytes(8), header=length)
    assert "its header is longer than the file" in refusal(path)


def test_arrays_that_must_be_there_are_checked(tmp_path: Path) -> None:
    """A missing array, another type, another number of dimensions."""
    path = written(tmp_path / "a")
    read(path, kind="index", version=3, columns={"xy": ("float64", 2), "flags": ("bool", 1)})
    wanted = "'x' must be an array of float64 with 2 dimensions; it is missing"
    assert wanted == refusal(path, columns={"x": ("float64", 2)})
    wanted = "'xy' must be an array of int64 with 2 dimensions (float64 (7, 2))"
    assert wanted == refusal(path, columns={"xy": ("int64", 2)})
    wanted = "'xy' must be an array of float64 with 1 dimensions (float64 (7, 2))"
    assert wanted == refusal(path, columns={"xy": ("float64", 1)})


@pytest.mark.parametrize("offsets", [[], [1, 5], [0, 4], [0, 6], [0, 3, 2, 5]])
def test_offsets_must_rise_to_the_end(offsets: list[int]) -> None:
    """Those that start late, fall or end elsewhere are refused."""
    check_offsets("a", "ring", np.array([0, 0, 3, 5]), 5)
    with pytest.raises(InvalidIndexFile, match="these offsets must rise from 0 to 5"):
        check_offsets("a", "ring", np.array(offsets, np.int64), 5)


def test_a_file_in_use_can_be_replaced(tmp_path: Path) -> None:
    """Who mapped the old file goes on with it; nothing is left beside the new one."""
    path = written(tmp_path / "a")
    _, old = read(path, kind="index", version=3)
    written(path, arrays={"xy": np.ones(3)})
    _, new = read(path, kind="index", version=3)
    assert ARRAYS["xy"].tolist() == old["xy"].tolist()
    assert [1.0, 1.0, 1.0] == new["xy"].tolist()
    assert ["a"] == [each.name for each in tmp_path.iterdir()]


def test_a_file_that_can_not_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """An error on the way changes nothing and leaves nothing."""
    path = written(tmp_path / "a")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="numbers"):
        written(path, arrays={"a": np.ones(3), "b": np.array(["x"])})
    assert before == path.read_bytes()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        written(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        written(tmp_path / "nowhere" / "a")
    assert ["a", "folder"] == sorted(each.name for each in tmp_path.iterdir())
