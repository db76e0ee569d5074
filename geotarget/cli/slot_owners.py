"""Who has which slot, as ``geotarget slots status`` shows it: the leases of the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from geotarget.settings import Settings
    from geotarget.store import Lease


class Owners:
    """The leases of all slots, or why there is nothing to be seen of them.

    Parameters
    ----------
    chosen
        Name the database.

    Attributes
    ----------
    trouble
        Why nothing can be shown; empty where something can.
    there
        Whether there is a database to ask.
    broken
        Whether it can't be read.
    """

    def __init__(self, chosen: Settings) -> None:
        from geotarget.errors import StoreError  # noqa: PLC0415 the help does not need it
        from geotarget.store import read_leases, shown_url  # noqa: PLC0415

        self.there = bool(chosen.database_url) or (chosen.data / "geotarget.db").exists()
        self.leases: Sequence[Lease] = ()
        self.workers: Sequence[str] = ()
        self.trouble = ""
        self.broken = False
        if not self.there:
            self.trouble = "who has which slot is in the workers' database: name it with --database"
            return
        try:
            self.database = shown_url(chosen.store_url)
            self.leases, self.workers = read_leases(chosen.store_url)
        except StoreError as error:
            self.broken = True
            self.trouble = f"who has which slot can't be shown: {error}"
            return
        if not self.leases:
            self.trouble = f"no worker with slots has ever started on {self.database}"

    def show(self) -> None:
        """Print a table: slots of one owner and epoch on one line."""
        from geotarget.ingest.slots import written_slots  # noqa: PLC0415 the help needs it not

        if self.trouble:
            typer.echo(self.trouble, err=True)
            return
        table = Table("slots", "worker", box=None)
        table.add_column("epoch", justify="right")
        table.add_column("lease")
        alike: dict[tuple[str, int, bool], list[Lease]] = {}
        for lease in self.leases:
            alike.setdefault((lease.owner, lease.epoch, lease.left_ms < 0), []).append(lease)
        for (owner, epoch, _), leases in alike.items():
            slots = written_slots(lease.slot for lease in leases)
            table.add_row(slots, owner or "nobody", str(epoch), _left(leases))
        Console().print(table)
        held = sum(bool(lease.owner) and lease.left_ms >= 0 for lease in self.leases)
        count = len(self.workers)
        typer.echo(
            f"{held} of {len(self.leases)} slots are somebody's,"
            f" {count} {'worker lives' if count == 1 else 'workers live'}"
        )

    def document(self) -> dict[str, object] | None:
        """Return the same for programs: each slot by itself; None where nothing can be shown."""
        if self.trouble:
            return None
        return {
            "database": self.database,
            "workers": list(self.workers),
            "leases": [
                {
                    "slot": lease.slot,
                    "worker": lease.owner or None,
                    "epoch": lease.epoch,
                    "expires_in_s": lease.left_ms / 1000 if lease.owner else None,
                }
                for lease in self.leases
            ],
        }


def _left(leases: Sequence[Lease]) -> str:
    """Say when the first of these leases runs out, or since when it has."""
    if not leases[0].owner:
        return "free"
    left_s = min(lease.left_ms for lease in leases) / 1000
    return f"{left_s:.1f} s left" if left_s >= 0 else f"ran out {-left_s:.0f} s ago"
