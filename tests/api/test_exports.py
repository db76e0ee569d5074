"""Exports: the right people, only those who agreed, never a few, and always noted."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from dataclasses import replace
from typing import Any

import pytest

from geotarget.model import BatchWrite, Kind, Profile, Transition
from tests.api.conftest import Api

DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
SQUARE: dict[str, Any] = {
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [24.94, 60.17]},
    "properties": {"radius_m": 50.0},
}
VISITORS = "/v1/exports/zones/shop/visitors"


def enter(device: str, at_ms: int, *, zone: str = "shop", kind: Kind = Kind.ENTER) -> Transition:
    name = f"{device}-{zone}-{kind.value}-{at_ms}"
    return Transition(
        id=name, visit=name, device=device, zone=zone, zone_revision=1, kind=kind, ts_ms=at_ms,
        decided_ms=at_ms, confidence=3, p=0.9,
    )  # fmt: skip


def person(number: int, **changes: Any) -> Profile:
    """Return somebody who agreed and has both addresses."""
    return replace(
        Profile(
            f"p-{number:02d}",
            consent={"advertising": True},
            external_ids={"email": f"P{number}@Example.com", "phone": f"+35840123450{number % 10}"},
            devices=(f"phone-{number:02d}",),
        ),
        **changes,
    )


def fill(api: Api, people: list[Profile]) -> None:
    """Store people of whom each visited the shop today."""
    api.call("PUT", "/v1/zones/shop", json=SQUARE, expect=200)
    api.store.put_profiles(people)
    api.store.write_batch(
        BatchWrite(
            transitions=[enter(each.devices[0], NOW_MS - DAY_MS) for each in people],
            profiles={each.devices[0]: each.id for each in people},
        )
    )


def table(api: Api, path: str, **query: Any) -> list[list[str]]:
    """Return the rows of an export, the header first."""
    answer = api.client.get(path, params=query)
    assert 200 == answer.status_code, answer.text
    assert "text/csv; charset=utf-8" == answer.headers["content-type"]
    assert "no-store" == answer.headers["cache-control"]
    assert answer.text.endswith("\r\n")
    return list(csv.reader(io.StringIO(answer.text)))


def entries(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what the audit log says of exports, newest first."""
    page = api.store.audit_page(limit=100).items
    return [
        (each.action, each.subject, dict(each.detail))
        for each in page
        if each.action.startswith("export")
    ]


def test_visitors_as_csv(api: Api) -> None:
    """One row a profile over all of its devices, with its visits of the time that was asked for."""
    people = [person(number) for number in range(12)]
    fill(api, people)
    api.store.put_profile(replace(people[0], devices=("phone-00", "watch-00")))
    api.store.write_batch(
        BatchWrite(
            transitions=[
                enter("watch-00", NOW_MS - 5 * DAY_MS),
                enter("watch-00", NOW_MS - 40 * DAY_MS),  # before the 30 days
                enter("phone-00", NOW_MS - DAY_MS, kind=Kind.EXIT),
                enter("phone-01", NOW_MS - DAY_MS, zone="elsewhere"),
            ]
        )
    )
    header, first, *others = table(api, VISITORS)
    assert ["profile", "visits", "first_visit", "last_visit"] == header
    assert ["p-00", "2"] == first[:2]
    assert first[2] < first[3]
    assert [f"p-{number:02d}" for number in range(1, 12)] == [row[0] for row in others]
    assert {"1"} == {row[1] for row in others}
    since = (NOW_MS - 50 * DAY_MS) / 1000
    assert ["p-00", "3"] == table(api, VISITORS, **{"from": since})[1][:2]


@pytest.mark.parametrize(
    ("format", "header", "phone"),
    [
        ("google", ["Email", "Phone"], "+358401234501"),
        ("meta", ["email", "phone"], "358401234501"),
        ("tiktok", ["Email_SHA256", "Phone_SHA256"], "358401234501"),
        ("linkedin", ["email"], None),
    ],
)
def test_lists_for_platforms_hold_hashes_only(
    api: Api, format: str, header: list[str], phone: str | None
) -> None:
    """Known answers for the second of twelve people, and nobody's address or id in the file."""
    fill(api, [person(number) for number in range(12)])
    rows = table(api, VISITORS, format=format)
    values = ["p1@example.com", *([phone] if phone else [])]
    assert header == rows[0]
    assert [hashlib.sha256(value.encode()).hexdigest() for value in values] == rows[2]
    assert 12 == len(rows) - 1
    text = str(rows)
    assert all(each not in text for each in ("@", "p-0", "+358"))


@pytest.mark.parametrize(
    ("title", "change"),
    [
        ("said no", {"consent": {"advertising": False}}),
        ("said nothing", {"consent": {}}),
        ("said yes to something else", {"consent": {"marketing": True}}),
        ("has no address", {"external_ids": {}}),
    ],
)
def test_who_did_not_agree_is_left_out(api: Api, title: str, change: dict[str, Any]) -> None:
    """Only an explicit yes to the purpose counts; platforms need an address as well."""
    fill(api, [person(number) for number in range(10)] + [person(17, **change)])
    assert 10 == len(table(api, VISITORS, format="google")) - 1, title
    listed = {row[0] for row in table(api, VISITORS)}
    assert (title == "has no address") == ("p-17" in listed)


def test_the_purpose_can_be_another(api: Api) -> None:
    """Whoever agreed to newsletters is listed for newsletters only."""
    fill(api, [person(number, consent={"newsletter": True}) for number in range(10)])
    assert 10 == len(table(api, VISITORS, purpose="newsletter")) - 1
    api.call("GET", VISITORS, expect=409)


