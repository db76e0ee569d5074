"""What every store does with conversions: once each, and for the right offer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from records import at, campaign, decision

from geotarget.errors import InvalidInput
from geotarget.model import Arm, BatchWrite, Conversion, Decision, Profile
from geotarget.store import ConversionRow, ExposureRow, Store

HOUR = 3600
"""Numbers of `records` are seconds."""


def sale(number: int, **changes: Any) -> Conversion:
    """Make a conversion as it is reported; it happens at its number."""
    return Conversion(
        **{
            "id": f"sale-{number}",
            "profile": "",
            "at_ms": at(number),
            "received_ms": at(number) + 5_000,
            "value_micros": 2_500_000,
            "currency": "EUR",
            "category": "bread",
        }
        | changes
    )


def offered(number: int, **changes: Any) -> Decision:
    """Make a decision on anna whose time is an hour."""
    return decision(
        number,
        **{
            "campaign": "c",
            "profile": "anna",
            "device": "phone",
            "variant": "a",
            "zone": "z",
            "day": "2026-01-01",
            "counts_until_ms": at(number) + HOUR * 1000,
        }
        | changes,
    )


def of(made: Decision, given: Conversion, *, by_decision: bool) -> Conversion:
    """Return a conversion as it is stored when it counts for a decision."""
    return replace(
        given,
        profile=made.profile,
        decision=made.id,
        campaign=made.campaign,
        variant=made.variant or "",
        zone=made.zone,
        day=made.day,
        held_out=made.held_out,
        by_decision=by_decision,
    )


def groups(store: Store, campaign: str = "c") -> list[tuple[bool, str, int, int, int, int]]:
    """Return the exposures of a campaign without their squares."""
    return [
        (each.held_out, each.variant, each.people, each.converted, each.conversions,
         each.value_micros)
        for each in store.exposures(campaign)
    ]  # fmt: skip


def write(store: Store, decisions: list[Decision]) -> None:
    """Write decisions of campaigns whose currency is the euro unless it is known already."""
    for id_ in {each.campaign for each in decisions}:
        if store.campaign(id_) is None:
            store.put_campaign(campaign(id_))
    store.write_batch(BatchWrite(decisions=decisions))


def attributed(given: Conversion, made: list[Decision]) -> Conversion | None:
    """Return a conversion as it should be stored; None when it must be refused."""
    counting = [each for each in made if each.fired or each.held_out]
    if given.decision:
        named = [each for each in counting if each.id == given.decision]
        return of(named[0], given, by_decision=True) if named else None
    owner = given.profile or given.device
    before = [
        each
        for each in counting
        if each.profile == owner and each.decided_ms <= given.at_ms < each.counts_until_ms
    ]
    if not before:
        return replace(given, profile=owner)
    return of(max(before, key=lambda each: each.decided_ms), given, by_decision=False)


def exposures_of(made: list[Decision], sales: Iterable[Conversion]) -> dict[Any, Any]:
    """Return people, converted, conversions and worth by campaign, group and variant."""
    first: dict[tuple[str, str], Decision] = {}
    for each in made:
        if each.gate != "audience":
            first.setdefault((each.profile, each.campaign), each)
    found: dict[Any, list[int]] = {}
    for (profile, id_), each in first.items():
        sums = found.setdefault((id_, each.held_out, each.variant or ""), [0, 0, 0, 0])
        bought = [
            told.value_micros
            for told in sales
            if told.profile == profile and each.decided_ms <= told.at_ms < each.counts_until_ms
        ]
        for place, more in enumerate((1, bool(bought), len(bought), sum(bought))):
            sums[place] += more
    return {key: tuple(sums) for key, sums in found.items()}


class ConversionsContract:
    """`record_conversions`, `conversions_page`, and what they count in."""

    def test_by_decision(self, store: Store) -> None:
        """The decision that is named has it, however late, and whatever came after it."""
        first, second = offered(1), offered(60, variant="b")
        write(store, [first, second])
        given = sale(9 * HOUR, decision=first.id, device="another phone")
        (done,) = store.record_conversions([given])
        assert ("new", of(first, given, by_decision=True)) == (done.state, done.conversion)
        assert [done.conversion] == store.conversions_page().items
        assert {"a": Arm(1, 1), "b": Arm(1, 0)} == store.arms("c")

    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [(0, None), (1, 1), (59, 1), (60, 60), (HOUR, 60), (HOUR + 59, 60), (HOUR + 60, None)],
    )
    def test_by_profile(self, store: Store, seconds: int, expected: int | None) -> None:
        """Without a name it is the last offer before it whose time was not over."""
        made = {number: offered(number) for number in (60, 1)}
        write(store, list(made.values()))
        given = sale(seconds, profile="anna")
        (done,) = store.record_conversions([given])
        wanted = given if expected is None else of(made[expected], given, by_decision=False)
        assert ("new", wanted, "") == (done.state, done.conversion, done.problem)

    def test_by_device(self, store: Store) -> None:
        """A device stands for the profile that it is linked to; unlinked, for itself."""
        store.put_profile(Profile("anna", devices=("phone", "watch")))
        made, other = offered(1), offered(2, profile="tablet", device="tablet")
        write(store, [made, other])
        given = [sale(10, device="watch"), sale(11, device="tablet"), sale(12, device="new")]
        done = [each.conversion for each in store.record_conversions(given)]
        assert [
            of(made, given[0], by_decision=False),
            of(other, given[1], by_decision=False),
            replace(given[2], profile="new"),
        ] == done

    def test_refused_decisions_hide_nothing(self, store: Store) -> None:
        """What was not sent for a cap is no offer: the one before it has the conversion."""
        made = offered(1)
        write(store, [made, offered(30, gate="cap", offer=None)])
        (done,) = store.record_conversions([sale(40, profile="anna")])
        assert made.id == done.conversion.decision

    def test_held_out_profiles_convert_too(self, store: Store) -> None:
        """Theirs are attributed to the offer that was held back; no arm has them."""
        made = offered(1, gate="holdout")
        write(store, [made])
        given = [sale(10, profile="anna"), sale(11, decision=made.id)]
        done = [each.conversion for each in store.record_conversions(given)]
        assert [of(made, given[0], by_decision=False), of(made, given[1], by_decision=True)] == done
        assert [(True, "a", 1, 1, 2, 5_000_000)] == groups(store)
        assert {} == store.arms("c")

    def test_problems_are_told_one_by_one(self, store: Store) -> None:
        """What can't be taken is refused with its reason; everything else is stored."""
        write(store, [offered(1), offered(2, gate="cap", offer=None)])
        given = [
            sale(1, decision="f" * 32),
            sale(2, decision=offered(2).id),
            sale(3),
            sale(4, decision=offered(1).id),
            sale(1, profile="anna"),
        ]
        done = store.record_conversions(given)
        assert [
            ("refused", "no decision has this id"),
            ("refused", "this decision sent nothing: gate 'cap' refused it"),
            ("refused", "names no decision, no profile and no device"),
            ("new", ""),
            ("refused", "no decision has this id"),
        ] == [(each.state, each.problem) for each in done]
        assert given == [replace(each.conversion) for each in done[:3]] + [given[3], given[4]]
        (mended,) = store.record_conversions([sale(1, profile="anna")])
        assert "new" == mended.state

    def test_the_same_again(self, store: Store) -> None:
        """One id counts once, in one call or in several, whatever else is said of it later."""
        made = offered(1)
        write(store, [made])
        given = sale(10, profile="anna")
        more = replace(given, value_micros=9_000_000)
        first, second = store.record_conversions([given, more])
        (third,) = store.record_conversions([more])
        kept = of(made, given, by_decision=False)
        assert [("new", kept), ("known", kept), ("known", kept)] == [
            (each.state, each.conversion) for each in (first, second, third)
        ]
        assert [(False, "a", 1, 1, 1, 2_500_000)] == groups(store)
        assert {"a": Arm(1, 1)} == store.arms("c")
        with store.turn() as turn:
            behaviour = turn.behaviour_of(["anna"])["anna"]
        assert (1, 1) == (behaviour.purchases_total, len(behaviour.purchases))
        assert [] == store.record_conversions([])

    def test_an_arm_counts_a_decision_once(self, store: Store) -> None:
        """Several purchases after one offer are one success of its variant."""
        first, second = offered(1), offered(100)
        write(store, [first, second])
        store.record_conversions([sale(10, profile="anna"), sale(11, profile="anna")])
        assert {"a": Arm(2, 1)} == store.arms("c")
        store.record_conversions([sale(12, profile="anna"), sale(110, profile="anna")])
        assert {"a": Arm(2, 2)} == store.arms("c")

    def test_exposure_asks_everybody(self, store: Store) -> None:
        """Whoever was meant and bought in that time counts, whatever it is attributed to."""
        people = [
            offered(1, profile="sent"),
            offered(1, profile="capped", gate="cap", offer=None, id="capped-c"),
            offered(1, profile="lot", gate="holdout", id="lot-c"),
            offered(1, profile="idle", id="idle-c"),
            offered(5, profile="sent", campaign="d", id="sent-d"),
            offered(5, profile="refused", gate="audience", offer=None, id="refused-d"),
        ]
        write(store, people)
        store.record_conversions(
            [
                sale(10, profile="sent"),
                sale(11, profile="sent"),
                sale(12, profile="capped"),
                sale(13, profile="lot"),
                sale(14, profile="refused"),
                sale(15, profile="stranger"),
                sale(HOUR + 1, profile="capped"),
                replace(sale(0, profile="idle"), id="before"),
            ]
        )
        assert [
            (False, "a", 3, 2, 3, 7_500_000), (True, "a", 1, 1, 1, 2_500_000),
        ] == groups(store)  # fmt: skip
        assert [(False, "a", 1, 1, 2, 5_000_000)] == groups(store, "d")
        (squares, _) = (each.value_squares for each in store.exposures("c"))
        assert pytest.approx(5.0**2 + 2.5**2) == squares
        attributed = {each.campaign for each in store.conversions_page(profile="sent").items}
        assert {"d"} == attributed

    def test_currencies_are_kept_apart(self, store: Store) -> None:
        """The worth of an exposure is in the campaign's currency; totals name each of them."""
        store.put_campaign(campaign("c", currency="SEK"))
        store.put_campaign(campaign("c", currency="SEK", name="The second version"))
        write(store, [offered(1)])
        store.record_conversions(
            [
                sale(10, profile="anna", currency="SEK", value_micros=10),
                sale(11, profile="anna", currency="EUR", value_micros=200),
                sale(12, profile="anna", currency="", value_micros=3_000),
                sale(13, decision=offered(1).id, currency="EUR", value_micros=40_000),
            ]
        )
        assert [ExposureRow(False, "a", 1, 1, 4, 3_010, (3_010 / 1e6) ** 2)] == store.exposures("c")
        key = ("c", "a", "z", "2026-01-01")
        assert [
            ConversionRow(*key, "", False, 1, 1, 3_000, 0),
            ConversionRow(*key, "EUR", False, 2, 1, 40_200, 1),
            ConversionRow(*key, "SEK", False, 1, 1, 10, 0),
        ] == store.conversion_totals("c")
        assert [] == store.conversion_totals("c", from_day="2026-01-02")
        assert [] == store.conversion_totals("c", to_day="2025-12-31")

    def test_late_and_out_of_order(self, store: Store) -> None:
        """In whatever order they are reported, the same is stored and counted."""
        made = [offered(1, variant="a"), offered(100, variant="b"), offered(200, variant="a")]
        given = [sale(number, profile="anna") for number in (210, 20, 5 * HOUR, 110, 0)]
        expected = {
            "sale-210": made[2].id, "sale-20": made[0].id, f"sale-{5 * HOUR}": "",
            "sale-110": made[1].id, "sale-0": "",
        }  # fmt: skip
        write(store, made)
        for each in given:
            store.record_conversions([each])
        found = {each.id: each.decision for each in store.conversions_page().items}
        assert expected == found
        assert {"a": Arm(2, 2), "b": Arm(1, 1)} == store.arms("c")
        assert [(False, "a", 1, 1, 3, 7_500_000)] == groups(store)
        with store.turn() as turn:
            purchases = turn.behaviour_of(["anna"])["anna"].purchases
        assert sorted(each.at_ms for each in given) == [each.at_ms for each in purchases]

    @pytest.mark.parametrize("seed", range(4))
    def test_whatever_is_reported_in_whatever_order(self, store: Store, seed: int) -> None:
        """Attribution, exposures, arms and behaviour are those of a plain look at everything."""
        random = Random(seed)
        people = [f"person-{number}" for number in range(6)]
        made = [
            offered(
                number,
                campaign=random.choice("cd"),
                profile=random.choice(people),
                variant=random.choice(["a", "b", None]),
                gate=random.choice(["fired", "fired", "holdout", "cap", "audience"]),
                counts_until_ms=at(number + random.choice([600, HOUR, 9 * HOUR])),
            )
            for number in random.sample(range(4 * HOUR), 60)
        ]
        write(store, made)
        given = [
            sale(
                number,
                value_micros=random.randrange(9) * 1_000_000,
                **random.choice(
                    [
                        {"profile": random.choice(people)},
                        {"device": random.choice(people)},
                        {"decision": random.choice(made).id},
                        {"decision": "unknown"},
                    ]
                ),
            )
            for number in random.sample(range(6 * HOUR), 120)
        ]
        reported = [*given, *random.sample(given, 30)]
        random.shuffle(reported)
        while reported:
            chunk = random.randrange(1, 20)
            store.record_conversions(reported[:chunk])
            del reported[:chunk]
        expected = {each.id: told for each in given if (told := attributed(each, made))}
        stored = {each.id: each for each in store.conversions_page(limit=1000).items}
        assert expected == stored
        assert exposures_of(made, expected.values()) == {
            (id_, each.held_out, each.variant): (
                each.people, each.converted, each.conversions, each.value_micros,
            )
            for id_ in "cd" for each in store.exposures(id_)
        }  # fmt: skip
        for id_ in "cd":
            sent = Counter(each.variant for each in made if each.fired and each.campaign == id_)
            won = Counter(
                each.variant
                for each in made
                if each.campaign == id_
                and each.fired
                and any(told.decision == each.id for told in expected.values())
            )
            assert {
                variant: Arm(count, won[variant]) for variant, count in sent.items() if variant
            } == store.arms(id_)
        with store.turn() as turn:
            for name, behaviour in turn.behaviour_of(people).items():
                bought = sorted(each.at_ms for each in expected.values() if each.profile == name)
                assert bought == [each.at_ms for each in behaviour.purchases]

    def test_pages(self, store: Store) -> None:
        """What was reported last comes first; filters and cursors hold."""
        write(store, [offered(1)])
        given = [sale(number, profile=("anna", "onni")[number % 2]) for number in range(10, 17)]
        stored = [each.conversion for each in store.record_conversions(given)][::-1]
        assert stored == store.conversions_page().items
        first = store.conversions_page(limit=5)
        assert stored[:5] == first.items
        assert stored[5:] == store.conversions_page(cursor=first.next).items
        assert stored[::2] == store.conversions_page(profile="anna").items
        assert stored[::2] == store.conversions_page(campaign="c").items
        assert stored[2:5] == store.conversions_page(from_ms=at(12), to_ms=at(15)).items
        with pytest.raises(InvalidInput):
            store.conversions_page(limit=0)
        with pytest.raises(InvalidInput):
            store.conversions_page(cursor=store.transitions_page().next or "x")

    def test_erased_profiles_stay_in_the_totals(self, store: Store) -> None:
        """What was attributed still counts when nobody knows any more whose it was."""
        write(store, [offered(1)])
        store.record_conversions([sale(10, profile="anna")])
        (before,) = store.conversion_totals("c")
        assert store.erase_profile("anna")
        assert [before] == store.conversion_totals("c")
        assert [] == store.conversions_page(profile="anna").items
