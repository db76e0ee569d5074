"""Consent by purpose, and zones where nobody is spoken to."""

from __future__ import annotations

from typing import Any

import pytest

from geotarget.model import Profile
from geotarget.targeting.case import Refusal
from geotarget.targeting.consent import gate
from tests.targeting.deciding import make_case

DECLINES = Refusal("the profile declines marketing", {"consent.marketing": False})
SENSITIVE = Refusal("the zone is sensitive", {"zone.sensitive": True})


@pytest.mark.parametrize(
    ("consent", "campaign", "sensitive", "expected", "passed"),
    [
        ({}, {}, False, None, {}),
        ({"marketing": True}, {}, False, None, {"consent": {"consent.marketing": True}}),
        ({"analytics": False}, {}, False, None, {}),
        ({"marketing": False}, {}, False, DECLINES, {}),
        # a sensitive zone refuses whatever was agreed to
        ({"marketing": True}, {}, True, SENSITIVE, {}),
        ({"marketing": False}, {}, True, SENSITIVE, {}),
        # another purpose has its own consent
        ({"marketing": False}, {"purpose": "service"}, False, None, {}),
        ({"service": False}, {"purpose": "service"}, False,
         Refusal("the profile declines service", {"consent.service": False}), {}),
        # where consent is required, silence is no yes
        ({}, {"consent_required": True}, False,
         Refusal("the campaign requires consent for marketing, and none is recorded",
                 {"consent.marketing": None, "consent_required": True}), {}),
        ({"service": True}, {"consent_required": True}, False,
         Refusal("the campaign requires consent for marketing, and none is recorded",
                 {"consent.marketing": None, "consent_required": True}), {}),
        ({"marketing": True}, {"consent_required": True}, False, None,
         {"consent": {"consent.marketing": True}}),
        ({"marketing": False}, {"consent_required": True}, False, DECLINES, {}),
    ],
)  # fmt: skip
def test_consent(
    consent: dict[str, bool],
    campaign: dict[str, Any],
    sensitive: bool,
    expected: Refusal | None,
    passed: dict[str, Any],
) -> None:
    """A recorded no refuses; none at all only where one is required; sensitive zones always."""
    case = make_case(
        campaign=campaign, zone={"sensitive": sensitive}, profile=Profile("phone-1", {}, consent)
    )
    assert expected == gate(case)
    assert passed == case.passed
