"""Addresses that one reader takes for harmless and the next one for something else."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from geotarget.delivery import check_url
from geotarget.delivery.guard import AddressGuard
from geotarget.errors import InvalidEndpoint
from tests.fuzzing import examples

pytestmark = pytest.mark.fuzz

CLOSED = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "192.168.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "fe80::1",
]
PIECES = st.sampled_from(
    [
        *CLOSED, "hooks.example.com", "@", ":", "/", "\\", "?", "#", "%", "%00", "%2e", "%40", "[",
        "]", ".", "..", "。", "①②⑦", "0x7f", "0177", "2130706433", "127.1", "localhost",
        "LOCALHOST", "xn--", "xn--a", "\u00ad", "\u200b", "ß", "İ", "é", "443", "8443", "80",
        "%25eth0", "user:pass@", " ", "\t", "\r\n", "\0", ";", "&", "a" * 70,
    ]
)  # fmt: skip
URLS = st.builds(
    lambda scheme, rest: scheme + "".join(rest),
    st.sampled_from(
        ["https://", "http://", "https:", "//", "https:\\\\", "HTTPS://", "ftp://", ""]
    ),
    st.lists(PIECES | st.text(max_size=3), max_size=7),
)


def spelled(host: str) -> str | None:
    """Return the address that a resolver of the C library reads from a host without asking."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError, ValueError):
        return None


@examples(600)
@given(URLS)
@example("https://hooks.example.com\\@127.0.0.1/")
@example("https://a@127.0.0.1@hooks.example.com/")
def test_what_is_saved_leads_where_it_seems_to(url: str) -> None:
    """Whatever is accepted: https, no login, one host for every reader, and no closed address."""
    try:
        check_url(url)
    except InvalidEndpoint as error:
        (problem,) = error.problems
        assert ("$.url", True) == (problem.path, len(problem.value) <= 80)
        return
    target, seen = URL(url), urlsplit(url)
    assert target.scheme == "https"
    assert target.port in {443, 8443}
    assert target.user is target.password is seen.username is seen.password is None
    host = (target.raw_host or "").rstrip(".")
    assert host
    assert seen.hostname is not None
    assert host == (URL.build(scheme="https", host=seen.hostname).raw_host or "").rstrip(".")
    address = spelled(host)
    assert address is None or AddressGuard().permits(address)
    assert host.split(".")[-1] != "localhost"


@examples(300)
@given(st.sampled_from(CLOSED[:6]), st.lists(st.sampled_from(["d", "o", "x", "n"]), min_size=4),
       st.integers(1, 4), st.sampled_from(["", ".", "%2e"]))  # fmt: skip
def test_no_spelling_of_a_closed_address_is_saved(
    address: str, kinds: list[str], parts: int, end: str
) -> None:
    """Decimal, octal, hexadecimal, padded, in one to four numbers, with a dot behind."""
    numbers = [int(each) for each in address.split(".")]
    last = 0
    for number in numbers[parts - 1 :]:
        last = last * 256 + number
    shown = [
        {"d": f"{n}", "o": f"0{n:o}", "x": f"0x{n:X}", "n": f"0000{n:o}"}[kind]
        for n, kind in zip([*numbers[: parts - 1], last], kinds, strict=False)
    ]
    for host in (".".join(shown), f"[::ffff:{address}]", f"[64:ff9b::{address}]"):
        with pytest.raises(InvalidEndpoint):
            check_url(f"https://{host}{end}/hook")
