"""``geotarget slots``: the sessions through which many workers share one broker."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Annotated

import typer

from geotarget.cli.options import Data, Database, Mqtt, example, settings
from geotarget.cli.slot_owners import Owners
from geotarget.cli.slot_sessions import Counts, Sessions
from geotarget.errors import SettingsError

if TYPE_CHECKING:
    from geotarget.ingest.broker_url import BrokerUrl
    from geotarget.settings import Settings

MISSING = 1

Admin = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Administrator of NATS, nats://admin:password@host:4222. [GEOTARGET_NATS_ADMIN]",
    ),
]

app = typer.Typer(
    help="Prepare a broker for many workers, and look at what waits there.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget slots create --mqtt mqtt://ingest:PASSWORD@nats:1883"),
)


@app.command(
    short_help="Make the sessions of all slots.",
    epilog=example(
        "geotarget slots create --mqtt mqtt://ingest:PASSWORD@mosquitto:1884",
        "geotarget slots create --mqtt mqtt://ingest:PASSWORD@nats"
        " --admin nats://admin:PASSWORD@nats",
    ),
)
def create(
    *,
    mqtt: Mqtt = None,
    admin: Admin = None,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            min=1 << 20,
            metavar="N",
            help="What NATS may store before it refuses pings, bytes. [GEOTARGET_BROKER_MAX_BYTES]",
        ),
    ] = None,
) -> None:
    """Make the 64 sessions and their subscriptions, before phones may publish.

    What comes before a session exists is acknowledged and gone. Nothing is lost when they exist,
    but without --admin a worker that runs loses its connections for a moment. With it only what is
    missing is made, and the store of NATS is bounded: it refuses new pings when it is full.
    """
    from geotarget.ingest.nats_admin import NatsAdmin  # noqa: PLC0415 the help does not need it
    from geotarget.ingest.session_making import make_sessions  # noqa: PLC0415

    chosen = settings(mqtt=mqtt, nats_admin=admin, broker_max_bytes=max_bytes)
    broker, tls = _broker(chosen)
    wanted = _sessions(broker)
    asked = NatsAdmin(chosen.nats_admin) if chosen.nats_admin else None
    there = asked.sessions(wanted) if asked is not None else {}
    missing = {name: (topics,) for name, topics in wanted.items() if name not in there}
    existed = len(there) + make_sessions(broker, missing, tls=tls)
    typer.echo(f"{broker}: {len(wanted)} slots have their sessions, {existed} had them before")
    if asked is None and existed:
        typer.echo(
            "on NATS, what waited there comes again behind newer pings; with --admin sessions that"
            " exist are left alone",
            err=True,
        )
    if asked is not None:
        bound = asked.bound_store(chosen.broker_max_bytes)
        typer.echo(f"{broker}: refuses new pings when {bound:,} bytes are stored")


@app.command(
    short_help="Show who has which slot, which sessions exist, and what waits in them.",
    epilog=example(
        "geotarget slots status --database postgresql://geotarget@db/geotarget",
        "geotarget slots status --mqtt mqtt://ingest:PASSWORD@nats"
        " --admin nats://admin:PASSWORD@nats",
    ),
)
def status(
    *,
    mqtt: Mqtt = None,
    admin: Admin = None,
    data: Data = None,
    database: Database = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="All of it as JSON, slot by slot.", show_default=False)
    ] = False,
) -> None:
    """Show who works on each slot, and each slot's session: is it there, how much waits.

    The database knows who has taken which slot, how often it was taken (its epoch) and how long
    that lasts without another word of the worker. The broker knows the rest: NATS tells its
    administrator, mosquitto says how many sessions there are at all.
    Ends with status 1 when a session is missing, or a database that is named can't be read.
    """
    chosen = settings(mqtt=mqtt, nats_admin=admin, data=data, database_url=database)
    owners = Owners(chosen)
    if not chosen.mqtt and not owners.there:
        raise SettingsError(
            f"{owners.trouble}; what waits is at the broker: name it with --mqtt or GEOTARGET_MQTT"
        )
    if not as_json:
        owners.show()  # whatever the broker has to say
    elif owners.trouble:
        typer.echo(owners.trouble, err=True)
    found = _at_broker(chosen) if chosen.mqtt else None
    if as_json:
        typer.echo(json.dumps({"slots": owners.document(), "broker": found and found.document()}))
    elif found is not None:
        found.show()
    wrong = owners.broken or (found is not None and found.missing)
    raise typer.Exit(MISSING if wrong else 0)


def _at_broker(chosen: Settings) -> Sessions | Counts:
    """Ask the broker for what it tells."""
    broker, tls = _broker(chosen)
    if chosen.nats_admin:
        return Sessions(chosen.nats_admin, broker, _sessions(broker))
    return Counts(broker, tls)


def _broker(chosen: Settings) -> tuple[BrokerUrl, ssl.SSLContext | None]:
    from geotarget.ingest.broker_url import BrokerUrl  # noqa: PLC0415 the help does not need it

    if not chosen.mqtt:
        raise SettingsError(
            "slots need a broker that all workers reach: name it with --mqtt or GEOTARGET_MQTT"
        )
    return BrokerUrl.parse(chosen.mqtt), chosen.broker_trust(chosen.mqtt)


def _sessions(broker: BrokerUrl) -> dict[str, str]:
    """Return what each session is called, and subscribed to."""
    from geotarget.ingest.slots import (  # noqa: PLC0415 the help does not need it
        SLOTS,
        slot_client_id,
        slot_filter,
    )

    return {slot_client_id(slot, broker): slot_filter(slot) for slot in range(SLOTS)}
