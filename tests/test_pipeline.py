"""One batch is one transaction: what is committed, what a failure leaves, what a restart finds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.errors import StoreError
from geotarget.model import (
    BatchWrite,
    Budget,
    Campaign,
    Cap,
    Endpoint,
    Kind,
    PingBatch,
    Policy,
    Profile,
    Rejected,
    Spent,
    Status,
    Trigger,
    Zone,
)
from geotarget.pipeline import Pipeline
from geotarget.store import Store, Turn
from geotarget.store.counting import EXPOSED
from geotarget.targeting import GATES

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_760_000_000_000
HERE = (24.94, 60.17)
AWAY = (24.99, 60.19)
SHOP = Zone(id="shop", geometry=shapely.box(24.938, 60.169, 24.942, 60.171))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database on disk."""
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as opened:
        yield opened


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """A shop, an endpoint and a campaign that greets on entry and after a minute."""
    catalog = Catalog(store)
    catalog.put_zones([SHOP])
    catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/hook", secret=SECRET))
    catalog.put_campaign(
        Campaign(
            id="hello",
            name="Hello",
            trigger=Trigger(on=frozenset({Kind.ENTER})),
            offer={"title": "Hello at {{ zone.id }}"},
            endpoints=("hook",),
        )
    )
    return catalog


def pings(*fixes: tuple[str, int, tuple[float, float]], received: int | None = None) -> PingBatch:
    """Return fixes (device, seconds after NOW, place) as a batch."""
    ts = np.array([NOW + 1000 * second for _, second, _ in fixes], np.int64)
    return PingBatch(
        device=[device for device, _, _ in fixes],
        ts=ts,
        lng=np.array([place[0] for _, _, place in fixes], np.float64),
        lat=np.array([place[1] for _, _, place in fixes], np.float64),
        acc=np.full(len(fixes), 8.0),
        key=np.array([hash(fix) & 0xFFFF_FFFF_FFFF_FFFF | 1 for fix in fixes], np.uint64),
        received=ts if received is None else np.full(len(fixes), received, np.int64),
    )


def make(catalog: Catalog, store: Store, **changes: object) -> Pipeline:
    """Return a pipeline whose clock stands at NOW; devices may jump, which phones don't."""
    options = {"now_ms": lambda: NOW, "rules": Rules(jump_fixes=1), **changes}
    return Pipeline(catalog=catalog, store=store, **options)  # type: ignore[arg-type]


def test_an_entry_becomes_transition_decision_and_delivery(catalog: Catalog, store: Store) -> None:
    """One ping inside: all that follows from it is in the database when `process` returns."""
    woken = []
    pipeline = make(catalog, store, on_commit=lambda: woken.append(True))
    outcome = pipeline.process(pings(("a", 0, HERE)))
    (transition,) = store.transitions_page().items
    (decision,) = store.decisions_page().items
    (claimed,) = store.claim(now_ms=NOW, limits={"hook": 9}, lease_ms=1000)
    assert (outcome.accepted, outcome.deliveries, woken) == (1, 1, [True])
    assert (transition.kind, transition.device, transition.initial) == (Kind.ENTER, "a", True)
    assert (decision.gate, decision.transition) == ("fired", transition.id)
    assert claimed.webhook_id.endswith(decision.id)
    assert b"Hello at shop" in claimed.body


