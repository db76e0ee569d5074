"""People who walk through the demo's city and report where they are.

Everybody walks a closed round along the streets, from place to place, pauses there, and starts
again. Where somebody is, is a pure function of the time of day and the seed: nothing is stored,
and a demo that is stopped and started goes on where everybody would be by now. So is the error
of each fix: it drifts slowly, as satellite positions do between houses, and its size is what the
phone reports as its accuracy (68 % radius).

Planning 200 rounds takes 0.6 s, nearly all of it shortest ways (5,000 take 3.4 s); the fixes of
200 walkers cost 0.2 ms a call.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Point, Polygon

from geotarget.demo.campaigns import catalogue_path
from geotarget.demo.streets import METRES_PER_DEGREE, Streets
from geotarget.geojson import load_zones
from geotarget.model import FloatArray, IntArray, Zone

CORNERS = 40
"""Street corners without a zone that people also go to."""

NEAR_M = 100.0
"""How far people like to go for their next stop: each further multiple is chosen e times less."""

LIKING = 20.0
"""How much rather they go to a place than to a corner."""

DRIFT_S = 20.0
"""The error of fixes turns into another one over this time."""

LONGEST_GAP_MS = 10_000
"""After a pause of the process (a closed laptop) only this much is made up for."""

CYCLISTS = 0.05
"""Share of the fleet that rides."""

RADIUS_TO_SIGMA = 1.51
"""A circle of this many standard deviations holds 68 % of a two-dimensional normal."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that people go and stay for a while: within `spread_m` of (lng, lat)."""

    lng: float
    lat: float
    spread_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """What phones report, ordered by time.

    Parameters
    ----------
    walker
        Number of the walker; its device is ``Fleet.devices[walker]``.
    ts
        Fix times, Unix milliseconds.
    lng, lat
        Reported position, degrees.
    acc
        Reported accuracy, metres.
    """

    walker: IntArray
    ts: IntArray
    lng: FloatArray
    lat: FloatArray
    acc: FloatArray

    def __len__(self) -> int:
        return len(self.walker)

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (walker, ping) with the members of a ping as phones send it."""
        columns = (self.walker, self.ts, self.lng, self.lat, self.acc)
        for walker, ts, lng, lat, acc in zip(*(each.tolist() for each in columns), strict=True):
            yield walker, {"ts": ts / 1000, "lat": round(lat, 6), "lng": round(lng, 6), "acc": acc}


def places_in(zones: Sequence[Zone], *, widest_m: float = 150.0) -> list[Place]:
    """Return where people go in these zones: the middle of each that is not a whole district.

    Parameters
    ----------
    zones
        Any zones; their order does not matter.
    widest_m
        A zone in which a larger circle fits is a district, not a place.
    """
    places = []
    for zone in sorted(zones, key=lambda each: each.id):
        for part in shapely.get_parts(zone.geometry).tolist():
            if isinstance(part, Point):
                radius_m = zone.radius_m or 0.0
                lng, lat = part.x, part.y
            else:
                lng, lat, radius_m = _largest_circle(part)
            if radius_m <= widest_m:
                places.append(Place(lng=lng, lat=lat, spread_m=min(0.4 * radius_m, 15.0)))
    return places


def _largest_circle(part: Polygon) -> tuple[float, float, float]:
    """Return middle (lng, lat) and radius in metres of about the largest circle that fits.

    It is sought in degrees, where a circle at 60° north is flattened: near enough for a stroll.
    """
    (lng, lat), edge = shapely.get_coordinates(shapely.maximum_inscribed_circle(part))
    east = (edge[0] - lng) * math.cos(math.radians(lat)) * METRES_PER_DEGREE
    return float(lng), float(lat), math.hypot(east, (edge[1] - lat) * METRES_PER_DEGREE)


class Fleet:
    """Walkers on their rounds.

    Parameters
    ----------
    walkers
        How many.
    places
        Where they stop, beside some street corners; those of the demo's own zones if None.
    streets
        Where they walk; those of the demo's city if None.
    seed
        The same seed gives the same rounds.
    speed
        How fast time runs for them: 2 makes everybody twice as quick (phones report as often).

    Attributes
    ----------
    devices
        Their device ids, ``walker-001`` and so on.

    Examples
    --------
    >>> fleet = Fleet(3, places=[Place(24.9420, 60.1682, 10.0)])
    >>> fleet.devices
    ('walker-001', 'walker-002', 'walker-003')
    >>> fixes = fleet.fixes(1_700_000_000_000, 1_700_000_005_000)
    >>> sorted(set(fixes.walker.tolist()))
    [0, 1, 2]
    """

    def __init__(
        self,
        walkers: int = 200,
        *,
        places: Sequence[Place] | None = None,
        streets: Streets | None = None,
        seed: int = 2026,
        speed: float = 1.0,
    ) -> None:
        if places is None:
            places = places_in(load_zones(catalogue_path()).zones)
        digits = max(3, len(str(walkers)))
        self.devices = tuple(f"walker-{i + 1:0{digits}d}" for i in range(walkers))
        self._streets = Streets.load() if streets is None else streets
        self._seed = seed
        self._speed = speed
        chance = np.random.default_rng(seed)
        pace = chance.uniform(1.0, 1.6, walkers)
        rides = chance.random(walkers) < CYCLISTS
        pace[rides] = chance.uniform(3.0, 4.5, int(rides.sum()))
        city = _City(self._streets, places, chance)
        rounds = [city.round(float(each), chance) for each in pace]
        # All rounds stand one after the other in one clock, so that one interpolation finds all.
        self._length = np.array([each[-1, 0] for each in rounds])
        self._start = np.concatenate([[0.0], np.cumsum(self._length + 1.0)[:-1]])
        for start, each in zip(self._start, rounds, strict=True):
            each[:, 0] += start
        self._clock, self._east, self._north = np.concatenate(rounds).T.copy()
        self._phase = chance.uniform(0.0, self._length)
        self._interval = chance.integers(2_000, 5_001, walkers)
        self._offset = chance.integers(0, self._interval)

    def __len__(self) -> int:
        return len(self.devices)

    def positions(self, at_ms: float) -> tuple[FloatArray, FloatArray]:
        """Return where everybody really is at an instant: (lng, lat), degrees."""
        everybody = np.arange(len(self))
        east, north = self._true(everybody, np.full(len(self), float(at_ms)))
        return self._streets.degrees(east=east, north=north)

    def fixes(self, from_ms: int, to_ms: int) -> Fixes:
        """Return what the phones report in the half-open interval [from_ms, to_ms)."""
        due = -((self._offset - from_ms) // self._interval)
        count = np.maximum(0, -((self._offset - to_ms) // self._interval) - due)
        walker = np.repeat(np.arange(len(self)), count)
        nth = np.arange(len(walker)) - np.repeat(np.cumsum(count) - count, count)
        ts = self._offset[walker] + (due[walker] + nth) * self._interval[walker]
        return self.reported(walker, ts)

    def reported(self, walker: IntArray, ts: IntArray) -> Fixes:
        """Return what the phones of these walkers report at these times, ordered by time."""
        order = np.lexsort((walker, ts))
        walker, ts = walker[order], ts[order]
        east, north = self._true(walker, ts.astype(np.float64))
        acc = np.round(5.0 + 10.0 * self._drift(walker, ts, 0, _uniform), 1)
        sigma = acc / RADIUS_TO_SIGMA
        east = east + sigma * self._error(walker, ts, 1)
        north = north + sigma * self._error(walker, ts, 3)
        lng, lat = self._streets.degrees(east=east, north=north)
        return Fixes(walker=walker, ts=ts, lng=lng, lat=lat, acc=acc)

    def _true(self, walker: IntArray, at_ms: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return true positions in the plane, metres."""
        since = at_ms / 1000 * self._speed + self._phase[walker]
        clock = self._start[walker] + since % self._length[walker]
        return np.interp(clock, self._clock, self._east), np.interp(clock, self._clock, self._north)

    def _error(self, walker: IntArray, ts: IntArray, lane: int) -> FloatArray:
        """Return errors of variance 1: nine tenths slow drift, one tenth anew with each fix."""
        drift = self._drift(walker, ts, lane, _normal)
        fresh = _normal(_hash(self._seed, walker, lane + 1, ts))
        return np.asarray(np.sqrt(0.9) * drift + np.sqrt(0.1) * fresh)

    def _drift(
        self,
        walker: IntArray,
        ts: IntArray,
        lane: int,
        draw: Callable[[NDArray[np.uint64]], FloatArray],
    ) -> FloatArray:
        """Return draws that turn smoothly from one to the next every `DRIFT_S`."""
        knots = ts / (DRIFT_S * 1000)
        knot = np.floor(knots).astype(np.int64)
        turn = (knots - knot) * (np.pi / 2)
        before = draw(_hash(self._seed, walker, lane, knot))
        after = draw(_hash(self._seed, walker, lane, knot + 1))
        if draw is _normal:
            # cos² + sin² = 1 keeps the variance of a normal at 1 all the way.
            return np.asarray(np.cos(turn) * before + np.sin(turn) * after)
        return np.asarray(np.cos(turn) ** 2 * before + np.sin(turn) ** 2 * after)


