"""What mosquitto says of itself on ``$SYS``: how many clients there are, not which."""

from __future__ import annotations

import ssl
import threading
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.reasoncodes import ReasonCode

from geotarget.errors import BrokerError
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.paho_polling import PollingClient

FIGURES = {
    "$SYS/broker/version": "version",
    "$SYS/broker/clients/connected": "clients connected",
    "$SYS/broker/clients/disconnected": "sessions of absent clients",
    "$SYS/broker/store/messages/count": "messages stored",
    "$SYS/broker/publish/messages/dropped": "messages dropped",
}

_STEP_S = 10.0
_QUIET_S = 2.0


def read_figures(broker: BrokerUrl, *, tls: ssl.SSLContext | None = None) -> dict[str, str]:
    """Return what the broker says of itself, by the names of `FIGURES`; empty if it says nothing.

    Raises
    ------
    BrokerError
        It can't be reached, or refuses the login.
    """
    found: dict[str, str] = {}
    changed = threading.Condition()
    answer: list[ReasonCode] = []

    def on_connect(client: paho.Client, *arguments: Any) -> None:
        with changed:
            answer.append(arguments[2])
            changed.notify_all()
        client.subscribe([(name, 0) for name in FIGURES])

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with changed:
            found[FIGURES[message.topic]] = message.payload.decode("utf-8", "replace")
            changed.notify_all()

    client = PollingClient()
    broker.apply(client, tls=tls)
    client.on_connect, client.on_message = on_connect, on_message
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        raise BrokerError(f"can't reach {broker}: {broker.trouble(error)}") from error
    client.loop_start()
    try:
        with changed:
            if not changed.wait_for(lambda: answer, _STEP_S):
                raise BrokerError(f"{broker} does not answer")
            if answer[0].is_failure:
                raise BrokerError(f"{broker} refuses the connection: {answer[0]}")
            # They are retained, so they come at once, or not at all.
            changed.wait_for(lambda: len(found) == len(FIGURES), _QUIET_S)
    finally:
        client.disconnect()
        client.loop_stop()
    return found
