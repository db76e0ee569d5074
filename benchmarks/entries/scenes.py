"""Scenes: who moves how, who reports how, and which zones lie on the way.

Honest scenes and those with jumps, gaps or other zones share their true paths for each seed. A
scene of 30 to 40 subjects takes about half a second to make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.entries import paths, tracks
from benchmarks.entries.paths import CITY, Path, Walkers
from benchmarks.entries.phones import Fixes, Habits, observe
from benchmarks.entries.shapes import Plane, Shape, random_shape

REST_HOURS = 5.0
NEAR_BORDER_M = (-30.0, 45.0)
"""How deep in the zone people rest, metres."""

HONEST = ("walk", "drive", "bus", "rest")
"""The scenes that the goals are about; with "-jumps" those with jumps."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One phone on its path, and the zones that are watched for it alone."""

    device: str
    plane: Plane
    path: Path
    fixes: Fixes
    zones: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """How to make one scene.

    Parameters
    ----------
    title
        What it is, for people.
    paths
        Draws one true path for each subject.
    count
        Subjects of a seed.
    habits
        How phones report.
    zones
        Zones of each subject.
    radius_m
        Smallest and largest zone (radius of the circle of the same area).
    radii
        No zone is smaller than so many times the phone's largest reported radius.
    """

    title: str
    paths: str
    count: int
    habits: Habits
    zones: int
    radius_m: tuple[float, float]
    radii: float = 3.0

    def make(self, seed: int, *, scale: float = 1.0) -> list[Subject]:
        """Return the subjects of a seed."""
        count = max(2, round(self.count * scale))
        drawn = _PATHS[self.paths](count, np.random.default_rng([seed, _SALT[self.paths]]))
        chance = np.random.default_rng([seed, _SALT[self.paths], 1])
        subjects = []
        for i, (plane, path) in enumerate(drawn):
            fixes = observe(path, self.habits, chance)
            if len(fixes) < 5:
                continue
            least = max(self.radius_m[0], self.radii * float(fixes.radius[~fixes.jumped].max()))
            bounds = (least, max(self.radius_m[1], 1.5 * least))
            zones = tuple(
                _beside_rest(bounds, chance)
                if self.paths == "rest"
                else _on_the_way(path, bounds, chance)
                for _ in range(self.zones)
            )
            # Each subject has half a degree to itself, so that zones of others are out of reach.
            apart = replace(plane, lng=-150.0 + 0.5 * i)
            subjects.append(Subject(f"{self.paths}-{i:03d}", apart, path, fixes, zones))
        return subjects


def _on_the_way(path: Path, radius_m: tuple[float, float], chance: np.random.Generator) -> Shape:
    """Return a zone that a path goes through: half of them where time is spent."""
    if chance.random() < 0.5:
        at = int(chance.integers(len(path)))
    else:
        gone = np.cumsum(np.hypot(np.diff(path.x), np.diff(path.y)))
        at = int(np.searchsorted(gone, chance.uniform(0.0, gone[-1])))
    radius = float(np.exp(chance.uniform(*np.log(radius_m))))
    angle, away = chance.uniform(0.0, 2 * np.pi), 0.8 * radius * np.sqrt(chance.random())
    x, y = path.x[at] + away * np.cos(angle), path.y[at] + away * np.sin(angle)
    return random_shape(float(x), float(y), radius, chance)


def _beside_rest(radius_m: tuple[float, float], chance: np.random.Generator) -> Shape:
    """Return a zone whose border is near the place of rest, (0, 0)."""
    radius = float(np.exp(chance.uniform(*np.log(radius_m))))
    shape = random_shape(0.0, 0.0, radius, chance)
    angle = chance.uniform(0.0, 2 * np.pi)
    away = np.arange(0.0, shape.reach() + 60.0, 0.1)
    x, y = away * np.cos(angle), away * np.sin(angle)
    depth = shape.signed_distance(x, y)
    wanted = min(chance.uniform(*NEAR_BORDER_M), float(depth[0]))
    at = int(np.flatnonzero(depth >= wanted)[-1])
    outline = shape.outline - (x[at], y[at]) if len(shape.outline) else shape.outline
    return Shape(-float(x[at]), -float(y[at]), radius, outline)


def _walks(count: int, chance: np.random.Generator) -> list[tuple[Plane, Path]]:
    walkers = Walkers(chance)
    return [(CITY, walkers.walk(int(chance.integers(4, 8)))) for _ in range(count)]


def _real(count: int, chance: np.random.Generator) -> list[tuple[Plane, Path]]:
    found = tracks.tracks()
    return [found[i] for i in chance.permutation(len(found))[:count]]


_PATHS: dict[str, Callable[[int, np.random.Generator], list[tuple[Plane, Path]]]] = {
    "walk": _walks,
    "drive": lambda count, chance: [(CITY, paths.drive(chance)) for _ in range(count)],
    "bus": lambda count, chance: [(CITY, paths.bus(chance)) for _ in range(count)],
    "rest": lambda count, chance: [(CITY, paths.rest(chance, REST_HOURS)) for _ in range(count)],
    "real": _real,
}
_SALT = {name: number for number, name in enumerate(_PATHS)}

_PLAIN = Habits()
_JUMPS = Habits(jumps=0.01)
_SPARSE = Habits(interval_s=(60.0, 120.0))
_MESSY = Habits(gaps_h=2.0, late=0.05, doubled=0.05)

_WALK = Scene("Walks with stops", "walk", 40, _PLAIN, 5, (40.0, 400.0))
_DRIVE = Scene("Cars", "drive", 30, _PLAIN, 6, (60.0, 2_000.0))
_BUS = Scene("Buses, a stop every 300-500 m", "bus", 25, _PLAIN, 6, (60.0, 1_000.0))
_REST = Scene("At rest for 5 h, near a border", "rest", 16, _PLAIN, 1, (60.0, 300.0))
_REAL = Scene("Real buses (Austin, Liverpool)", "real", 60, _PLAIN, 5, (60.0, 1_000.0))

SCENES: dict[str, Scene] = {
    "walk": _WALK,
    "drive": _DRIVE,
    "bus": _BUS,
    "rest": _REST,
    "real": _REAL,
    "walk-jumps": replace(_WALK, title="Walks, 1 % jumps", habits=_JUMPS),
    "drive-jumps": replace(_DRIVE, title="Cars, 1 % jumps", habits=_JUMPS),
    "bus-jumps": replace(_BUS, title="Buses, 1 % jumps", habits=_JUMPS),
    "rest-jumps": replace(_REST, title="At rest, 1 % jumps", habits=_JUMPS),
    "real-jumps": replace(_REAL, title="Real buses, 1 % jumps", habits=_JUMPS),
    "small": replace(
        _WALK, title="Walks, zones of 25-75 m, any radius", radius_m=(25.0, 75.0), radii=0.0
    ),
    "sparse": replace(_WALK, title="Walks, a fix every 60-120 s", habits=_SPARSE),
    "messy": replace(_WALK, title="Walks, gaps, 5 % late, 5 % twice", habits=_MESSY),
}
"""All scenes by name."""
