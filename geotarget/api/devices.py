"""``/v1/devices``: how a device stands now, the switch that traces its pings, how it logs in."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from geotarget import explaining
from geotarget.api.services import Here, Who
from geotarget.api.values import Document, Id, Instant, instant, instant_or_none
from geotarget.errors import Conflict, NotFound
from geotarget.explaining import Fix, Membership, Standing

MEMBERSHIP: dict[str, Any] = {
    "zone": "kamppi",
    "phase": "inside",
    "since": "2026-01-01T12:00:00.250Z",
    "visit": "019b79a2c0fa77aa",
    "stale": False,
}
DEVICE: dict[str, Any] = {
    "id": "device-17",
    "last_fix": {
        "time": "2026-01-01T12:20:00.000Z",
        "lng": 24.9322,
        "lat": 60.1689,
        "accuracy_m": 12.0,
    },
    "memberships": [MEMBERSHIP],
    "trace_until": None,
}


CREDENTIALS: dict[str, Any] = {
    "url": "mqtts://pings.example.com:1883",
    "topic": "pings/phone-17",
    "username": "phone-17",
    "password": "kkdVE1dCvTMEkd8_iTtJsQvcVmIuUY2Ft5mRDKCqXyE",
    "client_id": "phone-17",
}


class FixAnswer(BaseModel):
    """A fix that was accepted."""

    time: str
    lng: float = Field(description="Degrees.")
    lat: float = Field(description="Degrees.")
    accuracy_m: float = Field(description="As it counted, metres.")

    @classmethod
    def of(cls, fix: Fix) -> FixAnswer:
        """Return what the API says about a fix."""
        return cls(time=instant(fix.ts_ms), lng=fix.lng, lat=fix.lat, accuracy_m=fix.acc_m)


class MembershipAnswer(BaseModel):
    """How a device stands to a zone that it is not outside of."""

    zone: str
    phase: Literal["entering", "inside", "exiting"] = Field(
        description="`entering`: weak evidence waits for more; `exiting`: the last fix was "
        "outside, another one may end the visit."
    )
    since: str = Field(description="Start of the visit or of the pending entry.")
    visit: str | None = Field(description="Null while the entry is pending.")
    stale: bool = Field(description="Inside, but silent for longer than the rules' `stale_s`.")

    @classmethod
    def of(cls, membership: Membership) -> MembershipAnswer:
        """Return what the API says about a membership."""
        return cls(
            zone=membership.zone,
            phase=membership.phase,  # type: ignore[arg-type] # the phases are these three
            since=instant(membership.since_ms),
            visit=membership.visit or None,
            stale=membership.stale,
        )


class DeviceAnswer(BaseModel):
    """What is known of a device now."""

    model_config = ConfigDict(json_schema_extra={"examples": [DEVICE]})

    id: str
    last_fix: FixAnswer | None = Field(description="The last one that was accepted.")
    memberships: list[MembershipAnswer] = Field(description="By zone; outside is not listed.")
    trace_until: str | None = Field(description="Until when its pings are traced.")

    @classmethod
    def of(cls, standing: Standing) -> DeviceAnswer:
        """Return what the API says about a device."""
        return cls(
            id=standing.device,
            last_fix=None if standing.fix is None else FixAnswer.of(standing.fix),
            memberships=[MembershipAnswer.of(each) for each in standing.memberships],
            trace_until=instant_or_none(standing.traced_until_ms),
        )


class TraceDocument(Document):
    """How long to trace: exactly one of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"for_s": 3600}]})

    for_s: float | None = Field(
        default=None, gt=0, le=604_800, description="From now on, seconds; at most 7 days."
    )
    until: Instant | None = Field(
        default=None, description="RFC 3339 or epoch seconds; at most 7 days ahead."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> TraceDocument:
        if (self.for_s is None) == (self.until is None):
            raise PydanticCustomError("one_of", "must have exactly one of for_s and until")
        return self


class TraceAnswer(BaseModel):
    """The switch as it stands."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"device": "device-17", "until": "2026-01-01T13:00:00.000Z"}]
        }
    )

    device: str
    until: str = Field(description="Then it ends by itself.")


class CredentialsAnswer(BaseModel):
    """How a device logs in at the broker."""

    model_config = ConfigDict(json_schema_extra={"examples": [CREDENTIALS]})

    url: str = Field(
        description="Where the broker listens, or what GEOTARGET_MQTT_PHONE_URL says instead."
    )
    topic: str = Field(description="Where its pings go, and no others.")
    username: str
    password: str
    client_id: str = Field(description="It has to be this one.")


def get_device(id: Id, here: Here) -> DeviceAnswer:
    """Show how a device stands.

    Its last accepted fix, the zones that it is in or about to enter or leave, and whether its
    pings are traced. As of the last batch that was committed.
    """
    services = here.services
    standing = explaining.standing(services.store, id, rules=services.rules, now_ms=_now_ms())
    if not standing.known:
        raise NotFound("device", id)
    return DeviceAnswer.of(standing)


def trace_device(id: Id, document: TraceDocument, here: Here, who: Who) -> TraceAnswer:
    """Trace a device for a while.

    From about a second later on it is kept what each of its pings meant for each zone, for `GET
    /v1/devices/{id}/explain`. Traces hold coordinates: the switch ends by itself, traces are
    dropped after 30 days, and erasing the profile drops them at once. The device need not be known
    yet.
    """
    now_ms = _now_ms()
    until_ms = document.until
    if until_ms is None:
        until_ms = now_ms + round((document.for_s or 0.0) * 1000)
    here.services.store.set_trace(id, until_ms, by=who)
    return TraceAnswer(device=id, until=instant(until_ms))


def end_trace(
    id: Id,
    here: Here,
    who: Who,
    forget: Annotated[bool, Query(description="Drop what was traced so far as well.")] = False,  # noqa: FBT002 - a query parameter
) -> None:
    """Stop tracing a device.

    What was traced can be explained for 30 days more, unless `forget` is true. Ending what is not
    on is no error.
    """
    if forget:
        here.services.store.forget_traces(id, by=who)
    else:
        here.services.store.set_trace(id, None, by=who)


def device_credentials(id: Id, here: Here) -> CredentialsAnswer:
    """Say how a device logs in at the broker.

    For the back end of an app, which hands it on to the phone. The password is worked out from the
    name: it stays the same, nothing is stored, and the device need not be known. 409 unless
    `GEOTARGET_MQTT_DEVICE_ACCESS` is `device`.
    """
    login = here.services.device_login
    if login is None:
        raise Conflict(
            "devices have no passwords of their own at this broker: GEOTARGET_MQTT_DEVICE_ACCESS"
            " is not `device`, or this process does not run the broker"
        )
    return CredentialsAnswer(**asdict(login(id)))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
