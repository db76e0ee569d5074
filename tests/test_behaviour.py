"""Behaviour, folded from events one at a time, says what a look at all of them would say."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise, permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget import behaviour as folded
from geotarget.behaviour import DAY_MS, KEPT_DAYS
from geotarget.model import Behaviour, Conversion, Decision, Heard, Kind, Purchase, Stay, Transition

NOW = 1_767_268_800_000
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
ZONES = ("kamppi", "airport", "harbour")


def move(
    kind: Kind, at_ms: int, *, zone: str = "kamppi", duration_s: float | None = None
) -> Transition:
    """Make a transition of one profile's device."""
    start_ms = at_ms - round(1000 * (duration_s or 0))
    return Transition(
        id=f"{at_ms:012x}-{kind.value}-{zone}",
        visit=f"{start_ms:012x}-{zone}",
        device="phone",
        zone=zone,
        zone_revision=1,
        kind=kind,
        ts_ms=at_ms,
        decided_ms=at_ms + 5_000,
        confidence=3,
        p=0.97,
        duration_s=duration_s,
    )


def decided(at_ms: int, gate: str = "fired", **changes: object) -> Decision:
    """Make a decision of one profile, whose time is a day."""
    told = {
        "id": f"decision-{at_ms}",
        "campaign": "buns",
        "campaign_version": 1,
        "transition": "t",
        "device": "phone",
        "profile": "phone",
        "zone": "kamppi",
        "gate": gate,
        "reason": "",
        "decided_ms": at_ms,
        "visit": "visit",
        "counts_until_ms": at_ms + DAY_MS,
    }
    return Decision(**{**told, **changes})  # type: ignore[arg-type]


def bought(at_ms: int, category: str = "bread", value_micros: int = 2_500_000) -> Conversion:
    """Make a conversion."""
    return Conversion(
        id=f"sale-{at_ms}",
        profile="phone",
        at_ms=at_ms,
        received_ms=at_ms,
        category=category,
        value_micros=value_micros,
        currency="EUR",
    )


# -- against an oracle that keeps everything ------------------------------------------------


@dataclass
class Everything:
    """All events there ever were, and a plain look at each of them for every question."""

    moves: list[Transition] = field(default_factory=list)
    heard: list[Decision] = field(default_factory=list)
    sales: list[Conversion] = field(default_factory=list)

    def begun(self, now_ms: int, days: int, zones: list[str]) -> set[tuple[str, int]]:
        """Return the visits of a window, by zone and start."""
        return {
            (each.zone, each.ts_ms)
            for each in self.moves
            if each.kind is Kind.ENTER
            and each.zone in zones
            and now_ms - days * DAY_MS < each.ts_ms <= now_ms
        }

    def dwell_s(self, now_ms: int, days: int, zones: list[str]) -> int:
        """Return how long those visits lasted that ended."""
        lengths = {}
        for each in self.moves:
            if each.kind in (Kind.EXIT, Kind.RECONCILED) and each.duration_s is not None:
                start_ms = each.ts_ms - round(1000 * each.duration_s)
                lengths.setdefault((each.zone, start_ms), round(each.duration_s))
        return sum(lengths.get(visit, 0) for visit in self.begun(now_ms, days, zones))

    def offers(self, now_ms: int, period_s: int, campaign: str | None) -> int:
        """Return how many offers were sent within a period before an instant, or after it."""
        return sum(
            each.fired
            and each.decided_ms > now_ms - 1000 * period_s
            and campaign in (None, each.campaign)
            for each in self.heard
        )

    def purchases(self, now_ms: int, days: int, category: str | None) -> list[int]:
        """Return the instants of the purchases of a window."""
        return sorted(
            each.at_ms
            for each in self.sales
            if now_ms - days * DAY_MS < each.at_ms <= now_ms and category in (None, each.category)
        )