def test_a_failed_commit_changes_nothing_and_may_be_repeated(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a StoreError the same batch gives the same entry, once."""
    pipeline = make(catalog, store)
    whole = Turn.write

    def full(turn: Turn, batch: BatchWrite) -> None:
        whole(turn, batch)
        raise StoreError("database or disk is full")

    monkeypatch.setattr(Turn, "write", full)
    with pytest.raises(StoreError):
        pipeline.process(pings(("a", 0, HERE)))
    assert pipeline.state.memberships == 0
    assert store.transitions_page().items == []
    monkeypatch.setattr(Turn, "write", whole)
    assert pipeline.process(pings(("a", 0, HERE))).transitions == {"enter": 1}
    assert len(store.transitions_page().items) == 1


def test_a_redelivered_batch_has_no_second_effect(catalog: Catalog, store: Store) -> None:
    """The same pings again, also by a new process: duplicates, nothing more."""
    batch = pings(("a", 0, AWAY), ("a", 20, HERE))
    make(catalog, store).process(batch)
    outcome = make(catalog, store).process(batch)
    assert (outcome.duplicates, outcome.late, dict(outcome.transitions)) == (2, 0, {})
    assert len(store.transitions_page().items) == 1
    assert store.outbox_size()[0] == 1


def test_a_restart_goes_on_in_the_middle_of_an_exit(catalog: Catalog, store: Store) -> None:
    """Each ping in a process of its own gives what one process gives."""
    found = []
    for second, place in [(0, AWAY), (20, HERE), (60, AWAY), (80, AWAY)]:
        outcome = make(catalog, store).process(pings(("a", second, place)))
        found.append(dict(outcome.transitions))
    assert found == [{}, {"enter": 1}, {}, {"exit": 1}]
    kinds = [(each.kind.value, each.ts_ms - NOW) for each in store.transitions_page().items]
    assert sorted(kinds) == [("enter", 20_000), ("exit", 60_000)]


def test_refused_pings_are_dead_letters_with_reasons(catalog: Catalog, store: Store) -> None:
    """Future and (0, 0): refused by position, kept with a sentence, the others applied."""
    batch = pings(("a", 500, HERE), ("b", 0, (0.0, 0.0)), ("c", 0, HERE), received=NOW)
    poison = Rejected("pings/x", b"{", "json", "not JSON", NOW)
    outcome = make(catalog, store).process(batch, [poison])
    assert [(at, reason) for at, reason, _ in outcome.refused] == [
        (0, "future"),
        (1, "null_island"),
    ]
    assert outcome.accepted == 1
    assert dict(outcome.transitions) == {"enter": 1}
    letters = sorted(each.reason for each in store.dead_letters_page().items)
    assert letters == ["future", "json", "null_island"]


def test_null_island_counts_where_a_zone_covers_it(catalog: Catalog, store: Store) -> None:
    """(0, 0) is a place like any other for whoever draws a zone there."""
    catalog.put_zones([Zone(id="buoy", geometry=shapely.box(-0.01, -0.01, 0.01, 0.01))])
    outcome = make(catalog, store).process(pings(("a", 0, (0.0, 0.0))))
    assert (len(outcome.refused), dict(outcome.transitions)) == (0, {"enter": 1})


def test_an_old_transition_is_recorded_but_fires_nothing(catalog: Catalog, store: Store) -> None:
    """Beyond the maximum age the decision is refused by the trigger, with its reason."""
    pipeline = make(catalog, store, policy=Policy(max_age_s=900))
    outcome = pipeline.process(pings(("a", -1000, HERE)))
    (decision,) = store.decisions_page().items
    assert (dict(outcome.transitions), outcome.deliveries) == ({"enter": 1}, 0)
    assert decision.gate == "trigger"
    assert "900" in decision.reason


def test_a_deleted_zone_ends_visits_even_when_nobody_moves(catalog: Catalog, store: Store) -> None:
    """An empty batch is enough to make a changed catalogue count."""
    pipeline = make(catalog, store)
    pipeline.process(pings(("a", 0, HERE)))
    catalog.delete_zones(["shop"])
    pipeline.process(pings())
    assert pipeline.state.memberships == 0
    assert store.load_members() == []
    kinds = sorted(each.kind.value for each in store.transitions_page().items)
    assert kinds == ["enter", "reconciled"]


def test_an_empty_batch_writes_nothing(catalog: Catalog, store: Store) -> None:
    """Nothing in, nothing out."""
    outcome = make(catalog, store).process(pings())
    assert outcome.accepted == 0
    assert store.transitions_page().items == []


class Hands:
    """A clock that a test moves, in seconds after NOW."""

    def __init__(self) -> None:
        self.second = 0.0

    def __call__(self) -> int:
        """Return the time."""
        return NOW + round(1000 * self.second)


def dwells(store: Store) -> list[tuple[int, int | None]]:
    """Return seconds after NOW and threshold of all dwells."""
    return [
        ((each.ts_ms - NOW) // 1000, each.threshold_s)
        for each in store.transitions_page().items
        if each.kind is Kind.DWELL
    ]


@pytest.fixture
def stay(catalog: Catalog) -> None:
    """A campaign that answers who has stayed for a minute."""
    catalog.put_campaign(
        Campaign(
            id="stay",
            name="Stay",
            trigger=Trigger(on=frozenset({Kind.DWELL}), dwell_s=60),
            offer={"title": "Still here?"},
            endpoints=("hook",),
        )
    )


@pytest.mark.usefixtures("stay")
def test_the_clock_completes_a_stay_and_fires(catalog: Catalog, store: Store) -> None:
    """Without another ping, five seconds behind the clock, and once; the fix has the same id."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE)))
    clock.second = 64.0
    pipeline.process(pings())
    assert dwells(store) == []
    clock.second = 66.0
    pipeline.process(pings())
    assert dwells(store) == [(60, 60)]
    assert [each.gate for each in store.decisions_page(campaign="stay").items] == ["fired"]
    clock.second = 90.0
    pipeline.process(pings(("a", 80, HERE)))
    assert dwells(store) == [(60, 60)]


@pytest.mark.usefixtures("stay")
def test_deadlines_wait_while_pings_do_not_come_as_sent(catalog: Catalog, store: Store) -> None:
    """Without a connection nothing is due; a backlog is worked off in its own time."""
    clock, live = Hands(), [False]
    pipeline = make(catalog, store, now_ms=clock, is_live=lambda: live[0])
    pipeline.process(pings(("a", 0, HERE)))
    clock.second = 100.0
    pipeline.process(pings())
    assert dwells(store) == []
    live[0] = True
    clock.second = 102.0
    pipeline.process(pings(("b", 20, AWAY), ("c", 21, AWAY), ("d", 22, AWAY)))
    assert dwells(store) == [], "the pings of a minute ago may still tell that it left"
    clock.second = 103.0
    pipeline.process(pings(("a", 30, AWAY), ("a", 50, AWAY), ("b", 50, AWAY)))
    clock.second = 120.0
    pipeline.process(pings())
    assert dwells(store) == []
    kinds = [each.kind.value for each in store.transitions_page(device="a").items]
    assert sorted(kinds) == ["enter", "exit"]


def test_a_traced_device_leaves_traces(catalog: Catalog, store: Store) -> None:
    """Of that device only, with verdict and phases, in the transaction of the batch."""
    clock = Hands()
    clock.second = (time.time_ns() // 1_000_000 - NOW) / 1000
    store.set_trace("a", clock() + 3_600_000)
    pipeline = make(catalog, store, now_ms=clock)
    second = round(clock.second)
    pipeline.process(pings(("a", second - 60, HERE), ("b", second - 60, HERE)))
    pipeline.process(pings(("a", second - 40, AWAY)))
    assert store.traces("b") == []
    traces = [(each.verdict, each.reason, each.before, each.after) for each in store.traces("a")]
    assert traces == [
        ("in", "deep", "outside", "inside"),
        ("out", "far", "inside", "exiting"),
    ]


def test_an_edited_zone_greets_nobody(catalog: Catalog, store: Store) -> None:
    """Who is outside the new shape is reconciled, and so is who stands where it grew; no offer."""
    pipeline = make(catalog, store)
    there = (24.95, 60.17)
    pipeline.process(pings(("a", 0, HERE), ("b", 0, there)))
    fired = len(store.decisions_page().items)
    catalog.put_zones([replace(SHOP, geometry=shapely.box(24.948, 60.169, 24.952, 60.171))])
    pipeline.process(pings())
    found = {
        each.device: (each.kind.value, each.duration_s is None, each.reason)
        for each in store.transitions_page().items
        if each.kind is Kind.RECONCILED
    }
    assert found == {"a": ("reconciled", False, "edit"), "b": ("reconciled", True, "edit")}
    pipeline.process(pings(("b", 20, there), ("a", 20, HERE)))
    assert len(store.transitions_page().items) == 3
    assert len(store.decisions_page().items) == fired


# -- who is inside already ------------------------------------------------------------------


def answers(store: Store, campaign: str) -> list[tuple[str, str, str]]:
    """Return device, gate and transition's kind of a campaign's decisions, first first."""
    kinds = {each.id: each.kind.value for each in store.transitions_page().items}
    return [
        (each.device, each.gate, kinds.get(each.transition, "none"))
        for each in reversed(store.decisions_page(campaign=campaign).items)
    ]


def cakes(asked: int | None = None, **changes: object) -> Campaign:
    """Return a campaign on entry; `asked` is the second at which it asked for who is inside."""
    told = {
        "id": "cakes",
        "name": "Cakes",
        "trigger": Trigger(on=frozenset({Kind.ENTER})),
        "offer": {"title": "Cakes at {{ zone.id }}"},
        "endpoints": ("hook",),
        "with_others": True,
        "inside_asked_ms": None if asked is None else NOW + 1000 * asked,
    }
    return Campaign(**{**told, **changes})  # type: ignore[arg-type]


def test_a_changed_campaign_says_nothing_to_those_inside(catalog: Catalog, store: Store) -> None:
    """Neither a new one nor a new version of one, until somebody comes."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE)))
    for title in ("Cakes", "More cakes"):
        catalog.put_campaign(cakes(offer={"title": title}))
        pipeline.process(pings())
        pipeline.process(pings(("a", 10, HERE)))
    assert answers(store, "cakes") == []
    pipeline.process(pings(("b", 20, HERE)))
    assert answers(store, "cakes") == [("b", "fired", "enter")]


def test_those_inside_are_told_once_when_a_campaign_asks(catalog: Catalog, store: Store) -> None:
    """One decision for each who is inside, no transition, and the same after any restart."""
    clock, woken = Hands(), []
    catalog.put_endpoint(
        Endpoint(
            id="log", url="https://shop.example/log", secret=SECRET, events=("transition.enter",)
        )
    )
    pipeline = make(catalog, store, now_ms=clock, on_commit=lambda: woken.append(True))
    pipeline.process(pings(("a", 0, HERE), ("b", 0, AWAY), ("c", 1, HERE)))
    before = store.outbox_size()[0], len(store.transitions_page().items), len(woken)
    clock.second = 30.0
    catalog.put_campaign(cakes(asked=30))
    pipeline.process(pings())
    expected = [("a", "fired", "none"), ("c", "fired", "none")]
    assert answers(store, "cakes") == expected
    after = store.outbox_size()[0], len(store.transitions_page().items), len(woken)
    assert after == (before[0] + 2, before[1], before[2] + 1)
    decision = store.decisions_page(campaign="cakes").items[-1]
    (entry,) = store.transitions_page(device="a").items
    assert (decision.decided_ms, decision.visit) == (NOW + 30_000, entry.visit)
    catalog.put_campaign(cakes(asked=30, name="A new name, the same question"))
    pipeline.process(pings())
    make(catalog, store, now_ms=clock).process(pings(("a", 40, HERE)))
    assert answers(store, "cakes") == expected
    assert store.counts().decisions_fired == 4


def test_who_has_heard_in_this_visit_is_not_told_again(catalog: Catalog, store: Store) -> None:
    """The campaign that greeted them asks for those inside: only who is new to it hears it."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE)))
    assert answers(store, "hello") == [("a", "fired", "enter")]
    hello = store.campaign("hello")
    assert hello is not None
    catalog.put_campaign(replace(hello, status=Status.DRAFT))
    pipeline.process(pings(("b", 10, HERE)))
    clock.second = 20.0
    catalog.put_campaign(replace(hello, inside_asked_ms=NOW + 20_000))
    pipeline.process(pings())
    assert answers(store, "hello") == [("a", "fired", "enter"), ("b", "fired", "none")]


def test_only_who_stood_inside_when_it_asked(catalog: Catalog, store: Store) -> None:
    """Not who came later (an entry like any other), and not who is on the way out."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE), ("b", 0, HERE)))
    pipeline.process(pings(("b", 20, AWAY), ("c", 25, HERE)))
    clock.second = 30.0
    catalog.put_campaign(cakes(asked=22))
    pipeline.process(pings())
    assert answers(store, "cakes") == [("a", "fired", "none")]


def test_an_invitation_that_was_refused_stays_refused(catalog: Catalog, store: Store) -> None:
    """Asked again after a restart, with a larger budget, nobody is sent what was refused then."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE), ("b", 0, HERE)))
    clock.second = 30.0
    catalog.put_campaign(cakes(asked=30, budget=Budget(total=1)))
    pipeline.process(pings())
    expected = [("a", "fired", "none"), ("b", "budget", "none")]
    assert answers(store, "cakes") == expected
    waiting = store.outbox_size()[0]
    catalog.put_campaign(cakes(asked=30, budget=Budget(total=9)))
    make(catalog, store, now_ms=clock).process(pings())
    assert (answers(store, "cakes"), store.outbox_size()[0]) == (expected, waiting)


def test_of_nested_zones_only_the_most_specific_asks(catalog: Catalog, store: Store) -> None:
    """Two zones around one device are one moment: the inner one is asked first, the outer waits."""
    catalog.put_zones([Zone(id="mall", geometry=shapely.box(24.93, 60.16, 24.95, 60.18))])
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE)))
    clock.second = 30.0
    trigger = Trigger(on=frozenset({Kind.ENTER}), most_specific=True)
    catalog.put_campaign(cakes(asked=30, trigger=trigger))
    pipeline.process(pings())
    found = {each.zone: each.gate for each in store.decisions_page(campaign="cakes").items}
    assert found == {"shop": "fired", "mall": "trigger"}


