"""The pages on durability and sizing show what was measured, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import join, prices, workers


@pytest.mark.parametrize("page", prices.pages(), ids=lambda page: page.name)
def test_pages_hold_the_figures(page: Path) -> None:
    """Tables are what `benchmarks/prices.py` makes of the results; nobody types figures."""
    text = page.read_text()
    assert text == prices.written(text, prices.pages()[page])


def test_the_tables_of_workers_are_those_of_their_results() -> None:
    """`benchmarks/workers.py` writes them; nobody types these figures either."""
    text = workers.PAGE.read_text()
    assert text == workers.written(text, json.loads(workers.RESULTS.read_text()))


def test_the_table_of_joins_is_that_of_its_results() -> None:
    """`benchmarks/join.py` writes it."""
    text = join.PAGE.read_text()
    assert text == join.written(text, json.loads(join.RESULTS.read_text()))


def test_what_was_measured_is_whole() -> None:
    """Three runs of every choice, by all three stores that keep what was acknowledged."""
    found = prices.results("durability")
    for rows in [*found["database"].values(), *found["embedded"].values(), found["mosquitto"]]:
        assert len(rows) == 2
        for row in rows.values():
            assert len(row["runs_per_s"]) == 3
            assert min(row["runs_per_s"]) <= row["per_s"] <= max(row["runs_per_s"])


def test_a_page_without_markers_is_refused() -> None:
    """Figures go nowhere else."""
    with pytest.raises(SystemExit, match="no markers"):
        prices.written("# A page\n", "figures")
