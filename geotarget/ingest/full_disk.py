"""A broker that could not write: when it may begin anew.

NATS stops writing to a stream for good when one write has failed, for want of room, say. Phones
get no acknowledgement then, which is right, but would get none either when there is room again:
the server has to be started anew. It says so in its log, and nowhere else.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

_MOST_ROOM = 64 << 20
_SHARE = 20


class FullDisk:
    """Remembers that the server could not write, and tells when to start it again.

    Parameters
    ----------
    folder
        Where its store is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._noted = threading.Event()

    def note(self, line: str) -> None:
        """Look at a line of the server's log; any thread may."""
        if "critical write error" in line.lower():
            self._noted.set()

    def forget(self) -> None:
        """Begin anew: the server was started."""
        self._noted.clear()

    @property
    def trouble(self) -> str:
        """What is wrong; empty when nothing is."""
        if not self._noted.is_set():
            return ""
        free = shutil.disk_usage(self._folder).free
        return (
            f"the embedded broker can't write to {self._folder} ({free >> 20} MiB are free): "
            "phones keep their pings until there is room"
        )

    @property
    def is_over(self) -> bool:
        """Whether it could not write and there is room now: a twentieth of the disk, or 64 MiB."""
        if not self._noted.is_set():
            return False
        disk = shutil.disk_usage(self._folder)
        return disk.free >= min(_MOST_ROOM, disk.total // _SHARE)
