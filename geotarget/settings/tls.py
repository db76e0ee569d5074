"""Settings of TLS and of who may publish: certificates, authorities, passwords of devices.

A part of `Settings`. Files are read when a process starts what needs them; what is wrong with one
is told with its variable.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from geotarget.certificates import ServerCertificate, client_context
from geotarget.errors import Problem, SettingsError

CERTIFICATE, KEY = "GEOTARGET_TLS_CERTIFICATE", "GEOTARGET_TLS_KEY"
MQTT = ("GEOTARGET_MQTT_CA", "GEOTARGET_MQTT_CERTIFICATE", "GEOTARGET_MQTT_KEY")


class TlsSettings(BaseModel):
    """Certificates, authorities, and who may publish."""

    tls_certificate: str = Field(
        "",
        description="Certificate (PEM file, with its chain) that HTTP and the embedded broker "
        "show; empty means no TLS. A renewed file is taken within 10 s.",
    )
    tls_key: str = Field("", description="Its key, a PEM file without a password.")
    mqtt_ca: str = Field(
        "",
        description="Authorities (PEM file) that the certificate of the broker `mqtts://…` must "
        "come from; empty means the system's.",
    )
    mqtt_certificate: str = Field(
        "", description="Certificate (PEM file) that we show to a broker that asks for one."
    )
    mqtt_key: str = Field("", description="Its key, a PEM file without a password.")
    mqtt_device_access: Literal["open", "password", "device"] = Field(
        "open",
        description="Who may publish at the embedded broker: `open`, everybody who reaches it; "
        "`password`, who knows the one of all devices; `device`, each device with a password of "
        "its own and for itself only. Of your own broker `device` says that it was told those "
        "passwords.",
    )
    mqtt_device_password: str = Field(
        "",
        repr=False,
        description="The password of all devices (user `device`), for the access `password`.",
    )
    webhook_ca: str = Field(
        "",
        description="Authorities (PEM file) that webhooks trust besides the system's, for "
        "receivers of a private network.",
    )

    def server_certificate(self) -> ServerCertificate | None:
        """Read the certificate of the listeners; None without TLS.

        Raises
        ------
        SettingsError
            Names the variable, the file and what is wrong with it.
        """
        pair = _pair(self.tls_certificate, self.tls_key, (CERTIFICATE, KEY))
        return pair and ServerCertificate(*pair, names=(CERTIFICATE, KEY))

    def broker_trust(self, url: str) -> ssl.SSLContext | None:
        """Return what a connection to somebody's broker trusts and shows; None without TLS.

        Raises
        ------
        SettingsError
            Names the variable, the file and what is wrong with it.
        """
        pair = _pair(self.mqtt_certificate, self.mqtt_key, MQTT[1:])
        if url.startswith("mqtts://"):
            ca = Path(self.mqtt_ca) if self.mqtt_ca else None
            return client_context(authorities=ca, pair=pair, names=MQTT)
        if self.mqtt_ca or pair:
            given = MQTT[0] if self.mqtt_ca else MQTT[1]
            reason = "is of no use without TLS; the broker's address must start with mqtts://"
            raise SettingsError(str(Problem(given, self.mqtt_ca or self.mqtt_certificate, reason)))
        return None

    def local_broker(self, port: int) -> tuple[str, ssl.SSLContext | None]:
        """Return where devices publish to the embedded broker of this machine, and whom to trust.

        Raises
        ------
        SettingsError
            Names the variable, the file and what is wrong with it.
        """
        if self.mqtt_device_access == "device":
            reason = "is `device`: one connection can't speak for many devices then"
            raise SettingsError(str(Problem("GEOTARGET_MQTT_DEVICE_ACCESS", "", reason)))
        shown = self.server_certificate()
        password = self.device_password()
        login = f"device:{quote(password, safe='')}@" if password else ""
        scheme = "mqtt" if shown is None else "mqtts"
        return f"{scheme}://{login}127.0.0.1:{port}", shown.client if shown else None

    def webhook_trust(self) -> ssl.SSLContext | None:
        """Return whom webhooks trust; None for the system's authorities.

        Raises
        ------
        SettingsError
            Names the variable, the file and what is wrong with it.
        """
        if not self.webhook_ca:
            return None
        return client_context(
            authorities=Path(self.webhook_ca),
            besides_the_systems=True,
            names=("GEOTARGET_WEBHOOK_CA", "", ""),
        )

    def device_password(self) -> str | None:
        """Return the password of all devices; None when there is none.

        Raises
        ------
        SettingsError
            It is wanted and not given, or given and not wanted.
        """
        wanted, given = self.mqtt_device_access == "password", bool(self.mqtt_device_password)
        if wanted == given:
            return self.mqtt_device_password or None
        reason = (
            "is missing: the access `password` needs it"
            if wanted
            else "is given, and GEOTARGET_MQTT_DEVICE_ACCESS is not `password`"
        )
        raise SettingsError(str(Problem("GEOTARGET_MQTT_DEVICE_PASSWORD", "", reason)))


def _pair(certificate: str, key: str, names: tuple[str, ...]) -> tuple[Path, Path] | None:
    """Return both files or none."""
    if not certificate and not key:
        return None
    if not key or not certificate:
        missing, given = (names[1], names[0]) if certificate else (names[0], names[1])
        raise SettingsError(str(Problem(missing, "", f"is missing: it goes with {given}")))
    return Path(certificate), Path(key)
