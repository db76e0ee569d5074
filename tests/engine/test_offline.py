"""Transitions in a notebook: any table in, the live rules, clear errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import geotarget as gt
from geotarget.engine.offline import Detection
from geotarget.errors import InvalidPing

SQUARE = {
    "type": "Feature",
    "id": "square",
    "properties": {},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[0, 0], [0.01, 0], [0.01, 0.01], [0, 0.01], [0, 0]]],
    },
}
WALK = {
    "device": ["a"] * 5,
    "ts": [0.0, 60.0, 120.0, 180.0, 210.0],
    "lng": [0.0107, 0.0093, 0.0093, 0.0107, 0.0112],
    "lat": [0.005] * 5,
    "acc": [8.0] * 5,
}


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_any_table_gives_the_same_events(make: Callable[[Any], Any]) -> None:
    """A mapping, pandas, Polars and Arrow give the same events."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    events = gt.detect_transitions(make(WALK), index, dwell_s=[60])
    assert events.column("kind").to_pylist() == ["enter", "dwell", "exit"]
    assert [each.timestamp() for each in events.column("ts").to_pylist()] == [60, 120, 180]
    assert events.column_names[:10] == [
        "device", "zone", "kind", "ts", "decided_ts", "visit", "event", "confidence", "p",
        "initial",
    ]  # fmt: skip


def test_rows_are_applied_in_the_order_of_their_time() -> None:
    """Shuffled rows give the same events."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    shuffled = pd.DataFrame(WALK).sample(frac=1.0, random_state=1)
    expected = gt.detect_transitions(WALK, index)
    assert expected.equals(gt.detect_transitions(shuffled, index))


def test_timestamps_are_taken_as_they_are() -> None:
    """A column of timestamps gives the same as epoch seconds."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    frame = pd.DataFrame(WALK)
    frame["ts"] = pd.to_datetime(frame["ts"], unit="s")
    assert gt.detect_transitions(WALK, index).equals(gt.detect_transitions(frame, index))


def test_one_policy_for_all() -> None:
    """`policy` replaces each zone's own; an unknown one is named."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    raw = gt.detect_transitions(WALK, index, policy="raw")
    assert [each.timestamp() for each in raw.column("decided_ts").to_pylist()] == [60, 180]
    with pytest.raises(InvalidPing, match="raw, eager, standard, strict, certain"):
        gt.detect_transitions(WALK, index, policy="eagle")


def test_missing_columns_are_told_with_what_was_found() -> None:
    """The message lists what is there and what is missing."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    with pytest.raises(InvalidPing, match=r"missing: ts, lng .*\(device, time, lon, lat\)"):
        gt.detect_transitions({"device": [], "time": [], "lon": [], "lat": []}, index)


def test_a_bad_row_is_named() -> None:
    """Latitude 95 in row 2: the row, the value, the bound."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    bad = {**WALK, "lat": [0.005, 0.005, 95.0, 0.005, 0.005]}
    with pytest.raises(InvalidPing, match=r"lat\[2\].*-90 and 90 \(95.0\)"):
        gt.detect_transitions(bad, index)


@pytest.mark.parametrize("ts", [1.7e12, float("nan"), None])
def test_a_time_that_is_none_is_named(ts: float | None) -> None:
    """Milliseconds, no number, nothing: the row and the bound."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    bad = pd.DataFrame({**WALK, "ts": [0.0, 60.0, 120.0, ts, 210.0]})
    with pytest.raises(InvalidPing, match=r"ts\[3\]: must be a timestamp or epoch seconds"):
        gt.detect_transitions(bad, index)
    bad["ts"] = pd.to_datetime(bad["ts"].where(bad["ts"] < 1e9), unit="s")
    with pytest.raises(InvalidPing, match=r"ts\[3\].*NaT"):
        gt.detect_transitions(bad, index)


def test_pings_may_come_in_stretches() -> None:
    """What is fed ping by ping, or all at once, gives the same events; forgotten is never seen."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    expected = gt.detect_transitions(WALK, index, dwell_s=[60], until=400.0)
    detection = Detection(index, dwell_s=[60])
    parts = [
        detection.feed({name: values[at : at + 1] for name, values in WALK.items()})
        for at in range(5)
    ]
    assert expected.equals(pa.concat_tables([*parts, detection.settle(400.0)]).combine_chunks())
    detection.forget()
    assert expected.slice(0, 2).equals(
        detection.feed({name: values[:3] for name, values in WALK.items()})
    )


def test_no_pings_no_events() -> None:
    """An empty table gives an empty table."""
    index = gt.ZoneIndex.from_geojson(SQUARE)
    empty: dict[str, list[Any]] = {name: [] for name in WALK}
    assert gt.detect_transitions(empty, index).num_rows == 0
