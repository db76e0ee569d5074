"""Who works on which slot: leases with fencing epochs, kept by the database's own clock.

A worker takes a slot for some seconds and renews it while it lives. Whoever takes a slot raises its
epoch, and every batch compares the epochs that it was made under with those of the table, in its
own transaction (`slot_logs`): a worker that was frozen, lost its slots meanwhile and wakes up can
commit nothing. The clock only says when a slot may be taken; that nobody writes twice does not
rest on it.

Renewing and taking do not wait for writers: a worker that freezes in the midst of a batch holds up
nobody's lease. A tick costs three statements, about 1 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from geotarget.errors import StoreError
from geotarget.store import live, schema
from geotarget.store.database import Database, cursor_of
from geotarget.store.documents import to_json
from geotarget.store.notices import SLOTS, Listening, notify
from geotarget.store.opening import open_database

_CLOCK = """
SELECT /*sqlite*/ CAST((julianday('now') - 2440587.5) * 86400000 AS BIGINT)
  /*postgresql CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)*/
"""
_AMONG = "slot IN (SELECT CAST(value AS BIGINT) FROM json_each(?))"
_MAKE = """
INSERT INTO slot_lease (slot, owner, epoch, expires_ms, clean) VALUES (?, '', 0, 0, TRUE)
ON CONFLICT (slot) DO NOTHING
"""
_APPEAR = """
INSERT INTO worker (id, expires_ms) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET expires_ms = excluded.expires_ms
"""
_RENEW = "UPDATE slot_lease SET expires_ms = ? WHERE owner = ? RETURNING slot, epoch"
_FREE = f"""
SELECT slot FROM slot_lease WHERE (owner = '' OR expires_ms < ?) AND {_AMONG}
ORDER BY slot LIMIT ?
/*postgresql FOR UPDATE SKIP LOCKED*/
"""  # noqa: S608 - our own text
_TAKE = f"""
UPDATE slot_lease SET clean = (owner = '' AND clean), owner = ?, epoch = epoch + 1, expires_ms = ?
WHERE {_AMONG} RETURNING slot, epoch, clean
"""  # noqa: S608 - our own text
_RELEASE = """
UPDATE slot_lease SET owner = '', expires_ms = 0, clean = ?
WHERE slot = ? AND owner = ? AND epoch = ?
"""
_IN_SLOTS = """
SELECT EXISTS (SELECT 1 FROM slot_log) OR EXISTS (SELECT 1 FROM device WHERE slot >= 0)
  OR EXISTS (SELECT 1 FROM membership WHERE slot >= 0)
"""


class SlotsLost(StoreError):
    """Others own these slots by now; nothing was written.

    Parameters
    ----------
    slots
        Which.
    """

    def __init__(self, slots: Collection[int]) -> None:
        self.slots = frozenset(slots)
        super().__init__(f"other workers own slots {sorted(self.slots)} by now")


@dataclass(frozen=True, slots=True)
class Taken:
    """One slot that was taken.

    Parameters
    ----------
    slot
        Its number.
    epoch
        How often it was taken in all.
    clean
        Whether whoever had it before left it with everything committed.
    """

    slot: int
    epoch: int
    clean: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """Who owns a slot, and for how long by the database's clock.

    Parameters
    ----------
    slot
        Its number.
    owner
        The worker that took it last; empty when that gave it back, or nobody ever did.
    epoch
        How often it was taken in all.
    left_ms
        How long the lease lasts yet; below 0 when it ran out so long ago. 0 without an owner.
    """

    slot: int
    owner: str
    epoch: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tick found.

    Parameters
    ----------
    held
        Slot -> epoch of what this worker owns.
    workers
        How many workers live, this one included.
    """

    held: Mapping[int, int]
    workers: int


