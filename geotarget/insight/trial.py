"""Visits to a zone that never were: seeded walks through the live engine.

People walk up to the zone, stay at a place in it, and leave the way they came; others walk past its
border. Each has a phone with a usual interval and accuracy, drawn from what is known of the place.
A fix's error is normal, so that the reported radius holds 68 % of the fixes; seven tenths of its
variance drift slowly (half a minute on the move, minutes at rest), three tenths are new with each
fix. The same model is behind the figures of `docs/entries.md`, where it is compared with real
tracks. What really happened is known to the second, what the engine makes of it is `advance` and
`settle`, as they run live.

Costs: half a second for 300 visits and 300 passers-by, 50,000 pings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geotarget.engine.intake import sliced
from geotarget.engine.live_state import LiveState
from geotarget.engine.rules import Rules
from geotarget.engine.timers import settle
from geotarget.engine.transitions import advance
from geotarget.engine.zone_index import ZoneIndex
from geotarget.engine.zone_table import ZoneTable
from geotarget.insight.ground import Plane, outline, simple
from geotarget.model import FloatArray, Kind, PingBatch, Transition, Zone

WALK_M_S = 1.3
APPROACH_M = 300.0
"""How far outside a walk begins."""

DEEPEST_M = 150.0
"""Nobody goes further in: an arrival in a large zone is decided near its border."""

PASSING_M = (5.0, 40.0)
"""How far from the border people pass by."""

RADIUS_TO_SIGMA = 1.51
DRIFT_SHARE = 0.7
DRIFT_S = (30.0, 300.0)
MOST_FIXES = 500
"""Of one phone: shorter intervals are taken to be as long as that allows."""

_BEGIN_MS = 1_800_000_000_000
_CHUNK = 20_000
_TRIES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Phones:
    """Usual accuracy (68 % radius, metres) and interval (seconds) of each phone."""

    accuracy_m: FloatArray
    interval_s: FloatArray

    def __len__(self) -> int:
        return len(self.accuracy_m)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the simulated people.

    Parameters
    ----------
    visits, missed
        How many stayed in the zone, and how many of them the engine never saw enter.
    delays_s
        From setting foot in it to the decision, for each of the others, ascending.
    passers, entered
        How many walked past, and how many of them were said to have entered.
    """

    visits: int
    missed: int
    delays_s: tuple[float, ...]
    passers: int
    entered: int


def trial(
    zone: Zone, visitors: Phones, passers: Phones, *, stay_s: float, seed: int, rules: Rules
) -> Trial:
    """Send people into a zone and past it.

    Parameters
    ----------
    zone
        Any valid one; its entry policy counts, its dates do not.
    visitors, passers
        Their phones, one each.
    stay_s
        How long visitors stay at their place, seconds.
    seed
        Equal seeds give equal answers.
    rules
        Figures of the entry rules.
    """
    chance = np.random.default_rng(seed)
    zone = replace(zone, active=True, starts_ms=None, ends_ms=None, key=1)
    index = ZoneIndex.build([zone])
    shape = outline(zone)
    plane = Plane.around(shape)
    flat = simple(plane.metres(shape))
    ways = np.concatenate(
        [_visits(flat, len(visitors), chance), _passings(flat, len(passers), chance)]
    )
    still = np.concatenate([np.full(len(visitors), stay_s), np.zeros(len(passers))])
    phones = Phones(
        np.concatenate([visitors.accuracy_m, passers.accuracy_m]),
        np.concatenate([visitors.interval_s, passers.interval_s]),
    )
    walks = _Walks.of(ways, still, phones)
    transitions = _engine(index, _pings(walks, phones, plane, chance), rules)
    arrived_ms = _arrivals(walks, len(visitors), index, plane)
    entered: dict[int, int] = {}
    for each in transitions:
        if each.kind is Kind.ENTER:
            entered.setdefault(int(each.device), each.decided_ms)
    delays = [
        max(0.0, (at_ms - arrived_ms[person]) / 1000)
        for person, at_ms in entered.items()
        if person < len(visitors)
    ]
    return Trial(
        visits=len(visitors),
        missed=len(visitors) - len(delays),
        delays_s=tuple(sorted(delays)),
        passers=len(passers),
        entered=len(entered) - len(delays),
    )


