"""Whatever comes in from outside is read or refused in words: never a fault, never a hang."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geotarget.errors import (
    GeotargetError,
    InvalidInput,
    InvalidPing,
    InvalidZone,
    SettingsError,
)
from geotarget.geojson import parse_feature, parse_zones
from geotarget.ingest import decode_http
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.wire import decode_mqtt
from geotarget.model import Profile
from geotarget.profile_files import CSV, NDJSON, rows_of
from geotarget.settings import Settings
from tests.fuzzing import examples

pytestmark = pytest.mark.fuzz

NOW_MS = 1_767_268_800_000
LONGEST_MESSAGE = 1_000

NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.sampled_from([0, -0.0, 1e308, 5e-324, 180, -180, 90, 2**53 + 1, 10**400]),
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["\ud800", "\0", "\u202e", "é", "id", "type", "Feature", "1e5", "__proto__"]),
)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
SQUARE = [[25, 60], [26, 60], [26, 61], [25, 61], [25, 60]]


def feature() -> dict[str, Any]:
    """Return a good feature, to be damaged."""
    properties = {"name": "a", "tags": ["x"], "priority": 1, "starts": "2026-01-01T00:00:00Z"}
    geometry = {"type": "Polygon", "coordinates": [[list(each) for each in SQUARE]]}
    return {"type": "Feature", "id": "z", "geometry": geometry, "properties": properties}


def damaged(whole: Any, data: st.DataObject) -> Any:
    """Return a document with one of its nodes replaced by something else, removed or doubled."""
    if not isinstance(whole, dict | list) or not whole or data.draw(st.integers(0, 3)) == 0:
        return data.draw(TREES)
    places = list(whole) if isinstance(whole, dict) else list(range(len(whole)))
    at = data.draw(st.sampled_from(places))
    if isinstance(whole, list) and data.draw(st.booleans()):
        return [*whole, whole[at]] if data.draw(st.booleans()) else whole[:at] + whole[at + 1 :]
    changed = whole.copy()
    changed[at] = damaged(whole[at], data)
    return changed


def text_of(tree: Any) -> bytes:
    """Return a tree as JSON, with what Python's writer adds to it: NaN, half characters."""
    return json.dumps(tree).encode()


def check_told(error: InvalidInput) -> None:
    """Insist on problems that can be shown: a place and a reason, not too long."""
    assert error.problems
    for each in error.problems:
        assert each.path
        assert each.reason
        assert len(each.value) <= LONGEST_MESSAGE


@examples(150)
@given(st.data())
def test_damaged_zones_are_read_or_refused(data: st.DataObject) -> None:
    """One node of a zone, anywhere, is something else; what is read can be read again."""
    one = damaged(feature(), data)
    document = text_of(
        one
        if data.draw(st.booleans())
        else {"type": "FeatureCollection", "features": [feature(), one]}
    )
    try:
        report = parse_zones(document)
    except InvalidZone as error:
        check_told(error)
        return
    for each in report.features:
        assert (each.zone is None) == bool(each.problems)
        if each.problems:
            check_told(InvalidZone(*each.problems))
    assert all(zone.geometry.is_valid for zone in report.zones)


@examples(100)
@given(st.binary(max_size=200) | TREES.map(text_of))
@example(b'{"type":"Feature","geometry":{"type":"Polygon","coordinates":' + b"[" * 40)
def test_bytes_are_no_zone(document: bytes) -> None:
    """Anything at all, at both doors."""
    for read in (parse_zones, lambda given_: parse_feature(given_, id="z")):
        try:
            read(document)
        except InvalidZone as error:
            check_told(error)


TOPICS = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"pings/a", b"owntracks/u/d", b"pings/", b"pings/a/b", b"pings/\xff", b"/"]),
)


@examples(150)
@given(st.lists(st.tuples(TOPICS, st.binary(max_size=40) | TREES.map(text_of)), max_size=5))
def test_messages_are_pings_or_dead_letters(messages: list[tuple[bytes, bytes]]) -> None:
    """Whatever topic and payload are; nothing is lost, and nothing is a fault of the decoder."""
    decoded = decode_mqtt(messages, received_ms=np.full(len(messages), NOW_MS))
    assert "undecodable" not in {each.reason for each in decoded.rejected}
    assert len(decoded.pings) == len(decoded.ping_message)
    told = len(set(decoded.ping_message.tolist())) + len(decoded.rejected) + decoded.ignored
    empty = sum(payload.strip() == b"[]" for _, payload in messages)
    assert told + empty >= len(messages)
    for each in decoded.rejected:
        assert each.reason
        assert len(each.detail) <= LONGEST_MESSAGE


