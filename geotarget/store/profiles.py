"""Profiles, and how often each campaign reached them: what the gates of a batch ask for.

Both questions are one query a batch, whatever its size: the keys go in as one JSON text and are
joined inside SQLite, 2 to 3 µs a key. Writing a profile does not raise the catalogue's revision;
it is read anew with every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from geotarget.model import Profile
from geotarget.store import tables, traces
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json

_profile = tables.profile

_PROFILES = """
SELECT profile.id, attributes, consent
FROM json_each(?) AS asked CROSS JOIN profile ON profile.id = asked.value
"""
_LAST_FIRED = """
SELECT campaign, profile, last_fired_ms FROM json_each(?) AS asked CROSS JOIN campaign_profile
WHERE campaign = json_extract(asked.value, '$[0]') AND profile = json_extract(asked.value, '$[1]')
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

    def put_profile(self, profile: Profile) -> Profile:
        """Store a profile, in place of what was known of it; gates see it from the next batch on.

        Raises
        ------
        StoreError
            Nothing is stored.
        """
        row = {
            "attributes": to_json(profile.attributes),
            "consent": to_json(profile.consent),
            "changed_ms": self._now_ms(),
        }
        with self._database.write() as connection:
            connection.execute(
                insert(_profile)
                .values(id=profile.id, **row)
                .on_conflict_do_update(index_elements=["id"], set_=row)
            )
        return profile

    def delete_profile(self, id: str) -> bool:
        """Forget attributes, consent and traces. False when nothing was stored.

        History stays under the pseudonymous id; erasing that too is a later step.
        """
        with self._database.write() as connection:
            traced = traces.forget(cursor_of(connection), id)
            gone = connection.execute(sa.delete(_profile).where(_profile.c.id == id)).rowcount
        return gone + traced > 0

    def profile(self, id: str) -> Profile | None:
        """Return what is stored of a profile, None when nothing is."""
        return self._find([id]).get(id)

    def profiles_of(self, devices: Sequence[str]) -> dict[str, Profile]:
        """Return the profile of each device; an empty one where nothing is stored.

        Parameters
        ----------
        devices
            Device ids; a device's profile has the id of the device.
        """
        found = self._find(devices)
        return {device: found.get(device) or Profile(id=device) for device in devices}

    def last_fired(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return when campaigns last fired for profiles.

        Parameters
        ----------
        pairs
            (campaign, profile).

        Returns
        -------
        dict
            `decided_ms` of the last fired decision; pairs that never fired are left out.
        """
        if not pairs:
            return {}
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_LAST_FIRED, (to_json(pairs),))
            return {(campaign, profile): at_ms for campaign, profile, at_ms in rows}

    def _find(self, ids: Sequence[str]) -> dict[str, Profile]:
        if not ids:
            return {}
        with self._database.read() as connection:
            rows = cursor_of(connection).execute(_PROFILES, (to_json(ids),)).fetchall()
        return {
            name: Profile(id=name, attributes=from_json(attributes), consent=from_json(consent))
            for name, attributes, consent in rows
        }
