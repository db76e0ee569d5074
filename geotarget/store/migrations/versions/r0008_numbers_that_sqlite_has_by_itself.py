"""On PostgreSQL the numbers of rows that SQLite gives by itself, where they are asked for.

The newest profiles are looked at for suggestions, and behaviour is gone through in parts. SQLite's
tables stay as they are.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns."""
    if op.get_context().dialect.name != "postgresql":
        return
    for table in ("profile", "behaviour"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE"
        )
