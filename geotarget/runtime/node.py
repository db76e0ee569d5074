"""One process: the rooms that it starts, wired, started and stopped in order.

Threads of one process: paho's network thread (only enqueues), ``ingest`` (owns the pipeline), the
API's event loop with its pool, the catalogue's follower, the one that drops what is too old, and
the main thread, whose event loop posts webhooks and handles signals. `up` runs all of it; `serve`,
`ingest` and `deliver` run one part each over the same code.

A stop is a drain: unready, stop fetching, commit and acknowledge what is here, finish the posts
under way, close the API, stop the broker. A second signal ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from geotarget import __version__, metrics
from geotarget.api import Check, Limits, Scene, Services, create_app
from geotarget.catalog import Catalog
from geotarget.certificates import ServerCertificate
from geotarget.delivery import AiohttpTransport, Sender, check_url
from geotarget.engine.footfall import Collector
from geotarget.engine.warm import warm
from geotarget.errors import InvalidZone, Overloaded, StoreError
from geotarget.geojson import load_zones
from geotarget.ingest import (
    EmbeddedBroker,
    Forwarder,
    Intake,
    Publisher,
    WireLimits,
    decode_http,
)
from geotarget.ingest.auth_callout import AuthCallout
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.columns import NO_PINGS
from geotarget.ingest.listening import bracketed
from geotarget.model import Endpoint
from geotarget.pipeline import BEHIND_S, Pipeline, wall_clock_ms
from geotarget.runtime.admitting import password_login, start_callout, token_login
from geotarget.runtime.brokers import connection, embedded_broker
from geotarget.runtime.http_server import ApiThread, listen
from geotarget.runtime.keeping import Keeper
from geotarget.runtime.measuring import measure
from geotarget.runtime.sources import SlotWork, Source, begin, note_end, open_source, share_slots
from geotarget.saved_index import FOLDER
from geotarget.settings import Settings
from geotarget.settings.shown import shown
from geotarget.store import Store
from geotarget.store.footfall import SALT
from geotarget.targeting.event import endpoint_disabled

log = structlog.get_logger(__name__)

HEARD_OF_LATE_MS = 600_000
"""How long a device is shown after its last ping."""

DEADLINES_S = 1.0
"""How often an idle pipeline is asked to look at its deadlines."""

RENEW_S = 5.0
"""How often the certificate's files are looked at."""


class HasHealth(Protocol):
    """A part that knows how it is."""

    def health(self) -> tuple[bool, str]:
        """Tell whether it works, and why not."""
        ...


