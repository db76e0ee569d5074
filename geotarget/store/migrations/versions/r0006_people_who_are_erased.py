"""Erasure with a receipt, deliveries in order, and what an endpoint may choose besides.

Columns and tables are added; no row is written anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, LargeBinary

from geotarget.store.column_types import NO, NUMBER, Text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add columns, tables and an index."""
    nothing = sa.text("''")
    op.add_column("endpoint", Column("headers", Text, nullable=False, server_default=nothing))
    op.add_column("endpoint", Column("delays_s", Text))
    op.add_column("endpoint", Column("ordered", Boolean, nullable=False, server_default=NO))
    op.add_column("endpoint", Column("position", Text, nullable=False, server_default=nothing))
    op.add_column("delivery", Column("ordered", Boolean, nullable=False, server_default=NO))
    in_order = sa.text("state = 'pending' AND ordered")
    op.create_index(
        "delivery_in_order",
        "delivery",
        ["endpoint", "device", "seq"],
        sqlite_where=in_order,
        postgresql_where=in_order,
    )
    op.create_table(
        "erasure",
        Column("seq", NUMBER, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        Column("erased_ms", BigInteger, nullable=False),
        Column("receipt", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tombstone",
        Column("digest", LargeBinary, primary_key=True),
        Column("erased_ms", BigInteger, nullable=False, index=True),
        Column("erasure", NUMBER, nullable=False, index=True),
        sqlite_with_rowid=False,
    )
