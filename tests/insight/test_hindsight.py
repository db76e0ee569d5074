"""A look back decides as the live pipeline did, and changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geotarget.backtest import rehearsal
from geotarget.backtest.run import Rehearsal
from geotarget.behaviour import undone
from geotarget.insight import hindsight_words as words
from geotarget.insight.hindsight import Outcome, Played, days_between, look_back
from geotarget.model import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Decision,
    Kind,
    Policy,
    Profile,
    Status,
    Trigger,
    Variant,
    Zone,
)
from geotarget.recording import Recording
from geotarget.store import Store, tables
from geotarget.store.database import cursor_of

START_MS = 1_767_261_600_000  # 2026-01-01 10:00:00 UTC
DAY_MS = 86_400_000
LNG, LAT = 24.94, 60.17


def square(name: str, east: float = 0.0, half: float = 0.001, **more: Any) -> Zone:
    """Return a square; `east` of the middle of town, degrees."""
    box = shapely.box(LNG + east - half, LAT - half, LNG + east + half, LAT + half)
    return Zone(id=name, geometry=box, name=name.title(), **more)


ZONES = [
    square("bakery", tags=("shop",), time_zone="Europe/Helsinki"),
    square("kiosk", 0.003, tags=("shop",), time_zone="Asia/Kathmandu"),
    square("town", half=0.01),
]
PROFILES = [
    Profile(
        f"p{number}", {"tier": "gold" if number % 2 else "plain"}, {"marketing": number % 5 > 0}
    )
    for number in range(100)
]


def campaign(
    name: str, *, on: Kind = Kind.ENTER, dwell_s: int | None = None, **more: Any
) -> Campaign:
    """Return a campaign that answers everything of one kind."""
    usual: dict[str, Any] = {
        "name": name.title(),
        "offer": {"text": "{{ zone.name }}"},
        "endpoints": ("crm",),
        "trigger": Trigger(on=frozenset({on}), dwell_s=dwell_s),
    }
    return Campaign(id=name, **(usual | more))


CAMPAIGNS = [
    campaign("hello", caps=(Cap(1, 900),), cost_micros=20_000),
    campaign("ever", caps=(Cap(2),), per_visit=1, with_others=True),
    campaign("pause", cooldown_s=1_200, with_others=True),
    campaign("stay", on=Kind.DWELL, dwell_s=120, cost_micros=50_000, with_others=True),
    campaign("bye", on=Kind.EXIT, holdout=0.3, with_others=True),
    campaign("few", budget=Budget(per_day=9, time_zone="Europe/Helsinki"), with_others=True),
    campaign("steady", budget=Budget(per_day=60, pacing="even"), with_others=True),
    campaign("rivals", priority=5, audience="profile.tier == 'gold'", caps=(Cap(2, 3_600),)),
    campaign("regulars", audience="visits.tag('shop', 30) >= 2", with_others=True),
    campaign("heard", audiences=("calm",), with_others=True),
    campaign(
        "two",
        variants=(Variant("a", {"text": "A"}), Variant("b", {"text": "B"}, cost_micros=70_000)),
        offer={},
        holdout=0.2,
        trigger=Trigger(zone_tags=frozenset({"shop"}), initial=False),
        with_others=True,
    ),
]
AUDIENCES = [Audience("calm", "offers.total(1) <= 3")]
POLICY = Policy(caps=(Cap(6, 3_600),))
OVER_MS = START_MS + 7_200_000


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A hundred people who walk for 50 minutes, in and out of the zones."""
    random = np.random.default_rng(5)
    rows: list[tuple[int, str]] = []
    for number in range(100):
        lng, lat = LNG + random.normal(0, 0.003), LAT + random.normal(0, 0.001)
        heading = random.uniform(0, 6.3)
        for at_s in range(int(random.uniform(0, 15)), 3_000, 15):
            speed = random.choice([0.0, 1.4], p=[0.4, 0.6])
            heading += random.normal(0, 0.5)
            lng += np.sin(heading) * speed * 15 / 55_600
            lat += np.cos(heading) * speed * 15 / 111_200
            ts = START_MS + at_s * 1000
            rows.append((ts, f"p{number},{ts / 1000:.3f},{lat:.6f},{lng:.6f},8"))
    path = tmp_path_factory.mktemp("walk") / "walk.csv"
    path.write_text("\n".join(["device,ts,lat,lng,acc", *(row for _, row in sorted(rows))]) + "\n")
    return Recording(path)


@contextmanager
def lived(walk: Recording, *campaigns: Campaign) -> Iterator[Rehearsal]:
    """Let the live pipeline work off the walk, with campaigns."""
    with rehearsal(
        zones=ZONES, campaigns=campaigns, audiences=AUDIENCES, profiles=PROFILES, policy=POLICY
    ) as stage:
        stage.play(walk, walk.survey())
        yield stage


