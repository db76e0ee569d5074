"""``/v1/imports``: files that are read as they come, stored in pieces, gone on with."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from geotarget.api import Limits
from geotarget.api.services import IMPORTS_AT_ONCE, Context
from tests.api.conftest import ADMIN, Api

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv; charset=utf-8"}


def lines(first: int, after: int) -> bytes:
    """Return NDJSON of numbered profiles."""
    return b"".join(
        b'{"id": "p%d", "attributes": {"tier": "gold", "n": %d}, "consent": {"marketing": true}}\n'
        % (number, number)
        for number in range(first, after)
    )


def test_a_file_is_imported_with_a_report(api: Api) -> None:
    """NDJSON and CSV; rows that are wrong hold nothing up and are named with their line."""
    body = lines(0, 3) + b'{"id": "x", "consent": {"marketing": "perhaps"}}\n' + lines(3, 4)
    told = api.call("PUT", "/v1/imports/a/b", expect=200, content=body, headers=NDJSON)
    assert (told["id"], told["state"]) == ("a/b", "done")
    assert (told["rows"], told["stored"], told["refused"]) == (5, 4, 1)
    assert told["problems"] == [
        {
            "line": 4,
            "path": "$.consent.marketing",
            "value": "perhaps",
            "reason": "must be true or false",
        }
    ]
    assert api.call("GET", "/v1/imports/a/b", expect=200) == told
    assert api.call("GET", "/v1/profiles/p3", expect=200)["attributes"]["n"] == 3
    sheet = "id,first_name,consent.marketing,devices\naino,Äino,no,d1 d2\n".encode()
    told = api.call("PUT", "/v1/imports/sheet", expect=200, content=sheet, headers=CSV)
    assert (told["stored"], told["refused"]) == (1, 0)
    aino = api.call("GET", "/v1/profiles/aino", expect=200)
    assert aino["attributes"] == {"first_name": "Äino"}
    assert (aino["devices"], aino["consent"]) == (["d1", "d2"], {"marketing": False})
    api.call("GET", "/v1/imports/nobody", expect=404)
    noted = [(each.action, each.detail) for each in api.store.audit_page(subject="sheet").items]
    assert noted == [
        ("import.done", {"rows": 1, "stored": 1, "refused": 0}),
        ("import.begin", {}),
    ]


def test_the_same_file_again_changes_nothing(api: Api) -> None:
    """And another one under the same id is a conflict."""
    first = api.call("PUT", "/v1/imports/a", expect=200, content=lines(0, 700), headers=NDJSON)
    again = api.call("PUT", "/v1/imports/a", expect=200, content=lines(0, 700), headers=NDJSON)
    assert first == again
    problem = api.call("PUT", "/v1/imports/a", expect=409, content=lines(1, 800), headers=NDJSON)
    assert "choose another id" in problem["detail"]


async def put(api: Api, path: str, pieces: AsyncIterator[bytes | None]) -> list[dict[str, Any]]:
    """Send a body in pieces straight to the application; None breaks the connection."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = await anext(pieces, b"")
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {ADMIN}".encode()),
            (b"content-type", b"application/x-ndjson"),
        ],
        "state": {},
    }
    await api.app(scope, receive, send)
    return sent


def test_a_broken_connection_is_gone_on_with(api: Api) -> None:
    """What came in whole chunks is stored; the same file under the same id stores the rest."""

    async def broken() -> AsyncIterator[bytes | None]:
        yield lines(0, 600)
        yield lines(600, 1_200)[:-20]
        yield None

    asyncio.run(put(api, "/v1/imports/a", broken()))
    told = api.call("GET", "/v1/imports/a", expect=200)
    assert (told["state"], told["rows"], told["stored"]) == ("stopped", 1_000, 1_000)
    told = api.call("PUT", "/v1/imports/a", expect=200, content=lines(0, 1_200), headers=NDJSON)
    assert (told["state"], told["rows"], told["stored"]) == ("done", 1_200, 1_200)


