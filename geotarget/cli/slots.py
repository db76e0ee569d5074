"""``geotarget slots``: the sessions through which many workers share one broker."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from geotarget.cli.options import Mqtt, example, settings
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
    short_help="Show which sessions exist, and what waits in them.",
    epilog=example(
        "geotarget slots status --mqtt mqtt://ingest:PASSWORD@nats"
        " --admin nats://admin:PASSWORD@nats",
    ),
)
def status(*, mqtt: Mqtt = None, admin: Admin = None) -> None:
    """Show each slot's session: is it there, is a worker connected, how much waits.

    Only NATS can say it, to its administrator. Mosquitto says how many sessions there are at all.
    Ends with status 1 when a session is missing.
    """
    chosen = settings(mqtt=mqtt, nats_admin=admin)
    broker, tls = _broker(chosen)
    missing = (
        _show_sessions(chosen.nats_admin, broker)
        if chosen.nats_admin
        else _show_figures(broker, tls)
    )
    raise typer.Exit(MISSING if missing else 0)


def _show_sessions(admin: str, broker: BrokerUrl) -> int:
    """Show what NATS knows; return how many sessions are missing."""
    from geotarget.ingest.nats_admin import NatsAdmin  # noqa: PLC0415 the help does not need it

    wanted = _sessions(broker)
    found = NatsAdmin(admin).sessions(wanted)
    table = Table("slot", "session", "worker", box=None)
    table.add_column("waiting", justify="right")
    table.add_column("unacknowledged", justify="right")
    for slot, client_id in enumerate(wanted):
        session = found.get(client_id)
        if session is None:
            table.add_row(str(slot), "missing", "", "", "")
        else:
            worker = "connected" if session.connected else "nobody"
            counts = (f"{session.backlog:,}", f"{session.unacknowledged:,}")
            table.add_row(str(slot), "there", worker, *counts)
    Console().print(table)
    missing = len(wanted) - len(found)
    waiting = sum(session.backlog + session.unacknowledged for session in found.values())
    connected = sum(session.connected for session in found.values())
    typer.echo(
        f"{len(found)} of {len(wanted)} sessions exist, {connected} are connected,"
        f" {waiting:,} messages wait"
    )
    if missing:
        typer.echo(f"{missing} are missing: geotarget slots create", err=True)
    return missing


def _show_figures(broker: BrokerUrl, tls: ssl.SSLContext | None) -> int:
    """Show what mosquitto says of itself; return how many sessions are missing for certain."""
    from geotarget.ingest.slots import SLOTS  # noqa: PLC0415 the help does not need it
    from geotarget.ingest.sys_topics import read_figures  # noqa: PLC0415

    figures = read_figures(broker, tls=tls)
    if not figures:
        typer.echo(
            f"{broker} says nothing about its sessions: a NATS server tells its administrator"
            " (--admin), mosquitto tells who may read $SYS/broker/#",
            err=True,
        )
        return 0
    table = Table("what", box=None)
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, value)
    Console().print(table)
    typer.echo(
        f"{broker} does not say which sessions these are; its figures are up to ten seconds old",
        err=True,
    )
    names = ("clients connected", "sessions of absent clients")
    counts = [int(figures[name]) for name in names if figures.get(name, "").isdigit()]
    ours = 1  # this command is connected as well
    missing = max(0, SLOTS - (sum(counts) - ours)) if len(counts) == len(names) else 0
    if missing:
        typer.echo(f"at least {missing} of {SLOTS} are missing: geotarget slots create", err=True)
    return missing


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