@st.composite
def lives(draw: st.DrawFn) -> tuple[Everything, list[Transition | Decision | Conversion]]:
    """Draw what one profile did over 200 days, in the order in which it becomes known.

    Visits of one zone follow each other; of what happened some comes hours late.
    """
    everything = Everything()
    known: list[tuple[int, Transition | Decision | Conversion]] = []
    late = st.one_of(st.just(0), st.integers(0, 8 * HOUR_MS))
    for zone in ZONES:
        gaps = draw(st.lists(st.tuples(st.integers(1, 20 * 24), st.integers(1, 300)), max_size=12))
        at_ms = NOW - 200 * DAY_MS
        for hours, minutes in gaps:
            at_ms += hours * HOUR_MS
            delay = draw(late)
            enter = move(Kind.ENTER, at_ms, zone=zone)
            everything.moves.append(enter)
            known.append((at_ms + delay, enter))
            at_ms += minutes * MINUTE_MS
            kind = draw(st.sampled_from([Kind.EXIT, Kind.RECONCILED, Kind.DWELL, None]))
            if kind is not None:
                end = move(kind, at_ms, zone=zone, duration_s=60.0 * minutes)
                everything.moves.append(end)
                known.append((at_ms + delay, end))
    hours_ago = st.integers(0, 200 * 24)
    for ago in draw(st.lists(hours_ago, max_size=15, unique=True)):
        at_ms = NOW - ago * HOUR_MS
        campaign = draw(st.sampled_from(["buns", "cakes"]))
        answer = decided(at_ms, draw(st.sampled_from(["fired", "holdout"])), campaign=campaign)
        everything.heard.append(answer)
        known.append((at_ms + draw(late), answer))
    for ago in draw(st.lists(hours_ago, max_size=15, unique=True)):
        sale = bought(NOW - ago * HOUR_MS, draw(st.sampled_from(["bread", "cake"])))
        everything.sales.append(sale)
        known.append((sale.at_ms + draw(late), sale))
    known.sort(key=lambda each: each[0])
    return everything, [event for _, event in known]


def fold(events: list[Transition | Decision | Conversion]) -> Behaviour:
    """Fold events one at a time, through the document each time, as the store does."""
    state = Behaviour()
    for event in events:
        if isinstance(event, Transition):
            folded.note_transition(state, event)
        elif isinstance(event, Decision):
            folded.note_heard(state, event)
        else:
            folded.note_purchase(state, event)
        state = folded.decode(folded.encode(state))
    return state


@settings(max_examples=150, deadline=None)
@given(
    lives(),
    st.integers(0, 30 * 24),
    st.integers(1, 60),
    st.lists(st.sampled_from(ZONES), min_size=1, unique=True),
)
def test_every_window_is_that_of_all_events(
    life: tuple[Everything, list[Transition | Decision | Conversion]],
    hours_ago: int,
    days: int,
    zones: list[str],
) -> None:
    """Visits, dwell, offers and purchases of any window that ends in the last 30 days."""
    everything, events = life
    state, now_ms = fold(events), NOW - hours_ago * HOUR_MS
    visits = everything.begun(now_ms, days, zones)
    assert len(visits) == folded.visits(state, now_ms=now_ms, days=days, zones=zones)
    assert everything.dwell_s(now_ms, days, zones) == folded.dwell_s(
        state, now_ms=now_ms, days=days, zones=zones
    )
    assert len(everything.begun(now_ms, days, list(ZONES))) == folded.visits(
        state, now_ms=now_ms, days=days
    )
    recent = everything.begun(now_ms, 60, zones)
    last_ms = folded.last_visit_ms(state, now_ms=now_ms, zones=zones)
    if recent:
        assert max(at_ms for _, at_ms in recent) == last_ms
    for campaign in (None, "buns"):
        assert everything.offers(now_ms, days * 86_400, campaign) == folded.offers(
            state, now_ms=now_ms, period_s=days * 86_400, campaign=campaign
        )
    for category in (None, "bread"):
        found = folded.purchases(state, now_ms=now_ms, days=days, category=category)
        assert everything.purchases(now_ms, days, category) == [each.at_ms for each in found]
    entered = sum(each.kind is Kind.ENTER for each in everything.moves)
    assert (entered, sum(each.fired for each in everything.heard), len(everything.sales)) == (
        state.visits_total, state.offers_total, state.purchases_total,
    )  # fmt: skip
    if everything.moves:
        instants = [each.ts_ms for each in everything.moves]
        assert (min(instants), max(instants)) == (state.first_ms, state.last_ms)


@settings(max_examples=100, deadline=None)
@given(lives())
def test_nothing_is_kept_for_long(
    life: tuple[Everything, list[Transition | Decision | Conversion]],
) -> None:
    """What is 91 days older than the last transition is gone, and lists are in order."""
    _, events = life
    state = fold(events)
    oldest_ms = state.last_ms - (KEPT_DAYS + 1) * DAY_MS
    starts = [[stay.start_ms for stay in stays] for stays in state.stays.values()]
    for instants in (
        *starts, [each.at_ms for each in state.heard], [each.at_ms for each in state.purchases],
    ):  # fmt: skip
        assert sorted(instants) == instants
        if state.last_ms:
            assert all(each > oldest_ms for each in instants)
    assert all(starts), "no zone is kept without a visit"


