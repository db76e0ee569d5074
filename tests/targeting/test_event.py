"""Webhook bodies: exactly the contract, the same bytes every time, no place that nobody chose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from geotarget.model import Delivery, Endpoint, Kind, Profile, Transition, Trigger, Variant
from geotarget.targeting import EVENT_TYPES, CampaignTable, decide, deliveries
from geotarget.targeting.event import chosen_positions
from geotarget.targeting.ledger import Ledger

Make = Callable[..., Any]
NOON_MS = 1_767_268_800_000


@pytest.fixture
def send(campaign: Make, zone: Make) -> Callable[..., list[Delivery]]:
    """Decide about transitions and make their deliveries."""

    def make(
        transitions: list[Transition],
        known: list[Endpoint],
        *,
        now_ms: int = NOON_MS + 1_000,
        profiles: dict[str, Profile] | None = None,
        most: str = "rounded",
        positions: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> list[Delivery]:
        zones = {"shop": zone(properties={"name": "Shop", "special": "Pulla"})}
        hello = campaign(**({"valid_s": 3600, "offer": {"text": "Hi"}} | options))
        decisions = decide(
            transitions,
            table=CampaignTable.compile([hello], list(zones.values())),
            zones=zones,
            audiences={},
            ledger=Ledger(profiles or {}),
            now_ms=now_ms,
        )
        return deliveries(
            transitions,
            decisions,
            zones=zones,
            campaigns={"hello": hello},
            endpoints={endpoint.id: endpoint for endpoint in known},
            profiles=profiles or {},
            now_ms=now_ms,
            choices=chosen_positions(known, most),
            positions=positions or {},
        )

    return make


def endpoint(id: str = "crm", **options: Any) -> Endpoint:
    """Make an endpoint that takes offers."""
    return Endpoint(id, "https://hooks.example.com", "whsec_", **options)


def test_offer_body_is_the_contract(send: Callable[..., list[Delivery]], transition: Make) -> None:
    """The document that receivers rely on, member by member, in its order."""
    profiles = {"phone-1": Profile("aino", {"first_name": "Aino", "email": "a@example.com"})}
    (sent,) = send([transition()], [endpoint()], profiles=profiles)
    decision = sent.webhook_id.removeprefix("offer_")
    expected = {
        "type": "offer.triggered",
        "timestamp": "2026-01-01T12:00:00.250Z",
        "data": {
            "decision": decision,
            "campaign": "hello",
            "variant": None,
            "offer": {"text": "Hi"},
            "expires": "2026-01-01T13:00:00.250Z",
            "profile": {"id": "aino", "attributes": {}},
            "zone": {
                "id": "shop",
                "name": "Shop",
                "revision": 3,
                "properties": {"name": "Shop", "special": "Pulla"},
            },
            "transition": {
                "kind": "enter",
                "id": "0" * 32,
                "visit": "visit-1",
                "time": "2026-01-01T12:00:00Z",
                "confidence": 3,
                "p": 0.97,
                "initial": False,
            },
        },
    }
    assert json.dumps(expected, separators=(",", ":")).encode() == sent.body
    assert (sent.endpoint, sent.type, sent.device) == ("crm", "offer.triggered", "phone-1")
    assert (sent.created_ms, sent.expires_ms) == (NOON_MS + 1_000, NOON_MS + 250 + 3_600_000)
    assert len(decision) == 32


AINO = Profile(
    "aino", {"tier": "gold", "email": "a@example.com", "size": None, "n": 2**70, "x": "\ud800"}
)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ((), "{}"),
        (("tier",), '{"tier":"gold"}'),
        (("size", "tier", "phone"), '{"size":null,"tier":"gold"}'),
        (("n",), '{"n":1180591620717411303424}'),
        (("x",), '{"x":"\\ud800"}'),
        (("id",), "{}"),
    ],
)
def test_attributes_are_passed_on_by_choice(
    chosen: tuple[str, ...],
    expected: str,
    send: Callable[..., list[Delivery]],
    transition: Make,
) -> None:
    """Only what the campaign names, in its order, and only what the profile has."""
    profiles = {"phone-1": AINO}
    (sent,) = send([transition()], [endpoint()], profiles=profiles, pass_attributes=chosen)
    assert f'"profile":{{"id":"aino","attributes":{expected}}}'.encode() in sent.body
    (plain,) = send([transition()], [endpoint(events=("transition.enter",))], profiles=profiles)
    assert json.loads(plain.body)["data"]["profile"] == {"id": "aino", "attributes": {}}


def test_variant_and_language_are_told(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """Receivers learn which variant it was, and the language where it is not the first one."""
    only = Variant("b", {"text": "Hi"}, translations={"sv": {"text": "Hej"}})
    speaks = {"phone-1": Profile("aino", {"language": "sv-FI"})}
    (sent,) = send([transition()], [endpoint()], profiles=speaks, variants=(only,))
    data = json.loads(sent.body)["data"]
    assert (data["variant"], data["language"], data["offer"]) == ("b", "sv", {"text": "Hej"})
    (sent,) = send([transition()], [endpoint()], variants=(only,))
    data = json.loads(sent.body)["data"]
    assert (data["variant"], data["offer"], "language" in data) == ("b", {"text": "Hi"}, False)


def test_transition_body_goes_to_who_names_it(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """``transition.*`` needs no campaign, but an endpoint that asks for that very type."""
    moved = transition(kind=Kind.EXIT, duration_s=90.5)
    listeners = [
        endpoint("offers"),
        endpoint("exits", events=("transition.exit",)),
        endpoint("enters", events=("transition.enter", "offer.triggered")),
        endpoint("off", events=("transition.exit",), disabled_reason="410"),
    ]
    (sent,) = send([moved], listeners)
    assert (sent.endpoint, sent.type, sent.expires_ms) == ("exits", "transition.exit", None)
    assert f"transition_{moved.id}" == sent.webhook_id
    body = json.loads(sent.body)
    assert list(body) == ["type", "timestamp", "data"]
    assert list(body["data"]) == ["profile", "zone", "transition"]
    assert body["data"]["transition"]["duration_s"] == 90.5


def test_dwell_tells_its_threshold(send: Callable[..., list[Delivery]], transition: Make) -> None:
    """Dwell bodies say which time was passed."""
    moved = transition(kind=Kind.DWELL, threshold_s=300)
    trigger = Trigger(on=frozenset({Kind.DWELL}), dwell_s=300)
    (sent,) = send([moved], [endpoint()], trigger=trigger)
    assert json.loads(sent.body)["data"]["transition"]["dwell_s"] == 300


def test_offers_go_to_the_campaigns_endpoints(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """Each named endpoint once, if it exists, is enabled and its events let offers through."""
    listeners = [
        endpoint("crm"),
        endpoint("named", events=("offer.triggered",)),
        endpoint("deaf", events=("transition.exit",)),
        endpoint("off", disabled_reason="410"),
        endpoint("unrelated"),
    ]
    sent = send(
        [transition()], listeners, endpoints=("crm", "named", "deaf", "off", "missing", "crm")
    )
    assert [delivery.endpoint for delivery in sent] == ["crm", "named"]
    assert len({(delivery.webhook_id, delivery.body) for delivery in sent}) == 1


def test_refused_decisions_send_nothing(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """A refusal is kept, not told."""
    refused = {"trigger": Trigger(min_confidence=3)}
    assert send([transition(confidence=1)], [endpoint()], **refused) == []


def test_reconciled_is_not_told(send: Callable[..., list[Delivery]], transition: Make) -> None:
    """An edit of a zone is no event for receivers."""
    assert not [name for name in EVENT_TYPES if "reconciled" in name]
    listeners = [endpoint(events=EVENT_TYPES)]
    assert send([transition(kind=Kind.RECONCILED)], listeners) == []


def test_repetition_makes_the_same_bytes(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """Processed again later, only the creation time differs."""
    listeners = [endpoint(events=EVENT_TYPES)]
    first = send([transition()], listeners)
    again = send([transition()], listeners, now_ms=NOON_MS + 600_000)
    assert len(first) == 2
    assert first == [replace(delivery, created_ms=NOON_MS + 1_000) for delivery in again]


def test_no_coordinate_leaves(send: Callable[..., list[Delivery]], transition: Make) -> None:
    """Where nobody asked, neither the zone's geometry nor where the device was is in a body."""
    moved = transition(fix=(24.9412345, 60.1712345, 8.0))
    for delivery in send([moved], [endpoint(events=EVENT_TYPES)]):
        text = delivery.body.decode()
        for word in ("24.94", "60.17", "lat", "lng", "lon", "coordinates", "geometry", "radius"):
            assert word not in text


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ("", {}),
        ("cell", {"blocks": "cell", "streets": "cell", "doors": "cell"}),
        ("rounded", {"blocks": "cell", "streets": "rounded", "doors": "rounded"}),
        ("exact", {"blocks": "cell", "streets": "rounded", "doors": "exact"}),
    ],
)
def test_the_operator_bounds_what_endpoints_choose(most: str, expected: dict[str, str]) -> None:
    """Each gets what it asks for, up to the bound; who asks for nothing gets nothing."""
    known = [
        endpoint("none"),
        endpoint("blocks", position="cell"),
        endpoint("streets", position="rounded"),
        endpoint("doors", position="exact"),
        endpoint("off", position="exact", disabled_reason="410"),
        endpoint("later", position="of a later version"),
    ]
    assert expected == chosen_positions(known, most)


