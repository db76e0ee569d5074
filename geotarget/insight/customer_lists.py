"""Customer lists in the formats of advertising platforms: who they are is hashed before it leaves.

Platforms match SHA-256 hashes of e-mail addresses and phone numbers with those of their own users.
A hash only matches if both sides wrote the address in the same way first, and each platform
documents its own way:

======== ======================== ==================================== ========================
platform header row               e-mail                               phone
======== ======================== ==================================== ========================
google   Email,Phone              no spaces, lower case                E.164: ``+358401234567``
meta     email,phone              trimmed, lower case                  digits: ``358401234567``
tiktok   Email_SHA256,            no spaces, lower case                digits: ``358401234567``
         Phone_SHA256
linkedin email                    trimmed, lower case                  none
======== ======================== ==================================== ========================

Sources, as of November 2026: Google Ads Help, "Format your customer data file" (answer 7659867) and
Google Ads API, "Customer Match" (dots in Gmail addresses need not be removed). Meta Business Help,
"How to format a customer list" (2082575038703844), and Marketing API, "Hashing and normalizing"
(symbols, letters and leading zeros are removed from phones, the country code stays). TikTok Ads
Help, "List of supported IDs and formats for a customer file" (phones with and without ``+`` are
taken, the page's own example is hashed without). LinkedIn Help, "Requirements for contact targeting
lists" (a1489764): hashed addresses are taken, phones are not.

Hashing protects nobody who can guess an address: lists are personal data, and only of people who
agreed to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import phonenumbers

from geotarget.model import Profile

_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def sha256(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in small hexadecimal digits.

    Examples
    --------
    >>> sha256("janedoe@gmail.com")
    'd6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69'
    """
    return hashlib.sha256(text.encode()).hexdigest()


def plain_email(value: str, *, inner_spaces: bool) -> str:
    """Return an address as it is hashed; empty if it is none.

    Parameters
    ----------
    inner_spaces
        Whether spaces within it are removed, not only those around it.

    Examples
    --------
    >>> plain_email(" Jane.Doe@Example.COM ", inner_spaces=False)
    'jane.doe@example.com'
    >>> plain_email("jane doe@example.com", inner_spaces=True)
    'janedoe@example.com'
    >>> plain_email("jane doe@example.com", inner_spaces=False)
    ''
    """
    text = ("".join(value.split()) if inner_spaces else value.strip()).lower()
    return text if _ADDRESS.fullmatch(text) else ""


def plain_phone(value: str, *, region: str) -> str:
    """Return a number in E.164; empty if it is none that could be dialled.

    Parameters
    ----------
    region
        Country of numbers without a country code, ISO 3166; empty: such numbers are none.

    Examples
    --------
    >>> plain_phone("040 123 4567", region="FI"), plain_phone("+44 (0)20 7946 0958", region="")
    ('+358401234567', '+442079460958')
    >>> plain_phone("040 123 4567", region=""), plain_phone("12", region="FI")
    ('', '')
    """
    try:
        number = phonenumbers.parse(value, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _digits(e164: str) -> str:
    return e164.removeprefix("+").lstrip("0")


def _as_it_is(e164: str) -> str:
    return e164


@dataclass(frozen=True, slots=True)
class ListFormat:
    """How one platform wants its lists.

    Parameters
    ----------
    header
        Names of the columns: e-mail, then phone if there is a second one.
    inner_spaces
        Whether spaces within addresses are removed.
    phone
        From E.164 to what is hashed.
    """

    header: tuple[str, ...]
    inner_spaces: bool
    phone: Callable[[str], str] = _as_it_is

    def row(self, profile: Profile, *, region: str) -> tuple[str, ...] | None:
        """Return the hashes of a profile, None where it has nothing that can be matched.

        E-mail and phone are the external ids `email` and `phone`, else the attributes of these
        names.
        """
        email = plain_email(_known(profile, "email"), inner_spaces=self.inner_spaces)
        hashes = [sha256(email) if email else ""]
        if len(self.header) > 1:
            phone = plain_phone(_known(profile, "phone"), region=region)
            hashes.append(sha256(self.phone(phone)) if phone else "")
        return tuple(hashes) if any(hashes) else None


PLATFORMS: Mapping[str, ListFormat] = {
    "google": ListFormat(("Email", "Phone"), inner_spaces=True),
    "meta": ListFormat(("email", "phone"), inner_spaces=False, phone=_digits),
    "tiktok": ListFormat(("Email_SHA256", "Phone_SHA256"), inner_spaces=True, phone=_digits),
    "linkedin": ListFormat(("email",), inner_spaces=False),
}


def _known(profile: Profile, name: str) -> str:
    """Return an external id, or the attribute of its name; empty where neither is text."""
    value = profile.external_ids.get(name) or profile.attributes.get(name)
    return value if isinstance(value, str) else ""
