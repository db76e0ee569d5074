"""Endpoints: a second secret while it changes, since when they fail, how fast they may be called.

Columns are added; no row is written anew. Secrets are encrypted when the database is opened, for
that needs a key.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Column, Float, Integer

from geotarget.store.column_types import Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    no, nothing = sa.text("0"), sa.text("''")
    op.add_column(
        "endpoint", Column("previous_secret", Text, nullable=False, server_default=nothing)
    )
    op.add_column(
        "endpoint", Column("previous_until_ms", BigInteger, nullable=False, server_default=no)
    )
    op.add_column("endpoint", Column("failing_since_ms", BigInteger))
    op.add_column("endpoint", Column("rate_per_s", Float))
    op.add_column("endpoint", Column("concurrency", Integer))
