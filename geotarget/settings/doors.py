"""Settings of the doors of the HTTP API: how much one client may ask, and how slowly.

A part of `Settings`. The defaults are such that no honest client meets them.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from geotarget.api.limits import CallerLimits, HttpLimits

LEAST_RATE, MOST_RATE = 0.01, 1_000_000.0


def _read_networks(value: object) -> object:
    """Read networks that are separated by commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("must be networks such as 10.0.0.0/8, separated by commas")  # noqa: TRY004 - pydantic turns ValueError into a message
    return tuple(str(ipaddress.ip_network(str(part).strip())) for part in parts if part)


def _read_port(value: object) -> object:
    """Read a port; nothing is none."""
    return None if value == "" else value


def _read_rates(value: object) -> object:
    """Read ``name=rate`` pairs that are separated by commas."""
    if not isinstance(value, str):
        return value
    rates: dict[str, float] = {}
    for part in value.split(","):
        if not part.strip():
            continue
        name, _, written = part.rpartition("=")
        try:
            rates[name.strip()] = float(written)
        except ValueError:
            raise ValueError(f"must be pairs such as till=50, not {part.strip()[:40]}") from None
    for name, rate in rates.items():
        if not name or not LEAST_RATE <= rate <= MOST_RATE:
            raise ValueError(f"needs a key's name and {LEAST_RATE:g} to {MOST_RATE:g} a second")
    return tuple(rates.items())


class DoorSettings(BaseModel):
    """Rates of keys, wrong keys, slow and many connections, and the operators' own door."""

    api_rate_per_s: float = Field(
        500.0,
        ge=LEAST_RATE,
        le=MOST_RATE,
        description="Requests a second of one API key, after a rest a second's worth at once; "
        "beyond it 429.",
    )
    api_rates: Annotated[tuple[tuple[str, float], ...], NoDecode, BeforeValidator(_read_rates)] = (
        Field(
            (),
            description="The same for keys of certain names: `backend=2000,till=5`.",
        )
    )
    api_wrong_keys: int = Field(
        20,
        ge=1,
        le=1_000_000,
        description="Wrong API keys in a minute from one address (IPv6: /64); then only keys that "
        "have worked here are let in from there, for the rest of it.",
    )
    health_port: Annotated[int | None, BeforeValidator(_read_port)] = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of `/livez`, `/readyz` and `/metrics` alone, for any process, without a "
        "key: only probes and Prometheus should reach it; 0 takes a free one, empty opens none.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_networks)] = Field(
        (),
        description="Networks of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` "
        "are believed: `10.0.0.0/8`; empty believes nobody's.",
    )
    http_connections: int = Field(
        512,
        ge=8,
        le=100_000,
        description="HTTP connections at one time; beyond it the one that has waited longest for "
        "its client makes room.",
    )
    http_head_bytes: int = Field(
        32_768, ge=1_024, le=1 << 20, description="Request line and headers, bytes."
    )
    http_read_s: float = Field(
        30.0,
        ge=1,
        le=3_600,
        description="Time for the head of a request, and for a body or an answer beyond its pace, "
        "seconds.",
    )
    http_pace_bytes: int = Field(
        1_024,
        ge=1,
        le=1 << 20,
        description="Least pace of a client that sends a body or takes an answer, bytes a second.",
    )
    http_keep_alive_s: int = Field(
        5,
        ge=1,
        le=3_600,
        description="How long a connection may rest between two requests, seconds; more than the "
        "reverse proxy in front keeps it.",
    )

    def caller_limits(self) -> CallerLimits:
        """Return how often a key may ask and an address may guess."""
        return CallerLimits(
            rate_per_s=self.api_rate_per_s,
            rates=dict(self.api_rates),
            wrong_keys=self.api_wrong_keys,
        )

    def http_limits(self) -> HttpLimits:
        """Return what clients of the HTTP server are held to."""
        return HttpLimits(
            connections=self.http_connections,
            head_bytes=self.http_head_bytes,
            read_s=self.http_read_s,
            pace_bytes=self.http_pace_bytes,
            keep_alive_s=self.http_keep_alive_s,
        )
