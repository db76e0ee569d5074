"""What the API stands on: handed in by whoever composes the process.

Nothing here reads settings or the environment. The pings' decoder and queue are callables and
protocols, because ingest is a sibling that the API does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Annotated, Literal, Protocol

from fastapi import Depends
from starlette.requests import Request

from geotarget.api.auth import Doorkeeper
from geotarget.api.broadcast import Broadcast, Scene
from geotarget.api.limits import CallerLimits
from geotarget.api.quarantine import Quarantine
from geotarget.api.zone_map import ZoneMap
from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.geojson import GeometryLimits
from geotarget.model import IntArray, Outcome, PingBatch, Policy, Rejected
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
class DeviceLogin:
    """How one device logs in at the broker."""

    url: str
    topic: str
    username: str
    password: str
    client_id: str


Access = Literal["open", "password", "device", "token", "broker"]


@dataclass(frozen=True, slots=True)
class Connection:
    """Where apps send their pings to, and what they need for it.

    Parameters
    ----------
    url
        Address of the broker, without a password.
    prefix
        Pings go to ``{prefix}/{device}``.
    access
        ``open``, ``password``, ``device``, ``token`` for a broker that asks us about each, or
        ``broker`` for somebody else's, whose rights rule.
    message_pings, message_bytes
        The most of one message.
    """

    url: str = "mqtt://127.0.0.1:1883"
    prefix: str = "pings"
    access: Access = "open"
    message_pings: int = 100
    message_bytes: int = 65_536


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
    import_bytes
        Body of ``PUT /v1/imports/{id}``, which is read as it comes.
    geometry
        What zones may weigh.
    check_s
        Time for checking one zone or a document of its size, seconds; larger documents get more in
        proportion.
    check_memory_bytes
        Address space of the process that checks it.
    minimum_audience
        Counts of fewer people are not shown.
    reach_days
        How many days of footfall are kept; 0: it is not noted.
    positions
        The most of `POSITIONS` that an endpoint may ask for.
    callers
        How often a key may ask and an address may guess.
    """

    pings_bytes: int = 8 << 20
    pings_wait_s: float = 10.0
    document_bytes: int = 256 << 10
    document_depth: int = 32
    import_bytes: int = 1 << 30
    geometry: GeometryLimits = field(default_factory=GeometryLimits)
    check_s: float = 10.0
    check_memory_bytes: int = 4 << 30
    minimum_audience: int = 10
    reach_days: int = 30
    positions: str = "rounded"
    callers: CallerLimits = field(default_factory=CallerLimits)


@dataclass(frozen=True, slots=True)
class OperatorSetting:
    """One of the operator's settings that others meet, and how it stands.

    Parameters
    ----------
    variable
        What sets it.
    about
        What it is about: ``retention``, ``offers``, ``webhooks`` or ``access``.
    value, default
        In the notation of the variable; True or False where only is told whether it is set.
    meaning
        What it does, and its unit.
    """

    variable: str
    about: str
    value: bool | float | str
    default: bool | float | str
    meaning: str


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
    policy
        What the operator set for all campaigns, for previews.
    admin_key
        A fixed key that may do everything; None or empty means none.
    wake_delivery
        Called after a delivery was put back into the outbox.
    scene
        Says where the devices are; None where the ingest runs in another process.
    device_login
        Says how a device logs in at the broker; None where devices have no passwords of their own.
    token_login
        Says how a device logs in with a token, which is left out; None where no broker asks for
        tokens.
    connection
        Where apps send their pings to.
    phone_region
        Country (ISO 3166, two letters) of phone numbers that begin without ``+``; empty: there must
        be one.
    open_metrics
        Whether ``/metrics`` answers without a key.
    operator
        Settings that the console shows.
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
    policy: Policy = field(default_factory=Policy)
    admin_key: str | None = None
    wake_delivery: Callable[[], None] = lambda: None
    scene: Callable[[], Scene] | None = None
    device_login: Callable[[str], DeviceLogin] | None = None
    token_login: Callable[[str], DeviceLogin] | None = None
    connection: Connection = field(default_factory=Connection)
    phone_region: str = ""
    open_metrics: bool = False
    operator: Sequence[OperatorSetting] = ()
    version: str = "0"


IMPORTS_AT_ONCE = 4
"""Imports that run at one time; each keeps a thread for as long as its body takes to come."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The services, and what one application keeps for itself."""

    services: Services
    doorkeeper: Doorkeeper
    quarantine: Quarantine
    broadcast: Broadcast
    zone_map: ZoneMap
    imports: BoundedSemaphore = field(
        default_factory=lambda: BoundedSemaphore(IMPORTS_AT_ONCE), repr=False
    )


def context_of(request: Request) -> Context:
    """Return what the application of this request stands on."""
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


def _who(request: Request) -> str:
    return str(request.state.caller.actor)


Who = Annotated[str, Depends(_who)]
"""A handler's parameter that says who is calling, for the audit log."""

Here = Annotated[Context, Depends(context_of)]
"""A handler's parameter through which it reaches the services."""
