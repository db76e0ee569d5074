"""The demo around a node: zones, campaigns and people of Helsinki, and a receiver for its offers.

What it needs is installed before pings are fetched, and on the first start it lives through the day
before (`history`). Then it speaks to the node as everybody does: the HTTP API with a key, MQTT,
webhooks on loopback. Only the permission to post to loopback is given in the settings, as an
operator would.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from geotarget.backtest.feeding import RecordedClock
from geotarget.catalog import Catalog
from geotarget.delivery import new_secret
from geotarget.demo import (
    Counters,
    Fleet,
    Receiver,
    Takings,
    Till,
    beginning_of,
    catalogue_path,
    install,
    walk,
)
from geotarget.engine.warm import warm
from geotarget.errors import BrokerError
from geotarget.geojson import load_zones
from geotarget.ingest import Publisher
from geotarget.ingest.publish import OutgoingPing
from geotarget.pipeline import wall_clock_ms
from geotarget.runtime.counters import counters
from geotarget.runtime.desk import CatalogDesk, HttpOffice
from geotarget.runtime.history import ACTION, is_new, live_through
from geotarget.runtime.node import Node
from geotarget.settings import Settings
from geotarget.store import Store

log = structlog.get_logger(__name__)

WALKERS = 200
KEY_FILE = "demo-key"
SECRET_FILE = "demo-webhook-secret"  # noqa: S105 - the name of a file
LOOPBACK = "127.0.0.0/8"
TWO_DAYS_MS = 2 * 86_400_000


class Showcase:
    """Everything that `--demo` adds.

    Parameters
    ----------
    settings
        What the operator chose.
    walkers
        How many people the fleet has.
    """

    def __init__(self, settings: Settings, *, walkers: int = WALKERS) -> None:
        allowed = {*settings.webhook_allow_cidrs, LOOPBACK}
        self.settings = settings.model_copy(update={"webhook_allow_cidrs": tuple(sorted(allowed))})
        self.key = ""
        self.notes: Mapping[str, str] = {}
        self.before = Counters()
        self.receiver = Receiver(self._kept(SECRET_FILE, new_secret))
        self._walkers = walkers
        self._fleet: Fleet | None = None
        self._stop_walking = threading.Event()
        self._walking: threading.Thread | None = None
        self._till: Till | None = None
        self._selling: threading.Thread | None = None

    def _kept(self, name: str, make: Any) -> str:
        """Return what stands in a file of the data folder that only we may read."""
        path = self.settings.data / name
        if not path.exists():
            self.settings.data.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(make())
        return path.read_text()

    async def prepare(
        self, node: Node, *, stopped: Callable[[], bool], say: Callable[[str], object]
    ) -> None:
        """Install what is missing, and live through the day before if this is the first start.

        Parameters
        ----------
        node
            Open; its ingest is not started yet.
        stopped
            Whether to stop early.
        say
            Takes what is done now, for people.
        """
        await self.receiver.start()
        await asyncio.to_thread(self._prepare, node, stopped, say)

    def _prepare(
        self, node: Node, stopped: Callable[[], bool], say: Callable[[str], object]
    ) -> None:
        self._fleet = Fleet(self._walkers)
        if is_new(node.store):
            self._live_through(node, self._fleet, stopped, say)
        created = self._install(node.catalog, node.store)
        log.info("demo installed", created=created)
        if node.store.audit_page(action=ACTION, limit=1).items:
            self.notes = {"history": "the day before the first start is simulated"}

    def _live_through(
        self,
        node: Node,
        fleet: Fleet,
        stopped: Callable[[], bool],
        say: Callable[[str], object],
    ) -> None:
        """Simulate the day before, in a store and a catalogue on a clock of their own."""
        say("Getting the engine ready …")
        warm()
        log.info("simulating the day before the first start")
        settings, began, now_ms = self.settings, time.monotonic(), wall_clock_ms()
        clock = RecordedClock(beginning_of(now_ms))
        with node.open_store(clock) as store:
            catalog = Catalog(store)
            self._install(catalog, store)
            takings = live_through(
                store,
                catalog,
                fleet,
                clock,
                to_ms=now_ms,
                rules=settings.rules(),
                policy=settings.policy(),
                footfall=bool(settings.reach_days),
                ended=stopped,
                on_progress=lambda share: say(f"Simulating the day before … {share:.0%}"),
            )
        node.catalog.refresh()
        self.before = counters(node)
        log.info(
            "simulated the day before",
            entries=self.before.entries,
            offers=self.before.offers,
            purchases=takings.purchases,
            seconds=round(time.monotonic() - began, 1),
        )

    def _install(self, catalog: Catalog, store: Store) -> int:
        """Install what is not there yet; return how much that was."""
        zones = load_zones(catalogue_path()).zones
        known = {zone.id for zone in store.zones()[0]}
        missing = [zone for zone in zones if zone.id not in known]
        catalog.put_zones(missing, by="demo")
        secret = self._kept(SECRET_FILE, new_secret)
        desk = CatalogDesk(catalog, store)
        return len(missing) + len(install(desk, url=self.receiver.url, secret=secret))

    async def start(self, node: Node) -> None:
        """Let the fleet walk, and open the till."""
        assert node.api is not None
        assert self._fleet is not None
        self.key = await asyncio.to_thread(self._key_of, node)
        self._walking = threading.Thread(
            target=self._walk, args=(self._fleet, *node.fleet_broker), name="fleet", daemon=True
        )
        self._walking.start()
        office = HttpOffice(node.api.url, self.key, node.trust)
        self._till = Till(office, reported=await asyncio.to_thread(_reported, node.store))
        self._selling = threading.Thread(target=self._sell, name="till", daemon=True)
        self._selling.start()

    @property
    def takings(self) -> Takings:
        """What the till has reported."""
        return Takings() if self._till is None else self._till.takings

    def _sell(self) -> None:
        """Keep the till open while the fleet walks."""
        assert self._till is not None
        while not self._stop_walking.is_set():
            try:
                self._till.run(self._stop_walking)
            except OSError as error:  # what urllib raises, refusals included
                log.warning("the till lost the API", reason=str(error))
                self._stop_walking.wait(1.0)

    def _key_of(self, node: Node) -> str:
        """Return an API key: the operator's own, the one of the last start, or a new one."""
        if self.settings.admin_key:
            return self.settings.admin_key
        path = self.settings.data / KEY_FILE
        if path.exists() and node.store.authenticate(path.read_text(), now_ms=wall_clock_ms()):
            return path.read_text()
        path.unlink(missing_ok=True)
        return self._kept(
            KEY_FILE, lambda: node.store.create_key(name="demo", scopes=["admin"], by="demo")[0]
        )

    def _walk(self, fleet: Fleet, url: str, trust: ssl.SSLContext | None) -> None:
        """Let the fleet walk, over as many connections as it takes."""
        prefix = self.settings.mqtt_prefix
        while not self._stop_walking.is_set():
            try:
                with Publisher(
                    url, client_id="geotarget-demo-fleet", prefix=prefix, tls=trust
                ) as publisher:
                    walk(fleet, partial(_publish, publisher), self._stop_walking)
            except BrokerError as error:
                log.warning("the fleet lost its broker", reason=str(error))
                self._stop_walking.wait(1.0)

    async def stop_walking(self) -> None:
        """Send the fleet home before the drain, so that the drain can end."""
        self._stop_walking.set()
        for thread in (self._walking, self._selling):
            if thread is not None:
                await asyncio.to_thread(thread.join, 10)

    async def stop(self) -> None:
        """Close the receiver, after the last posts."""
        await self.stop_walking()
        await self.receiver.stop()


def _reported(store: Store) -> list[str]:
    """Return the ids of the purchases of two days: a till draws each day anew."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = store.conversions_page(
            from_ms=wall_clock_ms() - TWO_DAYS_MS, limit=1000, cursor=cursor or None
        )
        found += [each.id for each in page.items]
        cursor = page.next
    return found


def _publish(publisher: Publisher, device: str, ping: dict[str, float]) -> None:
    fix = OutgoingPing(ts=ping["ts"], lat=ping["lat"], lng=ping["lng"], acc=ping["acc"])
    publisher.publish(device, [fix])
