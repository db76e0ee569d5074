"""From the outbox to receivers: signed, retried, bounded, and never where webhooks may not go.

This room learns of the rest of the house only through the outbox in the store and the endpoints
of the catalogue.
"""

from geotarget.delivery.egress import AiohttpTransport, Transport
from geotarget.delivery.guard import AddressGuard, check_url
from geotarget.delivery.schedule import DELAYS_S, Answer, Outcome
from geotarget.delivery.signature import sign
from geotarget.delivery.worker import Outbox, Sender
from geotarget.signing import decode_secret, new_secret

__all__ = [
    "DELAYS_S",
    "AddressGuard",
    "AiohttpTransport",
    "Answer",
    "Outbox",
    "Outcome",
    "Sender",
    "Transport",
    "check_url",
    "decode_secret",
    "new_secret",
    "sign",
]
