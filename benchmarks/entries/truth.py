"""What really happened between one device and one zone, and what could be seen of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.entries.phones import Bools
from benchmarks.entries.scenes import Subject
from benchmarks.entries.shapes import Floats, Shape

Ints = NDArray[np.int64]

ENTER, EXIT = 0, 1

CLEAR_S, CLEAR_M = 60.0, 25.0
"""A stay or an absence is clear when it lasts as long and goes as far from the border as this."""

GRAZE_M = 5.0
"""A stay or an absence that goes no further from the border than this is a graze."""

_ROOM = 3
"""Fixes that must follow before a transition can be missed: recordings end somewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The true transitions of one (device, zone).

    Parameters
    ----------
    kind, t
        ENTER or EXIT, in turn; seconds at which the path crossed the border.
    seen
        Position, in order of fix time, of the first fix that could show it.
    seen_t
        That fix's time.
    visible
        Whether it can be asked for: a perfect receiver sees it in the fixes, and neither stay nor
        absence beside it is a graze.
    clear
        Whether, besides, the stay and the absence beside it are clear.
    fix_t
        Fix times, rising.
    depth
        True signed metres at these.
    """

    kind: Ints
    t: Floats
    seen: Ints
    seen_t: Floats
    visible: Bools
    clear: Bools
    fix_t: Floats
    depth: Floats


def truth(subject: Subject, zone: Shape) -> Truth:
    """Return the true transitions between a subject and a zone."""
    path = subject.path
    d = zone.signed_distance(path.x, path.y)
    inside = np.concatenate([[False], d >= 0.0])
    at = np.flatnonzero(inside[1:] != inside[:-1])
    before = np.maximum(at - 1, 0)
    step = d[at] - d[before]
    share = np.where(step != 0.0, d[at] / np.where(step != 0.0, step, 1.0), 0.0)
    t = at - np.clip(share, 0.0, 1.0) * (at > 0)
    kind = np.where(inside[1:][at], ENTER, EXIT)
    phases = np.split(np.abs(d), at)
    lasting = np.diff(np.concatenate([[-np.inf], t, [np.inf]]))
    far = np.array([each.max(initial=0.0) for each in phases])
    # Before and after a recording anything may have been: what is cut off there is no graze.
    far[0] = far[-1] = np.inf
    wide = np.minimum(far[:-1], far[1:])
    clear = (np.minimum(lasting[:-1], lasting[1:]) >= CLEAR_S) & (wide >= CLEAR_M)

    fix_t, first = np.unique(subject.fixes.t, return_index=True)
    depth = zone.signed_distance(subject.fixes.true_x[first], subject.fixes.true_y[first])
    seen = np.searchsorted(fix_t, t)
    visible = np.zeros(len(t), np.bool_)
    shown = np.concatenate([[False], depth >= 0.0])
    for fix in np.flatnonzero(shown[1:] != shown[:-1]):
        same = np.flatnonzero((kind == (ENTER if shown[fix + 1] else EXIT)) & (t <= fix_t[fix] + 1))
        if len(same):
            visible[same[-1]] = fix + _ROOM < len(fix_t) and wide[same[-1]] >= GRAZE_M
            seen[same[-1]] = fix
    seen = np.minimum(seen, len(fix_t) - 1)
    return Truth(
        kind=kind, t=t, seen=seen, seen_t=np.maximum(fix_t[seen], t),
        visible=visible, clear=clear & visible, fix_t=fix_t, depth=depth,
    )  # fmt: skip
