"""The tables of the durability page and of the sizing page, from what was measured.

They stand between two markers; a test holds the pages to the results, so no figure is typed by
hand. What the sizing examples assume of people is written out in the table.

    python benchmarks/prices.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pages import renewed
from geotarget.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results"
DOCS = REPOSITORY / "geotarget" / "docs"
BEGIN = "<!-- figures: begin (made by benchmarks/prices.py) -->"
END = "<!-- figures: end -->"

PEAK = 4
"""How many times the mean of a day its busiest minutes are taken to be."""

DAY_S = 86_400
LOG_BYTES, WAL_BYTES = 128 << 20, 64 << 20
"""The most that the log of live states and the write-ahead log keep."""


@dataclass(frozen=True, slots=True)
class Town:
    """Who is to be served: devices a day, and what each does in it."""

    name: str
    devices: int
    pings: int
    zones: int
    transitions: float
    refused: float
    offers: float


TOWNS = (
    Town("small shops", 5_000, 120, 20, 4, 2, 0.2),
    Town("a city", 200_000, 200, 5_000, 10, 5, 0.5),
    Town("a country", 3_000_000, 300, 50_000, 20, 10, 1.0),
)


def results(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote down."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def durability(found: Mapping[str, Any]) -> str:
    """Return the prices of durability as Markdown."""
    disk, copied = found["disk"], found["backup"]
    loads = found["load_before"].values()
    where = (
        f"Measured on {found['machine']}, {found['measured']}, beside other work (load "
        f"{min(loads):g} to {max(loads):g}), so speeds are low; compare choices with one another, "
        f"by their runs. Medians of three runs in turn. This disk flushes 4 KiB in "
        f"{disk['flush_ms']:g} ms (median; the slowest of 200 took {disk['slowest_ms']:g}): a "
        "virtual disk with a cache behind it. Measure yours with "
        "`python benchmarks/durability.py --directory /where/the/data/is`."
    )
    backup = (
        f"A backup of {copied['mb']:,.0f} MB at work: copied in {copied['copy_s']:g} s, checked "
        f"in {copied['check_s']:g} s. Commits beside it took {copied['commit_beside_ms']:g} ms "
        f"where they took {copied['commit_alone_ms']:g} ms before (medians), "
        f"{copied['slowest_beside_ms']:g} ms at most."
    )
    saved = [
        f"Saving {row['saved_mb']:,.0f} MB of waiting messages, mosquitto answered nobody for "
        f"{row['pause_ms']:,.0f} ms."
        for row in list(found.get("mosquitto", {}).values())[-1:]
    ]
    lines = [
        where,
        "",
        *table(
            ("choice", "setting", "per second", "runs"),
            [
                *(
                    (f"commits of {what}", f"`synchronous={mode}`", *_rate(row))
                    for what, rows in found["database"].items()
                    for mode, row in rows.items()
                ),
                *(
                    (f"NATS, {what}: messages", f"flushed {how}", *_rate(row))
                    for what, rows in found["embedded"].items()
                    for how, row in rows.items()
                ),
                *(
                    ("mosquitto, single pings: messages", f"saved {how}", *_rate(row))
                    for how, row in found.get("mosquitto", {}).items()
                ),
            ],
            right=(2, 3),
        ),
    ]
    return "\n".join([*lines, "", *saved, "", backup])


def sizing(sizes: Mapping[str, Any], pipeline: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Return what rows weigh, and the examples, as Markdown."""
    disk, memory = sizes["disk"], sizes["memory"]
    rows = disk["bytes_a_row"]
    single, packed = pipeline["throughput"]
    held = stored["embedded"]["single pings"]["every two minutes"]["stored_bytes"]
    weights = [
        ("a transition", rows["transition"], "`sizes.json`"),
        ("a decision, fired or refused", rows["decision"], "`sizes.json`"),
        (
            f"a delivery, with a body of {disk['body_bytes']} bytes and one attempt",
            rows["delivery"],
            "`sizes.json`",
        ),
        ("the last state of a device", rows["device"], "`sizes.json`"),
        (
            "a profile, with what it did and how often it was meant",
            rows["profile"] + rows["behaviour"] + rows["campaign_profile"],
            "`sizes.json`",
        ),
        ("a zone of 30 vertices", rows["zone"], "`sizes.json`"),
        ("a single ping that waits in the embedded broker", held, "`durability.json`"),
    ]
    lines = [
        (
            f"Disk and memory: {sizes['machine']}, {sizes['measured']}, {disk['transitions']:,} "
            f"transitions, {disk['decisions_fired'] + disk['decisions_refused']:,} decisions, "
            f"{disk['decisions_fired']:,} deliveries; indexes included. Speed: "
            f"`pipeline-embedded.json`, {pipeline['machine']}."
        ),
        "",
        *table(
            ("on the disk", "bytes", "from"),
            [(what, f"{size:,.0f}", where) for what, size, where in weights],
            right=(1,),
        ),
        "",
        *table(
            ("in memory", "", "from"),
            [
                ("an ingest alone", f"{memory['ingest_alone_mib']:,.0f} MiB", "`sizes.json`"),
                ("and a device", f"{memory['bytes_a_device']:,} bytes", "`sizes.json`"),
                ("and a zone of 30 vertices", f"{memory['bytes_a_zone']:,} bytes", "`sizes.json`"),
            ],
            right=(1,),
        ),
        "",
        *table(
            ("", *(town.name for town in TOWNS)),
            _examples(sizes, pipeline, held),
            right=range(1, len(TOWNS) + 1),
        ),
        "",
        (
            f"One machine of two cores: {single['pings_per_s']:,} pings a second singly, "
            f"{packed['pings_per_s']:,} in messages of ten, "
            f"{pipeline['webhooks']['webhooks_per_s']:,} webhooks a second."
        ),
    ]
    return "\n".join(lines)


