"""The commands that run until they are stopped, and the one that prepares their database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geotarget.cli.options import (
    Data,
    Database,
    Host,
    Mqtt,
    Port,
    example,
    settings,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        short_help="Run everything in one process.",
        epilog=example(
            "geotarget up --demo",
            "geotarget up --zones zones/helsinki.geojson --port 9000 --mqtt-port 1884",
            "geotarget up --mqtt mqtt://broker.example.com:1883 --data /var/lib/geotarget",
        ),
    )(up)
    app.command(
        short_help="Run the HTTP API alone.",
        epilog=example("geotarget serve --port 9000 --mqtt mqtt://127.0.0.1:1883"),
    )(serve)
    app.command(
        short_help="Run the ingest alone.",
        epilog=example(
            "geotarget ingest --mqtt mqtt://127.0.0.1:1883",
            "geotarget ingest --mqtt mqtt://ingest:PASSWORD@nats:1883 --slots auto",
        ),
    )(ingest)
    app.command(
        short_help="Run the delivery of webhooks alone.",
        epilog=example("geotarget deliver --data /var/lib/geotarget"),
    )(deliver)
    app.command(
        short_help="Bring the database up to date.",
        epilog=example("geotarget migrate --data /var/lib/geotarget"),
    )(migrate)


def up(
    *,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Add people walking through Helsinki, offers and a receiver."),
    ] = False,
    host: Host = None,
    port: Port = None,
    mqtt_port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Port of the embedded broker; 0 takes a free one. [GEOTARGET_MQTT_PORT]",
        ),
    ] = None,
    mqtt: Mqtt = None,
    data: Data = None,
    database: Database = None,
    zones: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Catalogue to load first; may be given repeatedly.",
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option(help="Show a live summary when standard output is a terminal.")
    ] = True,
) -> None:
    """Run everything in one process: broker, database, API, ingest, delivery.

    Prints a line that starts with "ready" once everything answers. Ctrl-C drains and stops;
    started again it goes on where it was.
    """
    from geotarget import runtime  # noqa: PLC0415 the help does not need it

    chosen = settings(
        host=host, port=port, mqtt_port=mqtt_port, mqtt=mqtt, data=data, database_url=database
    )
    raise typer.Exit(runtime.up(chosen, demo=demo, live=live, zones=zones or ()))


def serve(
    *,
    host: Host = None,
    port: Port = None,
    mqtt: Mqtt = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Run the HTTP API alone.

    Pings that come over HTTP are passed on to the broker.
    """
    from geotarget import runtime  # noqa: PLC0415 the help does not need it

    chosen = settings(host=host, port=port, mqtt=mqtt, data=data, database_url=database)
    raise typer.Exit(runtime.serve(chosen))


def ingest(
    *,
    mqtt: Mqtt = None,
    slots: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="The slots of this process: auto shares all of them with other workers, "
            "0-15,20 takes these; all pings if left out. [GEOTARGET_SLOTS]",
        ),
    ] = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Run the ingest alone: from the broker through the rules into the database.

    With --slots many processes share one broker and one database: devices are assigned to 64
    slots by their name, and each slot is one process's at a time.
    """
    from geotarget import runtime  # noqa: PLC0415 the help does not need it

    chosen = settings(mqtt=mqtt, slots=slots, data=data, database_url=database)
    raise typer.Exit(runtime.ingest(chosen))


def deliver(*, data: Data = None, database: Database = None) -> None:
    """Run the delivery of webhooks alone."""
    from geotarget import runtime  # noqa: PLC0415 the help does not need it

    raise typer.Exit(runtime.deliver(settings(data=data, database_url=database)))


def migrate(*, data: Data = None, database: Database = None) -> None:
    """Bring the database to the version of this program; harmless when it is there already.

    The other commands do it as well when they open the database.
    """
    from geotarget import store  # noqa: PLC0415 the help does not need it

    chosen = settings(data=data, database_url=database)
    if not chosen.database_url:
        chosen.data.mkdir(parents=True, exist_ok=True)
    before = store.current_revision(chosen.store_url)
    after = store.migrate(chosen.store_url)
    done = "was up to date" if before == after else f"brought from {before or 'nothing'} to {after}"
    typer.echo(f"{store.shown_url(chosen.store_url)}: {done}")
