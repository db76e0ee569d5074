"""The table in `geotarget/docs/faults.md`, between two markers; a test holds it to the results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages import renewed

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results" / "faults.json"
PAGE = REPOSITORY / "geotarget" / "docs" / "faults.md"
BEGIN = "<!-- table: begin (made by python -m benchmarks.faults) -->"
END = "<!-- table: end -->"


def written(page: str, results: Mapping[str, Any]) -> str:
    """Return a page with the part between its markers renewed."""
    return renewed(page, BEGIN, END, table(results))


def table(results: Mapping[str, Any]) -> str:
    """Return setting and rows as Markdown."""
    head = (
        f"Measured on {results['machine']}; {results['system']}; geotarget "
        f"{results['version']}; {results['measured']}."
    )
    columns = ("fault", "run", "owed", "lost", "duplicates", "recovery, s", "also")
    lines = [head, "", _line(columns), _line(("---", "---", "---:", "---:", "---:", "---:", "---"))]
    lines += [_line(_cells(each)) for each in results["rows"]]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> Iterable[str]:
    what = f"**{row['row']}**: {row['what']}"
    if row["skipped"]:
        return what, f"not run: {row['skipped']}", "", "", "", "", ""
    recovery = "" if row["recovery_s"] is None else f"{row['recovery_s']:.1f}"
    broken = "; ".join(f"**{each}**" for each in row["problems"])
    also = "; ".join(each for each in (row["note"], broken) if each)
    return (
        what, row["size"], f"{row['owed']:,}", f"{row['lost']:,}", f"{row['duplicates']:,}",
        recovery, also,
    )  # fmt: skip


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
