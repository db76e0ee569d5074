"""The figures of the entry rules, each with its default and its unit.

One immutable value that is handed to the engine, so that a backtest and the live pipeline can't
differ by accident. The reasons and the measurements behind the defaults stand in the
documentation of the rules; here are only the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from geotarget.errors import Problem, SettingsError


@dataclass(frozen=True, slots=True)
class Rules:
    """How much evidence an entry or an exit needs.

    Parameters
    ----------
    future_s
        A fix time further ahead of its arrival than this is refused, seconds.
    unknown_accuracy_m
        Stands in where a device did not report an accuracy, metres.
    exit_buffer_m
        A fix further outside than its accuracy plus this counts as outside, metres.
    maybe_share
        A fix deeper inside than this share of its accuracy is some evidence of being inside.
    arrival_ceiling_m
        Coarser fixes are no evidence of an arrival, unless the zone is deeper than this, metres.
    pending_s
        How long one piece of evidence waits for a second, seconds.
    pending_intervals
        The same in usual ping intervals of the device; the longer of both counts.
    exit_fixes
        How many fixes in a row outside end a visit.
    moving_after_s, moving_m
        A device is on the move when it is displaced by more than `moving_m` metres (or 1.5 times
        the accuracy) since a fix at least `moving_after_s` seconds older.
    """

    future_s: float = 60.0
    unknown_accuracy_m: float = 50.0
    exit_buffer_m: float = 20.0
    maybe_share: float = 0.25
    arrival_ceiling_m: float = 50.0
    pending_s: float = 60.0
    pending_intervals: float = 2.5
    exit_fixes: int = 2
    moving_after_s: float = 45.0
    moving_m: float = 25.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise SettingsError(
                    str(Problem(name, repr(value), "must be a finite number above 0"))
                )
