"""Tokens of devices: how a single phone logs in at the broker, and is shut out again.

A table is added; no row is written anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary

from geotarget.store.column_types import Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table and its index."""
    op.create_table(
        "device_token",
        Column("id", Text, primary_key=True),
        Column("device", Text, nullable=False, index=True),
        Column("name", Text, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("expires_ms", BigInteger),
        Column("last_used_ms", BigInteger),
        Column("revoked_ms", BigInteger),
    )
    revoked = sa.text("revoked_ms IS NOT NULL")
    op.create_index(
        "device_token_revoked",
        "device_token",
        ["revoked_ms"],
        sqlite_where=revoked,
        postgresql_where=revoked,
    )
