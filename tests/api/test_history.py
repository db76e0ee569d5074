"""What happened, what was decided, what was delivered: filters, pages, replays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from geotarget.api.values import parse_instant
from geotarget.events import asyncapi
from geotarget.model import Attempt, BatchWrite, Decision, Rejected
from tests.api.conftest import Api
from tests.api.documents import LNG, campaign, ping, square

URL = "https://crm.example.com/hook"


@pytest.fixture
def told(api: Api) -> Api:
    """Two devices entered a zone, one left; one campaign fired for both, one is paused."""
    return fill(api)


def fill(api: Api) -> Api:
    """Let it happen."""
    api.call("PUT", "/v1/zones/z", expect=200, json=square())
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})
    api.call("PUT", "/v1/campaigns/on", expect=200, json=campaign("crm"))
    api.call("PUT", "/v1/campaigns/off", expect=200, json=campaign("crm", status="paused"))
    pings = [ping("a", ago_s=300), ping("a", ago_s=290), ping("b", ago_s=200), ping("b", ago_s=190)]
    # so far away so fast is believed when three agree
    pings += [ping("a", ago_s=ago_s, lng=LNG + 0.1) for ago_s in (100, 70, 40)]
    answer = api.call("POST", "/v1/pings", expect=202, json=pings)
    assert answer["accepted"] == len(pings)
    return api


def items(api: Api, path: str) -> list[dict[str, Any]]:
    """Return the items of a page."""
    found: list[dict[str, Any]] = api.call("GET", path, expect=200)["items"]
    return found


def test_transitions_by_device_zone_and_kind(told: Api) -> None:
    """Each filter alone and together."""
    everything = items(told, "/v1/transitions")
    assert sorted((each["device"], each["kind"]) for each in everything) == [
        ("a", "enter"),
        ("a", "exit"),
        ("b", "enter"),
    ]
    assert [each["kind"] for each in items(told, "/v1/transitions?device=b")] == ["enter"]
    assert len(items(told, "/v1/transitions?zone=z")) == 3
    assert items(told, "/v1/transitions?zone=y") == []
    (left,) = items(told, "/v1/transitions?device=a&kind=exit")
    assert left["duration_s"] > 0
    assert (left["reason"], left["distance_m"] < -5000, left["accuracy_m"]) == ("far", True, 5.0)
    entered = next(each for each in everything if each["device"] == "a" and each["kind"] == "enter")
    assert left["visit"] == entered["visit"]


def test_transitions_by_time(told: Api) -> None:
    """From is included, to is not; RFC 3339 and epoch seconds mean the same."""
    (entry,) = items(told, "/v1/transitions?device=b")
    at_ms = parse_instant(entry["time"])
    for text in (entry["time"], str(at_ms / 1000)):
        assert items(told, f"/v1/transitions?device=b&from={text}") == [entry]
        assert items(told, f"/v1/transitions?device=b&to={text}") == []
    assert items(told, f"/v1/transitions?device=b&to={(at_ms + 1) / 1000}") == [entry]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("from=yesterday", "from"),
        ("to=2026-01-01", "to"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("kind=entered", "kind"),
        ("cursor=%00", "cursor"),
        ("cursor=abc", "cursor"),
        ("device=%00", "device"),
        ("device=", "device"),
        ("devcie=d", "devcie"),
        ("gate=fired", "gate"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(lasting: Api, query: str, path: str) -> None:
    """By its name in the query."""
    answer = lasting.call("GET", f"/v1/transitions?{query}", expect=422)
    assert [each["path"] for each in answer["errors"]] == [path]


def test_decisions_tell_the_gate_and_the_reason(told: Api) -> None:
    """Fired ones with their offer, refused ones with what was looked at."""
    fired = items(told, "/v1/decisions?gate=fired")
    assert sorted(each["device"] for each in fired) == ["a", "b"]
    assert {each["offer"]["text"] for each in fired} == {"Hello at Square None"}
    refused = items(told, "/v1/decisions?campaign=off")
    assert len(refused) == 2
    assert {each["gate"] for each in refused} != {"fired"}
    assert all(each["reason"] for each in refused)
    assert len(items(told, "/v1/decisions?device=a&zone=z")) == 2


def test_decisions_tell_what_was_offered_and_what_gates_let_pass(api: Api) -> None:
    """Variant, language, cost, visit and day; figures of the gates before; a held-out person."""
    store = api.services.store
    common = {
        "campaign": "c", "campaign_version": 2, "transition": "t", "device": "d", "profile": "p",
        "zone": "z", "reason": "r", "decided_ms": 1_767_268_800_000, "variant": "warm",
        "language": "fi", "offer": {"text": "Hei"}, "visit": "v", "day": "2026-01-01",
        "passed": {"consent": {"consent.marketing": True}},
    }  # fmt: skip
    fired = Decision(id="1", gate="fired", cost_micros=50_000, **common)
    spared = Decision(id="2", gate="holdout", inputs={"hash": 0.05}, **common)
    store.write_batch(BatchWrite(decisions=[fired, spared]))
    second, first = items(api, "/v1/decisions?campaign=c")
    told = ("variant", "language", "offer", "visit", "day", "passed")
    assert [first[name] for name in told] == [common[name] for name in told]
    assert (first["held_out"], first["cost"]) == (False, 0.05)
    assert (second["held_out"], second["cost"], second["inputs"]) == (True, 0, {"hash": 0.05})
    assert second["offer"] == {"text": "Hei"}


def test_an_offer_can_be_followed_from_decision_to_delivery(told: Api) -> None:
    """The decision's id is the event's; the body is what the receiver gets."""
    (decision,) = items(told, "/v1/decisions?gate=fired&device=a")
    (delivery,) = items(told, "/v1/deliveries?device=a")
    assert delivery["state"] == "pending"
    event = told.call("GET", f"/v1/deliveries/{delivery['id']}", expect=200)
    (detail,) = event["items"]
    assert detail["body"]["data"]["decision"] == decision["id"]
    assert detail["body"]["data"]["offer"] == decision["offer"]
    assert detail["history"] == []
    told.call("GET", "/v1/deliveries/nobody", expect=404)


def mark(api: Api, delivery: dict[str, Any], state: str, status: int) -> None:
    """Record an attempt as the sender does."""
    now_ms = time.time_ns() // 1_000_000
    attempt = Attempt(
        webhook_id=delivery["id"],
        endpoint=delivery["endpoint"],
        attempt=1,
        started_ms=now_ms,
        duration_ms=12,
        state=state,
        next_attempt_ms=now_ms,
        status=status,
        answer="so so",
    )
    api.store.mark([attempt])


def test_deliveries_by_state_endpoint_and_type(told: Api) -> None:
    """And the attempts that were made."""
    first, second = items(told, "/v1/deliveries?type=offer.triggered&endpoint=crm")
    mark(told, first, "delivered", 204)
    mark(told, second, "failed", 410)
    (delivered,) = items(told, "/v1/deliveries?state=delivered")
    assert (delivered["id"], delivered["status"], delivered["attempts"]) == (first["id"], 204, 1)
    assert delivered["next_attempt"] is None
    assert delivered["finished"] is not None
    (detail,) = told.call("GET", f"/v1/deliveries/{second['id']}", expect=200)["items"]
    assert [(each["status"], each["answer"]) for each in detail["history"]] == [(410, "so so")]
    assert items(told, "/v1/deliveries?endpoint=other") == []


def test_a_delivery_is_sent_again_on_request(api_with: Callable[..., Api]) -> None:
    """It waits again, and the sender is woken."""
    woken: list[bool] = []
    api = fill(api_with(wake_delivery=lambda: woken.append(True)))
    woken.clear()
    (delivery, _) = items(api, "/v1/deliveries")
    mark(api, delivery, "delivered", 204)
    path = f"/v1/deliveries/{delivery['id']}:replay"
    assert api.call("POST", f"{path}?endpoint=other", expect=404)
    assert woken == []
    assert api.call("POST", path, expect=202) == {"requeued": 1}
    assert woken == [True]
    (again,) = [each for each in items(api, "/v1/deliveries") if each["id"] == delivery["id"]]
    assert again["state"] == "pending"
    api.call("POST", "/v1/deliveries/nobody:replay", expect=404)


def letters(*payloads: bytes) -> Sequence[Rejected]:
    """Return dead letters."""
    return [
        Rejected("pings/d", payload, "json", "not JSON", received_ms=1_000 + position)
        for position, payload in enumerate(payloads)
    ]


def test_dead_letters_show_text_as_text_and_bytes_as_base64(api: Api) -> None:
    """Newest first."""
    api.store.write_batch(BatchWrite(rejected=letters(b"{broken", b"\xff\x00")))
    second, first = items(api, "/v1/dead-letters?reason=json")
    assert (first["payload"], first["encoding"]) == ("{broken", "text")
    assert (second["payload"], second["encoding"]) == ("/wA=", "base64")
    assert items(api, "/v1/dead-letters?reason=latitude") == []
    assert items(api, "/v1/dead-letters?to=1.001") == [first]


def test_pages_follow_each_other(api: Api) -> None:
    """No item twice, none left out, although new ones come in between."""
    api.store.write_batch(BatchWrite(rejected=letters(*(b"%d" % n for n in range(25)))))
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.call("GET", f"/v1/dead-letters?limit=10{cursor}", expect=200)
        seen += [each["payload"] for each in page["items"]]
        api.store.write_batch(BatchWrite(rejected=letters(b"new")))
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [str(n) for n in reversed(range(25))]


def failed(api: Api) -> list[dict[str, Any]]:
    """Fill, and let every delivery fail."""
    found = items(fill(api), "/v1/deliveries")
    for each in found:
        mark(api, each, "failed", 503)
    return found


def test_all_that_failed_is_sent_again(api_with: Callable[..., Api]) -> None:
    """In one request, counted, noted for the audit; the same request again changes nothing."""
    woken: list[bool] = []
    api = api_with(wake_delivery=lambda: woken.append(True))
    sent = failed(api)
    woken.clear()
    wanted = {"from": "2020-01-01T00:00:00Z", "endpoint": "crm", "state": ["failed", "expired"]}
    done = api.call("POST", "/v1/deliveries:replay", expect=202, json=wanted)
    assert done == {"requeued": len(sent), "next": None}
    assert woken == [True]
    assert {each["state"] for each in items(api, "/v1/deliveries")} == {"pending"}
    again = api.call("POST", "/v1/deliveries:replay", expect=202, json=wanted)
    assert again == {"requeued": 0, "next": None}
    assert woken == [True]
    (noted, *_) = api.store.audit_page().items
    assert (noted.action, noted.subject, noted.detail) == (
        "delivery.replay", "crm", {"count": len(sent)},
    )  # fmt: skip


def test_a_replay_goes_on_from_its_cursor(api: Api) -> None:
    """A bounded replay says where the next one goes on."""
    sent = failed(api)
    wanted = {"from": 0, "limit": len(sent) - 1}
    first = api.call("POST", "/v1/deliveries:replay", expect=202, json=wanted)
    assert first["requeued"] == len(sent) - 1
    rest = wanted | {"cursor": first["next"]}
    assert api.call("POST", "/v1/deliveries:replay", expect=202, json=rest) == {
        "requeued": 1, "next": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    [
        ({"from": None}, 422, "$.from"),
        ({"state": []}, 422, "$.state"),
        ({"state": ["lost"]}, 422, "$.state[0]"),
        ({"limit": 100_001}, 422, "$.limit"),
        ({"cursor": "x"}, 422, "cursor"),
        ({"endpoint": "nobody"}, 404, ""),
        ({"zone": "z"}, 422, "$.zone"),
    ],
)
def test_a_replay_that_can_not_be_meant_is_refused(
    api: Api, changes: dict[str, Any], status: int, path: str
) -> None:
    """With the place of the mistake; nothing is sent."""
    sent = failed(api)
    body = {"from": 0} | changes
    told = api.call("POST", "/v1/deliveries:replay", expect=status, json=body)
    assert [each["path"] for each in told["errors"]] == ([path] if path else [])
    assert api.store.counts().deliveries_failed == len(sent)


def test_a_replay_needs_its_scope(api: Api) -> None:
    """Reading what was delivered is not enough to send it again."""
    reader = api.key("reports:read")
    api.call("POST", "/v1/deliveries:replay", expect=403, json={"from": 0}, headers=reader)


def test_the_event_catalogue_needs_no_key(api: Api) -> None:
    """It is the document that the command line prints, and no secret."""
    answer = api.client.get("/v1/events", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, asyncapi("0.0.test"))
