"""The fault suite's names are those of the code, and its page is what was measured."""

from __future__ import annotations

import inspect
import json

import pytest

from benchmarks.faults.killing import MEANS
from benchmarks.faults.ledger import CYCLE, OUTSIDE, Event, Post, Walks, check
from benchmarks.faults.page import PAGE, RESULTS, written
from benchmarks.faults.points import POINTS, resolve
from benchmarks.faults.table import ROWS


@pytest.mark.parametrize("name", POINTS)
def test_every_fail_point_is_a_function_of_the_code(name: str) -> None:
    """Whoever renames a function on the ping's path has to move its fail point too."""
    owner, attribute = resolve(POINTS[name].target)
    assert inspect.isfunction(inspect.getattr_static(owner, attribute))


def test_the_page_shows_what_was_measured() -> None:
    """The table is made from the results, and those are of rows that there are; `make faults`."""
    results = json.loads(RESULTS.read_text())
    assert written(PAGE.read_text(), results) == PAGE.read_text()
    assert {each["name"] for each in results["rows"]} == set(ROWS)
    points = {each["row"] for each in results["rows"] if each["name"] == "points"}
    assert points == {f"point {name}" for name in MEANS}
    assert not results["quick"]
    assert not any(each["problems"] for each in results["rows"])


def post(event: Event, name: str = "a", *, status: int = 204, verified: bool = True) -> Post:
    """Make a line of the receiver's file."""
    kinds = {"enter": "transition.enter", "exit": "transition.exit", "offer": "offer.triggered"}
    data = {
        "profile": {"id": event.device},
        "zone": {"id": event.zone},
        "transition": {"time": f"1970-01-01T00:00:{event.ts_ms // 1000:02d}Z"},
    }
    body = json.dumps({"type": kinds[event.kind], "data": data}).encode()
    digest = f"{hash(body)}{name}"
    return Post(0.0, "/ok/shop", f"id-{event}-{name[:1]}", digest, verified, status, body)


def test_walks_owe_an_event_for_every_change_of_side() -> None:
    """One lap is one visit a device; without the fix that shows it, its time is the next one's."""
    walks = Walks("d", 2, 0)
    whole = list(walks.events(range(walks.lap + 2), ("enter", "exit")))
    assert [(each.device, each.kind) for each in whole] == [
        ("d0", "enter"),
        ("d1", "enter"),
        ("d0", "exit"),
        ("d1", "exit"),
    ]
    assert [walks.number(each) for each in whole] == [
        2 * OUTSIDE,
        2 * OUTSIDE + 1,
        2 * CYCLE,
        2 * CYCLE + 1,
    ]
    first = 2 * OUTSIDE
    left = set(range(walks.lap)) - {first}
    assert [walks.number(e) for e in walks.events(left, ("enter",))] == [first + 1, first + 2]


def test_the_checker_finds_what_it_is_for() -> None:
    """Lost, unexpected, doubled, changed, renamed, unsigned: each; a refused post is no arrival."""
    a, b = Event("d1", "z1", "enter", 1_000), Event("d1", "z1", "exit", 2_000)
    assert check([a, b], [post(a), post(b)]).problems == ()
    assert check([a, b], [post(a), post(a), post(b)]).duplicates == 1
    assert check([a, b], [post(a)]).lost == {b}
    assert check([a, b], [post(a), post(b, status=500)]).lost == {b}
    assert check([a], [post(a), post(b)]).unexpected == {b}
    for got in ([post(a), post(a, "a2")], [post(a), post(a, "b")], [post(a, verified=False)]):
        assert len(check([a], got).problems) == 1
