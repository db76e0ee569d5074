"""What a zone may weigh: bounds that keep one author's outline from being everybody's problem."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

LEAST_COORDINATE = 1e-120
"""A coordinate nearer to 0 than this, and not 0, would make products too small for exact signs."""

_LONGEST = 80
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 3


@dataclass(frozen=True, slots=True)
class GeometryLimits:
    """Bounds on the zones that are accepted.

    Real administrative outlines reach 193,000 vertices, a city district 27,000.

    Parameters
    ----------
    max_bytes
        One zone as JSON.
    max_vertices, max_rings
        One zone.
    max_collection_bytes
        One document of zones.
    max_features
        Features of one document.
    max_depth
        How deep the values inside properties may nest.
    max_properties_bytes
        The properties of one zone as JSON.
    max_radius_m
        Radius of a circle, metres.
    max_pairs
        Pairs of edges, or of edges and rings, with overlapping extents in one polygon. That is
        what checking it costs, about 20 to 50 ns each; a plain coastline of 200,000 vertices has
        a few million.
    """

    max_bytes: int = 8 << 20
    max_vertices: int = 200_000
    max_rings: int = 5_000
    max_collection_bytes: int = 64 << 20
    max_features: int = 200_000
    max_depth: int = 16
    max_properties_bytes: int = 64 << 10
    max_radius_m: float = 100_000.0
    max_pairs: int = 30_000_000


def shown(value: Any) -> str:
    """Return a value as a message can show it: short, printable, whatever it is."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    try:
        text = _SHORT.repr(value)
    except ValueError:  # an integer with more digits than Python likes to print
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
