"""What every store shows of its history, page by page."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from records import at, attempt, batch, decision, delivery, transition

from geotarget.errors import InvalidInput
from geotarget.model import BatchWrite, Kind, Rejected
from geotarget.store import Page, Store
from geotarget.store.tables import STRETCH_BITS


def walk(ask: Callable[..., Page[Any]], limit: int, **filters: Any) -> list[Any]:
    """Read a list to its end, page by page."""
    items: list[Any] = []
    cursor = None
    while True:
        page = ask(limit=limit, cursor=cursor, **filters)
        assert page.next is None or len(page.items) == limit
        items += page.items
        cursor = page.next
        if cursor is None:
            return items


class HistoryContract:
    """Filters, order, cursors."""

    def test_transition_filters(self, store: Store) -> None:
        """Each filter, alone and together with others, shows what it says and nothing else."""
        kinds = (Kind.ENTER, Kind.EXIT, Kind.DWELL, Kind.CROSSED)
        made = [transition(number, kind=kinds[number % 4]) for number in range(60)]
        for start in range(0, 60, 7):
            store.write_batch(BatchWrite(transitions=made[start : start + 7]))
        newest = made[::-1]
        assert newest == walk(store.transitions_page, 7)
        assert [t for t in newest if t.device == "phone-3"] == walk(
            store.transitions_page, 5, device="phone-3"
        )
        assert [t for t in newest if t.zone == "zone-1"] == walk(
            store.transitions_page, 6, zone="zone-1"
        )
        assert [t for t in newest if t.zone == "zone-1" and t.device == "phone-3"] == walk(
            store.transitions_page, 1, zone="zone-1", device="phone-3"
        )
        assert [t for t in newest if t.kind is Kind.EXIT] == walk(
            store.transitions_page, 4, kind=Kind.EXIT
        )
        assert newest[60 - 20 : 60 - 10] == walk(
            store.transitions_page, 3, from_ms=at(10), to_ms=at(20)
        )
        assert [] == walk(store.transitions_page, 3, device="nobody")
        assert [] == walk(store.transitions_page, 3, from_ms=at(20), to_ms=at(20))

    def test_decision_filters(self, store: Store) -> None:
        """Decisions by device, zone, campaign, gate and time."""
        gates = ("fired", "cooldown", "audience")
        made = [decision(number, gate=gates[number % 3]) for number in range(60)]
        store.write_batch(BatchWrite(decisions=made))
        newest = made[::-1]
        for name, value in (
            ("device", "phone-2"),
            ("zone", "zone-2"),
            ("campaign", "campaign-1"),
            ("gate", "fired"),
            ("gate", "cooldown"),
        ):
            wanted = [each for each in newest if getattr(each, name) == value]
            assert wanted == walk(store.decisions_page, 4, **{name: value}), name
        assert [
            each
            for each in newest
            if each.campaign == "campaign-1" and each.gate == "fired" and each.decided_ms < at(30)
        ] == walk(store.decisions_page, 2, campaign="campaign-1", gate="fired", to_ms=at(30))

    def test_delivery_filters(self, store: Store) -> None:
        """Deliveries by device, endpoint, zone, campaign, type, state and time."""
        made = [
            delivery(number, endpoint=("crm", "till")[number % 2], type=("a", "b", "c")[number % 3])
            for number in range(40)
        ]
        store.write_batch(BatchWrite(deliveries=made))
        store.mark([attempt(each, state="failed") for each in made[::4]])
        for filters, wanted in (
            ({"device": "phone-4"}, [d for d in made if d.device == "phone-4"]),
            ({"endpoint": "till"}, made[1::2]),
            ({"zone": "zone-2"}, made[2::3]),
            ({"campaign": "campaign-1", "zone": "zone-0"}, made[3::6]),
            ({"type": "b"}, made[1::3]),
            ({"state": "failed"}, made[::4]),
            ({"state": "pending", "endpoint": "crm"}, made[2::4]),
            ({"state": "failed", "from_ms": at(8), "to_ms": at(17)}, made[8:17:4]),
        ):
            ids = [each.webhook_id for each in walk(store.deliveries_page, 3, **filters)]
            assert [each.webhook_id for each in reversed(wanted)] == ids, filters

    def test_dead_letter_filters(self, store: Store) -> None:
        """Dead letters by reason and time of arrival, newest first."""
        made = [
            Rejected("http", b"{", ("json", "latitude")[number % 2], "why", at(number), number)
            for number in range(20)
        ]
        store.write_batch(BatchWrite(rejected=made))
        assert made[::-1] == walk(store.dead_letters_page, 3)
        assert made[::-1][::2] == walk(store.dead_letters_page, 3, reason="latitude")
        assert made[9:4:-1] == walk(store.dead_letters_page, 2, from_ms=at(5), to_ms=at(10))

    def test_many_stretches(self, store: Store) -> None:
        """Lists longer than one stretch of the index, with times out of order, are read whole."""
        random = Random(3)
        count = 3 * 2**STRETCH_BITS + 5
        made = [
            transition(number, device=f"phone-{random.randrange(900)}", ts_ms=at(when))
            for number, when in enumerate(random.sample(range(count), count))
        ]
        made[100] = transition(100, device="rare", ts_ms=at(5 * count))
        made[-1] = transition(count, device="rare", ts_ms=at(0))
        for start in range(0, count, 1000):
            store.write_batch(BatchWrite(transitions=made[start : start + 1000]))
        assert made[::-1] == walk(store.transitions_page, 999)
        assert [made[-1], made[100]] == walk(store.transitions_page, 1, device="rare")
        assert [made[100]] == walk(store.transitions_page, 10, from_ms=at(2 * count))
        assert [each for each in made[::-1] if each.device == "phone-7"] == walk(
            store.transitions_page, 2, device="phone-7"
        )

    def test_pages_hold_still(self, store: Store) -> None:
        """What is committed between two pages neither repeats nor hides a row."""
        for number in range(10):
            store.write_batch(batch(number))
        first = store.transitions_page(limit=4)
        for number in range(10, 15):
            store.write_batch(batch(number))
        rest = walk_on(store, first)
        assert [transition(number) for number in range(9, -1, -1)] == first.items + rest

    @pytest.mark.parametrize("limit", [0, -1, 1001])
    def test_limits(self, store: Store, limit: int) -> None:
        """A limit out of 1 to 1000 is refused everywhere, by name."""
        for ask in (
            store.transitions_page, store.decisions_page, store.deliveries_page,
            store.dead_letters_page, store.zones_page, store.campaigns_page, store.endpoints_page,
        ):  # fmt: skip
            with pytest.raises(InvalidInput) as caught:
                ask(limit=limit)
            assert ("limit", str(limit)) == (
                caught.value.problems[0].path, caught.value.problems[0].value,
            )  # fmt: skip

    def test_cursors_are_checked(self, store: Store) -> None:
        """Only the list that gave a cursor takes it back."""
        for number in range(3):
            store.write_batch(batch(number))
        cursor = store.transitions_page(limit=1).next
        assert cursor is not None
        changed = cursor[:-3] + ("A" if cursor[-3] != "A" else "B") + cursor[-2:]
        for bad in ("", "x", "ä", "%%%", "A" * 400, cursor[:-2], changed, "\ud800"):
            with pytest.raises(InvalidInput) as caught:
                store.transitions_page(cursor=bad)
            assert "cursor" == caught.value.problems[0].path
        for ask in (store.decisions_page, store.dead_letters_page, store.zones_page):
            with pytest.raises(InvalidInput, match="cursor"):
                ask(cursor=cursor)

    def test_instants_without_bound(self, store: Store) -> None:
        """Instants that no database can hold mean no bound."""
        store.write_batch(batch(1))
        assert [transition(1)] == store.transitions_page(from_ms=-(2**80), to_ms=2**80).items

    def test_unknown_delivery(self, store: Store) -> None:
        """An event that nobody was told of has no deliveries."""
        assert [] == store.delivery("offer_none")


def walk_on(store: Store, page: Page[Any]) -> list[Any]:
    """Read the pages after a page."""
    items: list[Any] = []
    while page.next is not None:
        page = store.transitions_page(limit=4, cursor=page.next)
        items += page.items
    return items
