"""The figures of `benchmarks/uplift.py` as they stand in `geotarget/docs/results.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.pages import renewed

RESULTS = Path(__file__).parent / "results" / "uplift.json"
PAGE = Path(__file__).resolve().parents[1] / "geotarget" / "docs" / "results.md"
BEGIN = "<!-- figures: begin (made by benchmarks/uplift.py) -->"
END = "<!-- figures: end -->"

Results = dict[str, Any]


def written(page: str, results: Results) -> str:
    """Return a page with the tables between its markers renewed."""
    return renewed(page, BEGIN, END, figures(results))


def figures(results: Results) -> str:
    """Return all tables."""
    parts = [_balance, _idle, _daily, _coverage, _end_to_end, _reading]
    return "\n\n".join(part(results) for part in parts)


def _balance(results: Results) -> str:
    rows = [
        [
            each["salt"],
            f"{each['people']:,}",
            f"{each['held out']:,}",
            f"{each['a']:,}",
            f"{each['b']:,}",
            f"{each['p_value']:.2f}",
        ]
        for each in results["balance"]
    ]
    return (
        "Shares that the hash gives: a tenth held out, the rest 1 to 2 between two variants.\n\n"
        + _table(["salt", "people", "held out", "a", "b", "p (chi-square)"], rows)
    )


def _idle(results: Results) -> str:
    rows = []
    for each in results["idle"]:
        low, high = (_percent(bound, 1) for bound in each["claimed_interval"])
        rows.append(
            [
                _percent(each["rate"]),
                _percent(each["holdout"]),
                f"{each['expected_held_out_conversions']:g}",
                f"{_percent(each['claimed'], 1)} ({low} to {high})",
            ]
        )
    first = results["idle"][0]
    return (
        f"Campaigns that change nothing, {first['campaigns']:,} for each row, {first['people']:,} "
        "people each: how often the report claims a gain or a loss. It should be 5 %.\n\n"
        + _table(["rate", "held out", "conversions held out, mean", "claims (95 %)"], rows)
    )


def _daily(results: Results) -> str:
    found = results["daily"]
    return (
        f"Looked at once, at the end of {found['days']} days, "
        f"{_percent(found['claimed_on_the_last_day'], 1)} of {found['campaigns']:,} campaigns that "
        "change nothing show a gain or a loss; looked at every day, "
        f"{_percent(found['claimed_on_any_day'], 0)} show one on some day."
    )


def _coverage(results: Results) -> str:
    rows = [
        [
            f"{each['people']:,}",
            _percent(each["rate"]),
            _percent(each["uplift"]),
            _percent(each["holdout"]),
            _percent(each["relative"], 1),
            _percent(each["difference"], 1),
        ]
        for each in results["coverage"]
    ]
    return (
        f"How often the intervals hold the truth, {results['coverage'][0]['campaigns']:,} "
        "campaigns for each row. It should be 95 %.\n\n"
        + _table(["people", "rate", "uplift", "held out", "relative", "difference"], rows)
    )


def _end_to_end(results: Results) -> str:
    found = results["end_to_end"]
    verdicts = ", ".join(f"{count} {name}" for name, count in found["verdicts"].items() if count)
    return (
        f"End to end, {found['seeds']} seeds of {found['people']:,} people, "
        f"{_percent(found['rate'])} of whom convert by themselves, "
        f"{_percent(found['uplift'])} more with the offer, "
        f"{_percent(found['holdout'])} held out: the relative interval holds the true uplift in "
        f"**{found['covered']} of {found['seeds']}**, that of the difference in "
        f"{found['difference_covered']}; the mean of the reported lifts is "
        f"{_percent(found['mean_lift'], 1)}. Verdicts: {verdicts}."
    )


def _reading(results: Results) -> str:
    found = results["reading"]
    return (
        f"A report of a zone with {found['transitions']:,} transitions takes "
        f"{found['zone_s']:.2f} s of CPU; one of a campaign with {found['people']:,} people and "
        f"{found['conversions']:,} conversions {found['campaign_s']:.2f} s (two cores, shared)."
    )


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(written(PAGE.read_text(), json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
