"""``geotarget events``: the catalogue of messages, for tools that read schemas."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from geotarget import __version__
from geotarget.cli.options import example


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(
        short_help="Print the event catalogue.",
        epilog=example(
            "geotarget events > asyncapi.json", "geotarget events --schema offer.triggered"
        ),
    )(events)


def events(
    *,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="JSON Schema (2020-12) of one type, such as offer.triggered, transition.enter or "
            "ping.",
        ),
    ] = None,
) -> None:
    """Print what comes in over MQTT and what goes out as webhooks, as an AsyncAPI 3 document."""
    from geotarget import events as catalogue  # noqa: PLC0415 the help does not need it

    document = catalogue.asyncapi(__version__) if schema is None else catalogue.schema(schema)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
