"""A row of the table: what breaks, and what came of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Broken(Exception):
    """Something did not happen in time, or not as it must: the row has failed."""


class Skipped(Exception):
    """The row can't be run here; the text says what is missing."""


@dataclass(frozen=True)
class Result:
    """What came of one row.

    Parameters
    ----------
    row
        Its name.
    size
        What was run, in words: faults, pings, rate.
    owed
        Events that the acknowledged pings imply.
    lost
        Those of them that never arrived.
    duplicates
        Posts beyond the first of the same webhook id to the same endpoint, all answered 2xx.
    recovery_s
        From the end of the fault until an event arrived again, the longest; None if meaningless.
    note
        What else was measured.
    problems
        Invariants that broke, in words; any makes the suite end with status 1.
    skipped
        Why it was not run.
    what
        The fault in a few words, where the row's own are not enough.
    """

    row: str
    size: str
    owed: int
    lost: int
    duplicates: int
    recovery_s: float | None = None
    note: str = ""
    problems: tuple[str, ...] = ()
    skipped: str = ""
    what: str = ""


@dataclass(frozen=True)
class Run:
    """How a row is to be run.

    Parameters
    ----------
    name
        Of the row.
    folder
        An empty one of its own; removed afterwards.
    quick
        Small sizes.
    seed
        Of everything that is drawn.
    """

    name: str
    folder: Path
    quick: bool = False
    seed: int = 20_261_122
    luck: random.Random = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "luck", random.Random(f"{self.seed} {self.name}"))

    def size(self, full: T, quick: T) -> T:
        """Choose by `quick`."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One fault.

    Parameters
    ----------
    name
        As on the command line.
    what
        The fault, in a few words for the table.
    run
        Does it; several results are several lines of the table. Raises `Broken` or `Skipped`.
    limit_s
        A row that takes longer has failed: it is ended with everything that it started.
    """

    name: str
    what: str
    run: Callable[[Run], Result | Sequence[Result]]
    limit_s: float = 120.0
