"""The demo around a node: zones, campaigns and people of Helsinki, and a receiver for its offers.

It speaks to the node as everybody does: the HTTP API with a key, MQTT, webhooks on loopback. Only
the permission to post to loopback is given in the settings, as an operator would.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import structlog

from geotarget.delivery import new_secret
from geotarget.demo import Fleet, Receiver, Takings, Till, catalogue_path, install, walk
from geotarget.errors import BrokerError
from geotarget.geojson import load_zones
from geotarget.ingest import Publisher
from geotarget.ingest.publish import OutgoingPing
from geotarget.pipeline import wall_clock_ms
from geotarget.runtime.node import Node
from geotarget.settings import Settings

log = structlog.get_logger(__name__)

WALKERS = 200
KEY_FILE = "demo-key"
SECRET_FILE = "demo-webhook-secret"  # noqa: S105 - the name of a file
LOOPBACK = "127.0.0.0/8"


class HttpDesk:
    """Hands documents in through the API; `trust` is whom it trusts for https."""

    def __init__(self, url: str, key: str, trust: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._key = key
        self._trust = trust

    def has(self, kind: str, id: str) -> bool:
        """Whether there is one already."""
        return self._call("GET", kind, id) == 200

    def put(self, kind: str, id: str, document: Mapping[str, Any]) -> None:
        """Do what ``PUT /v1/{kind}/{id}`` does."""
        self._call("PUT", kind, id, json.dumps(document).encode())

    def decisions(self, gate: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Return the decisions of a gate since an instant: the latest thousand."""
        query = urlencode({"gate": gate, "from": since.isoformat(), "limit": 1000})
        with self._open("GET", f"/v1/decisions?{query}", None) as answer:
            items: Sequence[Mapping[str, Any]] = json.loads(answer.read())["items"]
        return items

    def report(self, conversions: Sequence[Mapping[str, Any]]) -> None:
        """Do what ``POST /v1/conversions`` does."""
        with self._open("POST", "/v1/conversions", json.dumps(conversions).encode()):
            pass

    def _open(self, method: str, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self._url}{path}",
            method=method,
            data=body,
            headers={"authorization": f"Bearer {self._key}", "content-type": "application/json"},
        )
        return urllib.request.urlopen(request, timeout=30, context=self._trust)  # noqa: S310

    def _call(self, method: str, kind: str, id: str, body: bytes | None = None) -> int:
        try:
            with self._open(method, f"/v1/{kind}/{quote(id, safe='')}", body) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            if method == "GET" and error.code == 404:
                return error.code
            raise RuntimeError(
                f"the demo's {kind}/{id} was refused: {error.code} {error.read().decode()}"
            ) from error


class Showcase:
    """Everything that `--demo` adds."""

    def __init__(self, settings: Settings) -> None:
        allowed = {*settings.webhook_allow_cidrs, LOOPBACK}
        self.settings = settings.model_copy(update={"webhook_allow_cidrs": tuple(sorted(allowed))})
        self.key = ""
        self.receiver = Receiver(self._kept(SECRET_FILE, new_secret))
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

    async def start(self, node: Node) -> None:
        """Install what is missing and let the fleet walk."""
        assert node.api is not None
        self.key = await asyncio.to_thread(self._key_of, node)
        await self.receiver.start()
        await asyncio.to_thread(self._import_zones, node)
        created = await asyncio.to_thread(
            install,
            HttpDesk(node.api.url, self.key, node.trust),
            url=self.receiver.url,
            secret=self._kept(SECRET_FILE, new_secret),
        )
        log.info("demo installed", created=len(created))
        fleet = await asyncio.to_thread(Fleet, WALKERS)
        self._walking = threading.Thread(
            target=self._walk, args=(fleet, *node.fleet_broker), name="fleet", daemon=True
        )
        self._walking.start()
        self._till = Till(HttpDesk(node.api.url, self.key, node.trust))
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

    def _import_zones(self, node: Node) -> None:
        """Import the demo's zones that are not there yet, all at once."""
        zones = load_zones(catalogue_path()).zones
        known = {zone.id for zone in node.store.zones()[0]}
        node.catalog.put_zones([zone for zone in zones if zone.id not in known], by="demo")

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


def _publish(publisher: Publisher, device: str, ping: dict[str, float]) -> None:
    fix = OutgoingPing(ts=ping["ts"], lat=ping["lat"], lng=ping["lng"], acc=ping["acc"])
    publisher.publish(device, [fix])
