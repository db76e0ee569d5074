"""What every store counts of decisions: caps, budgets, arms, tallies, exposures, behaviour."""

from __future__ import annotations

import threading
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from backends import Backend
from records import at, attempt, batch, decision, delivery, transition
from recounted import recounted, stored

from geotarget.errors import StoreError
from geotarget.model import Arm, BatchWrite, Decision, Fired, Kind, Profile, Spent, Stay
from geotarget.store import ExposureRow, Store, TallyRow

DAY_MS = 86_400_000
GATES = ("trigger", "consent", "audience", "holdout", "cap", "budget", "arbitration", "fired")


def told(number: int, **changes: Any) -> Decision:
    """Make a decision with all that reports count by."""
    fired = changes.get("gate", "fired") == "fired"
    return decision(
        number,
        **{
            "day": f"2026-01-{1 + number % 3:02}",
            "budget_day": f"2026-01-{1 + number % 2:02}" if fired else "",
            "cost_micros": 50_000 if fired else 0,
            "counts_until_ms": at(number) + DAY_MS,
            "visit": f"visit-{number}",
        }
        | changes,
    )


def random_batch(random: Random, start: int) -> BatchWrite:
    """Make transitions of a few devices and what campaigns answered to them."""
    numbers = range(start, start + random.randrange(1, 30))
    owners = {"phone-0": "anna", "phone-1": "anna"}
    decisions = []
    for number in numbers:
        gate = random.choice(GATES)
        device = f"phone-{number % 5}"
        decisions.append(
            told(
                number,
                gate=gate,
                variant=random.choice([None, "a", "b"]),
                profile=owners.get(device, device),
                zone=f"zone-{random.randrange(3)}",
            )
        )
    kinds = random.choices([Kind.ENTER, Kind.EXIT, Kind.DWELL, Kind.CROSSED], k=len(numbers))
    return BatchWrite(
        transitions=[transition(n, kind=kind) for n, kind in zip(numbers, kinds, strict=True)],
        decisions=decisions,
        profiles=owners,
    )


