"""``geotarget backup`` and ``geotarget restore``: the database as one file, and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geotarget.cli.options import (
    Data,
    Database,
    example,
    progress,
    settings,
    termination_is_an_interrupt,
)

if TYPE_CHECKING:
    from geotarget.backup import Contents, Progress
    from geotarget.settings import Settings

UNREADY = 1
"""Exit status of a backup that is not as it should be, and of a restore that wants more."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        short_help="Copy the database while it is in use.",
        epilog=example(
            "geotarget backup /backups/monday.db",
            "geotarget backup /backups/monday.db --keys --data /var/lib/geotarget",
        ),
    )(backup)
    app.command(
        short_help="Put a backup back.",
        epilog=example(
            "geotarget restore /backups/monday.db --data /var/lib/geotarget",
            "geotarget restore /backups/monday.db --force",
        ),
    )(restore)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to make.")],
    *,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            help="Put secret.key and device.key beside it, as FILE.secret.key and so on: who has "
            "both can sign webhooks.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an older backup of this name.")
    ] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Copy the database into one file, complete and checked, while a node works on it.

    What is committed when it begins is in it. The file gets its name when it is whole and on the
    disk. Exits with 1 when the audit log in it is broken. Not in it: pings that wait in the broker,
    certificates, settings, and the keys unless asked for.
    """
    from geotarget.backup import database_file, take  # noqa: PLC0415 the help does not need it

    chosen = settings(data=data, database_url=database)
    source = database_file(chosen.store_url)
    files = _key_files(chosen, source)
    with termination_is_an_interrupt(), _shown("copying") as step:
        taken = take(source, file, keys=files if keys else None, overwrite=force, progress=step)
    typer.echo(
        f"{taken.file}: {_described(taken.contents)}; copied in {taken.copy_s:.1f} s, "
        f"checked in {taken.check_s:.1f} s"
    )
    for key in taken.keys:
        typer.echo(f"key beside it: {key}")
    if chosen.secret_key:
        typer.echo("the key of the secrets is in GEOTARGET_SECRET_KEY: it is not in the backup")
    for path in files.values():
        if not keys and path.exists():
            typer.echo(
                f"NOT in it: {path}; without a copy of it elsewhere the backup is not enough"
            )
    typer.echo("NOT in it: pings that still wait in the broker, certificates, settings")
    _tell_audit(taken.contents)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Move a database that is there away; replace keys by those beside FILE."
        ),
    ] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Put a backup in the place of the database, while nothing runs.

    It is checked, brought to the version of this program and noted in its audit log before it gets
    its place. A database that is there stays under another name. Exits with 1 when something is
    missing before it can be started, and says what; or when the audit log is broken.
    """
    from geotarget import backup as room  # noqa: PLC0415 the help does not need it

    chosen = settings(data=data, database_url=database)
    target = room.database_file(chosen.store_url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with termination_is_an_interrupt(), _shown("restoring") as step:
        done = room.restore(
            file,
            target,
            keys=_key_files(chosen, target),
            secret_key=chosen.secret_key,
            force=force,
            progress=step,
        )
    typer.echo(f"{done.database}: {_described(done.contents)}")
    if done.came_as != done.contents.revision:
        typer.echo(f"brought from {done.came_as} to {done.contents.revision}")
    if done.replaced:
        typer.echo(f"what was there before: {done.replaced}; remove it when it is not needed")
    for name in done.keys:
        typer.echo(f"put back: {name}")
    waiting = done.contents.counts.get("deliveries_pending", 0)
    typer.echo(
        f"when it starts, {waiting:,} webhooks that wait go out; those that were sent after the "
        "backup go out again, under the same ids"
    )
    typer.echo(
        "erase again whom you have erased since the backup, before phones are let in "
        "(docs/backup.md)"
    )
    for each in done.missing:
        typer.echo(f"missing: {each}", err=True)
    _tell_audit(done.contents)
    if done.missing:
        raise typer.Exit(UNREADY)


def _tell_audit(contents: Contents) -> None:
    """Say how the audit log stands; a broken one is the last word."""
    audit = contents.audit
    if audit is None:
        typer.echo("its tables are of another version than this program: audit log not checked")
    elif audit.broken:
        typer.echo(f"the audit log is broken: {audit.broken}", err=True)
        raise typer.Exit(UNREADY)
    else:
        typer.echo(f"audit log: {audit.entries:,} entries, unbroken; the last digest is")
        typer.echo(audit.digest.hex())


def _described(contents: Contents) -> str:
    counts = contents.counts
    return (
        f"{contents.bytes / 1e6:,.1f} MB, revision {contents.revision}, "
        f"{counts.get('transitions', 0):,} transitions, "
        f"{counts.get('deliveries_pending', 0):,} webhooks that wait"
    )


def _key_files(chosen: Settings, database: Path) -> dict[str, Path]:
    """Return where the keys lie that a node makes for itself."""
    from geotarget.ingest.device_access import FILE as DEVICE_KEY  # noqa: PLC0415 as above
    from geotarget.store.sealing import FILE as SECRET_KEY  # noqa: PLC0415 as above

    files = {SECRET_KEY: database.parent / SECRET_KEY, DEVICE_KEY: chosen.data / DEVICE_KEY}
    if chosen.secret_key:
        del files[SECRET_KEY]
    return files


@contextmanager
def _shown(what: str) -> Iterator[Progress | None]:
    """Give what shows a progress bar, where somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    with progress() as bar:
        task = bar.add_task(f"{what}, pages", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
