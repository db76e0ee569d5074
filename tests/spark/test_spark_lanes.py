"""What a task of a campaign backtest does, without a cluster around it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from geotarget.errors import InvalidInput, InvalidPing
from geotarget.model import Profile
from geotarget.spark.backtesting import Player
from geotarget.spark.drafting import checked
from geotarget.spark.lanes import Lane
from geotarget.spark.people import _last_word
from tests.spark.campaigning import CAMPAIGNS, POLICY, REGULARS, document, index, people
from tests.spark.town import walkers

PROFILES = people(30)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Profiles, then the pings of thirty people by time."""
    pings = walkers(30, 100).drop(["note"])
    pings = pings.append_column("document", pa.nulls(pings.num_rows, pa.string()))
    known = pa.table({"document": [json.dumps(document(each)) for each in PROFILES]})
    return pa.concat_tables([known, pings], promote_options="default").combine_chunks()


def played(rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    drafts = checked(CAMPAIGNS, [REGULARS], policy=POLICY)
    return Player(index(), drafts)(rows.to_batches(max_chunksize=size))


@pytest.mark.parametrize("size", [7, 10**6])
def test_however_rows_are_cut_the_decisions_are_the_same(rows: pa.Table, size: int) -> None:
    """Batches of seven rows, profiles and pings in one of them; all at once."""
    expected = pa.Table.from_batches(played(rows, 1_000))
    assert expected.num_rows > 100
    assert expected.equals(pa.Table.from_batches(played(rows, size)))


def test_the_scratch_goes_also_when_nobody_wants_the_rest(
    rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for ``limit``; and when a row fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answers = played(rows, 1_000)
    assert next(answers).num_rows
    assert list(tmp_path.rglob("scratch.db"))
    answers.close()  # type: ignore[attr-defined] # a generator
    assert not list(tmp_path.iterdir())
    bad = rows.slice(rows.num_rows - 1).set_column(
        rows.column_names.index("lat"), "lat", pa.array([95.0])
    )
    with pytest.raises(InvalidPing, match="lat: latitude"):
        list(played(pa.concat_tables([rows, bad]), 1_000))
    assert not list(tmp_path.iterdir())


def test_no_pings_no_answers(rows: pa.Table) -> None:
    """A partition without rows, and one where nobody moved."""
    assert list(played(rows.slice(0, 0), 10)) == []
    assert list(played(rows.slice(0, len(PROFILES)), 10)) == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", r"profiles: is no JSON object: .* \(\{\)"),
        ("[1]", "is no JSON object"),
        ('{"id": 7}', r'profiles, \{"id": 7\}: \$\.id: is required, as text \(7\)'),
        ('{"id": "a", "age": 7}', r"\$\.age: unknown member"),
    ],
)
def test_what_is_no_profile_is_named(document: str, said: str) -> None:
    """With the document, and what is wrong with it."""
    with pytest.raises(InvalidInput, match=said):
        list(Lane([pa.record_batch({"document": [document]})]).profiles())


@pytest.mark.parametrize(
    "wrong", [{"device": None}, {"ts": None}, {"ts": 1.7e12}, {"lat": 95.0}, {"lng": np.nan}]
)
def test_what_is_no_ping_is_named_with_what_to_do(wrong: dict[str, float | None]) -> None:
    """A value that is missing or out of range, a time in milliseconds."""
    good = {"device": "a", "ts": 1.0, "lng": 24.9, "lat": 60.1}
    row = pa.record_batch({name: [each] for name, each in {**good, **wrong}.items()})
    with pytest.raises(InvalidPing, match=rf"^{next(iter(wrong))}: .*is_ping\(df, .*ts=…\)"):
        list(Lane([row]).pings())


def test_times_are_those_that_a_recording_has() -> None:
    """Timestamps and epoch seconds to the nearest millisecond; ids and accuracies if there are."""
    at = {"device": ["a"], "lng": [24.9], "lat": [60.1]}
    stamped = {
        "ts": pa.array([1_500], pa.timestamp("us", tz="UTC")),
        "acc": pa.nulls(1, pa.float64()),
    }
    unnamed = {"id": pa.nulls(1, pa.string())}
    (first,) = Lane([pa.record_batch({**at, **stamped, "id": ["x"]})]).pings()
    (second,) = Lane([pa.record_batch({**at, "ts": [0.0025], "acc": [7.0], **unnamed})]).pings()
    assert (first.ts_ms, first.id, second.ts_ms, second.acc, second.id) == (2, "x", 2, 7.0, "")
    assert np.isnan(first.acc)


def test_the_last_profile_that_names_a_device_has_it() -> None:
    """As the store has it: also where a profile comes twice."""
    given = [
        Profile("ann", devices=("a", "b")),
        Profile("bob", devices=("b", "c")),
        Profile("ann", devices=("c",), attributes={"n": 2}),
    ]
    assert _last_word(given) == [
        Profile("bob", devices=("b",)),
        Profile("ann", devices=("c",), attributes={"n": 2}),
    ]
