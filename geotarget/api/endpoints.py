"""``/v1/endpoints``: where webhooks go, and the secrets that sign them."""

from __future__ import annotations

import secrets

from geotarget.api.endpoint_documents import (
    NO_POSITION,
    EndpointAnswer,
    EndpointDocument,
    EndpointPage,
    RotationDocument,
    SentAnswer,
    now_ms,
)
from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Id, Limit
from geotarget.errors import Conflict, InvalidEndpoint, NotFound, Problem
from geotarget.model import POSITIONS, Endpoint
from geotarget.signing import new_secret, scheme_of
from geotarget.targeting.event import event_for_test

BY_OWNER = "disabled by its owner"


def list_endpoints(here: Here, limit: Limit = 100, cursor: Cursor = None) -> EndpointPage:
    """List endpoints.

    By id, without their secrets.
    """
    page = here.services.store.endpoints_page(limit=limit, cursor=cursor)
    return EndpointPage(items=[EndpointAnswer.of(each) for each in page.items], next=page.next)


def get_endpoint(id: Id, here: Here) -> EndpointAnswer:
    """Show one endpoint.

    Without its secret.
    """
    endpoint = here.services.store.endpoint(id)
    if endpoint is None:
        raise NotFound("endpoint", id)
    return EndpointAnswer.of(endpoint)


def put_endpoint(id: Id, document: EndpointDocument, here: Here, who: Who) -> EndpointAnswer:
    """Create or replace an endpoint.

    A new endpoint without a secret gets one, and the answer shows it this once, or its public key
    where `scheme` is `ed25519`. Changing an endpoint without giving a secret keeps those that sign
    now; one that is given signs alone from now on (`:rotate` changes it without a gap). Headers are
    kept where none are given, as long as the URL stays on its host, and are never shown again.
    Enables it if it was disabled, unless `enabled` is false.
    """
    secret = document.secret
    if secret is None:
        there = here.services.store.endpoint(id)
        if there is None:
            secret = new_secret(document.scheme or "hmac")
        elif document.scheme not in {None, scheme_of(there.secret)}:
            raise Conflict(
                f"endpoint {id!r} signs with {scheme_of(there.secret)}: `:rotate` changes that "
                "without a gap"
            )
    position = "" if document.position == NO_POSITION else document.position
    _check_position(position, here.services.limits.positions)
    delays_s = document.retry_delays_s
    reason = "" if document.enabled else document.disabled_reason or BY_OWNER
    stored = here.services.catalog.put_endpoint(
        Endpoint(
            id=id,
            url=document.url,
            secret=secret or "",  # empty: those that are stored
            description=document.description,
            events=None if document.events is None else tuple(document.events),
            disabled_reason=reason,
            rate_per_s=document.rate_per_s,
            concurrency=document.concurrency,
            headers=document.headers or {},
            delays_s=None if delays_s is None else (0.0, *delays_s),
            ordered=document.ordered,
            position=position,
        ),
        keep_headers=document.headers is None,
        by=who,
    )
    here.services.wake_delivery()
    return EndpointAnswer.of(stored, secret=secret)


def rotate_endpoint(id: Id, document: RotationDocument, here: Here, who: Who) -> EndpointAnswer:
    """Change an endpoint's secret without a gap.

    The answer shows the new secret, this once, or the new public key. Until `overlap_s` is over
    every delivery is signed with both, whatever their schemes, so a receiver may change from one
    to the other at any moment of that time.
    """
    there = here.services.store.endpoint(id)
    if there is None:
        raise NotFound("endpoint", id)
    secret = document.secret or new_secret(document.scheme or scheme_of(there.secret))
    stored = here.services.store.rotate_secret(
        id, secret, until_ms=now_ms() + document.overlap_s * 1000, by=who
    )
    if stored is None:
        raise NotFound("endpoint", id)
    here.services.catalog.refresh()
    return EndpointAnswer.of(stored, secret=secret)


def send_test(id: Id, here: Here, who: Who) -> SentAnswer:
    """Send a test event to an endpoint.

    Of the type `test`, whatever its `events` say; signed, sent and retried like any other.
    """
    endpoint = here.services.store.endpoint(id)
    if endpoint is None:
        raise NotFound("endpoint", id)
    if endpoint.disabled_reason:
        raise Conflict(f"endpoint {id!r} is disabled: {endpoint.disabled_reason}")
    event = event_for_test(id, secrets.token_hex(8), now_ms=now_ms())
    here.services.store.put_deliveries([event])
    here.services.store.add_audit(who, "endpoint.test", id, {"delivery": event.webhook_id})
    here.services.wake_delivery()
    return SentAnswer(id=event.webhook_id)


def delete_endpoint(id: Id, here: Here, who: Who) -> None:
    """Delete an endpoint.

    Refused while a campaign names it. What waits for it counts as failed, and can be replayed when
    there is an endpoint of this id again.
    """
    here.services.catalog.delete_endpoint(id, by=who)


def _check_position(asked: str, most: str) -> None:
    """Refuse what the operator does not allow.

    Raises
    ------
    InvalidEndpoint
        Names the operator's setting.
    """
    if POSITIONS.index(asked) > POSITIONS.index(most):
        reason = (
            f"is more than the operator allows: GEOTARGET_WEBHOOK_POSITIONS is "
            f"{most or NO_POSITION!r}"
        )
        raise InvalidEndpoint(Problem("$.position", repr(asked), reason))