def test_an_old_question_is_not_asked_after_a_restart(catalog: Catalog, store: Store) -> None:
    """Beyond the age at which a transition would fire, nothing is decided at all."""
    clock = Hands()
    make(catalog, store, now_ms=clock).process(pings(("a", 0, HERE)))
    catalog.put_campaign(cakes(asked=10))
    clock.second = 1000.0
    make(catalog, store, now_ms=clock).process(pings())
    assert answers(store, "cakes") == []


def test_a_failed_invitation_is_made_up_for(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a StoreError the next batch asks again, and everybody hears it once."""
    pipeline = make(catalog, store)
    pipeline.process(pings(("a", 0, HERE)))
    catalog.put_campaign(cakes(asked=0))
    whole = Turn.write

    def full(turn: Turn, batch: BatchWrite) -> None:
        whole(turn, batch)
        raise StoreError("database or disk is full")

    monkeypatch.setattr(Turn, "write", full)
    with pytest.raises(StoreError):
        pipeline.process(pings())
    monkeypatch.setattr(Turn, "write", whole)
    assert answers(store, "cakes") == []
    pipeline.process(pings())
    pipeline.process(pings())
    assert answers(store, "cakes") == [("a", "fired", "none")]


def staying(seconds: int, **changes: object) -> Campaign:
    """Return a campaign for who has stayed for so long."""
    trigger = Trigger(on=frozenset({Kind.DWELL}), dwell_s=seconds)
    return cakes(trigger=trigger, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("restart", [False, True])
def test_a_dwell_time_that_is_over_was_not_waited_for(
    catalog: Catalog, store: Store, restart: bool
) -> None:
    """A new dwell time, or a changed one, is for those who reach it from now on."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE), ("b", 550, HERE)))
    pipeline.process(pings(("a", 580, HERE), ("b", 581, HERE)))
    clock.second = 582.0
    catalog.put_campaign(staying(60))
    if restart:
        pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 590, HERE)))
    assert dwells(store) == []
    pipeline.process(pings(("a", 611, HERE), ("b", 612, HERE)))
    assert dwells(store) == [(610, 60)]
    catalog.put_campaign(staying(30))
    pipeline.process(pings(("a", 620, HERE), ("b", 621, HERE)))
    catalog.put_campaign(staying(700))
    pipeline.process(pings(("a", 705, HERE), ("b", 706, HERE)))
    assert sorted(dwells(store)) == [(610, 60), (700, 700)]
    assert answers(store, "cakes") == [("b", "fired", "dwell"), ("a", "fired", "dwell")]