@dataclass
class Node:
    """The rooms of one process, as far as it starts them.

    Parameters
    ----------
    settings
        What the operator chose.
    """

    settings: Settings
    broker: EmbeddedBroker | None = field(default=None, init=False)
    pipeline: Pipeline | None = field(default=None, init=False)
    intake: Intake | None = field(default=None, init=False)
    source: Source | None = field(default=None, init=False)
    slot_work: SlotWork | None = field(default=None, init=False)
    forwarder: Forwarder | None = field(default=None, init=False)
    callout: AuthCallout | None = field(default=None, init=False)
    sender: Sender | None = field(default=None, init=False)
    keeper: Keeper | None = field(default=None, init=False)
    api: ApiThread | None = field(default=None, init=False)
    certificate: ServerCertificate | None = field(default=None, init=False)
    started: bool = field(default=False, init=False)
    draining: bool = field(default=False, init=False)
    _session_clean: bool = field(default=False, init=False)

    def open(self) -> None:
        """Open the database and read the catalogue."""
        self.settings.data.mkdir(parents=True, exist_ok=True)
        self.store = self.open_store()
        self.catalog = Catalog(
            self.store,
            check_url=partial(check_url, allow_cidrs=self.settings.webhook_allow_cidrs),
            index_folder=self.settings.data / FOLDER,
        )
        self.catalog.follow()

    def open_store(self, now_ms: Callable[[], int] = wall_clock_ms) -> Store:
        """Open the database, once more or for the first time; `now_ms` dates what is dated."""
        return Store.open(
            self.settings.store_url,
            max_dead_letters=self.settings.dead_letters,
            reach_days=self.settings.reach_days,
            secret_key=self.settings.secret_key,
            now_ms=now_ms,
        )

    def import_zones(self, files: Sequence[Path]) -> None:
        """Load catalogues of zones; nothing changes where they are loaded already.

        Raises
        ------
        InvalidZone
            Names file, place and reason of everything that is wrong.
        """
        for path in files:
            report = load_zones(path, limits=self.settings.geometry_limits())
            if report.problems:
                raise InvalidZone(*report.problems)
            self.catalog.put_zones(report.zones, by="cli")
            log.info("zones loaded", file=path.name, zones=len(report.zones))

    @property
    def _ack_wait_s(self) -> float:
        """How long a broker waits for an acknowledgement; what is held back must not come twice."""
        return self.settings.mqtt_ack_wait_s + self.settings.reorder_window_s

    @property
    def broker_url(self) -> str:
        """Where pings are fetched from."""
        if self.broker is not None:
            return self.broker.url
        return self.settings.mqtt or f"mqtt://127.0.0.1:{self.settings.mqtt_port}"

    @property
    def broker_trust(self) -> ssl.SSLContext | None:
        """Whom the connection to that broker trusts; None without TLS."""
        if self.broker is not None:
            return self.broker.trust
        return self.settings.broker_trust(self.broker_url)

    @property
    def phone_url(self) -> str:
        """Where phones publish, without a password."""
        if self.broker is not None:
            scheme = "mqtt" if self.broker.trust is None else "mqtts"
            return f"{scheme}://{bracketed(self.settings.host)}:{self.broker.port}"
        return str(BrokerUrl.parse(self.broker_url))

    @property
    def fleet_broker(self) -> tuple[str, ssl.SSLContext | None]:
        """Where phones of this machine publish, and whom they trust."""
        return self.broker.device_url if self.broker else self.broker_url, self.broker_trust

    @property
    def trust(self) -> ssl.SSLContext | None:
        """Whom a client of this machine trusts at our own listeners; None without TLS."""
        return None if self.certificate is None else self.certificate.client

    def start_broker(self) -> None:
        """Start the embedded broker; the ingest session exists before phones may publish."""
        settings = self.settings
        self._read_certificate()
        self.broker = embedded_broker(
            settings,
            certificate=self.certificate,
            ack_wait_s=self._ack_wait_s,
            tokens=self.store,
        )
        self.broker.start()

    def _read_certificate(self) -> None:
        if self.certificate is None:
            self.certificate = self.settings.server_certificate()

    def start_ingest(self) -> None:
        """Restore the state and begin to fetch pings."""
        settings = self.settings
        warm()
        salt = self.store.secret(SALT)
        self.slot_work = share_slots(settings, self.store, self._poke)
        self.pipeline = Pipeline(
            catalog=self.catalog,
            store=self.store,
            rules=settings.rules(),
            policy=settings.policy(),
            footfall=Collector(salt) if settings.reach_days else None,
            behind_s=BEHIND_S + settings.reorder_window_s,
            is_live=lambda: self.source is not None and self.source.health()[0],
            on_commit=lambda: self.sender.wake() if self.sender else None,
            slots=None if self.slot_work is None else self.slot_work.owned,
        )
        self.intake = Intake(
            self.pipeline.process,
            max_pings=settings.batch_pings,
            max_age_s=settings.batch_age_ms / 1000,
            capacity=settings.queue_messages,
            prefix=settings.mqtt_prefix,
            limits=self.wire_limits,
            reorder_window_s=settings.reorder_window_s,
        )
        self.intake.start()
        self.source = open_source(
            settings,
            self.intake,
            self.store,
            broker=self.broker,
            url=self.broker_url,
            trust=self.broker_trust,
            ack_wait_s=self._ack_wait_s,
        )
        begin(self.source, self.slot_work)
        self.keeper = Keeper(self.store, settings.keep())

    def start_delivery(self) -> None:
        """Make the sender; it runs as a task of the main loop."""
        settings = self.settings
        self.sender = Sender(
            self.store,
            lambda: self.catalog.snapshot.endpoints,
            AiohttpTransport(settings.webhook_allow_cidrs, ssl_context=settings.webhook_trust()),
            concurrency=settings.webhook_concurrency,
            endpoint_concurrency=settings.webhook_endpoint_concurrency,
            drain_s=settings.drain_s,
            disable_after_s=settings.webhook_disable_after_s,
            on_dead=self._disable,
        )

    def _disable(self, endpoint: Endpoint, reason: str, failing_since_ms: int | None) -> None:
        """Disable an endpoint that is gone or fails for too long, and tell those who asked."""
        now_ms = time.time_ns() // 1_000_000
        others = self.catalog.snapshot.endpoints.values()
        disabled = self.store.disable_endpoint(
            endpoint.id,
            endpoint.revision,
            reason,
            failing_since_ms=failing_since_ms,
            tell=lambda stored: endpoint_disabled(stored, others, now_ms=now_ms),
            by="delivery",
        )
        if disabled is None:  # its owner was faster
            return
        metrics.endpoints_disabled.inc()
        self.catalog.refresh()
        log.warning("endpoint disabled", endpoint=endpoint.id, reason=reason)
        if self.sender is not None:
            self.sender.wake()

    def _scene(self) -> Scene:
        """Say where the devices are, for those who watch."""
        assert self.pipeline is not None
        state = self.pipeline.state
        since_ms = time.time_ns() // 1_000_000 - HEARD_OF_LATE_MS
        return Scene(state.heard_since(since_ms), len(state), state.hosted)

    def start_api(self) -> None:
        """Serve HTTP."""
        settings = self.settings
        intake: Intake | Forwarder
        if self.intake is not None:
            intake = self.intake
        else:
            publisher = Publisher(
                self.broker_url,
                prefix=settings.mqtt_prefix,
                slot_topics=settings.slot_topics,
                tls=self.broker_trust,
            )
            self.forwarder = intake = Forwarder(publisher, capacity=settings.queue_messages)
            self.forwarder.start()
        services = Services(
            rules=settings.rules(),
            policy=settings.policy(),
            catalog=self.catalog,
            store=self.store,
            decode=partial(decode_http, limits=self.wire_limits),
            intake=intake,
            readiness=self.checks,
            limits=Limits(
                pings_bytes=settings.request_max_bytes,
                pings_wait_s=10.0 + settings.reorder_window_s,
                import_bytes=settings.import_max_bytes,
                geometry=settings.geometry_limits(),
                check_s=settings.zone_check_s,
                minimum_audience=settings.minimum_audience,
                reach_days=settings.reach_days,
                positions=settings.positions,
                callers=settings.caller_limits(),
            ),
            admin_key=settings.admin_key or None,
            device_login=password_login(settings, self.broker),
            token_login=token_login(settings, self.broker, self.phone_url),
            connection=connection(settings, self.phone_url),
            scene=None if self.pipeline is None else self._scene,
            wake_delivery=lambda: self.sender.wake() if self.sender else None,
            phone_region=settings.phone_region,
            open_metrics=settings.open_metrics,
            operator=shown(settings),
            version=__version__,
        )
        self._read_certificate()
        self.callout = start_callout(settings, self.store)
        self.api = ApiThread(
            create_app(services),
            listen(settings.host, settings.port),
            None if self.certificate is None else self.certificate.server,
            settings.http_limits(),
            settings.trusted_proxies,
        )
        self.api.start()

    @property
    def wire_limits(self) -> WireLimits:
        """Bounds of one message or request."""
        settings = self.settings
        return WireLimits(
            message_bytes=settings.message_max_bytes,
            message_pings=settings.message_max_pings,
            request_bytes=settings.request_max_bytes,
        )

    @property
    def inside(self) -> int:
        """How many visits (and pending entries) go on now."""
        return 0 if self.pipeline is None else self.pipeline.state.memberships

    def checks(self) -> list[Check]:
        """Return the conditions of being ready; asked from any thread."""
        found = [Check("running", ok=not self.draining, detail="draining" if self.draining else "")]
        try:
            revision = self.store.catalog_revision()
            found.append(Check("database", ok=True, detail=f"catalogue revision {revision}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            found.append(Check("database", ok=False, detail=str(error)))
        trouble = self.catalog.trouble
        zones = len(self.catalog.snapshot.index)
        found.append(Check("zones", ok=not trouble, detail=trouble or f"{zones} zones"))
        parts: dict[str, HasHealth | None] = {
            "broker": self.broker,
            "mqtt": self.source,
            "slots": None if self.slot_work is None else self.slot_work.keeper,
            "ingest": self.intake,
            "forwarder": self.forwarder,
            "admission": self.callout,
            "certificate": self.certificate,
        }
        for name, part in parts.items():
            if part is not None:
                ok, detail = part.health()
                found.append(Check(name, ok=ok, detail=detail))
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Run the sender and keep the gauges until `stop` is set, then drain."""
        sending = asyncio.create_task(self._send())
        watching = asyncio.create_task(self._watch())
        stopped = asyncio.create_task(stop.wait())
        parts = {sending, stopped, watching}
        if self.keeper is not None:
            parts.add(asyncio.create_task(asyncio.to_thread(self.keeper.run)))
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        await self._drain()
        watching.cancel()
        stopped.cancel()
        self._sender_stop.set()
        for part in parts - {stopped}:
            with contextlib.suppress(asyncio.CancelledError):
                await part

    async def _send(self) -> None:
        self._sender_stop = asyncio.Event()
        if self.sender is None:
            await self._sender_stop.wait()
        else:
            await self.sender.run(self._sender_stop)

    async def _watch(self) -> None:
        """Let a changed catalogue and deadlines reach an idle pipeline; keep the outbox gauges."""
        seen, told, renewed = self.catalog.snapshot.revision, 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.25)
            measure(self.catalog, matches=self.pipeline is not None)
            revision, now = self.catalog.snapshot.revision, time.monotonic()
            if self.intake is not None and (revision != seen or now - told >= DEADLINES_S):
                await asyncio.to_thread(self._poke)
                seen, told = revision, now
            if self.certificate is not None and now - renewed >= RENEW_S:
                renewed = now
                if await asyncio.to_thread(self.certificate.renew) and self.broker is not None:
                    self.broker.renew()
            if self.sender is not None:
                with contextlib.suppress(StoreError):  # told by `checks`; asked again soon
                    pending, oldest_ms = await asyncio.to_thread(self.store.outbox_size)
                    metrics.outbox_pending.set(pending)
                    age_s = 0.0 if oldest_ms is None else time.time() - oldest_ms / 1000
                    metrics.outbox_oldest_seconds.set(max(0.0, age_s))

    def _poke(self) -> None:
        """Have an idle pipeline look at deadlines, at the catalogue, at what it was asked to do."""
        # a full queue means that it is busy: it looks at all of them by itself
        with contextlib.suppress(Overloaded):
            if self.intake is not None:
                self.intake.submit(NO_PINGS)

    async def _drain(self) -> None:
        """Stop fetching; commit and acknowledge what is here."""
        self.draining = True
        if self.keeper is not None:
            self.keeper.stop()
        if self.slot_work is not None:
            self.slot_work.keeper.only_renew()
        if self.source is not None:
            self._session_clean = await asyncio.to_thread(self.source.stop)

    def close(self) -> None:
        """Close what is open, in the order of its use."""
        if self.api is not None:
            self.api.stop()
        if self.forwarder is not None:
            self.forwarder.stop()
        for part in (self.callout, self.broker):
            if part is not None:
                part.stop()
        if self._session_clean and self.pipeline is not None:
            self.pipeline.finish()  # the thread that it worked in has ended
        if self.source is not None:
            note_end(self.store, self.source, self.slot_work, clean=self._session_clean)
        self.catalog.stop()
        self.store.close()
