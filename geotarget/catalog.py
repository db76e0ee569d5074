"""What this process matches against, and the only door through which it changes.

Zones, campaigns, audiences and endpoints live in the store. The catalogue keeps a compiled copy of
them, the `Snapshot`: immutable, taken whole by whoever needs it, and replaced by one assignment, so
readers never lock and never see half a change. A write is checked here, committed by the store
under a new revision, and only then swapped in. Other processes notice the revision and catch up.

Costs: taking the snapshot is one attribute read. Asking the store for its revision is one short
query, four times a second. A change costs the covers of the zones that changed and the
compilation of the campaign table; covers of unchanged zones are kept. Writers take turns: an
import of many zones holds the others back until its one swap, readers go on undisturbed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import MappingProxyType

import structlog

from geotarget.engine.shapes import Shapes
from geotarget.engine.zone_index import ZoneIndex
from geotarget.errors import Conflict, InvalidCampaign, NotFound, Problem
from geotarget.following import Follower
from geotarget.headers import check_headers
from geotarget.model import Audience, Campaign, Endpoint, Zone
from geotarget.saved_index import SavedIndex
from geotarget.snapshot import Snapshot
from geotarget.store import Store
from geotarget.targeting.audience import validate_audience
from geotarget.targeting.checks import problems_of
from geotarget.targeting.trying import try_offers

log = structlog.get_logger(__name__)

CHUNK = 500
"""Zones in one transaction of an import: long enough to be fast, short enough to let the
pipeline's transaction in between."""

NAMED_IN_CONFLICT = 10
"""How many campaigns a refusal names before it counts the rest."""


def _accept_any(url: str) -> None:
    """Stand in where no policy on URLs was given."""


