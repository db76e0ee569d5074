"""``/livez``, ``/readyz``, ``/metrics`` and the way errors are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from geotarget.api import Check, create_watched
from geotarget.api.problems import TABLE, row_of
from geotarget.errors import GeotargetError, SettingsError, StoreError
from geotarget.store import Store
from tests.api.conftest import Api


def test_alive_depends_on_nothing(api: Api, store: Store) -> None:
    """Also when the database is gone."""
    store.close()
    assert api.call("GET", "/livez", expect=200) == {"status": "alive"}


def test_ready_when_all_checks_are(api_with: Callable[..., Api]) -> None:
    """Each check is told."""
    api = api_with(readiness=lambda: [Check("database", ok=True), Check("broker", ok=True)])
    answer = api.call("GET", "/readyz", expect=200)
    assert answer["status"] == "ready"
    assert [each["name"] for each in answer["checks"]] == ["database", "broker"]


def test_unready_says_why(api_with: Callable[..., Api]) -> None:
    """503 with the reason."""
    api = api_with(
        readiness=lambda: [Check("database", ok=True), Check("broker", ok=False, detail="no line")]
    )
    answer = api.call("GET", "/readyz", expect=503)
    assert answer["status"] == "unready"
    assert answer["checks"][1] == {"name": "broker", "ok": False, "detail": "no line"}


def test_a_check_that_breaks_is_a_reason(api_with: Callable[..., Api]) -> None:
    """Unready, not an error of whoever asks."""

    def readiness() -> Sequence[Check]:
        raise OSError("disk")

    answer = api_with(readiness=readiness).call("GET", "/readyz", expect=503)
    assert answer["checks"] == [{"name": "readiness", "ok": False, "detail": "OSError"}]


def test_metrics_are_prometheus(lasting: Api) -> None:
    """Text by default, OpenMetrics if asked for."""
    plain = lasting.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "geotarget_zone_index_version" in plain.text
    asked = lasting.client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")


def test_probes_have_an_application_of_their_own() -> None:
    """The three, without a key, and nothing else."""
    checks = [Check("database", ok=True)]
    client = TestClient(create_watched(lambda: checks))
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json()["status"] == "ready"
    checks.append(Check("broker", ok=False, detail="no line"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"][1]["detail"]) == (503, "no line")
    assert answer.headers["cache-control"] == "no-store"
    assert "geotarget_zone_index_version" in client.get("/metrics").text
    assert client.post("/metrics").status_code == 405
    assert client.get("/v1/zones").status_code == 404


def test_every_error_of_ours_has_a_row() -> None:
    """A new class of error can't become a 500 by accident."""

    def tree(kind: type[GeotargetError]) -> list[type[GeotargetError]]:
        return [kind, *(below for each in kind.__subclasses__() for below in tree(each))]

    told = [kind for kind in tree(GeotargetError) if any(up in TABLE for up in kind.__mro__)]
    untold = {kind.__name__ for kind in tree(GeotargetError)} - {kind.__name__ for kind in told}
    assert untold == {"GeotargetError", "NotAllowed", "SettingsError"}
    assert row_of(SettingsError("x")).status == 500


def test_unknown_paths_and_methods_are_problems(lasting: Api) -> None:
    """404 and 405 as problem details; 405 lists what is offered on the path."""
    answer = lasting.client.get("/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "no resource has the path /v1/nothing"
    answer = lasting.client.post("/v1/zones/a", json={})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, PUT"


def test_a_fault_of_ours_shows_an_id_and_nothing_else(
    api_with: Callable[..., Api], services: object
) -> None:
    """The log has the rest under the same id."""

    class Broken:
        def __getattr__(self, name: str) -> object:
            if name in {"authenticate", "key_of_session"}:
                return lambda plain, now_ms: None
            if name == "secret":
                return lambda name: bytes(32)
            raise RuntimeError("secret internals")

    api = api_with(store=Broken())
    answer = api.client.get("/v1/campaigns")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["id"] in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_database_that_is_gone_is_503(api: Api, store: Store) -> None:
    """With Retry-After, and without its path."""
    store.close()
    answer = api.client.get("/v1/campaigns")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "geotarget.db" not in answer.text


def test_a_database_that_is_gone_lets_nobody_in(api: Api, store: Store) -> None:
    """A key that can't be looked up is not let through: 503, not 200 and not 401."""
    header = api.key("zones:read")
    store.close()
    assert api.client.get("/v1/zones", headers=header).status_code == 503


def test_store_errors_are_of_the_tree() -> None:
    """What the store raises is told as unavailable."""
    assert row_of(StoreError("x")).status == 503


@pytest.mark.parametrize("path", ["/docs", "/docs/assets/swagger-ui-bundle.js", "/openapi.json"])
def test_the_documentation_needs_nobody_else(lasting: Api, path: str) -> None:
    """All of it comes from here: the page may fetch nothing from other hosts."""
    answer = lasting.client.get(path)
    assert answer.status_code == 200
    if path == "/docs":
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "//" not in answer.text.replace("// ", "").replace("</", "").split("<script>")[0]


def test_the_documentation_works_behind_a_prefix(lasting: Api) -> None:
    """Addresses on the page are relative."""
    text = lasting.client.get("/docs").text
    assert 'src="docs/assets/swagger-ui-bundle.js"' in text
    assert "openapi.json" in text
    assert '"/openapi.json"' not in text


def test_closing_the_application_ends_its_processes(api: Api, tmp_path: Path) -> None:
    """Nothing is left behind when it stops."""
    with TestClient(api.app):
        pass
    assert api.app.state.context.quarantine._idle == []
