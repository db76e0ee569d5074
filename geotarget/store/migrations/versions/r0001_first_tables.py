"""The first tables.

A copy of `store.tables` as it was then; migrations never import what may change.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, LargeBinary

from geotarget.store.column_types import NUMBER, Text

revision = "0001"
down_revision = None

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
)
profile = sa.Table(
    "profile",
    metadata,
    Column("id", Text, primary_key=True),
    Column("attributes", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
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
    sa.UniqueConstraint("delivery", "started_ms", "attempt"),
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
_partial("delivery_due", delivery.c.endpoint, delivery.c.next_attempt_ms, where="state = 'pending'")
_partial("delivery_oldest", delivery.c.created_ms, where="state = 'pending'")

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
run = sa.Table(
    "run",
    metadata,
    Column("role", Text, primary_key=True),
    Column("clean", Boolean, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
)

COUNTERS = (
    "transitions",
    "entries",
    "decisions_fired",
    "decisions_refused",
    "deliveries_pending",
    "deliveries_delivered",
    "deliveries_failed",
    "deliveries_expired",
    "attempts",
    "dead_letters",
)


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(catalog).values(one=1, revision=0))
    connection.execute(sa.insert(counter), [{"name": name, "value": 0} for name in COUNTERS])
