"""The nouns of geotarget: zones, pings, transitions, campaigns, decisions, deliveries.

Plain frozen values without behaviour that reaches outside. Every other room speaks in these
words, so this module imports nothing of ours but `errors`. Things that come in the thousands per
batch are columns (`PingBatch`); things that a person writes or reads are records.

Units: longitude and latitude in degrees (WGS 84), distances in metres, durations in seconds with
the suffix ``_s``. Instants are integers of Unix milliseconds (UTC) and carry the suffix ``_ms``,
except in `PingBatch.ts` and `PingBatch.received`, which are arrays of the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]


class Kind(StrEnum):
    """What a transition says about a device and a zone."""

    ENTER = "enter"
    DWELL = "dwell"
    EXIT = "exit"
    CROSSED = "crossed"
    RECONCILED = "reconciled"


class EntryPolicy(StrEnum):
    """How much evidence an entry needs; `STANDARD` unless a zone says otherwise."""

    RAW = "raw"
    EAGER = "eager"
    STANDARD = "standard"
    STRICT = "strict"
    CERTAIN = "certain"


class Status(StrEnum):
    """The life of a campaign."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with properties.

    Parameters
    ----------
    id
        Chosen by its author; 1 to 128 characters.
    geometry
        Polygon or MultiPolygon in degrees, or a Point when `radius_m` makes it a circle.
    radius_m
        Radius of a circle in metres; None for polygons.
    properties
        All GeoJSON properties as given, the known ones included: offers may use any of them.
    priority
        Among entries of one instant the higher priority comes first.
    pending_enters
        Whether one weak piece of evidence enters when no second one follows it.
    exit_buffer_m
        How far beyond its accuracy a fix must lie to count as outside, metres; None means the
        figure of the rules.
    starts_ms, ends_ms
        When the zone is valid; None means no bound.
    time_zone
        IANA name; the zone's own location decides when its author does not.
    revision
        The catalogue revision that wrote it: rises with every edit, never reused.
    key
        A number for life, given by the store when the zone is first seen; 0 before that.
    """

    id: str
    geometry: BaseGeometry
    radius_m: float | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0
    entry: EntryPolicy = EntryPolicy.STANDARD
    pending_enters: bool = False
    exit_buffer_m: float | None = None
    active: bool = True
    sensitive: bool = False
    starts_ms: int | None = None
    ends_ms: int | None = None
    time_zone: str = "UTC"
    properties: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    key: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class PingBatch:
    """Pings in columns, in order of arrival.

    Parameters
    ----------
    device
        Device ids, one per ping.
    ts
        Fix times, Unix milliseconds.
    lng, lat
        Degrees; finite and in range.
    acc
        Accuracy in metres (68 % radius); NaN where the device did not say.
    key
        What makes a re-delivery recognisable: a 64-bit hash of the message id, or of
        (fix time, lng, lat) where there is none. Never 0.
    received
        Arrival times, Unix milliseconds.
    """

    device: Sequence[str]
    ts: IntArray
    lng: FloatArray
    lat: FloatArray
    acc: FloatArray
    key: KeyArray
    received: IntArray

    def __len__(self) -> int:
        return len(self.device)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A ping or message that was refused: kept as a dead letter with its reason.

    Parameters
    ----------
    source
        The MQTT topic, or ``http``.
    payload
        The bytes as they came, cut at 64 KiB.
    reason
        A short code (metrics label), for example ``latitude``, ``future``, ``json``.
    detail
        The sentence that names place, value and bound.
    received_ms
        Arrival time.
    index
        Position inside an array message; None when the whole message was refused.
    """

    source: str
    payload: bytes
    reason: str
    detail: str
    received_ms: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """A device entered, dwelt in, left or crossed a zone.

    `id` and `visit` are deterministic: the same pings give the same ids, after a crash or in a
    backtest. `ts_ms` is when it happened, `decided_ms` the fix time of the ping that settled it.
    `distance_m` (positive inside) and `accuracy_m` are what that ping showed, None where no ping
    decided; `reason` is the test that it met.
    """

    id: str
    visit: str
    device: str
    zone: str
    zone_revision: int
    kind: Kind
    ts_ms: int
    decided_ms: int
    confidence: int
    p: float
    initial: bool = False
    threshold_s: int | None = None
    duration_s: float | None = None
    distance_m: float | None = None
    accuracy_m: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one ping of a traced device meant for one zone.

    A ping that was not applied, or met no zone, has one trace with an empty `zone`.

    Parameters
    ----------
    status
        ``applied``, ``late``, ``duplicate`` or ``suspect``.
    acc_m
        The accuracy that the zone went by, metres: at rest that of the mean of the fixes.
    moving
        Whether the device was on the move.
    stance
        ``on its way``, ``at rest`` (the mean of the last fixes was judged instead of the ping),
        ``stray`` or ``fast``.
    distance_m
        From the zone's boundary, positive inside; None without a zone.
    verdict, reason
        ``in``, ``maybe_in``, ``hold`` or ``out``, and the test that said so.
    before, after
        The phase: ``outside``, ``entering``, ``inside`` or ``exiting``.
    """

    device: str
    ts_ms: int
    decided_ms: int
    lng: float
    lat: float
    acc_m: float
    status: str
    moving: bool = False
    zone: str = ""
    distance_m: float | None = None
    verdict: str = ""
    reason: str = ""
    stance: str = "on its way"
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a device's owner; the id is a pseudonym."""

    id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trigger:
    """Which transitions a campaign listens to.

    A zone is meant when its id is in `zone_ids` or one of its tags in `zone_tags` (all zones if
    both are empty) and its id is not in `exclude`. With `most_specific` only one of several zones
    counts that a device enters at one time: the one of highest priority, then the smallest.
    """

    on: frozenset[Kind] = frozenset({Kind.ENTER})
    zone_ids: frozenset[str] = frozenset()
    zone_tags: frozenset[str] = frozenset()
    exclude: frozenset[str] = frozenset()
    dwell_s: int | None = None
    min_confidence: int = 1
    initial: bool = True
    most_specific: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """A trigger, when it holds, how often, what is offered and who is told.

    `starts` and `ends` are local dates or date-times (ISO 8601); without an offset they are read
    in the zone's own time zone, so one campaign starts at midnight in every branch.
    """

    id: str
    name: str
    trigger: Trigger
    offer: Mapping[str, Any]
    endpoints: tuple[str, ...]
    status: Status = Status.ACTIVE
    starts: str | None = None
    ends: str | None = None
    cooldown_s: int | None = None
    valid_s: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go. `events` None means all types.

    `disabled_reason` is empty while the endpoint is enabled.
    """

    id: str
    url: str
    secret: str
    description: str = ""
    events: tuple[str, ...] | None = None
    disabled_reason: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """One campaign's answer to one transition.

    `gate` is ``fired``, or the name of the first gate that refused; `reason` says why in words,
    `inputs` holds what that gate looked at.
    """

    id: str
    campaign: str
    campaign_version: int
    transition: str
    device: str
    profile: str
    zone: str
    gate: str
    reason: str
    decided_ms: int
    inputs: Mapping[str, Any] = field(default_factory=dict)
    variant: str | None = None
    offer: Mapping[str, Any] | None = None
    expires_ms: int | None = None

    @property
    def fired(self) -> bool:
        """Whether the offer goes out."""
        return self.gate == "fired"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, as it will be posted: the bytes never change again.

    `device`, `zone` and `campaign` are what it can be found by later; a plain transition has no
    campaign.
    """

    webhook_id: str
    endpoint: str
    type: str
    body: bytes
    created_ms: int
    expires_ms: int | None = None
    device: str = ""
    zone: str = ""
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is leased to a sender; `attempts` counts the ones before this."""

    webhook_id: str
    endpoint: str
    type: str
    body: bytes
    attempts: int
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one post came to, and what follows from it.

    `state` is ``delivered``, ``pending`` (again at `next_attempt_ms`), ``failed`` (given up) or
    ``expired``; `status` is the HTTP status, None when there was no answer; `answer` holds the
    first KiB of it, `error` why there was none.
    """

    webhook_id: str
    endpoint: str
    attempt: int
    started_ms: int
    duration_ms: int
    state: str
    next_attempt_ms: int
    status: int | None = None
    error: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """How one device stands to one zone, as the store keeps it.

    `phase` is 1 entering, 2 inside, 3 exiting (outside has no row); `since_ms` the start of the
    visit or of the pending entry; `state` the engine's own record, opaque to the store.
    """

    device: str
    zone: str
    phase: int
    since_ms: int
    last_ms: int
    visit: str
    state: bytes


