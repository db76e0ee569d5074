"""Where webhooks may go.

Whoever may write an endpoint chooses where this process connects to. A check of the URL or of its
DNS answer is not enough, for the answer may be another one a second later; so the guard is asked
at the socket, about every address that is really connected to. Public addresses are reached with
https on 443 and 8443 only. Other schemes, ports and addresses need the operator's consent
(``allow_cidrs``). A judgement costs some microseconds, per connection, not per post.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

from yarl import URL

from geotarget.errors import InvalidEndpoint, Problem

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL = 2_048
PUBLIC_PORTS = frozenset({443, 8443})
NOT_ALLOWED = "the address is private, reserved or otherwise closed to webhooks"
_HOST = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*")
_AUTHORITY = re.compile(r"^[^/?#]*//([^/?#]*)|$")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")

# What is not the public Internet, by the registries of special-purpose addresses. Spelt out,
# because the standard library's is_global changes between versions and lets multicast, NAT64,
# 6to4 and others pass.
_CLOSED_V4 = tuple(
    ipaddress.ip_network(cidr)
    for cidr in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a metadata service lives here as well
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host agent, on an address that looks public
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# IPv6 is the other way round: global unicast is open, everything else (loopback, mapped, NAT64,
# unique local, link-local, site-local, multicast, not yet allocated) is closed.
_OPEN_V6 = ipaddress.ip_network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.ip_network(cidr)
    for cidr in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
)


class AddressRefusedError(OSError):
    """A connection was about to go where webhooks may not."""

    def __init__(self) -> None:
        super().__init__(NOT_ALLOWED)


class AddressGuard:
    """Tells which addresses a webhook may be sent to.

    Parameters
    ----------
    allow_cidrs
        Ranges that the operator opens although they are not public; plain http and any port are
        allowed to them.

    Examples
    --------
    >>> guard = AddressGuard(["10.1.0.0/16"])
    >>> guard.opened("10.1.2.3"), guard.permits("169.254.169.254"), guard.permits("8.8.8.8")
    (True, False, True)
    """

    def __init__(self, allow_cidrs: Iterable[str] = ()) -> None:
        self._opened: tuple[Network, ...] = tuple(
            ipaddress.ip_network(cidr.strip()) for cidr in allow_cidrs
        )

    def opened(self, address: str) -> bool:
        """Whether the operator opened this address."""
        found = _address(address)
        inner = getattr(found, "ipv4_mapped", None) or found
        return any(inner in network or found in network for network in self._opened)

    def permits(self, address: str) -> bool:
        """Whether the address is public, or opened by the operator."""
        return self.opened(address) or _is_public(_address(address))

    def url_problem(self, url: str) -> str:
        """Say why no connection to this URL could ever be allowed; empty if one could."""
        if len(url) > MAX_URL:
            return f"a URL may have {MAX_URL} characters"
        if _UNPRINTABLE.search(url):
            return "a URL must not contain spaces or control characters"
        try:
            target = URL(url)
        except ValueError as error:
            return str(error)
        if target.scheme not in ("https", "http"):
            return "a URL must begin with https://"
        if not target.raw_host:
            return "a URL needs a host"
        if "@" in _AUTHORITY.findall(url)[0]:  # also an empty one, which not every reader sees
            return "a URL must not contain a user or password"
        return self._host_problem(target.raw_host.rstrip("."), public=is_public_target(target))

    def _host_problem(self, host: str, *, public: bool) -> str:
        literal = _literal(host)
        if literal is None:
            if not _HOST.fullmatch(host):
                return "the host is neither a name nor an address"
            allowed = public or bool(self._opened)
        elif not self.permits(literal):
            return NOT_ALLOWED
        else:
            allowed = public or self.opened(literal)
        return "" if allowed else "webhooks go to https on port 443 or 8443"


def check_url(url: str, allow_cidrs: Iterable[str] = (), *, path: str = "$.url") -> None:
    """Judge an endpoint's URL when it is saved, without looking up its host.

    The guard at the socket has the last word; this is the early, friendly answer.

    Raises
    ------
    InvalidEndpoint
        If no connection to it could ever be allowed.

    Examples
    --------
    >>> check_url("https://hooks.example.com/geotarget")
    """
    shown = url.partition("?")[0][:80]  # query strings hold tokens
    reason = AddressGuard(allow_cidrs).url_problem(url)
    if reason:
        raise InvalidEndpoint(Problem(path, shown, reason))


def is_public_target(target: URL) -> bool:
    """Whether this is https on a port that is open to everybody."""
    return target.scheme == "https" and target.port in PUBLIC_PORTS


def _literal(host: str) -> str | None:
    """Return the address that a host spells out in any way that a resolver would take."""
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))  # 2130706433, 0x7f.1, 127.1, 0177.0.0.1
    except OSError:
        return None


def _address(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)
