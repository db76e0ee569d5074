"""On which side of an edge a point lies: never wrong, and nearly always three multiplications.

Everything that the index decides about an edge comes down to the sign of one determinant,
``orientation``. The plain float64 value is trusted when it is larger than Shewchuk's bound for its
rounding error; else the six products are added as an expansion, a sum of float64 that do not
overlap, whose sign is exact (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast
Robust Geometric Predicates", 1997).

Exact as long as no product underflows, which takes two coordinates that are not zero and multiply
to less than `LEAST_PRODUCT`; then the answer is `UNKNOWN` and the caller asks `side_of`, which
counts in fractions. Costs: 1 ns, an expansion 50, fractions 12 microseconds.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from geotarget.engine.compiled import njit

DOUBT = 4e-16
"""Share of the two products' sizes below which the float sign is not trusted: above 3.34e-16."""

UNKNOWN = 2
"""Neither left nor right nor on the line: float64 is too coarse to tell."""

LEAST_PRODUCT = 1e-250
"""Products of at least this size have a rounding error that float64 can hold."""

_SPLIT = 134217729.0  # 2**27 + 1 cuts the 53 bits of a float64 in two halves


@njit(cache=True, nogil=True)
def exact_orientation(
    ax: float, ay: float, bx: float, by: float, px: float, py: float
) -> int:  # pragma: no cover - compiled
    """Return +1 if p lies left of the line from a to b, -1 right, 0 on it, or `UNKNOWN`."""
    expansion = np.zeros(12)
    size = 0
    for turn in range(6):
        if turn == 0:
            u, v = ax, by
        elif turn == 1:
            u, v = -bx, ay
        elif turn == 2:
            u, v = bx, py
        elif turn == 3:
            u, v = -px, by
        elif turn == 4:
            u, v = px, ay
        else:
            u, v = -ax, py
        high = u * v
        if abs(high) < LEAST_PRODUCT:
            if u != 0.0 and v != 0.0:
                return UNKNOWN
            continue
        big = _SPLIT * u
        u1 = big - (big - u)
        u2 = u - u1
        big = _SPLIT * v
        v1 = big - (big - v)
        v2 = v - v1
        low = u2 * v2 - (((high - u1 * v1) - u2 * v1) - u1 * v2)
        for half in range(2):
            rest = low if half == 0 else high
            kept = 0
            for i in range(size):  # the sum so far, plus one number more
                total = rest + expansion[i]
                part = total - rest
                error = (rest - (total - part)) + (expansion[i] - part)
                rest = total
                if error != 0.0:
                    expansion[kept] = error
                    kept += 1
            if rest != 0.0:
                expansion[kept] = rest
                kept += 1
            size = kept
    if size == 0:
        return 0
    return 1 if expansion[size - 1] > 0.0 else -1


@njit(cache=True, nogil=True)
def orientation(
    ax: float, ay: float, bx: float, by: float, px: float, py: float
) -> int:  # pragma: no cover - compiled
    """Return +1 if p lies left of the line from a to b, -1 right, 0 on it, or `UNKNOWN`.

    Examples
    --------
    >>> orientation(0.0, 0.0, 1.0, 1.0, 0.1, 0.3)
    1
    >>> orientation(0.1, 0.1, 0.7, 0.7, 0.3, 0.3)
    0
    """
    left = (ax - px) * (by - py)
    right = (ay - py) * (bx - px)
    size = left - right
    if abs(size) > DOUBT * (abs(left) + abs(right)):
        return 1 if size > 0.0 else -1
    return exact_orientation(ax, ay, bx, by, px, py)


def side_of(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> int:
    """Return +1, -1 or 0 as `orientation`, counted in fractions: right for every float.

    Examples
    --------
    >>> side_of(0.0, 0.0, 1.0, 5e-324, 0.5, 5e-324)
    1
    """
    x, y = Fraction(px), Fraction(py)
    left = (Fraction(ax) - x) * (Fraction(by) - y)
    right = (Fraction(ay) - y) * (Fraction(bx) - x)
    return (left > right) - (left < right)
