"""Edits of an index: a small layer on top of the others, and all of them seen as one list.

Layers of similar size are joined, so that a zone is indexed anew only a few times however many
edits follow (J. L. Bentley and J. B. Saxe, "Decomposable searching problems", 1980).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import overload

import numpy as np

from geotarget.engine.layer import Layer
from geotarget.model import IntArray, Zone

JOIN = 4
"""A layer of at most so many times the zones of an edit is indexed anew along with it."""


def joined(layers: Sequence[Layer], zones: Sequence[Zone], place: IntArray) -> list[Layer]:
    """Put a layer of zones at ascending places on top, with those below that are not much larger.

    Layers in which nothing is left are dropped.
    """
    kept = [layer for layer in layers if len(layer.alive)]
    if not len(zones):
        return kept or list(layers[:1])
    together = list(zip(place.tolist(), zones, strict=True))
    while kept and len(kept[-1].alive) <= JOIN * len(together):
        layer = kept.pop()
        together += [(int(layer.place[row]), layer.zones[row]) for row in layer.alive.tolist()]
    together.sort(key=itemgetter(0))
    places = np.array([at for at, _ in together], np.int64)
    return [*kept, Layer.of(tuple(zone for _, zone in together), places)]


class LayeredZones(Sequence[Zone]):
    """The zones of an index by position, wherever they live.

    Parameters
    ----------
    layers
        Of the index.
    homes, rows
        Number of the layer and row in it, by position.
    """

    def __init__(self, layers: Sequence[Layer], homes: IntArray, rows: IntArray) -> None:
        self._layers = layers
        self._homes = homes
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Zone: ...
    @overload
    def __getitem__(self, at: slice) -> LayeredZones: ...
    def __getitem__(self, at: int | slice) -> Zone | LayeredZones:
        if isinstance(at, slice):
            return LayeredZones(self._layers, self._homes[at], self._rows[at])
        home, row = int(self._homes[at]), int(self._rows[at])
        return self._layers[home].zones[row]

    def __iter__(self) -> Iterator[Zone]:
        sources = [tuple(layer.zones) for layer in self._layers]
        for home, row in zip(self._homes.tolist(), self._rows.tolist(), strict=True):
            yield sources[home][row]

    def __repr__(self) -> str:
        return f"<{len(self):,} zones>"
