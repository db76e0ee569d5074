"""``/v1/endpoints``: secrets that change without a gap, test events, on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geotarget.delivery.signature import signing_keys
from geotarget.model import Delivery
from tests.api.conftest import Api

URL = "https://crm.example.com/hook"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CRM = "/v1/endpoints/crm"


def paths(answer: Any) -> list[str]:
    """Return where the problems are."""
    return [each["path"] for each in answer["errors"]]


@pytest.fixture
def crm(api: Api) -> Api:
    """An API with an endpoint ``crm``."""
    api.call("PUT", CRM, expect=200, json={"url": URL, "secret": SECRET})
    return api


def test_both_secrets_sign_while_they_overlap(crm: Api) -> None:
    """The new one is shown once, the old one is hinted at with its end."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    assert made["secret"] != SECRET
    assert made["previous_secret"]["hint"] == SECRET[-4:]
    shown = crm.call("GET", CRM, expect=200)
    assert (shown["secret"], shown["previous_secret"]) == (None, made["previous_secret"])
    assert made["secret"] not in crm.client.get("/v1/endpoints").text
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert len(signing_keys(stored, now_ms=stored.previous_until_ms - 1)) == 2
    assert len(signing_keys(stored, now_ms=stored.previous_until_ms)) == 1


def test_changes_keep_the_overlap_and_a_secret_that_is_put_ends_it(crm: Api) -> None:
    """A new description says nothing of secrets."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 60})
    changed = crm.call("PUT", CRM, expect=200, json={"url": URL, "description": "new"})
    assert changed["previous_secret"] == made["previous_secret"]
    assert changed["secret_hint"] == made["secret"][-4:]
    put = crm.call("PUT", CRM, expect=200, json={"url": URL, "secret": SECRET})
    assert put["previous_secret"] is None


def test_a_third_secret_is_a_conflict_unless_it_ends_the_others(crm: Api) -> None:
    """A leaked secret is taken out of use at once, in the middle of a rotation too."""
    crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    answer = crm.call("POST", f"{CRM}:rotate", expect=409, json={"overlap_s": 5})
    assert "two secrets of endpoint 'crm' sign already, for 86" in answer["detail"]
    alone = crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 0, "secret": SECRET})
    assert (alone["secret"], alone["previous_secret"]) == (SECRET, None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"overlap_s": -1}, "$.overlap_s"),
        ({"overlap_s": 2_592_001}, "$.overlap_s"),
        ({"overlap_s": 1.5}, "$.overlap_s"),
        ({"overlap_s": True}, "$.overlap_s"),
        ({"secret": "whsec_short"}, "$.secret"),
        ({"overlap": 1}, "$.overlap"),
    ],
)
def test_a_wrong_rotation_is_refused(crm: Api, body: dict[str, Any], path: str) -> None:
    """With its path; nothing changes."""
    answer = crm.call("POST", f"{CRM}:rotate", expect=422, json=body)
    assert paths(answer) == [path]
    assert crm.call("GET", CRM, expect=200)["secret_hint"] == SECRET[-4:]


def test_what_is_not_there_can_be_neither_rotated_nor_tested(api: Api) -> None:
    """404 names it."""
    for action, body in (("rotate", {"json": {}}), ("test", {})):
        answer = api.call("POST", f"{CRM}:{action}", expect=404, **body)
        assert "'crm'" in answer["detail"]


def test_a_test_event_waits_in_the_outbox(api_with: Callable[..., Api]) -> None:
    """One, whatever the endpoint's events say; the sender is woken."""
    woken: list[bool] = []
    api = api_with(wake_delivery=lambda: woken.append(True))
    api.call("PUT", CRM, expect=200, json={"url": URL, "events": ["transition.exit"]})
    id = api.call("POST", f"{CRM}:test", expect=202)["id"]
    (told,) = api.call("GET", f"/v1/deliveries/{id}", expect=200)["items"]
    assert (told["type"], told["endpoint"], told["state"]) == ("test", "crm", "pending")
    assert told["body"]["type"] == "test"
    assert told["body"]["data"]["endpoint"] == "crm"
    assert api.store.outbox_size()[0] == 1
    assert len(woken) == 2


