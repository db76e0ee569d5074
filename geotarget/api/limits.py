"""How often one key may ask, and how often one address may guess.

Both are kept in this process alone and forgotten with it: a second process allows as much again.
Nothing here waits: whoever is over a bound is told when to come back (429, ``Retry-After``), so
that no connection and no thread is held.

Cost: `KeyRates.spend` half a microsecond a request, `Guesses` is asked only when a key is new here
or wrong. Memory is bounded, the oldest entries go first.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from geotarget import metrics
from geotarget.errors import TooManyRequests

log = structlog.get_logger(__name__)

WINDOW_S = 60.0
"""Over which wrong keys are counted."""

BURST_S = 1.0
"""How much of its rate a key that has rested may spend at once."""

MOST = 10_000
"""Keys and addresses that are remembered."""

LOOKUPS_PER_S = 500.0
"""Keys never seen here before that are looked up in the database, over all addresses."""


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """How much callers may ask.

    Parameters
    ----------
    rate_per_s
        Requests a second of one key.
    rates
        The same for keys of these names.
    wrong_keys
        Wrong keys in `WINDOW_S` from one address; then only keys that have worked are looked at.
    """

    rate_per_s: float = 500.0
    rates: Mapping[str, float] = field(default_factory=dict)
    wrong_keys: int = 20


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What clients of the HTTP server are held to.

    Parameters
    ----------
    connections
        Most at one time.
    head_bytes
        Request line and headers.
    read_s
        Time for a head; and for a body beyond its pace, seconds.
    pace_bytes
        Least bytes a second of a body, or of an answer that is taken.
    keep_alive_s
        How long a connection may rest between two requests, seconds.
    """

    connections: int = 512
    head_bytes: int = 32_768
    read_s: float = 30.0
    pace_bytes: int = 1_024
    keep_alive_s: int = 5


class Meter:
    """Lets so many through in a second, after a rest a second's worth at once.

    A bucket of tokens, kept as the one instant at which it will be full again, per name.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def spend(self, name: str, rate_per_s: float) -> float:
        """Take one, and return 0; or take nothing and return how long to wait, seconds.

        Examples
        --------
        >>> meter = Meter(clock=lambda: 10.0)
        >>> [meter.spend("till", 2) for _ in range(4)]
        [0.0, 0.0, 0.5, 0.5]
        """
        now = self._clock()
        full_at = self._full_at.get(name, now)
        full_at = max(full_at, now) + 1.0 / rate_per_s
        # a rate below one a second has room for the one
        wait_s = full_at - now - max(BURST_S, 1.0 / rate_per_s)
        if wait_s > 1e-9:
            return wait_s
        if name not in self._full_at and len(self._full_at) >= MOST:
            self._full_at.popitem(last=False)
        self._full_at[name] = full_at
        return 0.0


class KeyRates:
    """Holds each key to its rate."""

    def __init__(self, limits: CallerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._meter = Meter(clock)

    def spend(self, key: str, name: str) -> None:
        """Count a request of a valid key.

        Raises
        ------
        TooManyRequests
            It comes too early; says when to come back.
        """
        rate_per_s = self._limits.rates.get(name, self._limits.rate_per_s)
        wait_s = self._meter.spend(key, rate_per_s)
        if wait_s:
            metrics.rate_limited.inc()
            raise TooManyRequests(
                f"this key may send {rate_per_s:g} requests a second", retry_after_s=wait_s
            )


class Guesses:
    """Counts wrong keys by address, and bounds what it costs to look at keys nobody has seen.

    An address that has sent `CallerLimits.wrong_keys` of them is refused for the rest of the
    minute, before its key is looked at. What it sends meanwhile does not prolong that.
    """

    def __init__(self, limits: CallerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = limits.wrong_keys
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()  # since when, how many
        self._lookups = Meter(clock)

    def __len__(self) -> int:
        return len(self._wrong)

    def check(self, address: str) -> None:
        """Refuse a key that has not worked here yet, from an address that guesses.

        Raises
        ------
        TooManyRequests
            Too many wrong keys came from there; says when to come back.
        """
        since, wrong = self._wrong.get(address, (0.0, 0))
        left_s = since + WINDOW_S - self._clock()
        if wrong >= self._most and left_s > 0:
            metrics.auth_failures.labels("slowed").inc()
            raise TooManyRequests(
                f"{wrong} wrong API keys came from {address} within a minute; only keys that have "
                f"worked are let in from there for {math.ceil(left_s)} s",
                retry_after_s=left_s,
            )

    def check_lookups(self) -> None:
        """Bound how often the database is asked for keys that have not worked here yet.

        Raises
        ------
        TooManyRequests
            It was asked too often in this second.
        """
        wait_s = self._lookups.spend("", LOOKUPS_PER_S)
        if wait_s:
            metrics.auth_failures.labels("slowed").inc()
            raise TooManyRequests(
                "too many unknown API keys are being tried; try again", retry_after_s=wait_s
            )

    def count(self, address: str) -> None:
        """Note a wrong key; the first of a minute from an address is logged, without the key."""
        metrics.auth_failures.labels("wrong").inc()
        now = self._clock()
        since, wrong = self._wrong.get(address, (now, 0))
        if now - since >= WINDOW_S:
            since, wrong = now, 0
        if not wrong:
            log.warning("wrong API key", address=address)
            self._wrong.pop(address, None)  # to the end of those that are forgotten
            if len(self._wrong) >= MOST:
                self._wrong.popitem(last=False)
        self._wrong[address] = (since, wrong + 1)


def neighbourhood(host: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 network of an IPv6 one.

    Examples
    --------
    >>> neighbourhood("192.0.2.7"), neighbourhood("::ffff:192.0.2.7")
    ('192.0.2.7', '192.0.2.7')
    >>> neighbourhood("2001:db8:1:2:3::4")
    '2001:db8:1:2::/64'
    >>> neighbourhood("somebody")
    'elsewhere'
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "elsewhere"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.ip_network((address, 64), strict=False))
        address = address.ipv4_mapped
    return str(address)
