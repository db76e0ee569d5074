"""The HTTP server in a thread of its own, on a socket that was bound before anything else began."""

from __future__ import annotations

import ipaddress
import resource
import socket
import ssl
import threading
from collections.abc import Sequence

import structlog
from starlette.applications import Starlette

from geotarget.api.limits import HttpLimits
from geotarget.errors import SettingsError
from geotarget.runtime.http_connection import BoundedConfig, BoundedServer

log = structlog.get_logger(__name__)

FILES_BESIDES = 768
"""Open files and sockets of a process besides its HTTP connections: database, broker, webhooks."""


class ApiThread:
    """The HTTP server on an event loop of its own, so that nothing else can slow it down.

    Parameters
    ----------
    app, sock
        What it serves, and the bound socket that it serves it on.
    tls
        Serves https with this context.
    limits
        What its clients are held to.
    trusted_proxies
        Networks whose ``X-Forwarded-For`` is believed; without any, nobody's is.
    """

    def __init__(
        self,
        app: Starlette,
        sock: socket.socket,
        tls: ssl.SSLContext | None = None,
        limits: HttpLimits | None = None,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        host, port = sock.getsockname()[:2]
        self.url = f"{'http' if tls is None else 'https'}://{host}:{port}"
        self._limits = limits or HttpLimits()
        config = BoundedConfig(
            app,
            self._limits,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
        )
        config.load()
        config.ssl = tls  # the context itself: a renewed certificate is put into it
        self._server = BoundedServer(config)
        self._sock = sock
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [sock]}, name="api", daemon=True
        )

    def start(self) -> None:
        """Start and return at once; `answers` tells when it serves."""
        allow_files(self._limits.connections + FILES_BESIDES)
        self._thread.start()

    @property
    def answers(self) -> bool:
        """Whether it accepts requests."""
        return self._server.started

    @property
    def alive(self) -> bool:
        """Whether the server's thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the requests under way and end."""
        self._server.should_exit = True
        self._thread.join(timeout=15)
        self._sock.close()


def listen(host: str, port: int, chosen_by: str = "--port or GEOTARGET_PORT") -> socket.socket:
    """Return a bound socket; `chosen_by` says in words what sets the port.

    Raises
    ------
    SettingsError
        The address can't be had; says which and what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SettingsError(
            f"can't listen on {host}:{port}: {error.strerror}; choose another port with {chosen_by}"
        ) from error
    return sock


def allow_files(wanted: int) -> None:
    """Let this process open so many files, as far as the system allows; warn where it does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    given = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
    if given < wanted:
        log.warning(
            "this process may open fewer files than the connections need; raise `ulimit -n` or "
            "lower GEOTARGET_HTTP_CONNECTIONS",
            allowed=given,
            wanted=wanted,
        )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address that is listened on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