class Catalog:
    """Owns the current snapshot and the life of zones, campaigns, audiences and endpoints.

    Thread-safe. The first snapshot is read at once.

    Parameters
    ----------
    store
        Where the catalogue is kept.
    check_url
        Called with an endpoint's URL before it is stored; raises `InvalidEndpoint` when the
        operator's rules on outgoing connections forbid it. By default every URL passes.
    index_folder
        Where processes of this machine share a saved index; None: each builds its own.
    begin_with
        What is known from elsewhere, for a store in which no catalogue is kept.

    Raises
    ------
    StoreError
        The catalogue can't be read.

    Examples
    --------
    >>> from geotarget.store import Store
    >>> with Store.open("sqlite://") as store:
    ...     catalog = Catalog(store)
    ...     len(catalog.snapshot.index)
    0
    """

    def __init__(
        self,
        store: Store,
        *,
        check_url: Callable[[str], None] = _accept_any,
        index_folder: Path | None = None,
        begin_with: Snapshot | None = None,
    ) -> None:
        self._store = store
        self._check_url = check_url
        self._lock = threading.RLock()
        self._follower: Follower | None = None
        self._saved = None if index_folder is None else SavedIndex(index_folder)
        self._snapshot = begin_with or Snapshot.of(0, ZoneIndex.build(()))
        if begin_with is None:
            self.refresh()

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot; hold on to it for as long as one piece of work lasts."""
        return self._snapshot

    @property
    def trouble(self) -> str:
        """Why the follower can't keep up, in words; empty while it can."""
        return "" if self._follower is None else self._follower.trouble

    @property
    def behind_s(self) -> float:
        """Seconds since the follower last knew that there was nothing newer; 0 without one."""
        return 0.0 if self._follower is None else self._follower.behind_s

    # -- catching up ------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Catch up with the store.

        Returns
        -------
        bool
            Whether there was anything new.

        Raises
        ------
        StoreError
            The store can't be read; the snapshot stays as it is.
        """
        return self._catch_up()

    def _catch_up(self, mine: Sequence[Zone] = ()) -> bool:
        """Catch up with the store, in which this process has just stored some zones."""
        if self._store.catalog_revision() == self._snapshot.revision:
            return False
        with self._lock:
            # Read before the rows: a change that lands in between is seen twice, never missed.
            revision = self._store.catalog_revision()
            before = self._snapshot
            if revision == before.revision:
                return False
            index = self._shared() if not before.revision else None
            if index is None:
                put = [zone for zone in mine if zone.revision == revision]
                gone: list[str] = []
                # One revision is one transaction: if it was ours, there is nothing to read.
                if not put or revision != before.revision + 1:
                    put, gone = self._store.zones(since_revision=before.revision)
                index = _follow_zones(before.index, put, gone)
            self._snapshot = Snapshot.of(
                revision,
                index,
                campaigns=self._store.campaigns(),
                endpoints=MappingProxyType({each.id: each for each in self._store.endpoints()}),
                audiences=MappingProxyType({each.id: each for each in self._store.audiences()}),
            )
        log.info(
            "catalogue changed",
            revision=revision,
            zones=len(index),
            campaigns=len(self._snapshot.campaigns),
            endpoints=len(self._snapshot.endpoints),
            audiences=len(self._snapshot.audiences),
        )
        return True

    def _shared(self) -> ZoneIndex | None:
        """Return the index that processes of this machine share, if they do."""
        return None if self._saved is None else self._saved.current(self._store)

    def follow(self, *, interval_s: float = 0.25) -> None:
        """Start to watch for changes by other processes, in a thread; end it with `stop`.

        Parameters
        ----------
        interval_s
            How often the revision is asked for, seconds; where the database sends notices, a
            change is seen at once.
        """
        if self._follower is None:
            self._follower = Follower(
                self.refresh, self._store.on_catalog_change, interval_s=interval_s
            )

    def stop(self) -> None:
        """End the follower and wait for it; harmless when there is none."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    # -- zones ------------------------------------------------------------------------------

    def put_zones(self, zones: Sequence[Zone], *, by: str = "") -> list[Zone]:
        """Store zones and match against them from now on.

        Parameters
        ----------
        zones
            Valid zones, as `geojson` returns them, each id once. A zone whose `active` is false
            is kept but not matched. One that is stored just so already is left alone: its
            revision stays, and nobody inside is judged again.
        by
            Who does it, for the audit log: one entry a transaction. Empty keeps it out of there.

        Returns
        -------
        list of Zone
            The same with key and revision, in the same order.

        Raises
        ------
        StoreError
            A transaction failed. Of an import in several transactions the earlier ones stay;
            importing the same file again is harmless.
        """
        stored: list[Zone] = []
        with self._lock:
            try:
                for start in range(0, len(zones), CHUNK):
                    # What no index takes would keep every process on an old catalogue.
                    Shapes.of(zones[start : start + CHUNK])
                    stored += self._store.put_zones(zones[start : start + CHUNK], by=by)
            finally:
                self._catch_up(stored)
        return stored

    def delete_zones(self, ids: Collection[str], *, by: str = "") -> list[str]:
        """Forget zones; visits in them end. `by` is as in `put_zones`.

        Returns
        -------
        list of str
            The ids that existed.
        """
        with self._lock:
            removed = self._store.delete_zones(list(ids), by=by)
            self.refresh()
        return removed

    # -- campaigns --------------------------------------------------------------------------

    def put_campaign(
        self, campaign: Campaign, *, by: str = "", problems: Sequence[Problem] = ()
    ) -> Campaign:
        """Check and store a campaign, as `save_campaign` without the warnings."""
        stored, _ = self.save_campaign(campaign, by=by, problems=problems)
        return stored

    def save_campaign(
        self,
        campaign: Campaign,
        *,
        by: str = "",
        problems: Sequence[Problem] = (),
        only_if: Callable[[int], bool] = lambda _version: True,
    ) -> tuple[Campaign, tuple[str, ...]]:
        """Check and store a campaign.

        Parameters
        ----------
        campaign, by, only_if
            As `Store.put_campaign` has them.
        problems
            What was found wrong with it already.

        Returns
        -------
        stored : Campaign
            The same with its version.
        warnings : tuple of str
            What did not keep it from being stored but is worth a look.

        Raises
        ------
        Outdated, InvalidCampaign
            `only_if` said no; something contradicts itself, can't be read or is not there, or the
            offer renders for none of the sample profiles: holds all of it.
        """
        found = [*problems, *problems_of(campaign)]
        warnings: tuple[str, ...] = ()
        if not found:
            samples = self._store.some_profiles()
            tried, warnings = try_offers(campaign, samples, now_ms=time.time_ns() // 1_000_000)
            found += tried
        with self._lock:
            self.refresh()
            found += self._missing(campaign)
            if found:
                raise InvalidCampaign(*found)
            stored = self._store.put_campaign(campaign, by=by, only_if=only_if)
            self.refresh()
        return stored, warnings

    def _missing(self, campaign: Campaign) -> list[Problem]:
        """Return what a campaign names that is not there."""
        asked = (
            ("endpoints", "endpoint", campaign.endpoints, self._snapshot.endpoints),
            ("audiences", "audience", campaign.audiences, self._snapshot.audiences),
        )
        return [
            Problem(f"$.{member}[{position}]", name, f"no {what} has this id")
            for member, what, names, there in asked
            for position, name in enumerate(names)
            if name not in there
        ]

    def delete_campaign(self, id: str, *, by: str = "") -> None:
        """Forget a campaign; what it decided stays.

        Raises
        ------
        NotFound
            There is none of this id.
        """
        with self._lock:
            if not self._store.delete_campaign(id, by=by):
                raise NotFound("campaign", id)
            self.refresh()

    # -- audiences --------------------------------------------------------------------------

    def put_audience(
        self,
        audience: Audience,
        *,
        by: str = "",
        only_if: Callable[[int], bool] = lambda _revision: True,
    ) -> Audience:
        """Check and store an audience; campaigns that name it ask the new rule from now on.

        Parameters
        ----------
        audience, by, only_if
            As `Store.put_audience` has them.

        Returns
        -------
        Audience
            The same with its revision.

        Raises
        ------
        Outdated, InvalidAudience
            `only_if` said no; its rule can't be read, with the column.
        """
        validate_audience(audience.rule, path="$.rule")
        with self._lock:
            stored = self._store.put_audience(audience, by=by, only_if=only_if)
            self.refresh()
        return stored

    def delete_audience(self, id: str, *, by: str = "") -> None:
        """Forget an audience that no campaign names.

        Raises
        ------
        NotFound
            There is none of this id.
        Conflict
            Campaigns, named in the message, would be left without it.
        """
        with self._lock:
            self.refresh()
            users = [each.id for each in self._snapshot.campaigns if id in each.audiences]
            _refuse_users("audience", id, users)
            if not self._store.delete_audience(id, by=by):
                raise NotFound("audience", id)
            self.refresh()

    # -- endpoints --------------------------------------------------------------------------

    def put_endpoint(
        self, endpoint: Endpoint, *, keep_headers: bool = False, by: str = ""
    ) -> Endpoint:
        """Check and store an endpoint; with `keep_headers` with the headers that are stored.

        Returns
        -------
        Endpoint
            The same with its revision.

        Raises
        ------
        InvalidEndpoint
            Its URL may not be called, or a header not be sent.
        Conflict
            It would keep a secret or headers that it can't keep.
        """
        self._check_url(endpoint.url)
        check_headers(endpoint.headers)
        with self._lock:
            stored = self._store.put_endpoint(endpoint, keep_headers=keep_headers, by=by)
            self.refresh()
        return stored

    def delete_endpoint(self, id: str, *, by: str = "") -> None:
        """Forget an endpoint that no campaign uses.

        Raises
        ------
        NotFound
            There is none of this id.
        Conflict
            Campaigns, named in the message, would be left without it.
        """
        with self._lock:
            self.refresh()
            users = [each.id for each in self._snapshot.campaigns if id in each.endpoints]
            _refuse_users("endpoint", id, users)
            if not self._store.delete_endpoint(id, by=by):
                raise NotFound("endpoint", id)
            self.refresh()


def _refuse_users(what: str, id: str, users: Sequence[str]) -> None:
    """Refuse to take away what campaigns use."""
    if users:
        named = ", ".join(users[:NAMED_IN_CONFLICT])
        more = len(users) - NAMED_IN_CONFLICT
        rest = f" and {more} more" if more > 0 else ""
        raise Conflict(f"{what} {id!r} is used by campaigns: {named}{rest}")


def _follow_zones(index: ZoneIndex, put: Sequence[Zone], removed: Collection[str]) -> ZoneIndex:
    """Return the index after a change; the same object when nothing in it changed."""
    matched = [zone for zone in put if zone.active]
    gone = {
        id_ for id_ in (*removed, *(zone.id for zone in put if not zone.active)) if id_ in index
    }
    if not matched and not gone:
        return index
    return index.with_changes(put=matched, remove=gone)
