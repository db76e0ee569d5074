"""Rows of unequal length in flat arrays: how the engine keeps vertices, rings and runs.

A ragged array is a flat array of values and ``start``, one longer than there are rows: row i is
``values[start[i]:start[i + 1]]``. Everything here is a few numpy calls over the flat arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.model import IntArray


def starts(lengths: NDArray[np.signedinteger[Any]]) -> IntArray:
    """Return where each row starts, and where the last one ends.

    Examples
    --------
    >>> starts(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    start = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=start[1:])
    return start
