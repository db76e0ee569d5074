"""Files with a key in them: made so that only their owner can read them, and looked at again.

A key that everybody on the machine may read is worth a line in the log at each start; what is done
about it is the operator's.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def make_key_file(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and see to it that it is on the disk.

    Of several processes that do so at once one writes it, and all go on to use that one.

    Raises
    ------
    OSError
        It can't be written.
    """
    handle, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.link(name, file)
        _flush(file.parent)
    except FileExistsError:
        return
    finally:
        Path(name).unlink()


def warn_if_anybody_reads(file: Path) -> bool:
    """Log a warning when everybody on this machine may read a file; tell whether it is so.

    Its group may: that is how a key is given to a service without making it the owner.
    """
    mode = stat.S_IMODE(file.stat().st_mode)
    if os.name != "posix" or not mode & stat.S_IROTH:
        return False
    log.warning(
        "everybody on this machine may read a key",
        file=str(file),
        mode=f"{mode:o}",
        do=f"chmod 600 {file}",
    )
    return True


def _flush(folder: Path) -> None:
    """See to it that a new name is on the disk before anything rests on it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
