"""How many devices were in a zone that may not even exist yet: from the footfall of its cells.

Cells of 0.1 km2 are what is known. A cell that lies half in the zone counts for half: each device
counts with the largest share of the cells that it was in, in all of the days once. So the answer is
exact for a zone of whole cells that each saw at most 256 devices a day, an estimate (6 %) above
that, and an extrapolation for a zone that is smaller than its cells: it takes people to be spread
evenly in them.

**Nobody is shown alone.** Numbers of fewer than `minimum` devices are left out, whether of the zone
or of a cell. If the cells that were left out hold fewer than that together, the smallest of the
others is left out too: the rest of a sum must not give them away. Numbers are rounded to tens, so
that two zones that differ by a cell do not either, as a rule; who may ask for many slightly
different zones can still narrow a number down, so the key needs the scope.

Costs: 10 ms for a zone in a town; 5 s for the largest one that is taken, where 5,000 cells were all
busy on all of 30 days; and a second for each 80,000 vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import h3.api.basic_int as h3
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geotarget.engine.cells import parents, to_strings
from geotarget.engine.footfall import RESOLUTION
from geotarget.engine.shown import about as about_cells
from geotarget.engine.shown import cells_of, size_of
from geotarget.errors import InvalidInput, Problem
from geotarget.insight.ground import near, outline
from geotarget.model import FloatArray, Footfall, IntArray, KeyArray, Zone
from geotarget.sketches import Pile

MOST_CELLS = 5_000
"""Cells that a zone may touch: 400 to 600 km2, cells being larger in some places than in others."""

MOST_SHOWN = 600
"""More cells are shown as their parents, of resolution 8 or 7."""

CELL_KM2 = 0.105
COARSEST = 7

Read = Callable[[Iterable[int], int, int], Sequence[Footfall]]
"""Cells, first and last day to what was seen there."""


@dataclass(frozen=True, slots=True)
class CellReach:
    """One cell: its name, what share of it lies in the zone, and how many devices it saw.

    `devices` is None where that would show too few.
    """

    cell: str
    share: float
    devices: int | None


@dataclass(frozen=True, slots=True)
class Reach:
    """How many devices were in a zone.

    Parameters
    ----------
    devices
        About how many, or None where they are too few to be shown.
    sentence
        The same in words, with what must be known to read it.
    from_day, to_day
        Days since 1970, both included.
    resolution
        Of the cells.
    cells
        In the order of their names.
    """

    devices: int | None
    sentence: str
    from_day: int
    to_day: int
    resolution: int
    cells: tuple[CellReach, ...]


def reach(zone: Zone, read: Read, *, today: int, days: int, minimum: int) -> Reach:
    """Return how many devices were in a zone.

    Parameters
    ----------
    zone
        A draft or a stored one.
    read
        Gives the footfall.
    today
        Days since 1970.
    days
        How many days up to today count, 1 or more.
    minimum
        Fewer devices are not shown.

    Raises
    ------
    InvalidInput
        The zone touches more than `MOST_CELLS` cells.
    """
    cells, share = covered(zone)
    from_day = today - days + 1
    rows = read(cells.tolist(), from_day, today)
    pile = Pile.of([row.devices for row in rows])
    at = np.searchsorted(cells, np.array([row.cell for row in rows], np.uint64))
    meant, seen = pile.weighed(share[at])
    shown = meant >= minimum and seen >= minimum
    resolution, names, group = _shown(cells)
    counts = pile.counts(group[at], len(names))
    hidden = _hidden(pile, group[at], counts, minimum)
    inside = np.bincount(group, weights=share) / 7 ** (RESOLUTION - resolution)
    return Reach(
        devices=about(meant, minimum) if shown else None,
        sentence=_sentence(about(meant, minimum) if shown else None, share, days, minimum),
        from_day=from_day,
        to_day=today,
        resolution=resolution,
        cells=tuple(
            CellReach(name, round(part, 3), None if hide else about(count, minimum))
            for name, part, hide, count in zip(
                to_strings(names).tolist(),
                np.minimum(inside, 1.0).tolist(),
                hidden.tolist(),
                counts.tolist(),
                strict=True,
            )
        ),
    )


def covered(zone: Zone) -> tuple[KeyArray, FloatArray]:
    """Return the cells that a zone touches, ascending, and what share of each lies in it.

    Raises
    ------
    InvalidInput
        There are more than `MOST_CELLS`.
    """
    shape = outline(zone)
    area, length = size_of(zone.geometry, zone.radius_m)
    km2 = area / 1e6
    cells = (
        cells_of(zone.geometry, zone.radius_m, RESOLUTION)
        if about_cells(area, length, RESOLUTION) <= 4 * MOST_CELLS
        else np.empty(0, np.uint64)
    )
    if not 0 < len(cells) <= MOST_CELLS:
        reason = f"reach is known for zones of up to {MOST_CELLS:,} cells of about 0.1 km2"
        raise InvalidInput(Problem("$.geometry", f"{km2:,.0f} km2", reason))
    return cells, _shares(cells, shape)


def _shares(cells: KeyArray, shape: BaseGeometry) -> FloatArray:
    """Return what share of each cell lies in a shape; degrees do, for so small a thing."""
    rings = [h3.cell_to_boundary(cell) for cell in cells.tolist()]
    corners = np.array([(lng, lat) for ring in rings for lat, lng in ring])
    middle = shape.centroid.x
    corners[:, 0] = near(corners[:, 0], corners[0, 0])  # a cell is never torn apart
    corners[:, 0] += 360.0 * np.round((middle - corners[0, 0]) / 360.0)
    of_ring = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    tiles: NDArray[np.object_] = np.asarray(
        shapely.polygons(shapely.linearrings(corners, indices=of_ring))
    )
    shapely.prepare(shape)
    share: FloatArray = np.ones(len(cells))
    for at in np.flatnonzero(~shapely.contains_properly(shape, tiles)).tolist():
        share[at] = tiles[at].intersection(_near_by(shape, tiles[at])).area / tiles[at].area
    return share


def _near_by(shape: BaseGeometry, tile: Polygon) -> BaseGeometry:
    """Return what of a shape is around a tile: all of it where it is too thin to be cut fast."""
    try:
        return shapely.clip_by_rect(shape, *tile.bounds)
    except shapely.GEOSException:  # rings of two places are left over
        return shape


def _shown(cells: KeyArray) -> tuple[int, KeyArray, IntArray]:
    """Return resolution and cells to be shown, and of each cell which of them it belongs to."""
    resolution, names, group = RESOLUTION, cells, np.arange(len(cells))
    while len(names) > MOST_SHOWN and resolution > COARSEST:
        resolution -= 1
        names, group = np.unique(parents(cells, resolution), return_inverse=True)
    return resolution, names, group


def _hidden(pile: Pile, group: IntArray, counts: FloatArray, minimum: int) -> NDArray[np.bool_]:
    """Tell which cells are not shown: those with too few, and one more if they are too few."""
    hidden = counts < minimum
    some = hidden & (counts > 0)
    if some.any() and not hidden.all():
        together = pile.counts(np.where(some[group], 0, 1), 2)[0]
        if together < minimum:
            hidden[np.argmin(np.where(hidden, np.inf, counts))] = True
    return np.asarray(hidden)


def about(count: float, minimum: int) -> int:
    """Return a count as it is shown: in tens, above 10,000 with three digits.

    Examples
    --------
    >>> about(1237.2, 10), about(14, 10), about(48_321, 10), about(3, 1)
    (1240, 10, 48300, 3)
    """
    step = min(10, minimum)
    while count >= 1_000 * step:
        step *= 10
    return max(minimum, step * round(count / step))


def _sentence(devices: int | None, share: FloatArray, days: int, minimum: int) -> str:
    when = "today" if days == 1 else f"in the last {days} days"
    if devices is None:
        return f"Fewer than {minimum} devices were here {when}: too few to show."
    said = f"About {devices:,} devices were here {when}."
    if share.sum() < 1:
        said += (
            f" The zone is {share.sum():.0%} of the size of a cell (0.1 km2): the number takes "
            "people to be spread evenly in the cells that it touches."
        )
    return said