def test_an_edit_and_a_dwell_time_at_once(catalog: Catalog, store: Store) -> None:
    """Visits that the edit ends stay ended, others live on under the new revision of the zone."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE), ("b", 0, (24.9415, 60.17))))
    pipeline.process(pings(("a", 580, HERE), ("b", 580, (24.9415, 60.17))))
    catalog.put_campaign(staying(60))
    catalog.put_zones([replace(SHOP, geometry=shapely.box(24.93, 60.169, 24.9405, 60.171))])
    pipeline.process(pings())
    assert pipeline.state.memberships == 1
    assert [each.device for each in store.load_members()] == ["a"]
    restarted = make(catalog, store, now_ms=clock)
    restarted.process(pings(("a", 600, HERE), ("b", 600, (24.9415, 60.17))))
    kinds = sorted((each.device, each.kind.value) for each in store.transitions_page().items)
    assert kinds == [("a", "enter"), ("b", "enter"), ("b", "reconciled")]


def test_a_dwell_campaign_may_ask_for_those_inside(catalog: Catalog, store: Store) -> None:
    """Those who have stayed so long hear it at once, the others when they have."""
    clock = Hands()
    pipeline = make(catalog, store, now_ms=clock)
    pipeline.process(pings(("a", 0, HERE), ("b", 550, HERE)))
    pipeline.process(pings(("a", 580, HERE), ("b", 581, HERE)))
    clock.second = 582.0
    catalog.put_campaign(staying(60, asked=582))
    pipeline.process(pings())
    assert answers(store, "cakes") == [("a", "fired", "none")]
    pipeline.process(pings(("a", 611, HERE), ("b", 612, HERE)))
    assert answers(store, "cakes") == [("a", "fired", "none"), ("b", "fired", "dwell")]


# -- one transaction ------------------------------------------------------------------------


class Withdrawing(Store):
    """A store in which a profile declines after the match, just before the batch has its turn."""

    declines = ""

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Let the profile decline, then give the turn."""
        if self.declines:
            device, self.declines = self.declines, ""
            self.put_profile(Profile(device, consent={"marketing": False}))
        with super().turn() as turn:
            yield turn