class TargetingContract:
    """`turn`, and what `tallies`, `exposures`, `arms` and `budget_days` say afterwards."""

    def test_nothing_yet(self, store: Store) -> None:
        """Questions about what never was find nothing, and cost nothing when they are empty."""
        with store.turn() as turn:
            assert {} == turn.profiles_of([]) == turn.behaviour_of([]) == turn.last_fired([])
            assert {} == turn.spent([]) == turn.arms([])
            assert set() == turn.decided([])
            assert {"a": Profile("a")} == turn.profiles_of(["a"])
            assert {"buns": 0} == {
                id_: each.visits_total for id_, each in turn.behaviour_of(["buns"]).items()
            }
            assert {} == turn.last_fired([("buns", "a")]) == turn.spent([("buns", "")])
        assert [] == store.tallies("buns") == store.exposures("buns")
        assert {} == store.arms("buns") == store.budget_days("buns")
        assert [] == store.conversion_totals("buns")

    def test_last_fired(self, store: Store) -> None:
        """Caps see the newest fired decision of a campaign and a profile, and no refused one."""
        store.write_batch(
            BatchWrite(
                decisions=[
                    decision(5, campaign="c", profile="p"),
                    decision(3, campaign="c", profile="p"),
                    decision(9, campaign="c", profile="p", gate="cap", offer=None),
                    decision(7, campaign="d", profile="odd \"'[]"),
                ]
            )
        )
        asked = [("c", "p"), ("c", "q"), ("d", "p"), ("d", "odd \"'[]")]
        many = [(f"campaign-{number}", "p") for number in range(3000)]
        with store.turn() as turn:
            assert {
                ("c", "p"): Fired(at(5), 2), ("d", "odd \"'[]"): Fired(at(7), 1),
            } == turn.last_fired(asked)  # fmt: skip
            assert {("c", "p"): Fired(at(5), 2)} == turn.last_fired([*many, ("c", "p")])
        assert (2 + 1, 1) == (store.counts().decisions_fired, store.counts().decisions_refused)

    def test_budgets_and_arms(self, store: Store) -> None:
        """What fired is spent on its day and in all, and counts for its variant."""
        store.write_batch(
            BatchWrite(
                decisions=[
                    told(2, campaign="c", variant="a"),
                    told(4, campaign="c", variant="b"),
                    told(6, campaign="c", variant="b", budget_day="2026-01-02", cost_micros=7),
                    told(8, campaign="c", variant="a", gate="cap"),
                    told(10, campaign="d", variant=None, budget_day=""),
                ]
            )
        )
        expected = {
            ("c", ""): Spent(3, 100_007),
            ("c", "2026-01-01"): Spent(2, 100_000),
            ("c", "2026-01-02"): Spent(1, 7),
            ("d", ""): Spent(1, 50_000),
        }
        with store.turn() as turn:
            assert expected == turn.spent([*expected, ("c", "2026-01-03"), ("e", "")])
            assert {("c", "a"): Arm(1, 0), ("c", "b"): Arm(2, 0)} == turn.arms(["c", "d", "e"])
        assert {"a": Arm(1, 0), "b": Arm(2, 0)} == store.arms("c")
        assert {
            "": Spent(3, 100_007), "2026-01-01": Spent(2, 100_000), "2026-01-02": Spent(1, 7),
        } == store.budget_days("c")  # fmt: skip

    def test_tallies(self, store: Store) -> None:
        """Every decision is in one row: campaign, day, zone, variant, gate."""
        store.write_batch(
            BatchWrite(
                decisions=[
                    told(1, campaign="c", zone="z", day="2026-01-05", variant="a"),
                    told(2, campaign="c", zone="z", day="2026-01-05", variant="a"),
                    told(3, campaign="c", zone="z", day="2026-01-05", gate="cap", variant="a"),
                    told(4, campaign="c", zone="y", day="2026-01-06", gate="consent", variant=None),
                    told(5, campaign="d"),
                ]
            )
        )
        first = TallyRow("c", "2026-01-05", "z", "a", "cap", 1, 0)
        fired = TallyRow("c", "2026-01-05", "z", "a", "fired", 2, 100_000)
        other = TallyRow("c", "2026-01-06", "y", "", "consent", 1, 0)
        assert [first, fired, other] == store.tallies("c")
        assert [other] == store.tallies("c", from_day="2026-01-06")
        assert [first, fired] == store.tallies("c", to_day="2026-01-05")
        assert [other] == store.tallies("c", zone="y")
        assert [] == store.tallies("c", from_day="2026-01-07")

    @pytest.mark.parametrize(
        ("gate", "exposed"),
        [("trigger", False), ("schedule", False), ("consent", False), ("audience", False),
         ("holdout", True), ("cap", True), ("budget", True), ("arbitration", True),
         ("variant", True), ("content", True), ("fired", True)],
    )  # fmt: skip
    def test_who_is_exposed(self, store: Store, gate: str, exposed: bool) -> None:
        """Everybody whom the audience let pass, whatever became of it: once, by the first time."""
        first = told(1, campaign="c", profile="p", gate=gate, variant="a")
        again = told(2, campaign="c", profile="p", variant="b")
        store.write_batch(BatchWrite(decisions=[first]))
        held_out = gate == "holdout"
        rows = [ExposureRow(held_out, "a", 1, 0, 0, 0, 0.0)] if exposed else []
        assert rows == store.exposures("c")
        store.write_batch(BatchWrite(decisions=[again]))
        assert (rows or [ExposureRow(False, "b", 1, 0, 0, 0, 0.0)]) == store.exposures("c")

    def test_behaviour_is_that_of_the_profile(self, store: Store) -> None:
        """Visits of all linked devices, offers that were heard; a copy for each who asks."""
        entry, end = transition(1, device="a", zone="z"), transition(9, device="a", zone="z")
        store.write_batch(
            BatchWrite(
                transitions=[
                    replace(entry, duration_s=None),
                    replace(end, kind=Kind.EXIT, duration_s=8.0),
                    transition(3, device="b", zone="z"),
                    transition(4, device="c", zone="z"),
                ],
                decisions=[
                    told(1, device="a", profile="anna", variant="a"),
                    told(3, device="b", profile="anna", gate="holdout"),
                    told(5, device="b", profile="anna", gate="cap"),
                ],
                profiles={"a": "anna", "b": "anna"},
            )
        )
        with store.turn() as turn:
            both = turn.behaviour_of(["anna", "c", "a"])
            assert [Stay(at(1), 8), Stay(at(3))] == both["anna"].stays["z"]
            heard = [(each.decision, each.held_out, each.until_ms) for each in both["anna"].heard]
            assert [
                (told(1).id, False, at(1) + DAY_MS), (told(3).id, True, at(3) + DAY_MS),
            ] == heard  # fmt: skip
            assert (2, 1, 0) == tuple(both[id_].visits_total for id_ in ("anna", "c", "a"))
            both["anna"].stays.clear()
            assert 2 == len(turn.behaviour_of(["anna"])["anna"].stays["z"])

    def test_a_turn_writes_upon_what_it_has_read(self, store: Store) -> None:
        """Behaviour that was read, and changed by whoever read it, is folded from the stored."""
        for number in (1, 6):
            with store.turn() as turn:
                behaviour = turn.behaviour_of(["phone-1"])["phone-1"]
                behaviour.visits_total = 99
                turn.write(BatchWrite(transitions=[transition(number, zone="z")]))
        with store.turn() as turn:
            assert 2 == turn.behaviour_of(["phone-1"])["phone-1"].visits_total

    def test_an_error_undoes_a_turn(self, store: Store) -> None:
        """Nothing of a turn that raised is there, and the next one goes on as if it never was."""

        def fail() -> None:
            with store.turn() as turn:
                turn.write(batch(1))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert ([], b"") == store.load_devices()
        assert [] == store.transitions_page().items == store.tallies("campaign-1")
        store.write_batch(batch(1))
        assert [decision(1)] == store.decisions_page().items
        assert (["phone-1"], (1).to_bytes(8, "big")) == store.load_devices()

    def test_a_turn_writes_once(self, store: Store) -> None:
        """A second write is refused, and undoes the turn."""

        def write_twice() -> None:
            with store.turn() as turn:
                turn.write(batch(1))
                turn.write(batch(2))

        with pytest.raises(ValueError, match="a turn writes one batch"):
            write_twice()
        assert [] == store.transitions_page().items

    def test_known_decisions(self, store: Store) -> None:
        """A turn tells which decisions are there."""
        store.write_batch(batch(1))
        with store.turn() as turn:
            assert {decision(1).id} == turn.decided([decision(1).id, decision(2).id])

    @pytest.mark.parametrize("seed", range(5))
    def test_what_is_counted_equals_what_is_there(self, backend: Backend, seed: int) -> None:
        """Batches, some of them twice or overlapping, by two processes: counts equal the rows."""
        random = Random(seed)
        first, second = backend.open(), backend.open()
        start, batches = 0, []
        for _ in range(12):
            work = random_batch(random, start)
            batches.append(work)
            random.choice([first, second]).write_batch(work)
            start += random.choice([len(work.decisions), len(work.decisions) // 2, 0])
            if random.random() < 0.3:
                random.choice([first, second]).write_batch(random.choice(batches))
        assert recounted(first, {"phone-0": "anna", "phone-1": "anna"}) == stored(second)

    def test_accepted_deliveries_are_tallied(self, store: Store) -> None:
        """Once for each endpoint that accepted an offer, on the day of its decision."""
        made = [told(1, campaign="c", variant="a"), told(2, campaign="c", variant="a")]
        sent = [
            delivery(1, campaign="c"),
            delivery(1, campaign="c", endpoint="till"),
            delivery(2, campaign="c"),
            delivery(3, campaign="", webhook_id="transition_3", type="transition.enter"),
        ]
        store.write_batch(BatchWrite(decisions=made, deliveries=sent))

        def delivered() -> list[tuple[str, str, str, int]]:
            return [
                (each.day, each.zone, each.variant, each.count)
                for each in store.tallies("c")
                if each.gate == "delivered"
            ]

        store.mark([attempt(sent[0], state="pending", status=500), attempt(sent[3])])
        assert [] == delivered()
        done = [attempt(each, started_ms=at(50 + place)) for place, each in enumerate(sent[:3])]
        store.mark([done[0], done[0], attempt(sent[0], started_ms=at(60), attempt=3)])
        assert [("2026-01-02", "zone-1", "a", 1)] == delivered()
        store.mark(done)
        expected = [("2026-01-02", "zone-1", "a", 2), ("2026-01-03", "zone-2", "a", 1)]
        assert expected == delivered()
        store.requeue(sent[0].webhook_id, "crm", now_ms=at(70))
        store.mark([attempt(sent[0], started_ms=at(71))])
        assert expected == delivered(), "a replay is no second acceptance"

    def test_turns_do_not_overlap(self, backend: Backend) -> None:
        """What one turn has read, no other one changes until it has written."""
        stores = [backend.open(busy_s=60.0), backend.open(busy_s=60.0)]
        errors: list[BaseException] = []

        def spend(store: Store, start: int) -> None:
            try:
                for number in range(start, start + 60):
                    with store.turn() as turn:
                        spent = turn.spent([("c", "")]).get(("c", ""), Spent())
                        if spent.offers < 50:
                            turn.write(BatchWrite(decisions=[told(number, campaign="c")]))
            except StoreError as error:
                errors.append(error)

        threads = [
            threading.Thread(target=spend, args=(store, 100 * place))
            for place, store in enumerate([*stores, stores[0]])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [] == errors
        assert 50 == store_offers(stores[1]) == stores[0].counts().decisions_fired


def store_offers(store: Store) -> int:
    """Return what campaign c has spent in all."""
    return store.budget_days("c")[""].offers
