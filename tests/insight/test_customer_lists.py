"""Customer lists: addresses are written as each platform documents it before they are hashed."""

from __future__ import annotations

import hashlib

import pytest

from geotarget.insight.customer_lists import PLATFORMS, plain_email, plain_phone, sha256
from geotarget.model import Profile

EMAIL, PHONE = "jane.doe@example.com", "+358401234567"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # published by TikTok (page on supported ids) and as the standard's own test vector
        ("janedoe@gmail.com", "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"),
        ("37493828222", "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_known_answers(text: str, expected: str) -> None:
    """SHA-256 in small hexadecimal digits, as published."""
    assert expected == sha256(text)


def test_tiktoks_own_phone_example() -> None:
    """Its international number comes out as the page prints it."""
    profile = Profile("p", external_ids={"phone": "+374-93-828222"})
    row = PLATFORMS["tiktok"].row(profile, region="")
    assert row == ("", "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4")


@pytest.mark.parametrize(
    ("platform", "header", "email", "phone"),
    [
        ("google", ("Email", "Phone"), "jane.doe@example.com", "+358401234567"),
        ("meta", ("email", "phone"), "jane.doe@example.com", "358401234567"),
        ("tiktok", ("Email_SHA256", "Phone_SHA256"), "jane.doe@example.com", "358401234567"),
        ("linkedin", ("email",), "jane.doe@example.com", None),
    ],
)
def test_each_platform_has_its_own_form(
    platform: str, header: tuple[str, ...], email: str, phone: str | None
) -> None:
    """Header rows and normal forms, from the same untidy input."""
    profile = Profile(
        "p", external_ids={"email": "  Jane.Doe@Example.COM\n", "phone": "040 1234567"}
    )
    expected = tuple(map(digest, (email, phone) if phone else (email,)))
    assert header == PLATFORMS[platform].header
    assert expected == PLATFORMS[platform].row(profile, region="FI")


@pytest.mark.parametrize(
    ("value", "inner_spaces", "expected"),
    [
        ("JANE@EXAMPLE.COM", False, "jane@example.com"),
        ("jane doe@example.com", True, "janedoe@example.com"),
        ("jane doe@example.com", False, ""),
        ("j.a.n.e+shop@gmail.com", True, "j.a.n.e+shop@gmail.com"),  # nobody asks to remove them
        ("ÄITI@esimerkki.fi", False, "äiti@esimerkki.fi"),
        ("jane@localhost", False, ""),
        ("jane@@example.com", False, ""),
        ("@example.com", False, ""),
        ("", True, ""),
    ],
)
def test_emails(value: str, inner_spaces: bool, expected: str) -> None:
    """Lower case, spaces as the platform says, and what is no address is left out."""
    assert expected == plain_email(value, inner_spaces=inner_spaces)


@pytest.mark.parametrize(
    ("value", "region", "expected"),
    [
        ("+358 40 123 4567", "", "+358401234567"),
        ("00358 40 1234567", "FI", "+358401234567"),
        ("040-123 4567", "FI", "+358401234567"),
        ("040-123 4567", "", ""),
        ("(657) 777-0000", "US", "+16577770000"),
        ("+44 (0)20 7946 0958", "", "+442079460958"),
        ("+39 06 698 1234", "", "+39066981234"),  # Italian zeros belong to the number
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("123", "FI", ""),
        ("call me", "FI", ""),
        ("", "FI", ""),
    ],
)
def test_phones(value: str, region: str, expected: str) -> None:
    """E.164 with the country code; numbers without one need the setting."""
    assert expected == plain_phone(value, region=region)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (Profile("p", external_ids={"email": EMAIL}), (digest(EMAIL), "")),
        (Profile("p", attributes={"email": EMAIL}), (digest(EMAIL), "")),
        (Profile("p", attributes={"phone": PHONE}), ("", digest(PHONE))),
        (
            Profile("p", attributes={"email": "old@example.com"}, external_ids={"email": EMAIL}),
            (digest(EMAIL), ""),
        ),
        (Profile("p", attributes={"email": ["a@example.com"], "phone": 358401234567}), None),
        (Profile("p", external_ids={"email": "nonsense", "crm": "17"}), None),
        (Profile("p"), None),
    ],
)
def test_where_addresses_come_from(profile: Profile, expected: tuple[str, ...] | None) -> None:
    """External ids first, then attributes, both only as text; without any there is no row."""
    assert expected == PLATFORMS["google"].row(profile, region="")
