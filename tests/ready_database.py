"""SQLite databases with all tables, copied: making one takes a tenth of a second, a copy none.

For tests that begin with an empty database of the current version and do not ask how it was made.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from geotarget.store import Store

_NAME = "ready.db"


def lay_out(path: Path, *, driver: ModuleType | None = None, secret_key: str = "") -> str:
    """Put a database without rows at a path, with its key beside it if none is given.

    Parameters
    ----------
    path
        Of the file, which does not exist yet.
    driver
        What makes it; by default the best SQLite there is.
    secret_key
        What encrypts its secrets.

    Returns
    -------
    str
        Its URL.
    """
    for name, content in _made(driver, secret_key):
        file = path if name == _NAME else path.with_name(name)
        file.touch(mode=0o600)
        file.write_bytes(content)
    return f"sqlite:///{path}"


@cache
def _made(driver: ModuleType | None, secret_key: str) -> tuple[tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / _NAME}"
        Store.open(url, driver=driver, secret_key=secret_key).close()
        return tuple((file.name, file.read_bytes()) for file in folder.iterdir())
