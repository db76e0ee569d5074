"""What a rule sees: counts of behaviour, local time, and data that can't break it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from geotarget.model import Behaviour, Heard, Kind, Profile, Purchase, Stay
from geotarget.targeting.facts import COUNTS, DEPTH, Facts, begun_ms, known
from geotarget.targeting.vocabulary import NEVER, VOCABULARY

Make = Callable[..., Any]
NOON_MS = 1_767_268_800_000  # Thursday, 2026-01-01T12:00:00Z
DAY_MS = 86_400_000


def ago(days: float) -> int:
    """Return the instant so many days before noon."""
    return NOON_MS - round(days * DAY_MS)


BEHAVIOUR = Behaviour(
    first_ms=ago(50.5),
    stays={
        "shop": [Stay(ago(40), 3600), Stay(ago(20), 600), Stay(ago(1.5), 119)],
        "cafe": [Stay(ago(30), 1200), Stay(ago(2), 60)],
        "bank": [Stay(ago(6), 30)],
    },
    heard=[
        Heard(ago(9), "spring", "d1", "v1", "shop"),
        Heard(ago(4), "autumn", "d2", "v2", "shop"),
        Heard(ago(2), "spring", "d3", "v3", "shop", held_out=True),
    ],
    purchases=[
        Purchase(ago(60), "wine", 50_000_000, "SEK", "c0"),
        Purchase(ago(8), "tea", 2_500_000, "EUR", "c1"),
        Purchase(ago(3.5), "coffee", 4_000_000, "EUR", "c2"),
        Purchase(ago(1), "coffee", 0, "", "c3"),
    ],
)
TAGS = {"food": ("shop", "cafe"), "none": ()}


@pytest.fixture
def facts(zone: Make, transition: Make) -> Callable[..., Facts]:
    """Make facts of a regular, in the shop at noon."""

    def make(**options: Any) -> Facts:
        defaults = {
            "profile": Profile("p"),
            "behaviour": BEHAVIOUR,
            "zone": zone(time_zone="Europe/Helsinki"),
            "now_ms": NOON_MS,
            "tagged": lambda tag: TAGS.get(tag, ()),
        }
        return Facts(**(defaults | options))

    return make


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("visits.here", (30,), 2),
        ("visits.here", (1,), 0),
        ("visits.zone", ("cafe", 7), 1),
        ("visits.zone", ("nowhere", 90), 0),
        ("visits.tag", ("food", 30), 3),  # 30 days ago to the millisecond is outside
        ("visits.tag", ("none", 90), 0),
        ("visits.total", (90,), 6),
        ("visits.minutes_here", (90,), 71),
        ("visits.minutes_tag", ("food", 7), 2),
        ("visits.days_since_here", (), 1),
        ("visits.days_since_zone", ("bank",), 6),
        ("visits.days_since_zone", ("nowhere",), NEVER),
        ("visits.days_since_tag", ("food",), 1),
        ("visits.days_known", (), 50),
        ("offers.total", (7,), 1),  # held-out ones were not sent
        ("offers.campaign", ("spring", 30), 1),
        ("offers.days_since", (), 4),
        ("purchases.count", (90,), 4),
        ("purchases.count", ("coffee", 7), 2),
        ("purchases.value", (30,), 6.5),
        ("purchases.value", ("coffee", 30), 4.0),
        ("purchases.value_in", ("SEK", 90), 50.0),
        ("purchases.value_in", ("USD", 90), 0.0),
        ("purchases.days_since", (), 1),
        ("purchases.days_since", ("tea",), 8),
        ("purchases.days_since", ("milk",), NEVER),
    ],
)
def test_counts(
    name: str, arguments: tuple[Any, ...], expected: float, facts: Callable[..., Facts]
) -> None:
    """Each count of the vocabulary, over a behaviour that is known."""
    assert facts().count(name, arguments) == expected


def test_every_function_of_the_vocabulary_is_counted() -> None:
    """No function without its count, no count without its word."""
    functions = {word.name for word in VOCABULARY if word.arguments is not None}
    assert functions - {"lower", "upper"} == set(COUNTS)


def test_nobody_has_done_nothing(facts: Callable[..., Facts]) -> None:
    """A profile that was never seen counts zero, and last did everything a hundred years ago."""
    new = facts(behaviour=Behaviour())
    assert new.count("visits.days_known", ()) == 0
    assert new.count("visits.total", (90,)) == 0
    assert new.count("offers.days_since", ()) == NEVER
    assert new.count("purchases.value", (90,)) == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("visits.here", (0,), "days must be within 1 and 90, not 0"),
        ("purchases.count", ("tea", 91), "days must be within 1 and 90, not 91"),
        ("purchases.value", (90,), "the purchases are in EUR and SEK; use purchases.value_in"),
    ],
)
def test_what_can_not_be_counted_says_why(
    name: str, arguments: tuple[Any, ...], message: str, facts: Callable[..., Facts]
) -> None:
    """Days out of bounds and money of several currencies are errors, not wrong numbers."""
    with pytest.raises(ValueError, match=message):
        facts().count(name, arguments)


def test_here_needs_a_zone(facts: Callable[..., Facts]) -> None:
    """Asked of a profile alone, nothing is here."""
    with pytest.raises(ValueError, match="there is no zone here"):
        facts(zone=None).count("visits.here", (30,))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"kind": Kind.ENTER, "ts_ms": NOON_MS}, 2),
        ({"kind": Kind.EXIT, "ts_ms": NOON_MS, "duration_s": 600.0}, 1),
        ({"kind": Kind.DWELL, "ts_ms": NOON_MS, "threshold_s": 300}, 1),
        ({"kind": Kind.DWELL, "ts_ms": NOON_MS, "threshold_s": 300, "zone": "cafe"}, 2),
    ],
)
def test_visit_that_goes_on_does_not_count(
    how: dict[str, Any], expected: int, facts: Callable[..., Facts], transition: Make
) -> None:
    """A campaign asks the same of an entry, a dwell and an exit: the visits before this one."""
    stays = {"shop": [Stay(ago(3), 60), Stay(NOON_MS - 600_000)]}
    asked = facts(behaviour=Behaviour(stays=stays), transition=transition(**how))
    assert asked.count("visits.here", (30,)) == expected


def test_dwell_begins_when_its_visit_did(transition: Make) -> None:
    """Of visits that go on the last one that is old enough; else the dwell's own length."""
    dwell = transition(kind=Kind.DWELL, ts_ms=NOON_MS, threshold_s=300)
    on = Behaviour(stays={"shop": [Stay(ago(1), 9), Stay(NOON_MS - 400_000), Stay(NOON_MS - 1)]})
    assert begun_ms(dwell, on) == NOON_MS - 400_000
    assert begun_ms(dwell, Behaviour()) == NOON_MS - 300_000


