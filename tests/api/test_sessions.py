"""A browser's session: a cookie for a key, of no use to other sites, and gone with the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from geotarget.api.cookies import COOKIE, HEADER, HOLDS_MS, Seals, Session
from geotarget.api.limits import CallerLimits
from tests.api.conftest import ADMIN, Api

OURS = {HEADER: "1", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def browser(api: Api) -> Iterator[TestClient]:
    """A client without a key of its own."""
    with TestClient(api.app, raise_server_exceptions=False) as client:
        yield client


def signed_in(client: TestClient, key: str) -> TestClient:
    """Exchange a key for a cookie."""
    answer = client.post("/v1/session", json={"key": key})
    assert answer.status_code == 200, answer.text
    return client


def test_a_cookie_is_a_key(api: Api, browser: TestClient) -> None:
    """Signed in, the browser may do what its key may, and no more."""
    plain, _ = api.store.create_key(name="marketing", scopes=["zones:read"])
    assert browser.get("/v1/zones").status_code == 401
    signed_in(browser, plain)
    assert browser.get("/v1/zones").status_code == 200
    assert browser.get("/v1/audit").status_code == 403
    told = browser.get("/v1/session").json()
    assert ("marketing", ["zones:read"]) == (told["name"], told["scopes"])


def test_the_cookie_is_kept_from_scripts_and_other_sites(browser: TestClient) -> None:
    """HttpOnly, SameSite=Strict; Secure where the connection is; the key is not in it."""
    header = browser.post("/v1/session", json={"key": ADMIN}).headers["set-cookie"]
    assert "HttpOnly" in header
    assert "SameSite=strict" in header
    assert "Secure" not in header
    assert ADMIN not in header
    browser.base_url = "https://testserver"
    assert "Secure" in browser.post("/v1/session", json={"key": ADMIN}).headers["set-cookie"]


def test_nobody_is_signed_in(browser: TestClient) -> None:
    """Asking who it is, is no failure: 204; so is it with a cookie that is worth nothing."""
    assert browser.get("/v1/session").status_code == 204
    browser.cookies.set(COOKIE, "nonsense")
    assert browser.get("/v1/session").status_code == 204
    assert browser.get("/v1/zones").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", HEADER: "1"},
        {"Sec-Fetch-Site": "same-site", HEADER: "1"},
    ],
    ids=["no header", "another site", "a sister's site"],
)
def test_no_other_site_can_use_it(browser: TestClient, headers: dict[str, str]) -> None:
    """A form or a script elsewhere can't set our header, and its origin gives it away."""
    signed_in(browser, ADMIN)
    answer = browser.delete("/v1/zones/kamppi", headers=headers)
    assert answer.status_code == 403
    assert HEADER in answer.json()["detail"]
    assert browser.delete("/v1/zones/kamppi", headers=OURS).status_code == 404


def test_it_ends_with_its_key(api: Api, browser: TestClient) -> None:
    """A key that is revoked takes its sessions along, at once."""
    plain, key = api.store.create_key(name="marketing", scopes=["zones:read"])
    signed_in(browser, plain)
    assert browser.get("/v1/zones").status_code == 200
    api.call("DELETE", f"/v1/keys/{key.id}", expect=204)
    assert browser.get("/v1/zones").status_code == 401


def test_it_ends_when_somebody_signs_out(browser: TestClient) -> None:
    """The cookie is taken back; without one it is harmless."""
    signed_in(browser, ADMIN)
    assert browser.delete("/v1/session").status_code == 204
    assert browser.get("/v1/zones").status_code == 401
    assert browser.delete("/v1/session").status_code == 204


def test_it_ends_by_itself_and_nobody_makes_one_up() -> None:
    """Twelve hours; every changed character, another database and another admin key refuse it."""
    seals = Seals(b"s" * 32, "the operator's own key")
    cookie = seals.close(Session("", HOLDS_MS))
    assert Session("", HOLDS_MS) == seals.open(cookie, now_ms=HOLDS_MS - 1)
    assert seals.open(cookie, now_ms=HOLDS_MS) is None
    for position in range(len(cookie)):
        other = "A" if cookie[position] != "A" else "B"
        assert seals.open(cookie[:position] + other + cookie[position + 1 :], now_ms=0) is None
    assert Seals(b"t" * 32, "the operator's own key").open(cookie, now_ms=0) is None
    assert Seals(b"s" * 32, "another key").open(cookie, now_ms=0) is None
    assert seals.open(f"admin{cookie}", now_ms=0) is None
    for nonsense in ("", ".", "..", "a.b.c", "é.1.x", "." * 400):
        assert seals.open(nonsense, now_ms=0) is None


def test_guessing_is_slowed_here_too(api_with: Callable[..., Api]) -> None:
    """Wrong keys count as they do in the header."""
    api = api_with()
    few = CallerLimits(wrong_keys=3)
    limits = api.services.limits
    with TestClient(api_with(limits=replace(limits, callers=few)).app) as client:
        told = [
            client.post("/v1/session", json={"key": f"gt_live_wrong{each}"}).status_code
            for each in range(5)
        ]
    assert [401, 401, 401, 429, 429] == told
