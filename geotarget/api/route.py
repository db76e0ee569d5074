"""One row of the route table, and what is checked before its handler runs.

The order matters: who is calling comes first, so that nobody without a key makes us read a byte of
a body; then the names in the query; then the media type; then the body, never more of it than the
route allows, whatever Content-Length says. JSON documents are read strictly: no NaN, no NUL in
text, no deeper than allowed. What a handler gets has passed all of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec
from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from geotarget.api.auth import Scope
from geotarget.api.problems import Unacceptable, show
from geotarget.api.services import context_of
from geotarget.errors import InvalidInput, Problem

TAGS: Mapping[str, tuple[str, ...]] = {
    "Pings": ("/v1/pings",),
    "Zones": ("/v1/zones", "/v1/tiles"),
    "Campaigns": ("/v1/campaigns",),
    "Endpoints": ("/v1/endpoints", "/v1/events"),
    "Profiles": ("/v1/profiles", "/v1/erasures", "/v1/imports"),
    "Audiences": ("/v1/audiences",),
    "Conversions": ("/v1/conversions",),
    "Devices": ("/v1/devices",),
    "History": ("/v1/transitions", "/v1/decisions", "/v1/deliveries", "/v1/dead-letters"),
    "Reports": ("/v1/reports",),
    "Exports": ("/v1/exports",),
    "Keys": ("/v1/keys",),
    "Console": ("/v1/session", "/v1/live"),
    "Audit": ("/v1/audit",),
    "Settings": ("/v1/settings",),
}
"""Headings of the documentation, by path; the rest is about the service's health."""

