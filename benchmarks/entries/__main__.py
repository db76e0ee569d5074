"""Measure, write results, page and pictures, print the verdicts."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks.entries import measuring, page
from benchmarks.entries.scenes import SCENES


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.entries",
        description=sys.modules["benchmarks.entries"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smoke", action="store_true", help="short run, writes nothing")
    parser.add_argument("--only", help=f"some of {','.join(SCENES)}; prints, writes nothing")
    parser.add_argument("--seeds", help="seeds instead of the usual ones, as 1,2,3")
    parser.add_argument("--out", type=Path, help="JSON to write instead of the usual one")
    parser.add_argument("--report", action="store_true", help="page and pictures of the last run")
    arguments = parser.parse_args()
    if arguments.report:
        report(json.loads(page.RESULTS.read_text()))
        return
    names = arguments.only.split(",") if arguments.only else list(SCENES)
    unknown = sorted(set(names) - set(SCENES))
    if unknown:
        parser.error(f"no scene {', '.join(unknown)}; there are {', '.join(SCENES)}")
    seeds = [int(each) for each in arguments.seeds.split(",")] if arguments.seeds else None
    started = time.perf_counter()
    results = measuring.measure(
        measuring.best_first(names),
        seeds or (measuring.SEEDS[:1] if arguments.smoke else measuring.SEEDS),
        scale=0.2 if arguments.smoke else 1.0,
        say=lambda name: print(f"{name} ...", file=sys.stderr, flush=True),
    )
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    if arguments.smoke or arguments.only:
        print(page.figures(results))
        if arguments.out:
            save(results, arguments.out)
        return
    save(results, arguments.out or page.RESULTS)
    if arguments.out is None:
        report(results)
    for each in results["goals"]:
        word = "met" if each["met"] else "not met"
        bound = f"{'<=' if each['most'] else '>='} {each['bound']:g}"
        print(f"{each['goal']}: {each['measured']:g} ({bound}: {word})")


def save(results: measuring.Results, path: Path) -> None:
    """Write results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def report(results: measuring.Results) -> None:
    """Renew page and pictures."""
    from benchmarks.entries.pictures import draw

    page.PAGE.write_text(page.written(page.PAGE.read_text(), results))
    for path in draw(list(results["scenes"]), results["seeds"][0], page.PAGE.parent):
        print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
