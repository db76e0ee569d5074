"""The catalogue as an AsyncAPI 3 document: MQTT in, webhooks out, with headers and examples."""

from __future__ import annotations

from functools import cache
from typing import Any

from geotarget.events.messages import EVENTS, PINGS
from geotarget.events.schemas import definitions_of, one_or_many

LINK = "#/components/schemas/{name}"
JSON = "application/json"

_ZONE = {
    "id": "kamppi",
    "name": "Kamppi",
    "revision": 3,
    "properties": {"name": "Kamppi", "special": "cinnamon bun"},
}
_MOVED: dict[str, Any] = {
    "kind": "enter",
    "id": "019b79a2c0fa9e01aa5d2f4b8c7e6d10",
    "visit": "019b79a2c0fa3c55d0ab1e2f9a8b7c6d",
    "time": "2026-01-01T12:00:00Z",
    "confidence": 3,
    "p": 0.97,
    "initial": False,
}
_MORE: dict[str, dict[str, Any]] = {
    "dwell": {"dwell_s": 300, "duration_s": 300.0},
    "exit": {"duration_s": 912.5},
}


def _told(kind: str) -> dict[str, Any]:
    data = {
        "profile": {"id": "phone-17", "attributes": {}},
        "zone": _ZONE,
        "transition": _MOVED | {"kind": kind} | _MORE.get(kind, {}),
    }
    return {"type": f"transition.{kind}", "timestamp": "2026-01-01T12:00:15Z", "data": data}


EXAMPLES: dict[str, Any] = {
    "offer.triggered": {
        "type": "offer.triggered",
        "timestamp": "2026-01-01T12:00:15Z",
        "data": {
            "decision": "019b79a2fb927a10c3d4e5f60718293a",
            "campaign": "coffee",
            "variant": None,
            "offer": {"title": "Free coffee, Aino"},
            "expires": "2026-01-01T13:00:15Z",
            "profile": {"id": "aino", "attributes": {"tier": "gold"}},
            "zone": _ZONE,
            "transition": _MOVED,
        },
    },
    **{f"transition.{kind}": _told(kind) for kind in ("enter", "dwell", "exit", "crossed")},
    "endpoint.disabled": {
        "type": "endpoint.disabled",
        "timestamp": "2026-01-06T12:00:00Z",
        "data": {
            "endpoint": "crm",
            "reason": "every attempt has failed since 2026-01-01T12:00:00Z",
            "failing_since": "2026-01-01T12:00:00Z",
        },
    },
    "test": {
        "type": "test",
        "timestamp": "2026-01-01T12:00:00Z",
        "data": {"endpoint": "crm", "text": "It works."},
    },
    "ping": {"ts": 1767268800.25, "lat": 60.169, "lng": 24.933, "acc": 12.0, "id": "7f3a"},
    "owntracks": {"_type": "location", "tst": 1767268800, "lat": 60.169, "lon": 24.933, "acc": 12},
}
"""A body of each message."""

_HEADERS = {
    "type": "object",
    "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
    "properties": {
        "webhook-id": {
            "type": "string",
            "description": "The event's id, the same over retries and replays.",
        },
        "webhook-timestamp": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Unix seconds of this attempt.",
        },
        "webhook-signature": {
            "type": "string",
            "description": "Standard Webhooks 1.0: one signature for each secret, with a space "
            "between them; `v1` is HMAC-SHA-256, `v1a` Ed25519.",
        },
    },
}
_DEVICE = {"description": "The device: 1 to 128 printable characters without + and #."}


@cache
def asyncapi(version: str) -> dict[str, Any]:
    """Return the document of a version of geotarget; the same one every time: don't change it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "geotarget",
            "version": version,
            "description": "Pings in over MQTT, signed events out as webhooks. Receivers must bear "
            "members that they do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {
            "broker": {
                "host": "{host}",
                "protocol": "mqtt",
                "description": "The embedded broker, or your own.",
                "variables": {"host": {"default": "localhost:1883"}},
            },
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "description": "The host of an endpoint's URL.",
                "variables": {"host": {"default": "example.com"}},
            },
        },
        "channels": {
            "pings": {
                "address": "pings/{device}",
                "description": "The first part is GEOTARGET_MQTT_PREFIX.",
                "servers": [{"$ref": "#/servers/broker"}],
                "parameters": {"device": _DEVICE},
                "messages": {"ping": _message("ping")},
            },
            "owntracks": {
                "address": "owntracks/{user}/{phone}",
                "description": "The device is called user/phone.",
                "servers": [{"$ref": "#/servers/broker"}],
                "parameters": {"user": {}, "phone": {}},
                "messages": {"owntracks": _message("owntracks")},
            },
            "webhooks": {
                "address": None,
                "description": "The URL of the endpoint.",
                "servers": [{"$ref": "#/servers/receiver"}],
                "messages": {name: _message(name) for name in EVENTS},
            },
        },
        "operations": {
            "receivePings": _operation("receive", "pings", {"mqtt": {"qos": 1}}),
            "receiveOwnTracks": _operation("receive", "owntracks", {"mqtt": {"qos": 1}}),
            "sendEvents": _operation("send", "webhooks", {"http": {"method": "POST"}}),
        },
        "components": {
            "messages": {
                **{name: _described(name, PINGS[name].__doc__) for name in PINGS},
                **{name: _described(name, EVENTS[name].__doc__) for name in EVENTS},
            },
            "schemas": {
                **definitions_of(*EVENTS.values(), *PINGS.values(), link=LINK),
                "Pings": one_or_many(LINK.format(name="Ping")),
            },
        },
    }


def _message(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _operation(action: str, channel: str, bindings: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": bindings,
    }


def _described(name: str, doc: str | None) -> dict[str, Any]:
    out = name in EVENTS
    of = EVENTS[name].__name__ if out else {"ping": "Pings"}.get(name, PINGS[name].__name__)
    message = {
        "name": name,
        "summary": (doc or "").split("\n")[0],
        "contentType": JSON,
        "payload": {"$ref": LINK.format(name=of)},
        "examples": [{"payload": EXAMPLES[name]}],
    }
    return message | {"headers": _HEADERS} if out else message