MOST_PARAMETERS = 100
"""In a query; more are refused before any is looked at."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Body:
    """What a route takes.

    Parameters
    ----------
    takes
        Media types.
    most_bytes, most_depth
        Size, and nesting where it is read as a JSON document.
    model
        Documents a body that the handler reads itself.
    csv
        Documents a body that may be CSV as well, by an example.
    streamed
        The handler reads it as it comes, by `Request.stream`: nobody ever holds all of it.
    """

    takes: tuple[str, ...]
    most_bytes: int
    most_depth: int = 32
    model: type[BaseModel] | None = None
    csv: str = ""
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A method on a path, who may call it, what it takes and what it answers.

    Parameters
    ----------
    method, path, handler
        The handler's docstring is the documentation: first line and the rest.
    scope
        What the key must allow; None answers everybody.
    body
        What it takes; None when there is no body.
    problems
        Statuses of problems beyond those that follow from the rest.
    status
        Of the answer when all is well.
    answer, gives
        Documents an answer that the handler writes itself: its model and its media type.
    also
        Other statuses that are answered with a model.
    csv
        Example of the answer as CSV, where that can be asked for; empty where it can't.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    scope: Scope | None
    body: Body | None = None
    problems: tuple[int, ...] = ()
    status: int = 200
    answer: type[BaseModel] | None = None
    gives: str = "application/json"
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    csv: str = ""

    @property
    def tag(self) -> str:
        """The heading in the documentation."""
        return next((tag for tag, paths in TAGS.items() if self.path.startswith(paths)), "Health")

    @property
    def strict(self) -> bool:
        """Whether parameters that nobody knows are refused; probes may add what they like."""
        return self.path.startswith("/v1/")

    @property
    def summary(self) -> str:
        """First line of the handler's docstring, without the stop."""
        return (self.handler.__doc__ or "").strip().split("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        """The rest of it, as one paragraph per paragraph."""
        _, _, rest = (self.handler.__doc__ or "").strip().partition("\n")
        paragraphs = (" ".join(each.split()) for each in rest.split("\n\n"))
        return "\n\n".join(each for each in paragraphs if each)

    def statuses(self) -> list[int]:
        """Return the statuses of all problems that this may answer."""
        found = {500, 503, *self.problems}
        if self.strict:
            found |= {422}
        if self.scope is not None:
            found |= {401, 403, 429}
        if self.body is not None:
            found |= {413, 415}
        if "{" in self.path:
            found |= {404}
        return sorted(found - set(self.also))


class GuardedRoute(APIRoute):
    """A route that lets a request through to FastAPI when it has passed the checks."""

    def __init__(self, row: Row) -> None:
        self.row = row
        empty = row.status == 204
        super().__init__(
            row.path,
            row.handler,
            methods=[row.method],
            status_code=row.status,
            operation_id=row.handler.__name__,
            summary=row.summary,
            description=row.description,
            tags=[row.tag],
            response_description="Done" if empty else "As asked",
        )

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the checks."""
        inner = super().get_route_handler()
        row = self.row
        parameters = {each.alias for each in self.dependant.query_params}

        async def handle(request: Request) -> Response:
            if row.scope is not None:
                doorkeeper = context_of(request).doorkeeper
                request.state.caller = await doorkeeper.admit(request, row.scope)
            if row.strict:
                check_query(request, parameters)
            if row.body is not None:
                check_media_type(request, row.body.takes)
                request = BoundedRequest(request, row.body)
            try:
                return await inner(request)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is left to read it

        return handle


def check_query(request: Request, known: Collection[str]) -> None:
    """Check that a query says nothing that would be ignored: a misspelt filter filters nothing.

    Raises
    ------
    InvalidInput
        Names each unknown parameter and those that there are.
    """
    given = request.query_params.multi_items()
    if len(given) > MOST_PARAMETERS:
        raise InvalidInput(
            Problem("query", str(len(given)), f"may have {MOST_PARAMETERS} parameters")
        )
    there_are = f"there are {', '.join(sorted(known))}" if known else "there are none"
    problems = [
        Problem(show(name), show(value), f"unknown parameter; {there_are}")
        for name, value in given
        if name not in known
    ]
    if problems:
        raise InvalidInput(*problems)


def check_media_type(request: Request, accepted: tuple[str, ...]) -> None:
    """Check the Content-Type of a request.

    Raises
    ------
    HTTPException
        415, with what would be understood.
    """
    given = request.headers.get("content-type", "")
    if media_type(request) not in accepted:
        raise HTTPException(
            415,
            f"send Content-Type: {' or '.join(accepted)}"
            + (f", not {show(given)}" if given else ""),
            {"Accept": ", ".join(accepted)},
        )


def media_type(request: Request) -> str:
    """Return the media type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class BoundedRequest(Request):
    """A request whose body is read only as far as its route allows."""

    def __init__(self, request: Request, bounds: Body) -> None:
        super().__init__(request.scope, request.receive)
        self._bounds = bounds
        self._read: bytes | None = None

    async def body(self) -> bytes:
        """Return the body.

        Raises
        ------
        HTTPException
            413, as soon as more than the route's bound is declared or has come.
        """
        if self._read is None:
            self._read = await self._read_all()
        return self._read

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Give the body in pieces, as they come; each is given once.

        Raises
        ------
        HTTPException
            413, as soon as more than the route's bound is declared or has come.
        ClientDisconnect
            The connection ended before the body.
        """
        declared = self.headers.get("content-length", "")
        if declared.isdecimal():
            self._bound(int(declared))
        size = 0
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(piece)
            self._bound(size)
            if piece:
                yield piece

    async def _read_all(self) -> bytes:
        if self._bounds.streamed:
            raise AssertionError("the body of this route is streamed: it is never read as a whole")
        return b"".join([piece async for piece in self.stream()])

    def _bound(self, size: int) -> None:
        if size > self._bounds.most_bytes:
            raise HTTPException(
                413, f"the body may have {self._bounds.most_bytes} bytes", {"Connection": "close"}
            )

    async def json(self) -> Any:
        """Return the body as a JSON document.

        Raises
        ------
        Unacceptable
            It is not JSON, too deep, or holds text that can't be stored.
        """
        return strict_json(await self.body(), most_depth=self._bounds.most_depth)


async def _raw(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_raw)]
"""A handler's parameter that is the body as it came."""


def strict_json(body: bytes, *, most_depth: int) -> Any:
    """Return what a JSON document holds.

    Parameters
    ----------
    body
        UTF-8.
    most_depth
        Nesting of arrays and objects.

    Raises
    ------
    Unacceptable
        With the byte, or the JSON path, where it goes wrong.

    Examples
    --------
    >>> strict_json(b'{"a": [1, 2]}', most_depth=2)
    {'a': [1, 2]}
    """
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise Unacceptable(Problem("$", "", f"nested deeper than {most_depth} levels")) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unacceptable(Problem("$", show(body[:80]), f"is not JSON: {error}")) from None
    try:
        _inspect(document, most_depth)
    except _Found as found:
        path = "$" + "".join(reversed(found.steps))
        raise Unacceptable(Problem(path, "", found.reason.format(most_depth=most_depth))) from None
    return document


class _Found(Exception):
    """Something that may not be in a document; collects the steps to it on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []


def _inspect(value: object, depth: int) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise _Found("text may not hold the character NUL")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise _Found("nested deeper than {most_depth} levels")
        if isinstance(value, dict):
            _inspect("".join(value), depth)
        for step, each in cast(
            "Any", value.items() if isinstance(value, dict) else enumerate(value)
        ):
            try:
                _inspect(each, depth - 1)
            except _Found as found:
                found.steps.append(f".{step}" if isinstance(step, str) else f"[{step}]")
                raise
