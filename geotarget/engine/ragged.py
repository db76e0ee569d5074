"""Rows of unequal length in flat arrays: how the engine keeps outlines and covers.

A ragged array is a flat array of values and ``start``, one longer than there are rows: row i is
``values[start[i]:start[i + 1]]``. Everything here is a few numpy calls over the flat arrays.
"""

from __future__ import annotations

import numpy as np

from geotarget.model import IntArray


def starts(lengths: IntArray) -> IntArray:
    """Return where each row starts, and where the last one ends.

    Examples
    --------
    >>> starts(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    start = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=start[1:])
    return start


def places(start: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return where the values of some rows lie, row after row.

    Parameters
    ----------
    start
        Where each row starts, shape (n + 1,).
    rows
        Row numbers, in any order, repeated if need be.

    Returns
    -------
    place, lengths
        Positions in the flat array, shape (sum of lengths,), and the length of each wanted row.

    Examples
    --------
    >>> place, lengths = places(np.array([0, 2, 2, 5]), np.array([2, 0]))
    >>> place.tolist(), lengths.tolist()
    ([2, 3, 4, 0, 1], [3, 2])
    """
    first = start[rows]
    lengths = start[rows + 1] - first
    ends = np.cumsum(lengths)
    shift = np.repeat(first - ends + lengths, lengths)
    return np.arange(len(shift)) + shift, lengths
