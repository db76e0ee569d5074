"""Who is calling, and what that key may do.

A key is sent as ``Authorization: Bearer gt_live_…``. The store keeps only its hash and is asked at
most every few seconds per key: a revoked key works for at most `CACHE_S` longer in another
process, and not a moment longer in the one that revoked it. Costs: one SHA-256 and one look into a
dictionary for a key that was seen, one query in a worker thread for one that was not.

Guessing is slowed (`limits.Guesses`): after some wrong keys an address is refused before its next
key is looked at. A key that has worked here before is let in all the same, so that nobody is locked
out by a neighbour behind the same address. The fixed admin key, which a person chose, is known only
at the addresses where it has worked: to all others it is a guess like any other.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from geotarget import metrics
from geotarget.api.cookies import COOKIE, Seals, check_own_page
from geotarget.api.limits import CallerLimits, Guesses, KeyRates, neighbourhood
from geotarget.errors import NotAllowed
from geotarget.store import ApiKey

CACHE_S = 3.0
CACHE_KEYS = 1_024
HOMES = 256
"""Addresses at which the fixed admin key is known."""


class Scope(StrEnum):
    """What a key may be allowed to do; `ADMIN` implies all, writing implies reading."""

    PINGS_WRITE = "pings:write"
    ZONES_READ = "zones:read"
    ZONES_WRITE = "zones:write"
    CAMPAIGNS_READ = "campaigns:read"
    CAMPAIGNS_WRITE = "campaigns:write"
    ENDPOINTS_READ = "endpoints:read"
    ENDPOINTS_WRITE = "endpoints:write"
    PROFILES_READ = "profiles:read"
    PROFILES_WRITE = "profiles:write"
    AUDIENCES_READ = "audiences:read"
    AUDIENCES_WRITE = "audiences:write"
    CONVERSIONS_WRITE = "conversions:write"
    REPORTS_READ = "reports:read"
    EXPORTS_READ = "exports:read"
    DELIVERIES_WRITE = "deliveries:write"
    TRACES_WRITE = "traces:write"
    DEVICES_WRITE = "devices:write"
    ADMIN = "admin"

    @property
    def sufficient(self) -> frozenset[str]:
        """The scopes of which one is enough: this, the one that implies it, and `ADMIN`."""
        what, _, right = self.partition(":")
        implied_by = {f"{what}:write"} if right == "read" else set()
        return frozenset({self.value, Scope.ADMIN.value} | implied_by)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: `name` and `key`, its id, are for the log; never the key itself."""

    name: str
    scopes: frozenset[str]
    expires_ms: int | None = None
    key: str = ""

    @property
    def actor(self) -> str:
        """Who it is in the audit log."""
        return f"{self.name} ({self.key})" if self.key else self.name

    def require(self, scope: Scope) -> None:
        """Check a scope.

        Raises
        ------
        NotAllowed
            The key lacks it; the message names it.
        """
        if not self.scopes & scope.sufficient:
            raise NotAllowed(f"this needs a key with the scope {scope.value}", known=True)


ADMIN = Caller("admin", frozenset({Scope.ADMIN.value}))
"""Who has the fixed admin key."""


