"""``geotarget erasures``: receipts of those who were erased."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from geotarget.cli.options import Data, Database, example, open_store
from geotarget.errors import NotFound

if TYPE_CHECKING:
    from geotarget.store import Erasure

app = typer.Typer(
    help="Show the receipts of those who were erased; they name nobody.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget erasures list"),
)


@app.command(name="list", short_help="List them.", epilog=example("geotarget erasures list"))
def show_all(
    *,
    most: Annotated[
        int, typer.Option("--most", min=1, max=1_000, metavar="N", help="Newest so many.")
    ] = 100,
    data: Data = None,
    database: Database = None,
) -> None:
    """List the receipts, newest first."""
    with open_store(data, database, create=False) as store:
        found = store.erasures_page(limit=most).items
    table = Table("id", "erased", "devices", "rows", box=None)
    for each in found:
        table.add_row(each.id, _time(each), str(each.devices), f"{sum(each.counts.values()):,}")
    Console().print(table if found else "Nobody was erased yet.")


@app.command(
    short_help="Show one receipt.",
    epilog=example("geotarget erasures show erasure_5f0d6a1b9c3e7842d1f6a0b3"),
)
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="The receipt's id.")],
    *,
    data: Data = None,
    database: Database = None,
) -> None:
    """Show what went with an erasure, and what stayed."""
    with open_store(data, database, create=False) as store:
        found = store.erasure(id)
    if found is None:
        raise NotFound("erasure", id)
    print_receipt(found)


def print_receipt(erasure: Erasure) -> None:
    """Print a receipt."""
    typer.echo(f"{erasure.id}, {_time(erasure)}")
    typer.echo(f"devices: {erasure.devices}")
    for name, count in erasure.counts.items():
        typer.echo(f"{name.replace('_', ' ')}: {count:,}")
    for sentence in erasure.kept:
        typer.echo(f"stays: {sentence}")
    if erasure.audit:
        typer.echo(f"audit: {erasure.audit}")


def _time(erasure: Erasure) -> str:
    return datetime.fromtimestamp(erasure.erased_ms / 1000, UTC).isoformat(timespec="milliseconds")