def _examples(
    sizes: Mapping[str, Any], pipeline: Mapping[str, Any], held: float
) -> list[tuple[str, ...]]:
    """Return the rows of the examples."""
    keep = Settings.model_fields
    history_days = keep["retention_history_days"].default
    delivery_days = keep["retention_deliveries_days"].default
    broker_bytes = keep["broker_max_bytes"].default
    rows, memory = sizes["disk"]["bytes_a_row"], sizes["memory"]
    per_s = pipeline["throughput"][0]["pings_per_s"]
    webhooks_per_s = pipeline["webhooks"]["webhooks_per_s"]

    def mean(town: Town) -> float:
        return town.devices * town.pings / DAY_S

    def webhooks(town: Town) -> float:
        return PEAK * town.devices * town.offers / DAY_S

    def machines(town: Town) -> float:
        return PEAK * mean(town) / per_s + webhooks(town) / webhooks_per_s

    def history(town: Town) -> float:
        decided = (town.refused + town.offers) * rows["decision"]
        return float(town.devices) * (town.transitions * rows["transition"] + decided)

    def deliveries(town: Town) -> float:
        return town.devices * town.offers * float(rows["delivery"])

    def kept(town: Town) -> float:
        person = sum(rows[each] for each in ("device", "profile", "behaviour", "campaign_profile"))
        people, places = town.devices * person, town.zones * rows["zone"]
        logs = LOG_BYTES + WAL_BYTES
        return float(
            history(town) * history_days
            + deliveries(town) * delivery_days
            + people + places + logs
        )  # fmt: skip

    def resident(town: Town) -> float:
        grown = town.devices * memory["bytes_a_device"] + town.zones * memory["bytes_a_zone"]
        return float(memory["ingest_alone_mib"] * 2**20 + grown)

    shown: list[tuple[str, Callable[[Town], str]]] = [
        ("devices a day", lambda town: f"{town.devices:,}"),
        ("pings of each", lambda town: f"{town.pings:,}"),
        ("zones", lambda town: f"{town.zones:,}"),
        (
            "transitions, refusals, offers of each",
            lambda town: f"{town.transitions:g}, {town.refused:g}, {town.offers:g}",
        ),
        ("**pings a second**, mean", lambda town: f"{mean(town):,.0f}"),
        (f"… at the peak ({PEAK} times)", lambda town: f"{PEAK * mean(town):,.0f}"),
        ("webhooks a second at the peak", lambda town: f"{webhooks(town):,.1f}"),
        ("**share of a 2-core machine** at the peak", lambda town: f"{machines(town):.1%}"),
        (
            "**disk a day**: history",
            lambda town: _size(history(town)),
        ),
        ("… deliveries", lambda town: _size(deliveries(town))),
        (
            f"**disk in the end** ({history_days} and {delivery_days} days)",
            lambda town: _size(kept(town)),
        ),
        ("**memory** of the ingest", lambda town: _size(resident(town))),
        (
            "the ingest may be away until the broker is full",
            lambda town: f"{broker_bytes / held / mean(town) / 3600:,.1f} h",
        ),
    ]
    return [(what, *(of(town) for town in TOWNS)) for what, of in shown]


def _size(count: float) -> str:
    """Return bytes as people say them."""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 1e6:,.0f} MB"


def _rate(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return a median and its runs."""
    return f"{row['per_s']:,.0f}", ", ".join(f"{each:,.0f}" for each in row["runs_per_s"])


def table(
    head: Iterable[str], rows: Iterable[Iterable[str]], *, right: Iterable[int] = ()
) -> list[str]:
    """Return the lines of a Markdown table."""
    titles = list(head)
    ends = set(right)
    lines = [titles, ["---:" if at in ends else "---" for at in range(len(titles))], *rows]
    return ["| " + " | ".join(each) + " |" for each in lines]


def pages() -> dict[Path, str]:
    """Return what stands between the markers of each page."""
    measured = results("durability")
    return {
        DOCS / "durability.md": durability(measured),
        DOCS / "sizing.md": sizing(results("sizes"), results("pipeline-embedded"), measured),
    }


def written(page: str, figures: str) -> str:
    """Return a page with the part between its markers renewed."""
    return renewed(page, BEGIN, END, figures)


def main() -> None:
    """Renew both pages."""
    for path, figures in pages().items():
        path.write_text(written(path.read_text(), figures))


if __name__ == "__main__":
    main()