def _visits(flat: BaseGeometry, count: int, chance: np.random.Generator) -> FloatArray:
    """Return ways of three corners, shape (count, 3, 2): outside, inside, and out again."""
    inside = _places(flat, count, chance)
    border = shapely.boundary(
        shapely.union_all([_filled(part) for part in shapely.get_parts(flat)])
    )
    shapely.prepare(border)
    nearest = shapely.get_coordinates(shapely.shortest_line(inside, border)).reshape(-1, 2, 2)
    place, edge = nearest[:, 0], nearest[:, 1]
    out = edge - place
    depth = np.hypot(out[:, 0], out[:, 1])
    turn = chance.uniform(0.0, 2 * np.pi, count)
    anywhere = np.column_stack([np.cos(turn), np.sin(turn)])
    way = np.where((depth > 1e-6)[:, None], out / np.maximum(depth, 1e-6)[:, None], anywhere)
    stay = edge - way * np.minimum(depth, DEEPEST_M)[:, None]
    begin = edge + way * APPROACH_M
    return np.stack([begin, stay, begin], axis=1)


def _filled(part: BaseGeometry) -> BaseGeometry:
    return shapely.polygons(shapely.get_exterior_ring(part))


def _places(flat: BaseGeometry, count: int, chance: np.random.Generator) -> NDArray[np.object_]:
    """Return places anywhere in a shape; if it is too thin to be hit, some points of its parts."""
    shapely.prepare(flat)
    west, south, east, north = flat.bounds
    found = np.empty((0, 2))
    for _ in range(_TRIES):
        tried = chance.uniform((west, south), (east, north), (4 * count, 2))
        hit = shapely.contains_xy(flat, tried[:, 0], tried[:, 1])
        found = np.concatenate([found, tried[hit]])[:count]
        if len(found) == count:
            break
    else:
        surely = shapely.get_coordinates(shapely.point_on_surface(shapely.get_parts(flat)))
        found = np.concatenate([found, np.resize(surely, (count - len(found), 2))])
    points: NDArray[np.object_] = np.asarray(shapely.points(found))
    return points