def test_devices_without_a_profile_are_nobody(api: Api) -> None:
    """Nothing is known of their consent."""
    fill(api, [person(number) for number in range(10)])
    api.store.write_batch(BatchWrite(transitions=[enter("stranger", NOW_MS - DAY_MS)]))
    assert 10 == len(table(api, VISITORS)) - 1


@pytest.mark.parametrize("format", ["csv", "google"])
def test_short_lists_are_refused(api: Api, format: str) -> None:
    """Nine people: nothing goes out, not even how many they are, and the attempt is noted."""
    fill(api, [person(number) for number in range(9)])
    answer = api.call("GET", f"{VISITORS}?format={format}", expect=409)
    assert "fewer than 10 of these people agreed to 'advertising'" in answer["detail"]
    assert "9" not in answer["detail"]
    ((action, subject, detail),) = entries(api)
    assert ("export.refuse", "shop", format) == (action, subject, detail["format"])


def test_sensitive_zones_are_never_listed(api: Api) -> None:
    """Whoever was there; the attempt is noted."""
    fill(api, [person(number) for number in range(12)])
    document = {**SQUARE, "properties": {"radius_m": 50.0, "sensitive": True}}
    api.call("PUT", "/v1/zones/shop", json=document, expect=200)
    assert "sensitive" in api.call("GET", VISITORS, expect=409)["detail"]
    assert ["export.refuse"] == [action for action, _, _ in entries(api)]


def test_every_list_is_noted(api: Api) -> None:
    """Who took what, for whom, for what purpose, and how many rows it had."""
    fill(api, [person(number) for number in range(12)])
    headers = api.key("exports:read")
    assert 200 == api.client.get(f"{VISITORS}?format=meta", headers=headers).status_code
    ((action, subject, detail),) = entries(api)
    assert ("export", "shop") == (action, subject)
    assert {
        "list": "visitors",
        "format": "meta",
        "purpose": "advertising",
        "rows": 12,
    }.items() <= detail.items()
    assert detail["from"] < detail["to"]
    assert "test" in api.store.audit_page(limit=1).items[0].actor


def test_members_of_an_audience(api: Api) -> None:
    """For whom the rule holds now and who agreed; visits are those of 90 days."""
    gold = [person(number, attributes={"tier": "gold"}) for number in range(11)]
    fill(api, [*gold, person(20), person(21, attributes={"tier": "gold"}, consent={})])
    rule = {"rule": "profile.tier == 'gold' && visits.zone('shop', 30) >= 1"}
    api.call("PUT", "/v1/audiences/gold", json=rule, expect=200)
    header, *rows = table(api, "/v1/exports/audiences/gold")
    assert ["profile", "visits", "first_visit", "last_visit"] == header
    assert {each.id for each in gold} == {row[0] for row in rows}
    assert {"1"} == {row[1] for row in rows}
    assert 11 == len(table(api, "/v1/exports/audiences/gold", format="tiktok")) - 1
    assert 11 == entries(api)[0][2]["rows"]


@pytest.mark.parametrize("rule", ["visits.zone('clinic', 90) > 0", 'visits.tag("health", 90) > 0'])
def test_audiences_of_sensitive_places_are_never_listed(api: Api, rule: str) -> None:
    """Neither by the zone's id nor by a tag that it carries."""
    fill(api, [person(number) for number in range(12)])
    properties = {"radius_m": 50.0, "sensitive": True, "tags": ["health"], "active": False}
    document = {**SQUARE, "properties": properties}
    api.call("PUT", "/v1/zones/clinic", json=document, expect=200)
    api.call("PUT", "/v1/audiences/patients", json={"rule": rule}, expect=200)
    answer = api.call("GET", "/v1/exports/audiences/patients", expect=409)
    assert "who was there is never listed" in answer["detail"]


def test_ids_can_do_no_harm_in_a_spreadsheet(api: Api) -> None:
    """A profile whose id looks like a formula is text."""
    wild = replace(person(1), id="=HYPERLINK(1)")
    fill(api, [person(number) for number in range(10, 20)] + [wild])
    assert "'=HYPERLINK(1)" in {row[0] for row in table(api, VISITORS)}


def test_long_lists_come_whole(api: Api) -> None:
    """Longer than what is held in memory: 20,000 rows of 135 bytes."""
    count = 20_000
    api.store.put_profiles(
        [
            Profile(
                f"p-{each}", consent={"advertising": True}, attributes={"email": f"{each}@x.fi"}
            )
            for each in range(count)
        ]
    )
    api.call("PUT", "/v1/audiences/all", json={"rule": "true"}, expect=200)
    rows = table(api, "/v1/exports/audiences/all", format="google")
    assert count == len(rows) - 1
    assert count == len({row[0] for row in rows[1:]})


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/exports/zones/nowhere/visitors", 404, "no zone is named 'nowhere'"),
        ("/v1/exports/audiences/nobody", 404, "no audience is named 'nobody'"),
        (f"{VISITORS}?format=xlsx", 422, "format"),
        (f"{VISITORS}?purpose=", 422, "purpose"),
        (f"{VISITORS}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "must be before"),
        ("/v1/exports/audiences/nobody?from=2026-01-02T00:00:00Z", 422, "unknown parameter"),
    ],
)
def test_bad_requests_are_told(api: Api, path: str, status: int, said: str) -> None:
    """With what is wrong; nothing is noted."""
    api.call("PUT", "/v1/zones/shop", json=SQUARE, expect=200)
    assert said in api.call("GET", path, expect=status)["detail"]
    assert [] == entries(api)


def test_exports_need_their_own_scope(api: Api) -> None:
    """Reading reports, profiles and audiences is not enough."""
    fill(api, [person(number) for number in range(12)])
    headers = api.key("reports:read", "profiles:write", "audiences:write", "zones:write")
    api.call("GET", VISITORS, headers=headers, expect=403)
    assert [] == entries(api)
