"""The nouns of geotarget: zones, pings, transitions, campaigns, decisions, deliveries.

Plain frozen values without behaviour that reaches outside. Every other room speaks in these
words, so this room imports nothing of ours but `errors`. Things that come in the thousands per
batch are columns (`PingBatch`); things that a person writes or reads are records.

Units: longitude and latitude in degrees (WGS 84), distances in metres, durations in seconds with
the suffix ``_s``. Instants are integers of Unix milliseconds (UTC) and carry the suffix ``_ms``,
except in `PingBatch.ts` and `PingBatch.received`, which are arrays of the same.
"""

from __future__ import annotations

from geotarget.model.campaigns import (
    Audience,
    Budget,
    Campaign,
    Cap,
    Endpoint,
    Hours,
    Policy,
    Status,
    Trigger,
    Variant,
)
from geotarget.model.decisions import (
    Attempt,
    Claimed,
    Decision,
    Delivery,
)
from geotarget.model.movement import (
    FloatArray,
    IntArray,
    KeyArray,
    Kind,
    MemberRow,
    PingBatch,
    Rejected,
    Trace,
    Transition,
)
from geotarget.model.people import (
    Arm,
    Behaviour,
    Conversion,
    Fired,
    Heard,
    Profile,
    Purchase,
    Spent,
    Stay,
)
from geotarget.model.places import (
    POSITIONS,
    EntryPolicy,
    Zone,
)
from geotarget.model.writes import (
    BatchWrite,
    Footfall,
    Outcome,
)

__all__ = [
    "POSITIONS",
    "Arm",
    "Attempt",
    "Audience",
    "BatchWrite",
    "Behaviour",
    "Budget",
    "Campaign",
    "Cap",
    "Claimed",
    "Conversion",
    "Decision",
    "Delivery",
    "Endpoint",
    "EntryPolicy",
    "Fired",
    "FloatArray",
    "Footfall",
    "Heard",
    "Hours",
    "IntArray",
    "KeyArray",
    "Kind",
    "MemberRow",
    "Outcome",
    "PingBatch",
    "Policy",
    "Profile",
    "Purchase",
    "Rejected",
    "Spent",
    "Status",
    "Stay",
    "Trace",
    "Transition",
    "Trigger",
    "Variant",
    "Zone",
]
