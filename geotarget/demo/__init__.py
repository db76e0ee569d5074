"""A city to try geotarget in: streets, people who walk them, campaigns, a receiver, a display.

The parts know nothing of brokers, settings or processes: whoever composes them hands in what
publishes, what stores and what counts. Only `geotarget up --demo` and `geotarget fleet` use them.
"""

from geotarget.demo.campaigns import ENDPOINT, Desk, catalogue_path, install
from geotarget.demo.day import answer_at, beginning_of, fixes_between, restart_in
from geotarget.demo.display import Counters, Summary, log_summary, show_summary
from geotarget.demo.fleet import Fleet, Place, places_in, walk
from geotarget.demo.receiver import Received, ReceivedOffer, Receiver
from geotarget.demo.streets import Streets
from geotarget.demo.till import Takings, Till

__all__ = [
    "ENDPOINT",
    "Counters",
    "Desk",
    "Fleet",
    "Place",
    "Received",
    "ReceivedOffer",
    "Receiver",
    "Streets",
    "Summary",
    "Takings",
    "Till",
    "answer_at",
    "beginning_of",
    "catalogue_path",
    "fixes_between",
    "install",
    "log_summary",
    "places_in",
    "restart_in",
    "show_summary",
    "walk",
]
