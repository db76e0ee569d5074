"""Who is calling, and what that key may do.

A key is sent as ``Authorization: Bearer gt_live_…``. The store keeps only its hash and is asked at
most every few seconds per key: a revoked key works for at most `CACHE_S` longer in another
process, and not a moment longer in the one that revoked it. Costs: one SHA-256 and one look into a
dictionary for a key that was seen, one query in a worker thread for one that was not.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from geotarget.errors import NotAllowed
from geotarget.store import ApiKey

CACHE_S = 3.0
CACHE_KEYS = 1_024


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


class Doorkeeper:
    """Turns an Authorization header into a `Caller`.

    Parameters
    ----------
    authenticate
        Looks a key up: (plain key, now in ms) to the key's record, or None.
    admin_key
        A fixed key that may do everything; None or empty means that there is none.
    now_ms, clock
        Time of day in milliseconds, and a clock in seconds that never goes back.
    """

    def __init__(
        self,
        authenticate: Callable[[str, int], ApiKey | None],
        *,
        admin_key: str | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._authenticate = authenticate
        self._admin_key = (admin_key or "").encode()
        self._now_ms = now_ms
        self._clock = clock
        self._seen: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._lock = threading.Lock()
        self._revocations = 0

    async def admit(self, request: Request, scope: Scope) -> Caller:
        """Return who sent a request, before its body is read.

        Raises
        ------
        NotAllowed
            There is no valid key, or it lacks the scope.
        StoreError
            The key can't be looked up at the moment.
        """
        plain = _bearer(request.headers.getlist("authorization"))
        caller = self._recall(plain)
        if caller is None:
            caller = await run_in_threadpool(self._look_up, plain)
        caller.require(scope)
        return caller

    def forget(self) -> None:
        """Look every key up again: one was revoked."""
        with self._lock:
            self._seen.clear()
            self._revocations += 1

    def _recall(self, plain: str) -> Caller | None:
        if self._admin_key and hmac.compare_digest(plain.encode(), self._admin_key):
            return Caller("admin", frozenset({Scope.ADMIN.value}))
        digest = hashlib.sha256(plain.encode()).digest()
        with self._lock:
            looked_up, caller = self._seen.get(digest, (0.0, None))
        if caller is None or self._clock() - looked_up > CACHE_S:
            return None
        if caller.expires_ms is not None and caller.expires_ms <= self._now_ms():
            return None
        return caller

    def _look_up(self, plain: str) -> Caller:
        asked, revocations = self._clock(), self._revocations
        key = self._authenticate(plain, self._now_ms())
        if key is None:
            raise NotAllowed("the API key is unknown, revoked or expired", known=False)
        caller = Caller(key.name, key.scopes, key.expires_ms, key.id)
        digest = hashlib.sha256(plain.encode()).digest()
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
        raise NotAllowed("send an API key: Authorization: Bearer gt_live_…", known=False)
    scheme, _, plain = next(iter(headers)).partition(" ")
    plain = plain.strip()
    if len(headers) > 1 or scheme.lower() != "bearer" or not plain or not plain.isascii():
        raise NotAllowed("the Authorization header must be: Bearer gt_live_…", known=False)
    return plain
