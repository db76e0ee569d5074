"""Offers for one person: behaviour, audiences, budgets, what campaigns did and what came of it.

Columns are added and tables made; no row is written anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary

from geotarget.store.column_types import NUMBER, Text

revision = "0003"
down_revision = "0002"

metadata = sa.MetaData()

profile_device = sa.Table(
    "profile_device",
    metadata,
    Column("device", Text, primary_key=True),
    Column("profile", Text, nullable=False, index=True),
    sqlite_with_rowid=False,
)
behaviour = sa.Table(
    "behaviour",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("changed_ms", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
audience = sa.Table(
    "audience",
    metadata,
    Column("id", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("rule", Text, nullable=False),
)
import_job = sa.Table(
    "import_job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("problems", Text, nullable=False),
)

exposure = sa.Table(
    "exposure",
    metadata,
    Column("profile", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("held_out", Boolean, nullable=False),
    Column("variant", Text, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("conversions", Integer, nullable=False, server_default=sa.text("0")),
    Column("value_micros", BigInteger, nullable=False, server_default=sa.text("0")),
    sa.Index("exposure_campaign", "campaign", "held_out", "variant", "conversions"),
    sqlite_with_rowid=False,
)
budget_spent = sa.Table(
    "budget_spent",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("offers", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
arm = sa.Table(
    "arm",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("converted", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
tally = sa.Table(
    "tally",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("variant", Text, primary_key=True),
    Column("gate", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
conversion = sa.Table(
    "conversion",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("profile", Text, nullable=False, index=True),
    Column("device", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("value_micros", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("decision", Text, nullable=False, index=True),
    Column("campaign", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("held_out", Boolean, nullable=False),
    Column("by_decision", Boolean, nullable=False),
    sa.Index("conversion_campaign", "campaign", "day"),
    sqlite_autoincrement=True,
)
footfall = sa.Table(
    "footfall",
    metadata,
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("devices", LargeBinary, nullable=False),
    Column("accuracies", LargeBinary, nullable=False),
    Column("intervals", LargeBinary, nullable=False),
    sa.Index("footfall_day", "day"),
    sqlite_with_rowid=False,
)
secret = sa.Table(
    "secret",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
audit = sa.Table(
    "audit",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    sqlite_autoincrement=True,
)


def upgrade() -> None:
    """Add the columns and make the tables."""
    no, nothing, empty = sa.text("0"), sa.text("''"), sa.text("'{}'")
    op.add_column("profile", Column("external_ids", Text, nullable=False, server_default=empty))
    op.add_column("profile", Column("quiet_hours", Text))
    op.add_column("decision", Column("passed", Text, nullable=False, server_default=empty))
    op.add_column("decision", Column("language", Text, nullable=False, server_default=nothing))
    op.add_column("decision", Column("visit", Text, nullable=False, server_default=nothing))
    op.add_column("decision", Column("cost_micros", BigInteger, nullable=False, server_default=no))
    op.add_column("decision", Column("day", Text, nullable=False, server_default=nothing))
    op.add_column("decision", Column("budget_day", Text, nullable=False, server_default=nothing))
    op.add_column(
        "decision", Column("counts_until_ms", BigInteger, nullable=False, server_default=no)
    )
    metadata.create_all(op.get_bind(), checkfirst=False)