class _City:
    """Plans rounds: knows the ways to every stop."""

    def __init__(
        self, streets: Streets, places: Sequence[Place], chance: np.random.Generator
    ) -> None:
        corners = chance.choice(len(streets), size=min(CORNERS, len(streets)), replace=False)
        self._places = list(places)
        self._east, self._north = streets.plane(lng=streets.lng, lat=streets.lat)
        lng = np.array([each.lng for each in places], np.float64)
        lat = np.array([each.lat for each in places], np.float64)
        self._middle = np.column_stack(streets.plane(lng=lng, lat=lat))
        doors = streets.nearest(lng=lng, lat=lat) if len(places) else np.empty(0, np.int64)
        self._stops = np.concatenate([doors, corners]).astype(np.int64)
        self._ways = [streets.ways_to(int(node), chance) for node in self._stops]

    def round(self, pace: float, chance: np.random.Generator) -> FloatArray:
        """Return one closed round: rows of (seconds, metres east, metres north)."""
        stops = self._tour(chance)
        points: list[tuple[float, float]] = []
        pauses: list[float] = []
        for stop, after in zip(stops, [*stops[1:], stops[0]], strict=True):
            inside, stay = self._inside(stop, chance)
            points += inside
            pauses += stay
            way = self._way(int(self._stops[stop]), after)
            points += [(float(self._east[node]), float(self._north[node])) for node in way]
            pauses += [0.0] * len(way)
        line = np.array([*points, points[0]])
        steps = np.hypot(*np.diff(line, axis=0).T) / pace
        arrive = np.concatenate([[0.0], np.cumsum(steps + np.array(pauses))])
        leave = arrive + np.array([*pauses, 0.0])
        # Every point twice, at arrival and at departure: in between the walker stands still.
        clock = np.column_stack([arrive, leave]).ravel()
        return np.column_stack([clock, np.repeat(line, 2, axis=0)])

    def _tour(self, chance: np.random.Generator) -> list[int]:
        """Return the numbers of three to six stops, each near the one before it."""
        tour = [int(chance.integers(len(self._stops)))]
        east, north = self._east[self._stops], self._north[self._stops]
        for _ in range(int(chance.integers(2, 6))):
            here = tour[-1]
            distance = np.hypot(east - east[here], north - north[here])
            liking = np.exp(-distance / NEAR_M)
            liking[: len(self._places)] *= LIKING
            liking[tour] = 0.0
            tour.append(int(chance.choice(len(liking), p=liking / liking.sum())))
        return tour

    def _inside(
        self, stop: int, chance: np.random.Generator
    ) -> tuple[list[tuple[float, float]], list[float]]:
        """Return points and pauses at a stop: at a place people leave the street and come back."""
        node = int(self._stops[stop])
        door = (float(self._east[node]), float(self._north[node]))
        if stop >= len(self._places):
            return [door], [float(chance.uniform(0.0, 20.0))]
        angle = chance.uniform(0.0, 2 * np.pi)
        away = self._places[stop].spread_m * np.sqrt(chance.random())
        spot = self._middle[stop] + away * np.array([np.cos(angle), np.sin(angle)])
        stay = float(chance.uniform(20.0, 80.0))
        return [door, (float(spot[0]), float(spot[1])), door], [0.0, stay, 0.0]

    def _way(self, node: int, stop: int) -> list[int]:
        """Return the nodes between `node` and the node of `stop`, both left out."""
        ahead = self._ways[stop]
        way = []
        node = int(ahead[node])
        while node != ahead[node]:
            way.append(node)
            node = int(ahead[node])
        return way


