"""Counts of few people are not shown, and can't be found out from what is.

A count below the minimum audience becomes None. That is not enough where parts and their total
stand in one answer: total less the others gives the hidden part. So at least two parts are hidden
together, and together they are enough people. Which part is hidden beside a small one goes by the
order of the parts, never by their size: a rule such as "the smallest of the others" would tell
something of the value that it hides. A test goes through all tables of small counts and finds for
each hidden cell at least two values that give the same answer.

Zero is shown: nobody is no one. All figures that follow (rates, intervals, sentences) are to be
computed from what is shown, then nothing can leak through them. Two answers of different days can
still be compared with each other; this module does not protect against that.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

MINIMUM_AUDIENCE = 10
LEAST_MINIMUM = 3
"""With less there would be one count only that is hidden: the reader would know it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Parts and total, None where they are hidden."""

    parts: tuple[int | None, ...]
    total: int | None


def show(count: int, minimum: int) -> int | None:
    """Return a count that stands alone, None if it is of too few people.

    Examples
    --------
    >>> show(9, 10), show(10, 10), show(0, 10)
    (None, 10, 0)
    """
    return count if count >= minimum or count == 0 else None


def show_parts(counts: Sequence[int], minimum: int) -> Shown:
    """Return parts that are counts of different people, and their total.

    Examples
    --------
    >>> show_parts([500, 3, 40, 0], 10)
    Shown(parts=(None, None, 40, 0), total=543)
    """
    return _show(counts, [range(each) for each in counts], minimum, disjoint=True)


def show_events(
    counts: Sequence[int], people: Sequence[Collection[Hashable]], minimum: int
) -> Shown:
    """Return parts that are counts of events, by who caused them, and their total.

    Parameters
    ----------
    counts
        Events of each part.
    people
        Who caused them; one person may be in several parts.
    """
    return _show(counts, people, minimum, disjoint=False)


def _show(
    counts: Sequence[int],
    people: Sequence[Collection[Hashable]],
    minimum: int,
    *,
    disjoint: bool,
) -> Shown:
    hidden = [at for at, count in enumerate(counts) if count and len(people[at]) < minimum]
    small = frozenset(hidden)
    more = (at for at, count in enumerate(counts) if count and at not in small)
    total: int | None = sum(counts)
    while hidden and not _safe(hidden, counts, people, minimum, disjoint=disjoint):
        at = next(more, None)
        if at is None:
            total = None
            break
        hidden.append(at)
    return Shown(tuple(None if at in hidden else count for at, count in enumerate(counts)), total)


def _safe(
    hidden: Sequence[int],
    counts: Sequence[int],
    people: Sequence[Collection[Hashable]],
    minimum: int,
    *,
    disjoint: bool,
) -> bool:
    """Return whether the sum of hidden parts, which the total gives away, may be known.

    It is of enough people, hence of two parts at least. And it must not leave each part one value
    only: all of them least, or all of them largest.
    """
    events = sum(counts[at] for at in hidden)
    if disjoint:
        together = sum(len(people[at]) for at in hidden)
    else:
        together = len(frozenset().union(*(people[at] for at in hidden)))
    extremes = (len(hidden), len(hidden) * (minimum - 1))
    return together >= minimum and events not in extremes