def test_counts_are_remembered(facts: Callable[..., Facts]) -> None:
    """A second rule that asks the same does not count again."""
    asked: list[str] = []
    counted = facts(tagged=lambda tag: asked.append(tag) or ("shop",))
    for _ in range(3):
        if counted.remembered("visits.tag", ("food", 30)) is None:
            counted.count("visits.tag", ("food", 30))
    assert asked == ["food"]
    assert counted.remembered("visits.tag", ("food", 30)) == 2


@pytest.mark.parametrize(
    ("time_zone", "now_ms", "expected"),
    [
        ("Europe/Helsinki", NOON_MS, (14, 0, "thu", "2026-01-01", 1, 1)),
        ("Asia/Kathmandu", NOON_MS, (17, 45, "thu", "2026-01-01", 1, 1)),
        ("Australia/Lord_Howe", NOON_MS, (23, 0, "thu", "2026-01-01", 1, 1)),
        ("Pacific/Kiritimati", NOON_MS, (2, 0, "fri", "2026-01-02", 1, 2)),
        ("America/Adak", NOON_MS - 3 * 3_600_000, (23, 0, "wed", "2025-12-31", 12, 31)),
    ],
)
def test_local_time_is_that_of_the_zone(
    time_zone: str,
    now_ms: int,
    expected: tuple[Any, ...],
    facts: Callable[..., Facts],
    zone: Make,
) -> None:
    """Hour, minute, weekday, date, month and day are read off the zone's own clocks."""
    names = ("hour", "minute", "weekday", "date", "month", "day")
    there = facts(zone=zone(time_zone=time_zone), now_ms=now_ms).variables()
    assert tuple(there[f"local.{name}"] for name in names) == expected
    alone = facts(zone=None, time_zone=time_zone, now_ms=now_ms).variables()
    assert tuple(alone[f"local.{name}"] for name in names) == expected


def nested(levels: int) -> Any:
    """Make lists within lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("text", "text"),
        ("å" * 2000, "å" * 2000),
        ("x" * 4094, "x" * 4094),
        ("x" * 4097, None),
        ("å" * 2100, None),
        ("a\ud800b", "a?b"),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (2**63, 2.0**63),
        (-(2**63) - 1, -(2.0**63)),
        (10**400, math.inf),
        (-(10**400), -math.inf),
        ([1, (2, 3), {"a": None}], [1, [2, 3], {"a": None}]),
        ({"å": {"b": [2**70]}}, {"å": {"b": [2.0**70]}}),
        ({"k\ud800": "v"}, {"k?": "v"}),
        (list(range(2000)), list(range(2000))),
        (list(range(2049)), None),
        ([["x" * 100] * 10] * 10, None),
        (nested(DEPTH), nested(DEPTH)),
        (nested(DEPTH + 1), None),
        (nested(900), None),
        ({1: 2}, None),
        ([{"a": {1: 2}}], None),
        pytest.param(object(), None, id="object"),
        (b"bytes", None),
        ({1, 2}, None),
    ],
    ids=repr,
)  # fmt: skip
def test_attributes_become_plain(value: Any, seen: Any) -> None:
    """What is too large, too deep or no JSON is left out; numbers and texts fit the library."""
    found = known({"a": value, "other": 1})
    assert found == ({"other": 1} if seen is None else {"a": seen, "other": 1})
    assert type(found.get("a")) is type(seen)


def test_nan_stays_a_number() -> None:
    """It is unequal to everything, which is for the rule to find out."""
    assert math.isnan(known({"a": math.nan})["a"])


def test_id_can_not_be_faked(facts: Callable[..., Facts]) -> None:
    """An attribute called `id` does not hide the profile's own."""
    asked = facts(profile=Profile("p", {"id": "somebody else"}))
    assert asked.variables()["profile"] == {"id": "p"}


def test_missing_things_are_left_out(facts: Callable[..., Facts], transition: Make) -> None:
    """Without a zone and a transition there are no variables of theirs."""
    alone = facts(zone=None).variables()
    assert not [name for name in alone if name.startswith(("zone", "transition"))]
    whole = facts(transition=transition(kind=Kind.EXIT, duration_s=3)).variables()
    words = {word.name for word in VOCABULARY if word.arguments is None}
    assert words <= set(whole)
    assert whole["transition.duration_s"] == 3.0
