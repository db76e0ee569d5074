"""The benchmarks measure what they say, and the documentation shows what they measured."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import shapely

from benchmarks import decisions, goals, report, rounds, zone_sets
from benchmarks.peers import ENGINES, CellDictionary, Geotarget, TreeOfZones, wrong_pairs

RESULTS = json.loads(report.RESULTS.read_text())
DECISIONS = json.loads(decisions.RESULTS.read_text())


def test_the_page_shows_the_results() -> None:
    """Tables are what `benchmarks/report.py` makes of the results; nobody types figures."""
    page = report.PAGE.read_text()
    assert report.written(page, RESULTS) == page


def test_verdicts_are_those_of_the_figures() -> None:
    """Goals in the results agree with the parts beside them."""
    assert RESULTS["goals"] == goals.verdicts(RESULTS["parts"])


def test_no_pair_was_wrong() -> None:
    """Whoever renews the results commits them only with exact answers."""
    assert goals.wrong_pairs(RESULTS["parts"]) == 0


@pytest.mark.parametrize("name", report.PICTURES)
def test_pictures_are_there_and_small(name: str) -> None:
    """The page shows each picture; none is above 60 kB."""
    assert f"({name})" in report.PAGE.read_text()
    assert (report.PAGE.parent / name).stat().st_size <= 60_000


def test_a_page_without_markers_is_refused() -> None:
    """Tables are never written to a place that was not meant for them."""
    with pytest.raises(SystemExit, match="no markers"):
        report.written("# Benchmarks\n", RESULTS)


def test_a_wrong_pair_is_counted_wherever_it_is() -> None:
    """Pairs that differ from shapely's add up over rows; answers that differ count as one."""
    parts = {
        "zones": {"rows": [{"engines": {"geotarget": {"wrong_pairs": wrong}}} for wrong in (0, 2)]},
        "vertices": {"rows": [{"engines": {"strtree": {"wrong_pairs": 5}}}]},
        "threads": {"rows": [], "same_answers": False},
    }
    assert goals.wrong_pairs(parts) == 3


def test_a_goal_that_was_not_measured_has_no_verdict() -> None:
    """A run of some parts, or a smaller one, says nothing of the others' goals."""
    parts = {"edit": {"zones": 1_000, "wall_ms": 1.0}, "growth": {"few": 1, "many": 2, "times": 1}}
    assert [each["goal"] for each in goals.verdicts(parts)] == ["wrong pairs"]


def test_the_best_of_the_others_is_the_one_that_takes_least() -> None:
    """Ours is not among them; the tree of pings is only where it is asked for."""
    row = {
        "engines": {
            "geotarget": {},
            "strtree": {"times": 9.0, "without_collector": {"times": 4.0}},
            "prepared": {"times": 8.0, "without_collector": {"times": 5.0}},
            "tree_of_pings": {"times": 3.0, "without_collector": {"times": 2.0}},
        }
    }
    assert goals.times(row) == 3.0
    assert goals.times(row, goals.PEERS_OF_THE_GOAL) == 8.0
    assert goals.times(row, goals.PEERS_OF_THE_GOAL, collector=False) == 4.0


def test_zones_are_those_of_the_tables() -> None:
    """Stars are valid, of one seed the same, and 10,000 of them hold 0.53 zones for each ping."""
    stars = zone_sets.stars(10_000)
    assert shapely.is_valid(stars).all()
    assert shapely.equals_identical(stars, zone_sets.stars(10_000)).all()
    assert set(shapely.get_num_coordinates(stars).tolist()) == {31}
    tree = TreeOfZones()
    tree.build(stars)
    hits = tree.query(*zone_sets.pings(20_000)).shape[1] / 20_000
    assert hits == pytest.approx(0.53, abs=0.03)


def test_more_vertices_draw_the_same_islands() -> None:
    """Outlines in finer detail differ from coarse ones by a small share of their area."""
    coarse, fine = (zone_sets.coasts(20, vertices=vertices) for vertices in (100, 1_000))
    assert shapely.is_valid(fine).all()
    assert set(shapely.get_num_coordinates(fine).tolist()) == {1_001}
    apart = shapely.area(shapely.symmetric_difference(coarse, fine)) / shapely.area(fine)
    assert apart.max() < 0.1