def test_an_endpoint_is_disabled_with_a_reason_and_enabled_again(crm: Api) -> None:
    """Meanwhile nothing can be tested; an empty reason says who did it."""
    off = {"url": URL, "enabled": False, "disabled_reason": "the till is being moved"}
    answer = crm.call("PUT", CRM, expect=200, json=off)
    assert (answer["state"], answer["disabled_reason"]) == ("disabled", off["disabled_reason"])
    refused = crm.call("POST", f"{CRM}:test", expect=409)
    assert refused["detail"] == "endpoint 'crm' is disabled: the till is being moved"
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL, "enabled": False})
    assert answer["disabled_reason"] == "disabled by its owner"
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL})
    assert (answer["state"], answer["disabled_reason"]) == ("enabled", "")


def test_bounds_of_an_endpoint_are_kept(crm: Api) -> None:
    """Until a document without them takes them off."""
    bounds = {"rate_per_s": 12.5, "concurrency": 2}
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL} | bounds)
    assert {name: answer[name] for name in bounds} == bounds
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert (stored.rate_per_s, stored.concurrency) == (12.5, 2)
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL})
    assert {answer[name] for name in bounds} == {None}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"rate_per_s": 0}, "$.rate_per_s"),
        ({"rate_per_s": 10_001}, "$.rate_per_s"),
        ({"rate_per_s": "5"}, "$.rate_per_s"),
        ({"concurrency": 0}, "$.concurrency"),
        ({"concurrency": 1.5}, "$.concurrency"),
        ({"concurrency": 1_001}, "$.concurrency"),
    ],
)
def test_bounds_have_bounds(lasting: Api, wrong: dict[str, Any], path: str) -> None:
    """With their path."""
    answer = lasting.call("PUT", "/v1/endpoints/e", expect=422, json={"url": URL} | wrong)
    assert paths(answer) == [path]


@pytest.mark.parametrize(
    "wrong", [{"disabled_reason": "why"}, {"enabled": "no"}, {"enabled": False, "url": ""}]
)
def test_contradictions_are_refused(lasting: Api, wrong: dict[str, Any]) -> None:
    """A reason needs something that is disabled; enabled is true or false."""
    lasting.call("PUT", "/v1/endpoints/e", expect=422, json={"url": URL} | wrong)
    lasting.call("GET", "/v1/endpoints/e", expect=404)


def test_changes_of_secrets_are_in_the_audit_log_without_them(crm: Api) -> None:
    """Who rotated, who disabled; no secret is told."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    stored = crm.store.endpoint("crm")
    assert stored is not None
    since_ms = 1_700_000_000_000
    other = Delivery("endpoint_1", "other", "endpoint.disabled", b"{}", since_ms)
    disabled = crm.store.disable_endpoint(
        "crm",
        stored.revision,
        "every attempt has failed",
        failing_since_ms=since_ms,
        tell=lambda _: [other],
        by="delivery",
    )
    assert disabled is not None
    again = crm.store.disable_endpoint("crm", disabled.revision, "once more", by="delivery")
    assert again is None
    told = crm.store.audit_page().items
    assert [(each.actor, each.action) for each in told] == [
        ("delivery", "endpoint.disable"),
        ("admin", "endpoint.rotate"),
        ("admin", "endpoint.put"),
    ]
    assert not any(secret[6:] in repr(told) for secret in (SECRET, made["secret"]))
    assert crm.store.outbox_size()[0] == 1
    crm.catalog.refresh()
    shown = crm.call("GET", CRM, expect=200)
    assert (shown["state"], shown["failing_since"]) == ("disabled", "2023-11-14T22:13:20.000Z")
    assert crm.call("PUT", CRM, expect=200, json={"url": URL})["failing_since"] is None


def test_what_was_changed_meanwhile_is_not_disabled(crm: Api) -> None:
    """The owner was faster than the sender; neither is its failure written down."""
    stored = crm.store.endpoint("crm")
    assert stored is not None
    crm.call("PUT", CRM, expect=200, json={"url": URL + "/new"})
    assert crm.store.disable_endpoint("crm", stored.revision, "dead") is None
    crm.store.note_failing("crm", stored.revision, 5)
    assert crm.call("GET", CRM, expect=200)["failing_since"] is None
    crm.store.note_failing("crm", stored.revision + 1, 5)
    assert crm.call("GET", CRM, expect=200)["failing_since"] == "1970-01-01T00:00:00.005Z"
