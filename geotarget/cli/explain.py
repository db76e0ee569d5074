"""``geotarget explain`` and ``geotarget trace``: why a device did or did not enter and fire.

They read the database as other commands do, so no process need run; or, with ``--pings``, a file.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geotarget.cli.options import (
    Data,
    Database,
    columns_of,
    example,
    open_store,
    settings,
    termination_is_an_interrupt,
)
from geotarget.cli.times import read_instant_ms, read_span_s
from geotarget.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from geotarget.explaining import Evidence, Explanation
    from geotarget.model import PingBatch

DAY_MS = 86_400_000
AHEAD_MS = 60_000
"""Fix times may lie a little ahead of the clock."""

SHOWN_DEVICES = 5

Device = Annotated[str, typer.Option(metavar="ID", help="The device.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="From this fix time on: ISO 8601 (UTC unless it has an offset), epoch seconds, or a "
        "span ago such as -2h. Default: a day before --to; of a recording, its beginning.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Before this fix time. Default: now; of a recording, its end, which relative times "
        "go by.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="All of it as JSON, as the API answers.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        short_help="Say why a device did or did not enter and fire.",
        epilog=example(
            "geotarget explain --device phone-17 --from -2h",
            "geotarget explain --device phone-17 --from 2026-01-01T12:00 --to 2026-01-01T13:00 "
            "--zone kamppi",
            "geotarget explain --device phone-17 --pings walk.csv --zones zones/helsinki.geojson",
        ),
    )(explain)
    app.command(
        short_help="Keep what every ping of a device means, for a while.",
        epilog=example(
            "geotarget trace phone-17 --for 1h", "geotarget trace phone-17 --off --forget"
        ),
    )(trace)


def explain(
    *,
    device: Device,
    since: Since = None,
    to: To = None,
    zone: Annotated[str, typer.Option(metavar="ID", help="Only this zone.")] = "",
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Everything in order, behind the summary.")
    ] = False,
    as_json: Json = False,
    pings: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Explain a recording instead (.csv, .csv.gz, .parquet), without a database.",
        ),
    ] = None,
    zones: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="FILE", help="The zones for it, GeoJSON."
        ),
    ] = None,
    campaigns: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Campaigns for it, as for geotarget backtest; drafts are asked, too.",
        ),
    ] = None,
    audiences: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Audiences for them."),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Profiles for them."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Its columns with other names than device, ts, lat, lng (or lon), acc, id.",
        ),
    ] = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Say why a device did or did not enter a zone, and why an offer did or did not fire.

    From what the database knows: transitions with what they rest on, decisions with the answer of
    every gate, deliveries, refused pings; and, while the device was traced (geotarget trace), what
    every ping meant. Or from a recording, whose pings are all traced. Times shown are UTC.

    With --campaigns the whole recording is played to them, as a backtest does.
    """
    from geotarget.explaining import explain as tell  # noqa: PLC0415 the help does not need it

    if (pings is None) != (zones is None):
        missing = "--zones" if zones is None else "--pings"
        raise InvalidInput(Problem(missing, "", "--pings and --zones go together"))
    if campaigns is not None and pings is None:
        raise InvalidInput(Problem("--campaigns", "", "goes with --pings and --zones"))
    for name, path in (("--audiences", audiences), ("--profiles", profiles)):
        if path is not None and campaigns is None:
            raise InvalidInput(Problem(name, "", "goes with --campaigns"))
    if pings is not None and zones is not None and campaigns is not None:
        drafts = (zones, campaigns, audiences, profiles)
        evidence = _rehearsed(pings, drafts, device, since, to, zone, columns)
    elif pings is not None and zones is not None:
        evidence = _recorded(pings, zones, device, since, to, zone, columns)
    else:
        evidence = _stored(data, database, device, since, to, zone)
    explanation = tell(evidence)
    if as_json:
        from geotarget.api.explain import ExplainAnswer  # noqa: PLC0415 loads the whole API

        typer.echo(ExplainAnswer.of(explanation).model_dump_json(indent=2))
        return
    _show(explanation, timeline=timeline)


