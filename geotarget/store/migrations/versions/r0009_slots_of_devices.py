"""Slots: many workers share the devices of one database, each slot by a lease.

Columns and tables are added; no row is written anew. Devices that are in no slot yet are put into
theirs when a worker takes it for the first time.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary

from geotarget.store.column_types import NO, NUMBER, Text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns, tables and indices."""
    nowhere = sa.text("-1")
    in_slot = sa.text("slot >= 0")
    for table in ("device", "membership"):
        op.add_column(table, Column("slot", Integer, nullable=False, server_default=nowhere))
        op.create_index(
            f"{table}_slot", table, ["slot"], sqlite_where=in_slot, postgresql_where=in_slot
        )
    op.create_table(
        "slot_log",
        Column("slot", Integer, primary_key=True, autoincrement=False),
        Column("seq", NUMBER, primary_key=True, autoincrement=False),
        Column("devices", LargeBinary, nullable=False),
        Column("members", LargeBinary, nullable=False),
        Column("states", LargeBinary, nullable=False),
    )
    op.create_table(
        "slot_lease",
        Column("slot", Integer, primary_key=True, autoincrement=False),
        Column("owner", Text, nullable=False),
        Column("epoch", BigInteger, nullable=False),
        Column("expires_ms", BigInteger, nullable=False),
        Column("clean", Boolean, nullable=False, server_default=NO),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "worker",
        Column("id", Text, primary_key=True),
        Column("expires_ms", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
