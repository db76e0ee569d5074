"""On PostgreSQL transitions and decisions lie in partitions, a day each; SQLite's tables stay.

`partitions` says what for. What is there becomes the partition for all that fits no day, as it is:
not a row is read or written, whatever there is of it; it goes row by row, as it would have. Days
are made beside it, by whoever runs `geotarget migrate` and by maintenance.

This one does not only add, as the others do, because it can't: a key across partitions has to
contain what they are divided by. So numbers are no key of the whole table any more but of each
partition; and the last ones are counters, for the highest of a table would be looked for in every
partition. A process of the version before that goes on meanwhile would give numbers that the
counters don't know of: stop all of them first. No version before this one was ever released for
PostgreSQL.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

STRETCH_BITS = 12
INDICES = {
    "transition": {"device": "stretch, device", "zone": "stretch, zone"},
    "decision": {
        "device": "stretch, device",
        "zone": "stretch, zone",
        "campaign": "stretch, campaign",
        "fired": "seq) WHERE (gate = 'fired'",
    },
}


def upgrade() -> None:
    """Divide the tables, and note the last numbers."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute('ALTER TABLE span ADD COLUMN first_id TEXT COLLATE "C"')
    op.execute('ALTER TABLE span ADD COLUMN last_id TEXT COLLATE "C"')
    op.execute("UPDATE span SET first_id = '', last_id = chr(1114111)")  # it may be any
    for table in INDICES:
        _divide(table)
        op.execute(
            "INSERT INTO counter (name, value) SELECT "  # noqa: S608 - our own names
            f"'last {table}', greatest((SELECT coalesce(max(seq), 0) FROM {table}), "
            f"(SELECT coalesce(max(stretch) << {STRETCH_BITS}, 0) FROM span "
            f"WHERE list = '{table}'))"
        )


def _divide(table: str) -> None:
    """Let what is there be the partition `table`_rest of a new table of its name."""
    rest = f"{table}_rest"
    op.execute(f"ALTER TABLE {table} RENAME TO {rest}")
    for name in ("pkey", "id_key"):
        op.execute(f"ALTER TABLE {rest} RENAME CONSTRAINT {table}_{name} TO {rest}_{name}")
    for name in INDICES[table]:
        op.execute(f"ALTER INDEX {table}_{name} RENAME TO {rest}_{name}")
    op.execute(
        f"CREATE TABLE {table} (LIKE {rest} INCLUDING DEFAULTS, "
        f"CONSTRAINT {table}_id_key UNIQUE (id)) PARTITION BY RANGE (id)"
    )
    for name, columns in INDICES[table].items():
        op.execute(f"CREATE INDEX {table}_{name} ON {table} ({columns})")
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {rest} DEFAULT")
