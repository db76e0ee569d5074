"""What a batch came to: for whoever gave it, and for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from geotarget import metrics
from geotarget.engine.acceptance import DUPLICATE, LATE, SUSPECT
from geotarget.engine.step import Step
from geotarget.forgetting import ERASED
from geotarget.model import Decision, Outcome, Rejected, Transition


def count_letters(letters: Sequence[Rejected], *, erased: int) -> None:
    """Count refused pings by reason; `erased` are those that leave no letter."""
    reasons = Counter(each.reason for each in letters)
    if erased:
        reasons[ERASED] += erased
    for reason, count in reasons.items():
        metrics.pings_rejected.labels(reason).inc(count)


def outcome_of(
    accepted: int,
    bad: Sequence[tuple[int, str, str]],
    step: Step,
    decisions: Sequence[Decision],
    deliveries: int,
) -> Outcome:
    """Count what became of a batch, for the caller and for the metrics."""
    outcome = Outcome(
        accepted=accepted,
        refused=bad,
        late=int((step.status == LATE).sum()),
        duplicates=int((step.status == DUPLICATE).sum()),
        suspects=int((step.status == SUSPECT).sum()),
        holds=step.holds,
        transitions=Counter(each.kind.value for each in step.transitions),
        decisions=Counter(each.gate for each in decisions),
        deliveries=deliveries,
    )
    metrics.pings_late.inc(outcome.late)
    metrics.pings_duplicate.inc(outcome.duplicates)
    metrics.pings_suspect.inc(outcome.suspects)
    for reason, count in outcome.holds.items():
        metrics.holds.labels(reason).inc(count)
    tally(step.transitions, decisions)
    return outcome


def tally(transitions: Sequence[Transition], decisions: Sequence[Decision]) -> None:
    """Count transitions and decisions for the metrics."""
    for kind, count in Counter(each.kind.value for each in transitions).items():
        metrics.transitions.labels(kind).inc(count)
    for gate, count in Counter(each.gate for each in decisions).items():
        metrics.decisions.labels(gate).inc(count)
