"""Personal content: what templates see, how mistakes are named, and that nobody can run away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point

from geotarget.errors import InvalidCampaign
from geotarget.model import (
    Behaviour,
    Campaign,
    Kind,
    Profile,
    Purchase,
    Stay,
    Transition,
    Trigger,
    Variant,
    Zone,
)
from geotarget.targeting import offer, validate_offer
from geotarget.targeting.case import Case, Moment
from geotarget.targeting.ledger import Ledger
from geotarget.targeting.offer import pick_language, validate_translations
from geotarget.targeting.scope import BEHAVIOUR
from tests.conftest import REPOSITORY

Make = Callable[..., Any]
THERE_ARE = "there are profile, behaviour, zone, visit, transition, campaign, now"


@pytest.fixture
def case(campaign: Make, zone: Make, transition: Make) -> Callable[..., Case]:
    """Make a case whose campaign offers the given template."""

    def make(template: Any, *, profile: Profile | None = None, **options: Any) -> Case:
        place = {"time_zone": "Europe/Helsinki", "properties": {"special": "Pulla"}, "tags": ("a",)}
        whose = profile or Profile("p-1", {"first_name": "Aino", "visits": [1, 2]})
        moved = transition(**options.pop("transition", {}))
        ledger = Ledger(behaviour={whose.id: options.pop("behaviour", Behaviour())})
        told = options.pop("campaign", {})
        return Case(
            Moment(moved, zone(**(place | options)), whose, ledger),
            campaign(**({"offer": template} | told)),
        )

    return make


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hi {{ profile.first_name }}", "Hi Aino"),
        ("{{ profile.id }}", "p-1"),
        ("{{ profile.last_name | default: 'friend' }}", "friend"),
        ("[{{ profile.last_name.first.deeper }}]", "[]"),
        (
            "{{ zone.id }} {{ zone.name }} {{ zone.properties.special }} {{ zone.tags[0] }}",
            "shop Shop Pulla a",
        ),
        ("{{ campaign.id }}/{{ campaign.name }}", "hello/Hello"),
        ("{{ transition.kind }} {{ transition.confidence }} {{ transition.p }}", "enter 3 0.97"),
        ("{{ transition.visit }}{% if transition.initial %} first{% endif %}", "visit-1"),
        ("{{ now }}", "2026-01-01T14:00:00+02:00"),
        ("{{ transition.time | date: '%H:%M' }}", "14:00"),
        ("{{ 'now' | date: '%A %H:%M %Z' }}", "Thursday 14:00 EET"),
        ("{{ 1767268800 | date: '%H:%M' }}", "14:00"),
        ("{{ '1767268800' | date: '%F' }}", "2026-01-01"),
        ("{{ '2026-06-01T12:00:00Z' | date: '%H:%M' }}", "15:00"),
        ("{{ '2026-06-01' | date: '%d.%m.' }}", "01.06."),
        ("{{ 'soon' | date: '%F' }}", "soon"),
        ("{{ profile.nothing | date: '%F' }}", ""),
        ("{% for n in profile.visits %}{{ n }},{% endfor %}", "1,2,"),
        ("{% assign x = 2 | plus: 3 %}{{ x }}", "5"),
        ("no template, {} and % are text", "no template, {} and % are text"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
    ],
)
def test_template_sees_the_case(template: str, expected: str, case: Callable[..., Case]) -> None:
    """Profile, zone, transition, campaign and the local time are there; nothing else is."""
    validate_offer({"text": template})
    assert {"text": expected} == offer.render(case({"text": template}))


def test_any_json_is_an_offer(case: Callable[..., Case]) -> None:
    """Strings at any depth are rendered; keys, numbers and the rest stay as they are."""
    template = {
        "title": {"fi": "Hei {{ profile.first_name }}", "en": "Hi"},
        "lines": ["{{ zone.name }}", 1, 2.5, True, None, []],
        "price": 3.9,
    }
    validate_offer(template)
    expected = {
        "title": {"fi": "Hei Aino", "en": "Hi"},
        "lines": ["Shop", 1, 2.5, True, None, []],
        "price": 3.9,
    }
    assert expected == offer.render(case(template))


def test_dwell_and_exit_tell_their_durations(case: Callable[..., Case]) -> None:
    """A dwell offer can say how long, an exit offer how long it was."""
    template = {"text": "{{ transition.dwell_s }} {{ transition.duration_s }}"}
    dwell = {"kind": Kind.DWELL, "threshold_s": 300}
    assert offer.render(case(template, transition=dwell)) == {"text": "300 "}
    exit_ = {"kind": Kind.EXIT, "duration_s": 61.5}
    assert offer.render(case(template, transition=exit_)) == {"text": " 61.5"}


def test_values_do_not_leak_between_strings(case: Callable[..., Case]) -> None:
    """What one string assigns, the next doesn't see: their order means nothing."""
    with pytest.raises(InvalidCampaign, match="unknown name 'x'"):
        validate_offer({"a": "{% assign x = 1 %}", "b": "{{ x }}"})
    template = {"a": "{% assign now = 1 %}{{ now }}", "b": "{{ now | slice: 0, 4 }}"}
    assert offer.render(case(template)) == {"a": "1", "b": "2026"}


