"""``geotarget keys``: the API keys that applications carry."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from geotarget.cli.options import Data, Database, example, open_store

DAY_MS = 86_400_000

app = typer.Typer(
    help="Make, list, rotate and revoke API keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget keys create crm --scope campaigns:write --scope reports:read"),
)


@app.command(
    short_help="Make a key.",
    epilog=example(
        "geotarget keys create crm --scope campaigns:write --scope reports:read",
        "KEY=$(geotarget keys create phones --scope pings:write --days 365)",
    ),
)
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is for; shown in lists and logs.")
    ],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="A right, such as pings:write; may be given repeatedly. Default: admin.",
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How long it is valid.")
    ] = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    scopes = scope or ["admin"]
    expires_ms = None if days is None else _now_ms() + days * DAY_MS
    with open_store(data, database) as store:
        plain, key = store.create_key(name=name, scopes=scopes, expires_ms=expires_ms, by="cli")
    typer.echo(plain)
    typer.echo(f"key {key.id} for {name}: {', '.join(scopes)}", err=True)


@app.command(name="list", short_help="List the keys.", epilog=example("geotarget keys list"))
def show(*, data: Data = None, database: Database = None) -> None:
    """List the keys: never the keys themselves, which nobody knows."""
    with open_store(data, database, create=False) as store:
        keys = store.keys()
    table = Table("id", "name", "scopes", "created", "last used", "expires", "state", box=None)
    for key in keys:
        table.add_row(
            key.id,
            key.name,
            ", ".join(sorted(key.scopes)),
            _day(key.created_ms),
            _day(key.last_used_ms),
            _day(key.expires_ms),
            _state(key.revoked_ms, key.expires_ms),
        )
    Console().print(table if keys else "No key yet: geotarget keys create NAME")


@app.command(
    short_help="Replace a key by a new one.",
    epilog=example(
        "geotarget keys rotate 3kP9xQ7mZr2a",
        "KEY=$(geotarget keys rotate 3kP9xQ7mZr2a --overlap-hours 1)",
    ),
)
def rotate(
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, from keys list.")],
    *,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=720, metavar="N", help="How long the old one still works.")
    ] = 24,
    data: Data = None,
    database: Database = None,
) -> None:
    """Print a new key of the same name and scopes, this once; the old one ends after a while."""
    with open_store(data, database, create=False) as store:
        plain, key = store.rotate_key(id, overlap_ms=overlap_hours * 3_600_000, by="cli")
    typer.echo(plain)
    typer.echo(
        f"key {key.id} for {key.name}: {', '.join(sorted(key.scopes))}; "
        f"{id} works for {overlap_hours} h more at the most",
        err=True,
    )


@app.command(short_help="Revoke a key.", epilog=example("geotarget keys revoke 3kP9xQ"))
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, from keys list.")],
    *,
    data: Data = None,
    database: Database = None,
) -> None:
    """Revoke a key; processes that run refuse it within seconds."""
    with open_store(data, database, create=False) as store:
        store.revoke_key(id, by="cli")
    typer.echo(f"key {id} is revoked", err=True)


def _state(revoked_ms: int | None, expires_ms: int | None) -> str:
    if revoked_ms is not None:
        return "revoked"
    return "expired" if expires_ms is not None and expires_ms <= _now_ms() else "valid"


def _day(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
