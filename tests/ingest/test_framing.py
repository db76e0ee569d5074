"""Cutting byte streams into MQTT packets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geotarget.ingest.framing import Framer
from geotarget.ingest.waiting import Frame

LIMIT = 100_000


def length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(out)


def packet(header: int, body: bytes) -> bytes:
    return bytes((header,)) + length(len(body)) + body


def publish(frame: Frame, properties: bytes | None = None) -> bytes:
    topic, payload, identifier, header = frame
    body = len(topic).to_bytes(2, "big") + topic
    if header & 0x06:
        body += identifier.to_bytes(2, "big")
    if properties is not None:
        body += length(len(properties)) + properties
    return packet(header, body + payload)


frames = st.builds(
    lambda topic, payload, qos, dup, identifier: (
        topic,
        payload,
        identifier if qos else 0,
        0x30 | dup << 3 | qos << 1,
    ),
    st.binary(min_size=1, max_size=300),
    st.one_of(
        st.binary(max_size=40), st.binary(min_size=120, max_size=140), st.just(b"x" * 20_000)
    ),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(1, 65_535),
)
others = st.sampled_from([(0xD0, b""), (0x90, b"\x00\x01\x01"), (0x40, b"\x00\x07\x10\x00")])


@settings(deadline=None)
@given(
    st.lists(st.one_of(frames, others), max_size=8),
    st.sampled_from([None, 0, 1, 127, 128, 200, 16_383, 16_384]),
    st.lists(st.sampled_from((1, 2, 3, 50, 5_000)), min_size=1, max_size=20),
)
def test_any_split_gives_the_same_frames(
    sequence: list[Frame | tuple[int, bytes]], property_bytes: int | None, steps: list[int]
) -> None:
    """Wherever the stream is cut, the same packets come out, with properties of any length."""
    properties = None if property_bytes is None else b"p" * property_bytes
    stream = b"".join(
        publish(item, properties) if len(item) == 4 else packet(*item) for item in sequence
    )
    framer = Framer(LIMIT)
    found: list[Frame] = []
    packets: list[tuple[int, bytes]] = []
    at = 0
    for step in itertools.cycle([*steps, 5_000]):
        if at >= len(stream):
            break
        more, other, malformed = framer.feed(
            stream[at : at + step], properties=property_bytes is not None
        )
        assert malformed is None
        found += more
        packets += other
        at += step
    assert found == [item for item in sequence if len(item) == 4]
    assert packets == [item for item in sequence if len(item) == 2]


def test_byte_by_byte() -> None:
    """Single bytes are enough, and nothing comes before its last byte."""
    frame = (b"pings/d", b"x" * 300, 7, 0x32)
    stream = publish(frame)
    framer = Framer(LIMIT)
    results = [framer.feed(bytes((byte,)), properties=False) for byte in stream]
    assert results[:-1] == [([], [], None)] * (len(stream) - 1)
    assert results[-1] == ([frame], [], None)


def test_reset_forgets_the_unfinished_packet() -> None:
    """The end of an earlier connection never joins the beginning of the next."""
    framer = Framer(LIMIT)
    frame = (b"t", b"payload", 1, 0x32)
    framer.feed(publish(frame)[:5], properties=False)
    framer.reset()
    assert framer.feed(publish(frame), properties=False)[0] == [frame]


@pytest.mark.parametrize(
    ("stream", "properties", "says"),
    [
        (b"\x30\xff\xff\xff\xff\x01", False, "more than four bytes"),
        (
            b"\x30" + length(LIMIT + 1),
            False,
            "a packet of 100001 bytes is above the limit of 100000",
        ),
        (b"\xd0" + length(LIMIT + 1), False, "above the limit"),
        (packet(0x30, b"\x00"), False, "too short for its topic"),
        (packet(0x30, b"\x00\x05ab"), False, "shorter than its own lengths"),
        (packet(0x32, b"\x00\x01a\x00"), False, "before its packet identifier"),
        (packet(0x32, b"\x00\x01a\x00\x00x"), False, "packet identifier 0"),
        (packet(0x34, b"\x00\x01a\x00\x01x"), False, "QoS 2"),
        (packet(0x36, b"\x00\x01a\x00\x01x"), False, "QoS 2 or 3"),
        (packet(0x30, b"\x00\x00x"), False, "no topic"),
        (packet(0x30, b"\x00\x01a"), True, "before its properties"),
        (packet(0x30, b"\x00\x01a\x80"), True, "before its properties"),
        (packet(0x30, b"\x00\x01a\x05x"), True, "shorter than its own lengths"),
        (packet(0x30, b"\x00\x01a\xff\xff\xff\xff\x01"), True, "more than four bytes"),
    ],
)
def test_malformed_packets_are_named(stream: bytes, properties: bool, says: str) -> None:
    """A broken or oversized packet ends the connection with a reason; what came before counts."""
    good = (b"t", b"p", 9, 0x32)
    before = publish(good, b"" if properties else None)
    found, _, malformed = Framer(LIMIT).feed(before + stream + before, properties=properties)
    assert found == [good]
    assert says in str(malformed)


@settings(deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_noise_never_raises(stream: bytes, properties: bool) -> None:
    """Whatever a peer sends is cut or refused."""
    found, _, _ = Framer(LIMIT).feed(stream, properties=properties)
    assert all(topic for topic, _, _, _ in found)
