"""Where webhooks may go: every way to spell an address that they may not reach."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.delivery import AddressGuard, check_url
from geotarget.errors import InvalidEndpoint

CLOSED = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1",
    "127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2001:20::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip
OPEN = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1",
        "192.167.1.1", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"]  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
def test_closed_addresses(address: str) -> None:
    """Nothing private, special, reserved or translated to IPv4 is permitted."""
    guard = AddressGuard()
    assert not guard.permits(address)
    assert not guard.opened(address)


@pytest.mark.parametrize("address", OPEN)
def test_open_addresses(address: str) -> None:
    """Public unicast is permitted, right up to the borders of what is closed."""
    assert AddressGuard().permits(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_never_more_open_than_the_standard_library(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """What Python calls private, loopback, link-local, multicast and so on is closed here."""
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or not address.is_global
    )
    if special:
        assert not AddressGuard().permits(str(address))


@given(st.ip_addresses(v=4))
def test_ipv6_forms_of_ipv4_are_closed(address: ipaddress.IPv4Address) -> None:
    """No IPv4 address, good or bad, gets through inside of an IPv6 one."""
    number = int(address)
    for prefix in ("::", "::ffff:0:0", "64:ff9b::"):
        wrapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)
        assert not AddressGuard().permits(str(wrapped))
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) + (number << 80) + 1)
    assert not AddressGuard().permits(str(six_to_four))


def test_operator_opens_ranges() -> None:
    """What the operator opens is permitted, also mapped into IPv6, and nothing beside it."""
    guard = AddressGuard(["10.1.0.0/16", " fd00:1::/32 "])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert guard.opened(address)
        assert guard.permits(address)
    for address in ("10.2.0.1", "::ffff:10.2.0.1", "fd00:2::5", "127.0.0.1"):
        assert not guard.permits(address)
    assert not guard.opened("8.8.8.8")


@pytest.mark.parametrize("cidr", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33"])
def test_wrong_range_is_an_error(cidr: str) -> None:
    """A range that isn't one can't be mistaken for another."""
    with pytest.raises(ValueError, match=r"host bits|does not appear"):
        AddressGuard([cidr])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/geotarget?token=abc",
        "https://hooks.example.com:8443/",
        "https://HOOKS.example.com.",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]/x",
        "https://bücher.example/",
        "https://a_b-c.example.com/",
    ],
)
def test_public_urls_are_accepted(url: str) -> None:
    """Https to a name or a public address, on the ports for it."""
    check_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example.com/", "https on port 443 or 8443"),
        ("https://hooks.example.com:8080/", "https on port 443 or 8443"),
        ("https://hooks.example.com:22/", "https on port 443 or 8443"),
        ("http://hooks.example.com:443/", "https on port 443 or 8443"),
        ("http://8.8.8.8/", "https on port 443 or 8443"),
        ("https://127.0.0.1/", "closed to webhooks"),
        ("https://127.0.0.1./", "closed to webhooks"),
        ("https://127.1/", "closed to webhooks"),
        ("https://2130706433/", "closed to webhooks"),
        ("https://0x7f000001/", "closed to webhooks"),
        ("https://0x7f.1/", "closed to webhooks"),
        ("https://0177.0.0.1/", "closed to webhooks"),
        ("https://127。0。0。1/", "closed to webhooks"),
        ("https://①②⑦.0.0.1/", "closed to webhooks"),
        ("https://0/", "closed to webhooks"),
        ("https://localhost/", "closed to webhooks"),
        ("https://LOCALHOST./", "closed to webhooks"),
        ("https://x.localhost/", "closed to webhooks"),
        ("https://[::1]/", "closed to webhooks"),
        ("https://[::ffff:127.0.0.1]/", "closed to webhooks"),
        ("https://[::ffff:7f00:1]/", "closed to webhooks"),
        ("https://[0:0:0:0:0:0:0:1]/", "closed to webhooks"),
        ("https://[64:ff9b::7f00:1]/", "closed to webhooks"),
        ("https://[fe80::1%25eth0]/", "closed to webhooks"),
        ("https://169.254.169.254/latest/meta-data/", "closed to webhooks"),
        ("https://user:pass@hooks.example.com/", "user or password"),
        ("https://user@hooks.example.com/", "user or password"),
        ("https://@hooks.example.com/", "user or password"),
        ("https://hooks.example.com@127.0.0.1/", "user or password"),
        ("ftp://hooks.example.com/", "must begin with https://"),
        ("file:///etc/passwd", "must begin with https://"),
        ("hooks.example.com", "must begin with https://"),
        ("//hooks.example.com", "must begin with https://"),
        ("", "must begin with https://"),
        ("https://", "needs a host"),
        ("https:///x", "needs a host"),
        ("https://hooks.example.com:99999/", "Port out of range"),
        ("https://hooks.example.com:x/", "port"),
        ("https://a..b/", "neither a name nor an address"),
        ("https://exa mple.com/", "spaces or control characters"),
        ("https://hooks.example.com/\r\nHost: x", "spaces or control characters"),
        ("https://hooks.example.com\\@127.0.0.1/", "backslash"),
        ("https://hooks.example.com/" + "x" * 2048, "2048 characters"),
    ],
)
def test_other_urls_are_refused_when_saved(url: str, reason: str) -> None:
    """Whatever could never be allowed is refused with its place, without looking it up."""
    with pytest.raises(InvalidEndpoint, match=reason) as caught:
        check_url(url)
    (problem,) = caught.value.problems
    assert problem.path == "$.url"
    assert len(problem.value) <= 80


def test_tokens_are_not_repeated() -> None:
    """The query of a refused URL, where tokens stand, isn't shown."""
    with pytest.raises(InvalidEndpoint) as caught:
        check_url("http://hooks.example.com/in?token=s3cret")
    assert "s3cret" not in str(caught.value)


def test_operator_opens_http_and_ports() -> None:
    """To opened addresses plain http and any port are fine; names are judged at the socket."""
    opened = ["127.0.0.0/8"]
    for url in ("http://127.0.0.1:9000/hook", "http://localhost:9000", "http://receiver:80/"):
        check_url(url, opened)
    with pytest.raises(InvalidEndpoint, match="closed to webhooks"):
        check_url("http://10.0.0.1/", opened)
    with pytest.raises(InvalidEndpoint, match="https on port 443"):
        check_url("http://8.8.8.8/", opened)
