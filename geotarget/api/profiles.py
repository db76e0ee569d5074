"""``/v1/profiles``: what is known of a device's owner, under a pseudonymous id."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from geotarget.api.services import Here
from geotarget.api.values import Document, Id, Name
from geotarget.errors import NotFound
from geotarget.model import Profile

EXAMPLE: dict[str, Any] = {
    "attributes": {"first_name": "Aino", "language": "fi", "tier": "gold"},
    "consent": {"marketing": True},
}


class ProfileDocument(Document):
    """A profile as it is written."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    attributes: Annotated[dict[str, Any], Field(max_length=1000)] = Field(
        default={}, description="Any JSON; offers may use all of it."
    )
    consent: Annotated[dict[Name, bool], Field(max_length=100)] = Field(
        default={},
        description="By purpose: true given, false refused.",
        json_schema_extra={"additionalProperties": False},
    )


class ProfileAnswer(ProfileDocument):
    """A profile as it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "device-17", **EXAMPLE}]})

    id: str

    @classmethod
    def of(cls, profile: Profile) -> ProfileAnswer:
        """Return what the API says about a profile."""
        return cls(
            id=profile.id, attributes=dict(profile.attributes), consent=dict(profile.consent)
        )


def get_profile(id: Id, here: Here) -> ProfileAnswer:
    """Show one profile.

    The profile of a device has the device's id. A device without one is served with empty
    attributes, but is not found here.
    """
    profile = here.services.store.profile(id)
    if profile is None:
        raise NotFound("profile", id)
    return ProfileAnswer.of(profile)


def put_profile(id: Id, document: ProfileDocument, here: Here) -> ProfileAnswer:
    """Create or replace a profile.

    The whole profile is replaced: attributes that are left out are gone. Offers use it from the
    next batch of pings on.
    """
    here.services.store.put_profile(
        Profile(id=id, attributes=document.attributes, consent=document.consent)
    )
    return ProfileAnswer(id=id, attributes=document.attributes, consent=document.consent)


def delete_profile(id: Id, here: Here) -> None:
    """Erase a profile.

    Attributes, consent and the traces of the device are gone with the answer. Transitions and
    decisions stay in the history under its pseudonymous id.
    """
    if not here.services.store.delete_profile(id):
        raise NotFound("profile", id)