def trace(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device.")],
    *,
    span: Annotated[
        str | None,
        typer.Option("--for", metavar="SPAN", help="How long: 45s, 90min, 1h, 2d; at most 7d."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="With --off: drop what was traced as well.")
    ] = False,
    data: Data = None,
    database: Database = None,
) -> None:
    """Keep what every ping of a device means for every zone, for geotarget explain.

    Processes that run follow within about a second. Traces hold coordinates: the switch ends by
    itself, traces are dropped after 30 days.
    """
    if (span is None) == (not off):
        raise InvalidInput(Problem("--for", span or "", "give either --for SPAN or --off"))
    if forget and not off:
        raise InvalidInput(Problem("--forget", "", "goes with --off"))
    with open_store(data, database, create=False) as store:
        if forget:
            dropped = store.forget_traces(device, by="cli")
            typer.echo(f"{device} is not traced, traces dropped: {dropped:,}", err=True)
        elif off:
            store.set_trace(device, None, by="cli")
            typer.echo(f"{device} is not traced", err=True)
        else:
            from geotarget.explaining.figures import moment  # noqa: PLC0415

            until_ms = _now_ms() + round(read_span_s(span or "", "--for") * 1000)
            store.set_trace(device, until_ms, by="cli")
            typer.echo(f"{device} is traced until {moment(until_ms // 1000 * 1000)} UTC", err=True)


def _stored(
    data: Path | None,
    database: str | None,
    device: str,
    since: str | None,
    to: str | None,
    zone: str,
) -> Evidence:
    """Return what the database knows."""
    from geotarget.explaining import gather  # noqa: PLC0415 the help does not need it

    now_ms = _now_ms()
    to_ms = now_ms + AHEAD_MS if to is None else read_instant_ms(to, "--to", now_ms=now_ms)
    from_ms = to_ms - DAY_MS if since is None else read_instant_ms(since, "--from", now_ms=now_ms)
    _check_span(from_ms, to_ms, since or "")
    with open_store(data, database, create=False) as store:
        return gather(
            store,
            device,
            from_ms=from_ms,
            to_ms=to_ms,
            zone=zone,
            rules=settings().rules(),
            now_ms=now_ms,
        )


def _recorded(
    pings: Path,
    zones: Path,
    device: str,
    since: str | None,
    to: str | None,
    zone: str,
    columns: str | None,
) -> Evidence:
    """Return what a recording says."""
    from geotarget.drafts import read_zones  # noqa: PLC0415 the help does not need it
    from geotarget.explaining import replay  # noqa: PLC0415

    chosen = settings()
    drawn = read_zones(zones, limits=chosen.geometry_limits())
    batch = _pings_of(pings, device, columns)
    from_ms, to_ms = _span(since, to, int(batch.ts[0]), int(batch.ts[-1]) + 1)
    return replay(
        batch,
        drawn,
        device,
        from_ms=None if since is None else from_ms,
        to_ms=None if to is None else to_ms,
        zone=zone,
        rules=chosen.rules(),
    )


