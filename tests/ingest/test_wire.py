"""MQTT payloads to columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.ingest import Decoded, WireLimits, decode_mqtt
from geotarget.ingest.topics import device_problem, subscriptions
from geotarget.ingest.wire import OWNTRACKS_IGNORED, decode_mqtt_singly
from geotarget.model.keys import message_key, ping_keys

NOW_MS = 1_732_240_001_000
GOOD = {"ts": 1732240000.25, "lat": 60.1699, "lng": 24.9384, "acc": 12.0}


def decode(payload: Any, topic: bytes | str = b"pings/d1", **options: Any) -> Decoded:
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    return decode_mqtt([(topic, payload)], received_ms=NOW_MS, **options)


def only_refusal(payload: Any, topic: bytes | str = b"pings/d1", **options: Any) -> tuple[str, str]:
    decoded = decode(payload, topic, **options)
    assert len(decoded.pings) == 0
    (letter,) = decoded.rejected
    return letter.reason, letter.detail


def test_an_object_becomes_one_ping() -> None:
    """All members land in their columns, times in milliseconds."""
    pings = decode(GOOD).pings
    assert pings.device == ["d1"]
    assert pings.ts.tolist() == [1_732_240_000_250]
    assert (pings.lng.tolist(), pings.lat.tolist()) == ([24.9384], [60.1699])
    assert pings.acc.tolist() == [12.0]
    assert pings.received.tolist() == [NOW_MS]
    assert [c.dtype for c in (pings.ts, pings.lng, pings.key)] == [np.int64, np.float64, np.uint64]


def test_arrays_keep_order_and_say_which_message() -> None:
    """Pings of several messages come in order of arrival, each with its message's position."""
    messages = [
        (b"pings/a", json.dumps([GOOD | {"ts": 1}, GOOD | {"ts": 2}]).encode()),
        (b"pings/b", json.dumps(GOOD | {"ts": 3}).encode()),
        (b"pings/c", b"[]"),
        (b"pings/a", json.dumps([GOOD | {"ts": 4}]).encode()),
    ]
    decoded = decode_mqtt(messages, received_ms=np.array([10, 20, 30, 40]))
    assert decoded.pings.device == ["a", "a", "b", "a"]
    assert decoded.pings.ts.tolist() == [1000, 2000, 3000, 4000]
    assert decoded.ping_message.tolist() == [0, 0, 1, 3]
    assert decoded.pings.received.tolist() == [10, 10, 20, 40]


@pytest.mark.parametrize(
    ("ts", "milliseconds"),
    [
        (1, 1_000),
        (1732240000, 1_732_240_000_000),
        (1732240000.0004, 1_732_240_000_000),
        (1732240000.0006, 1_732_240_000_001),
        ("2024-11-22T01:46:40Z", 1_732_240_000_000),
        ("2024-11-22T03:46:40.250+02:00", 1_732_240_000_250),
        (1e11, 100_000_000_000_000),
    ],
)
def test_times(ts: object, milliseconds: int) -> None:
    """Epoch seconds, whole or not, and RFC 3339 with an offset mean instants."""
    assert decode(GOOD | {"ts": ts}).pings.ts.tolist() == [milliseconds]


def test_times_of_both_kinds_in_one_receive() -> None:
    """A date-time among numbers does not disturb them."""
    mixed = [GOOD, GOOD | {"ts": "2024-11-22T01:46:40Z"}]
    assert decode(mixed).pings.ts.tolist() == [1_732_240_000_250, 1_732_240_000_000]


@pytest.mark.parametrize("acc", [None, 0, -1, -0.0])
def test_unknown_accuracy_is_nan(acc: float | None) -> None:
    """An accuracy that is null, zero or negative is unknown, never exact."""
    assert np.isnan(decode(GOOD | {"acc": acc}).pings.acc).all()


def test_missing_accuracy_is_nan() -> None:
    """So is one that is not there."""
    assert np.isnan(decode({"ts": 1, "lat": 2, "lng": 3}).pings.acc).all()


def test_lon_is_taken_for_lng() -> None:
    """`lon` is understood; where both stand `lng` counts."""
    only = {"ts": 1, "lat": 2, "lon": 3}
    assert decode([only, only | {"lng": 4}]).pings.lng.tolist() == [3.0, 4.0]


