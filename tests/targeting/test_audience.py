"""Rules: what they say of whom, and what is wrong with them."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from geotarget.errors import InvalidAudience
from geotarget.model import Behaviour, Profile, Stay
from geotarget.targeting.audience import Rule, Verdict, holds_many, validate_audience
from geotarget.targeting.facts import Facts
from geotarget.targeting.vocabulary import VOCABULARY, Word
from tests.conftest import REPOSITORY
from tests.targeting.asking import NO, NOON_MS, TAGGED, facts


def told(verdict: Verdict) -> str:
    """Return column and reason in one text."""
    return verdict.reason if verdict.column is None else f"{verdict.column}:{verdict.reason}"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        # attributes
        ("profile.tier == 'gold'", ""),
        ("profile.tier in ['gold', 'platinum']", ""),
        ("profile.tier != 'gold'", NO),
        ("profile.id == 'aino'", ""),
        ("profile.age >= 18 && profile.age < 40", ""),
        ("profile.budget > 200000 && profile.budget <= 250000.5", ""),
        ("profile.age > 33.5", ""),
        ("profile.city.lower() == 'malmö'", ""),
        ("profile.city.startsWith('Mal') && !profile.city.contains('x')", ""),
        ("profile.city.matches('^M[a-z]+ö$')", ""),
        ("size(profile.city) == 5", ""),
        ("'wine' in profile.interests", ""),
        ("profile.interests.exists(i, i in zone.properties.topics)", ""),
        ("profile.kids.exists(k, k.age < 5)", ""),
        ("profile.kids.all(k, k.age < 5)", NO),
        ("profile.kids.filter(k, k.age > 2).size() == 2", ""),
        ("profile.home.branch == zone.properties.branch", ""),
        ("profile.home.rooms[1] == 4", ""),
        ("profile['two words'] == 2", ""),
        ("profile.newsletter", ""),
        ("profile.nothing == null", ""),
        ("has(profile.tier) && !has(profile.zip)", ""),
        ("!has(profile.zip) || profile.zip == '00100'", ""),
        ("timestamp(profile.member_since) < now - duration('8760h')", ""),
        ("profile.birth_month == local.month", ""),
        ("profile.huge > 9000000000000000000", ""),
        ("profile.nan == profile.nan", NO),
        ("profile.nan > 0", NO),
        # behaviour
        ("visits.here(30) == 3 && visits.here(90) == 4", ""),
        ("visits.tag('grocery', 30) >= 3 && profile.tier == 'gold'", ""),
        ("visits.tag('food', 2) == 1", ""),
        ("visits.zone('cafe', 7) + visits.zone('bar', 7) == 1", ""),
        ("visits.total(90) > 10", NO),
        ("visits.minutes_here(30) == 45", ""),
        ("visits.days_since_here() == 3 && visits.days_since_zone('bar') > 90", ""),
        ("visits.days_known() >= 14 ? offers.total(7) < 2 : false", ""),
        ("offers.campaign('spring', 90) == 0", NO),
        ("offers.days_since() >= 2", ""),
        ("purchases.value(90) >= 49 && purchases.value('wine', 90) < 49.96", ""),
        ("purchases.count('coffee', 30) > 0 || purchases.days_since('wine') == 4", ""),
        # place and time
        ("'grocery' in zone.tags && zone.id == 'shop' && zone.name.startsWith('K-')", ""),
        ("zone.properties.size > 2", ""),
        ("transition.kind == 'enter' && transition.confidence == 3 && !transition.initial", ""),
        ("local.hour == 14 && local.minute == 0 && local.weekday == 'thu'", ""),
        ("local.weekday in ['sat', 'sun']", NO),
        ("local.date < '2026-12-24'", ""),
        ("now < timestamp('2027-01-01T00:00:00Z')", ""),
        ("now.getHours('Asia/Kathmandu') == 17", ""),
        ("now - timestamp('2025-12-31T12:00:00Z') == duration('24h')", ""),
        ("true", ""),
        # what is not known, or does not fit
        ("profile.zip == '00100'", "1:profile.zip is not known"),
        ("profile.tier == 'gold' && profile.zip == '00100'", "27:profile.zip is not known"),
        ("profile.tier == 'none' && profile.zip == '00100'",
         "1:profile.tier == 'none' does not hold"),
        ("profile.zip == '00100' && (profile.age > 40 || false)",
         "27:(profile.age > 40 || false) does not hold"),
        ("profile.city != 'a && b'   &&\tprofile.age > 40 && false",
         "31:profile.age > 40 does not hold"),
        ("profile.city.matches(r'^\\d && \\w') && true",
         "1:profile.city.matches(r'^\\d && \\w') does not hold"),
        ("true && (true && false)", "9:(true && false) does not hold"),
        ("true && false || false", NO),
        ("profile.tier == 'gold' || profile.zip == '00100'", ""),
        ("!(profile.zip == '00100')", "3:profile.zip is not known"),
        ("profile.home.street == 'x'", "1:profile.home.street is not known"),
        ("profile['shoe size'] > 40", "1:profile['shoe size'] is not known"),
        ("profile.tier.name == 'x'", "1:profile.tier is no object: it has no name"),
        ("zone.properties.special == 'x'", "1:zone.properties.special is not known"),
        ("profile.long == 'x'",
         "1:profile.long is larger than a rule may see: 4096 bytes of JSON and 16 levels"),
        ("profile.tier > 3", "14:'>' does not go with a text and a whole number"),
        ("profile.nothing > 3", "17:'>' does not go with null and a whole number"),
        ("profile.age.lower() == 'x'", "18:'lower' does not go with a whole number"),
        ("'x' in profile.tier", "5:'in' does not go with what it is given"),
        ("profile.tier", "the rule gives a text, not true or false"),
        ("profile.kids", "the rule gives a list, not true or false"),
        ("profile.kids[5].age == 1", "index error: index=5 size=2"),
        ("1 / (profile.age - 34) > 0", "divide by zero"),
        ("timestamp(profile.city) < now", "string to Timestamp conversion failed"),
        ("visits.here(profile.age * 10) > 0",
         "12:visits.here: days must be within 1 and 90, not 340"),
        ("profile.kids.exists(k, k.size > 3)", "there is no member 'size'"),
    ],
)  # fmt: skip
def test_rule_holds_or_says_why_not(rule: str, reason: str) -> None:
    """Empty reason: in the audience. Otherwise what is said, and the column where it is known."""
    verdict = Rule.compile(rule).holds(facts())
    assert told(verdict) == reason
    assert verdict.holds is (reason == "")
    assert verdict.known is (verdict.holds or verdict.reason.endswith(" does not hold"))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("zone.id == 'shop'", "1:there is no zone here"),
        ("profile.tier == 'gold' && 'a' in zone.tags", "34:there is no zone here"),
        ("transition.kind == 'enter'", "1:there is no transition here"),
        ("visits.here(30) > 0", "12:visits.here: there is no zone here"),
        ("visits.total(30) > 0 && local.hour == 12", ""),
    ],
)
def test_rules_are_asked_of_profiles_alone(rule: str, reason: str) -> None:
    """Where an audience is counted there is no transition: rules that need one do not hold."""
    verdict = Rule.compile(rule).holds(facts(zone=None, transition=None))
    assert told(verdict) == reason


def test_false_term_is_named_with_its_place() -> None:
    """Of terms joined by && the first that is false is told, shortened, with line and column."""
    rule = Rule.compile(
        "// who\nprofile.tier == 'gold' &&\n   profile.age in [" + "1, " * 99 + "2]"
    )
    verdict = rule.holds(facts())
    assert (verdict.line, verdict.column, len(verdict.reason)) == (
        3,
        4,
        200 + len(" does not hold"),
    )
    assert verdict.reason.startswith("profile.age in [1, 1,")


def test_place_in_a_rule_of_several_lines() -> None:
    """Line and column are told, characters counted and not bytes."""
    verdict = Rule.compile("profile.city == 'Malmö' &&\n  'ö' != 'o' && profile.zip == 1").holds(
        facts()
    )
    assert (verdict.line, verdict.column, verdict.reason) == (2, 17, "profile.zip is not known")


THERE_ARE = "there are profile, visits, offers, purchases, zone, transition, now, local"
VISITS = (
    "here, zone, tag, total, minutes_here, minutes_tag, days_since_here, days_since_zone, "
    "days_since_tag, days_known"
)


ONLY_BEFORE = "visits stands only before one of its functions"
TAG_TAKES = (
    "visits.tag is written visits.tag(tag, days) with a text and a whole number, "
    "not with a whole number and a text"
)
COUNT_TAKES = (
    "purchases.count is written purchases.count(days) with a whole number or "
    "purchases.count(category, days) with a text and a whole number, not with true or false"
)
NO_UPPER_ASCII = (
    "there is no function 'upperAscii'; texts have contains, startsWith, endsWith, matches, size, "
    "lower, upper"
)
ZONE = "it has id, name, tags, properties"


@pytest.mark.parametrize(
    ("rule", "reasons"),
    [
        ("profle.x == 1", [f"column 1: there is no 'profle'; {THERE_ARE}"]),
        ("'é' == 'e' && tier == 1", [f"column 15: there is no 'tier'; {THERE_ARE}"]),
        ("a == 1 ||\n  b == 2", [f"line 1, column 1: there is no 'a'; {THERE_ARE}",
                                f"line 2, column 3: there is no 'b'; {THERE_ARE}"]),
        ("zone.tag == 'a'", [f"column 1: zone has no tag; {ZONE}"]),
        ("zone == 'a'", [f"column 1: zone is no value by itself; {ZONE}"]),
        ("visits.her(30) > 1", [f"column 1: visits has no her; it has {VISITS}"]),
        ("offers.here(30) > 1",
         ["column 12: offers has no here; it has total, campaign, days_since"]),
        ("visits.here > 1", [f"column 1: {ONLY_BEFORE}: {VISITS}"]),
        ("size(visits) > 1", [f"column 6: {ONLY_BEFORE}: {VISITS}"]),
        ("[1].total(30) > 1", ["column 10: 'total' does not go with a list and a whole number"]),
        ("{'a': 1}.here(30) > 1", ["column 14: here is a function of visits only"]),
        ("here(30) > 1",
         ["column 1: there is no function 'here' by itself; there is visits.here(days)"]),
        ("visits.tag('a') > 1", ["column 1: visits.tag is written visits.tag(tag, days)"]),
        ("visits.tag(30, 'a') > 1", [f"column 11: {TAG_TAKES}"]),
        ("purchases.count(true) > 1", [f"column 16: {COUNT_TAKES}"]),
        ("visits.tag('grocery', 400) > 1", ["column 23: days must be within 1 and 90, not 400"]),
        ("visits.here(0) + offers.total(91) > 1",
         ["column 13: days must be within 1 and 90, not 0",
          "column 31: days must be within 1 and 90, not 91"]),
        ("purchases.value(-1) > 1", ["column 17: days must be within 1 and 90, not -1"]),
        ("purchases.value(30) > 'x'", ["column 21: '>' does not go with a number and a text"]),
        ("visits.here(30) > 3.5", ["column 17: '>' does not go with a whole number and a number"]),
        ("visits.here(30) > 'x'", ["column 17: '>' does not go with a whole number and a text"]),
        ("now > '2026-01-01'", ["column 5: '>' does not go with a time and a text"]),
        ("visits.here(30)", ["must be true or false, but gives a whole number"]),
        ("profile.tier", None),
        ("'gold'", ["must be true or false, but gives a text"]),
        ("profile.a.upperAscii() == 'A'", [f"column 9: {NO_UPPER_ASCII}"]),
        ("profile.tier == 'gold", ["column 17: can't be read from here: 'gold"]),
        ("profile.tier ==== 'gold'", ["column 16: '==' is out of place"]),
        ("profile.tier ==", ["column 16: the rule ends too early"]),
        ("profile.tier = 'gold'", ["column 14: can't be read from here: ="]),
        ("profile.a.matches('(')", ["column 19: invalid regular expression: missing ): ("]),
        ("profile.a.matches(profile.b)",
         ["column 19: the pattern of matches must be written out, not worked out"]),
        ("now < timestamp('2026-13-01')", ["column 17: string to Timestamp conversion failed"]),
        ("now - now < duration('3 days')", ["column 22: string to Duration conversion failed"]),
        ("profile.a['b'].exists(x, x == 1)",
         ["column 10: before exists, all, filter or map write a.b instead of a['b'], or a list"]),
        ("{1.5: 1}", ["unsupported map key type: DOUBLE"]),
        ("", ["is empty"]),
        (" \n", ["is empty"]),
        ("'\ud800' == 'a'", ["contains half of a surrogate pair"]),
        ("'" + "x" * 4100 + "' == 'a'", ["a rule may have 4096 characters"]),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_mistakes_are_named_when_saved(rule: str, reasons: list[str] | None) -> None:
    """With the place, and with what there is instead. None: can't be known yet, so it is saved."""
    if reasons is None:
        validate_audience(rule)
        return
    with pytest.raises(InvalidAudience) as caught:
        validate_audience(rule, path="$.rule")
    assert [problem.reason for problem in caught.value.problems] == reasons
    assert {problem.path for problem in caught.value.problems} == {"$.rule"}