class Doorkeeper:
    """Turns an Authorization header into a `Caller`.

    Parameters
    ----------
    authenticate
        Looks a key up: (plain key, now in ms) to the key's record, or None.
    admin_key
        A fixed key that may do everything; None or empty means that there is none.
    limits
        How often a key may ask and an address may guess.
    session_secret
        Signs the cookies of browsers' sessions.
    by_session
        Looks up the key of a session: (its id, now in ms) to the key's record, or None.
    now_ms, clock
        Time of day in milliseconds, and a clock in seconds that never goes back.
    """

    def __init__(
        self,
        authenticate: Callable[[str, int], ApiKey | None],
        *,
        admin_key: str | None = None,
        limits: CallerLimits | None = None,
        session_secret: bytes = b"",
        by_session: Callable[[str, int], ApiKey | None] = lambda _id, _now: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticate = authenticate
        self._admin_key = (admin_key or "").encode()
        self.seals = Seals(session_secret or secrets.token_bytes(32), admin_key or "")
        self.now_ms = now_ms
        self._by_session = by_session
        self._clock = clock
        self._rates = KeyRates(limits or CallerLimits(), clock)
        self._guesses = Guesses(limits or CallerLimits(), clock)
        self._seen: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._homes: OrderedDict[str, None] = OrderedDict()  # where the admin key has worked
        self._lock = threading.Lock()
        self._revocations = 0

    async def admit(self, request: Request, scope: Scope) -> Caller:
        """Return who sent a request, before its body is read.

        Raises
        ------
        NotAllowed
            There is no valid key, or it lacks the scope.
        TooManyRequests
            The key asks too often, or too many wrong ones came from its address.
        StoreError
            The key can't be looked up at the moment.
        """
        caller = await self.identify(request)
        self._rates.spend(caller.key, caller.name)
        caller.require(scope)
        return caller

    async def identify(self, request: Request) -> Caller:
        """Return who sent a request, by its key or by the cookie of a session."""
        given = request.headers.getlist("authorization")
        cookie = request.cookies.get(COOKIE)
        if cookie and not given:
            caller = await self._of_session(cookie)
            check_own_page(request)
            return caller
        return await self.introduce(request, _bearer(given))

    async def introduce(self, request: Request, plain: str) -> Caller:
        """Return whose key it is that came with a request."""
        digest = hashlib.sha256(plain.encode()).digest()
        caller = self._recall(digest)
        if caller is None:
            address = neighbourhood(request.client.host if request.client else "")
            caller = await self._introduce(plain, digest, address)
        return caller

    async def _of_session(self, cookie: str) -> Caller:
        """Return whose session it is; the key behind it must still work."""
        session = self.seals.open(cookie, now_ms=self.now_ms())
        if session is None:
            raise NotAllowed("the session is over: sign in again", known=False)
        if not session.key:
            return ADMIN
        digest = b"session:" + session.key.encode()
        caller = self._recall(digest)
        if caller is None:
            find = partial(self._by_session, session.key)
            caller = await run_in_threadpool(self._look_up, find, digest)
        if caller is None:
            raise NotAllowed("the key of the session works no more: sign in again", known=False)
        return caller

    def forget(self) -> None:
        """Look every key up again: one was revoked."""
        with self._lock:
            for digest, (_, caller) in self._seen.items():
                self._seen[digest] = (-math.inf, caller)  # that they have worked stays known
            self._revocations += 1

    def _recall(self, digest: bytes) -> Caller | None:
        """Return whose key it is, if it was looked up a moment ago."""
        with self._lock:
            looked_up, caller = self._seen.get(digest, (-math.inf, None))
        if caller is None or self._clock() - looked_up > CACHE_S:
            return None
        if caller.expires_ms is not None and caller.expires_ms <= self.now_ms():
            return None
        return caller

    async def _introduce(self, plain: str, digest: bytes, address: str) -> Caller:
        """Return whose key it is that was not looked up a moment ago."""
        is_admin = bool(self._admin_key) and hmac.compare_digest(plain.encode(), self._admin_key)
        has_worked = address in self._homes if is_admin else digest in self._seen
        if not has_worked:
            self._guesses.check(address)
        if is_admin:
            self._homes[address] = None
            self._homes.move_to_end(address)
            if len(self._homes) > HOMES:
                self._homes.popitem(last=False)
            return ADMIN
        if not has_worked:
            self._guesses.check_lookups()
        caller = await run_in_threadpool(self._look_up, partial(self._authenticate, plain), digest)
        if caller is None:
            self._guesses.count(address)
            raise NotAllowed("the API key is unknown, revoked or expired", known=False)
        return caller

    def _look_up(self, find: Callable[[int], ApiKey | None], digest: bytes) -> Caller | None:
        asked, revocations = self._clock(), self._revocations
        key = find(self.now_ms())
        if key is None:
            with self._lock:
                self._seen.pop(digest, None)
            return None
        caller = Caller(key.name, key.scopes, key.expires_ms, key.id)
        with self._lock:
            if revocations != self._revocations:
                return caller  # it may have been this one: remember nothing
            self._seen[digest] = (asked, caller)
            self._seen.move_to_end(digest)
            while len(self._seen) > CACHE_KEYS:
                self._seen.popitem(last=False)
        return caller


def _bearer(headers: Collection[str]) -> str:
    """Return the key in the Authorization header."""
    if not headers:
        metrics.auth_failures.labels("missing").inc()
        raise NotAllowed("send an API key: Authorization: Bearer gt_live_…", known=False)
    scheme, _, plain = next(iter(headers)).partition(" ")
    plain = plain.strip()
    if len(headers) > 1 or scheme.lower() != "bearer" or not plain or not plain.isascii():
        metrics.auth_failures.labels("missing").inc()
        raise NotAllowed("the Authorization header must be: Bearer gt_live_…", known=False)
    return plain