class Leases:
    """Shares slots among workers.

    Parameters
    ----------
    database
        Where the leases are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare_slots(self, slots: Sequence[int], slot_of: Callable[[str], int]) -> int:
        """Make the rows of slots, and put devices that are in none into theirs.

        Returns
        -------
        int
            How many devices were put into their slots.
        """
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            cursor.executemany(_MAKE, [(slot,) for slot in slots])
            return live.scatter(cursor, slot_of)

    def work_alone(self) -> None:
        """Take all devices out of their slots: one ingest works on them without leases.

        Raises
        ------
        StoreError
            Workers with slots are alive.
        """
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (now_ms,) = cursor.execute(_CLOCK).fetchone()
            (alive,) = cursor.execute(
                "SELECT count(*) FROM slot_lease WHERE owner <> '' AND expires_ms >= ?", (now_ms,)
            ).fetchone()
            (in_slots,) = cursor.execute(_IN_SLOTS).fetchone()
        if alive:
            raise StoreError(
                f"workers with slots are at work on {self._database.name} ({alive} slots are "
                "taken): start this one with --slots as well, or end them first"
            )
        if in_slots:
            with self._database.write() as connection:
                live.gather(cursor_of(connection))

    def renew_slots(self, owner: str, *, lease_ms: int) -> Standing:
        """Say that a worker lives, and keep its slots for so much longer.

        A lease that ran out is renewed all the same if nobody took it meanwhile.

        Raises
        ------
        StoreError
            The database can't be written.
        """
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            (now_ms,) = cursor.execute(_CLOCK).fetchone()
            cursor.execute("DELETE FROM worker WHERE expires_ms < ?", (now_ms,))
            cursor.execute(_APPEAR, (owner, now_ms + lease_ms))
            held = dict(cursor.execute(_RENEW, (now_ms + lease_ms, owner)).fetchall())
            (workers,) = cursor.execute("SELECT count(*) FROM worker").fetchone()
        return Standing(held, workers)

    def take_slots(
        self, owner: str, *, among: Collection[int], most: int, lease_ms: int
    ) -> list[Taken]:
        """Take slots that nobody owns, or whose lease has run out; their epochs rise.

        Parameters
        ----------
        owner
            Who takes them.
        among
            Only of these.
        most
            At most so many.
        lease_ms
            For how long.
        """
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            (now_ms,) = cursor.execute(_CLOCK).fetchone()
            asked = (now_ms, to_json(sorted(among)), most)
            free = [slot for (slot,) in cursor.execute(_FREE, asked).fetchall()]
            if not free:
                return []
            rows = cursor.execute(_TAKE, (owner, now_ms + lease_ms, to_json(free))).fetchall()
        return sorted((Taken(slot, epoch, bool(clean)) for slot, epoch, clean in rows), key=_number)

    def release_slots(self, owner: str, held: Mapping[int, int], clean: Collection[int]) -> None:
        """Give slots back; those of `clean` need not be held by whoever takes them next."""
        if not held:
            return
        with self._database.write(alone=False) as connection:
            cursor = cursor_of(connection)
            for slot, epoch in sorted(held.items()):
                cursor.execute(_RELEASE, (slot in clean, slot, owner, epoch))
            notify(connection, SLOTS)

    def on_slots_released(self, look: Callable[[], None]) -> Listening:
        """Call `look` in a thread of its own when somebody has given slots back.

        As far as the database can tell (`notices`): look now and then all the same. `look` must
        not raise. To be stopped before the store is closed.
        """
        return self._database.listen([SLOTS], lambda _channel: look())

    def leave_workers(self, owner: str) -> None:
        """Say that a worker is gone, so that the others share its slots at once."""
        with self._database.write(alone=False) as connection:
            cursor_of(connection).execute("DELETE FROM worker WHERE id = ?", (owner,))

    def slot_leases(self) -> list[Lease]:
        """Return all leases, by slot; none before a worker with slots has ever started."""
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (now_ms,) = cursor.execute(_CLOCK).fetchone()
            rows = cursor.execute(
                "SELECT slot, owner, epoch, expires_ms FROM slot_lease ORDER BY slot"
            ).fetchall()
        return [
            Lease(slot, owner, epoch, expires_ms - now_ms if owner else 0)
            for slot, owner, epoch, expires_ms in rows
        ]

    def live_workers(self) -> list[str]:
        """Return the names of the workers that live, with slots or without."""
        with self._database.read() as connection:
            cursor = cursor_of(connection)
            (now_ms,) = cursor.execute(_CLOCK).fetchone()
            rows = cursor.execute(
                "SELECT id FROM worker WHERE expires_ms >= ? ORDER BY id", (now_ms,)
            ).fetchall()
        return [name for (name,) in rows]


def read_leases(url: str) -> tuple[list[Lease], list[str]]:
    """Return the leases and the live workers of a database, without its keys; changes nothing.

    Raises
    ------
    StoreError
        It is not there, can't be read, or is of another version.
    """
    database = open_database(url)
    try:
        schema.check(database)
        leases = Leases(database)
        return leases.slot_leases(), leases.live_workers()
    finally:
        database.close()


def _number(taken: Taken) -> int:
    return taken.slot
