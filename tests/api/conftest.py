"""The API over its real parts: store, engine, pipeline, intake; only the network is left out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from geotarget.api import Limits, Services, create_app
from geotarget.api.limits import CallerLimits
from geotarget.catalog import Catalog
from geotarget.engine.warm import warm
from geotarget.ingest import Intake, decode_http
from geotarget.pipeline import Pipeline
from geotarget.runtime.admitting import token_login
from geotarget.settings import Settings
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY, STORE_VARIABLE, drop_database, make_database
from tests.ready_database import lay_out

ADMIN = "gt_test_admin_key"
NATS = "nats://callout:secret@127.0.0.1:4222"
PATIENT = Limits(callers=CallerLimits(rate_per_s=1e6, wrong_keys=1_000_000))
"""For tests that ask faster than a key may."""


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Compile before a request waits for it: on a fresh machine that takes longer than it may."""
    warm()
    for thread in threading.enumerate():
        if thread.name == "warm":
            thread.join()


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


@cache
def url_in(folder: Path) -> str:
    """Return the database of a folder: a file, or one of the server that `STORE_VARIABLE` names.

    All tables are there.
    """
    server = os.environ.get(STORE_VARIABLE, "")
    if not server:
        return lay_out(folder / "geotarget.db", secret_key=SECRET_KEY)
    return make_database(server, _template(server))


@cache
def _template(server: str) -> str:
    """Make a database with all tables, to make others from; return its name."""
    url = make_database(server)
    Store.open(url, secret_key=SECRET_KEY).close()
    return url.rpartition("/")[2]


def drop_in(folder: Path) -> None:
    """Drop the database of a folder, if it is on a server."""
    if os.environ.get(STORE_VARIABLE, ""):
        drop_database(url_in(folder))


@contextmanager
def store_in(folder: Path) -> Iterator[Store]:
    """Open the database of a folder."""
    with Store.open(url_in(folder), secret_key=SECRET_KEY) as store:
        yield store


@contextmanager
def running_services(folder: Path) -> Iterator[Services]:
    """Run real services over a new database; pings are committed by the real pipeline."""
    with store_in(folder) as store:
        catalog = Catalog(store)
        intake = Intake(Pipeline(catalog=catalog, store=store).process)
        intake.start()
        yield Services(
            catalog=catalog,
            store=store,
            decode=decode_http,
            intake=intake,
            admin_key=ADMIN,
            token_login=token_login(Settings.read(auth_callout_url=NATS), None, "mqtt://nats:1883"),
            version="0.0.test",
        )
        intake.drain()
        catalog.stop()


@contextmanager
def running_api(services: Services) -> Iterator[Api]:
    """Run an application; its client has all rights."""
    app = create_app(services)
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with TestClient(app, raise_server_exceptions=False, headers=headers) as client:
        yield Api(app, client, services)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Services of this test's own."""
    with running_services(tmp_path) as running:
        yield running
    drop_in(tmp_path)


@pytest.fixture
def store(services: Services) -> Store:
    """Their database."""
    return services.store


@pytest.fixture
def api_with(services: Services) -> Iterator[Callable[..., Api]]:
    """Make applications over the services with some of them changed."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running_api(replace(services, **changes)))


@pytest.fixture
def api(api_with: Callable[..., Api]) -> Api:
    """An application of this test's own."""
    return api_with()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An application that many tests share: for requests that change nothing, and many of them."""
    folder = tmp_path_factory.mktemp("lasting")
    with (
        running_services(folder) as services,
        running_api(replace(services, limits=PATIENT)) as running,
    ):
        yield running
    drop_in(folder)
