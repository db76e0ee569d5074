"""On PostgreSQL deliveries, bodies and attempts lie in partitions, a day each; as r0010 did it.

`partitions` says what for, and `event_days` what they are divided by: a column that all of them get
here, on both engines. On SQLite nothing asks for it, and not a row is touched. On PostgreSQL what
is there is written anew, for who looks for a delivery looks in its day: so a delivery that comes a
second time is known. Nothing refers across tables any more: such a key would be asked row by row
when a day goes. And the last number is a counter. 235,000 deliveries with bodies and attempts took
20 s, on two cores that others were using.

As with r0010, stop all processes of the version before; none was released for PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Integer

revision = "0012"
down_revision = "0011"

DAY_MS = 86_400_000
STRETCH_BITS = 12
TABLES = ("delivery", "delivery_body", "attempt", "waiting")
DAY = f"""
CASE WHEN webhook_id ~ '^(offer|transition)_[0-9a-f]{{12}}' THEN CAST(CAST(CAST(
  'x' || substr(split_part(webhook_id, '_', 2), 1, 12) AS BIT(48)) AS BIGINT) / {DAY_MS} AS INTEGER)
ELSE -1 END
"""
UNIQUE = {
    "delivery": ("webhook_id", "endpoint"),
    "delivery_body": (),
    "attempt": ("delivery", "started_ms", "attempt"),
}
INDICES = {
    "device": "stretch, device",
    "endpoint": "stretch, endpoint",
    "zone": "stretch, zone",
    "campaign": "stretch, campaign",
    "failed": "seq) WHERE (state = 'failed'",
}


def upgrade() -> None:
    """Add the column; divide the tables, and note the last number and the days of stretches."""
    if op.get_context().dialect.name != "postgresql":
        nowhere = sa.text("-1")
        for table in TABLES:
            op.add_column(
                table, Column("event_day", Integer, nullable=False, server_default=nowhere)
            )
        return
    for table in ("delivery_body", "attempt"):
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_delivery_fkey")
    for table in ("delivery", "waiting"):  # written anew as a whole: no dead rows are left
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN event_day INTEGER NOT NULL "
            f"GENERATED ALWAYS AS ({DAY}) STORED"
        )
        op.execute(f"ALTER TABLE {table} ALTER COLUMN event_day DROP EXPRESSION")
        op.execute(f"ALTER TABLE {table} ALTER COLUMN event_day SET DEFAULT -1")
    for table in ("delivery_body", "attempt"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN event_day INTEGER NOT NULL DEFAULT -1")
        op.execute(
            f"UPDATE {table} SET event_day = delivery.event_day FROM delivery "  # noqa: S608 - our own names
            f"WHERE delivery.seq = {table}.delivery AND delivery.event_day <> -1"
        )
    op.execute("ALTER TABLE span ADD COLUMN first_day INTEGER, ADD COLUMN last_day INTEGER")
    op.execute(
        "UPDATE span SET first_day = days.first, last_day = days.last FROM (SELECT stretch, "
        "min(event_day) AS first, max(event_day) AS last FROM delivery GROUP BY stretch) AS days "
        "WHERE span.list = 'delivery' AND span.stretch = days.stretch"
    )
    op.execute(
        "INSERT INTO counter (name, value) SELECT 'last delivery', "  # noqa: S608 - our own figure
        "greatest((SELECT coalesce(max(seq), 0) FROM delivery), "
        f"(SELECT coalesce(max(stretch) << {STRETCH_BITS}, 0) FROM span WHERE list = 'delivery')) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    for table, unique in UNIQUE.items():
        _divide(table, unique)
    op.execute("ALTER SEQUENCE attempt_seq_seq OWNED BY attempt.seq")


def _divide(table: str, unique: tuple[str, ...]) -> None:
    """Let what is there be the partition `table`_rest of a new table of its name."""
    rest = f"{table}_rest"
    op.execute(f"ALTER TABLE {table} RENAME TO {rest}")
    op.execute(f"ALTER TABLE {rest} RENAME CONSTRAINT {table}_pkey TO {rest}_pkey")
    columns = ", ".join([*unique, "event_day"])
    key = "_".join([table, *unique, "key"])
    if unique:
        op.execute(f"ALTER TABLE {rest} DROP CONSTRAINT {key}")
        op.execute(f"ALTER TABLE {rest} ADD CONSTRAINT {rest}_key UNIQUE ({columns})")
    op.execute(
        f"CREATE TABLE {table} (LIKE {rest} INCLUDING DEFAULTS) PARTITION BY RANGE (event_day)"
    )
    if unique:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {key} UNIQUE ({columns})")
    if table == "delivery":
        for name, columns in INDICES.items():
            op.execute(f"ALTER INDEX {table}_{name} RENAME TO {rest}_{name}")
            op.execute(f"CREATE INDEX {table}_{name} ON {table} ({columns})")
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {rest} DEFAULT")
