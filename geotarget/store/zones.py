"""The catalogue's zones: as they were drawn, under a revision, deletions included.

Every change raises the catalogue's revision by one in its own transaction, and marks what it
touched with it: whoever knows a revision can ask for all that came after. A zone that is put again
just as it is stored changes nothing, so a catalogue can be imported at every start.

Geometries are kept as WKB, bit for bit. They were validated before they came here and are not
validated again: 10,000 zones load in 0.1 s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import shapely
import sqlalchemy as sa
from numpy.typing import NDArray

from geotarget.errors import InvalidZone, Problem
from geotarget.model import EntryPolicy, IntArray, Zone
from geotarget.store import tables
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.notices import CATALOG, Listening, notify
from geotarget.store.pages import Page, check_limit, cut, read_cursor

CHUNK = 5_000
MOST_NOTED = 50
"""Ids that one audit entry names; its `revision` finds the rest."""

METRES_PER_DEGREE = 111_195.0
DIGEST_BYTES = 16

_zone = tables.zone
_tombstone = tables.zone_tombstone
_COLUMNS = (
    _zone.c.id,
    _zone.c.geometry,
    _zone.c.radius_m,
    _zone.c.name,
    _zone.c.tags,
    _zone.c.priority,
    _zone.c.entry,
    _zone.c.pending_enters,
    _zone.c.exit_buffer_m,
    _zone.c.active,
    _zone.c.sensitive,
    _zone.c.starts_ms,
    _zone.c.ends_ms,
    _zone.c.time_zone,
    _zone.c.properties,
    _zone.c.revision,
    _zone.c.key,
)

_MARKS = "SELECT id, key, revision, digest FROM zone WHERE active ORDER BY key"

Box = tuple[float, float, float, float]


class ZoneMarks(NamedTuple):
    """What tells the states of active zones apart, in the order of their keys."""

    ids: NDArray[np.object_]
    key: IntArray
    revision: IntArray
    digest: NDArray[np.uint8]
    """Of all that an author can change, shape (n, 16)."""


def raise_revision(connection: sa.Connection) -> int:
    """Return the new revision of the catalogue, inside the transaction of a change."""
    connection.execute(sa.update(tables.catalog).values(revision=tables.catalog.c.revision + 1))
    notify(connection, CATALOG)
    return _revision(connection)


def _revision(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(tables.catalog.c.revision)).scalar_one())


class Zones:
    """Keeps zones.

    Parameters
    ----------
    database
        Where to.
    now_ms
        The clock.
    """

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    def catalog_revision(self) -> int:
        """Return the revision of the catalogue: 0 when empty, one more with every change."""
        with self._database.read() as connection:
            return _revision(connection)

    def on_catalog_change(self, look: Callable[[], None]) -> Listening:
        """Call `look` in a thread of its own when somebody has changed the catalogue.

        As far as the database can tell (`notices`): ask for the revision now and then all the same.
        `look` must not raise. To be stopped before the store is closed.
        """
        return self._database.listen([CATALOG], lambda _channel: look())

    def put_zones(self, zones: Sequence[Zone], *, by: str = "") -> list[Zone]:
        """Store zones in one transaction; those that are stored just so keep their revision.

        Parameters
        ----------
        zones
            Each id once. `revision` and `key` are ignored.
        by
            Who does it, for the audit log: one entry for all that changed. Empty keeps it out.

        Returns
        -------
        list of Zone
            The same, with `revision` and `key`, in the same order. A key is given for life: a
            zone that was deleted and is made again gets a new one.

        Raises
        ------
        InvalidZone
            An id comes twice.
        StoreError
            Nothing is stored.
        """
        _check_ids(zones)
        rows = _rows(zones)
        with self._database.write() as connection:
            known = _known(connection, [zone.id for zone in zones])
            changed = [row for row in rows if known.get(row["id"], (0, 0, b""))[2] != row["digest"]]
            if changed:
                revision = raise_revision(connection)
                for row in changed:
                    row["revision"] = revision
                _write(connection, changed, known)
                self._note(connection, by, "zone.put", [row["id"] for row in changed], revision)
                known |= _known(connection, [row["id"] for row in changed])
        return [replace(zone, key=known[zone.id][0], revision=known[zone.id][1]) for zone in zones]

    def delete_zones(self, ids: Sequence[str], *, by: str = "") -> list[str]:
        """Delete zones and remember that they were; returns the ids that existed.

        `by` is who does it, for the audit log; empty keeps it out of there.
        """
        with self._database.write() as connection:
            known = _known(connection, ids)
            existed = [name for name in dict.fromkeys(ids) if name in known]
            if existed:
                revision = raise_revision(connection)
                connection.execute(
                    sa.delete(_zone).where(_zone.c.id == sa.bindparam("gone")),
                    [{"gone": name} for name in existed],
                )
                connection.execute(
                    sa.insert(_tombstone), [{"id": name, "revision": revision} for name in existed]
                )
                self._note(connection, by, "zone.delete", existed, revision)
        return existed

    def _note(
        self, connection: sa.Connection, by: str, action: str, ids: Sequence[str], revision: int
    ) -> None:
        """Add one audit entry for a change, however many zones it has."""
        detail: dict[str, Any] = {"revision": revision}
        if len(ids) > 1:
            detail |= {"count": len(ids), "ids": list(ids[:MOST_NOTED])}
        note(connection, self._now_ms(), by, action, ids[0] if len(ids) == 1 else "", detail)

    def zones(self, *, since_revision: int = 0) -> tuple[list[Zone], list[str]]:
        """Return what changed after a revision; after 0 that is everything.

        Returns
        -------
        put : list of Zone
            Made or changed, in the order of their keys, inactive ones too. One that was deleted
            and made again is here only, with a new key.
        deleted : list of str
            Ids of those that are gone.
        """
        everything = sa.select(*_COLUMNS)
        with self._database.read() as connection:
            if not since_revision:
                rows = connection.execute(everything.order_by(_zone.c.key)).all()
            else:
                # Put in order here: asked for an order, SQLite goes through all zones by their keys
                # to save itself the sorting, and leaves the index of revisions alone.
                newer = everything.where(_zone.c.revision > since_revision)
                rows = sorted(connection.execute(newer).all(), key=attrgetter("key"))
            deleted = connection.execute(
                sa.select(_tombstone.c.id).where(_tombstone.c.revision > since_revision)
            ).scalars()
            return _zones(rows), sorted(deleted)

    def zone_marks(self) -> ZoneMarks:
        """Return what tells the states of the active zones apart; a tenth of reading them."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_MARKS).fetchall()
        ids = np.empty(len(rows), np.object_)
        ids[:] = [row[0] for row in rows]
        digests = np.frombuffer(b"".join(row[3] for row in rows), np.uint8)
        return ZoneMarks(
            ids,
            np.array([row[1] for row in rows], np.int64),
            np.array([row[2] for row in rows], np.int64),
            digests.reshape(len(rows), DIGEST_BYTES),
        )

    def zones_of_keys(self, keys: IntArray) -> list[Zone]:
        """Return the zones with these keys, as far as they are there."""
        found: list[Zone] = []
        with self._database.read() as connection:
            for start in range(0, len(keys), CHUNK):
                some = keys[start : start + CHUNK].tolist()
                query = sa.select(*_COLUMNS).where(_zone.c.key.in_(some)).order_by(_zone.c.key)
                found += _zones(connection.execute(query).all())
        return found

    def zone(self, id: str) -> Zone | None:
        """Return a zone, None when there is none of this id."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).where(_zone.c.id == id)).all()
        return next(iter(_zones(rows)), None)

    def zones_page(
        self,
        *,
        tag: str | None = None,
        bbox: Box | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Zone]:
        """Return zones in the order of their ids, inactive ones too.

        Parameters
        ----------
        tag
            Only those with this tag.
        bbox
            Only those whose bounding box meets this one: west, south, east, north in degrees;
            west above east crosses 180°.
        limit
            Most items, 1 to 1000.
        cursor
            `Page.next` of the page before.

        Raises
        ------
        InvalidInput
            The limit is out of bounds or the cursor of no such list.
        """
        query = sa.select(*_COLUMNS).order_by(_zone.c.id).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_zone.c.id > read_cursor(cursor, "zone", str))
        if tag is not None:
            query = query.where(_tagged(tag))
        if bbox is not None:
            query = query.where(_meets(*bbox))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        found = [(zone.id, zone) for zone in _zones(rows)]
        return cut(found, limit, list="zone", place=0, make=lambda row: row[1])


def _tagged(tag: str) -> sa.ColumnElement[bool]:
    """Return the condition that a zone has a tag. Tags are a JSON list of texts, as written here.

    A quote right behind a bracket or a comma begins a text: within one it would be escaped.
    """
    text = to_json(tag)
    return sa.or_(
        *(sa.func.replace(_zone.c.tags, f"{sign}{text}", "") != _zone.c.tags for sign in "[,")
    )


def _check_ids(zones: Sequence[Zone]) -> None:
    seen: set[str] = set()
    for position, zone in enumerate(zones):
        if zone.id in seen:
            raise InvalidZone(
                Problem(f"$.features[{position}].id", zone.id, "comes twice in this document")
            )
        seen.add(zone.id)


def _known(connection: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[int, int, bytes]]:
    """Return key, revision and digest of those zones that are stored."""
    known: dict[str, tuple[int, int, bytes]] = {}
    for start in range(0, len(ids), CHUNK):
        found = connection.execute(
            sa.select(_zone.c.id, _zone.c.key, _zone.c.revision, _zone.c.digest).where(
                _zone.c.id.in_(ids[start : start + CHUNK])
            )
        )
        known.update({row[0]: (row[1], row[2], row[3]) for row in found})
    return known


def _write(
    connection: sa.Connection,
    rows: Sequence[dict[str, Any]],
    known: dict[str, tuple[int, int, bytes]],
) -> None:
    new = [row for row in rows if row["id"] not in known]
    if new:
        connection.execute(sa.insert(_zone), new)
        connection.execute(
            sa.delete(_tombstone).where(_tombstone.c.id == sa.bindparam("back")),
            [{"back": row["id"]} for row in new],
        )
    old = [row | {"of": row["id"]} for row in rows if row["id"] in known]
    if old:
        names = [name for name in rows[0] if name != "id"]
        connection.execute(
            sa.update(_zone)
            .where(_zone.c.id == sa.bindparam("of"))
            .values({name: sa.bindparam(name) for name in names}),
            [{name: row[name] for name in (*names, "of")} for row in old],
        )


def _rows(zones: Sequence[Zone]) -> list[dict[str, Any]]:
    """Return zones as rows without revision; the digest covers all that an author can change."""
    geometries = np.array([zone.geometry for zone in zones], dtype=object)
    blobs: Iterable[bytes] = shapely.to_wkb(geometries, byte_order=1)
    rows = []
    for zone, geometry, box in zip(zones, blobs, shapely.bounds(geometries), strict=True):
        plain = {
            "name": zone.name,
            "tags": to_json(zone.tags),
            "priority": zone.priority,
            "entry": zone.entry.value,
            "active": zone.active,
            "sensitive": zone.sensitive,
            "starts_ms": zone.starts_ms,
            "ends_ms": zone.ends_ms,
            "time_zone": zone.time_zone,
            "radius_m": zone.radius_m,
        }
        # What came later is told only where it says something: older digests stay true.
        later = {
            name: value
            for name, value, default in (
                ("pending_enters", zone.pending_enters, False),
                ("exit_buffer_m", zone.exit_buffer_m, None),
            )
            if value != default
        }
        told = to_json([plain | later, zone.properties], ordered=True)
        west, south, east, north = _box(box.tolist(), zone.radius_m)
        rows.append(
            {
                "id": zone.id,
                **plain,
                "pending_enters": zone.pending_enters,
                "exit_buffer_m": zone.exit_buffer_m,
                "west": west,
                "south": south,
                "east": east,
                "north": north,
                "properties": to_json(zone.properties),
                "geometry": geometry,
                "digest": blake2b(told.encode() + geometry, digest_size=DIGEST_BYTES).digest(),
            }
        )
    return rows


def _box(bounds: Sequence[float], radius_m: float | None) -> Box:
    """Return the bounding box of a zone; all around for a circle that reaches 180° or a pole."""
    west, south, east, north = bounds
    if radius_m is None:
        return west, south, east, north
    high = radius_m / METRES_PER_DEGREE
    south, north = max(south - high, -90.0), min(north + high, 90.0)
    narrowest = math.cos(math.radians(max(abs(south), abs(north))))
    wide = high / narrowest if narrowest > high / 180.0 else 180.0
    if west - wide < -180.0 or east + wide > 180.0:
        return -180.0, south, 180.0, north
    return west - wide, south, east + wide, north


def _meets(west: float, south: float, east: float, north: float) -> sa.ColumnElement[bool]:
    sideways = [_zone.c.west <= east, _zone.c.east >= west]
    within = sa.and_(*sideways) if west <= east else sa.or_(*sideways)
    return sa.and_(within, _zone.c.south <= north, _zone.c.north >= south)


def _zones(rows: Sequence[Any]) -> list[Zone]:
    geometries = shapely.from_wkb([row[1] for row in rows])
    return [
        Zone(
            id=row[0],
            geometry=geometry,
            radius_m=row[2],
            name=row[3],
            tags=tuple(from_json(row[4])),
            priority=row[5],
            entry=EntryPolicy(row[6]),
            pending_enters=row[7],
            exit_buffer_m=row[8],
            active=row[9],
            sensitive=row[10],
            starts_ms=row[11],
            ends_ms=row[12],
            time_zone=row[13],
            properties=from_json(row[14]),
            revision=row[15],
            key=row[16],
        )
        for row, geometry in zip(rows, geometries, strict=True)
    ]