# -- one at a time --------------------------------------------------------------------------

ENTER = move(Kind.ENTER, NOW)
CASES: tuple[tuple[str, list[Transition], list[tuple[int, int]], int], ...] = (
    ("comes", [ENTER], [(NOW, -1)], 1),
    ("comes and goes", [ENTER, move(Kind.EXIT, NOW + 90_000, duration_s=90)], [(NOW, 90)], 1),
    ("stays", [ENTER, move(Kind.DWELL, NOW + 60_000, duration_s=60)], [(NOW, -1)], 1),
    ("passes through", [move(Kind.CROSSED, NOW, duration_s=9)], [], 0),
    ("the zone goes", [ENTER, move(Kind.RECONCILED, NOW + 7_000, duration_s=7)], [(NOW, 7)], 1),
    ("a zone is drawn around it", [move(Kind.RECONCILED, NOW)], [], 0),
    ("and it leaves that", [move(Kind.EXIT, NOW + 9_000, duration_s=9)], [], 0),
    ("goes from another zone", [ENTER, move(Kind.EXIT, NOW + 9_000, zone="x", duration_s=9)],
     [(NOW, -1)], 1),
    ("two phones at one instant", [ENTER, ENTER], [(NOW, -1)], 1),
    ("two phones, one leaves", [ENTER, move(Kind.ENTER, NOW + 1_000),
     move(Kind.EXIT, NOW + 9_000, duration_s=9)], [(NOW, 9), (NOW + 1_000, -1)], 2),
    ("the earlier visit is known later", [move(Kind.ENTER, NOW + 1_000), ENTER],
     [(NOW, -1), (NOW + 1_000, -1)], 2),
)  # fmt: skip


