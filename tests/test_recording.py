"""Recordings are read row by row; what is no ping is named with its place."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotarget import recording as module
from geotarget.errors import InvalidInput
from geotarget.recording import BadRow, RecordedPing, Recording, pings_in_order


def write(path: Path, *lines: str) -> Path:
    """Write lines of text."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(path: Path, **options: object) -> list[RecordedPing | BadRow]:
    """Return all rows of a recording."""
    return list(Recording(path, **options).rows())  # type: ignore[arg-type]


def plain(row: RecordedPing | BadRow) -> tuple[object, ...]:
    """Return a ping for comparison, NaN as None."""
    assert isinstance(row, RecordedPing), row
    return tuple(None if isinstance(cell, float) and math.isnan(cell) else cell for cell in row)


@pytest.mark.parametrize(
    ("ts", "ms"),
    [
        ("1732240000", 1_732_240_000_000),
        ("1732240000.25", 1_732_240_000_250),
        ("1732240000250", 1_732_240_000_250),
        ("-611884800", -611_884_800_000),
        ("2024-11-22T01:46:40Z", 1_732_240_000_000),
        ("2024-11-22T03:46:40+02:00", 1_732_240_000_000),
        ("2024-11-22 01:46:40", 1_732_240_000_000),
    ],
)
def test_times_in_all_their_forms(tmp_path: Path, ts: str, ms: int) -> None:
    """Epoch seconds, milliseconds and ISO 8601 mean the same instant; no offset is UTC."""
    path = write(tmp_path / "a.csv", "device,ts,lat,lng", f"a,{ts},60.1,24.9")
    assert plain(rows(path)[0]) == ("a", ms, 60.1, 24.9, None, "")


def test_optional_columns_and_lon(tmp_path: Path) -> None:
    """`lon` is taken for `lng`; accuracy and id are read where they are, empty means unknown."""
    path = write(
        tmp_path / "a.csv",
        "id,acc,lon,lat,ts,device,other",
        "m1,12.5,24.9,60.1,1,a,x",
        ",,24.9,60.1,2,a,y",
    )
    assert [plain(row) for row in rows(path)] == [
        ("a", 1000, 60.1, 24.9, 12.5, "m1"),
        ("a", 2000, 60.1, 24.9, None, ""),
    ]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separator_of_the_header_counts(tmp_path: Path, separator: str) -> None:
    """Semicolons, tabs and bars work as commas do; so does a byte order mark."""
    lines = ["\ufeffdevice,ts,lat,lng", "a,1,60.1,24.9"]
    path = write(tmp_path / "a.csv", *(line.replace(",", separator) for line in lines))
    assert plain(rows(path)[0]) == ("a", 1000, 60.1, 24.9, None, "")


def test_gzip_and_quotes(tmp_path: Path) -> None:
    """A zipped file is read like a plain one; a quoted line break does not shift line numbers."""
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["device", "ts", "lat", "lng", "note"], ["a", 1, 60.1, 24.9, "two\nlines"]]
        )
        writer.writerow(["a", "never", 60.1, 24.9, ""])
    good, bad = rows(path)
    assert plain(good)[0] == "a"
    assert bad == BadRow("line 4", "ts is neither a number nor ISO 8601: 'never'")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",1,60.1,24.9", "device is empty"),
        ("bus 7,1,60.1,24.9", "can't be part of a topic everywhere"),
        ("a/b,1,60.1,24.9", "can't be part of a topic everywhere"),
        ("a,,60.1,24.9", "ts is empty"),
        ("a,inf,60.1,24.9", "ts is not finite"),
        ("a,1,,24.9", "lat is empty"),
        ("a,1,north,24.9", "lat is not a number: 'north'"),
        ("a,1,60.1", "has 3 cells, the header has 4"),
        ("a,1,60.1,24.9,5", "has 5 cells, the header has 4"),
    ],
)
def test_bad_rows_are_named_and_the_others_stay(tmp_path: Path, row: str, reason: str) -> None:
    """A row that is no ping comes out with its line and the reason; its neighbours are read."""
    path = write(tmp_path / "a.csv", "device,ts,lat,lng", "a,1,60.1,24.9", row, "a,3,60.1,24.9")
    first, bad, last = rows(path)
    assert (plain(first)[1], plain(last)[1]) == (1000, 3000)
    assert isinstance(bad, BadRow)
    assert bad.place == "line 3"
    assert reason in bad.reason


def test_rows_for_the_server_to_judge_are_pings(tmp_path: Path) -> None:
    """(0, 0) and latitude 95 are read as they are."""
    path = write(tmp_path / "a.csv", "device,ts,lat,lng", "a,1,0,0", "a,2,95,24.9")
    assert [plain(row)[2:4] for row in rows(path)] == [(0.0, 0.0), (95.0, 24.9)]


