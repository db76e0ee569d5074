"""``/v1/campaigns`` and ``/v1/endpoints``: documents that are taken whole or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from standardwebhooks import Webhook

from geotarget.catalog import Catalog
from geotarget.errors import InvalidEndpoint, Problem
from geotarget.store import Store
from tests.api.conftest import Api
from tests.api.documents import campaign, collection, square

URL = "https://crm.example.com/hook"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def ready(api: Api) -> Api:
    """An API with an endpoint ``crm``."""
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})
    return api


def paths(answer: Any) -> list[str]:
    """Return where the errors are."""
    return [each["path"] for each in answer["errors"]]


@pytest.fixture(scope="module")
def crm(lasting: Api) -> None:
    """Make the endpoint that refused campaigns name."""
    lasting.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})


# -- campaigns ------------------------------------------------------------------------------


FULL: dict[str, Any] = campaign(
    "crm",
    trigger={
        "on": ["dwell", "enter"],
        "zones": {"ids": ["a"], "tags": ["bakery"], "exclude": ["b"]},
        "dwell_s": 300,
        "min_confidence": 2,
        "most_specific": True,
        "initial": False,
    },
    schedule={
        "starts": "2026-01-01",
        "ends": "2026-02-01T18:00",
        "days": ["mon", "sat"],
        "hours": [{"from": "07:30", "to": "10:00"}, {"from": "22:00", "to": "24:00"}],
    },
    consent={"purpose": "loyalty", "required": True},
    audience="profile.tier == 'gold'",
    audiences=["regulars"],
    holdout=0.1,
    salt="spring",
    caps={
        "per_profile": [{"max": 1, "period_s": 86400}, {"max": 5, "period_s": None}],
        "per_visit": 1,
        "cooldown_s": 3600,
    },
    budget={
        "total": 500.000001,
        "per_day": 20,
        "in": "money",
        "pacing": "even",
        "time_zone": "Europe/Helsinki",
    },
    cost_per_offer=0.05,
    currency="SEK",
    priority=-3,
    with_others=True,
    offer=None,
    translations={},
    variants=[
        {
            "id": "plain",
            "weight": 2,
            "offer": {"t": "Hello {{ profile.first_name }}"},
            "translations": {"sv": {"t": "Hej"}, "pt-BR": {"t": "Oi"}},
            "cost_per_offer": 0.1,
        },
        {"id": "bun", "weight": 0.5, "offer": {"t": 1}, "translations": {}, "cost_per_offer": None},
    ],
    allocation="thompson",
    pass_attributes=["tier", "language"],
    attribution_s=86400,
    valid_s=600,
    status="paused",
)


def test_a_campaign_comes_back_as_it_was_sent(ready: Api) -> None:
    """With its version; every field of the contract, money to the last millionth."""
    ready.call("PUT", "/v1/audiences/regulars", expect=200, json={"rule": "visits.total(30) > 2"})
    stored = ready.call("PUT", "/v1/campaigns/way/1", expect=200, json=FULL)
    more = {"id": "way/1", "version": 1, "matches_zones": 0, "inside_asked": None, "warnings": []}
    more["updated"] = stored["updated"]
    assert stored == FULL | more
    assert ready.call("GET", "/v1/campaigns/way/1", expect=200) == stored
    kept = ready.store.campaign("way/1")
    assert kept is not None
    assert kept.budget is not None
    assert (kept.budget.total, kept.budget.per_day) == (500_000_001, 20_000_000)
    assert (kept.cost_micros, kept.variants[0].cost_micros) == (50_000, 100_000)
    again = {name: value for name, value in stored.items() if name not in more}
    assert ready.call("PUT", "/v1/campaigns/way/1", expect=200, json=again) == stored


def test_defaults_are_those_of_the_contract(ready: Api) -> None:
    """Every entry, initial ones too, from likely on, in all zones, active."""
    stored = ready.call("PUT", "/v1/campaigns/c", expect=200, json=campaign("crm"))
    assert stored["trigger"] == {
        "on": ["enter"],
        "zones": {"ids": [], "tags": [], "exclude": []},
        "dwell_s": None,
        "min_confidence": 1,
        "initial": True,
        "most_specific": False,
    }
    assert (stored["status"], stored["caps"], stored["schedule"]) == ("active", None, None)


def test_each_change_is_a_version(ready: Api) -> None:
    """The same again is none."""
    put = partial(ready.call, "PUT", "/v1/campaigns/c", expect=200)
    assert put(json=campaign("crm"))["version"] == 1
    assert put(json=campaign("crm"))["version"] == 1
    assert put(json=campaign("crm", name="Other"))["version"] == 2


def test_the_answer_counts_the_zones_that_are_meant(ready: Api) -> None:
    """A trigger that means nothing is seen when it is written."""
    document = collection(
        square("a", tags=["bakery"]), square("b", tags=["bakery"], lng=25), square("c", lng=26)
    )
    ready.call("POST", "/v1/zones", expect=200, json=document)
    for zones, count in [
        ({}, 3),
        ({"tags": ["bakery"]}, 2),
        ({"tags": ["bakery"], "ids": ["c"], "exclude": ["a"]}, 2),
        ({"exclude": ["a", "b", "c"]}, 0),
        ({"ids": ["typo"]}, 0),
    ]:
        body = campaign("crm", trigger={"zones": zones})
        stored = ready.call("PUT", "/v1/campaigns/c", expect=200, json=body)
        assert stored["matches_zones"] == count, zones


VARIANT = {"id": "a", "offer": {"t": "Hello"}}
HOURS = "$.schedule.hours[0].from"


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"tirgger": {}}, "$.tirgger", "unknown member"),
        ({"trigger": {"zones": {"id": []}}}, "$.trigger.zones.id", "unknown member"),
        ({"trigger": {"on": ["entered"]}}, "$.trigger.on[0]", "'enter', 'dwell'"),
        ({"trigger": {"on": []}}, "$.trigger.on", "at least one"),
        ({"trigger": {"on": ["reconciled"]}}, "$.trigger.on", "never fires"),
        ({"trigger": {"on": ["dwell"]}}, "$.trigger.dwell_s", "needs its seconds"),
        ({"trigger": {"min_confidence": 4}}, "$.trigger.min_confidence", "less than or equal to 3"),
        ({"schedule": {"starts": "soon"}}, "$.schedule.starts", "ISO 8601"),
        (
            {"schedule": {"starts": "2026-02-01", "ends": "2026-01-01"}},
            "$.schedule.ends",
            "after starts",
        ),
        ({"schedule": {"days": ["monday"]}}, "$.schedule.days[0]", "'mon'"),
        ({"schedule": {"hours": [{"from": "7:00", "to": "9"}]}}, "$.schedule.hours[0].from", ""),
        ({"schedule": {"hours": [{"from": "24:00", "to": "01:00"}]}}, HOURS, "pattern"),
        ({"schedule": {"hours": ["9-17"]}}, "$.schedule.hours[0]", "dictionary"),
        ({"audience": "visits > 3"}, "$.audience", "column"),
        ({"audience": "profile.tier ="}, "$.audience", "column"),
        ({"audiences": ["nobody"]}, "$.audiences[0]", "no audience has this id"),
        ({"consent": {"purpose": ""}}, "$.consent.purpose", "at least 1"),
        ({"holdout": 0.95}, "$.holdout", "less than or equal to 0.9"),
        ({"holdout": "0.1"}, "$.holdout", "valid number"),
        ({"caps": {"per_profile": [{"max": 0}]}}, "$.caps.per_profile[0].max", "equal to 1"),
        ({"caps": {"per_profile": [{"max": True}]}}, "$.caps.per_profile[0].max", "integer"),
        (
            {"caps": {"per_profile": [{"max": 1, "period_s": 90 * 86400 + 1}]}},
            "$.caps.per_profile[0].period_s",
            "7776000",
        ),
        ({"budget": {}}, "$.budget", "total"),
        ({"budget": {"total": 0.5}}, "$.budget.total", "whole number of offers"),
        ({"budget": {"total": 5, "in": "EUR"}}, "$.budget.in", "'offers' or 'money'"),
        ({"budget": {"total": 5, "in": "money"}}, "$.budget.in", "cost_per_offer"),
        ({"budget": {"total": 5, "pacing": "even"}}, "$.budget.pacing", "starts"),
        ({"budget": {"total": 5, "per_day": 9}}, "$.budget.per_day", "above the total"),
        ({"budget": {"total": 5, "time_zone": "Mars"}}, "$.budget.time_zone", "time zone"),
        ({"cost_per_offer": 0.0000001}, "$.cost_per_offer", "at most 6 decimals"),
        ({"cost_per_offer": -1}, "$.cost_per_offer", "greater than or equal to 0"),
        ({"cost_per_offer": 2e9}, "$.cost_per_offer", "1000000000"),
        ({"currency": "euro"}, "$.currency", "pattern"),
        ({"translations": {"sv_": {"t": "x"}}}, "$.translations.sv_", "pattern"),
        ({"translations": {"sv": {"t": "{{ profle }}"}}}, "$.translations.sv.t", "profle"),
        ({"variants": [VARIANT]}, "$.offer", "not both"),
        ({"variants": [VARIANT, VARIANT], "offer": None}, "$.variants[1].id", "has this id"),
        (
            {"variants": [VARIANT | {"weight": 0}], "offer": None},
            "$.variants",
            "a weight over 0",
        ),
        (
            {"variants": [VARIANT], "offer": None, "translations": {"sv": {}}},
            "$.translations",
            "belong to each variant",
        ),
        ({"offer": None}, "$.offer", "is required"),
        ({"allocation": "luck"}, "$.allocation", "'weights' or 'thompson'"),
        ({"attribution_s": 0}, "$.attribution_s", "equal to 1"),
        ({"caps": {"cooldown_s": 0}}, "$.caps.cooldown_s", "greater than or equal to 1"),
        ({"offer": {"t": "{{ profle }}"}}, "$.offer.t", "profle"),
        ({"offer": {"t": "{% if %}"}}, "$.offer.t", ""),
        ({"offer": "text"}, "$.offer", "dictionary"),
        ({"endpoints": ["crm", "nobody"]}, "$.endpoints[1]", "no endpoint has this id"),
        ({"endpoints": []}, "$.endpoints", "at least 1"),
        ({"status": "on"}, "$.status", "'active'"),
        ({"name": "x" * 201}, "$.name", "at most 200"),
        ({"name": "a\nb"}, "$.name", "pattern"),
        ({"valid_s": "soon"}, "$.valid_s", "integer"),
    ],
)
def test_what_is_wrong_with_a_campaign_is_named(
    lasting: Api, change: dict[str, Any], path: str, reason: str
) -> None:
    """Path, and a reason with the bound."""
    answer = lasting.call("PUT", "/v1/campaigns/c", expect=422, json=campaign("crm", **change))
    assert paths(answer)[0] == path
    assert reason in answer["errors"][0]["reason"]
    lasting.call("GET", "/v1/campaigns/c", expect=404)


def test_missing_members_are_named(lasting: Api) -> None:
    """All at once."""
    answer = lasting.call("PUT", "/v1/campaigns/c", expect=422, json={})
    assert paths(answer) == ["$.name", "$.endpoints"]
    assert {each["reason"] for each in answer["errors"]} == {"is required"}


def test_who_is_inside_is_asked_for_once(ready: Api) -> None:
    """`include_inside` is not kept, its instant is: later changes do not ask again."""
    put = partial(ready.call, "PUT", "/v1/campaigns/c", expect=200)
    assert put(json=campaign("crm"))["inside_asked"] is None
    asked = put(json=campaign("crm", include_inside=True))
    assert asked["inside_asked"] is not None
    assert "include_inside" not in asked
    changed = put(json=campaign("crm", name="Other"))
    assert (changed["inside_asked"], changed["version"]) == (asked["inside_asked"], 3)


def test_an_offer_that_fails_for_some_is_a_warning_for_all_a_refusal(ready: Api) -> None:
    """Templates are tried on stored profiles when they are saved."""
    for name, born in [("a", "2001-05-04"), ("b", 7)]:
        body = {"attributes": {"born": born, "n": "x" if name == "b" else 1}}
        ready.call("PUT", f"/v1/profiles/{name}", expect=200, json=body)
    greedy = "{% for i in (1..profile.many) %}x{% endfor %}"
    ready.call("PUT", "/v1/profiles/c", expect=200, json={"attributes": {"many": 5_000_000}})
    body = campaign("crm", offer={"text": greedy})
    stored = ready.call("PUT", "/v1/campaigns/c", expect=200, json=body)
    (warning,) = stored["warnings"]
    assert warning.startswith("$.offer.text: does not render for 1 of 4 sample profiles")
    assert ready.call("GET", "/v1/campaigns/c", expect=200)["warnings"] == []
    body = campaign("crm", offer={"text": greedy.replace("profile.many", "5000000")})
    answer = ready.call("PUT", "/v1/campaigns/c", expect=422, json=body)
    assert paths(answer) == ["$.offer.text"]


def test_every_version_can_be_read(ready: Api) -> None:
    """Newest first with its time; one by its number, also when the campaign is gone."""
    for name in ("One", "Two", "Three"):
        ready.call("PUT", "/v1/campaigns/a/b", expect=200, json=campaign("crm", name=name))
    url = "/v1/campaigns/a/b/versions"
    first = ready.call("GET", f"{url}?limit=2", expect=200)
    rest = ready.call("GET", f"{url}?limit=2&cursor={first['next']}", expect=200)
    told = [(each["version"], each["campaign"]["name"]) for each in first["items"] + rest["items"]]
    assert told == [(3, "Three"), (2, "Two"), (1, "One")]
    assert first["items"][0]["stored"].endswith("Z")
    old = ready.call("GET", "/v1/campaigns/a/b?version=1", expect=200)
    assert (old["name"], old["version"]) == ("One", 1)
    ready.call("GET", "/v1/campaigns/a/b?version=4", expect=404)
    ready.call("DELETE", "/v1/campaigns/a/b", expect=204)
    assert len(ready.call("GET", url, expect=200)["items"]) == 3
    assert ready.call("GET", "/v1/campaigns/a/b?version=2", expect=200)["name"] == "Two"
    ready.call("GET", "/v1/campaigns/nobody/versions", expect=404)
    ready.call("PUT", "/v1/campaigns/a/versions", expect=422, json=campaign("crm"))


def test_the_state_of_the_variants_is_shown(ready: Api) -> None:
    """Shares by weight, or by what `thompson` would draw; nothing sent yet."""
    variants = [VARIANT | {"weight": 3}, VARIANT | {"id": "b"}]
    body = campaign("crm", offer=None, variants=variants)
    ready.call("PUT", "/v1/campaigns/c", expect=200, json=body)
    shown = ready.call("GET", "/v1/campaigns/c/variants", expect=200)
    assert (shown["allocation"], shown["version"]) == ("weights", 1)
    assert [(each["variant"], each["share"], each["sent"]) for each in shown["variants"]] == [
        ("a", 0.75, 0),
        ("b", 0.25, 0),
    ]
    ready.call("PUT", "/v1/campaigns/c", expect=200, json=body | {"allocation": "thompson"})
    drawn = ready.call("GET", "/v1/campaigns/c/variants", expect=200)["variants"]
    assert [abs(each["share"] - 0.5) < 0.05 for each in drawn] == [True, True]
    assert drawn[0]["expected_rate"] == 0.5
    ready.call("PUT", "/v1/campaigns/single", expect=200, json=campaign("crm"))
    single = ready.call("GET", "/v1/campaigns/single/variants", expect=200)
    assert single["variants"] == []
    ready.call("GET", "/v1/campaigns/nobody/variants", expect=404)


def test_offers_are_previewed_in_every_language(ready: Api) -> None:
    """For a stored profile or a sample, at a zone or nowhere; errors with their line."""
    ready.call("PUT", "/v1/zones/kamppi", expect=200, json=square("kamppi"))
    ready.call("PUT", "/v1/profiles/aino", expect=200, json={"attributes": {"name": "Aino"}})
    text = "{{ profile.name }} at {{ zone.name }}"
    bad = "{{ 'x' | date: profile.name | divided_by: 0 }}"
    variants = [
        {"id": "a", "offer": {"t": text}, "translations": {"sv": {"t": f"sv {text}"}}},
        {"id": "b", "offer": {"t": bad}},
    ]
    body = campaign("crm", offer=None, variants=variants)
    asked = {"campaign": body, "profile": "aino", "zone": "kamppi"}
    shown = ready.call("POST", "/v1/campaigns:preview", expect=200, json=asked)
    a, sv, b = shown["offers"]
    assert (a["variant"], a["language"], a["offer"]) == ("a", "", {"t": "Aino at Square kamppi"})
    assert (sv["language"], sv["offer"]) == ("sv", {"t": "sv Aino at Square kamppi"})
    assert (b["offer"], b["path"]) == (None, "$.variants[1].offer.t")
    assert b["problem"]
    good = campaign("crm", offer={"t": text}, translations={"sv": {"t": "Hej"}})
    ready.call("PUT", "/v1/campaigns/a/b", expect=200, json=good)
    asked = {"sample": {"name": "Onni"}, "language": ""}
    shown = ready.call("POST", "/v1/campaigns/a/b:preview", expect=200, json=asked)
    assert [each["offer"] for each in shown["offers"]] == [{"t": "Onni at Sample"}]
    assert (shown["profile"], shown["zone"]) == (None, None)
    url, headers = "/v1/campaigns/a/b:preview", ready.key("campaigns:read")
    ready.call("POST", url, expect=200, json=asked, headers=headers)
    ready.call("POST", url, expect=403, json={"profile": "aino"}, headers=headers)


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"profile": "nobody"}, 422, "$.profile"),
        ({"profile": "a", "sample": {}}, 422, "$.sample"),
        ({"zone": "nowhere"}, 422, "$.zone"),
        ({"variant": "z"}, 422, "$.variant"),
        ({"language": "xx"}, 422, "$.language"),
        ({"campaign": {"name": "x"}}, 422, "$.campaign.endpoints"),
        ({"campaign": campaign("x", offer={"t": "{{ profle }}"})}, 422, "$.campaign.offer.t"),
        ({"campaign": campaign("x", offer=None)}, 422, "$.campaign.offer"),
    ],
)
def test_a_preview_of_what_is_not_there_is_refused(
    lasting: Api, body: dict[str, Any], status: int, path: str
) -> None:
    """With its path."""
    asked = {"campaign": campaign("nobody")} | body
    answer = lasting.call("POST", "/v1/campaigns:preview", expect=status, json=asked)
    assert path in paths(answer)
    lasting.call("POST", "/v1/campaigns/nobody:preview", expect=404, json={})


def test_changes_are_in_the_audit_log_with_their_key(ready: Api) -> None:
    """Who did it is the name of the key and its id."""
    headers = ready.key("campaigns:write")
    ready.call("PUT", "/v1/campaigns/c", expect=200, json=campaign("crm"), headers=headers)
    ready.call("DELETE", "/v1/campaigns/c", expect=204)
    ready.call("DELETE", "/v1/endpoints/crm", expect=204)
    (key,) = ready.store.keys()
    told = [(each.actor, each.action, each.subject) for each in ready.store.audit_page().items]
    assert told == [
        ("admin", "endpoint.delete", "crm"),
        ("admin", "campaign.delete", "c"),
        (f"test ({key.id})", "campaign.put", "c"),
        ("admin", "endpoint.put", "crm"),
    ]


def test_campaigns_are_listed_and_deleted(ready: Api) -> None:
    """By id, a page at a time."""
    for name in ("b", "a", "c"):
        ready.call("PUT", f"/v1/campaigns/{name}", expect=200, json=campaign("crm"))
    first = ready.call("GET", "/v1/campaigns?limit=2", expect=200)
    second = ready.call("GET", f"/v1/campaigns?limit=2&cursor={first['next']}", expect=200)
    assert [each["id"] for each in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next"] is None
    ready.call("DELETE", "/v1/campaigns/a", expect=204)
    ready.call("GET", "/v1/campaigns/a", expect=404)
    ready.call("DELETE", "/v1/campaigns/a", expect=404)


# -- endpoints ------------------------------------------------------------------------------


def test_a_new_endpoint_gets_a_secret_that_is_shown_once(api: Api) -> None:
    """It works with the receivers' library; afterwards there is only a hint."""
    made = api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})
    Webhook(made["secret"])
    assert made["secret"].endswith(made["secret_hint"])
    assert len(made["secret_hint"]) == 4
    text = api.client.get("/v1/endpoints/crm").text + api.client.get("/v1/endpoints").text
    assert made["secret"] not in text
    assert api.call("GET", "/v1/endpoints/crm", expect=200)["secret"] is None


