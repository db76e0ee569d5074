"""``/v1/campaigns``, ``/v1/endpoints``, ``/v1/profiles``: documents that are taken whole or not."""

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


def test_a_campaign_comes_back_as_it_was_sent(ready: Api) -> None:
    """With its version; every field of the contract that this version knows."""
    document = campaign(
        "crm",
        trigger={
            "on": ["dwell", "enter"],
            "zones": {"ids": ["a"], "tags": ["bakery"], "exclude": ["b"]},
            "dwell_s": 300,
            "min_confidence": 2,
            "most_specific": True,
            "initial": False,
        },
        schedule={"starts": "2026-01-01", "ends": "2026-02-01T18:00"},
        caps={"cooldown_s": 3600},
        valid_s=600,
        status="paused",
    )
    stored = ready.call("PUT", "/v1/campaigns/way/1", expect=200, json=document)
    assert stored == document | {"id": "way/1", "version": 1, "matches_zones": 0}
    assert ready.call("GET", "/v1/campaigns/way/1", expect=200) == stored


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


@pytest.mark.usefixtures("crm")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"audience": "visits > 3"}, "$.audience"),
        ({"budget": {"total": 100}}, "$.budget"),
        ({"holdout": 0.1}, "$.holdout"),
        ({"variants": []}, "$.variants"),
        ({"caps": {"per_profile": [{"max": 1, "period_s": 60}]}}, "$.caps.per_profile"),
        ({"schedule": {"days": ["mon"]}}, "$.schedule.days"),
        ({"schedule": {"hours": "9-17"}}, "$.schedule.hours"),
    ],
)
def test_what_this_version_lacks_is_refused_by_name(
    lasting: Api, change: dict[str, Any], path: str
) -> None:
    """Never ignored: a holdout that nobody holds out would be found out too late."""
    answer = lasting.call("PUT", "/v1/campaigns/c", expect=422, json=campaign("crm", **change))
    assert paths(answer) == [path]
    assert answer["errors"][0]["reason"] == "not supported yet by this version"


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
    assert paths(answer) == [path]
    assert reason in answer["errors"][0]["reason"]
    lasting.call("GET", "/v1/campaigns/c", expect=404)


def test_missing_members_are_named(lasting: Api) -> None:
    """All at once."""
    answer = lasting.call("PUT", "/v1/campaigns/c", expect=422, json={})
    assert paths(answer) == ["$.name", "$.offer", "$.endpoints"]
    assert {each["reason"] for each in answer["errors"]} == {"is required"}


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


# -- profiles -------------------------------------------------------------------------------


def test_a_profile_is_replaced_and_erased(api: Api) -> None:
    """Whole, under the device's id, which may hold a slash."""
    url = "/v1/profiles/aino/phone"
    api.call("GET", url, expect=404)
    first = {"attributes": {"tier": "gold", "n": [1, 2.5, None]}, "consent": {"marketing": True}}
    assert api.call("PUT", url, expect=200, json=first) == first | {"id": "aino/phone"}
    assert api.call("GET", url, expect=200) == first | {"id": "aino/phone"}
    api.call("PUT", url, expect=200, json={})
    assert api.call("GET", url, expect=200)["attributes"] == {}
    api.call("DELETE", url, expect=204)
    api.call("GET", url, expect=404)
    api.call("DELETE", url, expect=404)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"attributes": []}, "$.attributes"),
        ({"consent": {"marketing": "perhaps"}}, "$.consent.marketing"),
        ({"consent": {"": True}}, "$.consent"),
        ({"name": "x"}, "$.name"),
        ([], "$"),
    ],
)
def test_a_profile_that_is_none_is_refused(lasting: Api, body: Any, path: str) -> None:
    """With its path."""
    answer = lasting.call("PUT", "/v1/profiles/p", expect=422, json=body)
    assert paths(answer)[0].startswith(path)
