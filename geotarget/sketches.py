"""Counts of different devices that need no list of devices: sketches, and their unions.

Each device has a salted 64-bit hash, evenly spread. A sketch keeps the smallest `MOST` hashes of a
place and a day, and a bound below which it has seen all: as many hashes as there are below the
bound, over the bound's share of all hashes, is how many there were. Nothing is estimated up to
`MOST` devices; beyond, the standard error is 1 / sqrt(`MOST`), 6 %. The union of sketches is the
sketch of the union, whatever the cells and days, so nobody is counted twice. Known as bottom-k or
KMV sketches (Bar-Yossef et al. 2002; Beyer et al. 2007), the explicit bound as in Dasgupta et al.
2016 ("A framework for estimating stream expression cardinalities").

A sketch is an ascending array of 64-bit numbers: the hashes and, last, the bound; `ALL` while none
were left out. 8 bytes a device, 2 KB at most. A hash can be taken out again when its device must be
forgotten. Without the salt nobody can tell whether a device is in a sketch.

Costs: hashing a device 0.8 microseconds, a union of two sketches 15, and 30 nanoseconds a hash
where many sketches are counted at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.model import FloatArray, IntArray, KeyArray

MOST = 256
"""Hashes that a sketch keeps."""

ALL = np.uint64(2**64 - 1)
"""The bound of a sketch that left none out. No device has this hash."""

_STORED = np.dtype("<u8")
_SPAN = 2.0**64


def hash_of(device: str, salt: bytes) -> int:
    """Return the hash of a device.

    Parameters
    ----------
    device
        Its id.
    salt
        At most 64 bytes; who does not know it can't link hashes to devices.

    Returns
    -------
    int
        1 to 2^64 - 2.

    Examples
    --------
    >>> hash_of("phone-1", b"salt") == hash_of("phone-1", b"salt") != hash_of("phone-1", b"other")
    True
    """
    digest = hashlib.blake2b(device.encode(), digest_size=8, key=salt).digest()
    return min(max(int.from_bytes(digest, "little"), 1), 2**64 - 2)


def sketch_of(hashes: KeyArray, most: int = MOST) -> KeyArray:
    """Return the sketch of some hashes; they may repeat, in any order.

    Examples
    --------
    >>> sketch_of(np.array([7, 5, 7, 9], np.uint64), most=2).tolist()
    [5, 7, 9]
    """
    return _cut(np.unique(hashes), ALL, most)


def union(*sketches: KeyArray, most: int = MOST) -> KeyArray:
    """Return the sketch of everything that was seen by any of some sketches."""
    if not sketches:
        return np.array([ALL])
    bound = min(each[-1] for each in sketches)
    hashes = np.unique(np.concatenate([each[:-1] for each in sketches]))
    return _cut(hashes[: np.searchsorted(hashes, bound)], bound, most)


def count(sketch: KeyArray) -> float:
    """Return how many different devices a sketch stands for.

    Examples
    --------
    >>> count(sketch_of(np.arange(200, dtype=np.uint64)))
    200.0
    """
    return float((len(sketch) - 1) / _share(sketch[-1:])[0])


def without(sketch: KeyArray, hash: int) -> KeyArray:
    """Return a sketch that has forgotten one hash, and counts what it still knows.

    Where the hash is the bound, the bound goes down to the largest hash that is kept.
    """
    if hash == int(sketch[-1]):
        return sketch[:-1] if len(sketch) > 1 else sketch
    kept: KeyArray = sketch[sketch != np.uint64(hash)]
    return kept


def to_bytes(sketch: KeyArray) -> bytes:
    """Return a sketch as it is stored: little-endian, 8 bytes a number."""
    return sketch.astype(_STORED).tobytes()


def from_bytes(data: bytes) -> KeyArray:
    """Return the sketch that `to_bytes` wrote."""
    return np.frombuffer(data, _STORED).astype(np.uint64)


def _cut(hashes: KeyArray, bound: np.uint64, most: int) -> KeyArray:
    """Return the sketch of ascending hashes below a bound, with at most so many of them."""
    if len(hashes) > most:
        return hashes[: most + 1]  # the first that is left out is the new bound
    return np.append(hashes, bound)


def _share(bounds: KeyArray) -> FloatArray:
    """Return which share of all hashes lies below each bound; exactly 1 for `ALL`."""
    shares: FloatArray = np.where(bounds == ALL, 1.0, bounds.astype(np.float64) / _SPAN)
    return np.maximum(shares, 1.0 / _SPAN)


@dataclass(frozen=True, slots=True, eq=False)
class Pile:
    """Many sketches in columns, to be counted at once.

    Parameters
    ----------
    bounds
        Of each of n sketches.
    row, hashes
        The sketch and the value of each hash that any of them keeps.
    """

    bounds: KeyArray
    row: IntArray
    hashes: KeyArray

    @classmethod
    def of(cls, sketches: Sequence[bytes]) -> Pile:
        """Return stored sketches as a pile."""
        numbers = np.frombuffer(b"".join(sketches), _STORED).astype(np.uint64)
        length = np.array([len(each) // _STORED.itemsize for each in sketches], np.int64)
        last = np.cumsum(length) - 1
        is_hash = np.ones(len(numbers), np.bool_)
        is_hash[last] = False
        return cls(
            bounds=numbers[last],
            row=np.repeat(np.arange(len(sketches)), length - 1),
            hashes=numbers[is_hash],
        )

    def __len__(self) -> int:
        return len(self.bounds)

    def counts(self, group: IntArray, groups: int) -> FloatArray:
        """Return how many different devices each group of sketches saw.

        Parameters
        ----------
        group
            Of each sketch, shape (n,): 0 to `groups` - 1.
        groups
            How many there are.
        """
        bound = np.full(groups, ALL)
        np.minimum.at(bound, group, self.bounds)
        group_of = group[self.row]
        below = self.hashes < bound[group_of]
        hashes, group_of = self.hashes[below], group_of[below]
        order = np.lexsort((hashes, group_of))
        hashes, group_of = hashes[order], group_of[order]
        new = np.ones(len(hashes), np.bool_)
        new[1:] = (hashes[1:] != hashes[:-1]) | (group_of[1:] != group_of[:-1])
        found: Any = np.bincount(group_of[new], minlength=groups)
        counted: FloatArray = found / _share(bound)
        return counted

    def weighed(self, weight: FloatArray) -> tuple[float, float]:
        """Return how many different devices all sketches saw, each with its largest weight.

        Parameters
        ----------
        weight
            Of each sketch, shape (n,), 0 to 1: what share of its devices is meant.

        Returns
        -------
        meant : float
            Sum of the weights of all devices.
        seen : float
            How many devices there are, whatever their weight.
        """
        if not len(self):
            return 0.0, 0.0
        bound = self.bounds.min()
        below = self.hashes < bound
        hashes, which = np.unique(self.hashes[below], return_inverse=True)
        largest: NDArray[np.float64] = np.zeros(len(hashes))
        np.maximum.at(largest, which, weight[self.row[below]])
        share = float(_share(np.array([bound]))[0])
        return float(largest.sum()) / share, len(hashes) / share