def test_pings_beside_outlines_are_a_centimetre_away() -> None:
    """Pings are 1 cm from an edge of their own, on either side."""
    stars = zone_sets.stars(50)
    lng, lat = zone_sets.beside_outlines(stars, 400)
    metres = [1 / zone_sets.DEGREES_PER_M_LNG, 1 / zone_sets.DEGREES_PER_M_LAT]
    outlines = shapely.transform(shapely.boundary(stars), lambda xy: xy * metres)
    pings = shapely.points(np.stack([lng, lat], 1) * metres)
    _, gap = shapely.STRtree(outlines).query_nearest(pings, return_distance=True)
    assert np.median(gap) == pytest.approx(0.01, rel=0.02)
    inside = shapely.STRtree(stars).query(shapely.points(lng, lat), predicate="covered_by")[0]
    assert 100 < len(np.unique(inside)) < 300


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_every_engine_answers_alike(engine: type) -> None:
    """Engines give the pairs that shapely gives, also on vertices and beside outlines."""
    stars = zone_sets.stars(40, side_m=3_000)
    reference, peer = TreeOfZones(), engine()
    for each in (reference, peer):
        each.build(stars)
    for lng, lat in (
        zone_sets.pings(2_000, side_m=3_000),
        zone_sets.on_vertices(stars, 200),
        zone_sets.beside_outlines(stars, 200),
    ):
        expected = reference.query(lng, lat)
        assert expected.shape[1] > 0
        assert wrong_pairs(peer.query(lng, lat), expected, len(stars)) == 0


def test_wrong_pairs_are_missing_ones_strange_ones_and_doubles() -> None:
    """Order does not count; what lacks, what is too much and what comes twice does."""
    expected = np.array([[0, 1, 1], [4, 2, 3]])
    assert wrong_pairs(expected[:, ::-1], expected, 5) == 0
    assert wrong_pairs(expected[:, :2], expected, 5) == 1
    assert wrong_pairs(np.array([[0, 1, 1, 1], [4, 2, 3, 3]]), expected, 5) == 1
    assert wrong_pairs(np.array([[0, 1, 2], [4, 2, 3]]), expected, 5) == 2


def test_each_round_runs_every_engine_and_ratios_stay_in_a_round() -> None:
    """As many figures as rounds, calls in order, ratio of each round before the median."""
    asked: dict[str, list[int]] = {"slow": [], "fast": []}

    def engine(name: str, cpu_s: float) -> rounds.Timed:
        def run(calls: range, *, collector: bool = True) -> tuple[float, float]:
            asked[name] += calls
            return cpu_s, 1.0

        return run

    taken = rounds.interleaved(
        {"slow": engine("slow", 4e-3), "fast": engine("fast", 1e-3)}, rounds=3
    )
    assert asked["slow"] == asked["fast"] == [0, 0, 0, 1, 2]
    slow, fast = (rounds.per_ping(taken[name], 1_000) for name in ("slow", "fast"))
    assert (slow["ns"], fast["ns"], rounds.ratio(slow, fast)) == (4_000.0, 1_000.0, 4.0)


def test_calls_go_through_all_pings_and_begin_again() -> None:
    """Pieces are of one size, in order; the first comes again after the last."""
    lng = np.arange(10.0)
    piece = rounds.slices(lng, -lng, 4)
    assert [piece(number)[0].tolist() for number in range(3)] == [
        [0.0, 1.0, 2.0, 3.0],
        [4.0, 5.0, 6.0, 7.0],
        [0.0, 1.0, 2.0, 3.0],
    ]


def test_tables_name_every_engine() -> None:
    """An engine that is measured is drawn and shown."""
    assert {each.name for each in ENGINES} == set(report.COLOURS) <= set(report.LABELS)
    assert ENGINES[0] is Geotarget
    assert CellDictionary in ENGINES
    assert re.fullmatch(r"[a-z0-9_]+", "".join(report.LABELS))


def test_decisions_meet_their_goal() -> None:
    """A hundred campaigns that listen, most refused by trigger or audience, and fast enough."""
    found = DECISIONS["listening"]
    assert found["per_s"] >= DECISIONS["goal_per_s"] == decisions.GOAL_PER_S
    assert found["campaigns"] == 100
    assert found["shares"]["trigger"] + found["shares"]["audience"] > 0.5
    assert found["shares"]["fired"] > 0


@pytest.mark.parametrize("kind", decisions.FRUITLESS)
def test_campaigns_that_cannot_match_cost_next_to_nothing(kind: str) -> None:
    """Ten thousand of them, where one was before, add less than half to a transition."""
    costs = {row["campaigns"]: row[kind]["us_per_transition"] for row in DECISIONS["fruitless"]}
    assert set(decisions.SWEEP) == costs.keys()
    assert costs[10_000] < 1.5 * costs[1]
    assert decisions.PICTURE.stat().st_size <= 60_000
