"""What is odd about a zone, by its outline, its dates and its neighbours alone.

Nothing of it forbids the zone: people draw what they need. Each finding has a code for programs, a
severity and a sentence for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import shapely
from shapely.geometry.base import BaseGeometry

from geotarget.insight.ground import Plane, outline, simple
from geotarget.model import EntryPolicy, Zone

LEAST_PART_M = 10.0
"""No phone is so accurate that a narrower part would mean something."""

SAME = 0.98
"""Two zones that share so much of their union are the same."""

NAMED = 5
"""Neighbours that are named before the rest is counted."""


class Severity(IntEnum):
    """How bad it is; the worst first."""

    PROBLEM = 0
    WARNING = 1
    HINT = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd about a zone."""

    code: str
    severity: Severity
    text: str


def width_m(zone: Zone) -> float:
    """Return the diameter of the largest circle that fits into a zone, metres, to 2 %."""
    if zone.radius_m is not None:
        return 2 * zone.radius_m
    flat = _measured(zone)
    fitting = (
        shapely.maximum_inscribed_circle(part, tolerance=0.01 * part.area**0.5)
        for part in shapely.get_parts(flat)
    )
    return 2 * max(float(each.length) for each in fitting)


def flaws(
    zone: Zone, others: Iterable[Zone], *, width: float, accuracy_m: float, now_ms: int
) -> list[Finding]:
    """Return what is odd about a zone.

    Parameters
    ----------
    others
        Zones that may touch it, itself among them or not.
    width
        As `width_m` gives it.
    accuracy_m
        Median accuracy of phones here, metres.
    now_ms
        Unix milliseconds.
    """
    return [
        *_of_state(zone, now_ms),
        *_of_size(zone, width, accuracy_m),
        *_of_parts(zone, accuracy_m),
        *_of_neighbours(zone, others),
    ]


def _of_state(zone: Zone, now_ms: int) -> list[Finding]:
    found = []
    if not zone.active:
        found.append(Finding("inactive", Severity.PROBLEM, "the zone is not active: nobody enters"))
    if zone.ends_ms is not None and zone.ends_ms <= now_ms:
        found.append(Finding("over", Severity.PROBLEM, "the zone's validity is over"))
    elif zone.starts_ms is not None and zone.starts_ms > now_ms:
        found.append(Finding("not-yet", Severity.HINT, "the zone is not valid yet"))
    if zone.sensitive:
        text = (
            "the zone is sensitive: no campaign ever fires in it, and its visitors can't be listed"
        )
        found.append(Finding("sensitive", Severity.HINT, text))
    if zone.time_zone == "UTC" or zone.time_zone.startswith("Etc/"):
        text = (
            f"the zone's time zone is {zone.time_zone}, that of no country: hours of campaigns "
            "are read in it; set time_zone if people live by another"
        )
        found.append(Finding("no-time-zone", Severity.WARNING, text))
    return found


def _of_size(zone: Zone, width: float, accuracy_m: float) -> list[Finding]:
    if width < accuracy_m:
        severity = Severity.PROBLEM if 2 * width < accuracy_m else Severity.WARNING
        text = (
            f"the zone is {width:.0f} m wide and phones here are {accuracy_m:.0f} m accurate: "
            "make it at least twice as wide as that"
        )
        return [Finding("narrow", severity, text)]
    if zone.entry is EntryPolicy.RAW:
        text = "the entry policy raw believes every fix: people on its border enter again and again"
        return [Finding("raw", Severity.HINT, text)]
    return []


def _of_parts(zone: Zone, accuracy_m: float) -> list[Finding]:
    """Say which parts and holes are too small to be told from their surroundings."""
    if zone.radius_m is not None:
        return []
    parts = shapely.get_parts(_measured(zone)).tolist()
    least = max(LEAST_PART_M, accuracy_m / 2)
    found = []
    slivers = [part for part in parts if _narrower(part, least)]
    if len(parts) > 1 and slivers:
        text = (
            f"{len(slivers)} of its {len(parts)} parts are narrower than {least:.0f} m: nobody is "
            "ever found in them; leave them out or draw one outline around all"
        )
        found.append(Finding("small-parts", Severity.WARNING, text))
    holes = [shapely.polygons(ring) for part in parts for ring in part.interiors]
    small = [hole for hole in holes if _narrower(hole, 2 * least)]
    if small:
        text = (
            f"{len(small)} of its {len(holes)} holes are narrower than {2 * least:.0f} m: who is "
            "in them counts as inside the zone now and then"
        )
        found.append(Finding("small-holes", Severity.WARNING, text))
    return found


def _of_neighbours(zone: Zone, others: Iterable[Zone]) -> list[Finding]:
    """Say which other active zones cover the same ground."""
    shape = outline(zone)
    shapely.prepare(shape)
    same: list[str] = []
    overlapping: list[str] = []
    for other in others:
        if other.id == zone.id or not other.active:
            continue
        its = outline(other)
        if not shape.intersects(its) or shape.touches(its):
            continue
        (same if _share(shape, its) >= SAME else overlapping).append(other.id)
    found = []
    if same:
        text = f"the same ground is a zone already: {_named(same)}"
        found.append(Finding("duplicate", Severity.PROBLEM, text))
    if overlapping:
        text = (
            f"it overlaps {_named(overlapping)}: who is in both enters both; a campaign whose "
            "trigger takes only the most specific zone speaks once, and priority decides first"
        )
        found.append(Finding("overlap", Severity.HINT, text))
    return found


def _share(one: BaseGeometry, other: BaseGeometry) -> float:
    """Return how much of their union two shapes share; of boxes first, because outlines cost."""
    boxes = shapely.box(*one.bounds), shapely.box(*other.bounds)
    if _of_union(*boxes) < SAME**2:
        return 0.0
    return _of_union(one, other)


def _of_union(one: BaseGeometry, other: BaseGeometry) -> float:
    shared = float(one.intersection(other).area)
    return shared / max(float(one.area) + float(other.area) - shared, 1e-300)


def _named(ids: list[str]) -> str:
    more = len(ids) - NAMED
    return ", ".join(sorted(ids)[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _measured(zone: Zone) -> BaseGeometry:
    """Return a zone's outline in metres, without more corners than measuring it needs."""
    shape = outline(zone)
    return simple(Plane.around(shape).metres(shape))


def _narrower(part: BaseGeometry, width: float) -> bool:
    """Tell whether no circle of a diameter fits into a part."""
    return bool(part.buffer(-width / 2, quad_segs=4).is_empty)
