"""Prometheus metrics, all in one place so that names and labels can be read like a table.

Labels never hold a device, a zone or a campaign: their number is unbounded. Children are looked
up once per batch, so counting costs a few microseconds a batch, not a ping.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

pings_received = Counter(
    "geotarget_pings_received_total",
    "Pings that were decoded, by transport.",
    ["transport"],
    registry=REGISTRY,
)
pings_rejected = Counter(
    "geotarget_pings_rejected_total",
    "Pings or messages that were refused, by reason.",
    ["reason"],
    registry=REGISTRY,
)
pings_late = Counter(
    "geotarget_pings_late_total",
    "Pings older than the last applied one of their device.",
    registry=REGISTRY,
)
pings_duplicate = Counter(
    "geotarget_pings_duplicate_total", "Pings that had been applied before.", registry=REGISTRY
)
read_from_stream = Counter(
    "geotarget_messages_read_from_stream_total",
    "Messages read from NATS' stream because their session was sent nothing; sent again later.",
    registry=REGISTRY,
)
pings_suspect = Counter(
    "geotarget_pings_suspect_total",
    "Pings too far from the last fix to be believed before others agreed with them.",
    registry=REGISTRY,
)
holds = Counter(
    "geotarget_holds_total",
    "Fixes that were no evidence for or against being in a zone they had to do with, by reason.",
    ["reason"],
    registry=REGISTRY,
)
memberships = Gauge(
    "geotarget_memberships",
    "Devices in zones by what they wait for: entering, exiting (one more fix), stale (any fix).",
    ["state"],
    registry=REGISTRY,
)
ping_end_to_end_seconds = Histogram(
    "geotarget_ping_end_to_end_seconds",
    "From arrival to commit, by the oldest ping of each batch.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
match_batch_seconds = Histogram(
    "geotarget_match_batch_seconds",
    "Matching and transitions of one batch.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
    registry=REGISTRY,
)
commit_seconds = Histogram(
    "geotarget_commit_seconds",
    "The transaction of one batch.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
commit_retries = Counter(
    "geotarget_commit_retries_total", "Batches that had to be committed again.", registry=REGISTRY
)
ingest_queue_pings = Gauge(
    "geotarget_ingest_queue_pings",
    "Messages waiting between the transports and the pipeline.",
    registry=REGISTRY,
)
unacked_messages = Gauge(
    "geotarget_unacked_messages",
    "MQTT messages received and not yet acknowledged.",
    registry=REGISTRY,
)
mqtt_connected = Gauge(
    "geotarget_mqtt_connected",
    "1 while the ingest session is connected; with slots, while all owned ones are.",
    registry=REGISTRY,
)
fenced_commits = Counter(
    "geotarget_fenced_commits_total",
    "Batches that were refused because others own a slot of theirs by now.",
    registry=REGISTRY,
)
slots_owned = Gauge("geotarget_slots_owned", "Slots that this process works on.", registry=REGISTRY)
mqtt_reconnects = Counter(
    "geotarget_mqtt_reconnects_total", "Connections after the first.", registry=REGISTRY
)
zone_index_version = Gauge(
    "geotarget_zone_index_version",
    "Catalogue revision that this process matches against, or works with.",
    registry=REGISTRY,
)
catalog_behind_seconds = Gauge(
    "geotarget_catalog_behind_seconds",
    "Since this process last knew that it has the newest catalogue; a quarter of a second at most.",
    registry=REGISTRY,
)
zone_index_zones = Gauge(
    "geotarget_zone_index_zones", "Zones in the index of this process.", registry=REGISTRY
)
transitions = Counter(
    "geotarget_transitions_total", "Transitions, by kind.", ["kind"], registry=REGISTRY
)
decisions = Counter(
    "geotarget_decisions_total",
    "Decisions: fired, or the first gate that refused.",
    ["gate"],
    registry=REGISTRY,
)
outbox_pending = Gauge(
    "geotarget_outbox_pending", "Deliveries that wait for their next attempt.", registry=REGISTRY
)
outbox_oldest_seconds = Gauge(
    "geotarget_outbox_oldest_seconds", "Age of the oldest waiting delivery.", registry=REGISTRY
)
webhook_attempts = Counter(
    "geotarget_webhook_attempts_total",
    "Posts to endpoints, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
webhook_seconds = Histogram(
    "geotarget_webhook_seconds",
    "Duration of one post.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
    registry=REGISTRY,
)
endpoints_disabled = Counter(
    "geotarget_endpoint_disabled_total",
    "Endpoints that were disabled because they were gone or failed for too long.",
    registry=REGISTRY,
)
certificate_expires = Gauge(
    "geotarget_certificate_expires_timestamp_seconds",
    "When the certificate of the listeners expires, epoch seconds; 0 without TLS.",
    registry=REGISTRY,
)
publishes_refused = Counter(
    "geotarget_publishes_refused_total",
    "Messages that the embedded broker acknowledged and dropped: on a topic not the device's own.",
    registry=REGISTRY,
)
devices_refused = Counter(
    "geotarget_devices_refused_total",
    "Connections of devices that were refused: unknown device, password, token or client id.",
    registry=REGISTRY,
)
devices_cut = Counter(
    "geotarget_devices_cut_total",
    "Connections of devices that were ended because a token was revoked.",
    registry=REGISTRY,
)
ssrf_blocked = Counter(
    "geotarget_ssrf_blocked_total", "Connections refused by address.", registry=REGISTRY
)
auth_failures = Counter(
    "geotarget_auth_failures_total",
    "Requests without a key, with a wrong one, or from an address that sent too many wrong ones.",
    ["reason"],
    registry=REGISTRY,
)
rate_limited = Counter(
    "geotarget_rate_limited_total",
    "Requests of valid keys that came faster than the key may.",
    registry=REGISTRY,
)
http_refused = Counter(
    "geotarget_http_refused_total",
    "HTTP requests and connections that broke a bound: malformed, size, slow, full, room.",
    ["reason"],
    registry=REGISTRY,
)
