"""The API over its real parts: SQLite, engine, pipeline, intake; only the network is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from geotarget.api import Services, create_app
from geotarget.catalog import Catalog
from geotarget.ingest import Intake, decode_http
from geotarget.pipeline import Pipeline
from geotarget.store import Store

ADMIN = "gt_test_admin_key"


@dataclass
class Api:
    """A running application and what it stands on."""

    app: FastAPI
    client: TestClient
    services: Services

    @property
    def store(self) -> Store:
        """The database."""
        return self.services.store

    @property
    def catalog(self) -> Catalog:
        """The catalogue."""
        return self.services.catalog

    def call(self, method: str, path: str, *, expect: int, **rest: Any) -> Any:
        """Send a request, check its status, return the decoded answer."""
        answer = self.client.request(method, path, **rest)
        assert expect == answer.status_code, answer.text
        return answer.json() if answer.content else None

    def key(self, *scopes: str) -> dict[str, str]:
        """Make a key and return the header that carries it."""
        plain, _ = self.store.create_key(name="test", scopes=list(scopes))
        return {"Authorization": f"Bearer {plain}"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open an empty database."""
    opened = Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}")
    yield opened
    opened.close()


@pytest.fixture
def services(store: Store) -> Iterator[Services]:
    """Real services; pings are committed by the real pipeline."""
    catalog = Catalog(store)
    intake = Intake(Pipeline(catalog=catalog, store=store).process)
    intake.start()
    yield Services(
        catalog=catalog,
        store=store,
        decode=partial(decode_http),
        intake=intake,
        admin_key=ADMIN,
        version="0.0.test",
    )
    intake.drain()
    catalog.stop()


@pytest.fixture
def api_with(services: Services) -> Iterator[Callable[..., Api]]:
    """Make applications over the services with some of them changed."""
    clients: list[TestClient] = []

    def make(**changes: Any) -> Api:
        changed = replace(services, **changes)
        app = create_app(changed)
        client = TestClient(
            app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {ADMIN}"}
        )
        clients.append(client)
        client.__enter__()
        return Api(app, client, changed)

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def api(api_with: Callable[..., Api]) -> Api:
    """Run the application."""
    return api_with()
