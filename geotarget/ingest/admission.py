"""Who may come in: a device with the password of its name, or with a token of its own.

The password follows from the name and lasts as long as its key (`device_access`); tokens lie in the
database, end, and can be revoked one by one. A token is looked up anew for every connection, so
that a revoked one is refused at once; a connection that is open already ends when it is cut
(`ended`), at the token's end, and after `SESSION_S` at the latest, when the phone shows it again.

That a token was used is remembered and written for many at once (`tend`): what was not written
when the process dies is not missed.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geotarget.errors import InvalidInput, Problem, StoreError
from geotarget.ingest.device_access import DeviceLogins
from geotarget.ingest.topics import PORTABLE_DEVICE

if TYPE_CHECKING:
    from geotarget.store import DeviceTokens

SESSION_S = 3_600
"""How long a connection with a token lasts before the token has to be shown again, seconds."""
SPREAD_S = 360
"""Up to so much less, so that those that came together do not come again together."""

RESERVED = ("geotarget-ingest", "geotarget-slot-")
"""How names of our own sessions begin; no device can be called so."""

_OVERLAP_MS = 60_000
"""Revocations are looked for again for so long: another machine's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A device that may come in; `until_s` is when its connection ends, Unix seconds."""

    until_s: int | None = None


def check_device(device: str) -> None:
    """Check that a device of this name can log in over MQTT.

    Raises
    ------
    InvalidInput
        No broker carries the name, or it is one of ours.

    Examples
    --------
    >>> check_device("phone-17")
    """
    reason = ""
    if not PORTABLE_DEVICE.fullmatch(device):
        reason = f"must match {PORTABLE_DEVICE.pattern} to publish over MQTT"
    elif device.startswith(RESERVED):
        reason = f"must not begin with {' or '.join(RESERVED)}: sessions of the ingest do"
    if reason:
        raise InvalidInput(Problem("device", device[:80], reason))


class Admission:
    """Decides who may come in.

    Parameters
    ----------
    logins
        Passwords that follow from the name; None: there are none.
    tokens
        Where tokens are kept; None: there are none.
    now_ms
        The clock.

    Examples
    --------
    >>> Admission(logins=DeviceLogins(bytes(32))).admit("bus-7", "guessed") is None
    True
    """

    def __init__(
        self,
        *,
        logins: DeviceLogins | None = None,
        tokens: DeviceTokens | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._logins = logins
        self._tokens = tokens
        self._now_ms = now_ms
        self._uses: dict[str, int] = {}
        self._lock = threading.Lock()
        self._since_ms = now_ms() - SESSION_S * 1_000
        self._known: frozenset[str] = frozenset()

    def admit(self, device: str, password: str) -> Admitted | None:
        """Return how long a device may stay; None when it may not come in.

        Raises
        ------
        StoreError
            Tokens can't be looked up.
        """
        if not PORTABLE_DEVICE.fullmatch(device) or device.startswith(RESERVED):
            return None
        if self._logins is not None and self._logins.accepts(device, password):
            return Admitted()
        if self._tokens is None:
            return None
        now_ms = self._now_ms()
        token = self._tokens.find_device_token(device, password, now_ms)
        if token is None:
            return None
        with self._lock:
            self._uses[token.id] = now_ms
        until_ms = now_ms + 1_000 * (SESSION_S - secrets.randbelow(SPREAD_S))
        if token.expires_ms is not None:
            until_ms = min(until_ms, token.expires_ms)
        return Admitted(until_ms // 1_000)

    def note_uses(self) -> None:
        """Write which tokens were used since the last time.

        Raises
        ------
        StoreError
            It can't be written; it is tried again the next time.
        """
        with self._lock:
            uses, self._uses = self._uses, {}
        if self._tokens is None or not uses:
            return
        try:
            self._tokens.note_token_uses(uses)
        except StoreError:
            with self._lock:
                self._uses = uses | self._uses
            raise

    def ended(self) -> frozenset[str]:
        """Return the devices of which a token was revoked since the last time; each once.

        The first time since `SESSION_S` ago: who was admitted before that is gone already.

        Raises
        ------
        StoreError
            The database can't be read; nothing is missed.
        """
        if self._tokens is None:
            return frozenset()
        now_ms = self._now_ms()
        revoked = dict(self._tokens.revoked_tokens(self._since_ms))
        devices = frozenset(
            device
            for key, device in revoked.items()
            if key not in self._known and PORTABLE_DEVICE.fullmatch(device)
        )
        self._since_ms, self._known = now_ms - _OVERLAP_MS, frozenset(revoked)
        return devices
