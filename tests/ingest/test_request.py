"""HTTP bodies to columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.errors import InvalidPing
from geotarget.ingest import Decoded, WireLimits, decode_http, decode_mqtt

NOW_MS = 1_732_240_001_000
GOOD = {"device": "d1", "ts": 1732240000.25, "lat": 60.1699, "lng": 24.9384, "acc": 12.0}


def decode(body: Any, content_type: str = "application/json", **options: Any) -> Decoded:
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return decode_http(body, content_type=content_type, received_ms=NOW_MS, **options)


def lines(*items: Any) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in items)


@pytest.mark.parametrize(
    ("body", "content_type", "count"),
    [
        (json.dumps([GOOD, GOOD]).encode(), "application/json", 2),
        (json.dumps(GOOD).encode(), "application/json; charset=utf-8", 1),
        (json.dumps(GOOD, indent=2).encode(), "", 1),
        (lines(GOOD, GOOD, GOOD), "application/x-ndjson", 3),
        (b"\r\n" + lines(GOOD, GOOD) + b"\r\n\r\n", "application/x-ndjson", 2),
        (lines(GOOD), "application/jsonl", 1),
        (lines(GOOD, GOOD), "application/json", 2),
        (b"[]", "application/json", 0),
    ],
)
def test_three_forms_of_a_body(body: bytes, content_type: str, count: int) -> None:
    """An array, one object and NDJSON are taken, the last also when the type does not say so."""
    decoded = decode(body, content_type)
    assert decoded.pings.device == ["d1"] * count
    assert decoded.ping_message.tolist() == list(range(count))
    assert decoded.pings.received.tolist() == [NOW_MS] * count
    assert decoded.rejected == []


def test_same_columns_as_over_mqtt() -> None:
    """A ping has the same values and the same key, whichever way it comes."""
    http = decode([GOOD]).pings
    mqtt = decode_mqtt([(b"pings/d1", json.dumps(GOOD).encode())], received_ms=NOW_MS).pings
    for name in ("ts", "lng", "lat", "acc", "key", "received"):
        np.testing.assert_array_equal(getattr(http, name), getattr(mqtt, name))


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [
        ({"lat": 95}, "latitude", "$[1].lat: latitude must be within -90 and 90, not 95.0"),
        ({"lat": "x"}, "type", "$[1].lat"),
        ({"ts": 1732240000250}, "timestamp", "$[1].ts"),
        ({"device": ""}, "device", "$[1].device: the device id is empty"),
        ({"device": "a#"}, "device", "$[1].device: a device id can't contain '#'"),
        ({"device": 7}, "device", "$[1].device: must be a string, not 7"),
        ({"device": None}, "device", "$[1].device: must be a string, not null"),
    ],
)
def test_bad_items_have_their_index(change: dict[str, Any], reason: str, says: str) -> None:
    """A bad item is refused by itself; the others keep their positions."""
    decoded = decode([GOOD, GOOD | change, GOOD | {"ts": 5}])
    assert decoded.ping_message.tolist() == [0, 2]
    (letter,) = decoded.rejected
    assert (letter.index, letter.reason, letter.source) == (1, reason, "http")
    assert says in letter.detail
    assert json.loads(letter.payload) == GOOD | change


def test_missing_device_and_foreign_items() -> None:
    """What lacks only its device is told so; what is of another format too."""
    nameless = {k: v for k, v in GOOD.items() if k != "device"}
    decoded = decode([nameless, {"device": "d", "latitude": 1}, 5])
    assert [(r.index, r.reason) for r in decoded.rejected] == [
        (0, "device"),
        (1, "unsupported"),
        (2, "type"),
    ]


def test_a_bad_line_is_named_by_its_number() -> None:
    """In NDJSON a broken line costs itself only, and blank lines count as lines."""
    body = lines(GOOD) + b"\n\n{broken\n" + lines(GOOD | {"lat": 91}, GOOD)
    decoded = decode(body, "application/x-ndjson")
    assert decoded.ping_message.tolist() == [0, 3]
    assert [(r.index, r.reason) for r in decoded.rejected] == [(1, "json"), (2, "latitude")]
    assert decoded.rejected[0].detail.startswith("line 3: not JSON")
    assert decoded.rejected[1].detail.startswith("line 4: $.lat")
    assert decoded.rejected[0].payload == b"{broken"


def test_a_single_bad_object_is_an_item_too() -> None:
    """One object that is no good is refused as item 0."""
    (letter,) = decode(GOOD | {"lng": 200}).rejected
    assert (letter.index, letter.detail.startswith("$.lng")) == (0, True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "$: the body is empty"),
        (b"  \n", "$: the body is empty"),
        (b"[{", "not JSON"),
        (b"\xff\xff", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deep"),
        (b"x" * 4_194_305, "a body has at most 4194304"),
        (b"[" + b"1," * 10_000 + b"1]", "a request holds at most 10000 pings (10001 pings)"),
    ],
)
def test_broken_bodies_raise(body: bytes, says: str) -> None:
    """A body that can't be read as a whole is an error that says why."""
    with pytest.raises(InvalidPing) as caught:
        decode(body)
    assert says in str(caught.value)


def test_limits_are_arguments() -> None:
    """Bounds can be set; exactly as many pings are fine."""
    limits = WireLimits(request_pings=2)
    assert len(decode([GOOD, GOOD], limits=limits).pings) == 2
    with pytest.raises(InvalidPing, match="at most 2 pings"):
        decode([GOOD] * 3, limits=limits)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just(GOOD),
            st.fixed_dictionaries(
                {"ts": st.floats(), "lat": st.floats(), "device": st.text(max_size=3)}
            ),
            st.integers(),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_every_item_is_accepted_or_refused(items: list[Any], as_lines: bool) -> None:
    """Each item of a request is either a ping or a refusal, never both, never none."""
    body = lines(*items) if as_lines else json.dumps(items).encode()
    if not body.strip():
        return
    decoded = decode(body, "application/x-ndjson" if as_lines else "application/json")
    seen = [*decoded.ping_message.tolist(), *(letter.index for letter in decoded.rejected)]
    assert sorted(seen) == list(range(len(items)))
    assert len(decoded.pings) == len(decoded.ping_message)
