"""The catalogue's endpoints, and what reaches their owners beside events of the engine.

Secrets and headers are encrypted in the database (`sealing`) and plain in what is returned: a
token in a header is a secret too, and one that opens something elsewhere. Changes that rest
on what is stored (a rotation, a disabling) read and write in one transaction, so two of them at
once can't undo each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from geotarget.errors import Conflict
from geotarget.model import Delivery, Endpoint
from geotarget.store import tables
from geotarget.store.appending import count, last_seqs, write_deliveries
from geotarget.store.audit import note
from geotarget.store.database import Database, cursor_of, wall_clock_ms
from geotarget.store.documents import from_json, to_json
from geotarget.store.outbox import abandon
from geotarget.store.pages import Page, check_limit, cut, read_cursor
from geotarget.store.sealing import Seal
from geotarget.store.zones import raise_revision

_endpoint = tables.endpoint
_COLUMNS = (
    _endpoint.c.id,
    _endpoint.c.url,
    _endpoint.c.secret,
    _endpoint.c.description,
    _endpoint.c.events,
    _endpoint.c.disabled_reason,
    _endpoint.c.revision,
    _endpoint.c.previous_secret,
    _endpoint.c.previous_until_ms,
    _endpoint.c.failing_since_ms,
    _endpoint.c.rate_per_s,
    _endpoint.c.concurrency,
    _endpoint.c.headers,
    _endpoint.c.delays_s,
    _endpoint.c.ordered,
    _endpoint.c.position,
)


class Endpoints:
    """Keeps endpoints.

    Parameters
    ----------
    database
        Where to.
    seal
        Encrypts secrets.
    now_ms
        The clock.
    """

    def __init__(
        self, database: Database, *, seal: Seal, now_ms: Callable[[], int] = wall_clock_ms
    ) -> None:
        self._database = database
        self._seal = seal
        self._now_ms = now_ms

    def put_endpoint(
        self, endpoint: Endpoint, *, keep_headers: bool = False, by: str = ""
    ) -> Endpoint:
        """Store an endpoint; one that is stored just so keeps its revision.

        Without a secret it keeps those that are stored, and with `keep_headers` the headers that
        are stored. Since when it fails is not taken from `endpoint`: a change begins anew.

        Raises
        ------
        Conflict
            It has no secret, and none is stored. Or headers would be kept for a URL on another
            host: who may change endpoints must not learn from it what their headers hold.
        StoreError
            Nothing is stored.
        """
        with self._database.write() as connection:
            stored = self._find_endpoint(connection, endpoint.id)
            if not endpoint.secret:
                if stored is None:
                    raise Conflict(f"there is no endpoint {endpoint.id!r} to take the secret from")
                endpoint = replace(
                    endpoint,
                    secret=stored.secret,
                    previous_secret=stored.previous_secret,
                    previous_until_ms=stored.previous_until_ms,
                )
            if keep_headers and stored is not None:
                if stored.headers and _origin(stored.url) != _origin(endpoint.url):
                    raise Conflict(
                        f"the headers of endpoint {endpoint.id!r} were given for "
                        f"{_origin(stored.url)}: give them again for a URL that is elsewhere, or "
                        "{} for none"
                    )
                endpoint = replace(endpoint, headers=stored.headers)
            if stored is not None and stored == replace(
                endpoint, revision=stored.revision, failing_since_ms=stored.failing_since_ms
            ):
                return stored
            return self._write_endpoint(connection, endpoint, by, "endpoint.put")

    def rotate_secret(
        self, id: str, secret: str, *, until_ms: int, by: str = ""
    ) -> Endpoint | None:
        """Sign with another secret from now on, and with the one of today as well for some time.

        Parameters
        ----------
        id
            Of the endpoint.
        secret
            The new one.
        until_ms
            How long the old one goes on; not in the future: it ends now, and so does one before it.
        by
            Who does it, for the audit log.

        Returns
        -------
        Endpoint or None
            As it is stored now; None when there is none of this id.

        Raises
        ------
        Conflict
            Two secrets sign already, and this would be a third.
        """
        with self._database.write() as connection:
            stored = self._find_endpoint(connection, id)
            if stored is None:
                return None
            now_ms = self._now_ms()
            overlaps = until_ms > now_ms
            if overlaps and stored.previous_until_ms > now_ms:
                left_s = (stored.previous_until_ms - now_ms + 999) // 1000
                raise Conflict(
                    f"two secrets of endpoint {id!r} sign already, for {left_s} s more: wait, or "
                    "rotate with overlap_s 0, which ends both of them at once"
                )
            changed = replace(
                stored,
                secret=secret,
                previous_secret=stored.secret if overlaps else "",
                previous_until_ms=until_ms if overlaps else 0,
            )
            return self._write_endpoint(connection, changed, by, "endpoint.rotate")

    def disable_endpoint(
        self,
        id: str,
        revision: int,
        reason: str,
        *,
        failing_since_ms: int | None = None,
        tell: Callable[[Endpoint], Sequence[Delivery]] = lambda _: (),
        by: str = "",
    ) -> Endpoint | None:
        """Send nothing more to an endpoint, and say so, in one transaction.

        Parameters
        ----------
        id, revision
            Which one, and as it was when it failed.
        reason
            Why.
        failing_since_ms
            Since when it has failed.
        tell
            Makes what others are told of the endpoint as it is stored then.
        by
            Who does it, for the audit log.

        Returns
        -------
        Endpoint or None
            As it is stored now; None when it is gone, disabled, or was changed by its owner since.
        """
        with self._database.write() as connection:
            stored = self._find_endpoint(connection, id)
            if stored is None or stored.disabled_reason or stored.revision != revision:
                return None
            changed = replace(stored, disabled_reason=reason, failing_since_ms=failing_since_ms)
            changed = self._write_endpoint(connection, changed, by, "endpoint.disable")
            _write_deliveries(cursor_of(connection), tell(changed))
        return changed

    def note_failing(self, id: str, revision: int, since_ms: int | None) -> None:
        """Write down since when every attempt has failed, so that a restart does not forget it.

        None: the last one arrived. An endpoint that was changed since `revision` is left alone.
        """
        with self._database.write() as connection:
            connection.execute(
                sa.update(_endpoint)
                .where(_endpoint.c.id == id, _endpoint.c.revision == revision)
                .values(failing_since_ms=since_ms)
            )

    def put_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Put events that no batch of pings made into the outbox."""
        with self._database.write() as connection:
            _write_deliveries(cursor_of(connection), deliveries)

    def delete_endpoint(self, id: str, *, by: str = "") -> bool:
        """Delete an endpoint. False when there is none.

        What waits for it has failed from now on (about 6 µs a delivery, in the same transaction);
        it can be replayed when there is an endpoint of this id again.
        """
        with self._database.write() as connection:
            if not connection.execute(sa.delete(_endpoint).where(_endpoint.c.id == id)).rowcount:
                return False
            raise_revision(connection)
            now_ms = self._now_ms()
            note(connection, now_ms, by, "endpoint.delete", id)
            abandon(cursor_of(connection), id, now_ms=now_ms)
        return True

    def endpoint(self, id: str) -> Endpoint | None:
        """Return an endpoint with its secrets, None when there is none of this id."""
        with self._database.read() as connection:
            return self._find_endpoint(connection, id)

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints in the order of their ids, disabled ones too."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*_COLUMNS).order_by(_endpoint.c.id))
            return [self._endpoint_of(row) for row in rows]

    def endpoints_page(self, *, limit: int = 100, cursor: str | None = None) -> Page[Endpoint]:
        """Return endpoints in the order of their ids.

        Raises
        ------
        InvalidInput
            The limit is out of 1 to 1000, or the cursor of no such list.
        """
        query = sa.select(*_COLUMNS).order_by(_endpoint.c.id).limit(check_limit(limit) + 1)
        if cursor is not None:
            query = query.where(_endpoint.c.id > read_cursor(cursor, "endpoint", str))
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return cut(rows, limit, list="endpoint", place=0, make=self._endpoint_of)

    def _find_endpoint(self, connection: sa.Connection, id: str) -> Endpoint | None:
        query = sa.select(*_COLUMNS).where(_endpoint.c.id == id)
        row = connection.execute(query).one_or_none()
        return None if row is None else self._endpoint_of(row)

    def _endpoint_of(self, row: Sequence[Any]) -> Endpoint:
        name, url, secret, description, events, disabled, revision, *rest = row
        previous, until, failing, rate_per_s, concurrency, headers, delays_s, *rest = rest
        ordered, position = rest
        return Endpoint(
            id=name,
            url=url,
            secret=self._seal.open(secret),
            description=description,
            events=None if events is None else tuple(from_json(events)),
            disabled_reason=disabled,
            revision=revision,
            previous_secret=self._seal.open(previous),
            previous_until_ms=until,
            failing_since_ms=failing,
            rate_per_s=rate_per_s,
            concurrency=concurrency,
            headers=from_json(self._seal.open(headers)) if headers else {},
            delays_s=None if delays_s is None else tuple(from_json(delays_s)),
            ordered=bool(ordered),
            position=position,
        )

    def _write_endpoint(
        self, connection: sa.Connection, endpoint: Endpoint, by: str, action: str
    ) -> Endpoint:
        """Write a row and what is said of it; a secret whose time is over is dropped."""
        now_ms = self._now_ms()
        if endpoint.previous_until_ms <= now_ms:
            endpoint = replace(endpoint, previous_secret="", previous_until_ms=0)
        if not endpoint.disabled_reason:
            endpoint = replace(endpoint, failing_since_ms=None)
        endpoint = replace(endpoint, revision=raise_revision(connection))
        row = {
            "revision": endpoint.revision,
            "url": endpoint.url,
            "secret": self._seal.close(endpoint.secret),
            "description": endpoint.description,
            "events": None if endpoint.events is None else to_json(endpoint.events),
            "disabled_reason": endpoint.disabled_reason,
            "previous_secret": self._seal.close(endpoint.previous_secret),
            "previous_until_ms": endpoint.previous_until_ms,
            "failing_since_ms": endpoint.failing_since_ms,
            "rate_per_s": endpoint.rate_per_s,
            "concurrency": endpoint.concurrency,
            "headers": self._seal.close(to_json(endpoint.headers)) if endpoint.headers else "",
            "delays_s": None if endpoint.delays_s is None else to_json(endpoint.delays_s),
            "ordered": endpoint.ordered,
            "position": endpoint.position,
        }
        there = sa.update(_endpoint).where(_endpoint.c.id == endpoint.id).values(row)
        if not connection.execute(there).rowcount:
            connection.execute(sa.insert(_endpoint).values(id=endpoint.id, **row))
        detail: dict[str, Any] = {"revision": endpoint.revision}
        if action == "endpoint.disable":  # the reason is ours, and says nothing of anybody
            detail["reason"] = endpoint.disabled_reason
        note(connection, now_ms, by, action, endpoint.id, detail)
        return endpoint


def _origin(url: str) -> str:
    """Return where a URL leads, without the path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _write_deliveries(cursor: Any, deliveries: Sequence[Delivery]) -> None:
    changes: Counter[str] = Counter()
    write_deliveries(cursor, deliveries, last_seqs(cursor)[2], changes)
    count(cursor, changes)