@pytest.fixture(scope="module")
def town(walk: Recording) -> Iterator[Rehearsal]:
    """What is left of the walk when all campaigns were live."""
    with lived(walk, *CAMPAIGNS) as stage:
        yield stage


@pytest.fixture(scope="module")
def quiet(walk: Recording) -> Iterator[Rehearsal]:
    """What is left of it when there were none."""
    with lived(walk) as stage:
        yield stage


def look(stage: Rehearsal, asked: Campaign, **more: Any) -> tuple[Played, Outcome, list[Decision]]:
    """Look back a day on a stage, and keep the answers."""
    made: list[Decision] = []
    usual: dict[str, Any] = {"days": 1, "now_ms": OVER_MS, "policy": POLICY}
    snapshot = stage.catalog.snapshot
    played, outcome = look_back(
        stage.store, snapshot, asked, on_decision=made.append, **(usual | more)
    )
    return played, outcome, made


def told(made: Decision) -> tuple[Any, ...]:
    """Return what two decisions are compared by: all but the version and how late it was."""
    return tuple(getattr(made, name) for name in Decision.__slots__ if name != "campaign_version")


@pytest.mark.parametrize("asked", CAMPAIGNS, ids=lambda each: each.id)
def test_it_decides_what_was_decided_live(town: Rehearsal, asked: Campaign) -> None:
    """Caps, budgets, behaviour, holdout, variants, rivals: the same answers in the same order."""
    live = [each for each in town.store.all_decisions() if each.campaign == asked.id]
    played, outcome, made = look(town, asked)
    assert len(live) > 20
    assert list(map(told, live)) == list(map(told, made))
    assert outcome.offers == sum(each.fired for each in live)
    assert outcome.people == {each.profile for each in live if each.fired}
    assert outcome.cost_micros == sum(each.cost_micros for each in live)
    assert (played.cut, played.whole, played.stays) == (False, True, 0)
    assert len(played.others) == len(CAMPAIGNS) - 1


def test_the_campaigns_meet_every_gate_that_remembers(town: Rehearsal) -> None:
    """So the comparison with live says something."""
    gates = {each.gate for each in town.store.all_decisions()}
    assert gates >= {"fired", "consent", "audience", "holdout", "cap", "budget", "arbitration"}


def test_a_draft_that_was_never_live(quiet: Rehearsal, town: Rehearsal) -> None:
    """Its answers to a history without it are those that it gives live, alone."""
    asked = next(each for each in CAMPAIGNS if each.id == "ever")
    _, _, made = look(quiet, replace(asked, status=Status.DRAFT))
    live = [each for each in town.store.all_decisions() if each.campaign == "ever"]
    mine = {each.id: each.gate for each in made}
    # live, others used up the operator's cap over all campaigns; nothing else differs
    differ = [each for each in live if mine[each.id] != each.gate]
    assert mine.keys() == {each.id for each in live}
    assert {each.gate for each in differ} <= {"cap"}


def test_stays_that_nobody_waited_for_are_worked_out(quiet: Rehearsal, town: Rehearsal) -> None:
    """The same stays as the engine would have told, but those whose end is not known."""
    asked = campaign("stay", on=Kind.DWELL, dwell_s=120, with_others=True)
    played, _, made = look(quiet, asked)
    live = {each.transition for each in town.store.all_decisions() if each.campaign == "stay"}
    ended = {each.visit for each in quiet.store.all_transitions() if each.kind is Kind.EXIT}
    known = {
        each.id
        for each in town.store.all_transitions()
        if each.kind is Kind.DWELL and each.visit in ended
    }
    found = {each.transition for each in made}
    assert played.stays == len(made) == len(found) > 10
    assert found == known & live
    assert "2 min were worked out from entries and exits" in " ".join(words.notes(asked, played))


@pytest.fixture
def again(walk: Recording, tmp_path: Path) -> Callable[[int], Recording]:
    """Return the same walk some days later."""

    def later(days: int) -> Recording:
        header, *lines = walk.path.read_text().splitlines()
        moved = []
        for line in lines:
            device, ts, rest = line.split(",", 2)
            moved.append(f"{device},{float(ts) + 86_400 * days:.3f},{rest}")
        path = tmp_path / f"later-{days}.csv"
        path.write_text("\n".join([header, *moved]) + "\n")
        return Recording(path)

    return later


def test_what_was_before_counts_and_what_came_since_does_not(
    walk: Recording, again: Callable[[int], Recording]
) -> None:
    """On the second of two days everything begins as it was in the night between them."""
    with lived(walk, *CAMPAIGNS) as stage:
        later = again(1)
        stage.play(later, later.survey())
        live = list(stage.store.all_decisions())
        since = {each.id for each in stage.store.all_transitions() if each.ts_ms >= OVER_MS}
        for asked in CAMPAIGNS:
            _, _, made = look(stage, asked, now_ms=OVER_MS + DAY_MS)
            mine = [each for each in live if each.campaign == asked.id and each.transition in since]
            assert {each.id: each.gate for each in mine} == {each.id: each.gate for each in made}
        with stage.store.questions() as questions:
            people = questions.behaviour_of([each.id for each in PROFILES])
    for behaviour in people.values():
        before = undone(behaviour, OVER_MS)
        assert before.visits_total <= behaviour.visits_total
        assert all(each.at_ms < OVER_MS for each in before.heard)
        assert all(each.start_ms < OVER_MS for some in before.stays.values() for each in some)


