"""The figures of the entry rules, each with its default and its unit.

One immutable value that is handed to the engine, so that a backtest and the live pipeline can't
differ by accident. The reasons and the measurements behind the defaults stand in the
documentation of the rules; here are only the numbers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geotarget.errors import Problem, SettingsError

MOST_SUSPECTS = 2
"""How many suspects the record of a device can hold while they wait for one that agrees."""

_MAY_BE_ZERO = frozenset(
    {"exit_buffer_m", "maybe_share", "pending_least_s", "exit_least_s", "moving_out_share"}
    | {"rest_buffer_m", "fast_in_share", "fast_out_share", "jump_bend", "blink_bend"}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How much evidence an entry or an exit needs, and how long things wait.

    Parameters
    ----------
    future_s
        A fix time further ahead of its arrival than this is refused, seconds.
    unknown_accuracy_m
        Stands in where a device did not report an accuracy, metres.
    exit_buffer_m
        A fix further outside than its accuracy plus this counts as outside, metres.
    deep_share, maybe_share
        A fix deeper inside than the first share of its accuracy is inside; deeper than the second
        it is some evidence of that.
    arrival_ceiling_m
        Coarser fixes are no evidence of an arrival, unless the zone is deeper than this, metres.
    pending_least_s, pending_s
        A second piece of evidence counts when it comes so long after the first, and one waits so
        long for it, seconds.
    pending_intervals
        The same in usual ping intervals of the device; the longer of both counts.
    exit_fixes
        How many fixes in a row outside end a visit.
    clear_share, exit_least_s
        A fix is clearly outside when it lies further out than this share of its accuracy. When the
        one that would end a visit is not, the first one outside must be so many seconds older.
    moving_after_s, moving_m, moving_share, moving_out_share
        A device is on the move when it is displaced by more than `moving_m` metres (or
        `moving_share` times the larger accuracy) since a fix at least `moving_after_s` seconds
        older. Then a fix is outside when it lies further out than `moving_out_share` accuracies.
    jump_speed_m_s, jump_factor, jump_memory_s
        A fix that lies further from the last accepted one than this speed, or this factor times
        the device's recent speed (an average that forgets in `jump_memory_s` seconds), explains
        is a suspect: it decides nothing until others agree with it.
    jump_fixes, jump_span_s
        So many suspects in a row that agree are believed, or two that lie so many seconds apart.
        1 believes every fix at once.
    jump_bend, jump_line_m_s
        Two are enough as well when they go on: the way over the first is at most `jump_bend` times
        the straight one, and no faster than `jump_line_m_s` metres a second.
    jump_most_m_s
        Suspects that would need more than this speed between them do not agree, metres a second.
    rest_after_s
        While fixes agree with standing still for so long, a device is at rest: zones are judged by
        the weighted mean of the fixes, seconds.
    rest_apart
        A fix agrees with the mean up to so many deviations of both.
    rest_shared, rest_memory_s
        Share of the error that two fixes at rest have in common, and in how many seconds it fades.
    rest_most
        The mean counts as at most so many independent fixes.
    rest_share, rest_buffer_m
        At rest, the mean further inside than this share of its radius is inside; further outside
        than its radius plus so many metres it is outside.
    fast_hop, fast_hops
        A device is fast when it moves by more than so many accuracies between two fixes, or among
        three.
    fast_in_share, fast_out_share
        When fast, a fix further inside than this share of its accuracy is inside, and one further
        outside than that share is outside.
    blink_bend
        A fast device that is clearly outside for one fix and inside again with the next was out, if
        the way over the three is at most `blink_bend` times the straight one.
    dwell_timer_s
        The clock may complete a stay while the last fix is younger than this, seconds.
    crossed_gap_s
        Fixes further apart than this say nothing of the way between them, seconds.
    stale_s
        A membership without a fix for so long is shown as stale, seconds.
    forget_s
        And after so long it is forgotten without an event, seconds.
    """

    future_s: float = 60.0
    unknown_accuracy_m: float = 50.0
    exit_buffer_m: float = 20.0
    deep_share: float = 0.8
    maybe_share: float = 0.125
    arrival_ceiling_m: float = 50.0
    pending_least_s: float = 20.0
    pending_s: float = 60.0
    pending_intervals: float = 2.5
    exit_fixes: int = 2
    clear_share: float = 0.5
    exit_least_s: float = 10.0
    moving_after_s: float = 45.0
    moving_m: float = 20.0
    moving_share: float = 1.0
    moving_out_share: float = 0.25
    jump_speed_m_s: float = 4.0
    jump_factor: float = 4.0
    jump_memory_s: float = 60.0
    jump_fixes: int = 3
    jump_span_s: float = 150.0
    jump_bend: float = 1.5
    jump_line_m_s: float = 45.0
    jump_most_m_s: float = 70.0
    rest_after_s: float = 200.0
    rest_apart: float = 3.5
    rest_shared: float = 0.7
    rest_memory_s: float = 300.0
    rest_most: float = 10.0
    rest_share: float = 2.0
    rest_buffer_m: float = 20.0
    fast_hop: float = 3.0
    fast_hops: float = 3.0
    fast_in_share: float = 0.15
    fast_out_share: float = 0.0
    blink_bend: float = 3.0
    dwell_timer_s: float = 600.0
    crossed_gap_s: float = 300.0
    stale_s: float = 1_800.0
    forget_s: float = 2_592_000.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            may_be_zero = name in _MAY_BE_ZERO
            if not (value >= 0 if may_be_zero else value > 0) or value == float("inf"):
                bound = "from 0 on" if may_be_zero else "above 0"
                raise SettingsError(
                    str(Problem(name, repr(value), f"must be a finite number {bound}"))
                )
        for name, least, most in (("exit_fixes", 1, 100), ("jump_fixes", 1, MOST_SUSPECTS + 1)):
            value = getattr(self, name)
            if not (value == int(value) and least <= value <= most):
                raise SettingsError(
                    str(Problem(name, repr(value), f"must be a whole number, {least} to {most}"))
                )

    def record(self) -> Any:
        """Return the figures as one record that a kernel can read by name."""
        figures = asdict(self)
        record = np.zeros(1, [(name, "f8") for name in figures])
        for name, value in figures.items():
            record[name] = value
        return record[0]
