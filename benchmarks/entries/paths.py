"""True paths: where somebody is at every second, known exactly.

People walk the streets of the demo's city, with stops on the way and stays off the street; cars
and buses drive a seeded net of streets; people at rest come, sit for hours and leave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.entries.shapes import Floats, Plane
from geotarget.demo.streets import Streets

CITY = Plane(24.94428, 60.17163)
"""The middle of the demo's city."""

_TARGETS = 24


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Metres east and north at seconds 0, 1, 2, ..."""

    x: Floats
    y: Floats

    def __len__(self) -> int:
        return len(self.x)

    def at(self, t: Floats) -> tuple[Floats, Floats]:
        """Return the place at any seconds."""
        clock = np.arange(len(self.x))
        return np.interp(t, clock, self.x), np.interp(t, clock, self.y)

    def resting(
        self, t: Floats, *, span_s: float = 30.0
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell whether it went less than 5 m in the seconds before each instant."""
        x, y = self.at(t)
        then_x, then_y = self.at(np.maximum(t - span_s, 0.0))
        return np.asarray(np.hypot(x - then_x, y - then_y) < 5.0)


def travel(
    points: Floats,
    pauses: Sequence[tuple[float, float]],
    chance: np.random.Generator,
    *,
    speed: tuple[float, float],
    acceleration: float,
) -> Path:
    """Return the path along a line that stands still at given places.

    Parameters
    ----------
    points
        The line, shape (k, 2).
    pauses
        (Metres along the line, seconds), rising; between two of them the speed is drawn anew.
    speed
        Slowest and fastest cruise, m/s.
    acceleration
        How it starts and brakes, m/s².
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    clock, gone = [np.zeros(1)], [np.zeros(1)]
    now, place = 0.0, 0.0
    for stop, seconds in [*pauses, (float(along[-1]), 0.0)]:
        length = stop - place
        if length > 0:
            fastest = chance.uniform(*speed)
            top = min(fastest, math.sqrt(length * acceleration))
            ramp = top / acceleration
            cruise = max(0.0, (length - top * ramp) / top)
            t = np.linspace(0.0, ramp, 8)
            half = 0.5 * acceleration * t**2
            clock += [now + t, now + 2 * ramp + cruise - t[::-1]]
            gone += [place + half, stop - half[::-1]]
            now += 2 * ramp + cruise
        now += seconds
        clock.append(np.array([now]))
        gone.append(np.array([stop]))
        place = stop
    seconds_of = np.arange(math.floor(now) + 1)
    metres = np.interp(seconds_of, np.concatenate(clock), np.concatenate(gone))
    return Path(np.interp(metres, along, points[:, 0]), np.interp(metres, along, points[:, 1]))


class Walkers:
    """People who walk the demo's city from place to place.

    Planning the ways to 24 places takes 0.2 s, a walk 1 ms.
    """

    def __init__(self, chance: np.random.Generator) -> None:
        self._chance = chance
        streets = Streets.load()
        self._points = np.stack(CITY.metres(streets.lng, streets.lat), axis=1)
        self._targets = chance.choice(len(streets), _TARGETS, replace=False)
        self._ways = [streets.ways_to(int(each), chance) for each in self._targets]

    def walk(self, legs: int) -> Path:
        """Return a walk over some places, with stays of up to 20 min off the street."""
        chance = self._chance
        node = int(chance.integers(len(self._points)))
        points, pauses = [self._points[node]], list[tuple[float, float]]()
        length = 0.0
        for _ in range(legs):
            ahead = self._ways[int(chance.integers(_TARGETS))]
            while node != ahead[node]:
                node = int(ahead[node])
                length += float(np.hypot(*(self._points[node] - points[-1])))
                points.append(self._points[node])
                if chance.random() < 0.02:
                    pauses.append((length, float(chance.uniform(5.0, 40.0))))
            kind = chance.random()
            if kind < 0.75:
                seconds = chance.uniform(30.0, 180.0) if kind < 0.4 else chance.uniform(180, 1_200)
                angle, away = chance.uniform(0, 2 * np.pi), chance.uniform(5.0, 30.0)
                points += [
                    points[-1] + away * np.array([math.cos(angle), math.sin(angle)]),
                    points[-1],
                ]
                pauses.append((length + away, float(seconds)))
                length += 2 * away
        return travel(np.array(points), pauses, chance, speed=(1.0, 1.6), acceleration=1.0)


def _drive(chance: np.random.Generator, length_m: float) -> Floats:
    """Return a way over a net of streets: straight on, left or right at each crossing."""
    angle = chance.uniform(0.0, 2 * np.pi)
    points = [np.zeros(2)]
    gone = 0.0
    while gone < length_m:
        block = chance.uniform(120.0, 600.0)
        points.append(points[-1] + block * np.array([math.cos(angle), math.sin(angle)]))
        gone += block
        turn = chance.choice([0.0, 0.5, -0.5], p=[0.6, 0.2, 0.2]) * np.pi
        angle += turn + chance.normal(0.0, 0.1)
    return np.array(points)


def drive(chance: np.random.Generator, length_m: float = 15_000.0) -> Path:
    """Return the way of a car: 30 to 60 km/h, traffic lights, some stops of minutes."""
    points = _drive(chance, length_m)
    along = np.cumsum(np.hypot(*np.diff(points, axis=0).T))
    pauses = [
        (float(place), float(chance.uniform(120, 600) if red < 0.05 else chance.uniform(5, 60)))
        for place, red in zip(along[:-1], chance.random(len(along) - 1), strict=True)
        if red < 0.4
    ]
    return travel(points, pauses, chance, speed=(8.0, 16.0), acceleration=1.5)


def bus(chance: np.random.Generator, stops: int = 30) -> Path:
    """Return the way of a bus: a stop of 10 to 45 s every 300 to 500 m."""
    gaps = chance.uniform(300.0, 500.0, stops)
    points = _drive(chance, float(gaps.sum()))
    pauses = [
        (float(place), float(seconds))
        for place, seconds in zip(np.cumsum(gaps), chance.uniform(10, 45, stops), strict=True)
    ]
    length = float(np.hypot(*np.diff(points, axis=0).T).sum())
    kept = [each for each in pauses if each[0] < length]
    return travel(points, kept, chance, speed=(7.0, 13.0), acceleration=1.0)


def rest(chance: np.random.Generator, hours: float) -> Path:
    """Return somebody who comes, stays at one place, (0, 0), for hours, and leaves."""
    angle = chance.uniform(0.0, 2 * np.pi, 2)
    away = chance.uniform(400.0, 700.0, 2)
    come, go = (away * np.stack([np.cos(angle), np.sin(angle)])).T
    points = np.array([come, np.zeros(2), go])
    stay = (float(away[0]), hours * 3_600.0)
    return travel(points, [stay], chance, speed=(1.0, 1.6), acceleration=1.0)
