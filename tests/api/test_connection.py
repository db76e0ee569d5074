"""``GET /v1/connection``: what an app needs to know to send pings, and nothing that is secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotarget.runtime.brokers import connection
from geotarget.settings import Settings
from tests.api.conftest import Api


@pytest.mark.parametrize(
    ("chosen", "url", "wanted"),
    [
        pytest.param(
            {}, "mqtt://127.0.0.1:1883",
            {"host": "127.0.0.1", "port": 1883, "tls": False, "access": "open", "username": None,
             "client_id": None, "topic": "pings/{device}"},
            id="embedded",
        ),
        pytest.param(
            {"mqtt_device_access": "device"}, "mqtts://[::]:8883",
            {"host": None, "port": 8883, "tls": True, "access": "device", "username": "{device}",
             "client_id": "{device}"},
            id="password of each",
        ),
        pytest.param(
            {"mqtt_device_access": "password", "mqtt_device_password": "a-secret-of-all",
             "mqtt_prefix": "fleet/pings"}, "mqtt://0.0.0.0:1884",
            {"host": None, "access": "password", "username": "device", "client_id": None,
             "topic": "fleet/pings/{device}"},
            id="password of all",
        ),
        pytest.param(
            {"mqtt": "mqtts://us:hidden@broker.example.com"}, "mqtts://broker.example.com:8883",
            {"host": "broker.example.com", "port": 8883, "tls": True, "access": "broker",
             "username": None},
            id="your own",
        ),
        pytest.param(
            {"mqtt": "mqtts://us:hidden@broker.example.com",
             "auth_callout_url": "nats://callout:hidden@broker.example.com:4222"},
            "mqtts://broker.example.com:8883",
            {"access": "token", "username": "{device}", "client_id": "{device}"},
            id="your own, which asks",
        ),
        pytest.param(
            {"mqtt": "mqtt://us:hidden@nats", "mqtt_phone_url": "mqtts://pings.example.com"},
            "mqtt://nats:1883",
            {"host": "pings.example.com", "port": 8883, "tls": True},
            id="your own, which phones reach elsewhere",
        ),
        pytest.param(
            {"mqtt": "mqtt://us:hidden@broker.example.com", "mqtt_device_access": "device"},
            "mqtt://broker.example.com:1883",
            {"access": "device", "username": "{device}", "client_id": "{device}"},
            id="your own, which was told the passwords",
        ),
        pytest.param(
            {"message_max_pings": 7, "message_max_bytes": 2048}, "mqtt://[2001:db8::1]:1883",
            {"host": "2001:db8::1", "message_pings": 7, "message_bytes": 2048},
            id="bounds",
        ),
    ],
)  # fmt: skip
def test_it_says_where_pings_go(
    api_with: Callable[..., Api],
    tmp_path: Path,
    chosen: dict[str, Any],
    url: str,
    wanted: dict[str, Any],
) -> None:
    """As the operator set it; passwords stay out of it."""
    settings = Settings.read(data=tmp_path, **chosen)
    api = api_with(connection=connection(settings, url))
    answer = api.call("GET", "/v1/connection", expect=200)
    assert answer["mqtt"] == answer["mqtt"] | wanted
    assert answer["http"] == {"path": "/v1/pings", "scope": "pings:write"}
    assert "secret" not in str(answer)
    assert "hidden" not in str(answer)