def test_unknown_members_and_optional_ones_are_ignored() -> None:
    """Whatever else a device sends does no harm."""
    more = {"speed": 1.5, "heading": None, "battery": {"level": [1, 2]}, "note": "NaN"}
    assert len(decode(GOOD | more).pings) == 1


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"lat": 95.0}, "latitude", "$.lat: latitude must be within -90 and 90, not 95.0"),
        ({"lat": 120.5}, "latitude", "are lat and lng swapped?"),
        ({"lng": 181}, "longitude", "$.lng: longitude must be within -180 and 180, not 181.0"),
        ({"ts": 1732240000250}, "timestamp", "milliseconds? divide by 1000"),
        ({"ts": 0}, "timestamp", "must be above 0, not 0"),
        ({"ts": -5}, "timestamp", "must be above 0, not -5"),
        ({"ts": "1732240000"}, "timestamp", 'RFC 3339 time with an offset: "1732240000"'),
        ({"ts": "2024-11-22T01:46:40"}, "timestamp", "with an offset"),
        ({"ts": None}, "type", "$.ts: must be a number, not null null"),
        ({"ts": True}, "type", "$.ts: must be a number, not a boolean true"),
        ({"lat": "60.1"}, "type", '$.lat: must be a number, not a string "60.1"'),
        ({"lng": [24.9]}, "type", "$.lng: must be a number, not an array [24.9]"),
        ({"acc": {}}, "type", "$.acc: must be a number, not an object {}"),
        ({"acc": "12"}, "type", "$.acc"),
        ({"speed": "fast"}, "type", "$.speed"),
        ({"id": 1.5}, "type", "$.id: must be a string or an integer"),
        ({"lat": float("nan")}, "not_finite", "$.lat: must be a finite number, not nan"),
        ({"lng": float("inf")}, "not_finite", "$.lng: must be a finite number, not inf"),
        ({"acc": float("-inf")}, "not_finite", "$.acc: must be a finite number, not -inf"),
    ],
)
def test_bad_members_are_named(change: dict[str, Any], reason: str, says: str) -> None:
    """A refusal has its code, and names place, value and bound."""
    found, detail = only_refusal(GOOD | change)
    assert found == reason
    assert says in detail


@pytest.mark.parametrize(
    ("missing", "reason"), [("ts", "timestamp"), ("lat", "latitude"), ("lng", "longitude")]
)
def test_missing_members_are_named(missing: str, reason: str) -> None:
    """What a ping can't do without is named when it is missing."""
    found, detail = only_refusal({k: v for k, v in GOOD.items() if k != missing})
    assert (found, "missing" in detail, f"$.{missing}" in detail) == (reason, True, True)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", None),
        (b"{", "json"),
        (b"hello", "json"),
        (b'{"ts": 1, "lat": 2, "lng": 3} {}', "json"),
        (b'{"ts": 1, "lat": 2, "lng": 3}\n{"ts": 1, "lat": 2, "lng": 3}', "json"),
        (b'\xff\xfe{"ts"', "json"),
        (b'{"id": "\xff", "ts": 1, "lat": 2, "lng": 3}', "json"),
        (b"[" * 60_000, "json"),
        (b'{"ts": 1, "lat": 2, "lng": 3, "x": ' + b"[" * 60_000, "json"),
        (b'{"ts": 1e999, "lat": 2, "lng": 3}', "not_finite"),
        (b'{"ts": 1, "lat": 1' + b"0" * 400 + b', "lng": 3}', "not_finite"),
        (b'{"ts": 1, "lat": 1' + b"0" * 5_000 + b', "lng": 3}', "json"),
        (b"null", "type"),
        (b"17", "type"),
        (b'"a"', "type"),
        (b"{}", "unsupported"),
        (b'{"latitude": 1, "longitude": 2}', "unsupported"),
    ],
)
def test_broken_payloads(payload: bytes, reason: str | None) -> None:
    """Nothing that can be published raises: it is refused with a reason, or ignored."""
    decoded = decode(payload)
    assert [letter.reason for letter in decoded.rejected] == ([reason] if reason else [])
    assert decoded.ignored == (0 if reason else 1)


def test_good_items_of_a_bad_array_are_kept() -> None:
    """Each bad item is named by its index, and kept as it was; the others go on."""
    items = [GOOD, GOOD | {"lat": "x"}, GOOD | {"ts": 7}, 5, GOOD | {"lng": 999, "note": "kept"}]
    decoded = decode(items)
    assert decoded.pings.ts.tolist() == [1_732_240_000_250, 7_000]
    assert [(r.index, r.reason) for r in decoded.rejected] == [
        (1, "type"),
        (3, "type"),
        (4, "longitude"),
    ]
    assert decoded.rejected[2].detail.startswith("$[4].lng:")
    assert json.loads(decoded.rejected[2].payload) == items[4]
    assert decoded.rejected[0].source == "pings/d1"


