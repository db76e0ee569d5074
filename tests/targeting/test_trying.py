"""Offers tried out before anybody is sent one."""

from __future__ import annotations

from typing import Any

import pytest
from shapely import Point

from geotarget.model import Behaviour, Campaign, Profile, Trigger, Variant, Zone
from geotarget.targeting.checks import problems_of
from geotarget.targeting.trying import MOST_RENDERED, preview, try_offers

NOW_MS = 1_767_268_800_000
SHOP = Zone(id="shop", geometry=Point(25, 60), radius_m=50, name="Shop", time_zone="Asia/Kathmandu")
GREEDY = "{% for i in (1..profile.many) %}x{% endfor %}"


def campaign(**changes: Any) -> Campaign:
    """Return a campaign with an offer."""
    fields = {"trigger": Trigger(), "offer": {"t": "Hello"}, "endpoints": ("crm",)}
    return Campaign(**{"id": "c", "name": "C", **fields, **changes})


def test_every_template_is_rendered_for_one_profile() -> None:
    """Each variant, its default language first, by the profile's own attributes."""
    text = "{{ profile.name }} at {{ zone.name }} {{ now | date: '%H:%M' }} {{ profile.language }}"
    variants = (
        Variant("a", {"t": text}, translations={"sv": {"t": "sv " + text}, "pt-BR": {"t": "Oi"}}),
        Variant("b", {"t": "{{ behaviour.visits_total }}"}),
    )
    aino = Profile("aino", {"name": "Aino", "language": "sv-FI"})
    asked = {"behaviour": Behaviour(visits_total=7), "now_ms": NOW_MS}
    shown = preview(campaign(offer={}, variants=variants), aino, SHOP, **asked)
    assert [(each.variant, each.language, each.offer) for each in shown] == [
        ("a", "", {"t": "Aino at Shop 17:45 sv-FI"}),
        ("a", "sv", {"t": "sv Aino at Shop 17:45 sv-FI"}),
        ("a", "pt-BR", {"t": "Oi"}),
        ("b", "", {"t": "7"}),
    ]
    only = preview(campaign(offer={}, variants=variants), aino, SHOP, **asked, variant="a")
    assert shown[:3] == only
    sv = preview(campaign(offer={}, variants=variants), aino, SHOP, **asked, language="sv")
    assert shown[1:2] == sv
    assert [] == preview(campaign(), aino, SHOP, **asked, variant="a")


def test_what_does_not_render_says_where() -> None:
    """With its path in the document, the tag of the language quoted where it must be."""
    bad = campaign(translations={"pt-BR": {"a": ["x", GREEDY]}})
    _, told = preview(bad, Profile("p", {"many": 9_999_999}), now_ms=NOW_MS)
    assert (None, "$.translations['pt-BR'].a[1]") == (told.offer, told.path)
    assert told.problem


@pytest.mark.parametrize(
    ("many", "problems", "warnings"),
    [([1, 2, 3], 0, 0), ([1, 9_999_999, 3], 0, 1), ([9_999_999] * 3, 0, 1)],
)
def test_some_failures_are_a_warning(many: list[int], problems: int, warnings: int) -> None:
    """A profile without attributes is always among those who are tried."""
    profiles = [Profile(f"p{place}", {"many": each}) for place, each in enumerate(many)]
    found, told = try_offers(campaign(offer={"t": GREEDY}), profiles, now_ms=NOW_MS)
    assert (problems, warnings) == (len(found), len(told))


def test_failing_for_all_is_a_problem() -> None:
    """Of that template only."""
    both = campaign(
        offer={"t": "fine"}, translations={"sv": {"t": GREEDY.replace("profile.many", "9999999")}}
    )
    found, told = try_offers(both, [Profile("p")], now_ms=NOW_MS)
    assert ["$.translations.sv.t"] == [each.path for each in found]
    assert () == told


def test_many_templates_are_tried_on_fewer_profiles() -> None:
    """The work of one check has a bound."""
    rendered = 0

    class Counting(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            nonlocal rendered
            rendered += key == "language"
            return super().get(key, default)

    translations = {f"x{a}{b}": {"t": "x"} for a in "abcdefghij" for b in "abcdefghij"}
    variants = tuple(Variant(f"v{n}", {"t": "x"}, translations=translations) for n in range(6))
    profiles = [Profile(f"p{n}", Counting()) for n in range(20)]
    assert ([], ()) == try_offers(campaign(offer={}, variants=variants), profiles, now_ms=NOW_MS)
    assert 0 < rendered <= MOST_RENDERED


def test_all_checks_of_a_campaign_are_asked() -> None:
    """Problems come in the order of the document, and a good campaign has none."""
    assert [] == problems_of(campaign())
    bad = campaign(
        trigger=Trigger(dwell_s=5), starts="soon", holdout=2.0, audience="1 +", offer={"t": "{{"}
    )
    assert [
        "$.trigger.dwell_s",
        "$.schedule.starts",
        "$.holdout",
        "$.audience",
        "$.offer.t",
    ] == list(dict.fromkeys(each.path for each in problems_of(bad)))
