"""Keys: who gets in, with which rights, and for how long after a key is revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from geotarget.api.app import table
from geotarget.api.auth import CACHE_KEYS, CACHE_S, Doorkeeper, Scope
from geotarget.api.route import Row
from geotarget.api.services import Limits
from geotarget.errors import NotAllowed
from geotarget.store import SCOPES, ApiKey, Store
from tests.api.conftest import Api, url_in
from tests.postgres_server import SECRET_KEY

PROTECTED = [row for row in table(Limits()) if row.scope is not None]


def address(row: Row) -> str:
    """Return a path that the route matches."""
    return row.path.replace("{id:path}", "x").replace("{id}", "x")


def test_without_a_key_nothing_answers(lasting: Api) -> None:
    """401 with the scheme to use, on every route that holds data."""
    assert len(PROTECTED) > 25
    for row in PROTECTED:
        answer = lasting.client.request(row.method, address(row), headers={"Authorization": ""})
        assert answer.status_code == 401, row
        assert answer.headers["www-authenticate"] == 'Bearer realm="geotarget"'
        assert answer.json()["type"] == "urn:geotarget:problem:key-required"


def test_a_key_without_the_scope_is_told_which_one(api: Api) -> None:
    """403 names the scope that is missing, also to a key that has all others but admin."""
    for row in PROTECTED:
        assert row.scope is not None
        others = [scope.value for scope in Scope if scope.value not in row.scope.sufficient]
        header = api.key(*others) if others else api.key("zones:read")
        answer = api.client.request(row.method, address(row), headers=header)
        assert answer.status_code == 403, row
        assert row.scope.value in answer.json()["detail"]


@pytest.mark.parametrize(
    "header",
    ["gt_live_x", "Basic abc", "Bearer", "Bearer ", "Bearer gt_live_nobody_knows", "Bearer ä"],
)
def test_what_is_no_key_is_refused(lasting: Api, header: str) -> None:
    """Malformed and unknown keys are one and the same to the caller: 401."""
    answer = lasting.client.get("/v1/zones", headers={"Authorization": header.encode()})
    assert answer.status_code == 401


def test_only_health_and_documentation_answer_everybody(lasting: Api) -> None:
    """These hold no data."""
    for path in ("/", "/livez", "/readyz", "/openapi.json", "/docs", "/v1/events"):
        assert lasting.client.get(path, headers={"Authorization": ""}).status_code == 200, path
    open_rows = {row.path for row in table(Limits()) if row.scope is None}
    assert {"/livez", "/readyz", "/v1/events", "/v1/session"} == open_rows


def test_writing_implies_reading_and_not_the_other_way(api: Api) -> None:
    """A key that may write zones may list them."""
    writer, reader = api.key("zones:write"), api.key("zones:read")
    assert api.client.get("/v1/zones", headers=writer).status_code == 200
    assert api.client.get("/v1/zones", headers=reader).status_code == 200
    assert api.client.delete("/v1/zones/x", headers=reader).status_code == 403


def test_a_key_revoked_here_stops_working_at_once(api: Api) -> None:
    """Also when it was used a moment ago."""
    made = api.call("POST", "/v1/keys", expect=201, json={"name": "till", "scopes": ["zones:read"]})
    header = {"Authorization": f"Bearer {made['key']}"}
    assert api.client.get("/v1/zones", headers=header).status_code == 200
    api.call("DELETE", f"/v1/keys/{made['id']}", expect=204)
    assert api.client.get("/v1/zones", headers=header).status_code == 401


def test_a_key_is_rotated_without_a_gap(api: Api) -> None:
    """Both keys work during the overlap; with none the old one stops at once."""
    made = api.call("POST", "/v1/keys", expect=201, json={"name": "till", "scopes": ["zones:read"]})
    first = api.call("POST", f"/v1/keys/{made['id']}:rotate", expect=201, json={"overlap_s": 60})
    assert ("till", ["zones:read"]) == (first["name"], first["scopes"])
    second = api.call("POST", f"/v1/keys/{first['id']}:rotate", expect=201, json={"overlap_s": 0})

    def status(key: dict[str, Any]) -> int:
        header = {"Authorization": f"Bearer {key['key']}"}
        return api.client.get("/v1/zones", headers=header).status_code

    assert [200, 401, 200] == [status(each) for each in (made, first, second)]
    listed = {
        each["id"]: each["expires"] for each in api.call("GET", "/v1/keys", expect=200)["items"]
    }
    assert listed[made["id"]]
    assert listed[second["id"]] is None
    for wrong in ({"overlap_s": -1}, {"overlap_s": 10**9}, {"scopes": ["admin"]}):
        api.call("POST", f"/v1/keys/{made['id']}:rotate", expect=422, json=wrong)
    api.call("DELETE", f"/v1/keys/{second['id']}", expect=204)
    api.call("POST", f"/v1/keys/{second['id']}:rotate", expect=409, json={})
    api.call("POST", "/v1/keys/nobody:rotate", expect=404, json={})


def test_an_expired_key_does_not_work(api: Api, tmp_path: Path) -> None:
    """The store's record says until when."""
    with Store.open(url_in(tmp_path), secret_key=SECRET_KEY, now_ms=lambda: 0) as then:
        plain, _ = then.create_key(name="old", scopes=["zones:read"], expires_ms=1)
    answer = api.client.get("/v1/zones", headers={"Authorization": f"Bearer {plain}"})
    assert answer.status_code == 401


