"""Who gets which offer: pure values in, decisions and webhook bodies out.

No I/O, no clock, no settings: the caller brings the transitions of a batch, a catalogue snapshot,
the profiles and what fired last, and gets one decision per listening campaign, each with the gate
that decided it. `decide.GATES` is the list of gates in their order.
"""

from geotarget.targeting.decide import GATES, MAX_AGE_S, candidates, decide, decision_id
from geotarget.targeting.event import EVENT_TYPES, deliveries
from geotarget.targeting.offer import validate_offer
from geotarget.targeting.schedule import parse_when, validate_schedule
from geotarget.targeting.table import CampaignTable, validate_trigger

__all__ = [
    "EVENT_TYPES",
    "GATES",
    "MAX_AGE_S",
    "CampaignTable",
    "candidates",
    "decide",
    "decision_id",
    "deliveries",
    "parse_when",
    "validate_offer",
    "validate_schedule",
    "validate_trigger",
]
