"""The password file of mosquitto, with the passwords that follow from the names of devices.

Mosquitto asks nobody: what is not in its file can't log in, and it reads the file again at SIGHUP.
So the passwords of devices are written into it, hashed as mosquitto does it (PBKDF2 with SHA-512,
``$7$``), 0.1 ms a device. Tokens can't be: only their SHA-256 is kept.

Source: https://mosquitto.org/man/mosquitto_passwd-1.html, and `pw_sha512` of mosquitto 2.0.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from geotarget.errors import InvalidInput, Problem
from geotarget.ingest.admission import check_device
from geotarget.ingest.device_access import DeviceLogins

ROUNDS = 101
"""As mosquitto_passwd makes them: more would protect nothing, the passwords are 256 random bits."""
INGEST = "ingest"
"""The user of the ingest in the list of rights that is shipped."""

_SALT_BYTES = 12


def hashed(password: str, *, salt: bytes | None = None) -> str:
    """Return a password as it stands in the file.

    Examples
    --------
    >>> hashed("secret", salt=bytes(12))[:24]
    '$7$101$AAAAAAAAAAAAAAAA$'
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def write_passwords(
    file: Path, logins: DeviceLogins, devices: Iterable[str], *, ingest: str = INGEST
) -> int:
    """Put the passwords of devices into a file of mosquitto; everybody else's line stays.

    The file is replaced at once, with the owner and the mode that it had; a new one is readable to
    its owner only.

    Parameters
    ----------
    file
        Made when there is none.
    logins
        Knows the passwords.
    devices
        Whose.
    ingest
        The user of the ingest, which no device may be called like.

    Returns
    -------
    int
        How many devices.

    Raises
    ------
    InvalidInput
        A device can't log in under its name; nothing is written.
    OSError
        The file can't be read or written.
    """
    lines: dict[str, str] = {}
    for device in devices:
        check_device(device)
        if device in (ingest, INGEST):
            raise InvalidInput(Problem("device", device, "is the user of the ingest"))
        lines[device] = f"{device}:{hashed(logins.password(device))}"
    before = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in before if line.partition(":")[0] not in lines]
    _replace(file, "".join(f"{line}\n" for line in [*kept, *lines.values()]))
    return len(lines)


def _replace(file: Path, text: str) -> None:
    """Write a file beside and put it in the place of the old one."""
    handle, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(handle, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            shutil.copymode(file, name)
            if os.name == "posix":
                was = file.stat()
                os.chown(name, was.st_uid, was.st_gid)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
