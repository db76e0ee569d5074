"""What follows from new rows of history: caps, budgets, arms, tallies, exposures, behaviour.

Only rows that were not there before count, in the transaction that inserts them: whatever is added
up here equals what the rows say, also after a batch that came twice or a process that was killed.
Sums of a batch are made in memory first, so that it costs a statement a table and a row a sum,
not a row a decision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from geotarget.behaviour import decode, encode, note_heard, note_transition
from geotarget.model import Behaviour, Decision, Transition
from geotarget.store.documents import to_json

EXPOSED = frozenset({"holdout", "cap", "budget", "arbitration", "variant", "content", "fired"})
"""Gates behind the audience: whoever comes so far is meant by a campaign, held out or not."""

_UPSERT_FIRED = """
INSERT INTO campaign_profile (campaign, profile, last_fired_ms, fired) VALUES (?, ?, ?, ?)
ON CONFLICT (campaign, profile) DO UPDATE SET
  last_fired_ms = max(campaign_profile.last_fired_ms, excluded.last_fired_ms),
  fired = campaign_profile.fired + excluded.fired
"""
_UPSERT_SPENT = """
INSERT INTO budget_spent (campaign, day, offers, cost_micros) VALUES (?, ?, ?, ?)
ON CONFLICT (campaign, day) DO UPDATE SET
  offers = budget_spent.offers + excluded.offers,
  cost_micros = budget_spent.cost_micros + excluded.cost_micros
"""
_UPSERT_SENT = """
INSERT INTO arm (campaign, variant, sent, converted) VALUES (?, ?, ?, 0)
ON CONFLICT (campaign, variant) DO UPDATE SET sent = arm.sent + excluded.sent
"""
_UPSERT_TALLY = """
INSERT INTO tally (campaign, day, zone, variant, gate, count, cost_micros)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (campaign, day, zone, variant, gate) DO UPDATE SET
  count = tally.count + excluded.count, cost_micros = tally.cost_micros + excluded.cost_micros
"""
_EXPOSE = """
INSERT INTO exposure (profile, campaign, held_out, variant, first_ms, until_ms)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (profile, campaign) DO NOTHING
"""
_BEHAVIOUR = """
SELECT profile, state FROM json_each(?) AS asked CROSS JOIN behaviour
ON behaviour.profile = asked.value
"""
_UPSERT_BEHAVIOUR = """
INSERT INTO behaviour (profile, changed_ms, state) VALUES (?, ?, ?)
ON CONFLICT (profile) DO UPDATE SET changed_ms = excluded.changed_ms, state = excluded.state
"""

Sums = defaultdict[Any, list[int]]


def _sums() -> Sums:
    return defaultdict(lambda: [0, 0])


def count_decisions(cursor: Any, new: Sequence[Decision]) -> None:
    """Count new decisions where caps, budgets, arms and reports will look."""
    fired: dict[tuple[str, str], tuple[int, int]] = {}
    spent, sent, ended = _sums(), _sums(), _sums()
    exposed = []
    for each in new:
        campaign, variant = each.campaign, each.variant or ""
        _add(ended[campaign, each.day, each.zone, variant, each.gate], each.cost_micros)
        if each.gate in EXPOSED:
            exposed.append(
                (
                    each.profile,
                    campaign,
                    each.held_out,
                    variant,
                    each.decided_ms,
                    each.counts_until_ms,
                )
            )
        if not each.fired:
            continue
        last_ms, times = fired.get((campaign, each.profile), (each.decided_ms, 0))
        fired[campaign, each.profile] = max(last_ms, each.decided_ms), times + 1
        _add(spent[campaign, ""], each.cost_micros)
        if each.budget_day:
            _add(spent[campaign, each.budget_day], each.cost_micros)
        if variant:
            _add(sent[campaign, variant], 0)
    # in the order of their keys: rows of one page are written one after the other
    cursor.executemany(_UPSERT_TALLY, [(*key, *sums) for key, sums in sorted(ended.items())])
    cursor.executemany(_EXPOSE, exposed)
    cursor.executemany(_UPSERT_FIRED, [(*key, *sums) for key, sums in fired.items()])
    cursor.executemany(_UPSERT_SPENT, [(*key, *sums) for key, sums in spent.items()])
    cursor.executemany(_UPSERT_SENT, [(*key, sums[0]) for key, sums in sent.items()])


def count_delivered(cursor: Any, decisions: Sequence[tuple[str, str, str, str]]) -> None:
    """Count accepted deliveries; a decision's campaign, day, zone and variant each."""
    sums = _sums()
    for key in decisions:
        _add(sums[key], 0)
    cursor.executemany(
        _UPSERT_TALLY, [(*key, "delivered", times, 0) for key, (times, _) in sorted(sums.items())]
    )


def read_behaviour(cursor: Any, profiles: Sequence[str]) -> dict[str, bytes]:
    """Return the documents of profiles; those who did nothing yet have none."""
    if not profiles:
        return {}
    return dict(cursor.execute(_BEHAVIOUR, (to_json(profiles),)))


def write_behaviour(cursor: Any, behaviour: Mapping[str, Behaviour], *, now_ms: int) -> None:
    """Store the behaviour of profiles, in place of what was there."""
    cursor.executemany(
        _UPSERT_BEHAVIOUR,
        [(profile, now_ms, encode(each)) for profile, each in behaviour.items()],
    )


def fold(
    cursor: Any,
    transitions: Sequence[Transition],
    decisions: Sequence[Decision],
    *,
    profiles: Mapping[str, str],
    known: Mapping[str, bytes | None],
    now_ms: int,
) -> None:
    """Fold new transitions and decisions into the behaviour of their profiles.

    Parameters
    ----------
    cursor
        Of the driver, inside the transaction that inserts them.
    transitions, decisions
        New ones only.
    profiles
        Device -> profile; a device that is missing is its own.
    known
        Documents that this transaction has read already, None where there was none.
    now_ms
        When that is, Unix milliseconds.
    """
    heard = [each for each in decisions if each.fired or each.held_out]
    moved = [(profiles.get(each.device, each.device), each) for each in transitions]
    whose = {profile for profile, _ in moved}.union(each.profile for each in heard)
    if not whose:
        return
    documents = {**known, **read_behaviour(cursor, sorted(whose - known.keys()))}
    changed = {profile: to_behaviour(documents.get(profile)) for profile in sorted(whose)}
    for profile, transition in moved:
        note_transition(changed[profile], transition)
    for decision in heard:
        note_heard(changed[decision.profile], decision)
    write_behaviour(cursor, changed, now_ms=now_ms)


def to_behaviour(document: bytes | None) -> Behaviour:
    """Return the behaviour of a document; an empty one where there is none."""
    return Behaviour() if document is None else decode(document)


def _add(sums: list[int], cost_micros: int) -> None:
    sums[0] += 1
    sums[1] += cost_micros
