"""Longitudes and latitudes from whatever holds columns of numbers, as the kernels want them.

A kernel takes contiguous float64. NumPy, pandas, Polars and Arrow all hold such columns, so a
column that is one already is handed on without a copy; anything else is converted once. No
library of frames is imported for that: a column is asked by the protocols that all of them speak
(`null_count`, ``__array__``).

Costs: 2 microseconds for a batch of one, a copy of 8 bytes a value where the type or the layout is
another; `check_range` 0.5 nanoseconds a ping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geotarget.errors import InvalidPing, Problem
from geotarget.model import FloatArray

WORDS = {"lng": "longitude", "lat": "latitude"}
BOUNDS = {"lng": 180.0, "lat": 90.0}
"""Degrees; the largest absolute value of either."""

_SMALL = 16
"""Up to so many values a loop in Python is quicker than NumPy's reductions."""

_FLOAT64 = np.dtype(np.float64)
_NUMBERS = "fiub"
"""Kinds of dtype that are numbers: floats, signed and unsigned integers, booleans."""


def coordinates(lng: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return longitudes and latitudes as contiguous arrays of float64, of one length.

    Whether they are in range is not looked at; see `check_range`.

    Parameters
    ----------
    lng, lat
        Degrees, shape (n,): NumPy arrays, sequences, pandas or Polars Series, Arrow arrays or
        chunked arrays, of any numeric type; scalars are a batch of one.

    Returns
    -------
    lng, lat : ndarray of float64, shape (n,)
        Views of what was given where that is float64, in one piece and without nulls; never to be
        written to.

    Raises
    ------
    InvalidPing
        A column does not hold numbers, has a null (names its position) or more than one dimension,
        or the columns are not of one length.

    Examples
    --------
    >>> coordinates([24, 25], [60.5, 61])
    (array([24., 25.]), array([60.5, 61. ]))
    >>> coordinates(24.5, [60, 61])
    Traceback (most recent call last):
    ...
    geotarget.errors.InvalidPing: lng, lat: must be of one length (1 and 2)
    """
    x, y = _column("lng", lng), _column("lat", lat)
    if len(x) != len(y):
        found = f"{len(x)} and {len(y)}"
        raise InvalidPing(Problem("lng, lat", found, "must be of one length"))
    return x, y


def check_range(lng: FloatArray, lat: FloatArray) -> None:
    """Raise `InvalidPing` for the first coordinate that is not finite or out of range.

    Parameters
    ----------
    lng, lat
        Degrees, shape (n,).

    Raises
    ------
    InvalidPing
        Names the position, the value and the bound.

    Examples
    --------
    >>> check_range(np.array([24.9, 181.0]), np.array([60.2, 60.2]))
    Traceback (most recent call last):
    ...
    geotarget.errors.InvalidPing: lng[1]: longitude must be a finite number within -180 and 180 \
(181.0)
    """
    for name, values in (("lng", lng), ("lat", lat)):
        bound = BOUNDS[name]
        if len(values) <= _SMALL:
            fits = all(-bound <= each <= bound for each in values.tolist())
        else:  # NaN makes both of them NaN, which compares as false
            fits = bool(values.min() >= -bound and values.max() <= bound)
        if not fits:
            first = int(np.argmin(np.abs(values) <= bound))
            raise InvalidPing(_out_of_range(name, first, str(values[first])))


def range_fault(name: str) -> str:
    """Return what is said of a coordinate that is out of range.

    Examples
    --------
    >>> range_fault("lat")
    'latitude must be a finite number within -90 and 90'
    """
    return f"{WORDS[name]} must be a finite number within -{BOUNDS[name]:g} and {BOUNDS[name]:g}"


def _column(name: str, given: Any) -> FloatArray:
    """Return a column as contiguous float64, shape (n,)."""
    if type(given) is np.ndarray and given.dtype is _FLOAT64 and given.ndim == 1:
        return given if given.flags.c_contiguous else np.ascontiguousarray(given)
    if type(given) is float:
        return np.array([given])
    nulls = getattr(given, "null_count", 0)  # a number in Arrow, a method in Polars
    if nulls and (nulls() if callable(nulls) else nulls):
        raise InvalidPing(_out_of_range(name, _first_null(given), "null"))
    try:
        values = _numbers(given)
    except (TypeError, ValueError, ArithmeticError):
        values = None
    if values is None:
        raise InvalidPing(Problem(name, repr(given)[:80], "must be numbers"))
    if values.ndim > 1:
        raise InvalidPing(Problem(name, str(values.shape), "must have one dimension"))
    return values if values.ndim else values.reshape(1)


def _numbers(given: Any) -> FloatArray | None:
    """Return float64 of anything that holds numbers, None for other types."""
    array: NDArray[Any] = np.asarray(given)
    if array.dtype.kind == "O":  # decimals and None, too: None becomes NaN
        array = np.array([_number(each) for each in array.ravel()]).reshape(array.shape)
    if array.dtype.kind not in _NUMBERS:
        return None
    return np.asarray(array, np.float64, order="C")


def _number(value: Any) -> float:
    """Return a float; raises for text, which Python would read as a number."""
    if isinstance(value, str | bytes):
        raise TypeError
    return float("nan") if value is None else float(value)


def _first_null(given: Any) -> int:
    nulls = given.is_null()
    return int(np.argmax(np.asarray(nulls)))


def _out_of_range(name: str, position: int, value: str) -> Problem:
    return Problem(f"{name}[{position}]", value, range_fault(name))
