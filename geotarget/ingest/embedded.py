"""A broker for those who have none: the NATS server of its wheel, as a child process.

PUBACK waits for its durable store, so what a phone was told is safe survives ``kill -9`` of the
server; it is started again at once, on the same port. It never outlives us: on Linux the kernel
ends it with us (elsewhere an orphan is found and named at the next start). Costs 15 MB and, while
idle, nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from geotarget.certificates import ServerCertificate
from geotarget.errors import BrokerError
from geotarget.ingest.admission import Admission
from geotarget.ingest.auth_callout import AuthCallout
from geotarget.ingest.device_access import DeviceLogins
from geotarget.ingest.full_disk import FullDisk
from geotarget.ingest.listening import answers, bracketed, check_port, free_port
from geotarget.ingest.nats_server import (
    ACCOUNT,
    CALLOUT,
    DEVICE,
    FLEET,
    INGEST,
    ServerPlan,
    create_session,
    find_server,
    limit_store,
)
from geotarget.ingest.server_log import ServerLog
from geotarget.ingest.topics import subscriptions

if TYPE_CHECKING:
    from geotarget.store import DeviceTokens

_START_S = 60.0
_STOP_S = 10.0
_ORPHAN_S = 5.0
_ENDING_S = 2.0
_POLL_S = 0.02
_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0
_STEADY_S = 30.0
_LOOK_S = 1.0

# Runs in the child before the server: asks the kernel to end it when the thread that started it
# does, checks that this has not happened yet, and becomes the server.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execv(sys.argv[3], sys.argv[3:])
"""

_log = structlog.get_logger(__name__)


