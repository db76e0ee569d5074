"""From bytes on a wire to one batch at a time, and back to the sender that it is safe.

The path: `mqtt` (or an HTTP handler) puts what arrived into the bounded queue of `batch.Intake`;
its one worker decodes (`wire`), hands batches to the pipeline and acknowledges after the commit.
`slots` and `slot_source` share one broker among many such processes.
A `reordering` window may let older fixes overtake before that (`processing` knows both ways).
`embedded` runs a broker where nobody has one, `publish` and `forward` send pings to a broker.
Transports never decode, the decoder never waits, and only `Intake` knows when something is safe.
"""

from geotarget.ingest.batch import Intake
from geotarget.ingest.embedded import EmbeddedBroker
from geotarget.ingest.forward import Forwarder
from geotarget.ingest.mqtt import MqttSource
from geotarget.ingest.publish import Publisher
from geotarget.ingest.request import decode_http
from geotarget.ingest.slot_source import SlotSource
from geotarget.ingest.waiting import IntakeStats
from geotarget.ingest.wire import Decoded, WireLimits, decode_mqtt

__all__ = [
    "Decoded",
    "EmbeddedBroker",
    "Forwarder",
    "Intake",
    "IntakeStats",
    "MqttSource",
    "Publisher",
    "SlotSource",
    "WireLimits",
    "decode_http",
    "decode_mqtt",
]
