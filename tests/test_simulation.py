"""The simulator of entries says what it claims, and its score counts what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as Folder

import numpy as np
import pytest
import shapely

from benchmarks.entries import measuring, page
from benchmarks.entries.detectors import DETECTORS, Events, Pair, debounced, pings
from benchmarks.entries.paths import Path, bus, drive, rest, travel
from benchmarks.entries.phones import RADIUS_TO_SIGMA, Fixes, Habits, observe
from benchmarks.entries.scenes import HONEST, SCENES, Subject
from benchmarks.entries.scoring import compare, pairing, score, total, truths
from benchmarks.entries.shapes import Plane, Shape, circle, polygon, random_shape
from benchmarks.entries.truth import ENTER, EXIT, truth
from geotarget import ZoneIndex

RESULTS = json.loads(page.RESULTS.read_text())
HELSINKI = Plane(24.94, 60.17)
SQUARE = polygon(np.array([[0.0, -50.0], [100.0, -50.0], [100.0, 50.0], [0.0, 50.0]]))


def straight(seconds: int, *, start: float = -200.5, speed: float = 1.0) -> Path:
    """Return a walk eastwards along the middle of the square."""
    return Path(start + speed * np.arange(float(seconds)), np.zeros(seconds))


def subject(path: Path, zone: Shape, *, interval_s: float = 10.0, error_m: float = 0.0) -> Subject:
    """Return a phone that reports every so many seconds, off by so much to the east."""
    t = np.arange(0.0, len(path) - 1, interval_s)
    x, y = path.at(t)
    fixes = Fixes(
        t=t, arrived=t, x=x + error_m, y=y, radius=np.full(len(t), 5.0),
        true_x=x, true_y=y, jumped=np.zeros(len(t), np.bool_),
    )  # fmt: skip
    return Subject("walker", HELSINKI, path, fixes, (zone,))


# -- the page -----------------------------------------------------------------------------------


def test_the_page_shows_the_results() -> None:
    """The page is what the results give; nobody types figures."""
    shown = page.PAGE.read_text()
    assert page.written(shown, RESULTS) == shown


def test_verdicts_are_those_of_the_figures() -> None:
    """Goals in the results agree with the scenes and totals beside them."""
    assert RESULTS["goals"] == measuring.goals(RESULTS["scenes"], RESULTS["totals"])


def test_every_scene_and_rule_was_measured() -> None:
    """Nothing was left out but with a reason, and all rules saw the same truth."""
    assert set(RESULTS["scenes"]) | set(RESULTS["skipped"]) == set(SCENES)
    for scene in RESULTS["scenes"].values():
        assert list(scene["rules"]) == list(DETECTORS)
        assert len({(each["visible"], each["clear"]) for each in scene["rules"].values()}) == 1


@pytest.mark.parametrize("name", RESULTS["scenes"])
def test_pictures_are_there_and_small(name: str) -> None:
    """The page shows a picture of each scene that was measured; none is above 60 kB."""
    assert f"({page.picture(name)})" in page.PAGE.read_text()
    assert (page.PAGE.parent / page.picture(name)).stat().st_size <= 60_000


def test_a_page_without_markers_is_refused() -> None:
    """Tables are never written to a place that was not meant for them."""
    with pytest.raises(SystemExit, match="no markers"):
        page.written("# Entries\n", RESULTS)


# -- zones --------------------------------------------------------------------------------------


def test_distances_are_those_of_shapely() -> None:
    """Inside and metres to the border agree with shapely's, whatever the zone."""
    chance = np.random.default_rng(5)
    x, y = chance.uniform(-150.0, 150.0, (2, 400))
    for _ in range(30):
        zone = random_shape(10.0, -20.0, 80.0, chance, circles=0.0)
        drawn = shapely.Polygon(zone.outline)
        assert zone.outline.shape[0] in {4, *range(6, 13)}
        apart = shapely.distance(shapely.boundary(drawn), shapely.points(x, y))
        signed = np.where(shapely.contains_xy(drawn, x, y), apart, -apart)
        np.testing.assert_allclose(zone.signed_distance(x, y), signed, atol=1e-9)


