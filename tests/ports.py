"""Ports for servers that tests start: free when they are drawn, and drawn by nobody else.

They lie below those that the system gives to outgoing connections, so what starts later finds them
free. Between drawing and listening a server may take seconds (a cluster, a database that has to be
made first), so a port that was given is not given again, and the processes that run tests beside
each other draw from lists of their own.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket

FIRST, END = 15_000, 32_000
PROCESSES = 8
"""So many may draw beside each other; more than that share."""


def _shuffled() -> list[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(FIRST + number % PROCESSES, END, PROCESSES))
    random.SystemRandom().shuffle(ports)
    return ports


_left = _shuffled()


def free_ports(count: int) -> list[int]:
    """Return TCP ports on loopback that nobody listens on at this moment."""
    found: list[int] = []
    while len(found) < count:
        if not _left:
            _left.extend(_shuffled())
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", _left[-1]))
            found.append(_left[-1])
        _left.pop()
    return found


def find_port() -> int:
    """Return one of them."""
    return free_ports(1)[0]
