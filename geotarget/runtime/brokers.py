"""The broker as the settings want it: who may publish, and with which certificate."""

from __future__ import annotations

import structlog

from geotarget.api import Connection, DeviceLogin
from geotarget.api.services import Access
from geotarget.certificates import ServerCertificate
from geotarget.ingest import EmbeddedBroker
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.device_access import DeviceLogins
from geotarget.ingest.listening import bracketed
from geotarget.runtime.http_server import is_loopback
from geotarget.settings import Settings
from geotarget.store import DeviceTokens

log = structlog.get_logger(__name__)


def embedded_broker(
    settings: Settings,
    *,
    certificate: ServerCertificate | None,
    ack_wait_s: float,
    tokens: DeviceTokens | None = None,
) -> EmbeddedBroker:
    """Return the embedded broker, not started yet; say it when everybody may publish.

    `tokens` is where those of devices are kept.

    Raises
    ------
    SettingsError
        A setting is missing, or a file can't be used.
    """
    access = settings.mqtt_device_access
    if access == "open" and not is_loopback(settings.host):
        log.warning(
            "everybody who reaches this machine may publish pings for any device",
            host=settings.host,
            do="set GEOTARGET_MQTT_DEVICE_ACCESS to device, or to password",
        )
    if access != "open" and certificate is None and not is_loopback(settings.host):
        log.warning(
            "passwords of devices cross the network in plain text",
            host=settings.host,
            do="set GEOTARGET_TLS_CERTIFICATE and GEOTARGET_TLS_KEY",
        )
    return EmbeddedBroker(
        settings.data / "broker",
        host=settings.host,
        port=settings.mqtt_port,
        prefix=settings.mqtt_prefix,
        client_id=settings.mqtt_client_id,
        max_bytes=settings.broker_max_bytes,
        flush=settings.broker_flush,
        ack_wait_s=ack_wait_s,
        max_unacknowledged=settings.queue_messages,
        device_password=settings.device_password(),
        logins=DeviceLogins.of(settings.data) if access == "device" else None,
        tokens=tokens,
        certificate=certificate,
    )


def told_url(settings: Settings, url: str) -> str:
    """Return what phones are told of the broker at `url`: that, or what the operator says."""
    return str(BrokerUrl.parse(settings.mqtt_phone_url)) if settings.mqtt_phone_url else url


def connection(settings: Settings, url: str) -> Connection:
    """Return what apps need to know to send pings; `url` is that of the broker."""
    return Connection(
        url=told_url(settings, url),
        prefix=settings.mqtt_prefix,
        access=_access(settings),
        message_pings=settings.message_max_pings,
        message_bytes=settings.message_max_bytes,
    )


def _access(settings: Settings) -> Access:
    if settings.auth_callout_url:
        return "token"
    if settings.mqtt and settings.mqtt_device_access != "device":
        return "broker"
    return settings.mqtt_device_access


def device_login(
    settings: Settings, logins: DeviceLogins, device: str, *, port: int = 0
) -> DeviceLogin:
    """Return how one device logs in with the password of its name.

    At one's own broker, or at the embedded one; `port` where that is not the setting's.

    Raises
    ------
    InvalidInput
        The name can't be that of a device at this broker.
    """
    scheme = "mqtts" if settings.tls_certificate else "mqtt"
    embedded = f"{scheme}://{bracketed(settings.host)}:{port or settings.mqtt_port}"
    return DeviceLogin(
        url=told_url(settings, str(BrokerUrl.parse(settings.mqtt)) if settings.mqtt else embedded),
        topic=f"{settings.mqtt_prefix}/{device}",
        username=device,
        password=logins.password(device),
        client_id=device,
    )
