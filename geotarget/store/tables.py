"""The tables as they are now; `migrations` holds how they came to be. A test compares the two.

History (transitions, decisions, deliveries) is numbered by `seq` in the order of its commits. An
index on (device) alone would put every row of a batch on a page of its own, and a page costs
10 µs to write: 30 to 45 µs a row at half a million rows. So the indices are local to a stretch of
4,096 rows, ``(stretch, device)``: 7 µs a row, whatever the size of the table. A query visits the
stretches one after the other, newest first; `span` tells it which of them can hold an instant.
Ids begin with their time, so that they lie together without such help.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, LargeBinary

from geotarget.store.column_types import NO, NUMBER, Text

STRETCH_BITS = 12
"""A row's stretch is its number, shifted by this many bits."""

NO_DAY = sa.text("-1")  # of `event_day`

metadata = sa.MetaData()

# -- catalogue ------------------------------------------------------------------------------

catalog = sa.Table(
    "catalog",
    metadata,
    Column("one", Integer, sa.CheckConstraint("one = 1"), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
zone = sa.Table(
    "zone",
    metadata,
    Column("key", NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("entry", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("sensitive", Boolean, nullable=False),
    Column("starts_ms", BigInteger),
    Column("ends_ms", BigInteger),
    Column("time_zone", Text, nullable=False),
    Column("radius_m", Float),
    Column("west", Float, nullable=False),
    Column("south", Float, nullable=False),
    Column("east", Float, nullable=False),
    Column("north", Float, nullable=False),
    Column("properties", Text, nullable=False),
    Column("geometry", LargeBinary, nullable=False),
    Column("pending_enters", Boolean, nullable=False, server_default=NO),
    Column("exit_buffer_m", Float),
    sqlite_autoincrement=True,
)
zone_tombstone = sa.Table(
    "zone_tombstone",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
campaign = sa.Table(
    "campaign",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)
campaign_version = sa.Table(
    "campaign_version",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("changed_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
endpoint = sa.Table(
    "endpoint",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", Text),
    Column("disabled_reason", Text, nullable=False),
    Column("previous_secret", Text, nullable=False, server_default=sa.text("''")),
    Column("previous_until_ms", BigInteger, nullable=False, server_default=sa.text("0")),
    Column("failing_since_ms", BigInteger),
    Column("rate_per_s", Float),
    Column("concurrency", Integer),
    Column("headers", Text, nullable=False, server_default=sa.text("''")),
    Column("delays_s", Text),
    Column("ordered", Boolean, nullable=False, server_default=NO),
    Column("position", Text, nullable=False, server_default=sa.text("''")),
)
profile = sa.Table(
    "profile",
    metadata,
    Column("id", Text, primary_key=True),
    Column("attributes", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("external_ids", Text, nullable=False, server_default=sa.text("'{}'")),
    Column("quiet_hours", Text),
)
campaign_profile = sa.Table(
    "campaign_profile",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("last_fired_ms", BigInteger, nullable=False),
    Column("fired", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# -- live state -----------------------------------------------------------------------------

device = sa.Table(
    "device",
    metadata,
    Column("device", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False),
    Column("slot", Integer, nullable=False, server_default=sa.text("-1")),
    sa.Index(
        "device_slot",
        "slot",
        sqlite_where=sa.text("slot >= 0"),
        postgresql_where=sa.text("slot >= 0"),
    ),
    sqlite_with_rowid=False,
)
membership = sa.Table(
    "membership",
    metadata,
    Column("device", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("phase", Integer, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("visit", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("slot", Integer, nullable=False, server_default=sa.text("-1")),
    sa.Index(
        "membership_slot",
        "slot",
        sqlite_where=sa.text("slot >= 0"),
        postgresql_where=sa.text("slot >= 0"),
    ),
    sqlite_with_rowid=False,
)
live_log = sa.Table(
    "live_log",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("devices", LargeBinary, nullable=False),
    Column("members", LargeBinary, nullable=False),
    Column("states", LargeBinary, nullable=False),
)

# -- slots, shared by workers ---------------------------------------------------------------

slot_log = sa.Table(
    "slot_log",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("devices", LargeBinary, nullable=False),
    Column("members", LargeBinary, nullable=False),
    Column("states", LargeBinary, nullable=False),
)
slot_lease = sa.Table(
    "slot_lease",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("clean", Boolean, nullable=False, server_default=NO),
    sqlite_with_rowid=False,
)
worker = sa.Table(
    "worker",
    metadata,
    Column("id", Text, primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# -- history --------------------------------------------------------------------------------

transition = sa.Table(
    "transition",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("stretch", BigInteger, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("visit", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("zone_revision", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ts_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("p", Float, nullable=False),
    Column("initial", Boolean, nullable=False),
    Column("threshold_s", Integer),
    Column("duration_s", Float),
    Column("distance_m", Float),
    Column("accuracy_m", Float),
    Column("reason", Text, nullable=False, server_default=sa.text("''")),
)
decision = sa.Table(
    "decision",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("stretch", BigInteger, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("campaign", Text, nullable=False),
    Column("campaign_version", Integer, nullable=False),
    Column("transition", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("gate", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("variant", Text),
    Column("offer", Text),
    Column("expires_ms", BigInteger),
    Column("passed", Text, nullable=False, server_default=sa.text("'{}'")),
    Column("language", Text, nullable=False, server_default=sa.text("''")),
    Column("visit", Text, nullable=False, server_default=sa.text("''")),
    Column("cost_micros", BigInteger, nullable=False, server_default=sa.text("0")),
    Column("day", Text, nullable=False, server_default=sa.text("''")),
    Column("budget_day", Text, nullable=False, server_default=sa.text("''")),
    Column("counts_until_ms", BigInteger, nullable=False, server_default=sa.text("0")),
)
delivery = sa.Table(
    "delivery",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("stretch", BigInteger, nullable=False),
    Column("webhook_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("finished_ms", BigInteger),
    Column("ordered", Boolean, nullable=False, server_default=NO),
    Column("event_day", Integer, nullable=False, server_default=NO_DAY),
    sa.UniqueConstraint("webhook_id", "endpoint"),
)
delivery_body = sa.Table(
    "delivery_body",
    metadata,
    Column(
        "delivery",
        NUMBER,
        ForeignKey("delivery.seq", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("body", LargeBinary, nullable=False),
    Column("event_day", Integer, nullable=False, server_default=NO_DAY),
)
attempt = sa.Table(
    "attempt",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("delivery", NUMBER, ForeignKey("delivery.seq", ondelete="CASCADE"), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("error", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("event_day", Integer, nullable=False, server_default=NO_DAY),
    sa.UniqueConstraint("delivery", "started_ms", "attempt"),
)
waiting = sa.Table(
    "waiting",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=False),
    Column("webhook_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("ordered", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_ms", BigInteger, nullable=False),
    Column("event_day", Integer, nullable=False, server_default=NO_DAY),
    sa.Index("waiting_due", "endpoint", "next_attempt_ms", "seq"),
    sa.Index("waiting_oldest", "created_ms"),
)
dead_letter = sa.Table(
    "dead_letter",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("source", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("position", Integer),
    sqlite_autoincrement=True,
)
span = sa.Table(
    "span",
    metadata,
    Column("list", Text, primary_key=True),
    Column("stretch", BigInteger, primary_key=True),
    Column("min_ms", BigInteger, nullable=False),
    Column("max_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


for _table, _columns in {
    transition: ("device", "zone"),
    decision: ("device", "zone", "campaign"),
    delivery: ("device", "endpoint", "zone", "campaign"),
}.items():
    for _column in _columns:
        sa.Index(f"{_table.name}_{_column}", _table.c.stretch, _table.c[_column])


def _partial(name: str, *columns: sa.Column[object], where: str) -> None:
    sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


_partial("decision_fired", decision.c.seq, where="gate = 'fired'")
_partial("delivery_failed", delivery.c.seq, where="state = 'failed'")
_partial(
    "waiting_in_order", *(waiting.c.endpoint, waiting.c.device, waiting.c.seq), where="ordered"
)

# -- people who were erased -----------------------------------------------------------------

erasure = sa.Table(
    "erasure",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("erased_ms", BigInteger, nullable=False),
    Column("receipt", Text, nullable=False),
    sqlite_autoincrement=True,
)
tombstone = sa.Table(
    "tombstone",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("erased_ms", BigInteger, nullable=False, index=True),
    Column("erasure", NUMBER, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# -- traces ---------------------------------------------------------------------------------

trace_switch = sa.Table(
    "trace_switch",
    metadata,
    Column("device", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
trace = sa.Table(
    "trace",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("device", Text, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False, index=True),
    Column("ts_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("lng", Float, nullable=False),
    Column("lat", Float, nullable=False),
    Column("acc_m", Float, nullable=False),
    Column("status", Text, nullable=False),
    Column("moving", Boolean, nullable=False),
    Column("stance", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("distance_m", Float),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("phase_before", Text, nullable=False),
    Column("phase_after", Text, nullable=False),
    sa.Index("trace_device", "device", "ts_ms"),
    sqlite_autoincrement=True,
)

# -- the rest -------------------------------------------------------------------------------

counter = sa.Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
api_key = sa.Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("last_used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
device_token = sa.Table(
    "device_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("last_used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
_partial("device_token_revoked", device_token.c.revoked_ms, where="revoked_ms IS NOT NULL")
run = sa.Table(
    "run",
    metadata,
    Column("role", Text, primary_key=True),
    Column("clean", Boolean, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
)