def _rehearsed(
    pings: Path,
    drafts: tuple[Path, Path, Path | None, Path | None],
    device: str,
    since: str | None,
    to: str | None,
    zone: str,
    columns: str | None,
) -> Evidence:
    """Return what a recording and campaigns say: as a backtest, with this device traced."""
    from geotarget import drafts as files  # noqa: PLC0415
    from geotarget.backtest import rehearsal  # noqa: PLC0415 the help does not need it
    from geotarget.explaining import gather  # noqa: PLC0415
    from geotarget.logs import configure_logging  # noqa: PLC0415
    from geotarget.recording import Recording  # noqa: PLC0415

    configure_logging(level="warning")
    chosen = settings()
    zones, campaigns, audiences, profiles = drafts
    recording = Recording(pings, columns=columns_of(columns))
    survey = recording.survey()
    from_ms, to_ms = _span(since, to, survey.first_ms, survey.last_ms + 1)
    with (
        termination_is_an_interrupt(),
        rehearsal(
            zones=files.read_zones(zones, limits=chosen.geometry_limits()),
            campaigns=files.read_campaigns(campaigns),
            audiences=() if audiences is None else files.read_audiences(audiences),
            profiles=() if profiles is None else files.read_profiles(profiles),
            rules=chosen.rules(),
            policy=chosen.policy(),
            as_active=True,
        ) as stage,
    ):
        stage.clock.now_ms = survey.last_ms  # the switch is set for the whole of the recording
        stage.store.set_trace(device, survey.last_ms + DAY_MS)
        fed = stage.play(recording, survey)
        if fed.bad:
            typer.echo(f"{fed.bad:,} rows are no pings and were left out", err=True)
        found = gather(
            stage.store,
            device,
            from_ms=from_ms,
            to_ms=to_ms,
            zone=zone,
            rules=chosen.rules(),
            now_ms=max(to_ms, stage.clock.now_ms),
        )
    if found.standing.fix is None:
        raise InvalidInput(Problem(str(pings), device, "the file holds no pings of this device"))
    return replace(found, recorded=True)


def _span(since: str | None, to: str | None, first_ms: int, end_ms: int) -> tuple[int, int]:
    """Return the span that was asked for; relative times go by the end of the recording."""
    to_ms = end_ms if to is None else read_instant_ms(to, "--to", now_ms=end_ms)
    from_ms = first_ms if since is None else read_instant_ms(since, "--from", now_ms=end_ms)
    _check_span(from_ms, to_ms, since or to or "")
    return from_ms, to_ms


def _pings_of(path: Path, device: str, columns: str | None) -> PingBatch:
    """Return the pings of one device in order of time; rows that are none are counted."""
    import numpy as np  # noqa: PLC0415 the help does not need it

    from geotarget.model import PingBatch  # noqa: PLC0415
    from geotarget.model.keys import message_key, ping_keys  # noqa: PLC0415
    from geotarget.recording import BadRow, Recording  # noqa: PLC0415

    found, others, bad = [], dict[str, None](), 0
    for row in Recording(path, columns=columns_of(columns)).rows():
        if isinstance(row, BadRow):
            bad += 1
        elif row.device != device:
            others[row.device] = None
        elif abs(row.lat) <= 90 and abs(row.lng) <= 180:
            found.append(row)
        else:
            bad += 1
    if bad:
        typer.echo(f"{bad:,} rows are no pings and were left out", err=True)
    if not found:
        raise InvalidInput(Problem(str(path), device, _not_there(list(others))))
    found.sort(key=lambda row: row.ts_ms)
    ts = np.array([row.ts_ms for row in found], np.int64)
    lng, lat = (np.array([row[at] for row in found], np.float64) for at in (3, 2))
    key = ping_keys(ts, lng, lat)
    for position, row in enumerate(found):
        if row.id:
            key[position] = message_key(row.id)
    acc = np.array([row.acc for row in found], np.float64)
    return PingBatch([device] * len(found), ts, lng, lat, acc, key, ts)


def _not_there(others: Sequence[str]) -> str:
    if not others:
        return "the file holds no pings"
    named = ", ".join(others[:SHOWN_DEVICES])
    more = f" and {len(others) - SHOWN_DEVICES:,} more" if len(others) > SHOWN_DEVICES else ""
    return f"the file holds no pings of this device; it holds {named}{more}"


def _check_span(from_ms: int, to_ms: int, given: str) -> None:
    if from_ms >= to_ms:
        raise InvalidInput(Problem("--from", given, "must be before --to"))


def _show(explanation: Explanation, *, timeline: bool) -> None:
    for line in explanation.summary:
        typer.echo(line)
    if timeline:
        typer.echo()
        for item in explanation.timeline:
            typer.echo(item.text)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
