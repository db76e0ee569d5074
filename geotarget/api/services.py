"""What the API stands on: handed in by whoever composes the process.

Nothing here reads settings or the environment. The pings' decoder and queue are callables and
protocols, because ingest is a sibling that the API does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import Request

from geotarget.api.auth import Doorkeeper
from geotarget.api.quarantine import Quarantine
from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.geojson import GeometryLimits
from geotarget.model import IntArray, Outcome, PingBatch, Rejected
from geotarget.store import Store


class Decoded(Protocol):
    """Pings and what could not be decoded; `ping_message` is the item per ping."""

    @property
    def pings(self) -> PingBatch:
        """The good ones."""
        ...

    @property
    def rejected(self) -> Sequence[Rejected]:
        """The bad ones, `index` being the item."""
        ...

    @property
    def ping_message(self) -> IntArray:
        """Position in the body, per ping."""
        ...


class Decode(Protocol):
    """Decodes the body of ``POST /v1/pings``."""

    def __call__(self, body: bytes, *, content_type: str, received_ms: int) -> Decoded:
        """Return what the body holds.

        Raises
        ------
        InvalidPing
            The body as a whole can't be read.
        """
        ...


class Intake(Protocol):
    """Takes pings to where they are durable."""

    def submit(self, pings: PingBatch, rejected: Sequence[Rejected]) -> Future[Outcome]:
        """Queue pings; the future is done when they are committed or durably queued.

        Raises
        ------
        Overloaded
            The queue is full.
        """
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of being ready, and in words how it stands."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for.

    Parameters
    ----------
    pings_bytes
        Body of ``POST /v1/pings``.
    pings_wait_s
        How long that request waits for the commit, seconds.
    document_bytes
        Any other JSON body but zones.
    document_depth
        Nesting of such a body.
    geometry
        What zones may weigh.
    check_s
        Time for checking one zone or a document of its size, seconds; larger documents get more in
        proportion.
    check_memory_bytes
        Address space of the process that checks it.
    """

    pings_bytes: int = 8 << 20
    pings_wait_s: float = 10.0
    document_bytes: int = 256 << 10
    document_depth: int = 32
    geometry: GeometryLimits = field(default_factory=GeometryLimits)
    check_s: float = 10.0
    check_memory_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True, eq=False)
class Services:
    """Everything that a request may need.

    Parameters
    ----------
    catalog, store
        Where zones and campaigns are changed, and where history is read.
    decode, intake
        How pings come in.
    readiness
        Asked by ``/readyz``, in a worker thread.
    rules
        The figures of the entry rules, for explanations and for what counts as stale.
    admin_key
        A fixed key that may do everything; None or empty means none.
    wake_delivery
        Called after a delivery was put back into the outbox.
    open_metrics
        Whether ``/metrics`` answers without a key.
    version
        Shown in the API's description.
    """

    catalog: Catalog
    store: Store
    decode: Decode
    intake: Intake
    readiness: Callable[[], Sequence[Check]] = tuple
    limits: Limits = field(default_factory=Limits)
    rules: Rules = field(default_factory=Rules)
    admin_key: str | None = None
    wake_delivery: Callable[[], None] = lambda: None
    open_metrics: bool = False
    version: str = "0"


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The services, and what one application keeps for itself."""

    services: Services
    doorkeeper: Doorkeeper
    quarantine: Quarantine


def context_of(request: Request) -> Context:
    """Return what the application of this request stands on."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


Here = Annotated[Context, Depends(context_of)]
"""A handler's parameter through which it reaches the services."""
