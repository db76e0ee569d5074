"""Taking a backup: a copy, checked before it gets its name.

The file appears when everything about it is right, and is then on the disk; a backup that was
interrupted leaves nothing. 1 GB takes as long as the disk takes to read and write it, and its
check some seconds of CPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from geotarget.backup.copying import (
    Contents,
    Progress,
    audit_of,
    copy,
    copy_key,
    drop,
    empty_beside,
    examine,
    flush,
    settle,
)
from geotarget.errors import Conflict, InvalidInput, Problem, StoreError
from geotarget.store.schema import head


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup.

    Parameters
    ----------
    file
        Where it is.
    contents
        What it holds.
    copy_s, check_s
        How long that took, seconds.
    keys
        Files of keys that were put beside it.
    """

    file: Path
    contents: Contents
    copy_s: float
    check_s: float
    keys: tuple[Path, ...] = ()


def take(
    source: Path,
    file: Path,
    *,
    keys: Mapping[str, Path] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Taken:
    """Copy a database, of any version, while a node works on it.

    Parameters
    ----------
    source
        The database.
    file
        The backup to make.
    keys
        Files of keys by name that go beside it, as ``FILE.name``; those that are not there are
        left out.
    overwrite
        Whether an older backup of this name may be replaced.
    progress
        Is told how many of how many pages are copied.

    Raises
    ------
    Conflict
        The file exists, and may not be replaced.
    InvalidInput
        There is no database, or no folder for the backup.
    StoreError
        It can't be read, can't be written, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from geotarget.store import Store
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     Store.open(f"sqlite:///{folder}/geotarget.db").close()
    ...     take(folder / "geotarget.db", folder / "b.db").contents.counts["transitions"]
    0
    """
    if not source.is_file():
        raise InvalidInput(Problem("the database", str(source), "does not exist"))
    if not file.parent.is_dir():
        raise InvalidInput(Problem("the folder of the backup", str(file.parent), "does not exist"))
    if file.exists() and (not overwrite or file.samefile(source)):
        reason = "is the database itself" if file.samefile(source) else "exists already"
        raise Conflict(f"{file} {reason}: name another file, or give --force to replace a backup")
    partial = empty_beside(file)
    try:
        began = time.perf_counter()
        copy(source, partial, progress)
        copied = time.perf_counter()
        contents = examine(partial, source.name)
        if contents.revision == head():
            contents = replace(contents, audit=audit_of(partial))
        checked = time.perf_counter()
        settle(partial)
        beside = tuple(
            _keep(key, file.with_name(f"{file.name}.{name}"))
            for name, key in (keys or {}).items()
            if key.exists()
        )
        partial.replace(file)
        flush(file.parent)
    except OSError as error:
        raise StoreError(f"{file} can't be written: {error.strerror}") from error
    finally:
        drop(partial)
    return Taken(file, contents, copied - began, checked - copied, beside)


def _keep(key: Path, target: Path) -> Path:
    copy_key(key, target)
    return target