def test_bounds_in_well_formed_arrays_name_the_index() -> None:
    """An item that decodes and is out of range has its place inside its own message."""
    fine, high = json.dumps([GOOD, GOOD]).encode(), json.dumps([GOOD, GOOD | {"lat": 91}]).encode()
    decoded = decode_mqtt([(b"pings/a", fine), (b"pings/b", high)], received_ms=NOW_MS)
    assert decoded.pings.device == ["a", "a", "b"]
    assert decoded.ping_message.tolist() == [0, 0, 1]
    (letter,) = decoded.rejected
    assert (letter.source, letter.index, letter.reason) == ("pings/b", 1, "latitude")
    assert letter.detail.startswith("$[1].lat")


def test_limits_of_a_message() -> None:
    """Too many pings or bytes refuse the whole message; exactly as many do not."""
    limits = WireLimits(message_bytes=1_000, message_pings=3)
    assert len(decode([GOOD] * 3, limits=limits).pings) == 3
    assert only_refusal([GOOD] * 4, limits=limits) == (
        "too_many",
        "$: a message holds at most 3 pings, not 4",
    )
    mixed = [GOOD, GOOD, GOOD, {"ts": "x"}]
    assert only_refusal(mixed, limits=limits)[0] == "too_many"
    padded = json.dumps(GOOD).encode().ljust(1_000)
    assert len(decode(padded, limits=limits).pings) == 1
    assert only_refusal(padded + b" ", limits=limits) == (
        "too_large",
        "$: a message has at most 1000 bytes, not 1001",
    )


def test_kept_payloads_are_cut() -> None:
    """A dead letter holds 64 KiB at most."""
    decoded = decode(b"x" * 100_000)
    assert (decoded.rejected[0].reason, len(decoded.rejected[0].payload)) == ("too_large", 65_536)


def test_messages_cannot_lean_on_their_neighbours() -> None:
    """Halves of JSON in neighbouring messages never make a ping of somebody else's."""
    one = json.dumps(GOOD)
    messages = [
        (b"pings/a", f"[{one},".encode()),
        (b"pings/victim", one.encode()),
        (b"pings/b", f"{one}]".encode()),
        (b"pings/c", f"{one} {one}".encode()),
        (b"pings/d", f"{one},{one}".encode()),
    ]
    decoded = decode_mqtt(messages, received_ms=NOW_MS)
    assert decoded.pings.device == ["victim"]
    assert [letter.source for letter in decoded.rejected] == [
        "pings/a",
        "pings/b",
        "pings/c",
        "pings/d",
    ]


@pytest.mark.parametrize(
    ("topic", "device"),
    [
        (b"pings/d1", "d1"),
        ("pings/d1", "d1"),
        (b"pings/a b", "a b"),
        ("pings/Bär-7".encode(), "Bär-7"),
        (b"pings/" + b"x" * 128, "x" * 128),
        (b"owntracks/anna/phone", "anna/phone"),
    ],
)
def test_devices_are_named_by_the_topic(topic: bytes | str, device: str) -> None:
    """The topic names the device, the payload never does."""
    payload = GOOD | {"_type": "location", "tst": 1} if device == "anna/phone" else GOOD
    payload = {**payload, "lon": 3, "device": "somebody else"}
    assert decode(payload, topic).pings.device == [device]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (b"pings/", "device"),
        (b"pings/a\x07b", "device"),
        (b"pings/a+b", "device"),
        (b"pings/" + b"x" * 129, "device"),
        (b"pings/\xff", "device"),
        (b"owntracks//phone", "device"),
        (b"pings/a/b", "unsupported"),
        (b"pongs/a", "unsupported"),
        (b"owntracks/anna", "unsupported"),
        (b"owntracks/anna/phone/event", "unsupported"),
    ],
)
def test_unusable_topics_are_dead_letters(topic: bytes, reason: str) -> None:
    """A message without a usable device is refused, however good its payload."""
    assert only_refusal(GOOD, topic)[0] == reason


def test_prefixes_may_have_levels() -> None:
    """A prefix of several levels works, and is told from its beginning."""
    assert subscriptions("slots/3") == ("slots/3/+", "owntracks/+/+")
    assert decode(GOOD, b"slots/3/d9", prefix="slots/3").pings.device == ["d9"]
    assert only_refusal(GOOD, b"slots/d9", prefix="slots/3")[0] == "unsupported"


def test_device_names() -> None:
    """What a device may be called is said in sentences."""
    assert device_problem("ok") == ""
    assert "'#'" in device_problem("a#b")
    assert "at most 128 characters, not 200" in device_problem("x" * 200)
    assert "at most one '/'" in device_problem("a/b/c")


