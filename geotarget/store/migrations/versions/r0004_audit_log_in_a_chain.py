"""The audit log becomes a chain: each entry carries a digest over itself and the one before it.

Entries that are there are chained in their order, some 5 µs each. What was changed in them before
can't be known: the chain vouches for them from now on.
"""

from __future__ import annotations

from hashlib import sha256

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, LargeBinary

from geotarget.store.column_types import NoBytes

revision = "0004"
down_revision = "0003"

AT_ONCE = 1_000
COLUMNS = "seq, at_ms, actor, action, subject, detail"


def upgrade() -> None:
    """Add the column and chain what is there."""
    op.add_column("audit", Column("digest", LargeBinary, nullable=False, server_default=NoBytes()))
    connection, last, digest = op.get_bind(), 0, bytes(32)
    while True:
        rows = connection.execute(
            sa.text(f"SELECT {COLUMNS} FROM audit WHERE seq > :last ORDER BY seq LIMIT :most"),  # noqa: S608 - our own names
            {"last": last, "most": AT_ONCE},
        ).fetchall()
        for row in rows:
            parts = [str(each).encode() for each in row]
            chained = digest + b"".join(b"%d:%b," % (len(each), each) for each in parts)
            digest, last = sha256(chained).digest(), row[0]
            connection.execute(
                sa.text("UPDATE audit SET digest = :digest WHERE seq = :seq"),
                {"digest": digest, "seq": last},
            )
        if len(rows) < AT_ONCE:
            return
