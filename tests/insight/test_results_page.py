"""The page on results says what was measured, and its sentences are those of the code."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.uplift_page import PAGE, RESULTS, written
from geotarget.insight.lift import Group, compare
from geotarget.insight.sentences import lift_sentence

FOUND = json.loads(RESULTS.read_text())


def test_the_page_shows_the_results() -> None:
    """Tables are what `benchmarks/uplift.py` makes of the results; nobody types figures."""
    page = PAGE.read_text()
    assert written(page, FOUND) == page


def test_a_page_without_markers_is_refused() -> None:
    """Tables are never written to a place that was not meant for them."""
    with pytest.raises(SystemExit, match="no markers"):
        written("# Results\n", FOUND)


def test_what_was_promised_was_measured() -> None:
    """Claims of campaigns that change nothing are within 4 and 6 %, intervals hold the truth."""
    assert all(each["campaigns"] >= 2_000 for each in FOUND["idle"])
    assert all(0.04 <= each["claimed"] <= 0.06 for each in FOUND["idle"])
    assert (FOUND["end_to_end"]["seeds"], FOUND["end_to_end"]["covered"] >= 93) == (100, True)
    assert FOUND["end_to_end"]["covered"] == sum(
        row["covers"] for row in FOUND["end_to_end"]["rows"]
    )
    assert all(each["relative"] >= 0.945 for each in FOUND["coverage"])
    assert all(each["p_value"] > 0.001 for each in FOUND["balance"])
    assert FOUND["reading"]["transitions"] >= 100_000
    assert FOUND["reading"]["zone_s"] < 1


@pytest.mark.parametrize(
    ("treated", "held_out"),
    [
        (Group(9_000, 540), Group(1_000, 40)),
        (Group(90_000, 4_500), Group(10_000, 505)),
        (Group(900, 37), Group(100, 4)),
    ],
)
def test_sentences_on_the_page_are_said(treated: Group, held_out: Group) -> None:
    """Each verdict's example is what the code says of real counts."""
    found = compare(treated, held_out)
    assert found is not None
    row = next(line for line in PAGE.read_text().splitlines() if lift_sentence(found) in line)
    assert found.verdict.value in re.findall(r"`(\w+)`", row)