def test_each_endpoint_is_told_what_it_chose(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """The last member of the data, else the same body: made once for all of one choice."""
    moved, other = transition(), transition(id="1" * 32, kind=Kind.EXIT)
    cell, rounded = {"cell": "891126d338fffff"}, {"lng": 24.941, "lat": 60.171}
    listeners = [
        endpoint(name, position=choice, events=EVENT_TYPES)
        for name, choice in (("a", ""), ("b", "cell"), ("c", "rounded"), ("d", "exact"), ("e", ""))
    ]
    sent = send(
        [moved, other],
        listeners,
        endpoints=("a", "b", "c", "d", "e"),
        positions={"cell": {moved.id: cell}, "rounded": {moved.id: rounded}},
    )
    bodies = {(each.type, each.endpoint): each.body for each in sent}
    assert len(sent) == len(bodies) == 15
    for event_type in ("transition.enter", "offer.triggered"):
        plain = bodies[event_type, "a"]
        assert plain is bodies[event_type, "e"]
        assert bodies[event_type, "c"] is bodies[event_type, "d"], "capped by the operator"
        for name, place in (("b", cell), ("c", rounded)):
            told = json.loads(bodies[event_type, name])
            assert list(told["data"])[-1] == "position"
            assert place == told["data"].pop("position")
            assert told == json.loads(plain)
    assert b'"position":null' in bodies["transition.exit", "b"]
    assert b"position" not in bodies["transition.exit", "a"]


def test_deliveries_stand_in_the_order_of_decision(
    send: Callable[..., list[Delivery]], transition: Make
) -> None:
    """What follows from a transition comes before the next one; who wants it, gets it so."""
    moved = [
        transition(id=f"{number:032d}", decided_ms=NOON_MS + number, kind=kind)
        for number, kind in enumerate((Kind.ENTER, Kind.EXIT, Kind.ENTER), 1)
    ]
    listeners = [endpoint("crm", events=EVENT_TYPES, ordered=True), endpoint("till")]
    sent = send(moved, listeners, endpoints=("crm", "till"))
    assert [
        ("crm", "transition.enter"),
        ("crm", "offer.triggered"),
        ("till", "offer.triggered"),
        ("crm", "transition.exit"),
        ("crm", "transition.enter"),
        ("crm", "offer.triggered"),
        ("till", "offer.triggered"),
    ] == [(each.endpoint, each.type) for each in sent]
    stamps = [json.loads(each.body)["timestamp"] for each in sent]
    assert sorted(stamps) == stamps
    assert all(each.ordered is (each.endpoint == "crm") for each in sent)


def test_half_a_surrogate_pair_in_a_zone_stops_nothing(
    campaign: Make, zone: Make, transition: Make
) -> None:
    """Legal JSON that isn't legal UTF-8 goes out as an escape, instead of failing the batch."""
    odd = zone(properties={"special": "\ud800"})
    hello, moved = campaign(), transition()
    decisions = decide(
        [moved],
        table=CampaignTable.compile([hello], [odd]),
        zones={"shop": odd},
        audiences={},
        ledger=Ledger(),
        now_ms=NOON_MS,
    )
    (sent,) = deliveries(
        [moved],
        decisions,
        zones={"shop": odd},
        campaigns={"hello": hello},
        endpoints={"crm": endpoint()},
        profiles={},
        now_ms=NOON_MS,
    )
    assert json.loads(sent.body)["data"]["zone"]["properties"] == {"special": "\ud800"}
