"""The event catalogue says what is really sent, and what is really taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator, Draft202012Validator, meta

from geotarget import __version__
from geotarget.engine.positions import positions
from geotarget.engine.zone_index import ZoneIndex
from geotarget.errors import InvalidInput
from geotarget.events import EVENTS, PINGS, asyncapi, schema, schema_names
from geotarget.events.asyncapi import EXAMPLES
from geotarget.events.messages import MAX_EPOCH_S, MOST_PINGS
from geotarget.ingest import decode_mqtt
from geotarget.ingest.refusal import MAX_SECONDS
from geotarget.ingest.wire import DEFAULT_LIMITS
from geotarget.model import Delivery, Endpoint, Kind, Profile, Transition, Trigger, Variant
from geotarget.targeting import EVENT_TYPES, deliveries
from geotarget.targeting.event import endpoint_disabled, event_for_test
from tests.conftest import REPOSITORY
from tests.targeting.conftest import NOON_MS, make_campaign, make_transition, make_zone
from tests.targeting.deciding import run

CHECKS = {
    name: Draft202012Validator(schema(name), validate_formats=True) for name in schema_names()
}
DOCUMENT = asyncapi(__version__)
AINO = Profile("aino", {"tier": "gold", "size": None, "deep": {"a": [1, 2.5]}, "language": "sv"})
PLACE = {"name": "Shop", "special": "Pulla", "nested": {"a": [1, 2.5, None]}}
ENTER = make_transition()
EVERY_TYPE = Endpoint("crm", "https://hooks.example.com", "whsec_", events=EVENT_TYPES)


def sent(
    moved: Transition, profile: Profile | None = None, choice: str = "", **campaign: Any
) -> list[Delivery]:
    """Decide about a transition with the real gates and make the real bodies."""
    zones = {"shop": make_zone(properties=PLACE)}
    trigger = Trigger(on=frozenset(set(Kind) - {Kind.RECONCILED}), dwell_s=moved.threshold_s)
    hello = make_campaign(**({"trigger": trigger, "offer": {"text": "Hi"}} | campaign))
    profiles = {"phone-1": profile} if profile else {}
    decisions = run([moved], [hello], list(zones.values()), profiles=profiles)
    index = ZoneIndex.build(list(zones.values()))
    choices = {"crm": choice} if choice else {}
    return deliveries(
        [moved],
        decisions,
        zones=zones,
        campaigns={"hello": hello},
        endpoints={"crm": EVERY_TYPE},
        profiles=profiles,
        now_ms=NOON_MS,
        choices=choices,
        positions=positions([moved], [choice], index=index, is_sensitive=lambda _: False),
    )


def real_bodies() -> dict[str, list[Delivery]]:
    """Return deliveries of all kinds, by what is special about them."""
    warm = Variant("warm", {"text": "Hi"}, translations={"sv": {"text": "Hej"}})
    off = Endpoint("till", "https://x.example", "whsec_", disabled_reason="410", revision=7)
    here = make_transition(fix=(24.9412345, -60.1712345, 8.0))
    return {
        "cell": sent(here, choice="cell"),
        "rounded": sent(here, choice="rounded"),
        "exact": sent(here, choice="exact"),
        "nowhere": sent(ENTER, choice="exact"),
        "enter": sent(ENTER),
        "initial": sent(make_transition(initial=True, confidence=1, p=0.5)),
        "dwell": sent(make_transition(kind=Kind.DWELL, threshold_s=300, duration_s=300.0)),
        "exit": sent(make_transition(kind=Kind.EXIT, duration_s=90.5)),
        "crossed": sent(make_transition(kind=Kind.CROSSED)),
        "expiring": sent(ENTER, valid_s=3_600),
        "variant": sent(ENTER, variants=(warm,), offer=None),
        "translated": sent(ENTER, AINO, variants=(warm,), offer=None),
        "attributes": sent(ENTER, AINO, pass_attributes=("tier", "deep", "size", "phone")),
        "disabled": endpoint_disabled(off, [EVERY_TYPE], now_ms=NOON_MS),
        "test": [event_for_test("crm", "1f", now_ms=NOON_MS + 7)],
    }


BODIES = real_bodies()


def test_every_type_of_event_is_in_the_catalogue() -> None:
    """Whoever may be named in `events` has a schema, and nobody else."""
    assert set(EVENT_TYPES) == set(EVENTS)
    assert set(EVENTS) == {each.type for made in BODIES.values() for each in made}
    assert (*EVENTS, *PINGS) == schema_names()


@pytest.mark.parametrize("what", BODIES)
def test_real_bodies_obey_their_schemas(what: str) -> None:
    """Bodies of real decisions are valid for their type and for no other."""
    assert BODIES[what]
    for each in BODIES[what]:
        body = json.loads(each.body)
        for name in EVENTS:
            assert (name == each.type) is CHECKS[name].is_valid(body), name


@pytest.mark.parametrize("what", BODIES)
def test_the_models_know_every_member_of_real_bodies(what: str) -> None:
    """Read as the model and written again, a body is the same, byte by byte."""
    for each in BODIES[what]:
        model = msgspec.json.decode(each.body, type=EVENTS[each.type])
        assert each.body == msgspec.json.encode(model)


def test_a_member_that_is_missing_or_wrong_is_found() -> None:
    """The schemas are no formality: each required member is asked for, types are checked."""
    (_, offer) = BODIES["attributes"]
    body = json.loads(offer.body)
    check = CHECKS["offer.triggered"]
    for path in (["timestamp"], ["data", "decision"], ["data", "zone", "revision"]):
        broken = json.loads(offer.body)
        place = broken
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        assert not check.is_valid(broken), path
    for place in (
        {},
        {"cell": "8a1126d338fffff"},
        {"lng": 24.9},
        {"cell": "x", "lng": 1, "lat": 1},
    ):
        assert not check.is_valid(body | {"data": body["data"] | {"position": place}}), place
    for changes in ({"confidence": 4}, {"p": 1.5}, {"time": "noon"}, {"kind": "reconciled"}):
        moved = body["data"]["transition"] | changes
        assert not check.is_valid(body | {"data": body["data"] | {"transition": moved}}), changes
    assert check.is_valid(body | {"more": 1})


@pytest.mark.parametrize("name", schema_names())
def test_schemas_are_schemas_and_examples_obey_them(name: str) -> None:
    """Each is valid 2020-12, complete in itself, and has an example."""
    document = schema(name)
    assert meta.is_valid(document)
    assert "#/components" not in json.dumps(document)
    CHECKS[name].validate(EXAMPLES[name])
    assert set(EXAMPLES) == set(schema_names())


def test_unknown_name_is_refused() -> None:
    """The names that there are, are said."""
    with pytest.raises(InvalidInput, match=r"offer\.triggered.*ping"):
        schema("offer")


# -- pings --------------------------------------------------------------------------------------

numbers = st.one_of(
    st.floats(-200, 200), st.integers(-200, 200), st.sampled_from([None, True, "1", [], {}])
)
times = st.one_of(
    st.floats(-10, 2e11), st.integers(-10, 2 * 10**11), st.datetimes().map(lambda at: f"{at}Z"),
    st.sampled_from(["2026-01-01T12:00:00Z", "2026-01-01T12:00:00+02:00", "noon", None, False]),
)  # fmt: skip
members = {
    "acc": numbers,
    "id": st.one_of(st.text(max_size=5), st.integers(-9, 9), st.sampled_from([None, True, [], {}])),
    "speed": numbers,
    "heading": numbers,
    "battery": numbers,
}
pings = st.one_of(
    *(
        st.fixed_dictionaries({}, optional={"ts": times, "lat": numbers, **one, **members})
        for one in ({"lng": numbers}, {"lon": numbers})
    ),
    st.fixed_dictionaries(
        {"ts": st.floats(1, 1e11), "lat": st.floats(-90, 90), "lng": st.floats(-180, 180)},
        optional=members,
    ),
)


def accepted(topic: str, payload: bytes) -> tuple[int, int]:
    """Return how many pings the real decoder takes and refuses."""
    decoded = decode_mqtt([(topic, payload)], received_ms=NOON_MS)
    return len(decoded.pings), len(decoded.rejected)


@given(ping=pings)
@example(ping={"ts": 1e11, "lat": 90, "lng": -180})
@example(ping={"ts": 0, "lat": 0, "lng": 0})
@example(ping={"ts": 1, "lat": 0})
@example(ping={"ts": 1, "lat": 0, "lng": None, "lon": 1})
@example(ping={"ts": 1, "lat": 0, "lng": 0, "lon": 500})
def test_a_ping_is_valid_when_the_decoder_takes_it(ping: Mapping[str, Any]) -> None:
    """What the schema allows is taken; what it forbids is refused, but for two leniencies."""
    taken, refused = accepted("pings/phone-1", json.dumps(ping).encode())
    assert taken + refused == 1
    lenient = {"lng", "lon"} <= ping.keys() or " " in str(ping.get("ts"))
    if CHECKS["ping"].is_valid(ping):
        assert taken == 1
    elif not lenient:
        assert refused == 1


@pytest.mark.parametrize(
    ("count", "fits"), [(0, True), (MOST_PINGS, True), (MOST_PINGS + 1, False)]
)
def test_arrays_are_as_long_as_the_decoder_takes_them(count: int, fits: bool) -> None:
    """A hundred pings a message, and not one more."""
    array = [{"ts": 1.5 + n, "lat": 1, "lng": 2} for n in range(count)]
    assert CHECKS["ping"].is_valid(array) is fits
    assert (accepted("pings/phone-1", json.dumps(array).encode()) == (count, 0)) is fits


def test_bounds_of_the_catalogue_are_those_of_the_decoder() -> None:
    """The catalogue stands below the ingest and repeats two figures."""
    assert (MAX_EPOCH_S, MOST_PINGS) == (MAX_SECONDS, DEFAULT_LIMITS.message_pings)


@pytest.mark.parametrize(
    ("changes", "fits"),
    [({}, True), ({"acc": None}, True), ({"lat": 91}, False), ({"tst": "noon"}, False)],
)
def test_owntracks(changes: dict[str, Any], fits: bool) -> None:
    """Locations of the OwnTracks apps."""
    location = EXAMPLES["owntracks"] | changes
    assert CHECKS["owntracks"].is_valid(location) is fits
    assert accepted("owntracks/aino/phone", json.dumps(location).encode()) == (fits, not fits)


# -- AsyncAPI -----------------------------------------------------------------------------------


def test_the_committed_document_is_the_code_s() -> None:
    """Renew it with `geotarget events > geotarget/docs/asyncapi.json`."""
    page = REPOSITORY / "geotarget" / "docs" / "asyncapi.json"
    assert DOCUMENT == json.loads(page.read_text())


def test_every_link_of_the_document_leads_somewhere() -> None:
    """Channels to messages, messages to schemas, schemas to each other."""

    def visit(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                visit(each)
        elif isinstance(value, dict):
            if "$ref" in value:
                target: Any = DOCUMENT
                for step in value["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for each in value.values():
                visit(each)

    visit(DOCUMENT)


@pytest.mark.parametrize("name", schema_names())
def test_messages_of_the_document_have_valid_examples(name: str) -> None:
    """In the dialect of AsyncAPI, which is that of draft 7."""
    message = DOCUMENT["components"]["messages"][name]
    check = Draft7Validator({**message["payload"], "components": DOCUMENT["components"]})
    for each in message["examples"]:
        check.validate(each["payload"])
    assert not check.is_valid({"type": name})
    assert message["summary"]
    assert ("headers" in message) == (name in EVENTS)
