"""Admits devices to the embedded server, each with its own password and for itself only.

The server asks for each connection, over its administration's port: who calls itself so and has
this password, may it come in, and what may it do? While nobody answers nobody is admitted. A
decision takes 0.1 ms, a connection 0.6 ms of CPU with everything, once for as long as it lasts. The
exchange is that of NATS' auth callout: claims as JSON web tokens, signed with an Ed25519 account
key that lives as long as this process.

Sources: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_callout,
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-26.md
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import secrets
import threading
import time
from typing import Any

import nats
import nats.errors
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.msg import Msg

from geotarget import metrics
from geotarget.errors import BrokerError
from geotarget.ingest.device_access import DeviceLogins

SUBJECT = "$SYS.REQ.USER.AUTH"

_ACCOUNT_PREFIX = b"\x00"
_START_S = 10.0
_AGAIN_S = 0.1

_log = structlog.get_logger(__name__)


class AccountKey:
    """An account's key in NATS' form; signs claims."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        raw = _ACCOUNT_PREFIX + self._key.public_key().public_bytes_raw()
        checked = raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")
        self.public = base64.b32encode(checked).rstrip(b"=").decode()

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims of this issuer as a token."""
        known = {"jti": secrets.token_hex(16), "iat": int(time.time()), "iss": self.public}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, {**known, **claims})
        text = ".".join(_base64(json.dumps(each).encode()) for each in parts)
        return f"{text}.{_base64(self._key.sign(text.encode()))}"


class AuthCallout:
    """Answers the server's questions in a thread of its own.

    Parameters
    ----------
    logins
        The passwords.
    account
        Where admitted devices belong.
    prefix
        Devices publish to ``{prefix}/{device}`` and below ``owntracks/{device}/``.
    """

    def __init__(self, logins: DeviceLogins, *, account: str, prefix: str) -> None:
        self.key = AccountKey()
        self._logins = logins
        self._account = account
        self._prefix = prefix.replace("/", ".")
        self._trouble = "the service that admits devices has not been started"
        self._answering = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._address = ("", "", "")
        self._thread = threading.Thread(target=self._run, name="auth-callout", daemon=True)

    def start(self, url: str, *, user: str, password: str) -> None:
        """Connect to the server and answer from now on; also when it comes back after an end.

        Raises
        ------
        BrokerError
            It can't be reached.
        """
        self._address = (url, user, password)
        self._thread.start()
        if not self._answering.wait(_START_S):
            raise BrokerError(f"the embedded broker can't ask who may connect: {self._trouble}")

    def stop(self) -> None:
        """End; from now on nobody is admitted."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended already
                loop.call_soon_threadsafe(stop.set)
            self._thread.join(_START_S)

    def health(self) -> tuple[bool, str]:
        """Tell whether devices are admitted, and why not."""
        if self._thread.ident is not None and not self._thread.is_alive():
            return False, "the service that admits devices has ended: no device can connect"
        return not self._trouble, self._trouble

    def decide(self, request: dict[str, Any]) -> str:
        """Answer one question of the server: a signed token.

        Parameters
        ----------
        request
            The claims of an authorization request.
        """
        asked = request["nats"]
        client, options = asked.get("client_info", {}), asked.get("connect_opts", {})
        device, name = options.get("user") or "", client.get("mqtt_id") or ""
        reason = ""
        if client.get("type") != "mqtt":
            reason = "only MQTT clients are admitted"
        elif not self._logins.accepts(device, options.get("pass") or ""):
            reason = "unknown user or wrong password"
        elif name != device:
            # So nobody takes over the session of another device, or that of the ingest.
            reason = "the client id has to be the user name"
        said: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if reason:
            metrics.devices_refused.inc()
            said["error"] = reason
        else:
            said["jwt"] = self.key.sign(
                {
                    "sub": asked["user_nkey"],
                    "aud": self._account,
                    "name": device,
                    "nats": {
                        "pub": {"allow": [f"{self._prefix}.{device}", f"owntracks.{device}.>"]},
                        "sub": {"deny": [">"]},
                        "subs": -1,
                        "data": -1,
                        "payload": -1,
                        "type": "user",
                        "version": 2,
                    },
                }
            )
        return self.key.sign(
            {"sub": asked["user_nkey"], "aud": asked["server_id"]["id"], "nats": said}
        )

    # In the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 told by `health`; nobody is admitted
            self._trouble = f"the service that admits devices has ended: {error!r}"
            _log.exception("the service that admits devices has ended")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        url, user, password = self._address
        connection = await nats.connect(
            url,
            user=user,
            password=password,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_AGAIN_S,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )
        try:
            await connection.subscribe(SUBJECT, cb=self._on_question)
            await connection.flush()
            await self._on_reconnected()
            self._answering.set()
            await self._stop.wait()
        finally:
            self._trouble = "the service that admits devices was stopped"
            await connection.close()

    async def _on_question(self, message: Msg) -> None:
        try:
            payload = message.data.split(b".")[1]
            answer = self.decide(json.loads(base64.urlsafe_b64decode(payload + b"==")))
        except (ValueError, KeyError, IndexError) as error:
            _log.error("the embedded broker's question can't be read", reason=repr(error))
            return  # no answer: not admitted
        await message.respond(answer.encode())

    async def _on_error(self, error: Exception) -> None:
        _log.debug("the service that admits devices", trouble=repr(error))

    async def _on_disconnected(self) -> None:
        self._trouble = "the service that admits devices has lost the broker: no device can connect"

    async def _on_reconnected(self) -> None:
        self._trouble = ""


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