class EmbeddedBroker:
    """Runs a NATS server that speaks MQTT 3.1.1.

    Parameters
    ----------
    data_dir
        Its store, configuration and the session's name; made when missing.
    host, port
        Where phones connect. Port 0 takes a free one.
    prefix
        As in `decode_mqtt`.
    client_id
        What the ingest's session is called; a secret part is added, see `client_id`.
    max_bytes
        How much may wait for the ingest; when it is full phones get no acknowledgement.
    flush
        When it flushes to disk what it has acknowledged: ``always``, or a duration.
    ack_wait_s, max_unacknowledged
        When an unacknowledged message is sent again, and how many there may be: give `MqttSource`
        the same `ack_wait_s` and its intake at least this capacity. A session keeps the values
        that it was made with. With a reorder window of 3 s and an `ack_wait_s` of 3 every message
        came twice, known and dropped, at 84 us of the server's CPU a message; with 7 once, at 51.
    device_password
        The password of the user ``device``; None lets everybody publish who reaches the port.
        Nobody but the ingest may subscribe.
    logins
        Each device has a password of its own and may publish for itself only; None for none. With
        a password that all devices have, that is enough.
    tokens
        Where tokens of devices are kept, which are taken beside their passwords; None for none.
    certificate
        What the MQTT listener shows; None for no TLS. After `ServerCertificate.renew` call
        `renew` here too.
    server
        The program; by default that of the wheel, else ``nats-server`` on the path.

    Examples
    --------
    ::

        broker = EmbeddedBroker(Path("data/broker"), port=1883)
        broker.start()
        source = MqttSource(broker.url, intake, client_id=broker.client_id)
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 1883,
        prefix: str = "pings",
        client_id: str = "geotarget-ingest",
        max_bytes: int = 4 * 1024**3,
        flush: str = "2m",
        ack_wait_s: float = 3.0,
        max_unacknowledged: int = 5_000,
        device_password: str | None = None,
        logins: DeviceLogins | None = None,
        tokens: DeviceTokens | None = None,
        certificate: ServerCertificate | None = None,
        server: Path | None = None,
    ) -> None:
        self._folder = data_dir.absolute()
        self._host = host
        self._port = port
        self._prefix = prefix
        self._name = client_id
        self._max_bytes = max_bytes
        self._flush = flush
        self._ack_wait_s = ack_wait_s
        self._max_unacknowledged = max_unacknowledged
        self._device_password = secrets.token_hex(16) if logins else device_password
        self._certificate = certificate
        self.logins = logins
        asked = Admission(logins=logins, tokens=tokens)
        self._callout = AuthCallout(asked, account=ACCOUNT, prefix=prefix) if logins else None
        self._server = server
        self._ingest_password = secrets.token_hex(16)
        self._admin_password = secrets.token_hex(16)
        self._plan: ServerPlan | None = None
        self._process: subprocess.Popen[str] | None = None
        self._disk = FullDisk(self._folder)
        self._log = ServerLog(self._disk.note)
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._trouble = "the embedded broker has not been started"
        self._restarts = 0
        self._keeper = threading.Thread(target=self._keep, name="broker-keeper", daemon=True)
        self._client_id = ""

    def start(self) -> None:
        """Start the server and wait until phones may publish.

        On the very first start the server runs on a private port until the ingest's session
        exists: what comes before would be acknowledged and thrown away.

        Raises
        ------
        BrokerError
            When there is no server program, the port is taken, an earlier server still uses this
            folder, or the server does not come up; the message says which.
        """
        self._keeper.start()
        self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the server; what it stores stays."""
        self._stopping.set()
        if self._callout is not None:
            self._callout.stop()
        if self._process is not None:
            self._process.terminate()
        if self._keeper.ident is not None:
            self._keeper.join(_STOP_S)
        if self._keeper.is_alive() and self._process is not None:
            _log.warning("the embedded broker does not stop; killing it")
            self._process.kill()
            self._keeper.join(_STOP_S)
        self._trouble = "the embedded broker was stopped"

    def renew(self) -> None:
        """Have the server read its certificate again; connections stay."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def health(self) -> tuple[bool, str]:
        """Tell whether the server runs and lets devices in, and why not."""
        if self._trouble or self._callout is None:
            return not self._trouble, self._trouble
        return self._callout.health()

    @property
    def port(self) -> int:
        """Where phones connect."""
        return self._planned.mqtt_port

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often the server had to be started again."""
        return self._restarts

    @property
    def url(self) -> str:
        """Address for `MqttSource`; holds a password."""
        return self._address(INGEST, self._planned.ingest_password)

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What a connection from this machine trusts: exactly the certificate of the listener."""
        return None if self._certificate is None else self._certificate.client

    @property
    def client_id(self) -> str:
        """What `MqttSource` has to call itself; known to nobody else, the same over restarts."""
        return self._client_id

    @property
    def device_url(self) -> str:
        """Address for devices on this machine; holds their password if there is one."""
        if self._device_password:
            user = DEVICE if self._callout is None else FLEET
            return self._address(user, self._device_password)
        return self._address()

    def _address(self, user: str = "", password: str = "") -> str:
        scheme = "mqtt" if self._certificate is None else "mqtts"
        login = f"{user}:{quote(password, safe='')}@" if user else ""
        return f"{scheme}://{login}{bracketed(self._planned.connect_host)}:{self.port}"

    @property
    def _planned(self) -> ServerPlan:
        assert self._plan is not None, "not started"
        return self._plan

    # The keeper: the server's parent thread, because the kernel watches that thread.

    def _keep(self) -> None:
        try:
            program = find_server(self._server)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_orphan()
            self._check_port()
            self._make_session(program)
            plan = self._make_plan(self._host, self._port or free_port(self._host))
            shown = self._certificate
            pair = (shown.certificate, shown.key) if shown else None
            self._plan = replace(plan, certificate=pair)
            self._run_server(program, self._plan)
            limit_store(self._plan)
            if self._callout is not None:
                at = f"nats://127.0.0.1:{self._plan.admin_port}"
                self._callout.start(at, user=CALLOUT, password=self._admin_password)
            self._trouble = ""
        except Exception as error:  # noqa: BLE001 raised again by `start`
            self._failure = error
            self._end_server()
            self._settled.set()
            return
        self._settled.set()
        self._watch(program, self._plan)

    def _watch(self, program: Path, plan: ServerPlan) -> None:
        backoff = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            started = time.monotonic()
            assert self._process is not None
            status = self._wait_for_end(self._process)
            if self._stopping.is_set():
                break
            self._trouble = f"the embedded broker ended with status {status}"
            _log.error("the embedded broker ended; starting it again", status=status)
            if time.monotonic() - started > _STEADY_S:
                backoff = _FIRST_BACKOFF_S
            self._stopping.wait(backoff)
            backoff = min(2 * backoff, _LAST_BACKOFF_S)
            self._restarts += 1
            try:
                self._run_server(program, plan)
                self._trouble = ""
            except BrokerError as error:
                self._trouble = str(error)
                _log.error("the embedded broker does not come up", reason=str(error))
                self._end_server()
        self._end_server()

    def _wait_for_end(self, process: subprocess.Popen[str]) -> int:
        """Return the status with which the server ends; end it when it has to begin anew."""
        while not self._stopping.is_set():
            try:
                return process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                self._trouble = self._disk.trouble
                if self._disk.is_over:
                    _log.warning("the embedded broker could not write and has room now")
                    self._end_server()
        return process.wait()

    def _make_session(self, program: Path) -> None:
        """Have the ingest's session exist before phones can reach the server."""
        note = self._folder / "session.json"
        filters = subscriptions(self._prefix)
        known = json.loads(note.read_text()) if note.exists() else {}
        # Whoever knows the id could take the session over, hence a secret part.
        self._client_id = known.get("client_id") or f"{self._name}-{secrets.token_hex(8)}"
        old = tuple(known.get("filters", ()))
        if old == filters:
            return
        plan = self._make_plan("127.0.0.1", free_port("127.0.0.1"))
        self._run_server(program, plan)
        create_session(
            plan,
            client_id=self._client_id,
            filters=filters,
            dropped=tuple(name for name in old if name not in filters),
        )
        limit_store(plan)
        self._end_server()
        note.touch(mode=0o600)
        note.write_text(json.dumps({"client_id": self._client_id, "filters": filters}))

    def _make_plan(self, host: str, port: int) -> ServerPlan:
        return ServerPlan(
            folder=self._folder,
            host=host,
            mqtt_port=port,
            admin_port=free_port("127.0.0.1", but=port),
            prefix=self._prefix,
            store_bytes=self._max_bytes,
            ack_wait_s=self._ack_wait_s,
            flush=self._flush,
            max_unacknowledged=self._max_unacknowledged,
            admin_password=self._admin_password,
            ingest_password=self._ingest_password,
            device_password=self._device_password,
            issuer=self._callout.key.public if self._callout else "",
        )

    def _run_server(self, program: Path, plan: ServerPlan) -> None:
        """Start the server and wait until it answers."""
        plan.write()
        command = [str(program), "--config", str(plan.config_file)]
        if sys.platform == "linux":
            ending = [str(os.getpid()), str(int(signal.SIGTERM))]
            command = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, *ending, *command]
        self._log.last_lines.clear()
        self._disk.forget()
        process = subprocess.Popen(  # noqa: S603 our own program and arguments
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # Ctrl-C is for us: the server has to outlive the draining.
            process_group=0 if os.name == "posix" else None,
        )
        self._process = process
        self._pid_file.write_text(str(process.pid))
        assert process.stderr is not None
        reader = threading.Thread(
            target=self._log.forward, args=(process.stderr,), name="broker-log", daemon=True
        )
        reader.start()
        deadline = time.monotonic() + _START_S
        for host, port in (("127.0.0.1", plan.admin_port), (plan.connect_host, plan.mqtt_port)):
            while not answers(host, port):
                if process.poll() is not None:
                    reader.join(_STOP_S)  # it has read everything then
                    raise BrokerError(
                        f"the embedded broker ended with status {process.returncode}:"
                        f" {' | '.join(self._log.last_lines) or 'it said nothing'}"
                    )
                if self._stopping.is_set():
                    raise BrokerError("the embedded broker was stopped while it started")
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"the embedded broker does not answer on {host}:{port} after"
                        f" {_START_S:.0f} s"
                    )
                time.sleep(_POLL_S)

    def _end_server(self) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self._folder / "nats.pid"

    def _check_orphan(self) -> None:
        """Refuse to start beside an earlier server of this folder; give it time to end."""
        deadline = time.monotonic() + _ORPHAN_S
        while (pid := self._orphan()) is not None:
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"an earlier embedded broker (process {pid}) still uses {self._folder};"
                    " end it, or choose another data folder"
                )
            time.sleep(_POLL_S)

    def _check_port(self) -> None:
        """Refuse a port that is taken; an earlier server lets go of it a moment after its end."""
        deadline = time.monotonic() + (_ENDING_S if self._pid_file.exists() else 0.0)
        while True:
            try:
                return check_port(self._host, self._port)
            except BrokerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    def _orphan(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if str(self._folder / "nats.conf").encode() in command:
                return pid
        return None