@pytest.mark.parametrize(("moves", "stays", "total"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_what_a_transition_changes(
    moves: list[Transition], stays: list[tuple[int, int]], total: int
) -> None:
    """Entries begin visits; only the exit of the same visit gives it its length."""
    state = Behaviour()
    for each in moves:
        folded.note_transition(state, each)
    found = [(stay.start_ms, stay.dwell_s) for stay in state.stays.get("kamppi", [])]
    assert (stays, total) == (found, state.visits_total)


def test_the_visit_that_goes_on_is_left_out() -> None:
    """Who asks at a dwell or an exit learns of the visits before this one."""
    state = Behaviour()
    for day in (3, 2, 1):
        folded.note_transition(state, move(Kind.ENTER, NOW - day * DAY_MS))
    folded.note_transition(state, ENTER)
    dwell = move(Kind.DWELL, NOW + 600_000, duration_s=600)
    current = (dwell.zone, folded.begun_ms(dwell))
    at_ms = dwell.decided_ms
    assert ("kamppi", NOW) == current
    assert 4 == folded.visits(state, now_ms=at_ms, days=30)
    assert 3 == folded.visits(state, now_ms=at_ms, days=30, current=current)
    assert 3 == folded.visits(state, now_ms=at_ms, days=30, zones=["kamppi"], current=current)
    assert NOW - DAY_MS == folded.last_visit_ms(state, now_ms=at_ms, current=current)
    elsewhere = ("airport", NOW)
    assert 4 == folded.visits(state, now_ms=at_ms, days=30, current=elsewhere)


def test_a_window_excludes_its_first_instant_and_includes_its_last() -> None:
    """A visit counts for exactly so many times 24 hours."""
    state = Behaviour()
    folded.note_transition(state, ENTER)
    counts = [
        folded.visits(state, now_ms=NOW + after_ms, days=7)
        for after_ms in (-1, 0, 7 * DAY_MS - 1, 7 * DAY_MS)
    ]
    assert [0, 1, 1, 0] == counts


def test_bounds() -> None:
    """The newest are kept, whatever comes: the totals go on counting."""
    state = Behaviour()
    for minute in range(600):
        at_ms = NOW + minute * MINUTE_MS
        folded.note_transition(state, move(Kind.ENTER, at_ms))
    for minute in range(1_100):
        folded.note_heard(state, decided(NOW + minute * MINUTE_MS))
        folded.note_purchase(state, bought(NOW + minute * MINUTE_MS))
    assert (600, 1_100, 1_100) == (state.visits_total, state.offers_total, state.purchases_total)
    assert (500, 1_000, 1_000) == (
        len(state.stays["kamppi"]), len(state.heard), len(state.purchases),
    )  # fmt: skip
    assert NOW + 100 * MINUTE_MS == state.stays["kamppi"][0].start_ms == state.heard[0].at_ms


def test_a_courier_keeps_a_document_of_bounded_size() -> None:
    """Visits in ever new zones: at most `MOST_STAYS` and those of one more day."""
    state = Behaviour()
    for day in range(60):
        for number in range(300):
            at_ms = NOW + day * DAY_MS + number * MINUTE_MS
            folded.note_transition(state, move(Kind.ENTER, at_ms, zone=f"stop-{number}"))
    kept = sum(map(len, state.stays.values()))
    assert folded.MOST_STAYS <= kept <= folded.MOST_STAYS + 300
    assert 18_000 == state.visits_total
    assert len(folded.encode(state)) < 200_000


def test_held_out_profiles_heard_nothing() -> None:
    """No cap counts what was not sent; attribution knows it all the same."""
    state = Behaviour()
    folded.note_heard(state, decided(NOW, "holdout"))
    assert (0, 0) == (state.offers_total, folded.offers(state, now_ms=NOW, period_s=3600))
    found = folded.last_heard(state, NOW + 1)
    assert found is not None
    assert (True, f"decision-{NOW}") == (found.held_out, found.decision)


def test_offers_of_one_visit_or_campaign() -> None:
    """Each may be asked for alone."""
    state = Behaviour()
    for number, (campaign, visit) in enumerate([("buns", "a"), ("buns", "b"), ("cakes", "b")]):
        folded.note_heard(state, decided(NOW + number, campaign=campaign, visit=visit))
    at_ms = NOW + 10
    assert 3 == folded.offers(state, now_ms=at_ms, period_s=60)
    assert 2 == folded.offers(state, now_ms=at_ms, period_s=60, campaign="buns")
    assert 2 == folded.offers(state, now_ms=at_ms, period_s=60, visit="b")
    assert 1 == folded.offers(state, now_ms=at_ms, period_s=60, campaign="buns", visit="b")


def test_a_late_decision_sees_the_offers_after_it() -> None:
    """No period of the cap's length ever holds more than the cap, in whatever order they come."""
    instants = [0, 40, 70]  # minutes; the cap is one an hour
    for order in permutations(instants):
        state, sent = Behaviour(), []
        for minute in order:
            at_ms = NOW + minute * MINUTE_MS
            if not folded.offers(state, now_ms=at_ms, period_s=3600):
                folded.note_heard(state, decided(at_ms))
                sent.append(minute)
        sent.sort()
        assert all(b - a >= 60 for a, b in pairwise(sent)), order


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (-1, None),
        (0, "first"),
        (1, "first"),
        (2, "second"),
        (5, "second"),
        (6, "first"),
        (24, None),
    ],
)
def test_what_a_conversion_counts_for(hours: int, expected: str | None) -> None:
    """The last offer before it whose time is not over; one of short validity hides no other."""
    state = Behaviour()
    folded.note_heard(state, decided(NOW + 2 * HOUR_MS, id="second",
                                     counts_until_ms=NOW + 6 * HOUR_MS))  # fmt: skip
    folded.note_heard(state, decided(NOW, id="first"))
    found = folded.last_heard(state, NOW + hours * HOUR_MS)
    assert expected == (found and found.decision)


def test_documents_of_other_versions_are_read() -> None:
    """Members that are not there are empty; those that nobody knows are passed over."""
    assert Behaviour() == folded.decode(msgspec.msgpack.encode({}))
    newer = {
        "visits_total": 2,
        "stays": {"kamppi": [[NOW, 60, "new"]]},
        "heard": [[NOW, "buns", "d", "v", "z"]],
        "mood": {"good": True},
    }
    expected = Behaviour(
        visits_total=2,
        stays={"kamppi": [Stay(NOW, 60)]},
        heard=[Heard(NOW, "buns", "d", "v", "z")],
    )
    assert expected == folded.decode(msgspec.msgpack.encode(newer))
    with pytest.raises(msgspec.MsgspecError):
        folded.decode(b"\xc1")


def test_a_document_is_small() -> None:
    """60 visits, 20 offers and 20 purchases of a regular take less than 4 KB."""
    state = Behaviour()
    for start_ms in accumulate([DAY_MS] * 60, initial=NOW):
        folded.note_transition(state, move(Kind.ENTER, start_ms))
    for number in range(20):
        folded.note_heard(state, decided(NOW + number, id="0" * 32, visit="1" * 32))
        folded.note_purchase(state, bought(NOW + number))
    document = folded.encode(state)
    assert len(document) < 4_000
    assert state == folded.decode(document)
    assert Purchase(NOW, "bread", 2_500_000, "EUR", f"sale-{NOW}") == state.purchases[0]
