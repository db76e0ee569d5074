"""Run rows, print a line each, write results and page."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults import page
from benchmarks.faults.row import Broken, Result, Row, Run, Skipped
from benchmarks.faults.table import ROWS

QUICK_LIMIT_S = 90.0
_CHILD_SUBREAPER = 36


def main() -> None:
    """Run what was asked for; status 1 when an invariant broke."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=sys.modules["benchmarks.faults"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--out", type=Path, help="where the results go, and not to the page")
    parser.add_argument("--report", action="store_true", help="only renew the page")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.rows) - set(ROWS))
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if chosen.one:
        (name,) = chosen.rows
        found = attempt(ROWS[name], Run(name, chosen.one, quick=chosen.quick))
        (chosen.one / "result.json").write_text(json.dumps([asdict(each) for each in found]))
        return
    broken = False
    if not chosen.report:
        results = measure([ROWS[name] for name in chosen.rows or ROWS], quick=chosen.quick)
        broken = any(each["problems"] for each in results["rows"])
        out = chosen.out or (None if chosen.quick else page.RESULTS)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            if chosen.rows and chosen.out is None:
                results = merged(results)
            out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if chosen.report or not (chosen.quick or chosen.out):
        results = json.loads(page.RESULTS.read_text())
        page.PAGE.write_text(page.written(page.PAGE.read_text(), results))
    if broken:
        sys.exit(1)


def merged(results: dict[str, Any]) -> dict[str, Any]:
    """Return the last results with those of the rows that were measured anew."""
    if not page.RESULTS.exists():
        return results
    old = json.loads(page.RESULTS.read_text())["rows"]
    new = {each["name"] for each in results["rows"]}
    rows = [each for each in old if each["name"] not in new and each["name"] in ROWS]
    order = list(ROWS)
    rows = sorted([*rows, *results["rows"]], key=lambda each: order.index(each["name"]))
    return {**results, "rows": rows}


def measure(rows: list[Row], *, quick: bool) -> dict[str, Any]:
    """Run rows one after the other, each in a process of its own."""
    from geotarget import __version__

    if sys.platform == "linux":  # orphans of a row become ours, so that we can end them
        ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)
    done = []
    for row in rows:
        began = time.monotonic()
        for result in apart(row, quick=quick):
            done.append({**asdict(result), "name": row.name, "what": result.what or row.what})
            say(result)
        print(f"    {row.name}: {time.monotonic() - began:.0f} s", flush=True)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "version": __version__,
        "measured": dt.datetime.now(dt.UTC).date().isoformat(),
        "quick": quick,
        "rows": done,
    }


def apart(row: Row, *, quick: bool) -> list[Result]:
    """Run a row in a process of its own; whatever it leaves behind is ended."""
    limit_s = min(row.limit_s, QUICK_LIMIT_S) if quick else row.limit_s
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "benchmarks.faults", row.name, "--one", folder]
        process = subprocess.Popen([*command, "--quick"] if quick else command, cwd=page.REPOSITORY)
        trouble = ""
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            trouble = f"it was not over within {limit_s:g} s"
        finally:
            end_children()
            unmount(Path(folder))
        file = Path(folder) / "result.json"
        if trouble or not file.exists():
            trouble = trouble or f"it ended with {process.wait()} and no result"
            return [Result(row.name, "broken off", 0, 0, 0, problems=(trouble,))]
        found = json.loads(file.read_text())
        return [Result(**{**each, "problems": tuple(each["problems"])}) for each in found]


def end_children() -> None:
    """End every process below this one."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=10)


def unmount(folder: Path) -> None:
    """Unmount what a row mounted in its folder and left."""
    mounts = Path("/proc/mounts")
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        where = line.split()[1]
        if where.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", where], check=False)


def attempt(row: Row, run: Run) -> Sequence[Result]:
    """Run a row; what it can't do becomes its result."""
    try:
        found = row.run(run)
    except Skipped as reason:
        return [Result(row.name, "not run", 0, 0, 0, skipped=str(reason))]
    except Broken as reason:
        log = run.folder / "node" / "up.log"
        tail = log.read_text(errors="replace")[-4_000:] if log.exists() else ""
        print(f"--- {row.name}: {reason}\n{tail}", file=sys.stderr, flush=True)
        return [Result(row.name, "broken off", 0, 0, 0, problems=(str(reason)[:500],))]
    return [found] if isinstance(found, Result) else found


def say(result: Result) -> None:
    """Print a row as it comes."""
    recovery = "-" if result.recovery_s is None else f"{result.recovery_s:.1f} s"
    print(
        f"{result.row}: {result.skipped or result.size}; owed {result.owed:,}, "
        f"lost {result.lost:,}, duplicates {result.duplicates:,}, recovery {recovery}"
        f"{'; ' if result.note else ''}{result.note}",
        flush=True,
    )
    for each in result.problems:
        print(f"    PROBLEM: {each}", flush=True)


if __name__ == "__main__":
    main()
