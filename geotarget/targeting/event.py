"""Webhook bodies: what receivers are told, serialised once, never changed afterwards.

The bytes depend on the decision, the transition and the catalogue, never on the clock: a batch
that is processed again after a crash makes the same bytes under the same webhook ids, which is
what lets a receiver recognise a repetition. Bodies never hold coordinates. A body costs some ten
microseconds, once for all its endpoints.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from geotarget.model import (
    Campaign,
    Decision,
    Delivery,
    Endpoint,
    Kind,
    Profile,
    Transition,
    Zone,
)

OFFER_TRIGGERED = "offer.triggered"
TRANSITION_TYPES: Mapping[Kind, str] = {
    kind: f"transition.{kind.value}" for kind in Kind if kind is not Kind.RECONCILED
}
ENDPOINT_DISABLED = "endpoint.disabled"
TEST = "test"
EVENT_TYPES = (OFFER_TRIGGERED, *TRANSITION_TYPES.values(), ENDPOINT_DISABLED, TEST)
"""Every type that an endpoint's ``events`` may name; a `TEST` comes without being named."""

_encode = msgspec.json.Encoder().encode


def deliveries(
    transitions: Sequence[Transition],
    decisions: Sequence[Decision],
    *,
    zones: Mapping[str, Zone],
    campaigns: Mapping[str, Campaign],
    endpoints: Mapping[str, Endpoint],
    profiles: Mapping[str, Profile],
    now_ms: int,
) -> list[Delivery]:
    """Make the deliveries of one batch.

    ``offer.triggered`` goes to the endpoints of the campaign that fired, unless an endpoint's
    ``events`` leave it out. ``transition.*`` goes to every endpoint whose ``events`` name that
    type: an endpoint without ``events`` gets offers only, for nobody wants a shop's every visitor
    by accident. Disabled endpoints get nothing.

    Parameters
    ----------
    transitions, decisions
        Of one batch; every fired decision's transition must be among `transitions`.
    zones, campaigns, endpoints
        Of the same catalogue snapshot, by id.
    profiles
        By device.
    now_ms
        Becomes `Delivery.created_ms` and nothing else.
    """
    made: list[Delivery] = []
    enabled = [endpoint for endpoint in endpoints.values() if not endpoint.disabled_reason]
    subscribers = {
        kind: [endpoint.id for endpoint in enabled if event_type in (endpoint.events or ())]
        for kind, event_type in TRANSITION_TYPES.items()
    }
    for transition in transitions:
        targets = subscribers.get(transition.kind)
        if targets:
            body = _transition_body(transition, zones[transition.zone], profiles)
            event_type = TRANSITION_TYPES[transition.kind]
            made += [
                Delivery(
                    webhook_id=f"transition_{transition.id}",
                    endpoint=target,
                    type=event_type,
                    body=body,
                    created_ms=now_ms,
                    device=transition.device,
                    zone=transition.zone,
                )
                for target in targets
            ]
    told = {endpoint.id for endpoint in enabled if _wants_offers(endpoint)}
    by_id = {transition.id: transition for transition in transitions}
    for decision in decisions:
        if not decision.fired:
            continue
        campaign = campaigns[decision.campaign]
        named = dict.fromkeys(campaign.endpoints)
        targets = [target for target in named if target in told]
        if targets:
            passed_on = _attributes(campaign, profiles.get(decision.device))
            transition = by_id[decision.transition]
            body = _offer_body(decision, transition, zones[decision.zone], passed_on)
            made += [
                Delivery(
                    webhook_id=f"offer_{decision.id}",
                    endpoint=target,
                    type=OFFER_TRIGGERED,
                    body=body,
                    created_ms=now_ms,
                    expires_ms=decision.expires_ms,
                    device=decision.device,
                    zone=decision.zone,
                    campaign=decision.campaign,
                )
                for target in targets
            ]
    return made


