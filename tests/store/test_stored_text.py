"""What a database may not be able to hold: NUL, halves of surrogate pairs, very large numbers.

It is refused where it comes in, alike for all databases. What gets as far as the store all the same
is refused or kept, never half of it, and the store goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from records import at, batch, square, transition

from geotarget.ingest.wire import decode_mqtt
from geotarget.model import BatchWrite, Profile
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY

ODD = [
    "",
    " ",
    "é\u0301",
    "🧭",
    "\u2028",
    "%s %b $1 ?",
    "a'b\"c\\",
    "\x01\x1f",
    "\uffff",
    "\U0010fffd",
]


@pytest.fixture
def store(ready_database_url: str) -> Iterator[Store]:
    """Open a database of this test's own."""
    with Store.open(ready_database_url, secret_key=SECRET_KEY, now_ms=lambda: at(1)) as opened:
        yield opened


def test_topics_that_no_text_can_hold_are_kept_as_dead_letters(store: Store) -> None:
    """A topic with NUL, or no UTF-8, in the midst of good pings holds up nobody."""
    topics = [b"pings/a\0b", b"owntracks/a/\0", b"x\0y", b"pings/\xff\xfe", b"pings/\xed\xa0\x80"]
    payloads = [b'{"ts": 1}', b"\0", rb'{"\u0000": 1}', rb'{"\ud800": 1}', rb'{"ts": "\u0000"}']
    messages = [(topic, b"{}") for topic in topics] + [(b"pings/d", each) for each in payloads]
    rejected = decode_mqtt(messages, received_ms=at(1)).rejected
    assert len(messages) == len(rejected)
    store.write_batch(BatchWrite(rejected=rejected))
    kept = store.dead_letters_page(limit=100).items
    assert [each.source for each in rejected] == [each.source for each in kept][::-1]
    assert r"pings/a\x00b" == rejected[0].source
    assert [each.payload for each in rejected] == [each.payload for each in kept][::-1]


@pytest.mark.parametrize("text", ODD)
def test_all_other_text_comes_back_as_it_went_in(store: Store, text: str) -> None:
    """In ids, names, documents and JSON; and is found by it."""
    id = f"zone-{text}"
    zone = replace(square("kamppi"), id=id, name=text, properties={"said": text, text: [text]})
    store.put_zones([zone])
    found = store.zone(id)
    assert found is not None
    assert (text, zone.properties) == (found.name, found.properties)
    store.put_profile(Profile(f"p-{text}", {"first_name": text}))
    profile = store.profile(f"p-{text}")
    assert profile is not None
    assert {"first_name": text} == profile.attributes
    device = f"phone-{text}"
    store.write_batch(batch(1, transitions=[transition(1, device=device, reason=text)]))
    (moved,) = store.transitions_page(device=device).items
    assert (device, text) == (moved.device, moved.reason)
    store.add_audit("anna", "export", id, {"said": text})
    assert [id] == [each.subject for each in store.audit_page(subject=id).items]
    assert "" == store.verify_audit().broken


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "half a pair"])
def test_a_write_that_fails_leaves_nothing_and_the_store_goes_on(store: Store, text: str) -> None:
    """Whatever was in the same transaction is undone; the next one is as if nothing had been."""
    store.write_batch(batch(1))
    try:
        store.write_batch(batch(2, transitions=[transition(2, reason=text)]))
    except Exception:  # noqa: BLE001 - which one depends on the driver
        written = [transition(1)]
    else:  # SQLite keeps NUL
        written = [transition(2, reason=text), transition(1)]
    assert written == store.transitions_page().items
    assert len(written) == store.counts().deliveries_pending
    store.write_batch(batch(3))
    assert [transition(3), *written] == store.transitions_page().items


def test_numbers_at_the_ends_of_64_bits(store: Store) -> None:
    """Instants, counts and whole numbers in JSON come back exactly; larger ones in JSON too."""
    attributes = {"most": 2**63 - 1, "least": -(2**63), "more": 2**70, "tiny": 5e-324, "one": 1.0}
    store.put_profile(Profile("p", attributes))
    profile = store.profile("p")
    assert profile is not None
    assert attributes == profile.attributes
    assert [type(each) for each in attributes.values()] == [
        type(each) for each in profile.attributes.values()
    ]
    store.write_batch(batch(1, transitions=[transition(1, ts_ms=2**63 - 2, p=1e-308)]))
    (moved,) = store.transitions_page().items
    assert (2**63 - 2, 1e-308) == (moved.ts_ms, moved.p)