LOCATION = {"_type": "location", "tst": 1551874878, "lat": 46.07, "lon": 11.15, "acc": 15, "vel": 3}


def test_owntracks_locations_are_understood() -> None:
    """A location message becomes a ping of user/device."""
    pings = decode(LOCATION, b"owntracks/anna/phone").pings
    assert pings.device == ["anna/phone"]
    assert pings.ts.tolist() == [1_551_874_878_000]
    assert (pings.lng.tolist(), pings.lat.tolist(), pings.acc.tolist()) == (
        [11.15],
        [46.07],
        [15.0],
    )


@pytest.mark.parametrize("kind", sorted(OWNTRACKS_IGNORED))
def test_other_owntracks_types_are_ignored_and_counted(kind: str) -> None:
    """What holds no fix of the device is neither a ping nor a dead letter."""
    for message in (LOCATION | {"_type": kind}, {"_type": kind, "tst": 1}):
        decoded = decode(message, b"owntracks/anna/phone")
        assert (len(decoded.pings), decoded.rejected, decoded.ignored) == (0, [], 1)


@pytest.mark.parametrize(
    ("message", "reason", "says"),
    [
        (LOCATION | {"lat": 95}, "latitude", "$.lat"),
        (LOCATION | {"lon": 195}, "longitude", "$.lon"),
        (LOCATION | {"tst": 1551874878000}, "timestamp", "$.tst"),
        ({"_type": "location", "lat": 1, "lon": 2}, "timestamp", "$.tst: the fix time is missing"),
        ({"_type": "location", "tst": 1, "lat": 2}, "longitude", "$.lon: the longitude is missing"),
        ({"_type": "encrypted", "data": "…"}, "unsupported", "encrypted"),
        ({"_type": "selfie"}, "unsupported", '"selfie"'),
        (GOOD, "unsupported", "null"),
        ([LOCATION], "unsupported", "null"),
    ],
)
def test_bad_owntracks_messages(message: Any, reason: str, says: str) -> None:
    """Refusals speak the format's own names."""
    found, detail = only_refusal(message, b"owntracks/anna/phone")
    assert found == reason
    assert says in detail


def test_owntracks_on_the_wrong_topic_gets_a_hint() -> None:
    """A location message under pings/ is told where it belongs."""
    reason, detail = only_refusal(LOCATION)
    assert (reason, "owntracks/{user}/{device}" in detail) == ("unsupported", True)


def test_keys_are_stable() -> None:
    """Keys are the same for ever: a re-delivery is recognised across versions and machines."""
    assert message_key("abc") == 0xD8BB14D833D59559
    assert message_key(5) == message_key("5")
    keys = ping_keys(np.array([1_732_240_000_250]), np.array([24.9384]), np.array([60.1699]))
    assert keys.tolist() == [0x5C7562C975098825]
    assert decode(GOOD).pings.key.tolist() == keys.tolist()


def test_keys_tell_pings_apart() -> None:
    """Same ping, same key; another time, place or id, another key; never 0."""
    variants = [GOOD, GOOD | {"ts": 7}, GOOD | {"lat": 1}, GOOD | {"lng": 1}, GOOD | {"id": "a"}]
    keys = decode([*variants, GOOD, GOOD | {"id": ""}, GOOD | {"id": None}]).pings.key.tolist()
    assert len(set(keys[:5])) == 5
    assert keys[5:] == [keys[0]] * 3
    assert 0 not in keys


def test_key_of_zero_has_no_sign() -> None:
    """0.0 and -0.0 are one place."""
    zero, minus = decode([GOOD | {"lat": 0.0}, GOOD | {"lat": -0.0}]).pings.key.tolist()
    assert zero == minus