def test_the_engine_measures_the_same_distances() -> None:
    """Zones as the engine sees them are those that the truth is told by."""
    chance = np.random.default_rng(6)
    x, y = chance.uniform(-300.0, 300.0, (2, 200))
    lng, lat = HELSINKI.degrees(x, y)
    zones = [circle(10.0, 20.0, 150.0), SQUARE, random_shape(0.0, 0.0, 200.0, chance)]
    features = [zone.feature(str(number), HELSINKI) for number, zone in enumerate(zones)]
    index = ZoneIndex.from_geojson({"type": "FeatureCollection", "features": features})
    for number, zone in enumerate(zones):
        place = [each.id for each in index.zones].index(str(number))
        found = index.signed_distance(lng=lng, lat=lat, zone=np.full(200, place))
        np.testing.assert_allclose(found, zone.signed_distance(x, y), atol=0.3)


def test_planes_there_and_back() -> None:
    """Degrees and metres are inverse to each other."""
    x, y = np.array([-2_000.0, 0.0, 3_000.0]), np.array([5.0, -1_000.0, 0.0])
    np.testing.assert_allclose(HELSINKI.metres(*HELSINKI.degrees(x, y)), [x, y], atol=1e-6)


# -- paths --------------------------------------------------------------------------------------


def test_travel_starts_brakes_and_pauses() -> None:
    """A way of 100 m at 10 m/s and 1 m/s², 7 s of pause in its middle."""
    points = np.array([[0.0, 0.0], [100.0, 0.0]])
    chance = np.random.default_rng(0)
    path = travel(points, [(50.0, 7.0)], chance, speed=(10.0, 10.0), acceleration=1.0)
    half = 2 * math.sqrt(50.0)
    assert len(path) == math.floor(2 * half + 7.0) + 1
    assert (path.x == pytest.approx(50.0)) is False
    assert int(np.isclose(path.x, 50.0, atol=0.05).sum()) in {7, 8}
    assert np.diff(path.x).max() <= math.sqrt(50.0) + 0.01
    assert path.x[-1] == pytest.approx(100.0, abs=1.0)
    assert (np.diff(path.x) >= 0).all()


@pytest.mark.parametrize("make", [drive, bus, lambda chance: rest(chance, 0.5)])
def test_paths_are_seeded_and_possible(make: Callable[[np.random.Generator], Path]) -> None:
    """The same seed gives the same path; nobody is faster than 60 km/h."""
    path = make(np.random.default_rng(3))
    again = make(np.random.default_rng(3))
    assert np.array_equal(path.x, again.x)
    assert np.hypot(np.diff(path.x), np.diff(path.y)).max() <= 16.1


def test_somebody_at_rest_is_seen_at_rest() -> None:
    """Standing is told from walking by the last half minute."""
    path = Path(np.concatenate([np.zeros(60), np.arange(60.0)]), np.zeros(120))
    assert path.resting(np.array([10.0, 59.0, 75.0, 119.0])).tolist() == [True, True, False, False]


# -- phones -------------------------------------------------------------------------------------


def test_honest_radii_hold_68_percent() -> None:
    """Reported radii are what they say, at rest and on the move."""
    chance = np.random.default_rng(1)
    path = Path(np.zeros(20_000), np.zeros(20_000))
    moving = Path(1.4 * np.arange(20_000.0), np.zeros(20_000))
    for each in (path, moving):
        off, radius = [], []
        for _ in range(40):
            fixes = observe(each, Habits(interval_s=(30.0, 60.0)), chance)
            off.append(np.hypot(fixes.x - fixes.true_x, fixes.y - fixes.true_y))
            radius.append(fixes.radius)
        held = np.concatenate(off) <= np.concatenate(radius)
        assert held.mean() == pytest.approx(0.68, abs=0.02)
        assert np.concatenate(radius).min() >= 5.0
        assert np.concatenate(radius).max() <= 30.0