def test_a_key_is_shown_once_and_listed_without_its_secret(api: Api) -> None:
    """The list holds no part of it that could be used."""
    made = api.call("POST", "/v1/keys", expect=201, json={"name": "till", "scopes": ["admin"]})
    text = api.client.get("/v1/keys").text
    assert made["id"] in text
    assert made["key"] not in text


def test_a_key_with_an_unknown_scope_is_refused(lasting: Api) -> None:
    """A typo in a scope is a problem now, not a 403 at night."""
    answer = lasting.call(
        "POST", "/v1/keys", expect=422, json={"name": "x", "scopes": ["zone:read"]}
    )
    assert answer["errors"][0]["path"] == "$.scopes[0]"


class Door:
    """A doorkeeper with a clock that the test moves, over a real store."""

    def __init__(self, store: Store, admin_key: str | None = None) -> None:
        self.asked = 0
        self.now = time.time()
        self.store = store
        self.keeper = Doorkeeper(
            self._authenticate,
            admin_key=admin_key,
            now_ms=lambda: int(self.now * 1000),
            clock=lambda: self.now,
        )

    def _authenticate(self, plain: str, now_ms: int) -> Any:
        self.asked += 1
        return self.store.authenticate(plain, now_ms)

    def admit(self, plain: str, scope: Scope = Scope.ZONES_READ) -> str:
        """Return the name of the caller."""
        header = [(b"authorization", f"Bearer {plain}".encode())]
        request = Request({"type": "http", "headers": header})
        return asyncio.run(self.keeper.admit(request, scope)).name


def test_the_store_is_asked_once_in_a_few_seconds_per_key(store: Store) -> None:
    """Within the cache's time nothing is asked; after it the key is looked up again."""
    door = Door(store)
    plain, _ = store.create_key(name="till", scopes=["zones:read"])
    assert [door.admit(plain) for _ in range(10)] == ["till"] * 10
    assert door.asked == 1
    door.now += CACHE_S + 0.1
    door.admit(plain)
    assert door.asked == 2


def test_a_key_revoked_elsewhere_stops_working_within_five_seconds(store: Store) -> None:
    """Another process revoked it: the cache's time is the bound."""
    assert CACHE_S <= 5
    door = Door(store)
    plain, key = store.create_key(name="till", scopes=["zones:read"])
    door.admit(plain)
    store.revoke_key(key.id)
    door.now += CACHE_S + 0.1
    with pytest.raises(NotAllowed):
        door.admit(plain)


def test_a_remembered_key_expires_on_time(store: Store) -> None:
    """The cache does not prolong a key's life."""
    door = Door(store)
    expires_ms = int((door.now + 1) * 1000)
    plain, _ = store.create_key(name="till", scopes=["zones:read"], expires_ms=expires_ms)
    door.admit(plain)
    door.now += 1.5
    with pytest.raises(NotAllowed):
        door.admit(plain)


def test_keys_that_are_wrong_are_never_remembered(store: Store) -> None:
    """Guessing fills no memory."""
    door = Door(store)
    for guess in range(20):
        with pytest.raises(NotAllowed):
            door.admit(f"gt_live_{guess}")
    assert len(door.keeper._seen) == 0


def test_the_memory_of_keys_is_bounded() -> None:
    """The oldest are forgotten first."""

    class Everybody:
        id = "k"
        scopes = ("zones:read",)
        name = "x"
        expires_ms = None

    def authenticate(plain: str, now_ms: int) -> ApiKey | None:
        return Everybody()  # type: ignore[return-value]

    keeper = Doorkeeper(authenticate)
    for number in range(CACHE_KEYS + 50):
        keeper._look_up(partial(authenticate, f"k{number}"), str(number).encode())
    assert len(keeper._seen) == CACHE_KEYS


def test_the_fixed_admin_key_opens_everything_and_asks_nobody(store: Store) -> None:
    """It is compared, not looked up; without one set, none works."""
    door = Door(store, admin_key="secret")
    assert door.admit("secret", Scope.ADMIN) == "admin"
    assert door.asked == 0
    for admin_key in (None, ""):
        with pytest.raises(NotAllowed):
            Door(store, admin_key=admin_key).admit("secret", Scope.ADMIN)


def test_the_scopes_are_those_that_the_store_knows() -> None:
    """One list, said in two rooms that don't see each other's reasons."""
    assert tuple(scope.value for scope in Scope) == SCOPES


def test_metrics_are_open_only_if_asked_for(api_with: Callable[..., Api]) -> None:
    """A closed network may choose to scrape without a key."""
    closed, opened = api_with(), api_with(open_metrics=True)
    assert closed.client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert opened.client.get("/metrics", headers={"Authorization": ""}).status_code == 200


def test_answers_say_what_browsers_and_caches_may_do(lasting: Api) -> None:
    """Nothing is sniffed, framed or kept, refusals included; only what is public may be kept."""
    for path in ("/v1/zones", "/v1/zones/nobody", "/v1/nothing", "/livez", "/metrics"):
        for headers in ({}, {"Authorization": ""}):
            answer = lasting.client.get(path, headers=headers).headers
            assert "no-store" == answer["cache-control"], path
            assert "nosniff" == answer["x-content-type-options"]
            assert "DENY" == answer["x-frame-options"]
            assert not [name for name in answer if name.startswith("access-control")]
    for path in ("/docs", "/openapi.json", "/v1/events"):
        answer = lasting.client.get(path, headers={"Origin": "https://example.com"}).headers
        assert "cache-control" not in answer
        assert "nosniff" == answer["x-content-type-options"]
        assert not [name for name in answer if name.startswith("access-control")]