def test_consent_that_is_withdrawn_before_the_commit_is_obeyed(tmp_path: Path) -> None:
    """The gates read consent in the transaction that fires; who declines later waits for it."""
    with Withdrawing.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        catalog = Catalog(store)
        catalog.put_zones([SHOP])
        catalog.put_endpoint(Endpoint(id="hook", url="https://shop.example/hook", secret=SECRET))
        catalog.put_campaign(cakes())
        store.put_profile(Profile("a", consent={"marketing": True}))
        pipeline = make(catalog, store)
        pipeline.process(pings(("b", 0, AWAY)))
        store.declines = "a"
        outcome = pipeline.process(pings(("a", 0, HERE)))
        assert (dict(outcome.decisions), outcome.deliveries) == ({"consent": 1}, 0)
        with store.turn() as turn:
            declined = threading.Thread(
                target=store.put_profile, args=(Profile("b", consent={"marketing": False}),)
            )
            declined.start()
            declined.join(0.2)
            assert declined.is_alive(), "nobody else writes during a turn"
            assert turn.profiles_of(["b"])["b"].consent == {}
        declined.join(60)
        profile = store.profile("b")
        assert profile is not None
        assert profile.consent == {"marketing": False}


def test_a_batch_counts_what_it_does(catalog: Catalog, store: Store) -> None:
    """Behaviour, tally, exposure, budget and caps are those of its transitions and decisions."""
    catalog.put_campaign(
        cakes(budget=Budget(total=2), cost_micros=50_000, caps=(Cap(max=1, period_s=3600),))
    )
    store.put_profile(Profile("anna", devices=("a", "b")))
    pipeline = make(catalog, store)
    pipeline.process(pings(("a", 0, HERE), ("b", 1, HERE), ("c", 2, HERE), ("d", 3, HERE)))
    found = [(each.device, each.profile, each.gate)
             for each in reversed(store.decisions_page(campaign="cakes").items)]  # fmt: skip
    assert found == [
        ("a", "anna", "fired"), ("b", "anna", "cap"), ("c", "c", "fired"), ("d", "d", "budget"),
    ]  # fmt: skip
    tally = {each.gate: (each.count, each.cost_micros) for each in store.tallies("cakes")}
    assert tally == {"fired": (2, 100_000), "cap": (1, 0), "budget": (1, 0)}
    assert sum(each.people for each in store.exposures("cakes")) == 3
    assert store.budget_days("cakes")[""] == Spent(offers=2, cost_micros=100_000)
    with store.turn() as turn:
        behaviour = turn.behaviour_of(["anna", "a", "c"])
    assert {name: each.visits_total for name, each in behaviour.items()} == {
        "anna": 2, "a": 0, "c": 1,
    }  # fmt: skip
    assert [each.campaign for each in behaviour["anna"].heard] == ["cakes", "hello", "hello"]


def test_who_is_exposed_is_known_in_one_way() -> None:
    """The store counts as exposed exactly those whom the gates let come behind the audience."""
    names = [name for name, _ in GATES]
    behind = {*names[names.index("audience") + 1 :], "fired"}
    assert behind == EXPOSED
