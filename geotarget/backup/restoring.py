"""Putting a backup back, where nothing runs.

Everything is done and checked on a copy in the data folder; the last step gives it the database's
name at once. What was there before is kept under another name, so nothing is lost by a restore
that nobody wanted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError

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
    logs_of,
    settle,
)
from geotarget.errors import Conflict, GeotargetError, InvalidInput, Problem, StoreError
from geotarget.store import sqlite_driver
from geotarget.store.audit import Audit, AuditReport
from geotarget.store.opening import open_database
from geotarget.store.schema import MIGRATIONS, migrate
from geotarget.store.sealing import unlock

LOCK_MS = 200
DATABASE_LOCKED = (5, 6)


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands in the data folder now.

    Parameters
    ----------
    database
        The file.
    contents
        What it holds; the audit log as it came, without the entry about this restore.
    came_as
        The revision of the backup; that of `contents` is this code's.
    replaced
        Where the database is that was there before.
    keys
        Keys that were put back, by name.
    missing
        What has to be done before it can be started, in words.
    """

    database: Path
    contents: Contents
    came_as: str
    replaced: Path | None = None
    keys: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def restore(
    file: Path,
    database: Path,
    *,
    keys: Mapping[str, Path],
    secret_key: str = "",
    force: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Put a backup in the place of a database, brought to the version of this code.

    Parameters
    ----------
    file
        The backup. Keys beside it (``FILE.name``) are put back, too.
    database
        Where it goes; its folder must exist.
    keys
        Where keys go, by name.
    secret_key
        What the setting says that opens the secrets; empty for the file.
    force
        Whether a database that is there may be moved away, and other keys be replaced.
    progress
        Is told how many of how many pages are copied.

    Raises
    ------
    Conflict
        A database is there, or another key.
    InvalidInput
        There is no such file.
    StoreError
        It is damaged, no database of geotarget, newer than this code, or the one that is there is
        in use. Nothing was changed.
    """
    if not file.is_file():
        raise InvalidInput(Problem("the backup", str(file), "does not exist"))
    beside = {
        name: key for name in keys if (key := file.with_name(f"{file.name}.{name}")).is_file()
    }
    if not force:
        _refuse_to_replace(database, keys, beside)
    if database.exists():
        _refuse_in_use(database)
    partial = empty_beside(database)
    try:
        copy(file, partial, progress)
        came = examine(partial, file.name)
        _refuse_newer(file.name, came.revision)
        revision = migrate(f"sqlite:///{partial}")
        audit = audit_of(partial)
        _note(partial, file.name, audit)
        settle(partial)
        for name, key in beside.items():
            copy_key(key, keys[name])
            _give(keys[name])
        _give(partial)
        replaced = _move_away(database)
        partial.replace(database)
        flush(database.parent)
    except OSError as error:
        raise StoreError(f"{database} can't be written: {error.strerror}") from error
    finally:
        drop(partial)
    contents = replace(came, revision=revision, audit=audit, bytes=database.stat().st_size)
    return Restored(
        database,
        contents,
        came.revision,
        replaced,
        tuple(beside),
        _missing(database, secret_key),
    )


def _refuse_to_replace(
    database: Path, keys: Mapping[str, Path], beside: Mapping[str, Path]
) -> None:
    # A log without its database counts: SQLite would write it into whatever gets the name.
    for each in (database, *logs_of(database)):
        if each.exists():
            raise Conflict(f"{each} exists: --force moves it away and puts the backup in its place")
    for name, key in beside.items():
        there = keys[name]
        if there.exists() and there.read_bytes() != key.read_bytes():
            raise Conflict(f"{there} is another key than {key}: --force replaces it")


def _refuse_in_use(database: Path) -> None:
    """Refuse a database that a process has open; one that is damaged may be moved away."""
    driver = sqlite_driver()
    with closing(driver.connect(str(database), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout={LOCK_MS}")
        try:
            # Only who is alone can leave the write-ahead log, and then all is in one file.
            in_use = connection.execute("PRAGMA journal_mode=DELETE").fetchall() != [("delete",)]
        except driver.DatabaseError as error:
            in_use = getattr(error, "sqlite_errorcode", 0) & 0xFF in DATABASE_LOCKED
    if in_use:
        raise StoreError(f"{database} is in use: stop geotarget first; nothing was changed")


def _refuse_newer(name: str, revision: str) -> None:
    try:
        ScriptDirectory(str(MIGRATIONS)).get_revision(revision)
    except CommandError:
        raise StoreError(
            f"{name} is newer than this geotarget (its revision is {revision}): install the "
            "version of geotarget that it was taken from, or a newer one"
        ) from None


def _note(partial: Path, name: str, audit: AuditReport) -> None:
    """Write into the audit log that from here on it is another one."""
    with closing(open_database(f"sqlite:///{partial}")) as database:
        Audit(database).add_audit("cli", "database.restore", name, {"entries": audit.entries})


def _move_away(database: Path) -> Path | None:
    """Give the database that is there a second name; it goes from the first by being replaced."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = database.with_name(f"{database.name}.before-{stamp}")
    if database.exists():
        os.link(database, kept)
    for log in logs_of(database):  # left behind by one that is damaged, or gone
        if log.exists():
            log.rename(f"{kept}{log.name.removeprefix(database.name)}")
    return kept if kept.exists() else None


def _give(path: Path) -> None:
    """Let a file that root has put back belong to whom its folder belongs to: he has to open it."""
    if os.name == "posix" and os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _missing(database: Path, secret_key: str) -> tuple[str, ...]:
    """Return what stands in the way of a start."""
    try:
        with closing(open_database(f"sqlite:///{database}")) as opened:
            unlock(opened, secret_key)
    except GeotargetError as error:
        return (str(error),)
    return ()
