"""Tracks that people can read: the engine and the plain reference give what each of them says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from geotarget.engine import Rules
from tests.entry_engine import Engine
from tests.entry_tracks import TRACKS, Item, PlainPlayer, Track, play, read_track, told

WAYS: dict[str, Callable[[Track], Sequence[Item] | None]] = {
    "as written": lambda track: track.items,
    "few batches": Track.in_few_batches,
    "many restarts": Track.with_restarts,
    "no clock": Track.without_the_clock,
}


def in_order(row: dict[str, Any]) -> tuple[float, str, str, float]:
    """Return what puts transitions in order, whenever they were told."""
    return row["decided"], row["kind"], row["zone"], row["at"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", TRACKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("player", [PlainPlayer, Engine], ids=["reference", "engine"])
def test_track(player: type[PlainPlayer | Engine], path: Path, way: str) -> None:
    """Each track gives the transitions that it names, however its pings are batched."""
    track = read_track(path)
    items = WAYS[way](track)
    if items is None:
        return
    for rules in track.rules:
        found = play(items, player(track.zones, rules=rules, thresholds_s=track.thresholds_s))
        expect = list(track.expect)
        if way == "no clock":
            found.sort(key=lambda each: (each.decided_ms, str(each.kind), each.zone, each.ts_ms))
            expect.sort(key=in_order)
        assert expect == told(found, expect)
        if player is Engine:
            assert len({each.id for each in found}) == len(found)


def test_every_track_is_explained() -> None:
    """Each track says why it exists, and uses words that the README knows."""
    assert len({read_track(path).why for path in TRACKS}) == len(TRACKS) > 100
    readme = (TRACKS[0].parent / "README.md").read_text()
    words = {word for path in TRACKS for word in _words(json.loads(path.read_text()))}
    words -= Rules.__dataclass_fields__.keys()
    assert [word for word in sorted(words) if f"`{word}`" not in readme] == []


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _words(each)
