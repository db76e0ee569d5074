"""Tables and pictures of `results/match.json` for the documentation.

The tables stand between two markers of `geotarget/docs/benchmarks.md`; a test holds the page to the
file of results, so that no figure is typed by hand. Pictures need matplotlib, tables nothing.

    python benchmarks/report.py            tables and pictures
    python benchmarks/report.py --tables   tables only
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.goals import PEERS_OF_THE_GOAL, Results, times
from benchmarks.pages import renewed

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "match.json"
PAGE = REPOSITORY / "geotarget" / "docs" / "benchmarks.md"
BEGIN = "<!-- figures: begin (made by benchmarks/report.py) -->"
END = "<!-- figures: end -->"

LABELS = {
    "geotarget": "geotarget",
    "strtree": "shapely: tree of zones, `covered_by`",
    "prepared": "shapely: tree of zones, prepared",
    "tree_of_pings": "shapely: tree of pings, prepared",
    "geopandas": "geopandas `sjoin`",
    "h3_dictionary": "h3 dictionary + shapely",
    "timezonefinder": "timezonefinder",
    "tzfpy": "tzfpy",
}
COLOURS = {
    "geotarget": "#c1121f",
    "strtree": "#457b9d",
    "prepared": "#1d3557",
    "tree_of_pings": "#2a9d8f",
    "geopandas": "#8d6a9f",
    "h3_dictionary": "#b08900",
}
PICTURES = {
    "match-zones.svg": ("zones", "zones", "zones, in one box: hits grow along"),
    "match-vertices.svg": ("vertices", "vertices", "vertices a zone, 1,000 zones"),
    "match-batch.svg": ("batch", "batch", "pings in a batch, 10,000 zones"),
}
"""By file name: part, field of its rows, and what the axis says."""


def tables(results: Results) -> str:
    """Return all tables as Markdown, those of parts that were not measured left out."""
    parts = results["parts"]
    makers = {
        "zones": _over_zones,
        "growth": _growth,
        "vertices": _over_vertices,
        "batch": _over_batches,
        "threads": _over_threads,
        "time_zones": _time_zones,
        "build": _builds,
    }
    blocks = [_settings(parts), _goals(results["goals"])]
    blocks += [make(parts[name]) for name, make in makers.items() if name in parts]
    blocks += _lifecycle(parts)
    return "\n\n".join(blocks)


def written(page: str, results: Results) -> str:
    """Return a page with the tables between its markers renewed."""
    return renewed(page, BEGIN, END, tables(results))


def draw(results: Results, folder: Path) -> list[Path]:
    """Write a picture for each series that was measured; return their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "geotarget", "svg.fonttype": "none", "font.size": 10})
    drawn = []
    for name, (part, field, axis) in PICTURES.items():
        if part in results["parts"]:
            path = folder / name
            _picture(results["parts"][part]["rows"], field, axis, path)
            drawn.append(path)
    return drawn


