"""What waits to be sent gets a table of its own; `waiting` says what for.

What waits now is copied into it; what was sent is left as it is. The indices of `delivery` that
only senders asked go, because each mark and each lease paid for them. That is one more thing that
is not only added: a sender of the version before that still runs on SQLite is told that its index
is gone, and claims nothing, which is as well, for it would send what others send too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer

from geotarget.store.column_types import NUMBER, Text

revision = "0011"
down_revision = "0010"

COLUMNS = (
    "seq, webhook_id, endpoint, type, device, ordered, created_ms, expires_ms, attempts, "
    "next_attempt_ms"
)


def upgrade() -> None:
    """Make the table, copy what waits, drop the indices that it replaces."""
    op.create_table(
        "waiting",
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
    )
    op.execute(
        f"INSERT INTO waiting ({COLUMNS}) "  # noqa: S608 - our own names
        f"SELECT {COLUMNS} FROM delivery WHERE state = 'pending' ORDER BY seq"
    )
    op.create_index("waiting_due", "waiting", ["endpoint", "next_attempt_ms", "seq"])
    op.create_index("waiting_oldest", "waiting", ["created_ms"])
    op.create_index(
        "waiting_in_order",
        "waiting",
        ["endpoint", "device", "seq"],
        sqlite_where=sa.text("ordered"),
        postgresql_where=sa.text("ordered"),
    )
    for name in ("due", "oldest", "in_order"):
        op.drop_index(f"delivery_{name}", "delivery")
