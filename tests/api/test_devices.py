"""Where a device stands, the switch that traces it, and why it did or did not enter and fire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from geotarget.api.values import parse_instant
from geotarget.engine import Rules
from geotarget.model import BatchWrite
from geotarget.store.traces import LONGEST_MS
from tests.api.conftest import Api, running_api, running_services, store_in
from tests.api.documents import LAT, campaign, ping, square

METRE = 1 / 111_195.0


def now_ms() -> int:
    """Return the time of day."""
    return time.time_ns() // 1_000_000


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Api]:
    """An application whose pipeline finds device `a` under trace; one campaign fires, one not."""
    with store_in(tmp_path) as store:
        store.set_trace("a", now_ms() + 3_600_000)
    with running_services(tmp_path) as services, running_api(services) as api:
        api.call("PUT", "/v1/zones/z", expect=200, json=square(name="Kamppi"))
        api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/x"})
        api.call("PUT", "/v1/campaigns/on", expect=200, json=campaign("crm"))
        off = campaign("crm", status="paused")
        api.call("PUT", "/v1/campaigns/off", expect=200, json=off)
        yield api


def send(api: Api, *fixes: tuple[float, float, float], device: str = "a") -> None:
    """Send pings (seconds ago, metres north of the middle, accuracy)."""
    sent = [
        ping(device, ago_s=ago_s, lat=LAT + north * METRE, acc=acc) for ago_s, north, acc in fixes
    ]
    api.call("POST", "/v1/pings", expect=202, json=sent)


def explained(api: Api, device: str = "a", query: str = "") -> dict[str, Any]:
    """Return the explanation of the last day."""
    found: dict[str, Any] = api.call("GET", f"/v1/devices/{device}/explain{query}", expect=200)
    return found


def test_a_device_stands_where_it_was_last(traced: Api) -> None:
    """Its last accepted fix, its memberships with phase and visit, its trace."""
    send(traced, (300, 0, 8), (290, 0, 9))
    found = traced.call("GET", "/v1/devices/a", expect=200)
    (entry,) = traced.call("GET", "/v1/transitions?device=a", expect=200)["items"]
    assert found["memberships"] == [
        {
            "zone": "z",
            "phase": "inside",
            "since": entry["time"],
            "visit": entry["visit"],
            "stale": False,
        }
    ]
    assert found["last_fix"]["accuracy_m"] == 9
    assert found["last_fix"]["lat"] == pytest.approx(LAT)
    assert abs(parse_instant(found["last_fix"]["time"]) - now_ms() + 290_000) < 60_000
    assert parse_instant(found["trace_until"]) > now_ms()


def test_a_silent_device_is_stale(traced: Api) -> None:
    """Inside, but not heard of for longer than the rules allow."""
    silent = Rules().stale_s + 60
    send(traced, (silent + 10, 0, 8), (silent, 0, 8))
    (membership,) = traced.call("GET", "/v1/devices/a", expect=200)["memberships"]
    assert (membership["phase"], membership["stale"]) == ("inside", True)
    assert any(
        "stale: no fix was accepted for more than" in each for each in explained(traced)["summary"]
    )


def test_a_pending_entry_is_shown_without_a_visit(traced: Api) -> None:
    """It is no visit yet."""
    send(traced, (130, 245, 12), (20, 219, 12))
    (membership,) = traced.call("GET", "/v1/devices/a", expect=200)["memberships"]
    assert (membership["phase"], membership["visit"]) == ("entering", None)


def test_an_unknown_device_is_not_found_but_explained(lasting: Api) -> None:
    """Nothing was heard of it: that is the explanation."""
    lasting.call("GET", "/v1/devices/nobody", expect=404)
    answer = explained(lasting, "nobody")
    assert answer["timeline"] == []
    assert "Nothing was ever heard of this device" in answer["summary"][1]


def test_a_traced_device_is_explained_ping_by_ping(traced: Api) -> None:
    """Pings with verdicts, the entry with its evidence, decisions with gates, the delivery."""
    send(traced, (300, 245, 12), (200, 219, 12), (150, 100, 8), (140, 90, 8))
    send(traced, (170, 0, 8))
    traced.call("POST", "/v1/pings", expect=202, json=[ping("a", lat=95)])
    answer = explained(traced)
    assert (answer["traced"], answer["zone"], answer["cut"]) == (True, None, [])
    whats = [item["what"] for item in answer["timeline"]]
    assert sorted(set(whats)) == ["decision", "delivery", "ping", "refused", "transition"]
    for item in answer["timeline"]:
        others = {"ping", "transition", "decision", "delivery", "refused"} - {item["what"]}
        assert item[item["what"]] is not None
        assert all(item[other] is None for other in others)
    statuses = [item["ping"]["status"] for item in answer["timeline"] if item["ping"]]
    assert {"applied", "late"} <= set(statuses)
    weak = next(
        meant
        for item in answer["timeline"]
        if item["ping"]
        for meant in item["ping"]["zones"]
        if meant["verdict"] == "maybe_in"
    )
    assert (weak["before"], weak["after"], weak["reason"]) == ("outside", "entering", "shallow")
    assert weak["distance_m"] == pytest.approx(3.7, abs=0.5)
    gates = {
        item["decision"]["campaign"]: [each["answer"] for each in item["decision"]["gates"]]
        for item in answer["timeline"]
        if item["decision"]
    }
    assert set(gates["on"]) == {"passed"}
    assert gates["off"] == ["passed", "refused", *["not asked"] * 8]
    said = "\n".join(answer["summary"])
    for part in (
        "the entry waits for another fix",
        "the device entered 'Kamppi'",
        "the gate 'schedule'",
        "the campaign is paused",
        "campaign 'on' (version 1) fired",
        "offer.triggered to endpoint 'crm' waits",
        "was late",
        "latitude must be within",
        "Now: inside 'Kamppi'",
    ):
        assert part in said, part


def test_an_untraced_device_is_explained_from_what_it_caused(traced: Api) -> None:
    """Transitions and decisions are there; the summary says how to see the pings."""
    send(traced, (300, 0, 8), (290, 0, 8), device="b")
    answer = explained(traced, "b")
    assert answer["traced"] is False
    assert {item["what"] for item in answer["timeline"]} == {"transition", "decision", "delivery"}
    said = "\n".join(answer["summary"])
    assert "POST /v1/devices/b/trace" in said
    assert "the deciding fix was" in said


def test_an_explanation_can_be_of_one_zone_and_a_shorter_time(traced: Api) -> None:
    """Other zones are left out, and so is what lies outside the span."""
    traced.call("PUT", "/v1/zones/around", expect=200, json=square(half=0.02, name="Around"))
    send(traced, (300, 0, 8), (290, 0, 8))
    assert "Kamppi" in str(explained(traced)["summary"])
    one = explained(traced, query="?zone=around")
    assert one["zone"] == "around"
    assert "Kamppi" not in str(one["summary"])
    assert {
        item["transition"]["zone"] for item in one["timeline"] if item["what"] == "transition"
    } == {"around"}
    middle = time.time() - 295
    early = explained(traced, query=f"?to={middle}")
    late = explained(traced, query=f"?from={middle}")
    pings = [sum(item["what"] == "ping" for item in answer["timeline"]) for answer in (early, late)]
    assert pings == [1, 1]
    assert parse_instant(late["from"]) == round(middle * 1000)
    assert parse_instant(early["to"]) - parse_instant(early["from"]) == 86_400_000


def test_the_switch_takes_effect_while_everything_runs(api: Api) -> None:
    """Within about a second pings are traced; the end keeps what there is, unless asked not to."""
    api.call("PUT", "/v1/zones/z", expect=200, json=square())
    answer = api.call("POST", "/v1/devices/d1/trace", expect=200, json={"for_s": 600})
    assert answer["device"] == "d1"
    assert 590_000 < parse_instant(answer["until"]) - now_ms() <= 600_000
    deadline = time.monotonic() + 20
    while not explained(api, "d1")["traced"]:
        assert time.monotonic() < deadline
        send(api, (0, 0, 8), device="d1")
    assert parse_instant(explained(api, "d1")["trace_until"]) == parse_instant(answer["until"])
    api.call("DELETE", "/v1/devices/d1/trace", expect=204)
    ended = explained(api, "d1")
    assert (ended["traced"], ended["trace_until"]) == (True, None)
    api.call("DELETE", "/v1/devices/d1/trace?forget=true", expect=204)
    assert api.store.traces("d1") == []


def test_the_switch_takes_an_instant_too(api: Api) -> None:
    """RFC 3339 or epoch seconds; devices with a slash have one as well."""
    until = time.time() + 3_600
    answer = api.call("POST", "/v1/devices/anna/phone/trace", expect=200, json={"until": until})
    assert answer["device"] == "anna/phone"
    assert parse_instant(answer["until"]) == round(until * 1000)
    again = api.call("POST", "/v1/devices/d1/trace", expect=200, json={"until": answer["until"]})
    assert again["until"] == answer["until"]
    assert api.call("GET", "/v1/devices/anna/phone", expect=200)["trace_until"] == answer["until"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$"),
        ({"for_s": 60, "until": 4e9}, "$"),
        ({"for_s": 0}, "$.for_s"),
        ({"for_s": 604_801}, "$.for_s"),
        ({"for_s": "an hour"}, "$.for_s"),
        ({"until": "tomorrow"}, "$.until"),
        ({"until": True}, "$.until"),
        ({"until": "2026-01-01T00:00:00Z"}, "until"),
        ({"until": "2126-01-01T00:00:00Z"}, "until"),
        ({"for": 60}, "$.for"),
    ],
)
def test_a_switch_without_a_usable_end_is_refused(
    lasting: Api, body: dict[str, Any], path: str
) -> None:
    """By name; seven days are the longest."""
    answer = lasting.call("POST", "/v1/devices/d1/trace", expect=422, json=body)
    assert path in [each["path"] for each in answer["errors"]]
    assert LONGEST_MS == 7 * 86_400_000


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("from=yesterday", "from"),
        ("from=2000&to=1000", "from"),
        ("zone=", "zone"),
        ("since=1", "since"),
    ],
)
def test_a_question_that_is_wrong_is_named(lasting: Api, query: str, path: str) -> None:
    """By its parameter."""
    answer = lasting.call("GET", f"/v1/devices/d1/explain?{query}", expect=422)
    assert [each["path"] for each in answer["errors"]] == [path]


def test_erasing_a_profile_takes_its_traces(traced: Api) -> None:
    """They hold where somebody was."""
    send(traced, (300, 0, 8))
    traced.call("PUT", "/v1/profiles/a", expect=200, json={})
    assert explained(traced)["traced"]
    traced.call("DELETE", "/v1/profiles/a", expect=200)
    assert not explained(traced)["traced"]


def test_reading_and_tracing_need_their_scopes(lasting: Api) -> None:
    """History's scope reads; only `traces:write` switches."""
    reader, tracer = lasting.key("reports:read"), lasting.key("traces:write")
    lasting.call("GET", "/v1/devices/d1/explain", expect=200, headers=reader)
    lasting.call("GET", "/v1/devices/d1/explain", expect=403, headers=tracer)
    lasting.call("GET", "/v1/devices/d1", expect=403, headers=tracer)
    for method, headers, expect in (("DELETE", reader, 403), ("DELETE", tracer, 204)):
        lasting.call(method, "/v1/devices/d2/trace", expect=expect, headers=headers)
    body = {"for_s": 1}
    lasting.call("POST", "/v1/devices/d2/trace", expect=403, json=body, headers=reader)