def test_errors_at_rest_drift_over_minutes() -> None:
    """Fixes a minute apart err alike, fixes an hour apart don't."""
    chance = np.random.default_rng(2)
    path = Path(np.zeros(40_000), np.zeros(40_000))
    habits = Habits(interval_s=(10.0, 10.0))
    found = [observe(path, habits, chance) for _ in range(20)]
    errors = [each.x / each.radius * RADIUS_TO_SIGMA for each in found]
    near = np.mean([np.mean(each[6:] * each[:-6]) for each in errors])
    far = np.mean([np.mean(each[360:] * each[:-360]) for each in errors])
    assert near == pytest.approx(0.7 * math.exp(-60 / 300), abs=0.08)
    assert far == pytest.approx(0.0, abs=0.08)


def test_one_percent_jumps() -> None:
    """Jumps are as many and as far as said, and claim to be exact."""
    path = Path(np.zeros(200_000), np.zeros(200_000))
    habits = Habits(interval_s=(10.0, 10.0), jumps=0.01)
    fixes = observe(path, habits, np.random.default_rng(3))
    away = np.hypot(fixes.x, fixes.y)
    assert fixes.jumped.mean() == pytest.approx(0.01, abs=0.002)
    assert 100.0 <= away[fixes.jumped].min() < 150.0
    assert 650.0 < away[fixes.jumped].max() <= 700.0
    assert fixes.radius[fixes.jumped].max() <= 10.0
    assert away[~fixes.jumped].max() < 120.0


def test_delivery_late_and_twice() -> None:
    """What arrives after a newer one, or again, is not in order; nothing else is lost."""
    path = Path(np.zeros(50_000), np.zeros(50_000))
    habits = Habits(interval_s=(10.0, 10.0), late=0.05, doubled=0.05, gaps_h=2.0)
    fixes = observe(path, habits, np.random.default_rng(4))
    assert (np.diff(fixes.arrived) >= 0).all()
    assert (np.diff(np.unique(fixes.t)) > 100.0).sum() > 10
    taken = len(np.unique(fixes.t))
    assert len(fixes) == pytest.approx(1.05 * taken, rel=0.02)
    kept = fixes.in_order()
    assert (np.diff(kept.t) > 0).all()
    assert 0.9 * taken < len(kept) < taken


# -- truth --------------------------------------------------------------------------------------


def test_truth_of_a_straight_walk_through_a_square() -> None:
    """In after 200.5 s at 1 m/s, out 100 s later; a fix every 10 s shows it at 210 s and 310 s."""
    walker = subject(straight(600), SQUARE)
    true = truth(walker, SQUARE)
    assert true.kind.tolist() == [ENTER, EXIT]
    assert true.t == pytest.approx([200.5, 300.5])
    assert true.seen_t.tolist() == [210.0, 310.0]
    assert true.seen.tolist() == [21, 31]
    assert true.visible.all()
    assert true.clear.all()
    assert true.depth[[20, 21, 31]] == pytest.approx([-0.5, 9.5, -9.5])


def test_what_no_fix_shows_is_not_asked_for() -> None:
    """A crossing between two fixes is true, but nobody could have found it."""
    walker = straight(3_000)
    assert truth(subject(walker, SQUARE, interval_s=190.0), SQUARE).visible.tolist() == [False] * 2
    assert truth(subject(walker, SQUARE, interval_s=160.0), SQUARE).visible.tolist() == [False] * 2
    assert truth(subject(walker, SQUARE, interval_s=205.0), SQUARE).visible.tolist() == [True] * 2


def test_grazes_are_not_asked_for_and_short_stays_are_not_clear() -> None:
    """A step of 3 m over the border is no stay; 30 s are a stay, but not a clear one."""
    graze = Path(3.0 - np.abs(np.arange(-300.0, 300.0)), np.zeros(600))
    assert truth(subject(graze, SQUARE, interval_s=1.0), SQUARE).visible.tolist() == [False, False]
    short = Path(15.0 - np.abs(np.arange(-300.0, 300.0)), np.zeros(600))
    true = truth(subject(short, SQUARE), SQUARE)
    assert true.visible.tolist() == [True, True]
    assert true.clear.tolist() == [False, False]


