"""One picture a scene: what one fix made of a stretch of a path, and what geotarget did.

Needs matplotlib. Radii are drawn in steps of 2 m, so that the files stay small.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.entries.detectors import DETECTORS, Events
from benchmarks.entries.measuring import OURS, PEERS
from benchmarks.entries.page import picture
from benchmarks.entries.scenes import SCENES, Subject
from benchmarks.entries.scoring import compare, truths
from benchmarks.entries.shapes import Shape
from benchmarks.entries.truth import ENTER, EXIT, Truth

_FIXES = 60
_WIDEST_M = 1_500.0
_PANEL_IN = (7.0, 3.4)
_RULES = {PEERS: "one fix in the zone is an entry (peers)", OURS: "geotarget, policy standard"}
_MARKS = {ENTER: ("^", "#2a7f3f", "enter"), EXIT: ("v", "#c1121f", "exit")}


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """A zone, a stretch of time, and what each rule said."""

    subject: Subject
    zone: Shape
    true: Truth
    events: dict[str, Events]
    start: float
    end: float


def draw(names: Sequence[str], seed: int, folder: Path, *, suffix: str = "") -> list[Path]:
    """Write a picture for each scene; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "geotarget", "svg.fonttype": "none", "font.size": 9})
    drawn = []
    for name in names:
        path = folder / picture(name)
        path = path.with_suffix(suffix) if suffix else path
        _draw(_telling(SCENES[name].make(seed)), SCENES[name].title, path)
        drawn.append(path)
    return drawn


def _telling(subjects: Sequence[Subject]) -> _Stretch:
    """Return the stretch in which one fix errs most, of those that one can see at a glance."""
    found = {rule: DETECTORS[rule](subjects) for rule in _RULES}
    true = truths(subjects)
    best, chosen = -1, None
    for subject in subjects:
        for number, zone in enumerate(subject.zones):
            pair = (subject.device, number)
            events = found[PEERS][pair]
            wrong = events.decided[compare(true[pair], events)[1] < 0]
            for crossing in true[pair].t:
                first = max(0, int(np.searchsorted(subject.fixes.t, crossing)) - _FIXES // 2)
                part = subject.fixes.t[first : first + _FIXES]
                if not len(part):
                    continue
                errs = int(((wrong >= part[0]) & (wrong <= part[-1])).sum())
                x, y = subject.path.at(np.sort(part))
                if errs > best and max(np.ptp(x), np.ptp(y)) < _WIDEST_M:
                    best = errs
                    said = {rule: found[rule][pair] for rule in _RULES}
                    low, high = float(part.min()), float(part.max())
                    chosen = _Stretch(subject, zone, true[pair], said, low, high)
    if chosen is None:
        raise SystemExit("no stretch of this scene fits into a picture")
    return chosen


def _draw(stretch: _Stretch, title: str, path: Path) -> None:
    from matplotlib import pyplot as plt

    width, height = _PANEL_IN
    figure = plt.figure(figsize=(width, 2 * height + 0.9))
    fixes = stretch.subject.fixes
    shown = fixes.take((fixes.t >= stretch.start) & (fixes.t <= stretch.end))
    clock = np.arange(stretch.start, stretch.end, 2.0)
    x, y = stretch.subject.path.at(clock)
    middle = 0.5 * (x.min() + x.max()), 0.5 * (y.min() + y.max())
    span = 1.1 * max(np.ptp(x) / width, np.ptp(y) / height, 40.0) + 25.0
    for row, rule in enumerate(_RULES):
        low = (1 - row) * (height + 0.35) + 0.1
        axes = figure.add_axes(
            (0.0, low / (2 * height + 0.9), 1.0, height / (2 * height + 0.9)),
            xlim=(middle[0] - 0.5 * span * width, middle[0] + 0.5 * span * width),
            ylim=(middle[1] - 0.5 * span * height, middle[1] + 0.5 * span * height),
            xticks=[],
            yticks=[],
        )
        _background(axes, stretch.zone)
        for radius in np.unique(2 * np.ceil(shown.radius / 2)):
            same = 2 * np.ceil(shown.radius / 2) == radius
            axes.plot(
                shown.x[same], shown.y[same], "o", markersize=2 * radius / span * 72,
                markerfacecolor="#457b9d18", markeredgecolor="#457b9d55", markeredgewidth=0.5,
            )  # fmt: skip
        axes.plot(x, y, color="#222222", linewidth=1.4, label="true path")
        axes.plot(shown.x, shown.y, ".", color="#1d3557", markersize=3, label="fix and its radius")
        said = _mark(axes, stretch, stretch.events[rule])
        head = f"{title}\n" if row == 0 else ""
        axes.set_title(f"{head}{_RULES[rule]}: {said}", loc="left", fontsize=9, x=0.01)
        axes.legend(loc="lower right", fontsize=7.5, framealpha=0.8)
        metres = 10.0 ** np.floor(np.log10(span * width / 4))
        left, bottom = middle[0] - 0.48 * span * width, middle[1] - 0.46 * span * height
        axes.plot([left, left + metres], [bottom, bottom], color="#222222", linewidth=2.5)
        axes.text(left, bottom + 0.02 * span * height, f"{metres:g} m", fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    if path.suffix == ".svg":
        # A tenth of a point is as fine as anybody sees, and half the size.
        text = path.read_text()
        path.write_text(re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", text))


def _background(axes: Any, zone: Shape) -> None:
    """Draw the zone."""
    angle = np.linspace(0.0, 2 * np.pi, 91)
    ring = np.stack([zone.x + zone.radius * np.cos(angle), zone.y + zone.radius * np.sin(angle)], 1)
    outline = zone.outline if len(zone.outline) else ring
    axes.fill(*outline.T, facecolor="#f1d18a55", edgecolor="#b08900", linewidth=1.2, label="zone")


def _mark(axes: Any, stretch: _Stretch, events: Events) -> str:
    """Draw what was emitted at the fix that decided it; return how many of what were right."""
    within = (events.decided >= stretch.start) & (events.decided <= stretch.end)
    right = compare(stretch.true, events)[1] >= 0
    for kind, (marker, colour, label) in _MARKS.items():
        which = within & (events.kind == kind)
        at = [int(np.argmin(np.abs(stretch.subject.fixes.t - t))) for t in events.decided[which]]
        axes.plot(
            stretch.subject.fixes.x[at], stretch.subject.fixes.y[at], marker, color=colour,
            markersize=8, markeredgecolor="white", markeredgewidth=0.7, label=label,
        )  # fmt: skip
    true = stretch.true.t
    really = int(((true >= stretch.start) & (true <= stretch.end)).sum())
    count = int(within.sum())
    plural = "" if count == 1 else "s"
    said = f"{count} event{plural}, {int((within & right).sum())} of them true"
    return f"{said}; {really} really happened"
