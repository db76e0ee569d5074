"""Settings of the entry rules: the figures that decide when a device is inside.

A part of `Settings`. Each is a field of `Rules` with ``rules_`` before its name, and its default is
the one there.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from geotarget.engine.rules import MOST_SUSPECTS, Rules

_RULES = Rules()


class RuleSettings(BaseModel):
    """The figures of `Rules`."""

    rules_future_s: float = Field(
        _RULES.future_s,
        gt=0,
        description="A fix time further ahead of its arrival is refused, seconds.",
    )
    rules_unknown_accuracy_m: float = Field(
        _RULES.unknown_accuracy_m,
        gt=0,
        description="Stands in for an accuracy that was not reported, metres.",
    )
    rules_exit_buffer_m: float = Field(
        _RULES.exit_buffer_m,
        ge=0,
        description="A fix further outside than its accuracy plus this is outside, metres.",
    )
    rules_deep_share: float = Field(
        _RULES.deep_share,
        gt=0,
        description="A fix deeper inside than this share of its accuracy is inside.",
    )
    rules_maybe_share: float = Field(
        _RULES.maybe_share,
        ge=0,
        description="A fix deeper inside than this share of it is some evidence of that.",
    )
    rules_arrival_ceiling_m: float = Field(
        _RULES.arrival_ceiling_m,
        gt=0,
        description="Coarser fixes are no evidence of an arrival, metres.",
    )
    rules_pending_least_s: float = Field(
        _RULES.pending_least_s,
        ge=0,
        description="How much later than the first a second piece of evidence must come, seconds.",
    )
    rules_pending_s: float = Field(
        _RULES.pending_s,
        gt=0,
        description="How long one piece of evidence waits for a second, seconds,",
    )
    rules_pending_intervals: float = Field(
        _RULES.pending_intervals,
        gt=0,
        description="or this many usual intervals of the device, if that is longer.",
    )
    rules_exit_fixes: int = Field(
        _RULES.exit_fixes, ge=1, le=100, description="Fixes in a row outside that end a visit."
    )
    rules_clear_share: float = Field(
        _RULES.clear_share,
        gt=0,
        description="A fix further out than this share of its accuracy is clearly outside.",
    )
    rules_exit_least_s: float = Field(
        _RULES.exit_least_s,
        ge=0,
        description="When the one that would end a visit is not, the first one outside must be so "
        "much older, seconds.",
    )
    rules_moving_after_s: float = Field(
        _RULES.moving_after_s,
        gt=0,
        description="A device moves when a fix at least this much older, seconds,",
    )
    rules_moving_m: float = Field(
        _RULES.moving_m, gt=0, description="lies at least this far away, metres,"
    )
    rules_moving_share: float = Field(
        _RULES.moving_share,
        gt=0,
        description="and at least this many times the larger accuracy.",
    )
    rules_moving_out_share: float = Field(
        _RULES.moving_out_share,
        ge=0,
        description="Then a fix further out than this share of its accuracy is outside.",
    )
    rules_jump_speed_m_s: float = Field(
        _RULES.jump_speed_m_s,
        gt=0,
        description="A fix that would need more than this speed, metres a second,",
    )
    rules_jump_factor: float = Field(
        _RULES.jump_factor,
        gt=0,
        description="and more than this many times the device's recent speed, is a suspect: it "
        "decides nothing until others agree with it.",
    )
    rules_jump_memory_s: float = Field(
        _RULES.jump_memory_s, gt=0, description="How long the recent speed remembers, seconds."
    )
    rules_jump_fixes: int = Field(
        _RULES.jump_fixes,
        ge=1,
        le=MOST_SUSPECTS + 1,
        description="So many suspects in a row that agree are believed; 1 believes every fix.",
    )
    rules_jump_span_s: float = Field(
        _RULES.jump_span_s,
        gt=0,
        description="Two that agree and lie this far apart are believed too, seconds.",
    )
    rules_jump_bend: float = Field(
        _RULES.jump_bend,
        ge=0,
        description="Two are enough as well when they go on: the way over the first is at most so "
        "many times the straight one,",
    )
    rules_jump_line_m_s: float = Field(
        _RULES.jump_line_m_s, gt=0, description="and no faster than this, metres a second."
    )
    rules_jump_most_m_s: float = Field(
        _RULES.jump_most_m_s,
        gt=0,
        description="Suspects that would need more than this speed between them do not agree, "
        "metres a second.",
    )
    rules_rest_after_s: float = Field(
        _RULES.rest_after_s,
        gt=0,
        description="While fixes agree with standing still for so long, a device is at rest: zones "
        "are judged by the weighted mean of the fixes, seconds.",
    )
    rules_rest_apart: float = Field(
        _RULES.rest_apart,
        gt=0,
        description="A fix agrees with the mean up to so many deviations of both.",
    )
    rules_rest_shared: float = Field(
        _RULES.rest_shared,
        gt=0,
        description="Share of the error that two fixes at rest have in common,",
    )
    rules_rest_memory_s: float = Field(
        _RULES.rest_memory_s, gt=0, description="and in how much time it fades, seconds."
    )
    rules_rest_most: float = Field(
        _RULES.rest_most, gt=0, description="The mean counts as at most so many independent fixes."
    )
    rules_rest_share: float = Field(
        _RULES.rest_share,
        gt=0,
        description="At rest, the mean further inside than this share of its radius is inside;",
    )
    rules_rest_buffer_m: float = Field(
        _RULES.rest_buffer_m,
        ge=0,
        description="further outside than its radius plus this it is outside, metres.",
    )
    rules_fast_hop: float = Field(
        _RULES.fast_hop,
        gt=0,
        description="A device is fast when it moves by more than so many accuracies between two "
        "fixes,",
    )
    rules_fast_hops: float = Field(_RULES.fast_hops, gt=0, description="or among three.")
    rules_fast_in_share: float = Field(
        _RULES.fast_in_share,
        ge=0,
        description="When fast, a fix further inside than this share of its accuracy is inside,",
    )
    rules_fast_out_share: float = Field(
        _RULES.fast_out_share,
        ge=0,
        description="and one further outside than this share is outside.",
    )
    rules_blink_bend: float = Field(
        _RULES.blink_bend,
        ge=0,
        description="A fast device that is clearly outside for one fix and inside again with the "
        "next was out, if the way over the three is at most so many times the straight one.",
    )
    rules_dwell_timer_s: float = Field(
        _RULES.dwell_timer_s,
        gt=0,
        description="The clock completes a stay while the last fix is younger than this, seconds.",
    )
    rules_crossed_gap_s: float = Field(
        _RULES.crossed_gap_s,
        gt=0,
        description="Two fixes further apart than this say nothing of the way between them, "
        "seconds.",
    )
    rules_stale_s: float = Field(
        _RULES.stale_s,
        gt=0,
        description="A membership without a fix for so long is shown as stale, seconds;",
    )
    rules_forget_s: float = Field(
        _RULES.forget_s,
        gt=0,
        description="after so long it is forgotten without an event, seconds.",
    )
