"""``geotarget audit``: whether the log of changes is as it was written."""

from __future__ import annotations

from typing import Annotated

import typer

from geotarget.cli.options import Data, Database, example, open_store
from geotarget.errors import InvalidInput, Problem

BROKEN = 1
DIGEST_BYTES = 32

app = typer.Typer(
    help="Check the log of who changed what.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget audit verify"),
)


@app.command(
    short_help="Walk the chain of digests.",
    epilog=example(
        "geotarget audit verify",
        "geotarget audit verify --quiet > last-digest",
        'geotarget audit verify --expect "$(cat last-digest)"',
    ),
)
def verify(
    *,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST",
            help="A last digest that you noted before: the log must still come by it.",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print the last digest only, to be kept.")
    ] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Check that no entry of the audit log was changed, removed or put in.

    Prints how many entries there are and the last digest; exits with 1 when the chain breaks, and
    says where. Somebody who can write the database can also write the whole chain anew, or cut its
    end off: keep the last digest elsewhere from time to time, and give it as --expect.
    """
    wanted = None if expect is None else _digest(expect)
    with open_store(data, database, create=False) as store:
        report = store.verify_audit(expect=wanted)
    if report.broken:
        typer.echo(f"the audit log is broken: {report.broken}", err=True)
        typer.echo(f"sound up to entry {report.entries}", err=True)
        raise typer.Exit(BROKEN)
    if not quiet:
        typer.echo(f"{report.entries:,} entries, unbroken; the last digest is")
    typer.echo(report.digest.hex())


def _digest(text: str) -> bytes:
    """Read a digest as it is printed."""
    try:
        digest = bytes.fromhex(text.strip())
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        reason = f"must be a digest as this command prints it, {2 * DIGEST_BYTES} hex digits"
        raise InvalidInput(Problem("--expect", text[:80], reason))
    return digest
