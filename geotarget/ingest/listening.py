"""TCP ports of this machine: is one free, does somebody answer.

Asked before and while the embedded broker starts, so that a taken port is named in a sentence of
ours and not in a line of the server's log.
"""

from __future__ import annotations

import os
import socket

from geotarget.errors import BrokerError


def check_port(host: str, port: int) -> None:
    """Make sure that the port can be listened on.

    Raises
    ------
    BrokerError
        When it is taken or not ours to take; the message says what to do.
    """
    try:
        with _listening_socket(host) as probe:
            probe.bind((host, port))
    except OSError as error:
        raise BrokerError(
            f"the broker can't listen on {bracketed(host)}:{port}: {error.strerror or error};"
            " end the program that does, or choose another port with --mqtt-port"
        ) from error


def free_port(host: str, *, but: int = 0) -> int:
    """Find a port that nobody listens on at this moment, and that is not `but`."""
    while True:
        with _listening_socket(host) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port != but:
            return port


def _listening_socket(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if os.name == "posix":
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe


def answers(host: str, port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def bracketed(host: str) -> str:
    """Write a host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
