"""What a transition rested on, zones with a pending rule and an exit buffer, and traces.

Columns are added, no row is written anew: it takes the same time however long the history is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float

from geotarget.store.column_types import NO, NUMBER, Text

revision = "0002"
down_revision = "0001"

metadata = sa.MetaData()

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


def upgrade() -> None:
    """Add the columns and make the tables."""
    nothing = sa.text("''")
    op.add_column("zone", Column("pending_enters", Boolean, nullable=False, server_default=NO))
    op.add_column("zone", Column("exit_buffer_m", Float))
    op.add_column("transition", Column("distance_m", Float))
    op.add_column("transition", Column("accuracy_m", Float))
    op.add_column("transition", Column("reason", Text, nullable=False, server_default=nothing))
    metadata.create_all(op.get_bind(), checkfirst=False)