def test_problem_shows_the_line_where_it_is() -> None:
    """What stood there is the line, shortened."""
    with pytest.raises(InvalidAudience) as caught:
        validate_audience("profile.tier == 'gold' &&\n  visits.tg('grocery', 30) >= 3")
    (problem,) = caught.value.problems
    assert problem.value == "visits.tg('grocery', 30) >= 3"
    assert problem.reason.startswith("line 2, column 3: visits has no tg; it has here, zone")


def test_rules_are_asked_by_many_threads() -> None:
    """API and pipeline share the rules; each thread is answered about its own facts."""
    rule = Rule.compile("visits.here(30) == profile.n && profile.list.exists(x, x == profile.n)")
    wrong: list[Any] = []
    start = threading.Barrier(8)

    def ask(number: int) -> None:
        start.wait()
        stays = {"shop": [Stay(NOON_MS - (n + 1) * 1000, 5) for n in range(number)][::-1]}
        for turn in range(400):
            profile = Profile("p", {"n": number, "list": [*range(turn % 50), number]})
            verdict = rule.holds(facts(profile, behaviour=Behaviour(stays=stays)))
            other = Rule.compile(f"profile.n == {number} && {turn} >= 0").holds(facts(profile))
            if not (verdict.holds and other.holds):
                wrong.append((number, verdict, other))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_counts_are_shared_by_rules() -> None:
    """A hundred campaigns that ask for the visits to a tag look its zones up once."""
    asked: list[str] = []
    shared = facts(tagged=lambda tag: asked.append(tag) or TAGGED[tag])
    for limit in range(100):
        Rule.compile(f"visits.tag('food', 30) > {limit}").holds(shared)
    assert asked == ["food"]


