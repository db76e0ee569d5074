"""What the counts must be, worked out from the rows of history with plain loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from geotarget import behaviour as folded
from geotarget.model import Behaviour, Decision, Transition
from geotarget.store import Store
from geotarget.store.database import cursor_of

AFTER_THE_AUDIENCE = (
    "holdout", "cap", "budget", "arbitration", "variant", "content", "fired",
)  # fmt: skip


def every(store: Store, name: str) -> list[Any]:
    """Read a list to its end, first committed first."""
    items: list[Any] = []
    cursor = None
    while True:
        page = getattr(store, name)(limit=1000, cursor=cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            return items[::-1]


def recounted(store: Store, profiles: Mapping[str, str]) -> dict[str, dict[Any, Any]]:
    """Return what `stored` should return.

    Behaviour is folded in the order of the commits, as it was when they were made.
    """
    decisions: list[Decision] = every(store, "decisions_page")
    transitions: list[Transition] = every(store, "transitions_page")
    tally: Counter[Any] = Counter()
    spent: Counter[Any] = Counter()
    fired: dict[Any, tuple[int, int]] = {}
    sent: Counter[Any] = Counter()
    exposed: dict[Any, Any] = {}
    behaviour: dict[str, Behaviour] = {}
    for each in transitions:
        owner = profiles.get(each.device, each.device)
        folded.note_transition(behaviour.setdefault(owner, Behaviour()), each)
    for each in decisions:
        variant = each.variant or ""
        key = (each.campaign, each.day, each.zone, variant, each.gate)
        tally[key, "count"] += 1
        tally[key, "cost"] += each.cost_micros
        if each.gate in AFTER_THE_AUDIENCE:
            exposed.setdefault(
                (each.profile, each.campaign),
                (each.gate == "holdout", variant, each.decided_ms, each.counts_until_ms),
            )
        if each.gate in ("fired", "holdout"):
            folded.note_heard(behaviour.setdefault(each.profile, Behaviour()), each)
        if each.gate != "fired":
            continue
        last_ms, times = fired.get((each.campaign, each.profile), (0, 0))
        fired[each.campaign, each.profile] = max(last_ms, each.decided_ms), times + 1
        for day in {"", each.budget_day}:
            spent[(each.campaign, day), "offers"] += 1
            spent[(each.campaign, day), "cost"] += each.cost_micros
        if variant:
            sent[each.campaign, variant] += 1
    return {
        "tally": {
            key: (count, tally[key, "cost"]) for (key, what), count in tally.items()
            if what == "count"
        },
        "spent": {
            key: (count, spent[key, "cost"]) for (key, what), count in spent.items()
            if what == "offers"
        },
        "fired": fired,
        "sent": dict(sent),
        "exposed": exposed,
        "behaviour": behaviour,
    }  # fmt: skip


def waiting(store: Store) -> tuple[list[Any], list[Any]]:
    """Return what waits, as its table says and as the deliveries' own rows say."""
    columns = "seq, webhook_id, endpoint, type, device, ordered, created_ms, expires_ms, attempts"
    with store._database.read() as connection:
        cursor = cursor_of(connection)
        listed = cursor.execute(f"SELECT {columns} FROM waiting ORDER BY seq").fetchall()
        pending = cursor.execute(
            f"SELECT {columns} FROM delivery WHERE state = 'pending' ORDER BY seq"
        ).fetchall()
    return listed, pending


def stored(store: Store) -> dict[str, dict[Any, Any]]:
    """Return what the tables say."""
    with store._database.read() as connection:
        rows = cursor_of(connection).execute
        tally = rows("SELECT * FROM tally WHERE gate <> 'delivered'").fetchall()
        spent = rows("SELECT campaign, day, offers, cost_micros FROM budget_spent").fetchall()
        fired = rows("SELECT campaign, profile, last_fired_ms, fired FROM campaign_profile")
        pairs = {row[:2]: row[2:] for row in fired}
        sent = rows("SELECT campaign, variant, sent FROM arm").fetchall()
        exposed = rows(
            "SELECT profile, campaign, held_out, variant, first_ms, until_ms FROM exposure"
        ).fetchall()
        behaviour = rows("SELECT profile, state FROM behaviour").fetchall()
    return {
        "tally": {row[:5]: row[5:] for row in tally},
        "spent": {row[:2]: row[2:] for row in spent},
        "fired": pairs,
        "sent": {row[:2]: row[2] for row in sent},
        "exposed": {row[:2]: (bool(row[2]), *row[3:]) for row in exposed},
        "behaviour": {profile: folded.decode(state) for profile, state in behaviour},
    }