def test_a_path_that_begins_inside_enters_at_once() -> None:
    """Recordings that begin inside begin with an entry, as the first fix says."""
    true = truth(subject(straight(300, start=50.0), SQUARE), SQUARE)
    assert true.kind.tolist() == [ENTER, EXIT]
    assert true.t.tolist() == [0.0, 50.0]


# -- the score ----------------------------------------------------------------------------------


def perfect(subjects: Sequence[Subject]) -> Mapping[Pair, Events]:
    """Return what somebody who knows the truth would say at the first fix that shows it."""
    return {
        pair: Events(true.kind[true.visible], true.t[true.visible], true.seen_t[true.visible])
        for pair, true in truths(subjects).items()
    }


@pytest.mark.parametrize("name", HONEST)
def test_a_perfect_rule_scores_one_and_a_mute_one_nothing(name: str) -> None:
    """All figures at their ends."""
    subjects = SCENES[name].make(3, scale=0.2)
    true = truths(subjects)
    best = total(subjects, true, perfect(subjects)).figures()
    shares = ("precision", "gross_precision", "recall", "clear_recall", "within_2_fixes")
    assert [best[share] for share in shares] == [1.0] * 5
    assert best["enter_delay_fixes"] == best["exit_delay_fixes"] == best["delay_s"] == 0.0
    assert best["time_error_s"] == 0.0
    assert best["false_exits"] == 0
    mute = total(subjects, true, {pair: Events.of([]) for pair in true}).figures()
    assert mute["recall"] == mute["clear_recall"] == 0.0
    assert mute["precision"] is None
    assert mute["visible"] == best["visible"] > 0


def test_a_delay_is_counted_in_fixes_and_seconds() -> None:
    """Entry one fix late, exit two; what the events say of their time is off by 3 s."""
    walker = subject(straight(600), SQUARE)
    said = Events.of([(ENTER, 203.5, 220.0), (EXIT, 297.5, 330.0)])
    found = score(walker, truth(walker, SQUARE), said)
    assert found.delays == {ENTER: [1], EXIT: [2]}
    assert found.waits == [10.0, 20.0]
    assert found.errors == pytest.approx([3.0, -3.0])


def test_what_comes_too_late_is_wrong_and_missed() -> None:
    """Beyond the tolerance a transition is false, and the true one was not found."""
    walker = subject(straight(600), SQUARE)
    late = score(walker, truth(walker, SQUARE), Events.of([(EXIT, 440.0, 440.0)]))
    assert (late.emitted, late.matched, late.found, late.gross) == (1, 0, 0, 0)
    early = score(walker, truth(walker, SQUARE), Events.of([(EXIT, 250.0, 250.0)]))
    assert (early.matched, early.gross) == (1, 1)


def test_false_exits_at_rest_are_counted_by_the_day() -> None:
    """Somebody who sits inside all day and is said to leave twice."""
    still = Path(np.full(86_400, 30.0), np.zeros(86_400))
    sitter = subject(still, SQUARE, interval_s=60.0)
    said = [(ENTER, 0.0, 0.0), (EXIT, 900.0, 960.0), (ENTER, 1_200.0, 1_200.0), (EXIT, 5e4, 5e4)]
    found = score(sitter, truth(sitter, SQUARE), Events.of(said)).figures()
    assert found["false_exits"] == 2
    assert found["false_exits_a_day"] == pytest.approx(2.0, abs=0.01)