def endpoint_disabled(
    endpoint: Endpoint, endpoints: Iterable[Endpoint], *, now_ms: int
) -> list[Delivery]:
    """Tell other endpoints that one was disabled: those whose ``events`` name this type.

    Parameters
    ----------
    endpoint
        As it is stored now; its revision makes the webhook id.
    endpoints
        All of them.
    now_ms
        When it was disabled.
    """
    since_ms = endpoint.failing_since_ms
    data = {
        "endpoint": endpoint.id,
        "reason": endpoint.disabled_reason,
        "failing_since": None if since_ms is None else timestamp(since_ms),
    }
    body = _json(ENDPOINT_DISABLED, now_ms, data)
    return [
        Delivery(
            webhook_id=f"endpoint_{endpoint.revision}",
            endpoint=each.id,
            type=ENDPOINT_DISABLED,
            body=body,
            created_ms=now_ms,
        )
        for each in endpoints
        if each.id != endpoint.id
        and not each.disabled_reason
        and ENDPOINT_DISABLED in (each.events or ())
    ]


def event_for_test(endpoint: str, name: str, *, now_ms: int) -> Delivery:
    """Make an event that only shows that events arrive; `name` makes its webhook id."""
    text = "A test event of geotarget: it arrived, and its signature can be verified."
    return Delivery(
        webhook_id=f"test_{name}",
        endpoint=endpoint,
        type=TEST,
        body=_json(TEST, now_ms, {"endpoint": endpoint, "text": text}),
        created_ms=now_ms,
    )


def timestamp(instant_ms: int) -> str:
    """Return an instant as RFC 3339 in UTC, with milliseconds only where there are some.

    Examples
    --------
    >>> timestamp(1767268800000)
    '2026-01-01T12:00:00Z'
    """
    moment = dt.datetime.fromtimestamp(instant_ms / 1000, dt.UTC).replace(tzinfo=None)
    places = "milliseconds" if instant_ms % 1000 else "seconds"
    return moment.isoformat(timespec=places) + "Z"


def _wants_offers(endpoint: Endpoint) -> bool:
    return endpoint.events is None or OFFER_TRIGGERED in endpoint.events


def _attributes(campaign: Campaign, profile: Profile | None) -> dict[str, Any]:
    """Return the attributes that a campaign chooses to pass on, as far as there are any."""
    if profile is None or not campaign.pass_attributes:
        return {}
    known = profile.attributes
    return {name: known[name] for name in campaign.pass_attributes if name in known}


def _offer_body(
    decision: Decision, transition: Transition, zone: Zone, attributes: Mapping[str, Any]
) -> bytes:
    language = {"language": decision.language} if decision.language else {}
    data = {
        "decision": decision.id,
        "campaign": decision.campaign,
        "variant": decision.variant,
        **language,
        "offer": decision.offer,
        "expires": None if decision.expires_ms is None else timestamp(decision.expires_ms),
        "profile": {"id": decision.profile, "attributes": attributes},
        "zone": _zone(zone, transition),
        "transition": _transition(transition),
    }
    return _json(OFFER_TRIGGERED, decision.decided_ms, data)


def _transition_body(transition: Transition, zone: Zone, profiles: Mapping[str, Profile]) -> bytes:
    profile = profiles.get(transition.device)
    data = {
        "profile": {"id": profile.id if profile else transition.device, "attributes": {}},
        "zone": _zone(zone, transition),
        "transition": _transition(transition),
    }
    return _json(TRANSITION_TYPES[transition.kind], transition.decided_ms, data)


def _zone(zone: Zone, transition: Transition) -> dict[str, Any]:
    return {
        "id": zone.id,
        "name": zone.name,
        "revision": transition.zone_revision,
        "properties": zone.properties,
    }


def _transition(transition: Transition) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": transition.kind.value,
        "id": transition.id,
        "visit": transition.visit,
        "time": timestamp(transition.ts_ms),
        "confidence": transition.confidence,
        "p": transition.p,
        "initial": transition.initial,
    }
    if transition.threshold_s is not None:
        told["dwell_s"] = transition.threshold_s
    if transition.duration_s is not None:
        told["duration_s"] = transition.duration_s
    return told


def _json(event_type: str, at_ms: int, data: Mapping[str, Any]) -> bytes:
    document = {"type": event_type, "timestamp": timestamp(at_ms), "data": data}
    try:
        return _encode(document)
    except UnicodeEncodeError:
        # half of a surrogate pair in somebody's property: legal JSON as an escape, not as UTF-8
        return json.dumps(document, separators=(",", ":")).encode()
