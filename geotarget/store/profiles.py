"""Profiles and their devices: what the gates of a batch ask for.

A device belongs to one profile: to the one that it is linked to, else to that of its own id. The
question of a batch is one query, whatever its size: the keys go in as one JSON text and are joined
inside SQLite, 3 to 4 µs a key. Writing a profile does not raise the catalogue's revision; it is
read anew with every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from geotarget.model import Hours, Profile
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.tombstones import PROFILE, pseudonym

_OF_DEVICES = """
SELECT asked.value, coalesce(link.profile, asked.value), attributes, consent, external_ids,
  quiet_hours
FROM json_each(?) AS asked
LEFT JOIN profile_device AS link ON link.device = asked.value
LEFT JOIN profile ON profile.id = coalesce(link.profile, asked.value)
WHERE link.profile IS NOT NULL OR profile.id IS NOT NULL
"""
_ONE = "SELECT attributes, consent, external_ids, quiet_hours FROM profile WHERE id = ?"
_DEVICES = "SELECT device FROM profile_device WHERE profile = ? ORDER BY device"
_SOME = """
SELECT id, attributes, consent, external_ids, quiet_hours FROM profile
ORDER BY changed_ms DESC LIMIT ?
"""
_PUT = """
INSERT INTO profile (id, attributes, consent, external_ids, quiet_hours, changed_ms)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET attributes = excluded.attributes,
  consent = excluded.consent, external_ids = excluded.external_ids,
  quiet_hours = excluded.quiet_hours, changed_ms = excluded.changed_ms
"""
_LINK = """
INSERT INTO profile_device (device, profile) VALUES (?, ?)
ON CONFLICT (device) DO UPDATE SET profile = excluded.profile
"""


class Profiles:
    """Keeps profiles.

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

    def put_profile(self, profile: Profile, *, keep_links: bool = False, by: str = "") -> Profile:
        """Store a profile, in place of what was known of it; gates see it from the next batch on.

        Parameters
        ----------
        profile
            Its `devices` are linked to it, and taken from whoever had them.
        keep_links
            Leave its links as they are, whatever `devices` says.
        by
            Who does it, for the audit log, which keeps what changes in its consent, under a
            pseudonym, and nothing else; empty keeps that out of there.

        Returns
        -------
        Profile
            As it is stored, with all its devices in order.

        Raises
        ------
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            cursor = cursor_of(connection)
            before = _find(cursor, profile.id) if by else None
            changed = _consent_changed({} if before is None else before.consent, profile.consent)
            write_profiles(cursor, [(profile, keep_links)], now_ms=self._now_ms())
            if by and changed:
                who = pseudonym(cursor, PROFILE, profile.id)
                note(connection, self._now_ms(), by, "profile.consent", who, changed)
            stored = _find(cursor, profile.id)
        assert stored is not None
        return stored

    def put_profiles(self, profiles: Sequence[Profile], *, keep_links: bool = False) -> None:
        """Store many profiles in one transaction; otherwise as `put_profile`."""
        with self._database.write() as connection:
            rows = [(profile, keep_links) for profile in profiles]
            write_profiles(cursor_of(connection), rows, now_ms=self._now_ms())

    def profile(self, id: str) -> Profile | None:
        """Return what is stored of a profile, with its devices; None when nothing is."""
        with self._database.read() as connection:
            return _find(cursor_of(connection), id)

    def profiles_of(self, devices: Sequence[str]) -> dict[str, Profile]:
        """Return the profile of each device; an empty one where nothing is stored.

        Parameters
        ----------
        devices
            Device ids. A device without a link has the profile of its own id.

        Returns
        -------
        dict
            By device, in the order asked; `Profile.devices` is not read and stays empty.
        """
        with self._database.read() as connection:
            return find_profiles(cursor_of(connection), devices)

    def some_profiles(self, limit: int = 20) -> list[Profile]:
        """Return the profiles that were written last, without their devices: to try offers on."""
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_SOME, (limit,)).fetchall()
        return [read_profile(*row) for row in rows]


def find_profiles(cursor: Any, devices: Sequence[str]) -> dict[str, Profile]:
    """Return the profile of each device, inside a transaction of the caller; see `profiles_of`."""
    if not devices:
        return {}
    known = {
        device: Profile(id=name) if attributes is None else read_profile(name, attributes, *rest)
        for device, name, attributes, *rest in cursor.execute(_OF_DEVICES, (to_json(devices),))
    }
    return {device: known.get(device) or Profile(id=device) for device in devices}


def write_profiles(cursor: Any, profiles: Iterable[tuple[Profile, bool]], *, now_ms: int) -> None:
    """Store profiles inside a transaction of the caller, in their order.

    Parameters
    ----------
    cursor
        Of the driver.
    profiles
        Each with whether its links stay as they are.
    now_ms
        When that is, Unix milliseconds.
    """
    rows = []
    for profile, keep_links in profiles:
        quiet = profile.quiet_hours
        hours = None if quiet is None else to_json([quiet.start, quiet.end])
        attributes, consent = to_json(profile.attributes), to_json(profile.consent)
        external_ids = to_json(profile.external_ids)
        rows.append((profile.id, attributes, consent, external_ids, hours, now_ms))
        if not keep_links:
            cursor.execute("DELETE FROM profile_device WHERE profile = ?", (profile.id,))
            cursor.executemany(_LINK, [(device, profile.id) for device in profile.devices])
    cursor.executemany(_PUT, rows)


def read_profile(
    id: str, attributes: str, consent: str, external_ids: str, quiet_hours: str | None
) -> Profile:
    """Return the profile of a row, without its devices."""
    return Profile(
        id=id,
        attributes=from_json(attributes),
        consent=from_json(consent),
        external_ids=from_json(external_ids),
        quiet_hours=None if quiet_hours is None else Hours(*from_json(quiet_hours)),
    )


def _consent_changed(
    before: Mapping[str, bool], after: Mapping[str, bool]
) -> dict[str, bool | None]:
    """Return the purposes whose consent is another one now; None: nothing is known any more."""
    return {
        purpose: after.get(purpose)
        for purpose in sorted({*before, *after})
        if before.get(purpose) != after.get(purpose)
    }


def _find(cursor: Any, id: str) -> Profile | None:
    row = cursor.execute(_ONE, (id,)).fetchone()
    if row is None:
        return None
    found = read_profile(id, *row)
    devices = tuple(device for (device,) in cursor.execute(_DEVICES, (id,)))
    return Profile(
        id=id,
        attributes=found.attributes,
        consent=found.consent,
        external_ids=found.external_ids,
        devices=devices,
        quiet_hours=found.quiet_hours,
    )