def test_a_zone_that_is_gone_is_explained_by_its_id(traced: Api) -> None:
    """History outlives the catalogue."""
    send(traced, (300, 0, 8), (290, 0, 8))
    traced.call("DELETE", "/v1/zones/z", expect=204)
    traced.store.write_batch(BatchWrite())
    said = "\n".join(explained(traced)["summary"])
    assert "entered 'z'" in said


def test_a_refused_ping_is_told_whatever_the_id(api: Api) -> None:
    """Also where the payload was kept with its letters escaped; and when the device was heard."""
    device = "هاتف/1 ?%"
    sent = [ping(device, ago_s=20) | {"lat": 95}, ping(device, ago_s=10, acc=7)]
    api.call("POST", "/v1/pings", expect=202, json=sent)
    found = explained(api, quote(device, safe=""))
    (refused,) = [each for each in found["timeline"] if each["what"] == "refused"]
    assert "not 95" in refused["refused"]["detail"]
    assert "swapped" in refused["refused"]["advice"]
    assert found["last_fix"]["accuracy_m"] == 7
    assert (found["profile"], found["devices"]) == (device, [])


def test_a_person_is_explained_by_their_devices(api: Api) -> None:
    """The id of a profile leads to its devices, and each of them back to it."""
    api.call("PUT", "/v1/profiles/aino", expect=200, json={"devices": ["phone-2", "phone-1"]})
    person, device = explained(api, "aino"), explained(api, "phone-1")
    assert sorted(person["devices"]) == ["phone-1", "phone-2"]
    assert person["last_fix"] is None
    assert (device["profile"], device["devices"]) == ("aino", [])