def test_a_wrong_byte_spoils_one_row(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 in a device's name are a bad row, not the end."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"device,ts,lat,lng\n\xff\xfe,1,60,24\nb,2,60,24\n")
    bad, good = rows(path)
    assert isinstance(bad, BadRow)
    assert plain(good)[0] == "b"


def test_missing_column_lists_what_was_found(tmp_path: Path) -> None:
    """The message names the columns of the file and the option that maps them."""
    path = write(tmp_path / "a.csv", "vehicle_id,time,lat,lng", "a,1,60,24")
    with pytest.raises(InvalidInput) as caught:
        Recording(path)
    assert "vehicle_id, time, lat, lng" in str(caught.value)
    assert "--columns device=NAME" in str(caught.value)
    mapped = {"device": "vehicle_id", "ts": "time"}
    assert plain(rows(path, columns=mapped)[0])[:2] == ("a", 1000)
    with pytest.raises(InvalidInput, match="a column is one of device, ts"):
        Recording(path, columns={"speed": "v"})
    with pytest.raises(InvalidInput, match="has no column nothing"):
        Recording(path, columns={**mapped, "acc": "nothing"})


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet", "text.parquet", "text.csv.gz"])
def test_unreadable_file_is_a_clear_error(tmp_path: Path, name: str) -> None:
    """A file that is missing, or not what its name says, is refused with its name."""
    path = tmp_path / name
    if name.startswith("text"):
        write(path, "device,ts,lat,lng", "a,1,60,24")
    with pytest.raises(InvalidInput, match="can't be read") as caught:
        Recording(path)
    assert name in str(caught.value)


def test_cut_off_gzip_says_where(tmp_path: Path) -> None:
    """A file that breaks off in the middle raises after the rows that are whole."""
    path = tmp_path / "a.csv.gz"
    lines = "".join(f"a,{number},60.{number:05d},24.9\n" for number in range(50_000))
    whole = gzip.compress(("device,ts,lat,lng\n" + lines).encode())
    path.write_bytes(whole[: len(whole) // 2])
    read = []
    with pytest.raises(InvalidInput, match=r"a\.csv\.gz, line \d+"):
        read.extend(Recording(path).rows())


def test_parquet_with_timestamps(tmp_path: Path) -> None:
    """Parquet columns are read by type: timestamps, integers as devices, nulls as unknown."""
    path = tmp_path / "a.parquet"
    moment = datetime(2024, 11, 22, 1, 46, 40, 250_000, tzinfo=UTC)
    table = pa.table(
        {
            "vehicle": pa.array([17, 18, None]),
            "ts": pa.array([moment] * 3, pa.timestamp("us", "UTC")),
            "lat": [60.1, None, 60.3],
            "lng": [24.9, 24.9, 24.9],
            "acc": pa.array([None, 5.0, 5.0]),
        }
    )
    pq.write_table(table, path)
    good, *bad = rows(path, columns={"device": "vehicle"})
    assert plain(good) == ("17", 1_732_240_000_250, 60.1, 24.9, None, "")
    assert bad == [BadRow("row 2", "lat is empty"), BadRow("row 3", "device is empty")]


def test_survey_counts_and_finds_the_span(tmp_path: Path) -> None:
    """Number of pings and bad rows, first and last time, and whether the order is that of time."""
    path = write(
        tmp_path / "a.csv", "device,ts,lat,lng", "a,5,60,24", "a,x,60,24", "a,3,60,24", "a,9,60,24"
    )
    survey = Recording(path).survey()
    assert (survey.pings, survey.bad) == (3, 1)
    assert (survey.first_ms, survey.last_ms, survey.in_order) == (3_000, 9_000, False)
    assert Recording(path, limit=1).survey().in_order
    assert Recording(write(tmp_path / "b.csv", "device,ts,lat,lng")).survey().pings == 0


@pytest.mark.parametrize("in_memory", [True, False])
def test_out_of_order_is_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """Pings come in order of time, equal times in file order, also where memory has no room."""
    if not in_memory:
        for name, value in {"SORTED_ROWS": 2, "RUN_ROWS": 2, "BLOCK_ROWS": 1}.items():
            monkeypatch.setattr(module, name, value)
    path = write(
        tmp_path / "a.csv",
        "device,ts,lat,lng,id,acc",
        "a,5,60,24,one,",
        "b,3,61,25,two,8",
        "c,x,60,24,bad,",
        "d,5,62,26,three,",
        "e,9,62,26,four,",
        "b,3,61,25,five,",
    )
    recording = Recording(path)
    survey = recording.survey()
    bad: list[BadRow] = []
    found = list(pings_in_order(recording, survey, bad.append))
    assert [ping.id for ping in found] == ["two", "five", "one", "three", "four"]
    assert plain(found[0]) == ("b", 3_000, 61.0, 25.0, 8.0, "two")
    assert plain(found[2]) == ("a", 5_000, 60.0, 24.0, None, "one")
    assert [row.place for row in bad] == ["line 4"]


def test_a_sort_on_disk_that_finds_no_room_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that is full is named, and nothing is left in it."""
    monkeypatch.setattr(module, "SORTED_ROWS", 1)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_spill", full)
    path = write(tmp_path / "a.csv", "device,ts,lat,lng", "a,5,60,24", "b,3,61,25")
    recording = Recording(path)
    with pytest.raises(InvalidInput, match=r"geotarget-sort-.*can't be sorted.*No space left"):
        list(pings_in_order(recording, recording.survey(), list[BadRow]().append))
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_limit_counts_pings_not_rows(tmp_path: Path) -> None:
    """The first two pings are two pings, whatever stands between them."""
    path = write(
        tmp_path / "a.csv", "device,ts,lat,lng", "a,1,60,24", "a,x,60,24", "a,2,60,24", "a,3,60,24"
    )
    kinds = Counter(type(row).__name__ for row in rows(path, limit=2))
    assert kinds == {"RecordedPing": 2, "BadRow": 1}


def test_real_recordings_are_whole(shared_data: Path) -> None:
    """Every row of the recorded buses is a ping, and equal to what a plain reader sees."""
    path = shared_data / "pings" / "austin_bus_2015-03-07_18.csv"
    with path.open(newline="") as file:
        expected = [
            (row["device"], int(row["ts"]) * 1000, float(row["lat"]), float(row["lon"]))
            for row in csv.DictReader(file)
        ]
    assert [plain(row)[:4] for row in rows(path)] == expected
    storms = Recording(shared_data / "pings" / "hurdat2_ep.csv").survey()
    assert (storms.bad, storms.in_order) == (0, False)
