"""The HTTP server in a thread of its own, on a socket that was bound before anything else began."""

from __future__ import annotations

import socket
import threading

import uvicorn
from fastapi import FastAPI

from geotarget.errors import SettingsError


class ApiThread:
    """The HTTP server on an event loop of its own, so that nothing else can slow it down."""

    def __init__(self, app: FastAPI, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._sock = sock
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [sock]}, name="api", daemon=True
        )

    def start(self) -> None:
        """Start and return at once; `answers` tells when it serves."""
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


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket.

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
            f"can't listen on {host}:{port}: {error.strerror}; "
            "choose another port with --port or GEOTARGET_PORT"
        ) from error
    return sock
