"""Column types and defaults that mean the same in SQLite and in PostgreSQL.

Shared with the migrations, so what is here never changes its meaning. PostgreSQL compares text by
the rules of a language unless told otherwise; ids are ranges and cursors here, so all text is
compared byte by byte, as SQLite does.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Integer
from sqlalchemy.ext.compiler import compiles

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""Of numbered rows: SQLite numbers only what is called INTEGER."""

Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its bytes (UTF-8)."""

NO = sa.false()
"""The default of a truth; SQLite says 0."""


class NoBytes(sa.ColumnElement[bytes]):
    """The default of bytes: none."""

    inherit_cache = True


@compiles(NoBytes)
def _no_bytes(*_: Any, **__: Any) -> str:
    return "x''"


@compiles(NoBytes, "postgresql")
def _no_bytea(*_: Any, **__: Any) -> str:
    return "''::bytea"
