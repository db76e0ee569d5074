"""What stands before every handler: key, media type, size, strict JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from geotarget.api.problems import Unacceptable
from geotarget.api.route import Body, BoundedRequest, strict_json
from geotarget.api.services import Limits
from tests.api.conftest import Api
from tests.api.documents import campaign


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b"", "$", "is not JSON"),
        (b'{"a": NaN}', "$", "is not JSON"),
        (b'{"a": 1e999}', "$", "is not JSON"),
        (b'"\\ud800"', "$", "is not JSON"),
        (b"\xff\xfe", "$", "is not JSON"),
        (b'{"a": [1,]}', "$", "is not JSON"),
        (b"[" * 100_000, "$", "nested deeper than 4 levels"),
        (b'{"a": [{"b": [[]]}]}', "$.a[0].b[0]", "nested deeper than 4 levels"),
        (b'{"a": {"b": ["x", "\\u0000"]}}', "$.a.b[1]", "may not hold the character NUL"),
        (b'{"a": {"\\u0000": 1}}', "$.a", "may not hold the character NUL"),
    ],
)
def test_json_that_can_not_be_stored_is_refused_with_its_place(
    body: bytes, path: str, reason: str
) -> None:
    """Strict JSON: what a database or a strict parser would choke on later never gets in."""
    with pytest.raises(Unacceptable) as caught:
        strict_json(body, most_depth=4)
    (problem,) = caught.value.problems
    assert path == problem.path
    assert reason in problem.reason


def test_json_at_the_bound_of_depth_is_read() -> None:
    """The bound itself is allowed."""
    assert strict_json(b"[[[[]]]]", most_depth=4) == [[[[]]]]


@pytest.mark.parametrize("path", ["/v1/campaigns/c", "/v1/zones/z"])
def test_declared_size_beyond_the_limit_is_refused_before_a_byte_is_read(
    api_with: Callable[..., Api], path: str
) -> None:
    """Content-Length alone is enough for 413."""
    read: list[bytes] = []

    def body() -> Iterator[bytes]:
        read.append(b"x")
        yield b"x"

    answer = api_with().client.put(
        path,
        content=body(),
        headers={"Content-Length": "99999999999", "Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:geotarget:problem:body-too-large"


def test_a_body_that_grows_beyond_its_limit_is_refused_while_it_is_read(
    api_with: Callable[..., Api],
) -> None:
    """A chunked body without a length is counted as it comes."""
    api = api_with(limits=Limits(document_bytes=1_000))
    answer = api.client.put(
        "/v1/campaigns/c",
        content=(b" " * 600 for _ in range(3)),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413
    assert answer.json()["detail"] == "the body may have 1000 bytes"


def test_a_length_that_lies_changes_nothing() -> None:
    """The size that counts is the size that came."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    scope = {"type": "http", "headers": [(b"content-length", b"10")], "method": "PUT"}
    request = BoundedRequest(Request(scope, receive), Body(("application/json",), 1_000))
    with pytest.raises(HTTPException) as caught:
        asyncio.run(request.body())
    assert caught.value.status_code == 413


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_other_media_types_are_refused_with_what_would_do(lasting: Api, media: str) -> None:
    """415 names the media types that are understood."""
    answer = lasting.client.put(
        "/v1/campaigns/c", content=b"{}", headers={"Content-Type": media} if media else {}
    )
    assert answer.status_code == 415
    assert "send Content-Type: application/json" in answer.json()["detail"]


def test_a_caller_without_a_key_makes_us_read_nothing(lasting: Api) -> None:
    """The key is asked for before media type and body."""

    def body() -> Iterator[bytes]:
        yield b"x" * 10_000_000

    answer = lasting.client.post("/v1/pings", content=body(), headers={"Authorization": ""})
    assert answer.status_code == 401


def test_numbers_beyond_64_bits_survive(api: Api) -> None:
    """A large integer in an attribute comes back as it was sent."""
    big = 2**70
    api.call("PUT", "/v1/profiles/p", expect=200, json={"attributes": {"n": big}})
    answer = api.client.get("/v1/profiles/p")
    assert big == json.loads(answer.text)["attributes"]["n"]


def test_nan_in_a_campaign_is_a_problem_not_a_crash(lasting: Api) -> None:
    """What Python's own parser would take is refused here."""
    text = json.dumps(campaign("e", valid_s=float("nan")))
    answer = lasting.client.put(
        "/v1/campaigns/c", content=text, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert "is not JSON" in answer.json()["errors"][0]["reason"]
