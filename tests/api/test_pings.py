"""``POST /v1/pings``: durable before the answer, bad items named, nobody blocked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from geotarget.api.services import Limits
from geotarget.errors import Overloaded, StoreError
from geotarget.model import Outcome, PingBatch, Rejected
from tests.api.conftest import Api
from tests.api.documents import ping, square


class Queue:
    """An intake whose futures the test completes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.futures: list[Future[Outcome]] = []
        self.submitted = threading.Event()

    def submit(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Future[Outcome]:
        """Keep the future."""
        if self.error is not None:
            raise self.error
        future: Future[Outcome] = Future()
        future.set_running_or_notify_cancel()
        self.futures.append(future)
        self.submitted.set()
        return future


def send(api: Api, pings: Any, **rest: Any) -> Any:
    """Send pings and return the answer."""
    return api.call("POST", "/v1/pings", expect=202, json=pings, **rest)


def test_pings_are_committed_when_the_answer_comes(api: Api) -> None:
    """The transition that they cause can be read at once."""
    api.call("PUT", "/v1/zones/z", expect=200, json=square())
    answer = send(api, [ping(ago_s=60), ping(ago_s=30)])
    assert answer == {"accepted": 2, "rejected": [], "rejected_count": 0}
    (transition,) = api.call("GET", "/v1/transitions", expect=200)["items"]
    assert (transition["device"], transition["zone"], transition["kind"]) == ("d1", "z", "enter")


def test_bad_items_are_named_by_index_and_hold_nobody_up(api: Api) -> None:
    """Refusals of the decoder and of the intake rules alike, in the order of the items."""
    pings = [
        ping(ago_s=5),
        ping(lat=95.0),
        ping(ago_s=-3600),
        {"lat": 1, "lng": 2, "ts": 3},
        ping("d2"),
        "no ping",
    ]
    answer = send(api, pings)
    assert answer["accepted"] == 2
    assert [(each["index"], each["reason"]) for each in answer["rejected"]] == [
        (1, "latitude"),
        (2, "future"),
        (3, "device"),
        (5, "type"),
    ]
    assert "latitude must be within -90 and 90, not 95.0" in answer["rejected"][0]["detail"]
    letters = api.call("GET", "/v1/dead-letters", expect=200)["items"]
    assert sorted(each["reason"] for each in letters) == ["device", "future", "latitude", "type"]


def test_lines_are_understood(api: Api) -> None:
    """NDJSON, with a bad line in the middle."""
    lines = [json.dumps(ping("a")), "{broken", json.dumps(ping("b"))]
    answer = api.call(
        "POST",
        "/v1/pings",
        expect=202,
        content="\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert answer["accepted"] == 2
    assert [(each["index"], each["reason"]) for each in answer["rejected"]] == [(1, "json")]


def test_a_single_ping_needs_no_array(api: Api) -> None:
    """One object is one ping."""
    assert send(api, ping())["accepted"] == 1


def test_an_empty_array_is_fine(api: Api) -> None:
    """Nothing in, nothing out."""
    assert send(api, []) == {"accepted": 0, "rejected": [], "rejected_count": 0}


def test_a_request_of_bad_items_only_is_a_complete_report(api: Api) -> None:
    """202: everything was handled, nothing was accepted."""
    answer = send(api, [ping(lat=91), ping(lng=181)])
    assert answer["accepted"] == 0
    assert answer["rejected_count"] == 2


@pytest.mark.parametrize("body", [b"", b"{broken", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_document_is_refused_as_a_whole(lasting: Api, body: bytes) -> None:
    """422 with the reason; nothing is a dead letter, for the sender knows."""
    answer = lasting.call(
        "POST",
        "/v1/pings",
        expect=422,
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer["type"] == "urn:geotarget:problem:invalid-ping"
    assert answer["errors"][0]["path"] == "$"
    assert lasting.call("GET", "/v1/dead-letters", expect=200)["items"] == []


def test_sending_again_is_harmless(api: Api) -> None:
    """The same pings cause no second transition."""
    api.call("PUT", "/v1/zones/z", expect=200, json=square())
    pings = [ping(ago_s=60), ping(ago_s=30)]
    send(api, pings)
    assert send(api, pings)["accepted"] == 2
    assert len(api.call("GET", "/v1/transitions", expect=200)["items"]) == 1


def test_long_reports_are_cut_and_counted(api: Api) -> None:
    """The first thousand bad items are told, all are counted."""
    answer = send(api, [ping(lat=99) for _ in range(1_500)])
    assert len(answer["rejected"]) == 1_000
    assert answer["rejected_count"] == 1_500


def test_a_full_queue_says_when_to_come_back(api_with: Callable[..., Api]) -> None:
    """429 with Retry-After in whole seconds."""
    api = api_with(intake=Queue(Overloaded("the queue is full", retry_after_s=0.2)))
    answer = api.client.post("/v1/pings", json=[ping()])
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:geotarget:problem:overloaded"


def test_a_failed_commit_is_not_accepted(api_with: Callable[..., Api]) -> None:
    """503 with Retry-After, without the database's own words."""
    queue = Queue()
    api = api_with(intake=queue)

    def fail() -> None:
        assert queue.submitted.wait(60)
        queue.futures[0].set_exception(StoreError("/secret/path is gone"))

    failing = threading.Thread(target=fail)
    failing.start()
    answer = api.client.post("/v1/pings", json=[ping()])
    failing.join()
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert "secret" not in answer.text


def test_the_wait_for_a_commit_is_bounded_and_gives_nothing_up(
    api_with: Callable[..., Api],
) -> None:
    """503 says that sending again is harmless; the commit under way is not cancelled."""
    queue = Queue()
    api = api_with(intake=queue, limits=Limits(pings_wait_s=0.05))
    answer = api.client.post("/v1/pings", json=[ping()])
    assert answer.status_code == 503
    assert "repetitions are recognised" in answer.json()["detail"]
    assert "retry-after" in answer.headers
    assert not queue.futures[0].cancelled()
    queue.futures[0].set_result(Outcome(accepted=1))


def test_a_slow_commit_holds_nobody_else_up(api_with: Callable[..., Api]) -> None:
    """While one request waits for its commit, others are answered."""
    queue = Queue()
    api = api_with(intake=queue)
    answers: list[int] = []
    waiting = threading.Thread(
        target=lambda: answers.append(api.client.post("/v1/pings", json=[ping()]).status_code)
    )
    waiting.start()
    assert queue.submitted.wait(60)
    started = time.monotonic()
    assert api.client.get("/livez").status_code == 200
    assert time.monotonic() - started < 8  # the other one is given up after 10
    queue.futures[0].set_result(Outcome(accepted=1))
    waiting.join()
    assert answers == [202]


def test_positions_of_refused_pings_are_those_of_the_body(api_with: Callable[..., Api]) -> None:
    """The intake counts good pings only, the report counts items."""
    queue = Queue()
    api = api_with(intake=queue)

    def refuse() -> None:
        assert queue.submitted.wait(60)
        queue.futures[0].set_result(Outcome(accepted=1, refused=[(1, "future", "too early")]))

    refusing = threading.Thread(target=refuse)
    refusing.start()
    answer = send(api, [ping(lat=95), ping("a"), ping("b")])
    refusing.join()
    assert [(each["index"], each["reason"]) for each in answer["rejected"]] == [
        (0, "latitude"),
        (2, "future"),
    ]


def test_a_body_beyond_the_limit_is_413(api_with: Callable[..., Api], api: Api) -> None:
    """The bound is a setting."""
    small = api_with(limits=replace(api.services.limits, pings_bytes=100))
    assert small.client.post("/v1/pings", json=[ping(), ping()]).status_code == 413
