"""The goals of the match engine, and whether a run's figures meet them.

A goal reads one figure out of the results; where its part was not measured there is no verdict.
The best peer is the fastest of those that the goal names: shapely with a tree of zones both ways,
geopandas, the h3 dictionary. A tree over the pings of a batch, which is faster in big batches, gets
a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]

TIMES = {100: 20.0, 10_000: 15.0, 100_000: 40.0}
"""How many times as fast as the best of the others, by the number of zones."""
PEERS_OF_THE_GOAL = ("strtree", "prepared", "geopandas", "h3_dictionary")
"""What the goal was set against; how fast a tree over the pings is was not known then."""


@dataclass(frozen=True)
class Goal:
    """A figure and its bound."""

    what: str
    bound: float
    unit: str
    read: Callable[[Results], float]
    at_most: bool = True


def verdicts(parts: Results) -> list[Results]:
    """Return one record for each goal that was measured: what, bound, measured, met."""
    found = []
    for goal in goals():
        try:
            measured = goal.read(parts)
        except (KeyError, StopIteration):
            continue
        sign = "≤" if goal.at_most else "≥"
        found.append(
            {
                "goal": goal.what,
                "bound": f"{sign} {goal.bound:,g} {goal.unit}".strip(),
                "measured": measured,
                "unit": goal.unit,
                "met": measured <= goal.bound if goal.at_most else measured >= goal.bound,
            }
        )
    return found


def wrong_pairs(parts: Results) -> int:
    """Return how many of our answers differ from shapely's, over all parts of a run."""
    wrong = 0
    for part in parts.values():
        for row in part.get("rows", []):
            wrong += row.get("engines", {}).get("geotarget", {}).get("wrong_pairs", 0)
        wrong += not part.get("same_answers", True)
    return wrong


def times(row: Results, names: tuple[str, ...] | None = None, *, collector: bool = True) -> float:
    """Return how many times as long as ours the best of the others takes, in a row of a series.

    `names` are the others that count; without `collector` the figures without Python's collector
    of garbage are read.
    """
    return min(
        float((engine if collector else engine["without_collector"])["times"])
        for name, engine in row["engines"].items()
        if name != "geotarget" and (names is None or name in names)
    )


def goals() -> list[Goal]:
    """Return all goals in the order of the table."""
    found = []
    for count, bound in TIMES.items():
        beside = _times(count, PEERS_OF_THE_GOAL)
        found += [
            Goal(f"{count:,} zones: beside the best peer", bound, "times", beside, at_most=False),
            Goal(
                f"{count:,} zones: the tree of pings among the peers",
                bound,
                "times",
                _times(count, None),
                at_most=False,
            ),
        ]
    outlines = ("on vertices", "1 cm beside outlines")
    return [
        *found,
        Goal("10,000 zones", 150, "ns", _ours("zones", zones=10_000)),
        Goal(
            "growth, 100 to 10,000 zones at the same hits",
            1.7,
            "times",
            _at("growth", "times", few=100, many=10_000),
        ),
        Goal("time zones, over the Earth", 250, "ns", _ours("time_zones", pings="over the Earth")),
        *(
            Goal(f"time zones, {kind}", 2_000, "ns", _ours("time_zones", pings=kind))
            for kind in outlines
        ),
        Goal("build 100,000 zones", 2.5, "s", _built("from_zones", "cpu_s")),
        Goal("size at 100,000 zones", 1_300, "bytes a zone", _built("bytes_a_zone")),
        Goal("one edit among 100,000 zones", 50, "ms", _at("edit", "wall_ms", zones=100_000)),
        Goal("load 100,000 zones", 0.5, "s", _at("saved", "load", "wall_s", zones=100_000)),
        Goal("a batch of one", 20, "µs", _ours("batch", "call_us", batch=1)),
        Goal("first answer, kernels not compiled", 15, "s", _at("start", "cold", "wall_s")),
        Goal("first answer, kernels compiled", 0.8, "s", _at("start", "warm", "wall_s")),
        Goal("wrong pairs", 0, "", wrong_pairs),
    ]


def _row(parts: Results, part: str, **key: object) -> Results:
    """Return the row of a part in which a field has a value."""
    ((name, value),) = key.items()
    return next(row for row in parts[part]["rows"] if row[name] == value)


def _at(part: str, *path: str, **key: object) -> Callable[[Results], float]:
    """Return a reader of a figure; a part in which a field has another value does not count."""

    def read(parts: Results) -> float:
        found: Any = parts[part]
        if any(found[name] != value for name, value in key.items()):
            raise KeyError(part)
        for name in path:
            found = found[name]
        return float(found)

    return read


def _ours(part: str, field: str = "ns", **key: object) -> Callable[[Results], float]:
    return lambda parts: float(_row(parts, part, **key)["engines"]["geotarget"][field])


def _times(zones: int, names: tuple[str, ...] | None) -> Callable[[Results], float]:
    return lambda parts: times(_row(parts, "zones", zones=zones), names)


def _built(*path: str) -> Callable[[Results], float]:
    return lambda parts: _at("build", *path)({"build": _row(parts, "build", zones=100_000)})
