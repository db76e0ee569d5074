"""The figures as Markdown: the part of `geotarget/docs/entries.md` between two markers.

A test holds the page to the results, so that no figure is typed by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.entries.measuring import Results
from benchmarks.entries.scenes import SCENES
from benchmarks.pages import renewed

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results" / "entries.json"
PAGE = REPOSITORY / "geotarget" / "docs" / "entries.md"
BEGIN = "<!-- figures: begin (made by python -m benchmarks.entries) -->"
END = "<!-- figures: end -->"

_HEAD = (
    "rule",
    "precision",
    "gross precision",
    "recall",
    "clear recall",
    "false exits a day at rest",
    "delay, fixes: enter / exit",
    "delay, s",
    "time error, s",
    "events",
)
_TITLES = {
    "honest": "All honest scenes together",
    "jumps": "The same with 1 % jumps",
}


def written(page: str, results: Results) -> str:
    """Return a page with the part between its markers renewed."""
    return renewed(page, BEGIN, END, figures(results))


def picture(name: str) -> str:
    """Return the file name of a scene's picture."""
    return f"entries-{name}.svg"


def figures(results: Results) -> str:
    """Return setting, goals and tables as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    seeds = ", ".join(map(str, results["seeds"]))
    measured = (
        f"Measured on {results['machine']}; {results['system']}; {versions}; "
        f"{results['measured']}.  \nSeeds {seeds}; counts of all seeds are added up. In brackets: "
        "the lowest and the highest share of a seed."
    )
    blocks = [
        measured,
        _goals(results["goals"]),
    ]
    for name, whole in results["totals"].items():
        scenes = ", ".join(SCENES[each].title for each in whole["scenes"])
        blocks.append(f"### {_TITLES[name]}\n{scenes}.\n{_rules(whole['rules'])}")
    for name, scene in results["scenes"].items():
        size = (
            f"{scene['subjects']:,} phones, {scene['zones']:,} zones, {scene['fixes']:,} fixes; "
            f"{scene['rules']['standard']['visible']:,} true transitions to find, "
            f"{scene['rules']['standard']['clear']:,} of them clear."
        )
        shown = f"\n\n![{scene['title']}]({picture(name)})"
        blocks.append(f"### {scene['title']}\n{size}{shown}\n{_rules(scene['rules'])}")
    blocks += [
        f"### {SCENES[name].title}\nNot measured: {reason}."
        for name, reason in results["skipped"].items()
    ]
    return "\n\n".join(blocks)


def _goals(goals: Sequence[Results]) -> str:
    rows = [
        (
            each["goal"],
            f"{'≤' if each['most'] else '≥'} {each['bound']:g}",
            f"{each['measured']:g}",
            "met" if each["met"] else "**not met**",
        )
        for each in goals
    ]
    head = ("goal, policy `standard`", "bound", "measured", "verdict")
    return "### Goals\n" + _table(head, rows)


def _rules(rules: Mapping[str, Results]) -> str:
    return _table(_HEAD, [_row(rule, each) for rule, each in rules.items()])


def _row(rule: str, each: Results) -> tuple[str, ...]:
    seeds = each.get("by_seed", {})
    shares = ("precision", "gross_precision", "recall", "clear_recall")
    return (
        rule,
        *(_percent(each[name], seeds.get(name, ())) for name in shares),
        _number(each["false_exits_a_day"]),
        f"{_number(each['enter_delay_fixes'])} / {_number(each['exit_delay_fixes'])}",
        _number(each["delay_s"]),
        _number(each["time_error_s"]),
        f"{each['emitted']:,}",
    )


def _percent(share: float | None, seeds: Sequence[float]) -> str:
    if share is None:
        return "-"
    spread = f" ({100 * min(seeds):.1f}-{100 * max(seeds):.1f})" if seeds else ""
    return f"{100 * share:.1f}{spread}"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a blank line and a Markdown table, the first column as text, others as numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)
