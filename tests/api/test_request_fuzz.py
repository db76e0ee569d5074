"""Requests that no client would send: each is answered, none is a fault of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geotarget.api.campaign_documents import EXAMPLE
from geotarget.store.pages import write_cursor
from tests.api.conftest import Api, running_api, running_services
from tests.fuzzing import examples
from tests.test_reader_fuzz import TEXTS, TREES, damaged

pytestmark = pytest.mark.fuzz

URL = "https://crm.example.com/hook"
DOCUMENTS: dict[str, Any] = {
    "/v1/campaigns/a": EXAMPLE,
    "/v1/audiences/a": {"name": "Gold", "rule": "profile.tier == 'gold' && visits.total(7) > 2"},
    "/v1/endpoints/a": {"url": URL, "events": ["offer.triggered"], "headers": {"X-A": "b"}},
    "/v1/profiles/a": {
        "attributes": {"tier": "gold", "deep": {"a": [1, None]}},
        "consent": {"marketing": True},
        "devices": ["d1"],
        "quiet_hours": {"start": "21:00", "end": "08:00"},
    },
}
POSTED: dict[str, Any] = {
    "/v1/keys": {"name": "a", "scopes": ["pings:write"]},
    "/v1/conversions": {"id": "c1", "profile": "a", "time": "2026-01-01T00:00:00Z", "value": 1.5},
    "/v1/deliveries:replay": {"from": "2026-01-01T00:00:00Z", "state": ["failed"]},
    "/v1/audiences:count": {"rule": "profile.tier == 'gold'"},
    "/v1/devices/d1/trace": {"for_s": 60},
}
LISTS = [
    "/v1/zones",
    "/v1/campaigns",
    "/v1/endpoints",
    "/v1/audiences",
    "/v1/transitions",
    "/v1/decisions",
    "/v1/deliveries",
    "/v1/dead-letters",
    "/v1/conversions",
    "/v1/keys",
    "/v1/audit",
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An application that the tests here change as they like."""
    with (
        running_services(tmp_path_factory.mktemp("fuzzed")) as services,
        running_api(services) as running,
    ):
        running.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})
        yield running


def send(api: Api, method: str, path: str, body: bytes) -> int:
    """Return the status of a JSON document that was sent; a fault of ours is shown."""
    answer = api.client.request(
        method, path, content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code == 422:
        problem = answer.json()
        assert problem["detail"]
        assert all(each["path"] and each["reason"] for each in problem["errors"])
    return answer.status_code


def test_what_is_damaged_was_good(own: Api) -> None:
    """The documents below are accepted as they stand: damage is all that is wrong with them."""
    for path, document in DOCUMENTS.items():
        assert send(own, "PUT", path, json.dumps(document).encode()) == 200, path
    for path, document in POSTED.items():
        assert send(own, "POST", path, json.dumps(document).encode()) in {200, 201, 202}, path


@examples(250)
@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_damaged_documents_are_stored_or_refused(own: Api, path: str, data: st.DataObject) -> None:
    """One node of a good document, anywhere, is something else; what is stored can be read."""
    document = json.dumps(damaged(DOCUMENTS[path], data)).encode()
    if send(own, "PUT", path, document) == 200:
        assert own.client.get(path).status_code == 200


@examples(120)
@given(st.sampled_from(sorted(POSTED)), st.data())
def test_damaged_orders_are_carried_out_or_refused(
    own: Api, path: str, data: st.DataObject
) -> None:
    """As above, for what is posted."""
    send(own, "POST", path, json.dumps(damaged(POSTED[path], data)).encode())


@examples(120)
@given(st.sampled_from(sorted(DOCUMENTS)), st.binary(max_size=60) | TREES.map(json.dumps))
def test_no_body_breaks_a_document(own: Api, path: str, body: bytes | str) -> None:
    """Bytes that are no JSON, and JSON that is no document."""
    send(own, "PUT", path, body if isinstance(body, bytes) else body.encode())


@examples(120)
@given(st.sampled_from(LISTS), st.data())
def test_cursors_are_ours_or_refused(own: Api, path: str, data: st.DataObject) -> None:
    """Text, cursors of other lists, and well-formed ones with places that no list has."""
    places = st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8"), max_size=9)
    names = st.sampled_from([each.removeprefix("/v1/").rstrip("s") for each in LISTS])
    cursors = st.builds(write_cursor, names | st.just("audit"), places)
    cursor = data.draw(cursors | st.text(st.characters(codec="utf-8"), max_size=40))
    answer = own.client.get(path, params={"cursor": cursor, "limit": "3"})
    assert answer.status_code in {200, 422}, answer.text


QUERY = st.dictionaries(
    st.sampled_from(["limit", "from", "to", "since", "state", "device", "bbox", "tag", "x"]),
    TEXTS.filter(lambda text: text.isprintable() and "\ud800" not in text)
    | st.integers().map(str)
    | st.sampled_from(["NaN", "1e999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60+24:00", ",,,"]),
    max_size=4,
)


@examples(150)
@given(st.sampled_from(LISTS), QUERY)
def test_queries_are_understood_or_refused(own: Api, path: str, query: dict[str, str]) -> None:
    """Numbers, instants, boxes and names of any form; what nobody knows is refused by name."""
    answer = own.client.get(path, params=query)
    assert answer.status_code in {200, 422}, answer.text


@examples(80)
@given(
    st.binary(max_size=60)
    .map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))
    .flatmap(lambda raw: st.sampled_from([raw, b"Bearer " + raw, b"Bearer gt_live_" + raw]))
)
@example(b"Bearer " + b"a" * 20_000)
@example(b"Bearer\tgt_live_a_b")
def test_no_header_opens_a_door(own: Api, header: bytes) -> None:
    """Whatever stands in Authorization: no key, no answer; who guesses too often waits."""
    request = own.client.build_request("GET", "/v1/keys")
    del request.headers["authorization"]
    request.headers.raw.append((b"authorization", header))
    answer = own.client.send(request)
    assert answer.status_code in {401, 429, 431}, answer.text
    assert header[:60].decode("latin-1") not in answer.text or len(header) < 20