def digest(store: Store) -> str:
    """Return a digest of every row of every table."""
    made = hashlib.sha256()
    with store._database.read() as connection:
        for table in sorted(tables.metadata.tables):
            for row in cursor_of(connection).execute(f"SELECT * FROM {table}"):
                made.update(repr((table, row)).encode())
    return made.hexdigest()


def test_nothing_is_written(town: Rehearsal) -> None:
    """Not a row, not a counter, not a delivery; and it says the same every time."""
    before, waiting = digest(town.store), town.store.outbox_size()
    first = look(town, CAMPAIGNS[0])
    assert first == look(town, CAMPAIGNS[0])
    assert digest(town.store) == before
    assert town.store.outbox_size() == waiting


def test_of_too_many_movements_the_newest_are_looked_at(town: Rehearsal) -> None:
    """So many as may be, and the answer says so."""
    newest = list(town.store.all_transitions())[-100:]
    played, outcome, made = look(town, CAMPAIGNS[0], most=100)
    assert (played.movements, played.cut, played.whole) == (100, True, True)
    assert {each.transition for each in made} <= {each.id for each in newest}
    assert outcome.answered == sum(each.kind is Kind.ENTER for each in newest)
    assert "only the newest 100 were looked at" in words.notes(CAMPAIGNS[0], played)[0]


def test_who_waits_no_longer_ends_it(town: Rehearsal) -> None:
    """What was played so far is the answer, and it says that the rest is missing."""
    played, _, _ = look(town, CAMPAIGNS[0], goes_on=lambda: False)
    assert not played.whole
    assert 0 < played.movements < len(list(town.store.all_transitions()))
    assert "the newest movements were left out" in words.notes(CAMPAIGNS[0], played)[0]


@pytest.mark.parametrize(
    ("starts", "ends", "moved"),
    [
        pytest.param("2026-02-01", "2026-02-10", 33, id="days"),
        pytest.param("2026-02-01T08:00", None, 33, id="local"),
        pytest.param("2026-02-01T08:00:00+02:00", "2026-03-01", 33, id="absolute"),
        pytest.param("2025-06-01", None, 0, id="begun"),
    ],
)
def test_a_draft_that_begins_later_is_moved(
    quiet: Rehearsal, starts: str, ends: str | None, moved: int
) -> None:
    """By whole days, ends and all, so that the time of day stays what it was."""
    asked = campaign("later", starts=starts, ends=ends)
    played, outcome, _ = look(quiet, asked)
    assert played.moved_days == moved
    assert outcome.gates["schedule"] == 0
    assert outcome.offers > 0


def test_nothing_was_seen_yet(quiet: Rehearsal) -> None:
    """Days without a movement answer in words."""
    played, outcome, _ = look(quiet, CAMPAIGNS[0], now_ms=OVER_MS + 40 * DAY_MS)
    assert (played.movements, outcome.answered, played.first_ms) == (0, 0, 0)
    said = words.sentence(CAMPAIGNS[0], played, outcome, people=0)
    assert said == (
        "Nobody was seen in a zone over the last day: there is nothing to try it on yet."
    )


def test_the_answer_in_words(town: Rehearsal) -> None:
    """One sentence for offers, for none, for a campaign that answers nothing that happened."""
    asked = CAMPAIGNS[0]
    played, outcome, _ = look(town, asked)
    offers, cost = outcome.offers, words.money(outcome.cost_micros)
    assert words.sentence(asked, played, outcome, people=30) == (
        f"Over the last day this would have sent {offers} offers to 30 people, costing {cost} EUR."
    )
    assert f"to very few people, costing {cost}" in words.sentence(
        asked, played, outcome, people=None
    )
    nobody = campaign("nobody", audience="profile.tier == 'tin'")
    played, outcome, _ = look(town, nobody)
    assert words.sentence(nobody, played, outcome, people=0) == (
        "Over the last day this would have sent nothing. Most movements were of people who are "
        "not in its audience."
    )
    crossing = campaign("crossing", on=Kind.CROSSED, trigger=Trigger(zone_ids=frozenset({"no"})))
    played, outcome, _ = look(town, crossing)
    assert "was one that it answers." in words.sentence(crossing, played, outcome, people=0)


def test_every_day_is_there() -> None:
    """Also those without an offer, and those that are another date at the zone."""
    assert days_between(START_MS, START_MS + 2 * DAY_MS, {"2026-01-02", "2026-01-04"}, "UTC") == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
        "2026-01-04",
    ]