KINDS = st.sampled_from(["application/json", "application/x-ndjson", "", "text/plain", "a/b;c=d"])


@examples(150)
@given(st.binary(max_size=200) | TREES.map(text_of) | st.lists(TREES).map(text_of), KINDS)
def test_bodies_of_pings_are_read_or_refused(body: bytes, kind: str) -> None:
    """As JSON, as lines, or as something that nobody said."""
    try:
        decoded = decode_http(body, content_type=kind, received_ms=NOW_MS)
    except InvalidPing as error:
        check_told(error)
        return
    assert len(decoded.pings) == len(decoded.ping_message)


LINES = st.lists(st.binary(max_size=60) | TREES.map(text_of), max_size=6).map(b"\n".join)
CELLS = st.lists(
    st.lists(
        st.sampled_from(["id", "a", "", '"', "\0", "1e999", "{}", "consent.x", "true", "é"]),
        max_size=5,
    ).map(",".join),
    max_size=6,
).map(lambda rows: "\n".join(rows).encode())


@examples(150)
@given(LINES | CELLS, st.sampled_from([NDJSON, CSV]), st.integers(1, 40))
def test_files_of_profiles_are_read_or_refused(file: bytes, media: str, piece: int) -> None:
    """Cut into pieces of any size; each row is a profile, or says what is wrong with it."""
    pieces = [file[at : at + piece] for at in range(0, len(file), piece)]
    try:
        for row in rows_of(pieces, media):
            try:
                profile, _ = row.read()
            except InvalidInput as error:
                check_told(error)
            else:
                assert isinstance(profile, Profile)
                assert profile.id
    except InvalidInput as error:
        check_told(error)


SECRET_SETTINGS = sorted(name for name, field in Settings.model_fields.items() if not field.repr)


@examples(200)
@given(st.sampled_from(sorted(Settings.model_fields)), TEXTS | NUMBERS.map(str))
@example("mqtt", "mqtt://u:s3cret-s3cret@[::1")
def test_settings_are_read_or_refused(name: str, text: str) -> None:
    """Any text in any variable; what is wrong with a secret is told without it."""
    try:
        Settings.read(**{name: text})
    except SettingsError as error:
        told = str(error)
    else:
        return
    assert f"GEOTARGET_{name.upper()}" in told or told.endswith("no UTF-8")
    assert name not in SECRET_SETTINGS or len(text) <= 8 or text not in told


def test_there_are_secret_settings() -> None:
    """Those that hold keys and passwords are known as such."""
    assert {"admin_key", "mqtt", "secret_key"} <= set(SECRET_SETTINGS)


HOSTS = st.sampled_from(["host", "[::1]", "127.0.0.1", "", "ho st", "[", "é.example", "a" * 300])
PORTS = st.sampled_from(["", ":1883", ":0", ":99999", ":x", ":-1", ":" + "9" * 5_000])
PASSWORD = "s3cret/wörd@pa:ss"


@examples(150)
@given(
    st.sampled_from(["mqtt", "mqtts", "MQTT", "http", ""]),
    HOSTS | st.text(max_size=10).filter(lambda text: "@" not in text),
    PORTS,
    st.sampled_from(["", "/", "/path", "?a=b", "#x"]),
    st.booleans(),
)
def test_addresses_of_brokers_never_show_the_password(
    scheme: str, host: str, port: str, rest: str, unquoted: bool
) -> None:
    """Neither when they are read nor when they are refused, nor in their `repr`."""
    login = quote(PASSWORD, safe="")
    if unquoted:
        login = PASSWORD
    address = f"{scheme}://user:{login}@{host}{port}{rest}"
    try:
        broker = BrokerUrl.parse(address)
    except SettingsError as error:
        shown = str(error)
    else:
        shown = f"{broker} {broker!r}"
        assert unquoted or broker.password == PASSWORD
        assert 0 < broker.port < 65_536
    assert not re.search("s3cret|wörd|" + re.escape(login), shown)


@examples(100)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_an_address_by_accident(text: str) -> None:
    """Anything is a broker's address with a host, or refused by an error of ours."""
    try:
        broker = BrokerUrl.parse(text)
    except GeotargetError:
        return
    assert broker.host
