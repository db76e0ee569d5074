"""``geotarget match``: which zones cover the pings of a file, written as a file."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geotarget.cli.options import example, progress, termination_is_an_interrupt
from geotarget.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from geotarget.matching.ping_columns import BadRow
    from geotarget.matching.run import Progress

SHOWN_BAD_ROWS = 20
"""After so many bad rows only their number goes on."""

PIPE = Path("-")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(
        short_help="Find the zones that cover the pings of a file.",
        epilog=example(
            "geotarget match wards.geojson pings.csv -o matched.parquet",
            "geotarget match wards.gpkg pings.parquet -o matched.parquet --id code --keep all",
            "geotarget match wards.geojson - -o matched.parquet < pings.ndjson",
        ),
    )(match)


def match(
    zones: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="ZONES",
            help="A .geojson, .gpkg or .parquet (GeoParquet) file, or a saved index.",
        ),
    ],
    pings: Annotated[
        Path,
        typer.Argument(
            metavar="PINGS",
            help="A .csv, .ndjson (both also .gz) or .parquet file of any size; - is NDJSON from "
            "standard input.",
        ),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The .parquet file to write."),
    ],
    id: Annotated[
        str | None,
        typer.Option(metavar="PROPERTY", help="Property or column that holds the zones' ids."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Layer of a .gpkg file with several.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...", help="Columns with other names than lng (or lon) and lat."
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="matched|all", help="all writes pings that are in no zone, too, with null."
        ),
    ] = "matched",
    zone_column: Annotated[
        str, typer.Option(metavar="NAME", help="Column to write the zones' ids to.")
    ] = "zone_id",
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Default: one for each processor.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail at rows that are no pings; write nothing.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it exists.")
    ] = False,
) -> None:
    """Find the zones that cover the pings of a file, and write them as Parquet.

    One row for each pair: the ping's columns and the zone's id, by ping, then by zone. A ping on
    a boundary is inside. The file is streamed, so it may be larger than memory.

    Rows without coordinates that can be read, or with coordinates out of range, are left out: the
    first 20 are named, all are counted, and the status is 0. With --strict they are an error.
    """
    from geotarget.matching.pairs import Keep  # noqa: PLC0415 the help does not need it
    from geotarget.matching.ping_files import open_pings  # noqa: PLC0415
    from geotarget.matching.run import check_output, match_files  # noqa: PLC0415
    from geotarget.matching.zone_files import load_index  # noqa: PLC0415

    kept = Keep.read(keep)
    check_output(output, overwrite=overwrite)
    count = threads or os.cpu_count() or 1
    stream = sys.stdin.buffer if pings == PIPE else None
    if stream is None and not pings.is_file():
        raise InvalidInput(Problem(str(pings), "", "there is no such file"))
    source = open_pings(pings, columns=_columns(columns), threads=count, stream=stream)
    with termination_is_an_interrupt(), progress("{task.fields[rate]}") as bar:
        reading = bar.add_task("reading zones", total=None, rate="")
        index = load_index(zones, id=id, layer=layer)
        bar.remove_task(reading)
        task = bar.add_task(f"matching {len(index):,} zones", total=None, rate="")
        bad = 0

        def tell(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

        def on_bad(row: BadRow) -> None:
            nonlocal bad
            bad += 1
            if bad <= SHOWN_BAD_ROWS:
                tell(f"{row.place}: {row.reason}")
            if bad == SHOWN_BAD_ROWS:
                tell("further bad rows are only counted")

        def on_again(reason: str) -> None:
            nonlocal bad
            bad = 0
            tell(f"{pings} is read from its start again: {reason}")

        def on_progress(done: Progress) -> None:
            rows = done.pings + done.bad
            known = done.fraction > 0 and not math.isnan(done.fraction)
            bar.update(
                task,
                completed=rows,
                total=max(rows, round(rows / done.fraction)) if known else None,
                rate=f"{rows / max(time.perf_counter() - started, 1e-9):,.0f} pings/s",
            )

        started = time.perf_counter()
        done = match_files(
            index,
            source,
            output,
            keep=kept,
            zone_column=zone_column,
            threads=count,
            strict=strict,
            overwrite=overwrite,
            on_progress=on_progress,
            on_bad=on_bad,
            on_again=on_again,
        )
        seconds = max(time.perf_counter() - started, 1e-9)
    typer.echo(
        f"{done.pings:,} pings, {done.bad:,} bad rows left out, {done.pairs:,} pairs in "
        f"{len(index):,} zones, {seconds:.1f} s, {done.pings / seconds:,.0f} pings/s"
    )


def _columns(text: str | None) -> dict[str, str]:
    """Read ``lng=x,lat=y``."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise InvalidInput(Problem("--columns", name, "must look like lng=x,lat=y"))
    return {name.strip(): column.strip() for name, _, column in pairs}