def test_progress_is_shown_while_it_runs(api: Api) -> None:
    """The job moves with every transaction, and others are served in the meantime."""
    seen: list[tuple[str, int]] = []

    async def watched() -> AsyncIterator[bytes]:
        for first in range(0, 1_500, 500):
            yield lines(first, first + 500)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                job = api.store.import_job("a")
                if job is not None and job.rows == first + 500:
                    break
                await asyncio.sleep(0.005)
            told = await asyncio.to_thread(api.client.get, "/v1/imports/a")
            seen.append((told.json()["state"], told.json()["rows"]))

    asyncio.run(put(api, "/v1/imports/a", watched()))
    assert seen == [("running", 500), ("running", 1_000), ("running", 1_500)]
    assert api.call("GET", "/v1/imports/a", expect=200)["state"] == "done"


def test_a_long_file_takes_little_memory(api: Api) -> None:
    """200,000 rows: some megabytes at most, and in seconds."""

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, 200_000, 1_000):
            yield lines(first, first + 1_000)

    started = time.perf_counter()
    asyncio.run(put(api, "/v1/imports/long", pieces()))
    took_s = time.perf_counter() - started
    told = api.call("GET", "/v1/imports/long", expect=200)
    assert (told["state"], told["stored"]) == ("done", 200_000)
    assert took_s < 60, f"{took_s:.0f} s"  # 7 s on two idle cores

    async def heavy() -> AsyncIterator[bytes]:
        text = b"x" * 2_000
        for first in range(0, 20_000, 100):
            yield b"".join(
                b'{"id": "p%d", "attributes": {"note": "%s"}}\n' % (number, text)
                for number in range(first, first + 100)
            )

    tracemalloc.start()
    try:
        asyncio.run(put(api, "/v1/imports/heavy", heavy()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert api.call("GET", "/v1/imports/heavy", expect=200)["stored"] == 20_000
    assert peak < 12 << 20, f"{peak >> 20} MiB for a body of 40 MB"


def test_only_so_many_run_at_one_time(api: Api) -> None:
    """One more is told to come back later, and may when another is over."""
    context: Context = api.app.state.context
    for _ in range(IMPORTS_AT_ONCE):
        assert context.imports.acquire(blocking=False)
    answer = api.client.put("/v1/imports/a", content=lines(0, 1), headers=NDJSON)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    context.imports.release()
    api.call("PUT", "/v1/imports/a", expect=200, content=lines(0, 1), headers=NDJSON)
    api.call("PUT", "/v1/imports/a", expect=200, content=lines(0, 1), headers=NDJSON)


def test_a_body_beyond_the_bound_is_refused_while_it_is_read(
    api_with: Callable[..., Api],
) -> None:
    """413 at the bound; whole chunks before it stay."""
    size = len(lines(0, 600))
    api = api_with(limits=Limits(import_bytes=size + 10))

    def body() -> Iterator[bytes]:
        yield lines(0, 600)
        yield lines(600, 1_200)

    api.call("PUT", "/v1/imports/a", expect=413, content=body(), headers=NDJSON)
    assert api.call("GET", "/v1/imports/a", expect=200)["rows"] in (0, 500)
    declared = {**NDJSON, "Content-Length": "99999999999"}
    api.call("PUT", "/v1/imports/b", expect=413, content=iter([b"x"]), headers=declared)


@pytest.mark.parametrize(
    ("body", "headers", "path"),
    [
        (b"name\naino\n", CSV, "line 1"),
        (b"x" * (300 << 10), NDJSON, "line 1"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused(
    lasting: Api, body: bytes, headers: dict[str, str], path: str
) -> None:
    """With its line."""
    name = f"/v1/imports/{threading.get_ident()}-{len(body)}"
    answer = lasting.call("PUT", name, expect=422, content=body, headers=headers)
    assert [each["path"] for each in answer["errors"]] == [path]
    assert lasting.call("GET", name, expect=200)["state"] == "stopped"
