"""Facts of zones in columns: the same whether zones were built, edited or mapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from geotarget.engine.facts import ALWAYS, POLICIES
from geotarget.engine.zone_index import ZoneIndex
from geotarget.engine.zone_table import ZoneTable
from geotarget.model import EntryPolicy, Zone


def zones() -> list[Zone]:
    """Return zones of which no two say the same."""
    return [
        Zone(
            id=f"z{number}",
            key=number + 1,
            revision=number % 3 + 1,
            geometry=shapely.box(number, 0, number + 1, 1 + number % 2),
            priority=number % 4 - 1,
            entry=POLICIES[number % len(POLICIES)],
            pending_enters=number % 5 == 0,
            exit_buffer_m=None if number % 2 else float(number),
            starts_ms=None if number % 3 else -number,
            ends_ms=None if number % 4 else 10**12 + number,
            tags=(("a",), ("b", "a"), ())[number % 3],
        )
        for number in range(23)
    ]


def states(tmp_path: Path) -> list[ZoneIndex]:
    """Return an index, the same mapped, and both after edits."""
    built = ZoneIndex.build(zones())
    built.save(tmp_path / "x.zones")
    mapped = ZoneIndex.load(tmp_path / "x.zones")
    changed = [replace(zones()[number], tags=("c", "a"), priority=9) for number in (3, 11)]
    new = Zone(id="new", key=99, revision=7, geometry=shapely.Point(5, 50), radius_m=90.0)
    edited = [
        each.with_changes(put=[*changed, new]).with_changes(remove=["z0", "z7"])
        for each in (built, mapped)
    ]
    return [built, mapped, *edited]


def test_facts_are_what_the_zones_say(tmp_path: Path) -> None:
    """By position; what a zone leaves open has its value in the columns."""
    for index in states(tmp_path):
        facts = index.facts
        for at, zone in enumerate(index.zones):
            told = facts.records[at]
            assert (told["priority"], told["revision"]) == (zone.priority, zone.revision)
            assert POLICIES[told["policy"]] is zone.entry
            assert bool(told["pending_enters"]) is zone.pending_enters
            assert np.isnan(told["exit_buffer_m"]) == (zone.exit_buffer_m is None)
            assert zone.exit_buffer_m in (None, told["exit_buffer_m"])
            assert told["starts_ms"] == (ALWAYS.min if zone.starts_ms is None else zone.starts_ms)
            assert told["ends_ms"] == (ALWAYS.max if zone.ends_ms is None else zone.ends_ms)
            assert facts.tags(at) == zone.tags
        for tag in ("a", "b", "c", "nobody's"):
            expected = [at for at, zone in enumerate(index.zones) if tag in zone.tags]
            assert facts.tagged(tag).tolist() == expected


def test_no_zone_of_a_mapped_index_is_made(tmp_path: Path) -> None:
    """Neither for its facts nor for the table of the rules, nor to look for one."""
    ZoneIndex.build([replace(each, entry=EntryPolicy.RAW) for each in zones()]).save(
        tmp_path / "x.zones"
    )
    index = ZoneIndex.load(tmp_path / "x.zones")
    ZoneTable.compile(index, lambda _: (60,))
    assert (index.find("z3"), index.find("none"), "z3" in index) == (3, None, True)
    edited = index.with_changes(put=[replace(zones()[3], name="x")])
    ZoneTable.compile(edited)
    assert " 0 made" in repr(index._layers[0].zones)


@pytest.mark.parametrize("radius_m", [50.0, None])
def test_zones_rank_by_priority_area_and_id(radius_m: float | None) -> None:
    """Also where many are alike in the first two."""
    rng = np.random.default_rng(4)
    made = [
        Zone(
            id=f"z{rng.integers(10**9)}",
            geometry=shapely.Point(number, 10)
            if radius_m
            else shapely.box(number, 0, number + 1, 1),
            radius_m=radius_m,
            priority=int(rng.integers(3)),
        )
        for number in range(40)
    ]
    index = ZoneIndex.build(made)
    order = sorted(
        range(len(made)), key=lambda at: (-made[at].priority, index.area_m2[at], made[at].id)
    )
    assert order == np.argsort(ZoneTable.compile(index).rank).tolist()


def test_thresholds_are_those_of_the_zones_that_may_have_some() -> None:
    """Whether all are asked or only those that are named."""
    index = ZoneIndex.build(zones())
    wanted = {"z3": (60, 300), "z4": (), "z20": (30,), "gone": (5,)}
    tables = [
        ZoneTable.compile(index, lambda id_: wanted.get(id_, ()), timed=timed)
        for timed in (None, set(wanted), ["z20", "z3"])
    ]
    for table in tables:
        found = {
            id_: tuple(table.thresholds[zone["first"] : zone["last"]].tolist())
            for id_, zone in zip(table.ids, table.zones, strict=True)
        }
        assert {id_: each for id_, each in found.items() if each} == {"z3": (60, 300), "z20": (30,)}
