"""How often a key may ask, and how often an address may guess: bounded, told, forgotten."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import structlog
from starlette.requests import Request

from geotarget import metrics
from geotarget.api.app import table
from geotarget.api.auth import CACHE_S, HOMES, Doorkeeper, Scope
from geotarget.api.limits import (
    LOOKUPS_PER_S,
    MOST,
    WINDOW_S,
    CallerLimits,
    Guesses,
    KeyRates,
    Meter,
    neighbourhood,
)
from geotarget.api.services import Limits
from geotarget.errors import NotAllowed, TooManyRequests
from geotarget.store import ApiKey, Store
from geotarget.store.keys import PREFIX, _checksum
from tests.api.conftest import Api

FEW = Limits(callers=CallerLimits(rate_per_s=5, rates={"fast": 50.0}, wrong_keys=3))


class Door:
    """A doorkeeper with a clock that the test moves, over a real store."""

    def __init__(self, store: Store, admin_key: str | None = None, **limits: int) -> None:
        self.asked = 0
        self.now = time.time()
        self.store = store
        self.keeper = Doorkeeper(
            self._authenticate,
            admin_key=admin_key,
            limits=CallerLimits(**{"wrong_keys": 3, **limits}),
            now_ms=lambda: int(self.now * 1000),
            clock=lambda: self.now,
        )

    def _authenticate(self, plain: str, now_ms: int) -> ApiKey | None:
        self.asked += 1
        return self.store.authenticate(plain, now_ms)

    def try_(self, plain: str, host: str = "192.0.2.1") -> str:
        """Return the name of the caller, or why there is none."""
        request = Request(
            {
                "type": "http",
                "headers": [(b"authorization", f"Bearer {plain}".encode())],
                "client": (host, 1),
            }
        )
        try:
            return asyncio.run(self.keeper.admit(request, Scope.ZONES_READ)).name
        except NotAllowed:
            return "wrong"
        except TooManyRequests:
            return "slowed"


def made_up(number: int) -> str:
    """Return a key that is well-formed and nobody's."""
    body = f"{PREFIX}{number:012d}_{number:043d}"
    return body + _checksum(body)


# -- rates -------------------------------------------------------------------------------------


def test_a_key_has_its_rate_and_a_burst_of_a_second() -> None:
    """Over any span as many pass as the rate allows, and a second's worth more."""
    now, passed = 0.0, 0
    meter = Meter(clock=lambda: now)
    draw = random.Random(5)
    while now < 100:
        passed += meter.spend("till", 20) == 0
        now += draw.expovariate(60)
    assert passed == pytest.approx(20 * 100 + 20, abs=3)


def test_who_waits_as_long_as_told_is_let_in() -> None:
    """Retry-After is enough, at any rate; also at one below one a second."""
    for rate in (0.1, 1, 3, 500):
        now = 50.0
        meter = Meter(clock=lambda: now)  # noqa: B023 - called while it holds
        while not (wait_s := meter.spend("till", rate)):
            pass
        assert 0 < wait_s <= max(1.0, 1 / rate) + 1e-9
        now += wait_s
        assert meter.spend("till", rate) == 0


def test_the_memory_of_rates_is_bounded() -> None:
    """The oldest are forgotten first."""
    meter = Meter()
    for number in range(MOST + 100):
        meter.spend(str(number), 5)
    assert len(meter) == MOST


def test_counting_a_request_costs_little() -> None:
    """Two microseconds of processor at the most, in the best of five thousands."""
    rates = KeyRates(CallerLimits(rate_per_s=1e6, rates={"backend": 1e6}))
    best = float("inf")
    for _ in range(5):
        begun = time.thread_time_ns()
        for _ in range(1_000):
            rates.spend("3kP9xQ7mZr2a", "till")
        best = min(best, (time.thread_time_ns() - begun) / 1_000)
    assert best < 2_000 * 5  # five times the bound: the machine is shared


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    api_with: Callable[..., Api],
) -> None:
    """429 with Retry-After as problem details; other keys and health are not concerned."""
    api = api_with(limits=FEW)
    before = metrics.rate_limited._value.get()
    busy, other = api.key("zones:read"), api.key("zones:read")
    answers = [api.client.get("/v1/zones", headers=busy) for _ in range(30)]
    assert {200, 429} == {each.status_code for each in answers}
    assert [200] * 5 == [each.status_code for each in answers[:5]]
    refused = next(each for each in answers if each.status_code == 429)
    assert "urn:geotarget:problem:too-many-requests" == refused.json()["type"]
    assert "1" == refused.headers["retry-after"]
    assert "5 requests a second" in refused.json()["detail"]
    assert metrics.rate_limited._value.get() > before
    assert api.client.get("/v1/zones", headers=other).status_code == 200
    for _ in range(20):
        for path in ("/livez", "/readyz"):
            assert api.client.get(path, headers=busy).status_code == 200


def test_a_key_can_have_a_rate_of_its_own(api_with: Callable[..., Api], store: Store) -> None:
    """By its name, so that it keeps it when it is rotated."""
    api = api_with(limits=FEW)
    _, key = store.create_key(name="fast", scopes=["zones:read"])
    plain, _ = store.rotate_key(key.id, overlap_ms=0)
    header = {"Authorization": f"Bearer {plain}"}
    assert {200} == {api.client.get("/v1/zones", headers=header).status_code for _ in range(40)}


