"""Why did it (not) enter, why did it (not) fire: what is known, put in order and in words.

`evidence` reads what the store kept, `words`, `gates`, `refusals` and `advice` have a sentence for
every code, `story` tells what happened, and `recorded` does it for a file of pings. Nothing is
decided here: the engine and the gates left their reasons, and these are told.
"""

from geotarget.explaining.advice import advice
from geotarget.explaining.beforehand import beforehand
from geotarget.explaining.evidence import (
    Evidence,
    Fix,
    Membership,
    Standing,
    gather,
    standing,
)
from geotarget.explaining.gates import GateAnswer
from geotarget.explaining.recorded import replay
from geotarget.explaining.refusals import why
from geotarget.explaining.story import Answered, Explanation, Item, Ping, explain

__all__ = [
    "Answered",
    "Evidence",
    "Explanation",
    "Fix",
    "GateAnswer",
    "Item",
    "Membership",
    "Ping",
    "Standing",
    "advice",
    "beforehand",
    "explain",
    "gather",
    "replay",
    "standing",
    "why",
]
