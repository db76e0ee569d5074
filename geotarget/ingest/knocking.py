"""Whether a broker lets us in at all, without touching a session that may be somebody else's.

Connecting under the name of a slot's session throws out whoever has it. So a worker without slots
asks under a name of its own, for a session that ends with the connection: one connection, a few
milliseconds.
"""

from __future__ import annotations

import secrets
import ssl
import threading
from typing import Any

from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.paho_polling import PollingClient

ANSWER_S = 2.0
"""A broker that takes longer to let somebody in is no use to a worker whose leases last 3 s."""


def knock(
    broker: BrokerUrl, *, tls: ssl.SSLContext | None = None, timeout_s: float = ANSWER_S
) -> str:
    """Return why a broker does not let us in; empty when it does.

    Parameters
    ----------
    broker
        Where, and with which login.
    tls
        For ``mqtts://``.
    timeout_s
        How long it may take to connect, and then to answer, seconds.

    Examples
    --------
    >>> knock(BrokerUrl.parse("mqtt://127.0.0.1:1")).startswith("can't reach mqtt://127.0.0.1:1")
    True
    """
    trouble = ""
    for version in (MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5):
        trouble, other_version = _Visit(broker, version, tls, timeout_s).made()
        if not other_version:
            break
    return trouble


class _Visit:
    """One connection that leaves nothing behind."""

    def __init__(
        self,
        broker: BrokerUrl,
        version: MQTTProtocolVersion,
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        self._broker = broker
        self._timeout_s = timeout_s
        self._over = threading.Event()
        self._answer: ReasonCode | None = None
        self._client = PollingClient(
            client_id=f"geotarget-knock-{secrets.token_hex(6)}", protocol=version
        )
        self._client.connect_timeout = timeout_s
        broker.apply(self._client, tls=tls)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = lambda *_: self._over.set()

    def made(self) -> tuple[str, bool]:
        """Connect and leave; tell what was wrong, and whether another version may do better."""
        try:
            self._client.connect(self._broker.host, self._broker.port)
        except OSError as error:
            return f"can't reach {self._broker}: {self._broker.trouble(error)}", False
        self._client.loop_start()
        try:
            over = self._over.wait(self._timeout_s)
        finally:
            self._client.disconnect()
            self._client.loop_stop()
        if self._answer is None:
            # some brokers just close on a version that they don't know
            return f"{self._broker} does not answer", over
        if self._answer.is_failure:
            why = f"{self._broker} refuses the connection: {self._answer}"
            return why, "protocol version" in str(self._answer).lower()
        return "", False

    def _on_connect(self, *arguments: Any) -> None:
        self._answer = arguments[3]
        self._over.set()
