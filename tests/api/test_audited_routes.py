"""Every route that writes leaves an entry in the audit log, or stands here with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from geotarget.api.app import table
from geotarget.api.route import Row
from geotarget.api.services import Limits
from tests.api.conftest import Api
from tests.api.documents import campaign, collection, square

READS = {"GET", "HEAD", "OPTIONS"}

NO_CHANGE = "it stores nothing"
NOT_LOGGED: Mapping[tuple[str, str], str] = {
    ("POST", "/v1/pings"): "what phones say; its effects are transitions and decisions",
    ("POST", "/v1/conversions"): "what tills say; each conversion is a row of its own",
    ("POST", "/v1/zones:reach"): NO_CHANGE,
    ("POST", "/v1/zones:lint"): NO_CHANGE,
    ("POST", "/v1/zones:cells"): NO_CHANGE,
    ("POST", "/v1/campaigns:preview"): NO_CHANGE,
    ("POST", "/v1/campaigns/{id:path}:preview"): NO_CHANGE,
    ("POST", "/v1/campaigns:backtest"): NO_CHANGE,
    ("POST", "/v1/campaigns/{id:path}:backtest"): NO_CHANGE,
    ("POST", "/v1/audiences:count"): NO_CHANGE,
    ("POST", "/v1/session"): "changes nothing but the browser that asks; the key notes its use",
    ("DELETE", "/v1/session"): "changes nothing but the browser that asks",
    ("POST", "/v1/devices/{id:path}/credentials"): "a password that follows from the name",
}

URL = {"url": "https://crm.example.com/hook"}
DONE = "test_0000000000000001"


def put(path: str, document: Any) -> Callable[[Api], None]:
    """Return a step that puts a document."""
    return lambda api: api.call("PUT", path, expect=200, json=document)


def post(path: str, document: Any = None, status: int = 200) -> Callable[[Api], None]:
    """Return a step that posts a document."""
    return lambda api: api.call("POST", path, expect=status, json=document)


def delete(path: str, status: int = 204) -> Callable[[Api], None]:
    """Return a step that deletes."""
    return lambda api: api.call("DELETE", path, expect=status)


def an_endpoint(api: Api) -> None:
    """Have an endpoint."""
    put("/v1/endpoints/crm", URL)(api)


def a_delivery(api: Api) -> None:
    """Have a delivery that failed: its endpoint was deleted, and is there again."""
    an_endpoint(api)
    post("/v1/endpoints/crm:test", status=202)(api)
    delete("/v1/endpoints/crm")(api)
    an_endpoint(api)


def replay_one(api: Api) -> None:
    """Send it again."""
    (one,) = api.store.deliveries_page().items
    post(f"/v1/deliveries/{one.webhook_id}:replay", status=202)(api)


def rotate(api: Api) -> None:
    """Replace the only key."""
    (key,) = api.store.keys()
    post(f"/v1/keys/{key.id}:rotate", {}, 201)(api)


def revoke(api: Api) -> None:
    """Revoke the only key."""
    (key,) = api.store.keys()
    delete(f"/v1/keys/{key.id}")(api)


def revoke_token(api: Api) -> None:
    """Revoke the only token of the device."""
    (token,) = api.store.device_tokens("d1")
    delete(f"/v1/devices/d1/tokens/{token.id}")(api)


def import_people(api: Api) -> None:
    """Import one profile."""
    line = json.dumps({"id": "anna", "consent": {"marketing": True}})
    headers = {"content-type": "application/x-ndjson"}
    api.call("PUT", "/v1/imports/first", expect=200, content=line, headers=headers)


A_KEY = post("/v1/keys", {"name": "ops", "scopes": ["admin"]}, 201)
A_TOKEN = post("/v1/devices/d1/tokens", {}, 201)
A_ZONE = put("/v1/zones/kamppi", square("kamppi"))
A_PROFILE = put("/v1/profiles/anna", {"consent": {"marketing": True}})
AN_AUDIENCE = put("/v1/audiences/gold", {"name": "Gold", "rule": "profile.tier == 'gold'"})
A_CAMPAIGN = put("/v1/campaigns/buns", campaign("crm"))
TWO_ZONES = collection(square("a"), square("b"))

WRITES: Mapping[tuple[str, str], tuple[str, Callable[[Api], None], list[Callable[[Api], None]]]] = {
    ("POST", "/v1/zones"): ("zone.put", post("/v1/zones", TWO_ZONES), []),
    ("PUT", "/v1/zones/{id:path}"): ("zone.put", A_ZONE, []),
    ("DELETE", "/v1/zones/{id:path}"): ("zone.delete", delete("/v1/zones/kamppi"), [A_ZONE]),
    ("PUT", "/v1/campaigns/{id:path}"): ("campaign.put", A_CAMPAIGN, [an_endpoint]),
    ("DELETE", "/v1/campaigns/{id:path}"): (
        "campaign.delete",
        delete("/v1/campaigns/buns"),
        [an_endpoint, A_CAMPAIGN],
    ),
    ("PUT", "/v1/endpoints/{id:path}"): ("endpoint.put", an_endpoint, []),
    ("POST", "/v1/endpoints/{id:path}:rotate"): (
        "endpoint.rotate",
        post("/v1/endpoints/crm:rotate", {}),
        [an_endpoint],
    ),
    ("POST", "/v1/endpoints/{id:path}:test"): (
        "endpoint.test",
        post("/v1/endpoints/crm:test", status=202),
        [an_endpoint],
    ),
    ("DELETE", "/v1/endpoints/{id:path}"): (
        "endpoint.delete",
        delete("/v1/endpoints/crm"),
        [an_endpoint],
    ),
    ("PUT", "/v1/audiences/{id:path}"): ("audience.put", AN_AUDIENCE, []),
    ("DELETE", "/v1/audiences/{id:path}"): (
        "audience.delete",
        delete("/v1/audiences/gold"),
        [AN_AUDIENCE],
    ),
    ("PUT", "/v1/profiles/{id:path}"): ("profile.consent", A_PROFILE, []),
    ("DELETE", "/v1/profiles/{id:path}"): (
        "profile.erase",
        delete("/v1/profiles/anna", 200),
        [A_PROFILE],
    ),
    ("PUT", "/v1/imports/{id:path}"): ("import.done", import_people, []),
    ("POST", "/v1/devices/{id:path}/trace"): (
        "trace.begin",
        post("/v1/devices/d1/trace", {"for_s": 60}),
        [],
    ),
    ("POST", "/v1/devices/{id:path}/tokens"): ("device_token.create", A_TOKEN, []),
    ("DELETE", "/v1/devices/{id:path}/tokens/{token}"): (
        "device_token.revoke",
        revoke_token,
        [A_TOKEN],
    ),
    ("DELETE", "/v1/devices/{id:path}/trace"): ("trace.end", delete("/v1/devices/d1/trace"), []),
    ("POST", "/v1/deliveries:replay"): (
        "delivery.replay",
        post("/v1/deliveries:replay", {"from": "2020-01-01T00:00:00Z"}, 202),
        [a_delivery],
    ),
    ("POST", "/v1/deliveries/{id}:replay"): ("delivery.replay", replay_one, [a_delivery]),
    ("POST", "/v1/keys"): ("key.create", A_KEY, []),
    ("POST", "/v1/keys/{id}:rotate"): ("key.rotate", rotate, [A_KEY]),
    ("DELETE", "/v1/keys/{id}"): ("key.revoke", revoke, [A_KEY]),
}


def name_of(row: Row) -> tuple[str, str]:
    """Return what a row is found by."""
    return row.method, row.path


def test_every_writing_route_is_logged_or_excused() -> None:
    """A new route that changes something must be put into one of the two tables above."""
    writing = {name_of(row) for row in table(Limits()) if row.method not in READS}
    assert writing == {*WRITES, *NOT_LOGGED}
    assert not {*WRITES} & {*NOT_LOGGED}


@pytest.mark.parametrize("route", WRITES, ids=" ".join)
def test_a_change_leaves_an_entry(api: Api, route: tuple[str, str]) -> None:
    """Who it was, what was done and to what; the chain of the log stays whole."""
    action, step, before = WRITES[route]
    for each in before:
        each(api)
    seen = {each.seq for each in api.store.audit_page(limit=1000).items}
    step(api)
    new = [each for each in api.store.audit_page(limit=1000).items if each.seq not in seen]
    assert [("admin", action)] == [(each.actor, each.action) for each in new][:1]
    assert "" == api.store.verify_audit().broken


def test_what_changes_nothing_leaves_no_entry(api: Api) -> None:
    """The same zone once more, the same consent once more, a zone that is not there."""
    for step in (A_ZONE, A_PROFILE):
        step(api)
    before = api.store.audit_page().items
    for step in (A_ZONE, A_PROFILE):
        step(api)
    api.call("DELETE", "/v1/zones/nowhere", expect=404)
    api.call("POST", "/v1/zones?dry_run=true", expect=200, json=TWO_ZONES)
    assert before == api.store.audit_page().items


def test_consent_that_changes_is_told_by_purpose(api: Api) -> None:
    """Only the purposes that changed; attributes never get into the log."""
    changed = {"consent": {"marketing": False, "partners": True}, "attributes": {"tier": "gold"}}
    A_PROFILE(api)
    put("/v1/profiles/anna", changed)(api)
    put("/v1/profiles/anna", {"attributes": {"tier": "silver"}})(api)
    told = [each.detail for each in api.store.audit_page().items]
    assert [
        {"marketing": None, "partners": None},
        {"marketing": False, "partners": True},
        {"marketing": True},
    ] == told


def test_many_zones_make_one_entry_for_each_transaction(api: Api) -> None:
    """It counts them and names the first; its revision finds the others."""
    zones = [square(f"z{number:03}") for number in range(600)]
    api.call("POST", "/v1/zones", expect=200, json=collection(*zones))
    last, first = api.store.audit_page().items
    assert (500, 100) == (first.detail["count"], last.detail["count"])
    assert [f"z{number:03}" for number in range(50)] == first.detail["ids"]
    assert "" == first.subject
    revision = first.detail["revision"]
    assert 500 == sum(each.revision == revision for each in api.store.zones()[0])
    api.store.delete_zones([f"z{number:03}" for number in range(2)], by="cli")
    assert {"count": 2, "ids": ["z000", "z001"], "revision": api.store.catalog_revision()} == (
        api.store.audit_page(limit=1).items[0].detail
    )


def test_people_stand_in_the_log_under_pseudonyms(api: Api) -> None:
    """The log is kept for good: no entry names a profile or a device, and both can be found."""
    for step in (A_PROFILE, post("/v1/devices/d1/trace", {"for_s": 60})):
        step(api)
    api.call("DELETE", "/v1/devices/d1/trace?forget=true", expect=204)
    A_PROFILE(api)
    entries = api.store.audit_page().items
    assert ["trace.forget", "trace.begin", "profile.consent"] == [each.action for each in entries]
    assert not [each for each in entries if "anna" in str(each) or "d1" in each.subject.split(":")]
    assert ["device", "device", "profile"] == [each.subject.split(":")[0] for each in entries]
    assert entries[0].subject == entries[1].subject
