"""The receivers of the fault suite misbehave as they should, and delays are reckoned right."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest

from benchmarks.faults.behaviours import BEHAVIOURS
from benchmarks.faults.ledger import Post
from benchmarks.faults.receiver import SECRET, Receiver
from benchmarks.faults.receivers import BAD, delays, quantile
from benchmarks.faults.rotating import OneSecret
from benchmarks.faults.row import Broken
from geotarget.delivery import AiohttpTransport, Answer, new_secret
from geotarget.delivery.signature import headers, signing_keys
from geotarget.model import Endpoint
from geotarget.runtime.commands import COLLECT_AFTER, keep_heap

BODY = b'{"type":"test"}'


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Start the process that the rows use."""
    with Receiver(tmp_path_factory.mktemp("receiver")) as running:
        yield running


def post(url: str, event: str, *, secret: str = SECRET, total_s: float = 10.0) -> Answer:
    """Post one signed event as the sender does."""

    async def once() -> Answer:
        transport = AiohttpTransport(["127.0.0.0/8"], total_timeout_s=total_s)
        keys = signing_keys(Endpoint("x", url, secret), now_ms=0)
        signed = headers(keys, webhook_id=event, timestamp_s=int(time.time()), body=BODY)
        answer = await transport.post(url, headers=signed, body=BODY)
        await transport.close()
        return answer

    return asyncio.run(once())


def test_every_bad_endpoint_has_its_behaviour() -> None:
    """A path that the receiver does not know would be answered 404, and prove nothing."""
    assert set(BAD.values()) <= set(BEHAVIOURS)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("fail", 500), ("busy", 429), ("reset", None), ("flood", 200), ("redirect?to=/ok/x", 307)],
)
def test_receivers_misbehave(receiver: Receiver, behaviour: str, status: int | None) -> None:
    """The sender sees each as what it is; a redirect is not followed, a flood is cut."""
    way, _, query = behaviour.partition("?")
    answer = post(f"{receiver.url('x', way)}?{query}", way)
    assert answer.status == status
    assert len(answer.text) <= 1024
    assert (answer.retry_after is not None) == (status == 429)


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_receivers_keep_one_waiting(receiver: Receiver, behaviour: str) -> None:
    """One that says nothing, and one that says it a byte at a time, outlast any patience."""
    assert post(receiver.url("x", behaviour), behaviour, total_s=0.8).status is None


def test_what_is_dropped_was_kept(receiver: Receiver) -> None:
    """The first post of an id has no answer and is in the receiver's file; the second has one."""
    url = receiver.url("shop", "dropping") + "?every=1"
    assert [post(url, "dropped").status, post(url, "dropped").status] == [None, 204]
    kept = [each for each in receiver.posts() if each.webhook_id == "dropped"]
    assert [(each.accepted, each.verified, each.endpoint) for each in kept] == [
        (True, True, "shop"),
        (True, True, "shop"),
    ]


def test_a_receiver_believes_in_one_secret() -> None:
    """After a change the secret before does not count any more."""
    fresh = new_secret()
    with OneSecret().running() as receiver:
        assert post(receiver.url, "a").status == 204
        receiver.switch(fresh)
        assert [post(receiver.url, "b").status, post(receiver.url, "c", secret=fresh).status] == [
            401,
            204,
        ]
        assert [each.verified for each in receiver.posts] == [True, False, True]


def test_delays_count_from_creation_to_the_first_arrival() -> None:
    """Of what was made in the span, whatever came later a second time."""
    got = [Post(at, "/ok/shop", event, "", verified=True, status=204, body=b"{}")
           for at, event in [(11.0, "a"), (12.5, "b"), (19.0, "a")]]  # fmt: skip
    made = {"a": 10.0, "b": 12.0, "c": 12.0, "d": 30.0}
    assert delays(made, got, (10.0, 20.0)) == [500.0, 1000.0]
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.5, 0.99)] == [3.0, 4.0]
    with pytest.raises(Broken):
        quantile([], 0.99)


def test_a_kept_heap_is_not_walked_and_later_rings_are_collected() -> None:
    """What stands when a process is ready is out of the collector's sight; what comes is not."""
    before = gc.get_threshold()
    try:
        keep_heap()
        assert gc.get_threshold() == COLLECT_AFTER
        assert gc.get_freeze_count() > 10_000
        ring: list[object] = []
        ring.append(ring)
        del ring
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