def test_coordinates_are_out_of_reach(case: Callable[..., Case]) -> None:
    """Neither the geometry nor the radius of a zone can be rendered, nor Python's insides."""
    template = {
        "a": "{{ zone.geometry }}{{ zone.radius_m }}{{ transition.lat }}{{ profile.lng }}",
        "b": "{{ zone.__class__ }}{{ now.__class__ }}{{ profile['__dict__'] }}",
    }
    assert offer.render(case(template)) == {"a": "", "b": ""}


@pytest.mark.parametrize(
    ("template", "path", "value", "reason"),
    [
        ({"a": "{{ profle.x }}"}, "$.offer.a", "{{ profle.x }}",
         f"line 1: unknown name 'profle'; {THERE_ARE}"),
        ({"a": "ok\n\n  {{ now | nope }}"}, "$.offer.a", "{{ now | nope }}",
         "line 3: unknown filter 'nope'"),
        ({"a": [{"b c": "x\n{% fi %}"}]}, "$.offer.a[0]['b c']", "{% fi %}",
         "line 2: unexpected tag 'fi'"),
        ({"a": "{{ now"}, "$.offer.a", "{{ now", "line 1: expected '}}', found end of file"),
        ({"a": "{% if now %}"}, "$.offer.a", "{% if now %}",
         "line 1: expected tag endif, found end of expression"),
        ({"a": "{% include 'x' %}"}, "$.offer.a", "{% include 'x' %}",
         "line 1: unexpected tag 'include'"),
        ({"a": "{% render 'x' %}"}, "$.offer.a", "{% render 'x' %}",
         "line 1: unexpected tag 'render'"),
        ({"a": "{{ today }}"}, "$.offer.a", "{{ today }}",
         f"line 1: unknown name 'today'; {THERE_ARE}"),
        ({"{{ now }}": 1}, "$.offer", "'{{ now }}'",
         "keys are not rendered; put templates into values"),
        ({1: 1}, "$.offer", "1", "a key must be a string"),
        ({"a": float("nan")}, "$.offer.a", "nan", "must be finite"),
        ({"a": {1, 2}}, "$.offer.a", "set", "is not JSON"),
        ({"a": "\ud800"}, "$.offer.a", "'\\ud800'", "contains half of a surrogate pair"),
        ({"a": "x" * 8200}, "$.offer", "8208 bytes", "an offer template may have 8192 bytes"),
        (["a"], "$.offer", "['a']", "an offer must be a JSON object"),
        ({"a": "{% if " + "1 and " * 1200 + "1 %}{% endif %}"}, "$.offer.a", None,
         "nested too deep"),
    ],
)  # fmt: skip
def test_mistakes_are_named_when_saved(
    template: Any, path: str, value: str | None, reason: str
) -> None:
    """A broken template is refused with its JSON path, its line and what is wrong."""
    with pytest.raises(InvalidCampaign) as caught:
        validate_offer(template)
    (problem,) = caught.value.problems
    assert (path, reason) == (problem.path, problem.reason)
    if value is not None:
        assert value == problem.value


def test_every_mistake_is_named_at_once() -> None:
    """An author sees all problems of an offer, in its order."""
    with pytest.raises(InvalidCampaign) as caught:
        validate_offer({"a": "{{ x }}", "b": ["{{ now }}", "{{ y }}"]}, path="$.variants[0].offer")
    assert [problem.path for problem in caught.value.problems] == [
        "$.variants[0].offer.a",
        "$.variants[0].offer.b[1]",
    ]


