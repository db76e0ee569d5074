"""Admits devices to a NATS server, each with its own password or token and for itself only.

The server asks for each connection: who calls itself so and has this password, may it come in, and
what may it do? While nobody answers nobody is admitted. A decision takes 0.1 ms (0.15 with a
token), a connection 0.6 ms of CPU with everything, once for as long as it lasts. The exchange is
that of NATS' auth callout: claims as JSON web tokens, signed with the key of an account. The
embedded server asks the process that runs it; the nodes of a cluster ask one of those that share
the queue `QUEUE`.

Once a second it looks which tokens were revoked, and has the servers end the connections of those
devices; who has another token comes back with it. That takes a user of the system account.

Sources: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_callout,
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-26.md
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from geotarget import metrics
from geotarget.errors import BrokerError, StoreError
from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.admission import Admission
from geotarget.ingest.nats_connection import end, login_of, unless
from geotarget.ingest.slots import LEVEL, slot_of

SUBJECT = "$SYS.REQ.USER.AUTH"
CONNECTIONS = "$SYS.REQ.SERVER.PING.CONNZ"
KICK = "$SYS.REQ.SERVER.{server}.KICK"
MAY: dict[str, Any] = {
    "publish": [CONNECTIONS, KICK.format(server="*")],
    "subscribe": [SUBJECT, "_INBOX.>"],
    "allow_responses": True,
}
"""What the user that answers needs in the system account, and nothing else."""
QUEUE = "geotarget"
"""Of several processes that answer for a cluster, one is asked."""

_START_S = 10.0
_AGAIN_S = 0.1
_LOOK_S = 1.0
_NOTE_EVERY = 10

_log = structlog.get_logger(__name__)


class AuthCallout:
    """Answers the server's questions in a thread of its own.

    Parameters
    ----------
    admission
        Decides.
    account
        Where admitted devices belong.
    prefix
        Devices publish to ``{prefix}/{device}``, below ``owntracks/{device}/``, and to their slot.
    key
        What the server knows the answers by; by default one that lives as long as this process.
    queue
        Others answer too; one of them is asked.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        account: str,
        prefix: str,
        key: AccountKey | None = None,
        queue: str = "",
    ) -> None:
        self.key = key or AccountKey()
        self._admission = admission
        self._account = account
        self._prefix = prefix.replace("/", ".")
        self._queue = queue
        self._trouble = "the service that admits devices has not been started"
        self._answering = threading.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._address: tuple[list[str], str | None, str | None] = ([], None, None)
        self._thread = threading.Thread(target=self._run, name="auth-callout", daemon=True)

    def start(self, url: str, *, user: str, password: str) -> None:
        """Connect to the server and answer from now on; also when it comes back after an end.

        Raises
        ------
        BrokerError
            It can't be reached.
        """
        self._address = ([url], user, password)
        self._thread.start()
        if not self._answering.wait(_START_S):
            raise BrokerError(f"the embedded broker can't ask who may connect: {self._trouble}")

    def follow(self, urls: str) -> None:
        """Answer the servers at these addresses as soon as one can be reached, and for good.

        Also at other nodes of the same cluster, of which the first one tells.

        Parameters
        ----------
        urls
            ``nats://user:password@host:4222``, several by commas; ``tls://`` for TLS.
        """
        addresses = [each.strip() for each in urls.split(",")]
        self._address = (addresses, *login_of(addresses))
        self._trouble = "the service that admits devices has not reached the broker yet"
        self._thread.start()

    def stop(self) -> None:
        """End; from now on nobody is admitted."""
        self._stopping = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended already
                loop.call_soon_threadsafe(stop.set)
        if self._thread.ident is not None:
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
        reason, until = "", None
        if client.get("type") != "mqtt":
            reason = "only MQTT clients are admitted"
        elif name != device:
            # So nobody takes over the session of another device, or that of the ingest.
            reason = "the client id has to be the user name"
        else:
            reason, until = self._ask(device, options.get("pass") or "")
        said: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if reason:
            metrics.devices_refused.inc()
            said["error"] = reason
        else:
            said["jwt"] = self._pass(asked["user_nkey"], device, until)
        return self.key.sign(
            {"sub": asked["user_nkey"], "aud": asked["server_id"]["id"], "nats": said}
        )

    def _ask(self, device: str, password: str) -> tuple[str, int | None]:
        """Return why a device may not come in, or an empty reason and until when it may."""
        try:
            admitted = self._admission.admit(device, password)
        except StoreError as error:
            _log.warning("tokens of devices can't be looked up", reason=str(error))
            return "tokens can't be looked up at the moment", None
        if admitted is None:
            return "unknown user or wrong password", None
        return "", admitted.until_s

    def _pass(self, key: str, device: str, until_s: int | None) -> str:
        """Return what the server lets a device do, and until when."""
        topics = [f"{self._prefix}.{device}", f"owntracks.{device}.>"]
        if self._queue:
            # A cluster maps to slots, and judges the topic that it maps to.
            topics.append(f"{LEVEL}.{slot_of(device)}.{device}")
        claims: dict[str, Any] = {
            "sub": key,
            "aud": self._account,
            "name": device,
            "nats": {
                "pub": {"allow": topics},
                "sub": {"deny": [">"]},
                "subs": -1,
                "data": -1,
                "payload": -1,
                "type": "user",
                "version": 2,
            },
        }
        return self.key.sign(claims if until_s is None else claims | {"exp": until_s})

    # In the thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 told by `health`; nobody is admitted
            self._trouble = f"the service that admits devices has ended: {error!r}"
            _log.exception("the service that admits devices has ended")

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._stopping:
            return
        servers, user, password = self._address
        connection = Client()
        options: dict[str, Any] = {
            "user": user,
            "password": password,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _AGAIN_S,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
        }
        try:
            if not await unless(self._stop, connection.connect(servers, **options)):
                return
            await connection.subscribe(SUBJECT, queue=self._queue, cb=self._on_question)
            await connection.flush()
            await self._on_reconnected()
            self._answering.set()
            await self._tend(connection, self._stop)
        finally:
            self._trouble = "the service that admits devices was stopped"
            await connection.close()
            await end(asyncio.all_tasks() - {asyncio.current_task()})

    async def _tend(self, connection: Client, stop: asyncio.Event) -> None:
        """Until the stop: cut connections whose token was revoked, and note which were used."""
        inbox = connection.new_inbox()

        async def cut(message: Msg) -> None:
            await self._cut(connection, message)

        await connection.subscribe(f"{inbox}.*", cb=cut)
        rounds = 0
        while not stop.is_set():
            rounds += 1
            try:
                for device in await asyncio.to_thread(self._admission.ended):
                    asked = {"user": device, "acc": self._account, "auth": True}
                    reply = f"{inbox}.{device}"
                    await connection.publish(CONNECTIONS, json.dumps(asked).encode(), reply)
                if rounds % _NOTE_EVERY == 0:
                    await asyncio.to_thread(self._admission.note_uses)
            except StoreError as error:
                _log.warning("tokens of devices can't be followed", reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_S)
        with contextlib.suppress(StoreError):  # told above, if it lasts
            await asyncio.to_thread(self._admission.note_uses)

    async def _cut(self, connection: Client, message: Msg) -> None:
        """End the connections of a device that a server tells of."""
        device = message.subject.rpartition(".")[2]
        told = json.loads(message.data)
        server = told.get("server", {}).get("id", "")
        for each in told.get("data", {}).get("connections") or ():
            # A user of the server's own may be called like a device; its client id is another.
            if each.get("authorized_user") == device == each.get("mqtt_client"):
                asked = json.dumps({"cid": each["cid"]}).encode()
                # Without somewhere to answer to nothing is done; the answer lists no connections.
                await connection.publish(KICK.format(server=server), asked, message.subject)
                metrics.devices_cut.inc()

    async def _on_question(self, message: Msg) -> None:
        try:
            payload = message.data.split(b".")[1]
            answer = self.decide(json.loads(base64.urlsafe_b64decode(payload + b"==")))
        except (ValueError, KeyError, IndexError) as error:
            _log.error("the broker's question can't be read", reason=repr(error))
            return  # no answer: not admitted
        await message.respond(answer.encode())

    async def _on_error(self, error: Exception) -> None:
        _log.debug("the service that admits devices", trouble=repr(error))
        if not self._answering.is_set():
            self._trouble = f"the service that admits devices can't reach the broker: {error}"

    async def _on_disconnected(self) -> None:
        self._trouble = "the service that admits devices has lost the broker: no device can connect"

    async def _on_reconnected(self) -> None:
        self._trouble = ""
