"""What a broker tells of the sessions of slots, as ``geotarget slots status`` shows it.

NATS tells its administrator of each session. Mosquitto counts them, and says it to whom its list
lets read ``$SYS``.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from geotarget.ingest.broker_url import BrokerUrl


class Sessions:
    """Each session, as a NATS server knows it.

    Parameters
    ----------
    admin
        The server's administrator.
    broker
        Where the sessions are.
    wanted
        What each is called, by slot, and subscribed to.

    Attributes
    ----------
    missing
        How many are not there.
    """

    def __init__(self, admin: str, broker: BrokerUrl, wanted: Mapping[str, str]) -> None:
        from geotarget.ingest.nats_admin import NatsAdmin  # noqa: PLC0415 the help needs it not

        self._broker = broker
        self._wanted = list(wanted)
        self._found = NatsAdmin(admin).sessions(wanted)
        self.missing = len(wanted) - len(self._found)

    def show(self) -> None:
        """Print a table, and the sums."""
        table = Table("slot", "session", "worker", box=None)
        table.add_column("waiting", justify="right")
        table.add_column("unacknowledged", justify="right")
        for slot, client_id in enumerate(self._wanted):
            session = self._found.get(client_id)
            if session is None:
                table.add_row(str(slot), "missing", "", "", "")
            else:
                worker = "connected" if session.connected else "nobody"
                counts = (f"{session.backlog:,}", f"{session.unacknowledged:,}")
                table.add_row(str(slot), "there", worker, *counts)
        Console().print(table)
        found = self._found.values()
        waiting = sum(session.backlog + session.unacknowledged for session in found)
        connected = sum(session.connected for session in found)
        typer.echo(
            f"{len(found)} of {len(self._wanted)} sessions exist, {connected} are connected,"
            f" {waiting:,} messages wait"
        )
        if self.missing:
            typer.echo(f"{self.missing} are missing: geotarget slots create", err=True)

    def document(self) -> dict[str, object]:
        """Return the same for programs; what is missing has no session."""
        sessions = [(slot, self._found.get(name)) for slot, name in enumerate(self._wanted)]
        return {
            "url": str(self._broker),
            "missing": self.missing,
            "sessions": [
                {
                    "slot": slot,
                    "session": session
                    and {
                        "connected": session.connected,
                        "waiting": session.backlog,
                        "unacknowledged": session.unacknowledged,
                    },
                }
                for slot, session in sessions
            ],
        }


class Counts:
    """How many sessions there are at all, as mosquitto says.

    Parameters
    ----------
    broker
        Whom to ask.
    tls
        Whom to trust there.

    Attributes
    ----------
    missing
        How many are missing for certain.
    """

    def __init__(self, broker: BrokerUrl, tls: ssl.SSLContext | None) -> None:
        from geotarget.ingest.slots import SLOTS  # noqa: PLC0415 the help does not need it
        from geotarget.ingest.sys_topics import read_figures  # noqa: PLC0415

        self._broker = broker
        self._figures = figures = read_figures(broker, tls=tls)
        names = ("clients connected", "sessions of absent clients")
        counts = [int(figures[name]) for name in names if figures.get(name, "").isdigit()]
        ours = 1  # this command is connected as well
        self._slots = SLOTS
        self.missing = max(0, SLOTS - (sum(counts) - ours)) if len(counts) == len(names) else 0

    def show(self) -> None:
        """Print what is known, and what is not."""
        if not self._figures:
            typer.echo(
                f"{self._broker} says nothing about its sessions: a NATS server tells its"
                " administrator (--admin), mosquitto tells who may read $SYS/broker/#",
                err=True,
            )
            return
        table = Table("what", box=None)
        table.add_column("value", justify="right")
        for name, value in self._figures.items():
            table.add_row(name, value)
        Console().print(table)
        typer.echo(
            f"{self._broker} does not say which sessions these are; its figures are up to ten"
            " seconds old",
            err=True,
        )
        if self.missing:
            typer.echo(
                f"at least {self.missing} of {self._slots} are missing: geotarget slots create",
                err=True,
            )

    def document(self) -> dict[str, object]:
        """Return the same for programs; no figures when it says nothing."""
        return {"url": str(self._broker), "missing": self.missing, "figures": self._figures}
