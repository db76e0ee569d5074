"""Columns of every library come in without a copy, and what is no number is named."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from geotarget.engine.coordinates import check_range, coordinates, range_fault
from geotarget.errors import InvalidPing

DEGREES = np.array([24.5, -180.0, 0.0, 90.0])

WITHOUT_COPY = {
    "numpy": lambda: DEGREES,
    "numpy, read-only": lambda: np.frombuffer(DEGREES.tobytes()),
    "pandas": lambda: pd.Series(DEGREES),
    "pandas, arrow": lambda: pd.Series(pa.array(DEGREES), dtype="double[pyarrow]"),
    "polars": lambda: pl.Series(DEGREES),
    "arrow": lambda: pa.array(DEGREES),
    "arrow, slice": lambda: pa.array(np.r_[1.0, DEGREES, 2.0]).slice(1, 4),
    "arrow, one chunk": lambda: pa.chunked_array([pa.array(DEGREES)]),
}
COPIED = {
    "list": DEGREES.tolist,
    "tuple": lambda: tuple(DEGREES.tolist()),
    "float32": lambda: DEGREES.astype(np.float32),
    "stride": lambda: np.repeat(DEGREES, 2)[::2],
    "other byte order": lambda: DEGREES.astype(">f8"),
    "memoryview": lambda: memoryview(DEGREES),
    "objects": lambda: DEGREES.astype(object),
    "decimals": lambda: [Decimal(str(each)) for each in DEGREES],
    "pandas, nullable": lambda: pd.Series(DEGREES, dtype="Float64"),
    "polars, float32": lambda: pl.Series(DEGREES.astype(np.float32)),
    "polars, decimal": lambda: pl.Series(DEGREES).cast(pl.Decimal(8, 3)),
    "polars, two chunks": lambda: pl.concat(
        [pl.Series(DEGREES[:1]), pl.Series(DEGREES[1:])], rechunk=False
    ),
    "arrow, two chunks": lambda: pa.chunked_array([pa.array(DEGREES[:1]), pa.array(DEGREES[1:])]),
    "arrow, float32": lambda: pa.array(DEGREES, pa.float32()),
    "arrow, decimal": lambda: pa.array(DEGREES).cast(pa.decimal128(10, 3)),
}


@pytest.mark.parametrize("kind", [*WITHOUT_COPY, *COPIED])
def test_every_kind_of_column_becomes_float64(kind: str) -> None:
    """NumPy, sequences, pandas, Polars and Arrow give the same contiguous numbers."""
    given = {**WITHOUT_COPY, **COPIED}[kind]()
    for values in coordinates(given, given):
        assert DEGREES.tolist() == values.tolist()
        assert values.dtype == np.float64
        assert values.dtype.isnative
        assert values.flags.c_contiguous


@pytest.mark.parametrize("kind", WITHOUT_COPY)
def test_a_whole_column_of_float64_is_not_copied(kind: str) -> None:
    """Float64 in one piece and without nulls is looked at where it lies."""
    given = WITHOUT_COPY[kind]()
    for values in coordinates(given, given):
        assert np.shares_memory(np.asarray(given), values)


@pytest.mark.parametrize(
    "scalar", [24, 24.0, np.float32(24), np.float64(24), np.int8(24), np.array(24.0), Decimal(24)]
)
def test_a_scalar_is_a_batch_of_one(scalar: Any) -> None:
    """Single numbers of any type are taken."""
    lng, lat = coordinates(scalar, [24])
    assert [24.0] == lng.tolist()
    assert [24.0] == lat.tolist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, None]),
        pa.array([1, None]),
        pa.chunked_array([[1.0], [None]]),
        pa.array([0.0, 1.0, None]).slice(1),
        pl.Series([1.0, None]),
        pl.Series([1, None]),
    ],
    ids=["float", "int", "chunks", "slice", "polars", "polars int"],
)
def test_the_first_null_is_named(column: Any) -> None:
    """A missing value is refused with its position."""
    with pytest.raises(InvalidPing) as caught:
        coordinates([0.0, 0.0], column)
    assert f"lat[1]: {range_fault('lat')} (null)" == str(caught.value)


@pytest.mark.parametrize(
    "column", [[1.0, None], pd.Series([1, None], dtype="Int64"), pd.Series([1.0, None])]
)
def test_what_is_missing_in_pandas_and_in_lists_is_not_a_number(column: Any) -> None:
    """There a missing value becomes NaN, which the range check refuses."""
    lng, lat = coordinates(column, [0, 0])
    with pytest.raises(InvalidPing, match=r"lng\[1\]: .* \(nan\)"):
        check_range(lng, lat)


@pytest.mark.parametrize(
    ("lng", "message"),
    [
        (["east"], "lng: must be numbers (['east'])"),
        (["24.9"], "lng: must be numbers (['24.9'])"),
        ([24.9, "24.9"], "lng: must be numbers ([24.9, '24.9'])"),
        (np.array(["24.9"], object), "lng: must be numbers (array(['24.9'], dtype=object))"),
        (np.array([1 + 2j]), "lng: must be numbers (array([1.+2.j]))"),
        (np.array(["2026-01-01"], "M8[s]"), "lng: must be numbers (array("),
        (pa.array(["24.9"]), "lng: must be numbers (<pyarrow.lib.StringArray object"),
        (pl.Series(["24.9"]), "lng: must be numbers (shape: (1,)"),
        (pd.Series(["24.9"]), "lng: must be numbers (0    24.9"),
        ([[1.0], [1.0, 2.0]], "lng: must be numbers ([[1.0], [1.0, 2.0]])"),
        ([10**400], "lng: must be numbers ([1000"),
        ({"a": 1}, "lng: must be numbers ({'a': 1})"),
        ([[0.0]], "lng: must have one dimension ((1, 1))"),
        ([0.0, 1.0], "lng, lat: must be of one length (2 and 1)"),
    ],
    ids=range(14),
)
def test_what_is_no_column_of_numbers_is_refused(lng: Any, message: str) -> None:
    """Text is never read as a number, and shapes must agree."""
    with pytest.raises(InvalidPing) as caught:
        coordinates(lng, [0.0])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("count", [1, 16, 17, 1000])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 180.00000000000003, -181.0])
def test_range_is_checked_in_small_and_in_large_batches(count: int, wrong: float) -> None:
    """The first coordinate that is not finite or out of range is named, wherever it stands."""
    lat = np.linspace(-90, 90, count)
    lng = np.linspace(-180, 180, count)
    check_range(lng, lat)
    for place in {0, count // 2, count - 1}:
        bad = lng.copy()
        bad[place:] = wrong
        with pytest.raises(InvalidPing) as caught:
            check_range(bad, lat)
        assert f"lng[{place}]: {range_fault('lng')} ({wrong})" == str(caught.value)


def test_latitudes_have_their_own_bound() -> None:
    """Latitude ends at 90 degrees."""
    with pytest.raises(InvalidPing) as caught:
        check_range(np.zeros(1), np.array([-90.5]))
    message = "lat[0]: latitude must be a finite number within -90 and 90 (-90.5)"
    assert message == str(caught.value)


def test_nothing_to_ask_is_not_an_error() -> None:
    """Empty columns are taken and in range."""
    for empty in ([], np.zeros(0), pa.array([], pa.float64()), pl.Series([], dtype=pl.Float64)):
        lng, lat = coordinates(empty, empty)
        check_range(lng, lat)
        assert (0,) == lng.shape == lat.shape


def test_no_library_of_frames_is_imported() -> None:
    """Reading columns loads neither pandas nor Polars nor Arrow."""
    script = (
        "import sys; from geotarget.engine import coordinates; "
        "print(sorted({'pandas', 'polars', 'pyarrow'} & set(vars(coordinates))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "[]" == done.stdout.strip()
