"""The catalogue's campaigns.

Every version of a campaign is kept, because decisions name the version that made them; versions go
on counting when a campaign is deleted and made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from geotarget.errors import Outdated
from geotarget.model import Campaign
from geotarget.store import tables
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.zones import raise_revision

_campaign = tables.campaign
_version = tables.campaign_version

_CHANGED = """
SELECT campaign.id, changed_ms FROM json_each(?) AS asked
JOIN campaign ON campaign.id = asked.value
JOIN campaign_version AS version
  ON version.campaign = campaign.id AND version.version = campaign.version
"""
_AUTHORS = """
SELECT actor, json_extract(detail, '$.version') FROM audit
WHERE action = 'campaign.put' AND subject = ? ORDER BY seq DESC
"""


def _always(_version: int) -> bool:
    return True


class Campaigns:
    """Keeps campaigns.

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

    def put_campaign(
        self, campaign: Campaign, *, by: str = "", only_if: Callable[[int], bool] = _always
    ) -> Campaign:
        """Store a campaign as its next version; one that is stored just so keeps its version.

        Parameters
        ----------
        campaign
            Its version is given here.
        by
            Who does it, for the audit log; empty keeps it out of there. So with the others.
        only_if
            Asked in the transaction of the change: hears the version that is stored, 0 for none.

        Raises
        ------
        Outdated
            `only_if` said no; says who stored what is there, and when.
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            stored = _find_campaign(connection, campaign.id)
            if not only_if(0 if stored is None else stored.version):
                raise Outdated(_who_was_first(connection, campaign.id, stored))
            if stored is not None and _told(stored) == _told(campaign):
                return stored
            last = connection.execute(
                sa.select(sa.func.max(_version.c.version)).where(_version.c.campaign == campaign.id)
            ).scalar_one()
            campaign = replace(campaign, version=(last or 0) + 1)
            row = {
                "version": campaign.version,
                "document": to_json(msgspec.to_builtins(campaign)),
            }
            if stored is None:
                connection.execute(sa.insert(_campaign).values(id=campaign.id, **row))
            else:
                connection.execute(
                    sa.update(_campaign).where(_campaign.c.id == campaign.id).values(row)
                )
            connection.execute(
                sa.insert(_version).values(campaign=campaign.id, changed_ms=self._now_ms(), **row)
            )
            raise_revision(connection)
            detail = {"version": campaign.version}
            note(connection, self._now_ms(), by, "campaign.put", campaign.id, detail)
        return campaign

    def delete_campaign(self, id: str, *, by: str = "") -> bool:
        """Delete a campaign; its versions and decisions stay. False when there is none."""
        with self._database.write() as connection:
            found = connection.execute(sa.delete(_campaign).where(_campaign.c.id == id))
            if not found.rowcount:
                return False
            raise_revision(connection)
            note(connection, self._now_ms(), by, "campaign.delete", id)
        return True

    def campaign(self, id: str, *, version: int | None = None) -> Campaign | None:
        """Return a campaign as it is, or as it was in a version; None when there is none."""
        with self._database.read() as connection:
            if version is None:
                return _find_campaign(connection, id)
            document = connection.execute(
                sa.select(_version.c.document).where(
                    _version.c.campaign == id, _version.c.version == version
                )
            ).scalar_one_or_none()
        return None if document is None else _read(document)

    def campaign_versions(
        self, id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[tuple[int, Campaign]]:
        """Return the versions of a campaign, newest first, each with when it was stored.

        Also of one that is deleted; empty when there never was one of this id.

        Raises
        ------
        InvalidInput
            The limit is out of 1 to 1000, or the cursor of no such list.
        """
        columns = (_version.c.version, _version.c.changed_ms, _version.c.document)
        query = sa.select(*columns).where(_version.c.campaign == id)
        query = query.order_by(_version.c.version.desc()).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_version.c.version < read_cursor(cursor, "campaign_version", int))
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return cut(
            rows,
            limit,
            list="campaign_version",
            place=0,
            make=lambda row: (row[1], _read(row[2])),
        )

    def campaign_changes(self, ids: Collection[str]) -> dict[str, int]:
        """Return when campaigns were changed last, Unix milliseconds, by id."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_CHANGED, (to_json(sorted(ids)),))
            return dict(rows.fetchall())

    def campaign_changed(self, id: str, version: int) -> int | None:
        """Return when a version was stored, Unix milliseconds; None when there is none such."""
        when = sa.select(_version.c.changed_ms).where(
            _version.c.campaign == id, _version.c.version == version
        )
        with self._database.read() as connection:
            found: int | None = connection.execute(when).scalar_one_or_none()
        return found

    def campaign_authors(self, id: str, versions: Collection[int]) -> dict[int, str]:
        """Return who stored versions of a campaign, as the audit log has it; not those unnamed.

        The log is gone through backwards until all are found, 0.1 µs an entry.
        """
        with self._database.read() as connection:
            return _authors(cursor_of(connection), id, versions)

    def campaigns(self) -> list[Campaign]:
        """Return all campaigns in the order of their ids, whatever their status."""
        with self._database.read() as connection:
            documents = connection.execute(
                sa.select(_campaign.c.document).order_by(_campaign.c.id)
            ).scalars()
            return [_read(document) for document in documents]

    def campaigns_page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Campaign]:
        """Return campaigns in the order of their ids.

        Raises
        ------
        InvalidInput
            The limit is out of 1 to 1000, or the cursor of no such list.
        """
        query = sa.select(_campaign.c.id, _campaign.c.document).order_by(_campaign.c.id)
        query = query.limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_campaign.c.id > read_cursor(cursor, "campaign", str))
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return cut(rows, limit, list="campaign", place=0, make=lambda row: _read(row[1]))


def _authors(cursor: Any, id: str, versions: Collection[int]) -> dict[int, str]:
    left = set(versions)
    found: dict[int, str] = {}
    for actor, version in cursor.execute(_AUTHORS, (id,)):
        if not left:
            break
        if version in left:
            left.remove(version)
            found[version] = actor
    return found


def _who_was_first(connection: sa.Connection, id: str, stored: Campaign | None) -> str:
    """Say how a campaign stands, to who thought that it stood otherwise."""
    if stored is None:
        return f"there is no campaign {id!r}"
    cursor = cursor_of(connection)
    author = _authors(cursor, id, [stored.version]).get(stored.version)
    (row,) = cursor.execute(_CHANGED, (to_json([id]),)).fetchall()
    at = datetime.fromtimestamp(row[1] / 1000, UTC).isoformat(" ", "seconds").replace("+00:00", "Z")
    by = "" if author is None else f" by {author!r}"
    return f"campaign {id!r} is at version {stored.version}, stored{by} at {at}"


def _find_campaign(connection: sa.Connection, id: str) -> Campaign | None:
    document = connection.execute(
        sa.select(_campaign.c.document).where(_campaign.c.id == id)
    ).scalar_one_or_none()
    return None if document is None else _read(document)


def _read(document: str) -> Campaign:
    return msgspec.convert(from_json(document), Campaign)


def _told(campaign: Campaign) -> str:
    """Return all that an author can change, in one form."""
    plain = msgspec.to_builtins(replace(campaign, version=0), order="deterministic")
    return to_json(plain, ordered=True)
