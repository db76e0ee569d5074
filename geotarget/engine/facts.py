"""What zones say of themselves besides their shape, in columns: for whoever asks about all of them.

A zone of a mapped index is made when somebody looks at it, and most are never looked at. What the
rules and the campaigns need of every zone (policy, priority, times, tags …) is read here without
making one: 1 µs a zone, once for each layer, however many edits follow. Tags are kept as sets that
zones share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.stored_zones import StoredZones
from geotarget.model import EntryPolicy, IntArray, Zone

ALWAYS = np.iinfo(np.int64)
"""`starts_ms` and `ends_ms` of a zone without them are its ends."""

POLICIES = tuple(EntryPolicy)
"""`policy` is a position in here."""

FACTS = np.dtype(
    [
        ("priority", np.int64),
        ("policy", np.int8),
        ("pending_enters", np.bool_),
        ("exit_buffer_m", np.float64),
        ("starts_ms", np.int64),
        ("ends_ms", np.int64),
        ("revision", np.int64),
        ("tags", np.int32),
    ]
)
"""A zone's record; without an exit buffer NaN; `tags` is a position among the sets of tags."""

_CODE = {policy: code for code, policy in enumerate(POLICIES)}

Tags = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Facts:
    """What some zones say of themselves.

    Parameters
    ----------
    records
        One of `FACTS` for each zone.
    tag_sets
        The different sets of tags among them.
    """

    records: NDArray[np.void]
    tag_sets: Sequence[Tags]

    @classmethod
    def of(cls, zones: Sequence[Zone]) -> Facts:
        """Read the facts of zones; those of a mapped index are not made for it."""
        told: Iterable[tuple[object, ...]]
        if isinstance(zones, StoredZones):
            told = zones.told()
        else:
            told = (
                (
                    zone.priority,
                    zone.entry,
                    zone.pending_enters,
                    zone.exit_buffer_m,
                    zone.starts_ms,
                    zone.ends_ms,
                    zone.revision,
                    zone.tags,
                )
                for zone in zones
            )
        place: dict[object, int] = {}
        rows = [
            (
                priority,
                _CODE[entry],  # type: ignore[index]
                pending,
                math.nan if buffer is None else buffer,
                ALWAYS.min if starts is None else starts,
                ALWAYS.max if ends is None else ends,
                revision,
                place.setdefault(tags, len(place)),
            )
            for priority, entry, pending, buffer, starts, ends, revision, tags in told
        ]
        return cls(np.array(rows, FACTS), tuple(place))  # type: ignore[arg-type]

    @classmethod
    def gathered(cls, parts: Iterable[tuple[Facts, IntArray, IntArray]], zones: int) -> Facts:
        """Return the facts of an index.

        Parameters
        ----------
        parts
            Facts of each layer, the rows that count, and where those stand in the index.
        zones
            How many zones the index has.
        """
        records = np.zeros(zones, FACTS)
        tag_sets: list[Tags] = []
        for facts, rows, place in parts:
            records[place] = facts.records[rows]
            # the largest layer comes first: its sets stay where they are
            shift = len(tag_sets)
            records["tags"][place] += shift
            tag_sets += facts.tag_sets
        return cls(records, tag_sets)

    def tags(self, at: int) -> Tags:
        """Return the tags of a zone."""
        return self.tag_sets[self._sets[at]]

    @cached_property
    def _sets(self) -> list[int]:
        numbers: list[int] = self.records["tags"].tolist()
        return numbers

    def tagged(self, tag: str) -> IntArray:
        """Return the positions of the zones that carry a tag."""
        wanted = [number for number, tags in enumerate(self.tag_sets) if tag in tags]
        carry = np.zeros(len(self.tag_sets), np.bool_)
        carry[wanted] = True
        return np.flatnonzero(carry[self.records["tags"]])


class LaterFacts:
    """The facts of a layer, read when they are first asked for; all states of the layer share them.

    Parameters
    ----------
    zones
        Of the layer.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones

    @cached_property
    def facts(self) -> Facts:
        """The facts. Two threads may read them at once, and both are right."""
        return Facts.of(self._zones)
