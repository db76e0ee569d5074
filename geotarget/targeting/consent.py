"""Whether the profile allows to be spoken to, for the purpose of the campaign.

Consent is read in the transaction that fires: who withdraws it gets nothing from then on.
"""

from __future__ import annotations

from geotarget.targeting.case import Case, Refusal


def gate(case: Case) -> Refusal | None:
    """Refuse in a sensitive zone, after a recorded no, and without a yes where one is required."""
    if case.zone.sensitive:
        return Refusal("the zone is sensitive", {"zone.sensitive": True})
    purpose = case.campaign.purpose
    given = case.profile.consent.get(purpose)
    if given is False:
        return Refusal(f"the profile declines {purpose}", {f"consent.{purpose}": False})
    if given is None:
        if case.campaign.consent_required:
            reason = f"the campaign requires consent for {purpose}, and none is recorded"
            return Refusal(reason, {f"consent.{purpose}": None, "consent_required": True})
        return None
    case.passed["consent"] = {f"consent.{purpose}": True}
    return None