def test_every_route_that_needs_a_key_says_that_it_may_answer_429(lasting: Api) -> None:
    """In the description that clients are generated from."""
    paths = lasting.client.get("/openapi.json").json()["paths"]
    for row in table(Limits()):
        described = paths[row.path.replace(":path}", "}")][row.method.lower()]["responses"]
        asks_for_a_key = row.scope is not None or (row.method, row.path) == ("POST", "/v1/session")
        assert asks_for_a_key == ("429" in described), row.path


# -- guesses -----------------------------------------------------------------------------------


def test_an_address_that_guesses_is_refused_before_its_key_is_looked_at(store: Store) -> None:
    """After so many wrong keys in a minute; the minute begins with the first."""
    door = Door(store)
    assert ["wrong"] * 3 == [door.try_(made_up(each)) for each in range(3)]
    right, _ = store.create_key(name="till", scopes=["zones:read"])
    assert ["slowed"] * 20 == [door.try_(made_up(each)) for each in range(20)]
    assert "slowed" == door.try_(right)  # nobody has seen that it works
    assert 3 == door.asked
    door.now += WINDOW_S - 1
    assert "slowed" == door.try_(right)
    door.now += 1.1
    assert "till" == door.try_(right)
    assert "wrong" == door.try_(made_up(4))


def test_a_neighbour_who_guesses_locks_nobody_out(store: Store) -> None:
    """A key that has worked here goes on working at an address that is refused."""
    door = Door(store)
    right, _ = store.create_key(name="till", scopes=["zones:read"])
    other, gone = store.create_key(name="crm", scopes=["zones:read"])
    assert "till" == door.try_(right)
    for each in range(10):
        door.try_(made_up(each))
    for _ in range(5):
        assert "till" == door.try_(right)
        door.now += CACHE_S + 0.1  # and is looked up again
    store.revoke_key(gone.id)
    door.keeper.forget()
    assert "till" == door.try_(right)
    assert "slowed" == door.try_(other)


def test_other_addresses_are_not_concerned(store: Store) -> None:
    """IPv4 counts by address, IPv6 by /64."""
    door = Door(store)
    for each in range(10):
        door.try_(made_up(each), f"2001:db8:0:1::{each + 1:x}")
    assert "slowed" == door.try_(made_up(1), "2001:db8:0:1:ffff::1")
    assert "wrong" == door.try_(made_up(1), "2001:db8:0:2::1")
    assert "wrong" == door.try_(made_up(1), "192.0.2.2")


def test_the_admin_key_can_be_guessed_no_faster(store: Store) -> None:
    """The right one is refused like a wrong one, but for addresses where it has worked."""
    door = Door(store, admin_key="gt_test_admin_key")
    assert "admin" == door.try_("gt_test_admin_key", "192.0.2.9")
    for host in ("192.0.2.9", "192.0.2.1"):
        for each in range(5):
            door.try_(f"guess {each}", host)
    assert "slowed" == door.try_("gt_test_admin_key", "192.0.2.1")
    assert "admin" == door.try_("gt_test_admin_key", "192.0.2.9")
    assert 6 == door.asked
    for each in range(HOMES + 20):
        door.try_("gt_test_admin_key", f"10.0.{each // 200}.{each % 200}")
    assert HOMES == len(door.keeper._homes)


def test_unknown_keys_from_everywhere_ask_the_database_only_so_often(store: Store) -> None:
    """Many addresses together are bounded too, and keys that have worked pass all the same."""
    door = Door(store)
    right, _ = store.create_key(name="till", scopes=["zones:read"])
    door.try_(right)
    tried = [door.try_(f"x{each}", f"10.1.{each // 250}.{each % 250}") for each in range(700)]
    assert LOOKUPS_PER_S == pytest.approx(door.asked, abs=2)
    assert {"wrong", "slowed"} == set(tried)
    door.keeper.forget()
    assert "till" == door.try_(right)


def test_what_is_kept_of_addresses_is_bounded() -> None:
    """A network of guessers fills no memory; the oldest are forgotten."""
    guesses = Guesses(CallerLimits(wrong_keys=1))
    with structlog.testing.capture_logs():
        for each in range(MOST + 50):
            guesses.count(str(each))
    assert MOST == len(guesses)
    guesses.check("0")
    with pytest.raises(TooManyRequests):
        guesses.check(str(MOST))


def test_wrong_keys_are_told_once_a_minute_and_never_shown(
    api_with: Callable[..., Api],
) -> None:
    """One line in the log names the address; a count is kept by reason."""
    api = api_with(limits=replace(FEW, callers=CallerLimits(wrong_keys=3)))

    def counted(reason: str) -> float:
        return metrics.auth_failures.labels(reason)._value.get()

    before = [counted(each) for each in ("missing", "wrong", "slowed")]
    with structlog.testing.capture_logs() as lines:
        api.client.get("/v1/zones", headers={"Authorization": ""})
        answers = [
            api.client.get("/v1/zones", headers={"Authorization": f"Bearer {made_up(each)}"})
            for each in range(5)
        ]
    assert [401, 401, 401, 429, 429] == [each.status_code for each in answers]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= WINDOW_S
    assert [{"event": "wrong API key", "log_level": "warning", "address": "elsewhere"}] == lines
    after = [counted(each) for each in ("missing", "wrong", "slowed")]
    assert [1, 3, 2] == [now - then for now, then in zip(after, before, strict=True)]


def test_a_caller_is_known_by_address_or_network() -> None:
    """What is no address at all is one caller."""
    assert "2001:db8::/64" == neighbourhood("2001:db8::1%eth0")
    assert "elsewhere" == neighbourhood("x" * 30_000)
