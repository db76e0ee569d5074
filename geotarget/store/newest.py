"""Which row of a log has the newest state of each device: one number each, in an array.

Every batch asks that of all its devices and changes it. In a dictionary by name, with counts of
what each row has left, that took 0.11 µs a device among ten thousand and 0.31 among a million, most
of it waiting for memory. Where the caller numbers his devices anyway (`BatchWrite.rows`) it is 0.03
of either; else their names are looked up once, 0.08 and 0.20.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from geotarget.model import IntArray

NumberOf = Callable[[Sequence[str]], IntArray]
"""Returns the number of each device: small, and its own as long as a log may hold it."""


class Newest:
    """The row with the newest state of each device. Not thread-safe.

    Parameters
    ----------
    number_of
        How devices are numbered; here, if it is not given.

    Examples
    --------
    >>> newest = Newest()
    >>> first, second = newest.numbers(["a", "b"]), newest.numbers(["b", "c"])
    >>> newest.put(first, 1)
    >>> newest.put(second, 2)
    >>> newest.still(first, 1).tolist()
    [0]
    """

    def __init__(self, number_of: NumberOf | None = None) -> None:
        self._number_of = number_of
        self._known: dict[str, int] = {}
        self._free: list[int] = []
        self._seq: IntArray = np.zeros(1024, np.int64)

    def numbers(self, devices: Sequence[str], rows: IntArray | None = None) -> IntArray:
        """Return the number of each device; `rows` are the caller's, if he gave some."""
        if self._number_of is None:
            numbers = self._numbered(devices)
        else:
            numbers = self._number_of(devices) if rows is None else rows
        most = int(numbers.max(initial=0))
        while most >= len(self._seq):
            self._seq = np.concatenate([self._seq, np.zeros_like(self._seq)])
        return numbers

    def _numbered(self, devices: Sequence[str]) -> IntArray:
        known, free = self._known, self._free
        for device in devices:
            if device not in known:
                known[device] = free.pop() if free else len(known)
        return np.fromiter(map(known.__getitem__, devices), np.int64, len(devices))

    def put(self, numbers: IntArray, seq: int) -> None:
        """Remember that this row has the newest states of these devices."""
        self._seq[numbers] = seq

    def still(self, numbers: IntArray, seq: int) -> IntArray:
        """Return the positions of those whose newest state is in this row."""
        return np.flatnonzero(self._seq[numbers] == seq)

    def forget(self, devices: Iterable[str], last: int) -> None:
        """Forget devices that were in rows up to `last` and are in none after it."""
        if self._number_of is not None:
            return
        for device in devices:
            if self._seq[self._known[device]] <= last:
                self._free.append(self._known.pop(device))
