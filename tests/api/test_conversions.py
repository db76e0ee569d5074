"""``/v1/conversions``: what downstream reports, once, and what it counts for."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square

SOLD: dict[str, Any] = {"id": "r1", "profile": "aino", "value": 12.5, "currency": "EUR"}


def post(api: Api, body: Any, *, expect: int = 200) -> Any:
    """Report conversions as JSON."""
    return api.call("POST", "/v1/conversions", expect=expect, json=body)


@pytest.fixture
def visited(api: Api) -> str:
    """An offer that was made to ``d1``; returns its decision."""
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=square("kamppi"))
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    body = campaign("crm", offer=None, variants=[{"id": "a", "offer": {"t": "Hello"}}])
    api.call("PUT", "/v1/campaigns/hello", expect=200, json=body)
    pings = [ping("d1", ago_s=ago) for ago in (60, 40, 20)]
    api.call("POST", "/v1/pings", expect=202, json=pings)
    (decision,) = api.call("GET", "/v1/decisions?gate=fired", expect=200)["items"]
    return str(decision["id"])


def test_one_many_and_lines_are_taken(api: Api) -> None:
    """Each answers how many were new; the same id counts once, whatever else it says."""
    assert post(api, SOLD) == {"accepted": 1, "known": 0, "rejected": []}
    assert post(api, SOLD | {"value": 99})["known"] == 1
    many = [SOLD | {"id": f"r{number}"} for number in range(1, 4)]
    assert post(api, many) == {"accepted": 2, "known": 1, "rejected": []}
    lines = "\n".join(json.dumps(SOLD | {"id": name}) for name in ("r4", "r1")) + "\n\n{]\n"
    headers = {"Content-Type": "application/x-ndjson"}
    told = api.call("POST", "/v1/conversions", expect=200, content=lines, headers=headers)
    assert (told["accepted"], told["known"]) == (1, 1)
    assert [each["index"] for each in told["rejected"]] == [3]
    listed = api.call("GET", "/v1/conversions?profile=aino", expect=200)["items"]
    assert [each["id"] for each in listed] == ["r4", "r3", "r2", "r1"]
    assert (listed[-1]["value"], listed[-1]["currency"]) == (12.5, "EUR")


def test_it_counts_for_the_decision_that_it_names(api: Api, visited: str) -> None:
    """Whoever reports needs to know nobody's profile then."""
    assert post(api, {"id": "r1", "decision": visited})["accepted"] == 1
    (told,) = api.call("GET", "/v1/conversions?campaign=hello", expect=200)["items"]
    assert told["by_decision"]
    assert (told["profile"], told["decision"], told["zone"]) == ("d1", visited, "kamppi")
    assert (told["campaign"], told["variant"], told["held_out"]) == ("hello", "a", False)
    (arm,) = api.call("GET", "/v1/campaigns/hello/variants", expect=200)["variants"]
    assert (arm["sent"], arm["converted"]) == (1, 1)


def test_without_one_it_counts_for_the_last_offer(api: Api, visited: str) -> None:
    """Of the device's profile, as long as its time is not over; before it for nothing."""
    told = post(api, [{"id": "r1", "device": "d1"}, {"id": "r2", "device": "d2"}])
    assert told["accepted"] == 2
    early = {"id": "r3", "profile": "d1", "time": time.time() - 3_600}
    assert post(api, early)["accepted"] == 1
    items = api.call("GET", "/v1/conversions", expect=200)["items"]
    assert [(each["id"], each["decision"]) for each in items] == [
        ("r3", None),
        ("r2", None),
        ("r1", visited),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": ""}, "$.id"),
        ({"id": None}, "$.id"),
        ({"profile": None}, "name a decision, a profile or a device"),
        ({"decision": "nobody"}, "no decision has this id"),
        ({"value": -1}, "$.value: input should be greater than or equal to 0"),
        ({"value": "12"}, "$.value"),
        ({"value": True}, "$.value"),
        ({"value": 0.0000001}, "at most 6 decimals"),
        ({"currency": None}, "$.currency: a value needs its currency"),
        ({"currency": "eur"}, "$.currency"),
        ({"time": "yesterday"}, "$.time: must be RFC 3339"),
        ({"time": time.time() + 86_400}, "$.time: lies more than 5 minutes ahead"),
        ({"time": time.time() - 91 * 86_400}, "$.time: lies more than 90 days back"),
        ({"category": "x" * 129}, "$.category"),
        ({"amount": 1}, "$.amount: unknown member"),
    ],
)
def test_a_bad_item_is_named_and_holds_nothing_up(
    api: Api, change: dict[str, Any], reason: str
) -> None:
    """By its place in the array; the others are stored."""
    told = post(api, [SOLD, SOLD | {"id": "bad"} | change, SOLD | {"id": "r3"}])
    assert (told["accepted"], [each["index"] for each in told["rejected"]]) == (2, [1])
    assert reason in told["rejected"][0]["reason"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'"x" "y"', b"[" * 50, json.dumps([SOLD] * 1_001).encode()]
)
def test_a_body_that_is_none_is_refused(lasting: Api, body: bytes) -> None:
    """As a whole, and nothing is stored."""
    headers = {"Content-Type": "application/json"}
    lasting.call("POST", "/v1/conversions", expect=422, content=body, headers=headers)


def test_items_that_are_no_objects_are_refused_one_by_one(lasting: Api) -> None:
    """A number is no conversion."""
    told = post(lasting, [5, None, []])
    assert [each["index"] for each in told["rejected"]] == [0, 1, 2]


def test_reporting_needs_its_own_scope(api: Api) -> None:
    """And reading that of reports."""
    writer = api.key("conversions:write")
    api.call("POST", "/v1/conversions", expect=200, json=SOLD, headers=writer)
    api.call("GET", "/v1/conversions", expect=403, headers=writer)
    api.call("GET", "/v1/conversions", expect=200, headers=api.key("reports:read"))
    api.call("POST", "/v1/conversions", expect=403, json=SOLD, headers=api.key("profiles:write"))
