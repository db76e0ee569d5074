"""Webhook bodies: what receivers are told, serialised once, never changed afterwards.

The bytes depend on the decision, the transition and the catalogue, never on the clock: a batch
that is processed again after a crash makes the same bytes under the same webhook ids, which is
what lets a receiver recognise a repetition. Of where a device was a body says what its endpoint
chose, as far as the operator allows: nothing, unless somebody asked. A body costs some ten
microseconds, once for all endpoints that are told the same.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from geotarget.model import (
    POSITIONS,
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

_NOWHERE: Mapping[str, Any] = {}


def chosen_positions(endpoints: Iterable[Endpoint], most: str) -> dict[str, str]:
    """Return what endpoints are told of positions, by id; those that are told nothing are left out.

    Parameters
    ----------
    endpoints
        All of them, with what they ask for.
    most
        The most of `POSITIONS` that any of them gets.
    """
    bound = POSITIONS.index(most)
    return {
        each.id: POSITIONS[min(POSITIONS.index(each.position), bound)]
        for each in endpoints
        if each.position in POSITIONS[1:] and bound and not each.disabled_reason
    }


def deliveries(
    transitions: Sequence[Transition],
    decisions: Sequence[Decision],
    *,
    zones: Mapping[str, Zone],
    campaigns: Mapping[str, Campaign],
    endpoints: Mapping[str, Endpoint],
    profiles: Mapping[str, Profile],
    now_ms: int,
    choices: Mapping[str, str] = _NOWHERE,
    positions: Mapping[str, Mapping[str, Mapping[str, Any]]] = _NOWHERE,
) -> list[Delivery]:
    """Make the deliveries of one batch.

    In the order of the transitions; what one of them is followed by comes before the next one. So
    the deliveries of a device stand in the order in which they were decided.

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
    choices
        What endpoints are told of positions, by id; the others are told nothing.
    positions
        By choice and transition, for all choices that there are.
    """
    made: list[Delivery] = []
    enabled = [endpoint for endpoint in endpoints.values() if not endpoint.disabled_reason]
    ordered = {endpoint.id for endpoint in enabled if endpoint.ordered}
    subscribers = {
        kind: _grouped(
            [endpoint.id for endpoint in enabled if event_type in (endpoint.events or ())], choices
        )
        for kind, event_type in TRANSITION_TYPES.items()
    }
    told = {endpoint.id for endpoint in enabled if _wants_offers(endpoint)}
    fired: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.fired:
            fired.setdefault(decision.transition, []).append(decision)
    for transition in transitions:
        for choice, targets in subscribers.get(transition.kind, ()):
            body = _transition_body(
                transition, zones[transition.zone], profiles, _place(choice, positions, transition)
            )
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
                    ordered=target in ordered,
                )
                for target in targets
            ]
        for decision in fired.get(transition.id, ()):
            campaign = campaigns[decision.campaign]
            named = [target for target in dict.fromkeys(campaign.endpoints) if target in told]
            for choice, targets in _grouped(named, choices):
                body = _offer_body(
                    decision,
                    transition,
                    zones[decision.zone],
                    _attributes(campaign, profiles.get(decision.device)),
                    _place(choice, positions, transition),
                )
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
                        ordered=target in ordered,
                    )
                    for target in targets
                ]
    return made


def _grouped(
    endpoints: Sequence[str], choices: Mapping[str, str]
) -> Sequence[tuple[str, Sequence[str]]]:
    """Group endpoints by what they are told of positions: each group shares its bodies."""
    if not endpoints:
        return ()
    if not choices:
        return (("", endpoints),)
    groups: dict[str, list[str]] = {}
    for each in endpoints:
        groups.setdefault(choices.get(each, ""), []).append(each)
    return tuple(groups.items())


def _place(
    choice: str,
    positions: Mapping[str, Mapping[str, Mapping[str, Any]]],
    transition: Transition,
) -> Mapping[str, Any]:
    """Return the member of a body that tells the position; none for who did not ask for it."""
    return {"position": positions[choice].get(transition.id)} if choice else _NOWHERE


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
    decision: Decision,
    transition: Transition,
    zone: Zone,
    attributes: Mapping[str, Any],
    place: Mapping[str, Any],
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
        **place,
    }
    return _json(OFFER_TRIGGERED, decision.decided_ms, data)


def _transition_body(
    transition: Transition,
    zone: Zone,
    profiles: Mapping[str, Profile],
    place: Mapping[str, Any],
) -> bytes:
    profile = profiles.get(transition.device)
    data = {
        "profile": {"id": profile.id if profile else transition.device, "attributes": {}},
        "zone": _zone(zone, transition),
        "transition": _transition(transition),
        **place,
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