def _passings(flat: BaseGeometry, count: int, chance: np.random.Generator) -> FloatArray:
    """Return straight ways past the convex hull, as ways of three corners."""
    hull = shapely.orient_polygons(flat.convex_hull)
    corners = shapely.get_coordinates(hull)
    sides = np.diff(corners, axis=0)
    length = np.hypot(sides[:, 0], sides[:, 1])
    side = chance.choice(len(sides), count, p=length / length.sum())
    along = sides[side] / length[side, None]
    outward = np.column_stack([along[:, 1], -along[:, 0]])  # the hull lies to the left
    middle = corners[:-1][side] + chance.random((count, 1)) * sides[side]
    middle = middle + outward * chance.uniform(*PASSING_M, (count, 1))
    step = along * APPROACH_M * chance.choice((-1.0, 1.0), (count, 1))
    return np.stack([middle - step, middle, middle + step], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Walks:
    """Where everybody is when: columns of shape (people, corners).

    `seconds` says when each corner of `places` is reached; before the first and after the last
    people stand.
    """

    seconds: FloatArray
    places: FloatArray
    length_s: FloatArray

    @classmethod
    def of(cls, ways: FloatArray, still_s: FloatArray, phones: Phones) -> _Walks:
        """Return walks along ways of three corners, with a rest at the second one.

        Phones are heard of three times before they set out and after they are back, as those of
        people who live there are.
        """
        walk_s = np.hypot(*np.moveaxis(np.diff(ways, axis=1), 2, 0)) / WALK_M_S
        rest = 3 * phones.interval_s
        seconds = np.cumsum(np.column_stack([rest, walk_s[:, 0], still_s, walk_s[:, 1]]), axis=1)
        return cls(seconds, ways[:, [0, 1, 1, 2]], seconds[:, -1] + rest)

    def at(self, t: FloatArray) -> FloatArray:
        """Return where the first people are, for times of shape (people, n): (people, n, 2)."""
        found = np.empty((*t.shape, 2))
        for person, times in enumerate(t):
            for axis in range(2):
                found[person, :, axis] = np.interp(
                    times, self.seconds[person], self.places[person, :, axis]
                )
        return found


def _pings(walks: _Walks, phones: Phones, plane: Plane, chance: np.random.Generator) -> PingBatch:
    """Return what the phones report, in the order of time."""
    people = len(phones)
    interval = np.maximum(phones.interval_s, walks.length_s / MOST_FIXES)[:, None]
    fixes = int(np.ceil((walks.length_s / (0.85 * interval[:, 0])).max())) + 2
    gaps = interval * chance.uniform(0.85, 1.15, (people, fixes))
    t = chance.random((people, 1)) * interval + np.cumsum(gaps, axis=1)
    resting = (t > walks.seconds[:, 1:2] + 30.0) & (t < walks.seconds[:, 2:3])
    over = np.where(resting | (t < walks.seconds[:, :1]), DRIFT_S[1], DRIFT_S[0])
    swing = _drift(gaps, np.full_like(t, 120.0), chance)
    usual = phones.accuracy_m[:, None] * np.exp(0.25 * swing)
    radius = np.asarray(np.round(np.maximum(usual, 1.0), 1), np.float64)
    place = walks.at(t)
    for axis in range(2):
        slow = _drift(gaps, over, chance)
        fresh = chance.standard_normal(t.shape)
        error = np.sqrt(DRIFT_SHARE) * slow + np.sqrt(1.0 - DRIFT_SHARE) * fresh
        place[:, :, axis] += radius / RADIUS_TO_SIGMA * error
    heard = t < walks.length_s[:, None]
    person = np.nonzero(heard)[0]
    ts = _BEGIN_MS + np.round(1000.0 * t[heard]).astype(np.int64)
    order = np.argsort(ts, kind="stable")
    lng, lat = plane.degrees(*place[heard][order].T)
    return PingBatch(
        device=[str(each) for each in person[order].tolist()],
        ts=ts[order],
        lng=lng,
        lat=lat,
        acc=radius[heard][order],
        key=np.arange(1, len(order) + 1).astype(np.uint64),
        received=ts[order],
    )


def _drift(gaps: FloatArray, over: FloatArray, chance: np.random.Generator) -> FloatArray:
    """Return Gauss-Markov processes of variance 1, one a row; `over` is their time constant."""
    keep = np.exp(-gaps / over)
    push = np.sqrt(1.0 - keep**2) * chance.standard_normal(gaps.shape)
    values = np.empty_like(gaps)
    value = chance.standard_normal(len(gaps))
    for column in range(gaps.shape[1]):
        value = keep[:, column] * value + push[:, column]
        values[:, column] = value
    return values


def _engine(index: ZoneIndex, pings: PingBatch, rules: Rules) -> Sequence[Transition]:
    """Return what the live engine makes of pings."""
    table = ZoneTable.compile(index, lambda _: (), rules)
    state = LiveState()
    found: list[Transition] = []
    for start in range(0, len(pings), _CHUNK):
        part = sliced(pings, start, start + _CHUNK)
        step = advance(state, part, index.query(lng=part.lng, lat=part.lat), table, rules)
        step.apply(state)
        found += step.transitions
    found += settle(state, table, rules, int(pings.ts[-1]) + 3_600_000).transitions
    return found


def _arrivals(walks: _Walks, visitors: int, index: ZoneIndex, plane: Plane) -> list[int]:
    """Return when each visitor really came into the zone: the first second in it, in Unix ms."""
    first, last = walks.seconds[:visitors, 0], walks.seconds[:visitors, 1]
    steps = int(np.ceil((last - first).max())) + 1
    t = np.minimum(first[:, None] + np.arange(steps), last[:, None])
    lng, lat = plane.degrees(*walks.at(t).reshape(-1, 2).T)
    person, second = np.divmod(index.query(lng=lng, lat=lat)[0], steps)
    arrived = last.copy()
    np.minimum.at(arrived, person, t[person, second])
    found: list[int] = (_BEGIN_MS + np.round(1000.0 * arrived).astype(np.int64)).tolist()
    return found
