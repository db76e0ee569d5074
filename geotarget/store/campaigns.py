"""The catalogue's campaigns.

Every version of a campaign is kept, because decisions name the version that made them; versions go
on counting when a campaign is deleted and made again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import sqlalchemy as sa

from geotarget.model import Campaign
from geotarget.store import tables
from geotarget.store.audit import note
from geotarget.store.database import Database, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.zones import raise_revision

_campaign = tables.campaign
_version = tables.campaign_version


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

    def put_campaign(self, campaign: Campaign, *, by: str = "") -> Campaign:
        """Store a campaign as its next version; one that is stored just so keeps its version.

        `by` is who did it, for the audit log; empty keeps it out of there. So with the others.

        Raises
        ------
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            stored = _find_campaign(connection, campaign.id)
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
