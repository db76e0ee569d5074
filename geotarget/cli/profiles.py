"""``geotarget profiles``: files of profiles into the database, and people out of it.

They work on the database itself, so no process need run; those that run see the profiles with
their next batch of pings.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from geotarget.cli.erasures import print_receipt
from geotarget.cli.options import Data, Database, example, open_store, progress
from geotarget.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from geotarget.store import ImportJob

PIECE = 256 << 10
SHOWN = 20
"""Refused rows that are printed; the API shows the first thousand of an import."""

MEDIA = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
}

app = typer.Typer(
    help="Load profiles from files (CSV, NDJSON); erase people.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget profiles import customers.csv"),
)


@app.command(
    name="import",
    short_help="Load a file into the database.",
    epilog=example(
        "geotarget profiles import customers.csv",
        "geotarget profiles import customers.ndjson --id crm-2026-01",
    ),
)
def load(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, metavar="FILE", help="CSV, or NDJSON (.ndjson, .jsonl)."
        ),
    ],
    *,
    id: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of this import, to go on with it later; name and time of the file if left out.",
        ),
    ] = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Put the profiles of a file into the database; profiles of the same id are replaced.

    Rows that are wrong are named with their line and hold nothing up; the status is 1 if there are
    any. What was stopped goes on where it was when the same file is given again. A file that was
    loaded already, and has not changed since, is not loaded twice unless another --id is given.
    """
    from geotarget.geojson.properties import id_problem  # noqa: PLC0415 the help does not need it
    from geotarget.profile_imports import import_profiles  # noqa: PLC0415

    media = MEDIA.get(file.suffix.lower())
    if media is None:
        raise InvalidInput(Problem(str(file), file.suffix, f"must end in {', '.join(MEDIA)}"))
    told = file.stat()
    name = id or f"{file.name}@{datetime.fromtimestamp(told.st_mtime, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if reason := id_problem(name):
        raise InvalidInput(Problem("--id", name, reason))
    with open_store(data, database) as store, file.open("rb") as opened, progress() as bar:
        task = bar.add_task(file.name, total=told.st_size)
        read = [0]

        def advance(job: ImportJob) -> None:
            bar.update(task, completed=read[0], description=f"{file.name}: {job.rows:,} rows")

        job = import_profiles(
            store, name, _pieces(opened, read), media=media, by="cli", advance=advance
        )
        bar.update(task, completed=read[0])
    for each in job.problems[:SHOWN]:
        shown = f" ({each.value})" if each.value else ""
        typer.echo(f"{file}, line {each.line}, {each.path}: {each.reason}{shown}", err=True)
    refused = f", {job.refused:,} rows refused" if job.refused else ""
    typer.echo(f"{job.stored:,} profiles loaded{refused}")
    if job.refused:
        raise typer.Exit(1)


@app.command(
    short_help="Erase a person, with a receipt.",
    epilog=example("geotarget profiles erase aino --yes"),
)
def erase(
    id: Annotated[
        str,
        typer.Argument(metavar="ID", help="Of the profile, or of a device that is linked to none."),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="It is meant: it can't be undone.")] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Erase all that is known of a profile and of its devices; it can't be undone.

    Prints the receipt, which names nobody: keep its id beside the request. An ingest that runs
    forgets the person before it commits anything more; what was sent before and comes again is
    refused.
    """
    if not yes:
        reason = f"must be given: {id} and all that its devices did can't be brought back"
        raise InvalidInput(Problem("--yes", "", reason))
    with open_store(data, database, create=False) as store:
        erased = store.erase_profile(id, by="cli")
    if erased is None:
        raise NotFound("profile", id)
    print_receipt(erased)


def _pieces(opened: BinaryIO, read: list[int]) -> Iterator[bytes]:
    """Read a file in pieces, noting how far it is."""
    while piece := opened.read(PIECE):
        read[0] += len(piece)
        yield piece
