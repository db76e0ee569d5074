"""History as a backtest reads it: the movements of the last days.

Read only, a few thousand rows a transaction, so that a long look back holds up neither writers nor
the write-ahead log. A movement costs 5 µs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geotarget.model import Transition
from geotarget.store.database import Database, cursor_of
from geotarget.store.history import _TRANSITIONS, _transition
from geotarget.store.stretches import IDS_OF_SPAN
from geotarget.store.tables import STRETCH_BITS

ROWS_AT_ONCE = 2_000

_RECENT = f"""
SELECT min(seq), max(seq), count(*) FROM (
  SELECT seq FROM span CROSS JOIN transition NOT INDEXED
  WHERE list = 'transition' AND max_ms >= ?1 {IDS_OF_SPAN}
    AND seq >= span.stretch << {STRETCH_BITS} AND seq < (span.stretch + 1) << {STRETCH_BITS}
    AND ts_ms >= ?1
  ORDER BY span.stretch DESC, seq DESC LIMIT ?2
)
"""  # noqa: S608 - our own number
_BETWEEN = f"""
SELECT seq, {_TRANSITIONS.columns} FROM transition
WHERE seq > ? AND seq <= ? AND ts_ms >= ? ORDER BY seq LIMIT ?
"""  # noqa: S608 - our own columns
_STAYS = """
SELECT seq, kind, zone, visit, ts_ms, duration_s, threshold_s FROM transition
WHERE seq > ? AND seq <= ? AND kind IN ('dwell', 'exit', 'reconciled') ORDER BY seq LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The movements since an instant, as they were committed.

    Parameters
    ----------
    from_ms
        The instant, Unix milliseconds; only what happened from then on.
    first, last
        Numbers of the first and of the last one.
    count
        How many there are, the newest `most` of them.
    cut
        Whether there were more before.
    """

    from_ms: int
    first: int
    last: int
    count: int
    cut: bool


@dataclass(frozen=True, slots=True)
class StayMark:
    """What a transition told of the length of a visit: that it lasted so long, or that it ended.

    `ended_s` is how long it was, seconds; None where it went on. `threshold_s` is the time that was
    waited for; None at its end.
    """

    zone: str
    visit: str
    ts_ms: int
    ended_s: float | None
    threshold_s: int | None


class Lookback:
    """Reads what a backtest is played from.

    Parameters
    ----------
    database
        Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def stretch_since(self, from_ms: int, *, most: int) -> Stretch:
        """Find the movements since an instant: the newest `most` of them.

        Parameters
        ----------
        from_ms
            Unix milliseconds.
        """
        with self._database.read() as connection:
            row = cursor_of(connection).execute(_RECENT, (from_ms, most + 1)).fetchone()
        first, last, count = (each or 0 for each in row)
        cut = count > most
        return Stretch(from_ms, first + cut, last, min(count, most), cut)

    def transitions_in(self, stretch: Stretch) -> Iterator[Transition]:
        """Yield the movements of a stretch, those committed first first."""
        after = stretch.first - 1
        while True:
            values = (after, stretch.last, stretch.from_ms, ROWS_AT_ONCE)
            with self._database.read() as connection:
                rows = cursor_of(connection).execute(_BETWEEN, values).fetchall()
            yield from map(_transition, rows)
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1][0]

    def stay_marks(self, stretch: Stretch) -> Iterator[StayMark]:
        """Yield what the movements of a stretch tell of the lengths of visits."""
        after = stretch.first - 1
        while True:
            with self._database.read() as connection:
                values = (after, stretch.last, ROWS_AT_ONCE)
                rows = cursor_of(connection).execute(_STAYS, values).fetchall()
            for _, kind, zone, visit, ts_ms, duration_s, threshold_s in rows:
                ended_s = None if kind == "dwell" else duration_s
                yield StayMark(zone, visit, ts_ms, ended_s, threshold_s)
            if len(rows) < ROWS_AT_ONCE:
                return
            after = rows[-1][0]