numbers = st.one_of(
    st.floats(), st.integers(-(10**30), 10**30), st.sampled_from([90, -90, 180, -180, 1e11, 0])
)
values = st.one_of(numbers, st.none(), st.booleans(), st.text(max_size=5), st.just([1]))
items = st.dictionaries(
    st.sampled_from(["ts", "lat", "lng", "lon", "acc", "id", "speed", "heading", "_type", "x"]),
    values,
    max_size=8,
)
good_items = st.fixed_dictionaries(
    {
        "ts": st.floats(1, 1e11),
        "lat": st.floats(-90, 90),
        "lng": st.floats(-180, 180),
    }
)
payloads = st.one_of(
    st.one_of(items, good_items, st.lists(st.one_of(items, good_items), max_size=5), values).map(
        lambda value: json.dumps(value).encode()
    ),
    st.binary(max_size=40),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([b"pings/a", b"owntracks/u/d", b"x"]), payloads), max_size=6)
)
def test_together_as_alone(messages: list[tuple[bytes, bytes]]) -> None:
    """A receive decodes as its messages would alone: none disturbs another."""
    together = decode_mqtt(messages, received_ms=np.full(len(messages), NOW_MS))
    alone = decode_mqtt_singly(messages, received_ms=np.full(len(messages), NOW_MS))
    assert together.pings.device == list(alone.pings.device)
    for name in ("ts", "lng", "lat", "acc", "key"):
        np.testing.assert_array_equal(getattr(together.pings, name), getattr(alone.pings, name))
    assert together.ping_message.tolist() == alone.ping_message.tolist()
    assert together.ignored == alone.ignored

    def order(letter: Any) -> tuple[str, ...]:
        return (letter.source, letter.detail, letter.payload.hex())

    assert sorted(together.rejected, key=order) == sorted(alone.rejected, key=order)
    assert "undecodable" not in {letter.reason for letter in together.rejected}
    pings = together.pings
    assert (np.abs(pings.lat) <= 90).all()
    assert (np.abs(pings.lng) <= 180).all()
    assert (pings.ts > -1).all()


@settings(deadline=None)
@given(st.lists(good_items, min_size=1, max_size=20))
def test_good_pings_round_trip(pings: list[dict[str, float]]) -> None:
    """Coordinates come through to the last bit."""
    decoded = decode(pings)
    assert decoded.pings.lat.tolist() == [ping["lat"] for ping in pings]
    assert decoded.pings.lng.tolist() == [ping["lng"] for ping in pings]
    assert decoded.rejected == []


def read(shared_data: Path, name: str) -> Any:
    return json.loads((shared_data / "fixtures" / "payloads" / name).read_text())


def test_owntracks_fixtures(shared_data: Path) -> None:
    """Real OwnTracks messages: locations are pings, known other types are ignored."""
    messages = read(shared_data, "homeassistant/owntracks_messages.json")
    for message in messages:
        user_device = "/".join(message["topic"].split("/")[:3])
        decoded = decode(message["payload"], user_device)
        kind = message["payload"].get("_type")
        ignored = kind in OWNTRACKS_IGNORED
        expected = (1, 0, 0) if kind == "location" else (0, int(not ignored), int(ignored))
        assert (len(decoded.pings), len(decoded.rejected), decoded.ignored) == expected, message
    for message in read(shared_data, "traccar/OwnTracksProtocolDecoderTest.json"):
        assert decode(message, b"owntracks/u/d").pings.ts.tolist() == [message["tst"] * 1000]


def test_corrupt_owntracks_fixture(shared_data: Path) -> None:
    """Junk around JSON is refused as JSON, with the place."""
    text = (shared_data / "fixtures/payloads/homeassistant/owntracks_corrupt.txt").read_bytes()
    reason, detail = only_refusal(text, b"owntracks/u/d")
    assert (reason, "line 1 column" in detail) == ("json", True)


@pytest.mark.parametrize(
    "name",
    [
        "aws_location/eventbridge_events.json",
        "homeassistant/geofency_form.json",
        "homeassistant/gpslogger_form.json",
        "homeassistant/locative_form.json",
        "homeassistant/mobile_app_update_location.json",
        "overland/batch_example.json",
        "overland/readme_blocks.json",
        "traccar/DraginoProtocolDecoderTest.json",
        "traccar/FlespiProtocolDecoderTest.json",
        "traccar/GlobalstarProtocolDecoderTest.json",
        "traccar/OsmAndProtocolDecoderTest.json",
        "traccar/server_api_samples.json",
    ],
)
def test_foreign_formats_are_told_so(shared_data: Path, name: str) -> None:
    """Every message of another system is refused, saying what was expected and what was found."""
    found = read(shared_data, f"{name}")
    for message in found if isinstance(found, list) else [found]:
        decoded = decode(message)
        assert len(decoded.pings) == 0
        assert decoded.rejected
        for letter in decoded.rejected:
            assert letter.reason == "unsupported"
            assert "expected the members ts, lat and lng, found" in letter.detail


@pytest.mark.parametrize(
    "name",
    [
        "traccar/GeofenceCircleTest.txt",
        "traccar/GeofencePolygonTest.txt",
        "traccar/GeofencePolylineTest.txt",
        "traccar/OsmAndProtocolDecoderTest.txt",
    ],
)
def test_foreign_text_is_not_json(shared_data: Path, name: str) -> None:
    """Lines that are no JSON are refused as such."""
    for line in (shared_data / "fixtures" / "payloads" / name).read_bytes().splitlines():
        assert only_refusal(line)[0] == "json"
