"""``geotarget replay`` and ``geotarget fleet``: pings from a recording, and from people who walk.

Both are clients like any phone: they know the broker's address and nothing else.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geotarget.cli.options import Mqtt, Prefix, columns_of, example, progress, settings
from geotarget.errors import BrokerError
from geotarget.replay import Times

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from geotarget.ingest import Publisher
    from geotarget.recording import BadRow

INTERRUPTED = 130
SHOWN_BAD_ROWS = 20
"""After so many bad rows only their number goes on."""

PATIENCE_S = 60.0
"""How long the last acknowledgements may take."""

GIVING_UP_S = 5.0
"""The same after Ctrl-C."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        short_help="Publish recorded pings as devices would.",
        epilog=example(
            "geotarget replay buses.csv --mqtt mqtt://127.0.0.1:1883 --speed 60",
            "geotarget replay trips.parquet --columns device=vehicle_id,ts=time --times shift",
        ),
    )(replay)
    app.command(
        short_help="Let people walk through Helsinki.",
        epilog=example("geotarget fleet --mqtt mqtt://127.0.0.1:1883 --walkers 500"),
    )(fleet)


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, metavar="FILE", help="A .csv, .csv.gz or .parquet file."
        ),
    ],
    *,
    mqtt: Mqtt = None,
    speed: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="X",
            help="60 plays an hour in a minute; 0 is as fast as the broker takes them.",
        ),
    ] = 1.0,
    times: Annotated[
        Times,
        typer.Option(
            help="now: stamp each ping when it is published; shift: move all by the same time so "
            "that none lies ahead; keep: as recorded."
        ),
    ] = Times.NOW,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first so many pings.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="Columns with other names than device, ts, lat, lng (or lon), acc, id.",
        ),
    ] = None,
    prefix: Prefix = None,
) -> None:
    """Publish recorded pings as devices would: QoS 1, in order, at the pace of the recording.

    Ends when the broker has acknowledged every one. Rows that are no pings are named and counted;
    status 1 if there were any. Times are epoch seconds, milliseconds or ISO 8601.
    """
    from geotarget import replay as replaying  # noqa: PLC0415 the help does not need it
    from geotarget.recording import Recording, pings_in_order  # noqa: PLC0415

    recording = Recording(file, columns=columns_of(columns), limit=limit)
    bad = _BadRows()
    with progress("{task.fields[rate]}") as bar, _stopped_by_signals() as stop:
        reading = bar.add_task("reading", total=None, rate="")
        survey = recording.survey(lambda rows: bar.update(reading, completed=rows))
        bar.remove_task(reading)
        if not survey.in_order:
            bar.console.print(f"{file.name} is not in order of time: {_remedy(survey.pings)}")
        pings = pings_in_order(recording, survey, lambda row: bad.show(row, bar))
        with _publisher(mqtt, prefix) as publisher:
            task = bar.add_task("publishing", total=survey.pings, rate="")
            for published in replaying.replay(
                pings, _send(publisher), survey=survey, stop=stop, times=times, speed=speed
            ):
                if published % 50 == 0 or published == survey.pings:
                    _update(bar, task, publisher)
            publisher.flush(GIVING_UP_S if stop.is_set() else PATIENCE_S)
            _update(bar, task, publisher)
    typer.echo(
        f"{publisher.published:,} of {survey.pings:,} pings published, "
        f"{publisher.acknowledged:,} acknowledged, {bad.count:,} bad rows left out"
    )
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if publisher.acknowledged < publisher.published:
        raise BrokerError(_unanswered(publisher))
    if bad.count:
        raise typer.Exit(1)


def fleet(
    *,
    mqtt: Mqtt = None,
    walkers: Annotated[
        int, typer.Option(min=1, max=50_000, metavar="N", help="How many people.")
    ] = 200,
    speed: Annotated[
        float, typer.Option(min=0.1, max=20, metavar="X", help="2 makes everybody twice as quick.")
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same walks.")
    ] = 2026,
    prefix: Prefix = None,
) -> None:
    """Let people walk through Helsinki and publish where they are, until Ctrl-C.

    Where somebody is depends on the time of day and the seed alone, so a fleet that is started
    again goes on where it would be by now.
    """
    from geotarget.demo import Fleet, walk  # noqa: PLC0415 the help does not need it

    with _stopped_by_signals() as stop, _publisher(mqtt, prefix) as publisher:
        people = Fleet(walkers, seed=seed, speed=speed)
        typer.echo(f"{walkers:,} walkers publish to {publisher.broker}; Ctrl-C stops", err=True)
        walk(people, _send(publisher), stop)
        publisher.flush(GIVING_UP_S)
    typer.echo(f"{publisher.published:,} pings published, {publisher.acknowledged:,} acknowledged")


class _BadRows:
    """Shows the first bad rows and counts all."""

    def __init__(self) -> None:
        self.count = 0

    def show(self, row: BadRow, bar: Progress) -> None:
        self.count += 1
        if self.count <= SHOWN_BAD_ROWS:
            bar.console.print(f"{row.place}: {row.reason}", markup=False, highlight=False)
        if self.count == SHOWN_BAD_ROWS:
            bar.console.print("further bad rows are only counted")


def _remedy(pings: int) -> str:
    from geotarget.recording import SORTED_ROWS  # noqa: PLC0415 the help does not need it

    return "it is sorted in memory" if pings <= SORTED_ROWS else "it is sorted on disk"


def _update(bar: Progress, task: TaskID, publisher: Publisher) -> None:
    elapsed = next(each.elapsed for each in bar.tasks if each.id == task) or 0.0
    rate = f"{publisher.published / elapsed:,.0f} /s, " if elapsed > 0 else ""
    bar.update(
        task,
        completed=publisher.published,
        rate=f"{rate}{publisher.acknowledged:,} acknowledged",
    )


def _publisher(mqtt: str | None, prefix: str | None) -> Publisher:
    """Return a publisher to the broker that is meant: the embedded one if none was named."""
    from geotarget.ingest import Publisher  # noqa: PLC0415 the help does not need it

    chosen = settings(mqtt=mqtt, mqtt_prefix=prefix)
    if chosen.mqtt:
        url, trust = chosen.mqtt, chosen.broker_trust(chosen.mqtt)
    else:
        url, trust = chosen.local_broker(chosen.mqtt_port)
    return Publisher(url, prefix=chosen.mqtt_prefix, slot_topics=chosen.slot_topics, tls=trust)


def _send(publisher: Publisher) -> Callable[[str, dict[str, Any]], None]:
    """Return what publishes one ping as one message."""
    from geotarget.ingest.publish import OutgoingPing  # noqa: PLC0415 the help does not need it

    return lambda device, ping: publisher.publish(device, [OutgoingPing(**ping)])


def _unanswered(publisher: Publisher) -> str:
    """Say which messages did not arrive, and why as far as it is known."""
    if publisher.refused:
        return (
            f"the broker refused {publisher.refused:,} pings: nobody subscribes to their topics, "
            "or this client may not publish there"
        )
    return f"the broker did not acknowledge {publisher.in_flight:,} pings within {PATIENCE_S:g} s"


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; a second SIGINT interrupts as usual."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {each: signal.signal(each, on_signal) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