def test_a_secret_of_ones_own_is_kept(api: Api) -> None:
    """Set, then kept over changes that don't mention it, then replaced."""
    put = partial(api.call, "PUT", "/v1/endpoints/crm", expect=200)
    assert put(json={"url": URL, "secret": SECRET})["secret"] == SECRET
    changed = put(json={"url": URL, "description": "new"})
    assert changed["secret"] is None
    stored = api.store.endpoint("crm")
    assert stored is not None
    assert stored.secret == SECRET
    other = SECRET[:-4] + "AAAA"
    assert put(json={"url": URL, "secret": other})["secret"] == other


@pytest.mark.parametrize(
    "secret", ["", "abc", "whsec_", "whsec_short", "whsec_!!!!", SECRET[6:], "whsec_" + "A" * 200]
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(lasting: Api, secret: str) -> None:
    """What was sent as a secret does not come back, not even when it is wrong."""
    body = {"url": URL, "secret": secret}
    answer = lasting.call("PUT", "/v1/endpoints/crm", expect=422, json=body)
    assert paths(answer) == ["$.secret"]
    assert answer["errors"][0]["value"] == ""


def test_events_are_known_types(api: Api) -> None:
    """A typo, or a type that this version does not send, is refused with the list."""
    body = {"url": URL, "events": ["offer.triggered", "transition.enter"]}
    assert api.call("PUT", "/v1/endpoints/e", expect=200, json=body)["events"] == body["events"]
    body["events"] = ["offer.triggered", "transition.entered"]
    answer = api.call("PUT", "/v1/endpoints/e", expect=422, json=body)
    assert paths(answer) == ["$.events"]
    assert "transition.enter" in answer["errors"][0]["reason"]


def test_the_operators_rules_on_urls_hold(api_with: Callable[..., Api], store: Store) -> None:
    """What the policy refuses is a problem with its path."""

    def check_url(url: str) -> None:
        raise InvalidEndpoint(Problem("$.url", url, "a private address"))

    api = api_with(catalog=Catalog(store, check_url=check_url))
    body = {"url": "http://10.0.0.1/"}
    answer = api.call("PUT", "/v1/endpoints/e", expect=422, json=body)
    assert answer["type"] == "urn:geotarget:problem:invalid-endpoint"
    assert paths(answer) == ["$.url"]


def test_an_endpoint_in_use_is_a_conflict(ready: Api) -> None:
    """409 names the campaigns."""
    ready.call("PUT", "/v1/campaigns/c", expect=200, json=campaign("crm"))
    answer = ready.call("DELETE", "/v1/endpoints/crm", expect=409)
    assert answer["detail"] == "endpoint 'crm' is used by campaigns: c"
    ready.call("DELETE", "/v1/campaigns/c", expect=204)
    ready.call("DELETE", "/v1/endpoints/crm", expect=204)
    ready.call("GET", "/v1/endpoints/crm", expect=404)


def test_a_changed_endpoint_wakes_delivery(api_with: Callable[..., Api]) -> None:
    """What waited for it may go now."""
    woken: list[bool] = []
    api = api_with(wake_delivery=lambda: woken.append(True))
    api.call("PUT", "/v1/endpoints/e", expect=200, json={"url": URL})
    assert woken == [True]