_GOLDEN = 0x9E3779B97F4A7C15


def _hash(seed: int, walker: IntArray, lane: int, count: IntArray) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits for each (seed, walker, lane, count): splitmix64."""
    salt = np.uint64((seed * 1_000_003 + lane) * _GOLDEN % 2**64)
    word = count.astype(np.uint64) + salt
    for part in (np.zeros_like(walker), walker):
        word = word + np.uint64(_GOLDEN) * part.astype(np.uint64)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word = word ^ (word >> np.uint64(31))
    return word


def _uniform(bits: NDArray[np.uint64]) -> FloatArray:
    """Return floats in (0, 1)."""
    return np.asarray(((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53)


def _normal(bits: NDArray[np.uint64]) -> FloatArray:
    """Return standard normal floats (Box and Muller, both halves of the bits)."""
    size = ((bits >> np.uint64(32)).astype(np.float64) + 0.5) / 2.0**32
    angle = (bits & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2.0**32
    return np.asarray(np.sqrt(-2.0 * np.log(size)) * np.cos(2 * np.pi * angle))


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def walk(
    fleet: Fleet,
    publish: Callable[[str, dict[str, Any]], object],
    stop: threading.Event,
    *,
    now_ms: Callable[[], int] = _wall_clock_ms,
    step_s: float = 0.1,
) -> int:
    """Publish what the fleet reports, as it happens, until `stop` is set.

    Parameters
    ----------
    fleet
        Who walks.
    publish
        Called with device and ping (``ts``, ``lat``, ``lng``, ``acc``); may block, which is how a
        slow broker slows the phones.
    stop
        Ends the walk within `step_s`.
    now_ms
        The clock.
    step_s
        How often fixes are looked for.

    Returns
    -------
    int
        How many fixes were published.
    """
    sent = 0
    since = now_ms()
    while not stop.wait(step_s):
        until = max(now_ms(), since)  # the clock may be set back
        fixes = fleet.fixes(max(since, until - LONGEST_GAP_MS), until)
        for walker, ping in fixes.messages():
            if stop.is_set():
                return sent
            publish(fleet.devices[walker], ping)
            sent += 1
        since = until
    return sent