def _picture(rows: list[Results], field: str, axis: str, path: Path) -> None:
    """Draw CPU nanoseconds a ping over a field of the rows, one line for each engine."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    for engine, colour in COLOURS.items():
        points = [
            (row[field], row["engines"][engine]["ns"]) for row in rows if engine in row["engines"]
        ]
        if points:
            ours = engine == "geotarget"
            label = LABELS[engine].replace("`", "")
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                label=label,
                linewidth=2.8 if ours else 1.4,
                marker="o",
                markersize=6 if ours else 4,
                zorder=3 if ours else 2,
            )
    axes.set(xscale="log", yscale="log", xlabel=axis, ylabel="CPU ns a ping, one core")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


# -- tables -------------------------------------------------------------------------------------


def _settings(parts: Results) -> str:
    """Say on what it was measured; parts of several runs are told apart."""
    groups: dict[str, list[str]] = {}
    for name, part in parts.items():
        versions = ", ".join(f"{package} {number}" for package, number in part["versions"].items())
        line = f"{part['machine']}; {part['system']}; {versions}; {part['measured']}"
        groups.setdefault(line, []).append(name)
    if len(groups) == 1:
        lines = [f"Measured on {next(iter(groups))}."]
    else:
        lines = [f"{', '.join(names)}: measured on {line}.  " for line, names in groups.items()]
    loads = [part["load_before"] for part in parts.values()]
    seeds = {part["seed"] for part in parts.values()}
    rounds = {part["rounds"] for part in parts.values()}
    return "\n".join(
        [
            *lines,
            "",
            f"Seed {_listed(seeds)}; medians of {_listed(rounds)} rounds in turn.",
            f"Load of the machine before the parts began: {min(loads):g} to {max(loads):g}.",
        ]
    )


def _goals(goals: list[Results]) -> str:
    rows = [
        (
            each["goal"],
            each["bound"],
            f"{_digits(each['measured'])} {each['unit']}".strip(),
            "met" if each["met"] else "**not met**",
        )
        for each in goals
    ]
    return "### Goals\n" + _table(("goal", "bound", "measured", "verdict"), rows)


def _over_zones(part: Results) -> str:
    title = "### Over zones\nCPU ns a ping; stars of 30 vertices, 100-500 m, in 60 x 60 km.\n"
    head = ("zones", "hits a ping")
    table = _engines(
        part["rows"], head, lambda row: (_digits(row["zones"]), _digits(row["hits_per_ping"]))
    )
    names = [name for name in LABELS if name in part["rows"][0]["engines"]]
    lines = [
        (
            _digits(row["zones"]),
            *(
                _digits(row["engines"][name]["without_collector"]["ns"])
                if name in row["engines"]
                else "-"
                for name in names
            ),
            f"{times(row, PEERS_OF_THE_GOAL, collector=False):.1f}",
            f"{times(row, collector=False):.1f}",
        )
        for row in part["rows"]
    ]
    ends = ("times the best peer", "tree of pings too")
    lean = _table(("zones", *(LABELS[name] for name in names), *ends), lines)
    return f"{title}{table}\n\nThe same with Python's collector of garbage turned off:\n{lean}"


def _over_vertices(part: Results) -> str:
    title = (
        f"### Over vertices\nCPU ns a ping; {part['zones']:,} islands, the same ones in each row, "
        "drawn in finer detail.\n"
    )
    return title + _engines(part["rows"], ("vertices",), lambda row: (_digits(row["vertices"]),))


def _over_batches(part: Results) -> str:
    rows = part["rows"]
    names = [name for name in LABELS if name in rows[0]["engines"]]
    head = ("batch", "geotarget, µs a call", *(LABELS[name] for name in names))
    lines = [
        (
            _digits(row["batch"]),
            _digits(row["engines"]["geotarget"]["call_us"]),
            *(_digits(row["engines"][name]["ns"]) for name in names),
        )
        for row in rows
    ]
    title = f"### Over batch sizes\nCPU ns a ping; {part['zones']:,} zones.\n"
    return title + _table(head, lines)


def _growth(part: Results) -> str:
    rows = [
        tuple(_digits(row[name]) for name in ("zones", "hits_per_ping", "ns"))
        for row in part["rows"]
    ]
    title = "### Growth at the same hits\nThe box shrinks with the zones, so density stays.\n"
    table = _table(("zones", "hits a ping", "CPU ns a ping"), rows)
    return f"{title}{table}\n\nGrowth: {_digits(part['times'])} times."


def _over_threads(part: Results) -> str:
    rows = [
        tuple(_digits(row[name]) for name in ("threads", "wall_ns", "ns")) for row in part["rows"]
    ]
    title = (
        f"### Threads\n{part['zones']:,} zones, batches of {part['rows'][0]['pings']:,} pings. "
        f"Two threads: {_digits(part['times'])} times as fast.\n"
    )
    return title + _table(("threads", "wall ns a ping", "CPU ns a ping"), rows)


def _time_zones(part: Results) -> str:
    names = [name for name in LABELS if name in part["rows"][0]["engines"]]
    head = ("pings", *(LABELS[name] for name in names), "our wrong pairs", "names that agree")
    rows = []
    for row in part["rows"]:
        engines = row["engines"]
        agree = ", ".join(
            f"{name} {engine['agrees']:.2%}"
            for name, engine in engines.items()
            if "agrees" in engine
        )
        wrong = f"{engines['geotarget']['wrong_pairs']} of {row['checked_pings']:,} pings"
        rows.append((row["pings"], *(_digits(engines[name]["ns"]) for name in names), wrong, agree))
    releases = "; ".join(f"{name} {release}" for name, release in part["releases"].items())
    return (
        f"### Time zones of the world\nCPU ns a ping; {part['zones']} zones, "
        f"{part['vertices']:,} vertices, {part['bytes'] / 1e6:,.0f} MB as an index. {releases}.\n"
        + _table(head, rows)
    )


def _builds(part: Results) -> str:
    rows = [
        (
            _digits(row["zones"]),
            f"{row['from_zones']['cpu_s']:.3g}",
            f"{row['from_geopandas']['cpu_s']:.3g}",
            _digits(row["bytes_a_zone"]),
        )
        for row in part["rows"]
    ]
    head = ("zones", "from zones, CPU s", "from GeoDataFrame, CPU s", "bytes a zone")
    return "### Building\nStars of 30 vertices.\n" + _table(head, rows)


def _lifecycle(parts: Results) -> list[str]:
    """Return the table of what happens around queries."""
    rows: list[tuple[str, ...]] = []
    if "edit" in parts:
        edit = parts["edit"]
        what = f"one edit among {edit['zones']:,} zones, visible to readers"
        rows.append((what, f"{edit['cpu_ms']:.3g} ms", f"{edit['wall_ms']:.3g} ms"))
        what = f"the slowest of {edit['edits']} edits in a row"
        rows.append((what, f"{edit['worst_cpu_ms']:.3g} ms", f"{edit['worst_wall_ms']:.3g} ms"))
    if "saved" in parts:
        saved = parts["saved"]
        rows += [
            (
                f"{what} {saved['zones']:,} zones ({saved['file_bytes'] / 1e6:,.0f} MB)",
                *_spent(each),
            )
            for what, each in (("save", saved["save"]), ("load", saved["load"]))
        ]
        first = saved["first_batch"]
        rows.append((f"first batch after it ({first['pings']:,} pings)", *_spent(first)))
    if "start" in parts:
        start = parts["start"]
        rows += [
            ("process to first answer, kernels not compiled", *_spent(start["cold"])),
            ("process to first answer, kernels compiled", *_spent(start["warm"])),
        ]
    return ["### Around the queries\n" + _table(("what", "CPU", "wall"), rows)] if rows else []


def _engines(rows: list[Results], head: tuple[str, ...], first: Any) -> str:
    """Return a table of all engines and of how many times as fast ours is."""
    names = [name for name in LABELS if any(name in row["engines"] for row in rows)]
    head = (
        *head,
        *(LABELS[name] for name in names),
        "times the best peer",
        "tree of pings too",
        "wrong pairs",
    )
    lines = []
    for row in rows:
        engines = row["engines"]
        lines.append(
            (
                *first(row),
                *(_digits(engines[name]["ns"]) if name in engines else "-" for name in names),
                f"{times(row, PEERS_OF_THE_GOAL):.1f}",
                f"{times(row):.1f}",
                str(engines["geotarget"]["wrong_pairs"]),
            )
        )
    return _table(head, lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a blank line and a Markdown table, the first column as text, others as numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spent(taken: Results) -> tuple[str, str]:
    return f"{taken['cpu_s']:.3g} s", f"{taken['wall_s']:.3g} s"


def _digits(value: float) -> str:
    """Return a number with three digits, whole ones from 100 on, thousands set apart."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _listed(values: Iterable[object]) -> str:
    return " or ".join(map(str, sorted(values, key=str)))


def main() -> None:
    """Renew page and pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", action="store_true", help="leave the pictures as they are")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    results = json.loads(arguments.results.read_text())
    arguments.page.write_text(written(arguments.page.read_text(), results))
    if not arguments.tables:
        for path in draw(results, arguments.page.parent):
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
