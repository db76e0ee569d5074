"""Gates in previews: what would happen if this profile entered this zone now, nothing counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from geotarget.model import Hours, Policy
from geotarget.targeting import GATES
from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square

ORDER = [name for name, _ in GATES]


@pytest.fixture
def ready(api: Api) -> Api:
    """An API with an endpoint, two zones and a person of two devices."""
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    api.call("PUT", "/v1/zones/shop", expect=200, json=square(tags=["branch"]))
    api.call("PUT", "/v1/zones/park", expect=200, json=square(lng=25.1))
    person = {"attributes": {"tier": "gold"}, "devices": ["phone", "watch"]}
    api.call("PUT", "/v1/profiles/aino", expect=200, json=person)
    return api


def gates(api: Api, draft: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Return what the gates say of a draft."""
    body = {"campaign": draft, "profile": "aino", "zone": "shop", **more}
    answer = api.call("POST", "/v1/campaigns:preview", expect=200, json=body)
    found: list[dict[str, Any]] = answer["gates"]
    assert [each["gate"] for each in found] == ORDER
    return found


def refused(found: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the gate that refuses, and why; those before it hold, those behind are not asked."""
    at = next(at for at, each in enumerate(found) if not each["holds"])
    assert [each["holds"] for each in found[:at]] == [True] * at
    assert found[at]["holds"] is False
    assert [each["holds"] for each in found[at + 1 :]] == [None] * (len(found) - at - 1)
    return found[at]["gate"], found[at]["reason"]


def test_every_gate_that_holds_says_what_it_saw(ready: Api) -> None:
    """All ten in their order; who asks for a sample is told of none."""
    draft = campaign("crm", audience="profile.tier == 'gold'", holdout=0.0001)
    found = gates(ready, draft)
    assert {each["holds"] for each in found} == {True}
    told = {each["gate"]: each["reason"] for each in found}
    assert told["audience"] == "in the campaign's own"
    body = {"campaign": draft, "sample": {"tier": "gold"}, "zone": "shop"}
    assert ready.call("POST", "/v1/campaigns:preview", expect=200, json=body)["gates"] is None


REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("elsewhere", {"trigger": {"zones": {"tags": ["cafe"]}}}, {}, "trigger", "does not mean"),
    ("excluded", {"trigger": {"zones": {"exclude": ["shop"]}}}, {}, "trigger", "does not mean"),
    ("over", {"schedule": {"ends": "2020-01-01"}}, {}, "schedule", "2020-01-01"),
    ("no consent", {"consent": {"required": True}}, {}, "consent", "not said yes"),
    ("other tier", {"audience": "profile.tier == 'blue'"}, {}, "audience", "rule does not hold"),
    ("no audience", {"audiences": ["gone"]}, {}, "audience", "gone"),
    ("no text", {"offer": {"text": "{{ 1 | divided_by: 0 }}"}}, {}, "content", "divi"),
    ("no zone", {"consent": {"required": True}}, {"zone": None}, "consent", "not said yes"),
]


@pytest.mark.parametrize(
    ("changes", "more", "gate", "reason"),
    [each[1:] for each in REFUSED],
    ids=[each[0] for each in REFUSED],
)
def test_the_first_gate_that_refuses_is_told(
    ready: Api, changes: dict[str, Any], more: dict[str, Any], gate: str, reason: str
) -> None:
    """With its reason; those behind it are not asked."""
    name, said = refused(gates(ready, campaign("crm", **changes), **more))
    assert (gate, True) == (name, reason in said), said


def test_a_zone_that_is_off_is_entered_by_nobody(ready: Api) -> None:
    """The trigger refuses."""
    ready.call("PUT", "/v1/zones/shop", expect=200, json=square(active=False))
    assert refused(gates(ready, campaign("crm")))[0] == "trigger"


@pytest.mark.parametrize("status", ["draft", "paused", "ended", "active"])
def test_the_campaign_is_taken_to_run(ready: Api, status: str) -> None:
    """Whatever its status: who plans wants to know what will happen once it does."""
    assert {each["holds"] for each in gates(ready, campaign("crm", status=status))} == {True}


def test_a_dwell_campaign_is_asked_about_a_stay(ready: Api) -> None:
    """The movement is one that the trigger waits for."""
    draft = campaign("crm", trigger={"on": ["dwell"], "dwell_s": 300})
    assert {each["holds"] for each in gates(ready, draft)} == {True}


def test_what_was_sent_counts_under_its_id(ready: Api) -> None:
    """A draft that would replace a stored campaign has its past; asking adds nothing to it."""
    draft = campaign("crm", caps={"cooldown_s": 3600}, budget={"total": 1})
    ready.call("PUT", "/v1/campaigns/hello", expect=200, json=draft)
    pings = [ping("phone", ago_s=ago) for ago in (20, 0)]
    ready.call("POST", "/v1/pings", expect=202, json=pings)
    assert refused(gates(ready, draft, id="hello"))[0] == "cap"
    assert refused(gates(ready, campaign("crm", budget={"total": 1}), id="hello"))[0] == "budget"
    assert {each["holds"] for each in gates(ready, draft)} == {True}
    body = {"profile": "aino", "zone": "shop"}
    answer = ready.call("POST", "/v1/campaigns/hello:preview", expect=200, json=body)
    assert refused(answer["gates"])[0] == "cap"
    (decision,) = ready.call("GET", "/v1/decisions", expect=200)["items"]
    assert decision["gate"] == "fired"


def test_other_campaigns_compete(ready: Api) -> None:
    """One that comes first and would fire is in the way; its own stored version is not."""
    ready.call("PUT", "/v1/campaigns/loud", expect=200, json=campaign("crm", priority=9))
    name, said = refused(gates(ready, campaign("crm")))
    assert (name, "loud" in said) == ("arbitration", True)
    assert {each["holds"] for each in gates(ready, campaign("crm"), id="loud")} == {True}


def test_what_the_operator_set_counts(ready: Api, api_with: Any) -> None:
    """Quiet hours of everybody, around the clock."""
    quiet = replace(Policy(), quiet_hours=Hours("00:00", "24:00"))
    other = api_with(policy=quiet)
    assert refused(gates(other, campaign("crm")))[0] == "schedule"


def test_a_real_person_needs_the_right_to_see_people(ready: Api) -> None:
    """Without `profiles:read` a draft can be rendered for a sample only."""
    key = ready.key("campaigns:read")
    body = {"campaign": campaign("crm"), "profile": "aino"}
    ready.call("POST", "/v1/campaigns:preview", expect=403, json=body, headers=key)