def test_deep_json_is_refused() -> None:
    """Nesting is bounded before anything recurses into it."""
    template: dict[str, Any] = {}
    for _ in range(500):
        template = {"a": template}
    with pytest.raises(InvalidCampaign, match="nested deeper than 16 levels"):
        validate_offer(template)


@pytest.mark.parametrize(
    ("template", "line", "reason"),
    [
        ("\n{{ 1 | divided_by: 0 }}", 2, "divided_by: can't divide by 0"),
        ("{% if profile.first_name > 1 %}{% endif %}", 1, "are not supported between"),
        ("{{ '1e999' | floor }}", None, "OverflowError"),
        ("{{ profle }}", 1, "unknown name"),  # as an older version may have stored it
    ],
)
def test_failing_template_is_a_refusal(
    template: str, line: int | None, reason: str, case: Callable[..., Case]
) -> None:
    """What can't be rendered is refused with path, line and reason; nothing is raised."""
    asked = case({"ok": "fine", "texts": [template]})
    refusal = offer.gate(asked)
    assert refusal is not None
    assert asked.offer is None
    assert reason in refusal.reason
    assert "$.offer.texts[0]" in refusal.reason
    assert {"path": "$.offer.texts[0]", "line": line, "campaign_version": 4} == refusal.inputs


def test_unusable_profile_is_a_refusal(case: Callable[..., Case]) -> None:
    """Half of a surrogate pair in an attribute refuses the offer instead of breaking its bytes."""
    refusal = offer.gate(
        case({"a": "{{ profile.name }}"}, profile=Profile("p", {"name": "\ud800"}))
    )
    assert refusal is not None
    assert "surrogates not allowed" in refusal.reason


@pytest.mark.parametrize(
    "template",
    [
        "{{ zone.properties.long | replace: 'x', zone.properties.long }}",
        "{{ zone.properties.long | split: '' | join: zone.properties.long }}",
        "{% for i in (1..1000000000) %}x{% endfor %}",
        "{{ (1..1000000000) | reverse | size }}",
        "{{ (1..100000000000000000000000000) | join: ',' }}",
        "{% assign a = 'xx' %}{% for i in (1..900) %}{% assign a = a | append: a %}{% endfor %}",
        "{% assign n = 9 %}{% for i in (1..900) %}{% assign n = n | times: n %}{% endfor %}",
        "{% for i in (1..900) %}{% for j in (1..900) %}{% endfor %}{% endfor %}",
        "{% for i in (1..900) %}{% if " + "1 and " * 900 + "1 %}{% endif %}{% endfor %}",
        "{% for i in (1..900) %}{% if zone.properties.long contains 'xy' %}{% endif %}{% endfor %}"
        * 20,
        "{% for i in (1..900) %}{% capture a %}{{ zone.properties }}{% endcapture %}{% endfor %}",
        "{% for i in (1..900) %}{% endfor %}" * 200,
        "{% for i in (1..900) %}{{ zone.properties.long" + " | upcase" * 700 + " }}{% endfor %}",
        "{{ '1e99999999' | split: ',' | sum | plus: 1 | floor }}",
        "{% capture a %}{{ zone.properties.long }}{{ zone.properties.long }}{% endcapture %}",
        "{% tablerow i in (1..99999) %}{% endtablerow %}",
        "{{ zone.properties.long }}{{ zone.properties.long }}",
        "{{ profile" + "[profile" * 900 + "]" * 900 + " }}",
    ],
)
def test_runaway_templates_are_stopped(template: str, case: Callable[..., Case]) -> None:
    """What would eat memory or time is refused after a bounded amount of either."""
    asked = case({"a": template}, properties={"long": "x" * 60_000})
    began = time.process_time()
    refusal = offer.gate(asked)
    assert refusal is not None
    assert time.process_time() - began < 5  # each takes under half a second; unbounded: minutes


def test_budget_is_shared_by_the_strings_of_an_offer(case: Callable[..., Case]) -> None:
    """Many strings may not do together what one may not."""
    one = "{% for i in (1..900) %}{% endfor %}"
    assert offer.gate(case({"a": [one] * 5})) is None
    refusal = offer.gate(case({"a": [one] * 20}))
    assert refusal is not None
    assert "does too much: more than 10000 steps" in refusal.reason


