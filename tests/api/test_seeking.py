"""People and attributes for forms: found by their beginnings, bounded, giving nobody away."""

from __future__ import annotations

from typing import Any

import pytest

from geotarget.api import Limits
from geotarget.model import Profile
from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square


@pytest.fixture
def people(api: Api) -> Api:
    """An API that knows some people, one of them by a device only."""
    names = {"b-1": "Aino", "b-2": "aina", "a-1": "Örjan", "a-2": "Bo", "c%": 7}
    api.store.put_profiles([Profile(id_, {"first_name": name}) for id_, name in names.items()])
    api.store.put_profiles([Profile("a-3", {}, devices=("linked",))])
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    api.call("PUT", "/v1/zones/shop", expect=200, json=square())
    api.call("PUT", "/v1/campaigns/hello", expect=200, json=campaign("crm"))
    pings = [ping(device, ago_s=ago) for device in ("a-walker", "linked") for ago in (20, 0)]
    api.call("POST", "/v1/pings", expect=202, json=pings)
    return api


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("a-", ["a-1", "a-2", "a-3", "a-walker"]),
        ("a", ["a-1", "a-2", "a-3", "a-walker", "b-2", "b-1"]),
        ("AI", ["b-2", "b-1"]),
        ("ör", ["a-1"]),
        ("c%", ["c%"]),
        ("%", []),
        ("linked", []),
        ("", ["a-1", "a-2", "a-3", "a-walker", "b-1", "b-2", "c%"]),
    ],
    ids=["id", "both", "name", "letters", "sign", "wildcard", "device", "anybody"],
)
def test_people_are_found_by_their_beginnings(people: Api, query: str, found: list[str]) -> None:
    """Ids first, then first names in any case; a linked device is nobody of its own."""
    answer = people.call("GET", "/v1/profiles", expect=200, params={"q": query})
    assert [each["id"] for each in answer["items"]] == found


def test_people_are_found_in_bounds(people: Api) -> None:
    """At most as many as asked for, with their first names where those are texts."""
    answer = people.call("GET", "/v1/profiles?q=a&limit=2", expect=200)
    assert answer["items"] == [
        {"id": "a-1", "first_name": "Örjan"},
        {"id": "a-2", "first_name": "Bo"},
    ]
    (sign,) = people.call("GET", "/v1/profiles?q=c", expect=200)["items"]
    assert sign == {"id": "c%", "first_name": None}
    people.call("GET", "/v1/profiles?limit=101", expect=422)
    people.call("GET", "/v1/profiles", expect=403, headers=people.key("audiences:read"))


def test_attributes_are_told_with_what_many_have(api_with: Any) -> None:
    """Names of all, values only of as many people as the minimum audience."""
    api: Api = api_with(limits=Limits(minimum_audience=3))
    tiers = ["gold"] * 3 + ["silver"] * 4 + ["secret"]
    api.store.put_profiles(
        [
            Profile(
                f"p{number}",
                {"tier": tier, "member": True, "age": number, "likes": ["tea"], "text": "x" * 65},
            )
            for number, tier in enumerate(tiers)
        ]
    )
    answer = api.call("GET", "/v1/audiences:attributes", expect=200)
    assert answer["of"] == 8
    told = {each["name"]: (each["profiles"], each["values"]) for each in answer["items"]}
    assert told == {
        "age": (8, []),
        "likes": (8, []),
        "member": (8, [True]),
        "text": (8, []),
        "tier": (8, ["silver", "gold"]),
    }


def test_several_audiences_are_counted_together(api_with: Any) -> None:
    """All must hold, beside the rule; each that is missing is named with its place."""
    api: Api = api_with(limits=Limits(minimum_audience=3))
    api.store.put_profiles(
        [Profile(f"p{n}", {"n": n, **({"tier": "gold"} if n % 2 else {})}) for n in range(40)]
    )
    for name, rule in (("gold", "profile.tier == 'gold'"), ("low", "profile.n < 20")):
        api.call("PUT", f"/v1/audiences/{name}", expect=200, json={"rule": rule})

    def count(expect: int = 200, **body: Any) -> Any:
        return api.call("POST", "/v1/audiences:count", expect=expect, json=body)

    assert count(audiences=["gold"])["count"] == 20
    assert count(audiences=["low", "gold"])["count"] == 10
    both = count(rule="profile.n >= 10", audiences=["low", "gold"])
    assert (both["count"], both["undecided"]) == (5, 5)
    assert "tier" in both["undecided_because"]
    assert count(audience="gold")["count"] == 20
    answer = count(expect=422, rule="true", audiences=["low", "no"])
    assert [each["path"] for each in answer["errors"]] == ["$.audiences[1]"]
    assert count(expect=422, audiences=["low"] * 21)["errors"][0]["path"] == "$.audiences"
    count(expect=422)
