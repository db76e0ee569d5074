"""Where a broker is and how to log in: ``mqtt://user:password@host:port`` and ``mqtts://``.

Shared by everything that connects, so that one address means the same everywhere. The password
never leaves this module in a log or a message.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from geotarget.certificates import client_context, tls_trouble
from geotarget.errors import SettingsError
from geotarget.ingest.listening import bracketed

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A parsed address; `str()` of it shows no password."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> BrokerUrl:
        """Parse an address.

        Raises
        ------
        SettingsError
            When it is none; the message shows no password.

        Examples
        --------
        >>> str(BrokerUrl.parse("mqtt://me:secret@example.org"))
        'mqtt://example.org:1883'
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise SettingsError("a broker's address has a bad host: mqtt://host:port") from None
        if parts.scheme not in _PORTS:
            raise SettingsError(
                f"a broker's address starts with mqtt:// or mqtts://, not {parts.scheme!r}"
            )
        try:
            port = parts.port or _PORTS[parts.scheme]
        except ValueError:  # what it says may be a part of a password with a / in it
            raise SettingsError(
                "a broker's address has a bad port: a number from 1 to 65535, and /, : and @ in a "
                "password are written %2F, %3A and %40"
            ) from None
        if not parts.hostname:
            raise SettingsError("a broker's address needs a host: mqtt://host:port")
        return cls(
            parts.hostname,
            port,
            parts.scheme == "mqtts",
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{bracketed(self.host)}:{self.port}"

    def trouble(self, error: BaseException | str | None) -> str:
        """Say what was wrong with a connection, with a guess where the scheme may be the reason."""
        text = tls_trouble(error)
        if self.tls and isinstance(error, ConnectionResetError | ssl.SSLEOFError):
            return f"{text}; does it speak TLS on this port? mqtt:// is the address without"
        return text

    def apply(
        self,
        client: Client,
        *,
        tls: ssl.SSLContext | None = None,
        reconnect_s: tuple[float, float] = (0.25, 30.0),
    ) -> None:
        """Give a client the credentials, TLS and back-off; connecting is left to the caller."""
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.tls:
            client.tls_set_context(tls or client_context())
        # paho types whole seconds, and computes with any number.
        client.reconnect_delay_set(*cast(tuple[int, int], reconnect_s))


def connect_properties(**values: int) -> Properties:
    """Build the properties of an MQTT 5 CONNECT, named as paho names them."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