def test_many_profiles_at_once() -> None:
    """Verdicts in the order of the profiles."""
    rule = Rule.compile("profile.n % 3 == 0")
    people = [Facts(Profile(str(n), {"n": n}), Behaviour(), now_ms=NOON_MS) for n in range(100)]
    found = holds_many(rule, people)
    assert [verdict.holds for verdict in found] == [n % 3 == 0 for n in range(100)]


def test_same_text_is_compiled_once() -> None:
    """A rule costs its compilation once, and its mistakes are remembered as well."""
    assert Rule.compile("profile.tier == 'x'") is Rule.compile("profile.tier == 'x'")


@pytest.mark.parametrize("word", VOCABULARY, ids=lambda word: word.written)
def test_every_word_has_an_example_that_works(word: Word) -> None:
    """The examples of the vocabulary compile and use their word."""
    validate_audience(word.example)
    assert word.name in word.example or word.example.endswith(word.name)


def page() -> str:
    """Return the page on audiences."""
    return (REPOSITORY / "geotarget" / "docs" / "audiences.md").read_text()


def test_page_lists_the_vocabulary() -> None:
    """The table of docs/audiences.md is VOCABULARY, word for word."""
    rows = [
        f"| `{word.written}` | {word.gives} | {word.meaning} | `{word.example}` |"
        for word in VOCABULARY
    ]
    assert "\n".join(rows) in page()


def test_examples_of_the_page_work() -> None:
    """Every rule of the page is accepted, and every error it shows is what one gets."""
    rules = [rule for block in re.findall(r"```cel\n(.*?)```", page(), re.DOTALL)
             for rule in block.split("\n\n")]  # fmt: skip
    assert len(rules) >= 8
    for rule in rules:
        validate_audience(rule.strip())
    shown = re.findall(r"^\| `([^`]+)` \| (column .*) \|$", page(), re.MULTILINE)
    assert len(shown) >= 3
    for rule, reason in shown:
        with pytest.raises(InvalidAudience) as caught:
            validate_audience(rule)
        assert caught.value.problems[0].reason == reason
