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
from geotarget.model import Campaign, Kind, Profile, Transition, Trigger, Zone
from geotarget.targeting import offer, validate_offer
from geotarget.targeting.case import Case

Make = Callable[..., Any]


@pytest.fixture
def case(campaign: Make, zone: Make, transition: Make) -> Callable[..., Case]:
    """Make a case whose campaign offers the given template."""

    def make(template: Any, *, profile: Profile | None = None, **options: Any) -> Case:
        place = {"time_zone": "Europe/Helsinki", "properties": {"special": "Pulla"}, "tags": ("a",)}
        return Case(
            transition(**options.pop("transition", {})),
            campaign(offer=template),
            zone(**(place | options)),
            profile or Profile("p-1", {"first_name": "Aino", "visits": [1, 2]}),
            last_fired_ms=None,
            now_ms=0,
            max_age_s=900,
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
         "line 1: unknown name 'profle'; there are profile, zone, transition, campaign, now"),
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
         "line 1: unknown name 'today'; there are profile, zone, transition, campaign, now"),
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
        return Case(
            Transition("t", "v", "d", "z", 1, Kind.ENTER, 0, 0, 3, 1.0),
            Campaign("c", "C", Trigger(), {"a": text}, ()),
            Zone(id="z", geometry=Point(0, 0), radius_m=9, properties=attributes),
            Profile("p", attributes),
            last_fired_ms=None,
            now_ms=0,
            max_age_s=900,
        )

    first, second = asked(), asked()
    refusals = offer.gate(first), offer.gate(second)
    assert refusals[0] == refusals[1]
    assert (first.offer is None) == (refusals[0] is not None)
    if first.offer is not None:
        assert msgspec.json.encode(first.offer) == msgspec.json.encode(second.offer)
