"""``/v1/audiences``: rules that are checked when saved, and counts that give nobody away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geotarget.api import Limits, audiences
from geotarget.model import Profile
from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square

RULE = "profile.tier == 'gold'"


def paths(answer: Any) -> list[str]:
    """Return where the errors are."""
    return [each["path"] for each in answer["errors"]]


def people(api: Api, gold: int, others: int = 0) -> None:
    """Store so many profiles of each kind; every tenth of the others has no tier at all."""
    api.store.put_profiles([Profile(f"gold-{n:05}", {"tier": "gold"}) for n in range(gold)])
    api.store.put_profiles(
        [Profile(f"other-{n:05}", {} if n % 10 == 0 else {"tier": "blue"}) for n in range(others)]
    )


def count(api: Api, *, expect: int = 200, **body: Any) -> Any:
    """Ask for a count."""
    return api.call("POST", "/v1/audiences:count", expect=expect, json=body)


def test_audiences_are_stored_listed_and_deleted(api: Api) -> None:
    """By id, which may hold a slash; the revision rises with changes only."""
    body = {"rule": RULE, "name": "Gold", "description": "Who has\nthe card"}
    made = api.call("PUT", "/v1/audiences/a/b", expect=200, json=body)
    assert made == body | {"id": "a/b", "revision": 1}
    assert api.call("PUT", "/v1/audiences/a/b", expect=200, json=body) == made
    assert api.call("GET", "/v1/audiences/a/b", expect=200) == made
    api.call("PUT", "/v1/audiences/c", expect=200, json={"rule": "true"})
    first = api.call("GET", "/v1/audiences?limit=1", expect=200)
    rest = api.call("GET", f"/v1/audiences?limit=1&cursor={first['next']}", expect=200)
    assert [each["id"] for each in first["items"] + rest["items"]] == ["a/b", "c"]
    api.call("DELETE", "/v1/audiences/c", expect=204)
    api.call("DELETE", "/v1/audiences/c", expect=404)
    api.call("GET", "/v1/audiences/c", expect=404)


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({"rule": "profile.tier = 'gold'"}, "$.rule", "column 14"),
        ({"rule": "visits.total('x') > 1"}, "$.rule", "column"),
        ({"rule": "1 + 1"}, "$.rule", ""),
        ({"rule": ""}, "$.rule", "at least 1"),
        ({"rule": "x" * 4001}, "$.rule", "at most 4000"),
        ({}, "$.rule", "is required"),
        ({"rule": "true", "ruel": 1}, "$.ruel", "unknown member"),
    ],
)
def test_a_rule_is_checked_when_it_is_saved(
    lasting: Api, body: dict[str, Any], path: str, reason: str
) -> None:
    """With the column where it goes wrong."""
    answer = lasting.call("PUT", "/v1/audiences/a", expect=422, json=body)
    assert paths(answer)[0] == path
    assert reason in answer["errors"][0]["reason"]
    lasting.call("GET", "/v1/audiences/a", expect=404)


def test_an_audience_in_use_is_a_conflict(api: Api) -> None:
    """409 names the campaigns."""
    api.call("PUT", "/v1/audiences/gold", expect=200, json={"rule": RULE})
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    body = campaign("crm", audiences=["gold"])
    api.call("PUT", "/v1/campaigns/c", expect=200, json=body)
    answer = api.call("DELETE", "/v1/audiences/gold", expect=409)
    assert answer["detail"] == "audience 'gold' is used by campaigns: c"
    api.call("DELETE", "/v1/campaigns/c", expect=204)
    api.call("DELETE", "/v1/audiences/gold", expect=204)


def test_a_count_is_exact_and_names_a_few(api: Api) -> None:
    """By a rule or a stored audience; who has no answer is counted with the reason."""
    people(api, 25, 120)
    api.call("PUT", "/v1/audiences/gold", expect=200, json={"rule": RULE})
    for body in ({"rule": RULE}, {"audience": "gold"}):
        told = count(api, **body)
        assert (told["count"], told["of"], told["exact"]) == (25, 145, True)
        assert told["text"] == "25 of 145 people"
        assert told["sample"] == [f"gold-{n:05}" for n in range(10)]
        assert told["undecided"] == 12
        assert "tier" in told["undecided_because"]
    assert count(api, rule="!has(profile.tier) || profile.tier != 'gold'")["count"] == 120


@pytest.mark.parametrize(("gold", "told"), [(0, None), (9, None), (10, 10)])
def test_few_people_are_not_told(api: Api, gold: int, told: int | None) -> None:
    """Below the minimum audience there is neither a count nor an id."""
    people(api, gold, 20)
    answer = count(api, rule=RULE)
    assert (answer["count"], answer["undecided"]) == (told, 0)
    assert len(answer["sample"]) == (told or 0)
    assert ("fewer than 10" in answer["text"]) == (told is None)


def test_the_operator_sets_the_minimum(api_with: Callable[..., Api]) -> None:
    """Another bound, another answer."""
    api = api_with(limits=Limits(minimum_audience=50))
    people(api, 49)
    assert count(api, rule=RULE)["count"] is None
    people(api, 50)
    assert count(api, rule=RULE)["count"] == 50


def test_ids_need_the_scope_for_profiles(api: Api) -> None:
    """Who may only read audiences gets the count alone."""
    people(api, 12)
    for scopes, ids in [(["audiences:read"], 0), (["audiences:read", "profiles:read"], 10)]:
        body = {"rule": RULE}
        url, headers = "/v1/audiences:count", api.key(*scopes)
        answer = api.call("POST", url, expect=200, json=body, headers=headers)
        assert (answer["count"], len(answer["sample"])) == (12, ids)
    headers = api.key("campaigns:write")
    api.call("POST", "/v1/audiences:count", expect=403, json=body, headers=headers)


def test_many_are_estimated_from_a_sample(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the answer says "about", and is near."""
    monkeypatch.setattr(audiences, "EXACT_UP_TO", 1_000)
    monkeypatch.setattr(audiences, "SAMPLE", 800)
    people(api, 1_000, 3_000)
    told = count(api, rule=RULE)
    assert (told["of"], told["exact"]) == (4_000, False)
    assert told["text"].startswith("about ")
    assert 850 < told["count"] < 1_150


def test_behaviour_counts_and_places_are_given(api: Api) -> None:
    """Whoever was only seen is counted too; `here` needs a zone."""
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=square("kamppi", tags=["shop"]))
    pings = [ping(f"d{n}", ago_s=ago) for ago in (60, 40) for n in range(12)]
    api.call("POST", "/v1/pings", expect=202, json=pings)
    assert count(api, rule="visits.tag('shop', 30) == 1")["count"] == 12
    assert count(api, rule="visits.here(30) == 1", zone="kamppi")["count"] == 12
    nowhere = count(api, rule="visits.here(30) == 1")
    assert (nowhere["count"], nowhere["undecided"]) == (None, 12)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$"),
        ({"audience": "nobody"}, "$.audience"),
        ({"rule": RULE, "zone": "nowhere"}, "$.zone"),
        ({"rule": "oops("}, "$.rule"),
    ],
)
def test_a_question_that_is_none_is_refused(lasting: Api, body: dict[str, Any], path: str) -> None:
    """With its path."""
    assert paths(count(lasting, expect=422, **body))[0] == path
