"""One way through history, stretch by stretch, that stops as soon as enough is found.

History lies in stretches of 4,096 rows, each with indices of its own, and `span` tells between
which instants those of a stretch lie (`tables` says why). SQLite walks a join in the order in which
it is written. PostgreSQL's planner would rather read all stretches and sort what it found, which
took 0.3 to 7 s a page at a million rows; so each stretch is a subquery of its own there, with a
bound that stands in the text: a planner that does not know how little is wanted plans for all of
it.

There history lies in a partition for each day besides (`partitions`), each with indices of its own.
`span` knows between which ids or days those of a stretch lie (`DIVIDED`), so of all partitions the
server asks the one or two that a stretch lies in. Where rows are found by their number alone there
are few stretches, and all partitions are merged.
"""

from __future__ import annotations

DIVIDED = {
    "transition": ("id", "first_id", "last_id"),
    "decision": ("id", "first_id", "last_id"),
    "delivery": ("event_day", "first_day", "last_day"),
}
"""The lists that PostgreSQL has in partitions: by which column, and where `span` has its bounds."""

_BETWEEN = {
    table: f"{column} >= span.{first} AND {column} <= span.{last}"
    for table, (column, first, last) in DIVIDED.items()
}

IN_SPAN = {table: f"/*postgresql AND {said}*/" for table, said in _BETWEEN.items()}
"""What a join of `span` and such a table says besides."""

IDS_OF_SPAN = IN_SPAN["transition"]


def walk(
    table: str, columns: str, *, index: str, spans: str, rows: str, newest_first: bool, most: int
) -> str:
    """Return the query for rows of a history table in the order of their numbers.

    Parameters
    ----------
    table
        Which.
    columns
        What is wanted of a row, ``seq`` first.
    index
        What SQLite is told about indices.
    spans
        Which stretches, by the columns of `span`.
    rows
        Which rows of a stretch ``span.stretch``. Values of `spans` come before those of `rows`.
    newest_first
        From the highest number to the lowest.
    most
        How many rows.

    Examples
    --------
    >>> walk("decision", "seq", index="NOT INDEXED", spans="list = 'decision'",
    ...      rows="seq >= span.stretch << 12", newest_first=True, most=3).split(" /*postg")[0]
    "/*sqlite*/ SELECT seq FROM span CROSS JOIN decision NOT INDEXED WHERE list = 'decision' AND \
seq >= span.stretch << 12 ORDER BY span.stretch DESC, seq DESC LIMIT 3"
    """
    down = " DESC" if newest_first else ""
    ids, between = "", ""
    # by number alone it would take them for so few rows that it sorts all of a stretch
    if table in DIVIDED and f"{table}.stretch = span.stretch" in rows:
        _, first, last = DIVIDED[table]
        ids, between = f", {first}, {last}", f"{_BETWEEN[table]} AND "
    return (
        f"/*sqlite*/ SELECT {columns} FROM span CROSS JOIN {table} {index} "  # noqa: S608 - our own names
        f"WHERE {spans} AND {rows} ORDER BY span.stretch{down}, seq{down} LIMIT {most:d} "
        "/*postgresql SELECT found.* FROM ("
        f"SELECT stretch{ids} FROM span WHERE {spans} ORDER BY stretch{down}) AS span "
        "CROSS JOIN LATERAL ("
        f"SELECT {columns} FROM {table} WHERE {between}{rows} ORDER BY seq{down} LIMIT {most:d}) "
        "AS found "
        f"ORDER BY span.stretch{down}, seq{down} LIMIT {most:d}*/"
    )
