"""``geotarget backtest``: what drafts would have done, before money is spent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from geotarget.cli.options import (
    columns_of,
    example,
    progress,
    settings,
    termination_is_an_interrupt,
)
from geotarget.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from geotarget.backtest import CampaignResult, Summary
    from geotarget.model import Zone
    from geotarget.recording import BadRow
    from geotarget.settings import Settings

SHOWN_BAD_ROWS = 20
"""After so many bad rows only their number goes on."""

SHOWN_LINES = 40
"""Most lines of a table; files have all."""

MICROS = 1_000_000

_SILENT = {
    "draft": "a draft does not speak: --as-active",
    "ended": "has ended",
}
"""Why a campaign has no decisions."""


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(
        short_help="Say what drafts would have done over recorded pings.",
        epilog=example(
            "geotarget backtest --zones drafts.geojson --pings january.parquet",
            "geotarget backtest --zones drafts.geojson --campaigns bun.json --pings january.csv",
            "geotarget backtest --zones shops.geojson --pings may.csv --out may --parquet",
        ),
    )(backtest)


def _file(help: str, *names: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        *names, exists=True, dir_okay=False, metavar="FILE", help=help
    )
    return option


def backtest(
    *,
    zones: Annotated[list[Path], _file("Zones, GeoJSON; may be given several times.", "--zones")],
    pings: Annotated[Path, _file("The recording: .csv, .csv.gz or .parquet, of any size.")],
    campaigns: Annotated[
        Path | None,
        _file(
            "Campaigns: JSON {id: document}, a list with ids, or .ndjson; as the API takes them."
        ),
    ] = None,
    audiences: Annotated[Path | None, _file("Named audiences, in the same forms.")] = None,
    profiles: Annotated[
        Path | None, _file("Profiles: .csv, .ndjson or .json; without it nobody is known.")
    ] = None,
    id_property: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Property that holds the zones' ids, where they are not the features' own.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns with other names than device, ts, lat, lng (or lon), acc, id.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first so many pings.")
    ] = None,
    as_active: Annotated[
        bool, typer.Option("--as-active", help="Treat drafts and paused campaigns as active.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            metavar="DIR",
            help="Write every transition, every decision and the summary here.",
        ),
    ] = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write Parquet instead of CSV.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of an earlier run.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.", show_default=False)
    ] = False,
) -> None:
    """Say what drafts would have done over recorded pings: entries, offers, refusals, spend.

    The live code works off the recording in its own time, in a database that is thrown away:
    endpoints need not exist, and nothing is sent. The same drafts and the same pings give the
    same answer, byte for byte. A file that is not in order of time is sorted.

    Rows that are no pings are left out: the first 20 are named, all are counted, and the status
    is 0.
    """
    from geotarget import drafts  # noqa: PLC0415
    from geotarget.backtest import backtest as run  # noqa: PLC0415 the help does not need it
    from geotarget.backtest import check_folder  # noqa: PLC0415
    from geotarget.logs import configure_logging  # noqa: PLC0415
    from geotarget.recording import Recording  # noqa: PLC0415

    configure_logging(level="warning")
    chosen = settings()
    recording = Recording(pings, columns=columns_of(columns), limit=limit)
    if (parquet or overwrite) and out is None:
        named = "--parquet" if parquet else "--overwrite"
        raise InvalidInput(Problem(named, "", "goes with --out"))
    if out is not None:
        check_folder(out, parquet=parquet, overwrite=overwrite)
    with termination_is_an_interrupt(), progress("{task.fields[rate]}") as bar:
        reading = bar.add_task("reading", total=None, rate="")
        drawn = _zones(zones, chosen, id_property)
        planned = [] if campaigns is None else drafts.read_campaigns(campaigns)
        named_rules = [] if audiences is None else drafts.read_audiences(audiences)
        survey = recording.survey(lambda rows: bar.update(reading, completed=rows))
        bar.remove_task(reading)
        task = bar.add_task("playing", total=survey.pings, rate="")
        started = time.perf_counter()

        def on_progress(done: int) -> None:
            rate = done / max(time.perf_counter() - started, 1e-9)
            bar.update(task, completed=done, rate=f"{rate:,.0f} pings/s")

        with _naming(campaigns, audiences):
            summary = run(
                recording,
                zones=drawn,
                campaigns=planned,
                audiences=named_rules,
                profiles=() if profiles is None else drafts.read_profiles(profiles),
                rules=chosen.rules(),
                policy=chosen.policy(),
                as_active=as_active,
                out=out,
                parquet=parquet,
                overwrite=overwrite,
                survey=survey,
                on_bad=_bad_rows(bar),
                on_progress=on_progress,
            )
    if as_json:
        typer.echo(json.dumps(summary.document(), indent=2, ensure_ascii=False))
    else:
        _show(summary)


def _zones(paths: list[Path], chosen: Settings, id_property: str | None) -> list[Zone]:
    """Return the zones of all files, each id once."""
    from geotarget import drafts  # noqa: PLC0415 the help does not need it

    found: dict[str, Zone] = {}
    for path in paths:
        for zone in drafts.read_zones(
            path, limits=chosen.geometry_limits(), id_property=id_property
        ):
            if zone.id in found:
                raise InvalidInput(Problem(str(path), zone.id, "this zone came already"))
            found[zone.id] = zone
    return list(found.values())


@contextmanager
def _naming(campaigns: Path | None, audiences: Path | None) -> Iterator[None]:
    """Name the file in what the catalogue refuses."""
    from geotarget.errors import InvalidAudience, InvalidCampaign  # noqa: PLC0415

    try:
        yield
    except (InvalidCampaign, InvalidAudience) as error:
        path = campaigns if isinstance(error, InvalidCampaign) else audiences
        raise InvalidInput(
            *(Problem(f"{path}, {each.path}", each.value, each.reason) for each in error.problems)
        ) from error


def _bad_rows(bar: Progress) -> Callable[[BadRow], None]:
    """Return what names the first bad rows and falls silent then."""
    count = 0

    def show(row: BadRow) -> None:
        nonlocal count
        count += 1
        text = f"{row.place}: {row.reason}" if count <= SHOWN_BAD_ROWS else ""
        if count == SHOWN_BAD_ROWS + 1:
            text = "further bad rows are only counted"
        if text:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    return show


# -- for people -----------------------------------------------------------------------------


def _show(summary: Summary) -> None:
    from geotarget.explaining.figures import moment  # noqa: PLC0415 the help does not need it

    console = Console()
    fed = summary.fed
    sorted_too = "" if fed.in_order else ", sorted by time"
    typer.echo(
        f"{fed.file}: {_count(fed.pings, 'ping')} of {_count(fed.devices, 'device')}, "
        f"{moment(fed.first_ms)} to {moment(fed.last_ms)} UTC{sorted_too}"
    )
    faults = {
        "bad rows": fed.bad,
        "late": fed.late,
        "duplicates": fed.duplicates,
        "suspects": fed.suspects,
    }
    typer.echo(", ".join(f"{name}: {count:,}" for name, count in faults.items()))
    _show_zones(console, summary)
    if summary.campaigns:
        _show_campaigns(console, summary)
        _show_days(console, summary)
        _show_people(console, summary)


def _show_zones(console: Console, summary: Summary) -> None:
    from geotarget.backtest.summary import KINDS  # noqa: PLC0415 the help does not need it

    seen = [kind for kind in KINDS if summary.kinds[kind]]
    lines = [
        (zone.id, day, *(_figure(zone.days[day][kind]) for kind in seen))
        for zone in sorted(summary.zones, key=lambda zone: (-zone.kinds["enter"], zone.id))
        for day in sorted(zone.days)
    ]
    if lines:
        _table(console, "What happened where", ("zone", "day", *seen), lines)
    if summary.quiet_zones:
        typer.echo(f"\nNothing happened in {_count(summary.quiet_zones, 'zone')}.")


def _show_campaigns(console: Console, summary: Summary) -> None:
    lines: list[tuple[str, ...]] = []
    for each in summary.campaigns:
        people = {"fired": each.reach, "holdout": each.held_out_people}
        told = [
            (gate, f"{count:,}", _figure(people.get(gate, 0)), "", "")
            for gate, count in each.gates.items()
        ]
        if each.fired:
            share = f"{each.fired / each.reach:.2f}"
            told[-1] = (*told[-1][:3], share, _money(each, each.cost_micros))
        why = _SILENT.get(each.status, "answered nothing")
        told = told or [(why, "-", "-", "", "")]
        lines += [(each.id if at == 0 else "", *line) for at, line in enumerate(told)]
    names = ("campaign", "gate", "decisions", "people", "each", "cost")
    _table(console, "What the gates said", names, lines)


def _show_days(console: Console, summary: Summary) -> None:
    lines = [
        (each.id, day, f"{offers:,}", _money(each, cost_micros))
        for each in summary.campaigns
        for day, (offers, cost_micros) in sorted(each.days.items())
    ]
    if lines:
        _table(console, "What a day takes", ("campaign", "day", "offers", "cost"), lines)


def _show_people(console: Console, summary: Summary) -> None:
    if not summary.reach:
        typer.echo("\nNobody would have got an offer.")
        return
    lines = [(f"{n:,}", f"{people:,}") for n, people in summary.offers_per_person.items()]
    _table(console, "Offers a person, over all campaigns", ("offers", "people"), lines)


def _table(
    console: Console, title: str, names: Sequence[str], lines: Sequence[Sequence[str]]
) -> None:
    table = Table(box=None, pad_edge=False)
    for at, name in enumerate(names):
        text = at == 0 or name in ("day", "gate")
        table.add_column(name, justify="left" if text else "right", overflow="fold")
    for line in lines[:SHOWN_LINES]:
        table.add_row(*line)
    typer.echo(f"\n{title}")
    console.print(table)
    if len(lines) > SHOWN_LINES:
        typer.echo(f"… and {len(lines) - SHOWN_LINES:,} lines more: --json or --out has all")


def _figure(count: int) -> str:
    return f"{count:,}" if count else "-"


def _money(result: CampaignResult, micros: int) -> str:
    return f"{micros / MICROS:,.2f} {result.currency}" if micros else "-"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number == 1 else what + 's'}"
