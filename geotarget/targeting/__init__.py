"""Who gets which offer: pure values in, decisions and webhook bodies out.

No I/O, no clock, no settings: the caller brings the transitions of a batch, a catalogue snapshot
and a ledger of what is remembered, and gets one decision per listening campaign, each with the
gate that decided it. `gates.GATES` is the list of gates in their order.
"""

from geotarget.targeting.budget import validate_budget
from geotarget.targeting.caps import validate_caps, validate_policy_caps
from geotarget.targeting.case import POLICY, Case, Moment, decision_id
from geotarget.targeting.decide import decide
from geotarget.targeting.event import EVENT_TYPES, deliveries
from geotarget.targeting.gates import GATES, validate_figures
from geotarget.targeting.hours import validate_hours
from geotarget.targeting.ledger import Asked, Ledger, asked
from geotarget.targeting.offer import validate_offer
from geotarget.targeting.schedule import parse_when, validate_schedule
from geotarget.targeting.table import CampaignTable, ZoneTags, validate_trigger

__all__ = [
    "EVENT_TYPES",
    "GATES",
    "POLICY",
    "Asked",
    "CampaignTable",
    "Case",
    "Ledger",
    "Moment",
    "ZoneTags",
    "asked",
    "decide",
    "decision_id",
    "deliveries",
    "parse_when",
    "validate_budget",
    "validate_caps",
    "validate_figures",
    "validate_hours",
    "validate_offer",
    "validate_policy_caps",
    "validate_schedule",
    "validate_trigger",
]
