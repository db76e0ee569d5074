"""Where the demo hands in its documents, and where its till asks and reports.

Documents are read as the API reads them, so the demo installs nothing that a user could not type;
they go to the catalogue directly, because they have to be there before the API can answer. The
till speaks HTTP, as a shop's backend would; for the day before the demo began, on whose clock no
API runs, it speaks to the store.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from geotarget.api.audiences import AudienceDocument
from geotarget.api.campaign_documents import CampaignDocument
from geotarget.api.conversions import ConversionItem
from geotarget.api.endpoint_documents import EndpointDocument
from geotarget.api.values import instant
from geotarget.catalog import Catalog
from geotarget.geojson import parse_zone
from geotarget.model import Audience, Endpoint
from geotarget.profile_files import profile_of
from geotarget.store import Store

BY = "demo"
"""Who does it, in the audit log."""


class CatalogDesk:
    """Takes documents as ``PUT /v1/{kind}/{id}`` does.

    Parameters
    ----------
    catalog, store
        Where they go.
    """

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self._catalog = catalog
        self._store = store

    def has(self, kind: str, id: str) -> bool:
        """Whether there is one already."""
        store = self._store
        find: Mapping[str, Callable[[str], object]] = {
            "zones": store.zone,
            "profiles": store.profile,
            "audiences": store.audience,
            "campaigns": store.campaign,
        }
        return find[kind](id) is not None

    def put(self, kind: str, id: str, document: Mapping[str, Any]) -> None:
        """Store a document; raises what the API would refuse it for."""
        catalog = self._catalog
        if kind == "zones":
            catalog.put_zones([parse_zone(document)], by=BY)
        elif kind == "profiles":
            self._store.put_profile(profile_of({"id": id, **document})[0], by=BY)
        elif kind == "audiences":
            audience = AudienceDocument.model_validate(document)
            told = Audience(id, audience.rule, name=audience.name, description=audience.description)
            catalog.put_audience(told, by=BY)
        elif kind == "campaigns":
            campaign = CampaignDocument.model_validate(document)
            catalog.put_campaign(campaign.to_campaign(id), by=BY, problems=campaign.problems())
        else:
            endpoint = EndpointDocument.model_validate(document)
            catalog.put_endpoint(
                Endpoint(
                    id=id,
                    url=endpoint.url,
                    secret=endpoint.secret or "",
                    description=endpoint.description,
                    events=None if endpoint.events is None else tuple(endpoint.events),
                ),
                by=BY,
            )


class HttpOffice:
    """The API, as far as the till needs it; `trust` is whom it trusts for https."""

    def __init__(self, url: str, key: str, trust: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._key = key
        self._trust = trust

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


class StoreOffice:
    """The same on a clock of its own, without a network; see `HttpOffice`.

    Parameters
    ----------
    store
        Where decisions are read and conversions kept.
    now_ms
        The clock.
    """

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms

    def decisions(self, gate: str, since: datetime) -> Sequence[Mapping[str, Any]]:
        """Return the decisions of a gate since an instant: the latest thousand."""
        since_ms = int(1000 * since.timestamp())
        page = self._store.decisions_page(gate=gate, from_ms=since_ms, limit=1000)
        return [
            {"campaign": each.campaign, "device": each.device, "time": instant(each.decided_ms)}
            for each in page.items
        ]

    def report(self, conversions: Sequence[Mapping[str, Any]]) -> None:
        """Keep what the API would keep of a report."""
        now_ms = self._now_ms()
        self._store.record_conversions(
            [ConversionItem.model_validate(each).to_conversion(now_ms) for each in conversions]
        )