def test_pairs_are_as_many_as_can_be_and_close() -> None:
    """Each at most once, in order, the nearer one where two would do."""
    never = -np.inf
    assert pairing(np.array([[1.0, 0.9, never], [never, 1.0, 0.5]])) == [(1, 1), (0, 0)]
    assert pairing(np.array([[1.0], [1.5]])) == [(1, 0)]
    assert pairing(np.empty((0, 4))) == []
    walker = subject(straight(600), SQUARE)
    said = Events.of([(ENTER, 150.0, 150.0), (EXIT, 160.0, 160.0), (ENTER, 211.0, 211.0)])
    event_of, true_of = compare(truth(walker, SQUARE), said)
    assert event_of.tolist() == [2, -1]
    assert true_of.tolist() == [-1, -1, 0]


# -- rules --------------------------------------------------------------------------------------


def test_a_change_counts_when_enough_fixes_agree() -> None:
    """One fix: every flicker. Two: the first of two that agree gives the time."""
    inside = np.array([False, True, False, True, True, True, False, False])
    t = np.arange(8.0)
    one = debounced(inside, t, 1)
    assert one.kind.tolist() == [ENTER, EXIT, ENTER, EXIT]
    assert one.decided.tolist() == [1.0, 2.0, 3.0, 6.0]
    two = debounced(inside, t, 2)
    assert two.t.tolist() == [3.0, 6.0]
    assert two.decided.tolist() == [4.0, 7.0]


@pytest.mark.parametrize("rule", DETECTORS)
def test_every_rule_finds_a_clear_visit(rule: str) -> None:
    """Fixes without error, 100 s inside: one entry, one exit, and nothing else."""
    walker = subject(straight(600), SQUARE)
    events = DETECTORS[rule]([walker])["walker", 0]
    assert events.kind.tolist() == [ENTER, EXIT]
    found = score(walker, truth(walker, SQUARE), events)
    assert found.matched == found.found == 2


def test_geotarget_gets_the_fixes_that_arrive_in_order() -> None:
    """A late fix decides nothing; it must not travel back in time in a recording either."""
    walker = subject(straight(600), SQUARE)
    order = np.array([0, 2, 1, 3, 3, 4])
    mixed = Subject("walker", HELSINKI, walker.path, walker.fixes.take(order), walker.zones)
    assert (pings([mixed])["ts"] - pings([mixed])["ts"][0]).tolist() == [0.0, 20.0, 30.0, 40.0]


def test_scenes_share_their_paths_and_are_seeded() -> None:
    """Jumps come on top of the same paths; another seed gives others."""
    plain, again = (SCENES["drive"].make(9, scale=0.1) for _ in range(2))
    jumps, other = SCENES["drive-jumps"].make(9, scale=0.1), SCENES["drive"].make(8, scale=0.1)
    for one, two, three in zip(plain, again, jumps, strict=True):
        assert np.array_equal(one.path.x, three.path.x)
        assert np.array_equal(one.fixes.x, two.fixes.x)
        assert one.zones[0].radius == two.zones[0].radius
    assert not np.array_equal(plain[0].path.x[:100], other[0].path.x[:100])


def test_zones_of_the_goals_are_three_radii_large() -> None:
    """No goal rests on a zone that its phone can't resolve."""
    for name in HONEST:
        for each in SCENES[name].make(2, scale=0.1):
            assert min(zone.radius for zone in each.zones) >= 3 * each.fixes.radius.max()


def test_real_tracks_are_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Folder
) -> None:
    """Where the files are not there, the results say so."""
    monkeypatch.setattr("benchmarks.entries.tracks.FOLDER", tmp_path)
    found = measuring.measure(["real"], [1])
    assert found["scenes"] == {}
    assert "austin" in found["skipped"]["real"]


def test_a_small_run_measures_what_was_asked() -> None:
    """One scene, one seed, few subjects: figures for all rules, goals only where they can be."""
    found = measuring.measure(["rest"], [7], scale=0.1)
    assert list(found["scenes"]["rest"]["rules"]) == list(DETECTORS)
    assert found["totals"] == {}
    assert [each["goal"] for each in found["goals"]] == [
        "honest: times fewer false exits at rest than with one fix"
    ]
    assert found["scenes"]["rest"]["rules"]["one fix"]["precision"] < 0.5
