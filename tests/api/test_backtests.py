"""Backtests over the real parts: what came through the pipeline is tried on drafts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geotarget.api import backtests
from geotarget.model import Cap, Policy
from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square

STORED = "/v1/campaigns/buns:backtest"
DRAFT = "/v1/campaigns:backtest"


def seen(api: Api, people: int, *, visits: int = 2) -> None:
    """Let people come into the shop, and out again, some times."""
    api.call("PUT", "/v1/zones/shop", json=square("shop"), expect=200)
    api.call("PUT", "/v1/zones/other", json=square("other", lng=25.5), expect=200)
    api.call("PUT", "/v1/endpoints/crm", json={"url": "https://crm.example/hook"}, expect=200)
    for visit in range(visits):
        begun_s = 3_600 * (visits - visit)
        for step in range(8):
            where = {} if step < 4 else {"lat": 60.19}
            pings = [
                ping(f"p{number}", ago_s=begun_s - 200 * step, **where) for number in range(people)
            ]
            api.call("POST", "/v1/pings", json=pings, expect=202)


def draft(**changes: Any) -> dict[str, Any]:
    """Return a campaign for who enters the shop."""
    shop = {"on": ["enter"], "zones": {"ids": ["shop"]}}
    return campaign("crm", trigger=shop, cost_per_offer=0.02, status="draft", **changes)


def test_a_stored_draft_and_the_same_in_the_body(api: Api) -> None:
    """One answer; nothing is sent, decided or stored by it."""
    seen(api, 12)
    api.call("PUT", "/v1/campaigns/buns", json=draft(), expect=200)
    before = api.store.counts(), api.store.outbox_size(), api.store.behaviour("p1")
    stored = api.call("POST", STORED, json={}, expect=200)
    typed = api.call("POST", DRAFT, json={"campaign": draft(), "id": "buns"}, expect=200)
    assert before == (api.store.counts(), api.store.outbox_size(), api.store.behaviour("p1"))
    assert stored["took_s"] > 0
    for answer in (stored, typed):
        del answer["took_s"], answer["from"], answer["to"]
    assert stored == typed
    assert stored["sentence"] == (
        "Over the last 7 days this would have sent 24 offers to 12 people, costing 0.48 EUR."
    )
    assert (stored["offers"], stored["people"], stored["cost"]) == (24, 12, 0.48)
    assert stored["by_zone"] == [{"zone": "shop", "name": "Square shop", "offers": 24}]
    assert sum(each["offers"] for each in stored["by_day"]) == 24
    assert (stored["transitions"], stored["answered"], stored["eligible"]) == (48, 24, 24)
    assert (stored["complete"], stored["cut"], stored["refused"]) == (True, False, [])


def test_refusals_budget_and_variants_are_told(api: Api) -> None:
    """By gate in words; what may be spent stands beside what would have been."""
    seen(api, 12)
    two = [{"id": "a", "offer": {"text": "A"}}, {"id": "b", "offer": {"text": "B"}}]
    typed = draft(
        offer=None,
        variants=two,
        caps={"per_profile": [{"max": 1}]},
        budget={"per_day": 1, "in": "money"},
        holdout=0.5,
    )
    answer = api.call("POST", DRAFT, json={"campaign": typed, "days": 2}, expect=200)
    gates = {each["gate"]: each for each in answer["refused"]}
    assert set(gates) == {"holdout", "cap"}
    assert gates["cap"]["count"] == answer["offers"]
    assert gates["cap"]["sentence"].endswith("of people who had had enough offers.")
    assert answer["held_out"] == gates["holdout"]["count"]
    assert answer["budget"] == {"in": "money", "per_day": 1.0, "total": None}
    assert [each["variant"] for each in answer["by_variant"]] == ["a", "b"]
    assert sum(each["offers"] for each in answer["by_variant"]) == answer["offers"]
    assert answer["people"] is None  # fewer than the minimum audience
    assert "very few people" in answer["sentence"]


def test_the_operators_policy_holds(api_with: Callable[..., Api]) -> None:
    """One offer for each person, over all campaigns."""
    api = api_with(policy=Policy(caps=(Cap(1),)))
    seen(api, 12)
    answer = api.call("POST", DRAFT, json={"campaign": draft()}, expect=200)
    assert (answer["offers"], answer["refused"][0]["gate"]) == (12, "cap")


def test_nothing_was_seen_yet(api: Api) -> None:
    """A node without history says so, and when it can be of use."""
    api.call("PUT", "/v1/endpoints/crm", json={"url": "https://crm.example/hook"}, expect=200)
    answer = api.call("POST", DRAFT, json={"campaign": draft(), "days": 31}, expect=200)
    assert (answer["transitions"], answer["first"], answer["notes"]) == (0, None, [])
    assert answer["sentence"] == (
        "Nobody was seen in a zone over the last 31 days: there is nothing to try it on yet."
    )


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param({"days": 0}, "$.days", id="none"),
        pytest.param({"days": 32}, "$.days", id="many"),
        pytest.param({"days": "7"}, "$.days", id="text"),
        pytest.param({"since": 7}, "$.since", id="unknown"),
        pytest.param({"campaign": draft(holdout=0.95)}, "$.campaign.holdout", id="holdout"),
        pytest.param({"campaign": draft(audience="profile.")}, "$.campaign.audience", id="rule"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(api: Api, body: dict[str, Any], place: str) -> None:
    """Before anything is read."""
    answer = api.call("POST", DRAFT, json={"campaign": draft(), **body}, expect=422)
    assert answer["errors"][0]["path"].startswith(place)


def test_a_campaign_that_there_is_not(api: Api) -> None:
    """Only a draft in the body need not be stored."""
    answer = api.call("POST", STORED, json={"days": 3}, expect=404)
    assert "buns" in answer["detail"]


def test_what_a_key_must_allow(api: Api) -> None:
    """Reports; and audiences for a rule that nobody stored."""
    reader = api.key("campaigns:read")
    refused = api.call("POST", DRAFT, json={"campaign": draft()}, headers=reader, expect=403)
    assert "reports:read" in refused["detail"]
    reader = api.key("reports:read")
    api.call("POST", DRAFT, json={"campaign": draft()}, headers=reader, expect=200)
    asking = {"campaign": draft(audience="profile.tier == 'gold'")}
    refused = api.call("POST", DRAFT, json=asking, headers=reader, expect=403)
    assert "audiences:read" in refused["detail"]
    reader = api.key("reports:read", "audiences:read")
    api.call("POST", DRAFT, json=asking, headers=reader, expect=200)


def test_one_runs_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits a moment, then it is told to come back; afterwards all is well."""
    monkeypatch.setattr(backtests, "WAIT_S", 0.01)
    with backtests._alone():
        answer = api.client.post(DRAFT, json={"campaign": draft()})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
    assert "another backtest is running" in answer.json()["detail"]
    api.call("POST", DRAFT, json={"campaign": draft()}, expect=200)


def test_time_is_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was played by then is the answer, and it says what is missing."""
    seen(api, 150)
    monkeypatch.setattr(backtests, "MOST_S", -1.0)
    answer = api.call("POST", DRAFT, json={"campaign": draft()}, expect=200)
    assert (answer["complete"], answer["transitions"]) == (False, 500)
    assert "the newest movements were left out" in answer["notes"][0]
