"""A password for each device, without a table of them: HMAC of its name under one key.

The back end of an app asks for a device's password once it knows who the phone belongs to, and
hands it on. The key lies in ``device.key`` in the data folder, readable to its owner only; who has
it can speak for every device. A password can't be taken back singly: a new key takes back all.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from geotarget.errors import InvalidInput, Problem, SettingsError
from geotarget.ingest.topics import PORTABLE_DEVICE
from geotarget.key_files import make_key_file, warn_if_anybody_reads

FILE = "device.key"
KEY_BYTES = 32

_PURPOSE = b"mqtt-device\0"


class DeviceLogins:
    """Knows the password of every device.

    Parameters
    ----------
    key
        32 bytes.

    Examples
    --------
    >>> DeviceLogins(bytes(32)).accepts("bus-7", DeviceLogins(bytes(32)).password("bus-7"))
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, data: Path) -> DeviceLogins:
        """Read the key in the data folder; made when there is none.

        Raises
        ------
        SettingsError
            It can't be read or made; names the file.
        """
        file = data / FILE
        try:
            if not file.exists():
                data.mkdir(parents=True, exist_ok=True)
                make_key_file(file, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            key = base64.b64decode(file.read_bytes())
            warn_if_anybody_reads(file)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"the key of the devices' passwords, {file}, can't be used: {error}"
            ) from error
        if len(key) != KEY_BYTES:
            raise SettingsError(
                f"the key of the devices' passwords, {file}, must be the Base64 of {KEY_BYTES}"
                f" bytes, not of {len(key)}"
            )
        return cls(key)

    def password(self, device: str) -> str:
        """Return the password of a device, 43 characters.

        Raises
        ------
        InvalidInput
            The name can't be a user name and a topic level.
        """
        if not PORTABLE_DEVICE.fullmatch(device):
            reason = f"must match {PORTABLE_DEVICE.pattern} to publish over MQTT"
            raise InvalidInput(Problem("device", device[:80], reason))
        digest = hmac.digest(self._key, _PURPOSE + device.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def accepts(self, device: str, password: str) -> bool:
        """Tell whether a password is that of a device."""
        if not PORTABLE_DEVICE.fullmatch(device):
            return False
        return hmac.compare_digest(self.password(device).encode(), password.encode())
