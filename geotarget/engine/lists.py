"""Lists of numbers inside kernels: flat arrays that grow, and stretches of them that are sorted.

Plain loops, because numba takes seconds to compile NumPy's own `sort` and assignments to slices,
and a fresh machine waits for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit


@njit(cache=True, nogil=True)
def grown(array: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """Return the array, or a copy with room for `size` numbers and as many again to come."""
    if size <= len(array):
        return array
    larger = np.empty(max(size, 2 * len(array)), np.int32)
    for i in range(len(array)):
        larger[i] = array[i]
    return larger


@njit(cache=True, nogil=True)
def sort_stretch(value: NDArray[np.signedinteger[Any]], begin: int, end: int) -> None:
    """Sort ``value[begin:end]`` in place.

    Shell's way, with gaps that grow by 2.25 (Tokuda): nothing to do for what is in order, and a few
    hundred numbers in some microseconds.

    Examples
    --------
    >>> numbers = np.array([9, 3, 2, 1, 0])
    >>> sort_stretch(numbers, 1, 4)
    >>> numbers.tolist()
    [9, 1, 2, 3, 0]
    """
    gap = 1
    while gap < (end - begin) // 2:
        gap = gap * 9 // 4 + 1
    while gap > 0:
        for i in range(begin + gap, end):
            moved = value[i]
            j = i
            while j >= begin + gap and value[j - gap] > moved:
                value[j] = value[j - gap]
                j -= gap
            value[j] = moved
        gap = gap * 4 // 9
