"""Every error that leaves the API, as RFC 9457 problem details; one table says which is which.

A problem's `type` is a URN that never changes its meaning: programs branch on it. `detail` and
`errors` are for people: each error names the JSON path, the value that stood there and the reason
with its bound. What is not in the table is a fault of ours: it is logged in full under an id, and
the caller gets the id and nothing else.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from geotarget.errors import (
    BrokerError,
    Conflict,
    GeotargetError,
    InvalidAudience,
    InvalidCampaign,
    InvalidEndpoint,
    InvalidInput,
    InvalidPing,
    InvalidZone,
    NotAllowed,
    NotFound,
    Outdated,
    Overloaded,
    Problem,
    StoreError,
    TooManyRequests,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

MOST_ERRORS = 100
"""Errors in one answer; the detail says how many there were."""

RETRY_S = 2
"""What to wait after a fault that is expected to pass, seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one class of error is told."""

    status: int
    slug: str
    title: str


TABLE: Mapping[type[GeotargetError], Row] = {
    InvalidZone: Row(422, "invalid-zone", "The zone can't be accepted"),
    InvalidPing: Row(422, "invalid-ping", "The pings can't be accepted"),
    InvalidAudience: Row(422, "invalid-audience", "The audience can't be accepted"),
    InvalidCampaign: Row(422, "invalid-campaign", "The campaign can't be accepted"),
    InvalidEndpoint: Row(422, "invalid-endpoint", "The endpoint can't be accepted"),
    InvalidInput: Row(422, "invalid-input", "The request can't be accepted"),
    NotFound: Row(404, "not-found", "There is nothing of this name"),
    Outdated: Row(412, "outdated", "It was changed since you looked"),
    Conflict: Row(409, "conflict", "The request contradicts what is stored"),
    TooManyRequests: Row(429, "too-many-requests", "This caller asks too often"),
    Overloaded: Row(429, "overloaded", "Too much at once"),
    StoreError: Row(503, "store-unavailable", "The database can't be reached"),
    BrokerError: Row(503, "broker-unavailable", "The broker can't be reached"),
}

UNKNOWN_CALLER = Row(401, "key-required", "A valid API key is required")
LACKING_SCOPE = Row(403, "scope-required", "The API key lacks a scope")

PLAIN: Mapping[int, Row] = {
    400: Row(400, "malformed-request", "The request can't be understood"),
    404: Row(404, "not-found", "There is nothing of this name"),
    405: Row(405, "method-not-allowed", "The method is not offered here"),
    408: Row(408, "too-slow", "The request took too long to come"),
    413: Row(413, "body-too-large", "The body is too large"),
    414: Row(414, "address-too-long", "The address is too long"),
    415: Row(415, "media-type", "The media type is not understood"),
    431: Row(431, "headers-too-large", "The headers are too large"),
    500: Row(500, "internal", "Something went wrong on our side"),
    503: Row(503, "unavailable", "Not available at the moment"),
}


class ProblemItem(BaseModel):
    """One thing that is wrong with the request."""

    path: str = Field(description="Where: a JSON path in the body, or the name of a parameter.")
    value: str = Field(description="What stood there, shortened; empty when nothing did.")
    reason: str = Field(description="What is wrong with it, with the bound.")


class ProblemDetails(BaseModel):
    """Problem details of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:geotarget:problem:invalid-campaign",
                    "title": "The campaign can't be accepted",
                    "status": 422,
                    "detail": "$.endpoints[0]: no endpoint has this id (crm)",
                    "errors": [
                        {
                            "path": "$.endpoints[0]",
                            "value": "crm",
                            "reason": "no endpoint has this id",
                        }
                    ],
                }
            ]
        }
    )

    type: str = Field(description="A URN that names the kind of problem; never changes meaning.")
    title: str = Field(description="The same in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    errors: list[ProblemItem] = Field(description="What is wrong, item by item; may be empty.")
    id: str | None = Field(
        default=None, description="Only with status 500: names the entry in the operator's log."
    )


class Unacceptable(HTTPException):
    """A body that is not even a document: refused while it is read, with the place.

    An HTTPException, because that is what passes through FastAPI's reading of bodies.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(422, "; ".join(str(each) for each in problems))
        self.problems = problems


def respond(
    row: Row,
    detail: str,
    *,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
    id: str | None = None,
) -> Response:
    """Return the answer that tells a problem."""
    body: dict[str, Any] = {
        "type": f"urn:geotarget:problem:{row.slug}",
        "title": row.title,
        "status": row.status,
        "detail": sayable(detail),
        "errors": [
            {
                "path": sayable(each.path),
                "value": sayable(each.value),
                "reason": sayable(each.reason),
            }
            for each in problems[:MOST_ERRORS]
        ],
    }
    if id is not None:
        body["id"] = id
    return Response(msgspec.json.encode(body), row.status, headers, MEDIA_TYPE)


def sayable(text: str) -> str:
    """Return a text that can be written as UTF-8: bytes that were none may be quoted in it."""
    return text.encode(errors="replace").decode()


def row_of(error: GeotargetError) -> Row:
    """Return how an exception of ours is told: by its class or the nearest one above it."""
    if isinstance(error, NotAllowed):
        return LACKING_SCOPE if error.known else UNKNOWN_CALLER
    return next((TABLE[each] for each in type(error).__mro__ if each in TABLE), PLAIN[500])


def shorten(problems: Sequence[Problem]) -> str:
    """Return the first few problems as one sentence, and how many more there are."""
    shown = "; ".join(str(each) for each in problems[:3])
    more = len(problems) - 3
    return f"{shown}; and {more} more" if more > 0 else shown


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, GeotargetError)
    row = row_of(error)
    if row.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    problems = error.problems if isinstance(error, InvalidInput) else ()
    headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif row.status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("request failed", route=_route(request.scope), error=str(error))
        headers["Retry-After"] = str(RETRY_S)
        return respond(row, f"{row.title}; try again", headers=headers)
    elif row is UNKNOWN_CALLER:
        headers["WWW-Authenticate"] = 'Bearer realm="geotarget"'
    elif row is LACKING_SCOPE:
        headers["WWW-Authenticate"] = 'Bearer realm="geotarget", error="insufficient_scope"'
    return respond(row, shorten(problems) or str(error), problems=problems, headers=headers)


async def _http(request: Request, error: Exception) -> Response:
    """Tell what the framework refuses: unknown paths, methods, bodies."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Unacceptable):
        row = TABLE[InvalidInput]
        return respond(row, shorten(error.problems), problems=error.problems)
    status = error.status_code
    row = PLAIN.get(status) or Row(status, f"http-{status}", HTTPStatus(status).phrase)
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if status == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = f"no resource has the path {request.url.path}"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        offered = ", ".join(_methods(request))
        headers["Allow"] = offered
        detail = f"{request.url.path} offers {offered}"
    return respond(row, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """Return the methods of all routes that match the path; one route knows only its own."""
    offered: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            offered |= getattr(route, "methods", None) or set()
    return sorted(offered)


async def _invalid(_: Request, error: Exception) -> Response:
    """Tell what the schema of a request refuses."""
    assert isinstance(error, RequestValidationError)
    problems = [problem_of(each) for each in error.errors()]
    return respond(TABLE[InvalidInput], shorten(problems), problems=problems)


def problem_of(error: Mapping[str, Any]) -> Problem:
    """Return a finding of pydantic in our words; its place begins with ``body`` or a parameter."""
    origin, *steps = error["loc"] or ("body",)
    path = "$"
    for step in steps:
        if step == "[key]":  # pydantic's way to say that the name itself is wrong
            break
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    if origin != "body":
        path = path.removeprefix("$.")
    # a secret or a header is not repeated, whatever is wrong with it
    silent = error["type"] == "missing" or steps[:1] in (["secret"], ["headers"])
    reason = {
        "missing": "is required",
        "extra_forbidden": "unknown member",
    }.get(error["type"]) or _lower(str(error["msg"]))
    return Problem(path, "" if silent else show(error.get("input")), reason)


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def show(value: object) -> str:
    """Return a value as it is quoted in a problem: JSON where possible, at most 80 characters."""
    try:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


class LastResort:
    """Turns what nobody expected into a problem with an id, and logs the rest under that id.

    Innermost of the middlewares that see everything, so that the caller gets problem details
    also then, and the traceback stays here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            name = secrets.token_hex(8)
            log.exception("request failed", id=name, method=scope["method"], route=_route(scope))
            if started:
                raise
            response = respond(
                PLAIN[500], f"the operator finds the cause in the log under {name}", id=name
            )
            await response(scope, receive, send)


def _route(scope: Scope) -> str:
    """Return the path of a route as the table has it: the ids in a real one may be of people."""
    return str(getattr(scope.get("route"), "path", ""))


def install(app: FastAPI) -> None:
    """Make an application tell all its errors this way."""
    app.add_exception_handler(GeotargetError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(LastResort)
