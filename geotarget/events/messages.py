"""Every message as a type: webhook bodies (`EVENTS`) and MQTT payloads (`PINGS`).

The order of members is that of the bodies. Receivers must bear members that they do not know: some
may be added, none is taken away or changes its meaning. Members marked optional are left out where
there is nothing to say; others are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from geotarget.model import Kind
from geotarget.targeting.event import ENDPOINT_DISABLED, OFFER_TRIGGERED, TEST, TRANSITION_TYPES

MAX_EPOCH_S = 1e11
MOST_PINGS = 100
"""Pings of one MQTT message, unless the operator allows more."""

Text = Annotated[str, Meta(min_length=1)]
DateTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="Degrees, WGS 84.")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="Degrees, WGS 84.")]
Cell = Annotated[
    str, Meta(pattern="^89[0-9a-f]{13}$", description="H3, resolution 9: some 350 m across.")
]


class Person(Struct, frozen=True):
    """Whom it is about, pseudonymously."""

    id: Annotated[Text, Meta(description="The profile; the device's id if it has none.")]
    attributes: Annotated[
        dict[str, Any],
        Meta(description="Those that the campaign passes on; empty for plain transitions."),
    ]


class Place(Struct, frozen=True):
    """The zone, as it was when this happened."""

    id: Text
    name: str
    revision: Annotated[int, Meta(ge=0, description="Rises with every change of the zone.")]
    properties: Annotated[dict[str, Any], Meta(description="As its GeoJSON Feature has them.")]


class Transition(Struct, frozen=True):
    """What happened. Never with coordinates."""

    kind: Literal["enter", "dwell", "exit", "crossed"]
    id: Annotated[Text, Meta(description="The same over retries and reprocessing.")]
    visit: Annotated[str, Meta(description="Shared by the enter, dwell and exit of one stay.")]
    time: Annotated[DateTime, Meta(description="When it happened, by the device's fixes.")]
    confidence: Annotated[int, Meta(ge=1, le=3, description="1 likely, 2 confirmed, 3 certain.")]
    p: Annotated[float, Meta(ge=0, le=1, description="Probability that it is true.")]
    initial: Annotated[
        bool, Meta(description="Whether it was found inside, without having been seen to come.")
    ]
    dwell_s: Annotated[
        int | UnsetType, Meta(description="Only of a dwell: the time that was passed, seconds.")
    ] = UNSET
    duration_s: Annotated[
        float | UnsetType, Meta(description="How long it was inside by then, seconds.")
    ] = UNSET


class Position(Struct, frozen=True):
    """Where the ping was that settled it, as the endpoint chose: a cell, or a pair of degrees."""

    cell: Cell | UnsetType = UNSET
    lng: Longitude | UnsetType = UNSET
    lat: Latitude | UnsetType = UNSET
    accuracy_m: Annotated[
        float | UnsetType | None,
        Meta(
            description="Only of an exact position; others have three decimals. The radius that "
            "holds the truth in 68 % of cases, an assumed one where the device did not say."
        ),
    ] = UNSET


Where = Annotated[
    Position | UnsetType | None,
    Meta(
        description="Only for an endpoint that asked for it. Null where no ping decided, and in "
        "sensitive zones."
    ),
]


class Enter(Transition, frozen=True):
    """A device came in."""

    kind: Literal["enter"]


class Dwell(Transition, frozen=True):
    """A device has stayed for so long."""

    kind: Literal["dwell"]


class Exit(Transition, frozen=True):
    """A device left."""

    kind: Literal["exit"]


class Crossed(Transition, frozen=True):
    """A device passed through between two fixes, none of them inside."""

    kind: Literal["crossed"]


class OfferData(Struct, frozen=True, kw_only=True):
    """An offer for one person at one place."""

    decision: Annotated[Text, Meta(description="Name it when you report a conversion.")]
    campaign: Text
    variant: Annotated[str | None, Meta(description="Null for a campaign without variants.")]
    language: Annotated[
        str | UnsetType, Meta(description="Only where a translation was taken: its tag.")
    ] = UNSET
    offer: Annotated[dict[str, Any], Meta(description="The campaign's own, filled in.")]
    expires: Annotated[DateTime | None, Meta(description="Do not show it after this.")]
    profile: Person
    zone: Place
    transition: Transition
    position: Where = UNSET


class EnterData(Struct, frozen=True):
    """Who entered what."""

    profile: Person
    zone: Place
    transition: Enter
    position: Where = UNSET


class DwellData(Struct, frozen=True):
    """Who stays where."""

    profile: Person
    zone: Place
    transition: Dwell
    position: Where = UNSET


class ExitData(Struct, frozen=True):
    """Who left what."""

    profile: Person
    zone: Place
    transition: Exit
    position: Where = UNSET


class CrossedData(Struct, frozen=True):
    """Who passed through what."""

    profile: Person
    zone: Place
    transition: Crossed
    position: Where = UNSET


class DisabledData(Struct, frozen=True):
    """Which endpoint gets nothing any more."""

    endpoint: Text
    reason: str
    failing_since: Annotated[
        DateTime | None, Meta(description="The first failure without a success since.")
    ]


class SampleData(Struct, frozen=True):
    """Nothing happened: somebody asked for a sample."""

    endpoint: Text
    text: str


class OfferTriggered(Struct, frozen=True):
    """A campaign fired: show or send this offer."""

    type: Literal["offer.triggered"]
    timestamp: DateTime
    data: OfferData


class TransitionEnter(Struct, frozen=True):
    """A device entered a zone."""

    type: Literal["transition.enter"]
    timestamp: DateTime
    data: EnterData


class TransitionDwell(Struct, frozen=True):
    """A device has been in a zone for as long as somebody asked for."""

    type: Literal["transition.dwell"]
    timestamp: DateTime
    data: DwellData


class TransitionExit(Struct, frozen=True):
    """A device left a zone."""

    type: Literal["transition.exit"]
    timestamp: DateTime
    data: ExitData


class TransitionCrossed(Struct, frozen=True):
    """A device passed through a zone between two fixes."""

    type: Literal["transition.crossed"]
    timestamp: DateTime
    data: CrossedData


class EndpointDisabled(Struct, frozen=True):
    """An endpoint was switched off because it kept failing or is gone."""

    type: Literal["endpoint.disabled"]
    timestamp: DateTime
    data: DisabledData


class Sample(Struct, frozen=True):
    """A sample that somebody asked for, to see whether an endpoint works."""

    type: Literal["test"]
    timestamp: DateTime
    data: SampleData


EVENTS: Mapping[str, type[Struct]] = {
    OFFER_TRIGGERED: OfferTriggered,
    TRANSITION_TYPES[Kind.ENTER]: TransitionEnter,
    TRANSITION_TYPES[Kind.DWELL]: TransitionDwell,
    TRANSITION_TYPES[Kind.EXIT]: TransitionExit,
    TRANSITION_TYPES[Kind.CROSSED]: TransitionCrossed,
    ENDPOINT_DISABLED: EndpointDisabled,
    TEST: Sample,
}
"""The body of each type of event."""

InPlaceOfLng = Annotated[
    float, Meta(ge=-180, le=180, description="In place of lng, which wins if there are both.")
]
Accuracy = Annotated[
    float | None, Meta(description="Radius that holds the truth in 68 % of cases, metres.")
]
Epoch = Annotated[float, Meta(gt=0, le=MAX_EPOCH_S)]


class Ping(Struct, frozen=True):
    """Where a device was. Unknown members are ignored."""

    ts: Annotated[
        Epoch | DateTime,
        Meta(description="Time of the fix: epoch seconds, or RFC 3339 with an offset."),
    ]
    lat: Latitude
    lng: Longitude | UnsetType = UNSET
    lon: InPlaceOfLng | UnsetType = UNSET
    acc: Accuracy | UnsetType = UNSET
    id: Annotated[
        str | int | UnsetType | None, Meta(description="Makes a repetition recognisable.")
    ] = UNSET
    speed: Annotated[float | UnsetType | None, Meta(description="Metres a second.")] = UNSET
    heading: Annotated[
        float | UnsetType | None, Meta(description="Degrees, clockwise from north.")
    ] = UNSET


class OwnTracksLocation(Struct, frozen=True, rename={"type": "_type"}):
    """A location of the OwnTracks apps. Their other types of message are ignored."""

    type: Literal["location"]
    tst: Annotated[Epoch, Meta(description="Time of the fix, epoch seconds.")]
    lat: Latitude
    lon: Longitude
    acc: Accuracy | UnsetType = UNSET


PINGS: Mapping[str, type[Struct]] = {"ping": Ping, "owntracks": OwnTracksLocation}
"""The payloads that come in over MQTT; ``ping`` also stands in arrays of at most `MOST_PINGS`."""
