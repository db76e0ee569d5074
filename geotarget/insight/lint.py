"""Can phones tell that they are in this zone? Asked before money is spent on it.

Two kinds of answers. Some follow from the zone alone: too narrow, slivers, overlaps, duplicates,
never valid. The other is tried out: `trial` sends some hundred people into the zone and past it,
with phones as they were seen around it (footfall: accuracies and intervals of everybody who came
into the cells along its border) or, where too little is known, with phones as they are taken to be
in a town, and says so. What the live engine makes of them is the forecast.

A forecast of 400 visits is good to 5 points. It knows nothing of walls: indoors, phones report
worse than on the street, and the footfall of a cell does not tell which was which.

Costs: 0.15 s; 2 s for an outline of 200,000 vertices.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import h3.api.basic_int as h3
import numpy as np
import shapely

from geotarget.engine.cells import cells_at
from geotarget.engine.footfall import CLASSES, RESOLUTION, bounds_of_class
from geotarget.engine.rules import Rules
from geotarget.insight.flaws import Finding, Severity, flaws, width_m
from geotarget.insight.ground import near, outline
from geotarget.insight.reach import Read
from geotarget.insight.trial import Phones, Trial, trial
from geotarget.model import FloatArray, IntArray, Zone
from geotarget.sketches import Pile

PEOPLE = 400
"""Visitors, and as many passers-by."""

LEAST_SAMPLES = 50
"""Fewer say nothing of a place."""

RINGS = (1, 6)
"""How many cells around the border count: 0.4 km, or if that is too little 2.5 km."""

ASSUMED_ACCURACY_M = (5.0, 30.0)
ASSUMED_INTERVAL_S = (5.0, 60.0)
"""Of phones in a town, where nothing is known; evenly over the logarithm."""

_BORDER_POINTS = 200


@dataclass(frozen=True, slots=True)
class Spread:
    """What phones report, be it accuracy in metres or intervals in seconds."""

    median: float
    p90: float
    samples: int

    @property
    def observed(self) -> bool:
        """Whether it was seen around the zone; else it is assumed."""
        return self.samples > 0


@dataclass(frozen=True, slots=True)
class Lint:
    """What is to be said of a zone.

    Parameters
    ----------
    sentence
        The forecast in words.
    findings
        The worst first.
    width_m
        Of the largest circle that fits in, metres.
    accuracy_m, interval_s
        The phones of the forecast.
    stay_s
        How long visitors stay.
    forecast
        What became of simulated people.
    """

    sentence: str
    findings: tuple[Finding, ...]
    width_m: float
    accuracy_m: Spread
    interval_s: Spread
    stay_s: float
    forecast: Trial


def lint(
    zone: Zone,
    read: Read,
    *,
    others: Iterable[Zone],
    thresholds_s: Sequence[int],
    rules: Rules,
    now_ms: int,
    days: int,
    minimum: int,
    stay_s: float,
) -> Lint:
    """Say whether phones can tell that they are in a zone, and what is odd about it.

    Parameters
    ----------
    zone
        A draft or a stored one.
    read
        Gives the footfall.
    others
        Zones whose bounding boxes meet this one's; the zone itself may be among them.
    thresholds_s
        Dwell times that campaigns wait for in it.
    rules
        The live figures.
    now_ms
        Unix milliseconds.
    days
        How far back the footfall is looked at.
    minimum
        Phones of fewer devices are not looked at.
    stay_s
        How long visitors stay, seconds.
    """
    seed = zlib.crc32(shapely.to_wkb(zone.geometry))
    chance = np.random.default_rng(seed)
    today = now_ms // 86_400_000
    accuracies, intervals = _observed(zone, read, today - days + 1, today, minimum)
    accuracy_m, accuracy = _drawn(
        accuracies, ASSUMED_ACCURACY_M, 2 * PEOPLE, chance, unknown=rules.unknown_accuracy_m
    )
    interval_s, interval = _drawn(intervals, ASSUMED_INTERVAL_S, 2 * PEOPLE, chance)
    width = width_m(zone)
    forecast = trial(
        zone,
        Phones(accuracy_m[:PEOPLE], interval_s[:PEOPLE]),
        Phones(accuracy_m[PEOPLE:], interval_s[PEOPLE:]),
        stay_s=stay_s,
        seed=seed,
        rules=rules,
    )
    found = [
        *_of_forecast(forecast, accuracy, interval, stay_s),
        *_of_dwell(thresholds_s, interval),
        *flaws(zone, others, width=width, accuracy_m=accuracy.median, now_ms=now_ms),
    ]
    found.sort(key=lambda each: each.severity)
    return Lint(
        sentence=_sentence(forecast, accuracy, width),
        findings=tuple(found),
        width_m=round(width, 1),
        accuracy_m=accuracy,
        interval_s=interval,
        stay_s=stay_s,
        forecast=forecast,
    )


def _observed(
    zone: Zone, read: Read, from_day: int, to_day: int, minimum: int
) -> tuple[IntArray, IntArray]:
    """Return counts of accuracies and intervals along the border, all 0 if they are too few."""
    shape = outline(zone)
    longest = shape.length / _BORDER_POINTS
    if shapely.get_num_coordinates(shape) <= _BORDER_POINTS:
        shape = shapely.segmentize(shape, max(longest, 1e-9))
    points = shapely.get_coordinates(shape)
    points = points[:: max(1, len(points) // _BORDER_POINTS)]
    lng, lat = near(points[:, 0], 0.0), points[:, 1]
    core = np.unique(cells_at(lng=lng, lat=lat, resolution=RESOLUTION)).tolist()
    for rings in RINGS:
        around = {cell for middle in core for cell in h3.grid_disk(middle, rings)}
        rows = read(sorted(around), from_day, to_day)
        accuracies = _sum([row.accuracies for row in rows])
        intervals = _sum([row.intervals for row in rows])
        devices = Pile.of([row.devices for row in rows]).weighed(np.ones(len(rows)))[1]
        known = min(int(accuracies.sum()), int(intervals[1:].sum()))
        if devices >= minimum and known >= LEAST_SAMPLES:
            return accuracies, intervals
    return _sum(()), _sum(())


def _sum(counts: Sequence[Sequence[int]]) -> IntArray:
    """Return the sums of counts by class."""
    table = np.array(counts, np.int64).reshape(-1, CLASSES)
    summed: IntArray = table.sum(axis=0)
    return summed


def _drawn(
    counts: IntArray,
    assumed: tuple[float, float],
    number: int,
    chance: np.random.Generator,
    *,
    unknown: float | None = None,
) -> tuple[FloatArray, Spread]:
    """Return values as they were counted, or as they are assumed, and how they spread.

    Class 0 counts as `unknown`, or not at all.
    """
    known = counts.copy()
    if unknown is None:
        known[0] = 0
    total = int(known.sum())
    if total == 0:
        low, high = (float(each) for each in np.log(assumed))
        values = np.exp(chance.uniform(low, high, number))
        median, p90 = (float(np.exp(low + share * (high - low))) for share in (0.5, 0.9))
        return values, Spread(round(median, 1), round(p90, 1), 0)
    edges = np.array([bounds_of_class(each) for each in range(CLASSES)])
    if unknown is not None:
        edges[0] = unknown
    drawn = chance.choice(CLASSES, number, p=known / total)
    values = edges[drawn, 0] * (edges[drawn, 1] / edges[drawn, 0]) ** chance.random(number)
    middle = np.sqrt(edges[:, 0] * edges[:, 1])
    order = np.argsort(middle)
    cumulated = np.cumsum(known[order])
    median, p90 = (
        float(middle[order][np.searchsorted(cumulated, share * total)]) for share in (0.5, 0.9)
    )
    return values, Spread(round(median, 1), round(p90, 1), total)


def _sentence(forecast: Trial, accuracy: Spread, width: float) -> str:
    where = "Median accuracy here is" if accuracy.observed else "With a median accuracy of"
    missed = forecast.missed / forecast.visits
    if missed >= 0.05:
        expected = f"expect to miss {_of_ten(missed)} arrivals"
    else:
        delay = forecast.delays_s[len(forecast.delays_s) // 2]
        soon = f"within {delay:.0f} s" if delay >= 0.5 else "at once"
        expected = f"expect to see nearly all arrivals, half of them {soon}"
    return f"{where} {accuracy.median:.0f} m, the zone is {width:.0f} m wide: {expected}."


def _of_ten(share: float) -> str:
    """Return a share as people say it.

    Examples
    --------
    >>> _of_ten(0.58), _of_ten(0.07), _of_ten(0.97)
    ('6 of 10', '1 in 14', 'nearly all')
    """
    if share > 0.95:
        return "nearly all"
    return f"1 in {round(1 / share)}" if share < 0.15 else f"{round(10 * share)} of 10"


def _of_forecast(
    forecast: Trial, accuracy: Spread, interval: Spread, stay_s: float
) -> list[Finding]:
    """Say what is to be expected of the engine."""
    found = []
    missed, entered = forecast.missed / forecast.visits, forecast.entered / forecast.passers
    if missed >= 0.2:
        severity = Severity.PROBLEM if missed >= 0.5 else Severity.WARNING
        text = (
            f"{missed:.0%} of the arrivals will be missed; a wider zone sees more of them, and so "
            "does the entry policy eager, which also takes more people in who only walk past"
        )
        found.append(Finding("arrivals-missed", severity, text))
    if entered >= 0.1:
        text = (
            f"{entered:.0%} of those who walk past within 40 m will be taken to be inside; the "
            "entry policy strict takes fewer in, and misses more arrivals"
        )
        found.append(Finding("passers-by", Severity.WARNING, text))
    if interval.median > stay_s / 3:
        text = (
            f"half of the phones report every {interval.median:.0f} s or less often: in a visit of "
            f"{stay_s:.0f} s they are heard of three times at most"
        )
        found.append(Finding("sparse-pings", Severity.WARNING, text))
    if not (accuracy.observed and interval.observed):
        text = (
            "too little is known of phones here: the forecast takes them to be as in a town, "
            f"{ASSUMED_ACCURACY_M[0]:.0f} to {ASSUMED_ACCURACY_M[1]:.0f} m accurate and heard of "
            f"every {ASSUMED_INTERVAL_S[0]:.0f} to {ASSUMED_INTERVAL_S[1]:.0f} s"
        )
        found.append(Finding("assumed-phones", Severity.HINT, text))
    return found


def _of_dwell(thresholds_s: Sequence[int], interval: Spread) -> list[Finding]:
    """Say which dwell times are too short for the phones."""
    return [
        Finding(
            "dwell-too-short",
            Severity.WARNING,
            f"a campaign waits for a stay of {threshold} s, but one phone in ten reports every "
            f"{interval.p90:.0f} s or less often: who left in between counts as having stayed",
        )
        for threshold in thresholds_s
        if interval.p90 > threshold / 2
    ]