def test_whole_offer_is_bounded(case: Callable[..., Case]) -> None:
    """64 KiB of JSON over all strings, escapes included."""
    long = {"long": "x" * 30_000}
    assert offer.gate(case({"a": ["{{ zone.properties.long }}"] * 2}, properties=long)) is None
    refusal = offer.gate(case({"a": ["{{ zone.properties.long }}"] * 3}, properties=long))
    assert refusal is not None
    assert "renders to 90016 bytes, at most 65536 may be" in refusal.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
SNIPPETS = st.sampled_from(
    [
        "{{", "}}", "{%", "%}", "|", ":", "'", " if ", " for ", " in ", " endif ", " endfor ",
        " assign ", " x ", "=", " profile", ".a", "[0]", " now ", " date ", " plus ", "1", "(1..9)",
        " default ", "\n", " sort ", " json ", "{% raw %}", " zone.properties ", " join ", "-",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.lists(SNIPPETS, max_size=14).map("".join) | st.text(max_size=40),
    st.dictionaries(st.text(max_size=5), JSON, max_size=4),
)
def test_nothing_escapes_from_a_template(text: str, attributes: dict[str, Any]) -> None:
    """Whatever the template and the profile: rendered to JSON twice the same, or refused."""

    def asked() -> Case:
        moved = Transition("t", "v", "d", "z", 1, Kind.ENTER, 0, 0, 3, 1.0)
        place = Zone(id="z", geometry=Point(0, 0), radius_m=9, properties=attributes)
        return Case(
            Moment(moved, place, Profile("p", attributes)),
            Campaign("c", "C", Trigger(), {"a": text}, ()),
        )

    first, second = asked(), asked()
    refusals = offer.gate(first), offer.gate(second)
    assert refusals[0] == refusals[1]
    assert (first.offer is None) == (refusals[0] is not None)
    if first.offer is not None:
        assert msgspec.json.encode(first.offer) == msgspec.json.encode(second.offer)


DAY_MS = 86_400_000
NOON_MS = 1_767_268_800_000
REGULAR = Behaviour(
    first_ms=NOON_MS - 40 * DAY_MS,
    visits_total=9,
    offers_total=4,
    purchases_total=7,
    stays={
        "shop": [Stay(NOON_MS - 20 * DAY_MS, 600), Stay(NOON_MS - 5 * DAY_MS, 1200)],
        "other": [Stay(NOON_MS - DAY_MS, 60)],
    },
    purchases=[
        Purchase(NOON_MS - 9 * DAY_MS, "tea", 3_000_000, "EUR", "c1"),
        Purchase(NOON_MS - 2 * DAY_MS, "coffee", 4_500_000, "EUR", "c2"),
    ],
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ behaviour.visits_total }} {{ behaviour.visits_30d }}", "9 3"),
        ("{{ behaviour.visits_here_7d }}/{{ behaviour.visits_here_30d }}", "1/2"),
        ("{{ behaviour.minutes_here_90d }} min", "30 min"),
        ("{{ behaviour.days_since_here }}/{{ behaviour.days_known }}", "5/40"),
        ("[{{ behaviour.days_since_offer }}]", "[]"),
        ("{% assign last = behaviour.last_purchase %}{{ last.category }} {{ last.value }}",
         "coffee 4.5"),
        ("{% for p in behaviour.purchases %}{{ p.category }}-{{ p.days_ago }} {% endfor %}",
         "coffee-2 tea-9 "),
        ("{{ visit.id }} {{ visit.kind }} {{ visit.started | date: '%H:%M' }} {{ visit.dwell_s }}",
         "visit-1 enter 14:00 0"),
    ],
)  # fmt: skip
def test_template_sees_behaviour_and_visit(
    template: str, expected: str, case: Callable[..., Case]
) -> None:
    """What geotarget counted itself can be said: "your third visit this month"."""
    validate_offer({"text": template})
    assert offer.render(case({"text": template}, behaviour=REGULAR)) == {"text": expected}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"kind": Kind.EXIT, "duration_s": 90.0}, "13:58 90"),
        ({"kind": Kind.DWELL, "threshold_s": 300}, "13:50 600"),  # the visit that goes on
    ],
)
def test_visit_tells_when_it_began(
    how: dict[str, Any], expected: str, case: Callable[..., Case]
) -> None:
    """At an exit and a dwell `visit` knows the start and the seconds since."""
    going_on = Behaviour(stays={"shop": [Stay(NOON_MS - 600_000), Stay(NOON_MS - 100_000)]})
    template = {"text": "{{ visit.started | date: '%H:%M' }} {{ visit.dwell_s }}"}
    assert offer.render(case(template, transition=how, behaviour=going_on)) == {"text": expected}


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("sv", "sv"),
        ("sv-FI", "sv"),
        ("SV_fi", "sv"),
        ("pt-BR", "pt-BR"),
        ("pt-br-x-nynorsk", "pt-BR"),
        ("pt", ""),
        ("pt-PT", ""),
        ("zh-Hant-TW", "zh-Hant"),
        ("en", ""),
        ("", ""),
        (None, ""),
        (["sv"], ""),
        ("-" * 5000, ""),
        ("\ud800", ""),
    ],
)
def test_language_falls_back(language: object, expected: str) -> None:
    """The tag itself, then shorter and shorter ones, then the offer as it was written first."""
    assert pick_language(language, {"sv": {}, "pt-BR": {}, "zh-Hant": {}}) == expected


