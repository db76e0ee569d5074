"""The command line: one module per kind of command, nothing heavy before a command needs it.

``geotarget --help`` loads neither numba nor geopandas nor the API and answers in a fifth of a
second; each command imports its rooms when it runs. What geotarget raises on purpose becomes one
message on standard error and an exit status: 2 when the caller has to change something, 1 when
something failed.
"""

from __future__ import annotations

import sys

import typer

from geotarget import __version__
from geotarget.cli import (
    audit,
    backtest,
    backup,
    catalogue,
    deliveries,
    devices,
    erasures,
    events,
    explain,
    keys,
    match,
    pings,
    processes,
    profiles,
    slots,
)
from geotarget.cli.options import example
from geotarget.errors import BrokerError, GeotargetError, InvalidInput, Overloaded, StoreError

FAILED = 1
REFUSED = 2
INTERRUPTED = 130

MOST_PROBLEMS = 20
"""A message names so many; `geotarget zones validate` names all."""

app = typer.Typer(
    name="geotarget",
    help="Geofencing and location targeting: pings in over MQTT, exact entries, signed offers out.",
    epilog=example("geotarget up --demo"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
processes.register(app)
backup.register(app)
pings.register(app)
match.register(app)
backtest.register(app)
explain.register(app)
app.add_typer(catalogue.app, name="zones")
app.add_typer(profiles.app, name="profiles")
app.add_typer(erasures.app, name="erasures")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(devices.app, name="devices")
app.add_typer(slots.app, name="slots")
events.register(app)


@app.command(epilog=example("geotarget version"))
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command(
    name="settings", short_help="Print every setting.", epilog=example("geotarget settings")
)
def show_settings() -> None:
    """Print every setting with its variable, default and meaning, as Markdown."""
    from geotarget.settings import settings_table  # noqa: PLC0415 the help does not need it

    typer.echo(settings_table())


def main() -> None:
    """Run the command line."""
    try:
        app()
    except GeotargetError as error:
        typer.echo(_message(error), err=True)
        failed = isinstance(error, StoreError | BrokerError | Overloaded)
        sys.exit(FAILED if failed else REFUSED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _message(error: GeotargetError) -> str:
    """Return what a person is told: one problem a line."""
    if not isinstance(error, InvalidInput):
        return f"error: {error}"
    lines = [f"error: {problem}" for problem in error.problems[:MOST_PROBLEMS]]
    left = len(error.problems) - MOST_PROBLEMS
    return "\n".join([*lines, f"and {left:,} more problems"] if left > 0 else lines)
