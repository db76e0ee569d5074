"""``/v1/connection``: where an app sends its pings to, so that nobody has to be asked for it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.services import Access, Connection, Here

EXAMPLE: dict[str, Any] = {
    "mqtt": {
        "host": "pings.example.com",
        "port": 8883,
        "tls": True,
        "topic": "pings/{device}",
        "access": "device",
        "username": "{device}",
        "client_id": "{device}",
        "message_pings": 100,
        "message_bytes": 65536,
    },
    "http": {"path": "/v1/pings", "scope": "pings:write"},
}


class BrokerAnswer(BaseModel):
    """How pings come in over MQTT, with QoS 1."""

    host: str | None = Field(
        description="Null where the broker listens at every address of its machine: take the name "
        "that this API is reached by."
    )
    port: int
    tls: bool = Field(description="Whether the address begins with `mqtts://`.")
    topic: str = Field(description="`{device}` stands for the id of the device.")
    access: Access = Field(
        description="`open`: no login; `password`: one for all devices; `device`: each has its "
        "own (`POST /v1/devices/{id}/credentials`, or a token); `token`: each has tokens of its "
        "own (`POST /v1/devices/{id}/tokens`); `broker`: your own broker says."
    )
    username: str | None = Field(description="Null where there is no login, or the broker says.")
    client_id: str | None = Field(description="Null where any will do.")
    message_pings: int = Field(description="Most pings in one message.")
    message_bytes: int = Field(description="Largest message.")

    @classmethod
    def of(cls, connection: Connection) -> BrokerAnswer:
        """Return what the API says about the way in."""
        parts = urlsplit(connection.url)
        own = "{device}" if connection.access in ("device", "token") else None
        return cls(
            host=None if _is_everywhere(parts.hostname or "") else parts.hostname,
            port=parts.port or 0,
            tls=parts.scheme == "mqtts",
            topic=f"{connection.prefix}/{{device}}",
            access=connection.access,
            username="device" if connection.access == "password" else own,
            client_id=own,
            message_pings=connection.message_pings,
            message_bytes=connection.message_bytes,
        )


class HttpAnswer(BaseModel):
    """How pings come in over HTTP."""

    path: str = Field(description="At the address of this API.")
    scope: str = Field(description="What the key must allow.")


class ConnectionAnswer(BaseModel):
    """Where pings go; nothing of it is secret, and no password is in it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    mqtt: BrokerAnswer
    http: HttpAnswer


def show_connection(here: Here) -> ConnectionAnswer:
    """Say where an app sends its pings to.

    Address, topic and kind of access of the broker, and the path for HTTP. Behind a proxy or in a
    container phones may need another host name or port than the one that geotarget itself uses:
    GEOTARGET_MQTT_PHONE_URL says which, and is told here.
    """
    return ConnectionAnswer(
        mqtt=BrokerAnswer.of(here.services.connection),
        http=HttpAnswer(path="/v1/pings", scope="pings:write"),
    )


def _is_everywhere(host: str) -> bool:
    """Return whether a listener at this address listens at all of its machine's."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:  # a name
        return not host