def test_offer_is_rendered_in_the_profiles_language(case: Callable[..., Case]) -> None:
    """Which translation it was stays in the case; a variant brings its own."""
    aino = Profile("p", {"language": "sv-FI", "first_name": "Aino"})
    translated = {"translations": {"sv": {"text": "Hej {{ profile.first_name }}"}}}
    asked = case({"text": "Hei"}, profile=aino, campaign=translated)
    assert (offer.render(asked), asked.language) == ({"text": "Hej Aino"}, "sv")
    other = case({"text": "Hei"}, campaign=translated)
    assert (offer.render(other), other.language) == ({"text": "Hei"}, "")
    best = Variant("b", {"text": "B"}, translations={"sv": {"text": "B på svenska"}})
    asked = case({"text": "Hei"}, profile=aino, campaign={"variants": (Variant("a", {}), best)})
    asked.variant = best
    assert (offer.render(asked), asked.language) == ({"text": "B på svenska"}, "sv")


def test_refusal_names_variant_and_language(case: Callable[..., Case]) -> None:
    """Of many offers the one that does not render is told by its path."""
    broken = Variant("b", {"x": 1}, translations={"pt-BR": {"x": ["{{ 1 | divided_by: 0 }}"]}})
    asked = case(
        {}, profile=Profile("p", {"language": "pt-BR"}), campaign={"variants": (broken, broken)}
    )
    asked.variant = broken
    refusal = offer.gate(asked)
    assert refusal is not None
    path = "$.variants[0].translations['pt-BR'].x[0]"
    assert (path, "pt-BR") == (refusal.inputs["path"], refusal.inputs["language"])


@pytest.mark.parametrize(
    ("translations", "path", "reason"),
    [
        ({"svenska spr": {}}, "$.translations['svenska spr']",
         "must be a language tag of BCP 47, such as sv or pt-BR"),
        ({"": {}}, "$.translations['']", "must be a language tag of BCP 47, such as sv or pt-BR"),
        ({"sv": {}, "SV": {}}, "$.translations.SV", "is the same language as sv"),
        ({"sv": {"a": "{{ x }}"}}, "$.translations.sv.a",
         f"line 1: unknown name 'x'; {THERE_ARE}"),
        ({f"aa-{n}": {} for n in range(51)}, "$.translations", "an offer may have 50 translations"),
    ],
)  # fmt: skip
def test_translations_are_checked(translations: Any, path: str, reason: str) -> None:
    """A tag that is none, one that stands twice and a broken template are named with their path."""
    with pytest.raises(InvalidCampaign) as caught:
        validate_translations(translations)
    assert [(each.path, each.reason) for each in caught.value.problems] == [(path, reason)]


def test_members_of_behaviour_are_documented() -> None:
    """The page on offers lists every member of `behaviour` with its meaning."""
    page = (REPOSITORY / "geotarget" / "docs" / "offers.md").read_text()
    rows = [f"| `behaviour.{name}` | {meaning} |" for name, (meaning, _) in BEHAVIOUR.items()]
    assert "\n".join(rows) in page