@dataclass(frozen=True, slots=True)
class BatchWrite:
    """Everything that one batch changes; written in one transaction or not at all.

    Parameters
    ----------
    devices
        The devices whose state moved, each once.
    device_states
        Their new states, concatenated; ``len(device_states) / len(devices)`` bytes each.
    members_put, members_removed
        Memberships to write, and (device, zone) pairs to forget.
    transitions, decisions, deliveries
        To insert; rows that exist already (same id) are left as they are.
    rejected
        Dead letters to keep.
    traces
        What the pings of traced devices meant.
    """

    devices: Sequence[str] = ()
    device_states: bytes = b""
    members_put: Sequence[MemberRow] = ()
    members_removed: Sequence[tuple[str, str]] = ()
    transitions: Sequence[Transition] = ()
    decisions: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    rejected: Sequence[Rejected] = ()
    traces: Sequence[Trace] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one batch; counted, returned to whoever waits, never an exception.

    `refused` holds (position in the batch, reason code, sentence) of pings that the intake rules
    refused. Late, duplicate and suspect pings are handled, hence part of `accepted`. `holds` counts
    by reason the (ping, zone) pairs that were no evidence either way.
    """

    accepted: int
    refused: Sequence[tuple[int, str, str]] = ()
    late: int = 0
    duplicates: int = 0
    suspects: int = 0
    holds: Mapping[str, int] = field(default_factory=dict)
    transitions: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    deliveries: int = 0
