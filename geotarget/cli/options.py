"""Options that several commands share, and how their help shows an example."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from geotarget.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from geotarget.settings import Settings
    from geotarget.store import Store

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of the database and the embedded broker. [GEOTARGET_DATA]"
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Database, sqlite:///path or postgresql://user@host/name; geotarget.db in the data "
        "folder if left out. "
        "[GEOTARGET_DATABASE_URL]",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Address that HTTP and the broker listen on. [GEOTARGET_HOST]"
    ),
]
Port = Annotated[
    int | None,
    typer.Option(metavar="N", help="Port of the HTTP API; 0 takes a free one. [GEOTARGET_PORT]"),
]
Mqtt = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Broker, mqtt://user:password@host:1883. [GEOTARGET_MQTT]"),
]
Prefix = Annotated[
    str | None,
    typer.Option(metavar="TOPIC", help="Pings go to {prefix}/{device}. [GEOTARGET_MQTT_PREFIX]"),
]


def example(*commands: str) -> str:
    """Return the epilog of a command: how it is typed."""
    shown = "\n".join(f"  {command}" for command in commands)
    return f"\b\n{'Example' if len(commands) == 1 else 'Examples'}:\n{shown}"


def columns_of(text: str | None) -> dict[str, str]:
    """Read ``device=vehicle_id,ts=time``."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise InvalidInput(
                Problem("--columns", name, "must look like device=vehicle_id,ts=time")
            )
    return {name.strip(): column.strip() for name, _, column in pairs}


def settings(**overrides: object) -> Settings:
    """Return the settings of the environment, with what was typed winning over it."""
    from geotarget.settings import Settings  # noqa: PLC0415 the help does not need it

    return Settings.read(**overrides)


@contextmanager
def open_store(data: Path | None, database: str | None, *, create: bool = True) -> Iterator[Store]:
    """Open the database that the options name.

    Parameters
    ----------
    data, database
        As typed.
    create
        Make it, or bring it to this version, if need be; for commands that only read it, one
        that is not there is an error.
    """
    from geotarget.store import Store  # noqa: PLC0415 the help does not need it

    chosen = settings(data=data, database_url=database)
    if create and not chosen.database_url:
        chosen.data.mkdir(parents=True, exist_ok=True)
    with Store.open(chosen.store_url, migrate=create, secret_key=chosen.secret_key) as store:
        yield store


def progress(*columns: str) -> Progress:
    """Return a progress bar on standard error, which leaves standard output to the result.

    `columns` are further texts, formats over ``task``.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        *(TextColumn(column) for column in columns),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        expand=True,
    )


@contextmanager
def termination_is_an_interrupt() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
