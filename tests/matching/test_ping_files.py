"""Files of pings come in whole, in stretches, and what is no ping is named with its row."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotarget.errors import InvalidInput
from geotarget.matching import csv_pings, ndjson_pings, ping_files
from geotarget.matching.ping_columns import PingRows
from geotarget.matching.ping_files import PingFile, ReadAgain, open_pings


@pytest.fixture(params=[256, 1 << 20], ids=["small blocks", "one block"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks that cut a file in many pieces, and blocks that hold it whole."""
    monkeypatch.setattr(csv_pings, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(ndjson_pings, "BLOCK_BYTES", request.param)
    for module in (ping_files, csv_pings):
        monkeypatch.setattr(module, "BATCH_ROWS", max(request.param // 64, 1))
    return int(request.param)


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, zipped if its name says so."""
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def stretches(pings: PingFile) -> tuple[list[PingRows], list[str]]:
    """Read a file to its end; return its stretches and why it was begun again."""
    reasons: list[str] = []
    while True:
        try:
            return list(pings.stretches()), reasons
        except ReadAgain as reason:
            reasons.append(str(reason))


def whole(pings: PingFile) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return all rows of a file, its bad rows, and why it was begun again."""
    found, reasons = stretches(pings)
    table = pa.concat_tables([each.table.cast(pings.schema) for each in found])
    for each in found:
        assert each.table[pings.columns.lng].to_pylist() == each.lng.tolist()
        assert each.table[pings.columns.lat].to_pylist() == each.lat.tolist()
        assert each.bad >= len(each.named)
    bad = [f"{row.place}: {row.reason}" for each in found for row in each.named]
    return table.to_pylist(), bad, reasons


def lines(count: int) -> list[dict[str, Any]]:
    """Return rows as they are expected from a file."""
    return [{"who": f"p{n}", "n": n, "lng": n / 8 - 100, "lat": 60 - n / 16} for n in range(count)]


def as_csv(rows: list[dict[str, Any]], separator: str = ",") -> str:
    """Return rows as CSV."""
    text = [rows[0].keys(), *(map(str, row.values()) for row in rows)]
    return "".join(separator.join(cells) + "\n" for cells in text)


def as_ndjson(rows: list[Any]) -> str:
    """Return rows as NDJSON; text stays as it is."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["a.csv", "a.CSV.gz", "a.ndjson", "a.jsonl", "a.ndjson.gz"])
def test_text_comes_in_whole(tmp_path: Path, blocks: int, name: str) -> None:
    """Every row, in order, with its types, however the blocks fall."""
    rows = lines(400)
    path = write(tmp_path / name, as_csv(rows) if "csv" in name.lower() else as_ndjson(rows))
    pings = open_pings(path)
    assert (rows, [], []) == whole(pings)
    assert (rows, [], []) == whole(pings)  # and again
    assert pa.int64() == pings.schema.field("n").type


def test_parquet_comes_in_whole(tmp_path: Path, blocks: int) -> None:
    """Every row with the types of the file."""
    table = pa.table({"when": pa.array(range(500), pa.timestamp("ms")), "lon": [1.5] * 500,
                      "lat": pa.array([2] * 500, pa.int8())})  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=77)
    pings = open_pings(tmp_path / "a.parquet", threads=2)
    assert (table.to_pylist(), [], []) == whole(pings)
    assert table.schema == pings.schema
    assert 1.0 == pings.fraction()


def test_a_pipe_of_ndjson_is_read_once(blocks: int) -> None:
    """Standard input has no size and no second reading, but the same rows."""
    rows = lines(300)
    pings = open_pings(Path("-"), stream=io.BytesIO(as_ndjson(rows).encode()))
    assert (rows, [], []) == whole(pings)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separator_and_byte_order_mark(tmp_path: Path, separator: str) -> None:
    """The header tells the separator; a byte order mark is not part of a name."""
    rows = lines(3)
    path = write(tmp_path / "a.csv", "\ufeff" + as_csv(rows, separator))
    assert rows == whole(open_pings(path))[0]


def test_quoted_line_breaks_in_csv(tmp_path: Path, blocks: int) -> None:
    """A quoted cell may hold separators, quotes and line breaks, at the edge of a block too."""
    text = "note,lng,lat\n" + '"a ""b"", c\nd\n\ne",1.5,2.5\n' * 100
    rows, bad, _ = whole(open_pings(write(tmp_path / "a.csv", text)))
    assert [{"note": 'a "b", c\nd\n\ne', "lng": 1.5, "lat": 2.5}] * 100 == rows
    assert [] == bad


# -- rows that are no pings ----------------------------------------------------------------------

CELLS = [
    ("24.5", "60", ""),
    ("abc", "60", "lng is not a number: 'abc'"),
    ("", "60", "lng is empty"),
    (" ", "60", "lng is empty"),
    ("24.5", "", "lat is empty"),
    ("24,5", "60", "lng is not a number: '24,5'"),
    ("0x10", "60", "lng is not a number: '0x10'"),
    ("nan", "60", "lng: longitude must be a finite number within -180 and 180 (nan)"),
    ("-inf", "60", "lng: longitude must be a finite number within -180 and 180 (-inf)"),
    ("180.5", "60", "lng: longitude must be a finite number within -180 and 180 (180.5)"),
    ("24.5", "-90.01", "lat: latitude must be a finite number within -90 and 90 (-90.01)"),
    (" +24.5 ", "6e1", ""),
    ("-180", "90", ""),
]


def test_bad_cells_of_csv_spoil_their_row_only(tmp_path: Path, blocks: int) -> None:
    """Each is named with its row, the first wrong column and what stood there."""
    text = "n,lng,lat\n" + "".join(f'{n},"{x}","{y}"\n' for n, (x, y, _) in enumerate(CELLS * 9))
    rows, bad, _ = whole(open_pings(write(tmp_path / "a.csv", text)))
    wanted = [(n + 1, why) for n, (_, _, why) in enumerate(CELLS * 9) if why]
    assert {f"row {n}: {why}" for n, why in wanted} >= set(bad)
    assert len(bad) >= 20
    assert [n for n, (_, _, why) in enumerate(CELLS * 9) if not why] == [row["n"] for row in rows]


def test_rows_of_csv_with_other_numbers_of_cells(tmp_path: Path, blocks: int) -> None:
    """They are left out and named; the rows after them keep their numbers."""
    good = "".join(f"{n},1,2\n" for n in range(60))
    text = f"n,lng,lat\n1,1\n{good}9,9,9,9\n\n5,x,1\n{good}7,200,1\n1\n"
    pings = open_pings(write(tmp_path / "a.csv", text))
    rows, bad, _ = whole(pings)
    assert [*range(60), *range(60)] == [row["n"] for row in rows]
    assert [
        "row 124: lng: longitude must be a finite number within -180 and 180 (200.0)",
        "row 125: has 1 cells, the header has 3",
        "row 1: has 2 cells, the header has 3",
        "row 62: has 4 cells, the header has 3",
        "row 63: lng is not a number: 'x'",
    ] == sorted(bad)
    assert 5 == sum(each.bad for each in stretches(pings)[0])


def test_bad_lines_of_ndjson_are_named(tmp_path: Path, blocks: int) -> None:
    """A line that is no object, or has no coordinates, is left out with its number."""
    good = lines(40)
    wrong = [
        ("{", "is not JSON"),
        ('{"lng": NaN, "lat": 1}', "is not JSON"),
        ("[1, 2]", "is not a JSON object"),
        ('{"lng": "24.5", "lat": 1}', "lng is not a number: '24.5'"),
        ('{"lng": 1, "lat": true}', "lat is not a number: 'True'"),
        ('{"lng": 1}', "lat is empty"),
        ('{"lng": null, "lat": 1}', "lng is empty"),
        ('{"lng": 1, "lat": 91}', "lat: latitude must be a finite number within -90 and 90 (91.0)"),
    ]
    text = as_ndjson([*good, "", *(line for line, _ in wrong), *good])
    rows, bad, _ = whole(open_pings(write(tmp_path / "a.ndjson", text)))
    assert [*good, *good] == rows
    assert {f"line {42 + n}: {why}" for n, (_, why) in enumerate(wrong)} == set(bad)
    latin = as_ndjson(good).encode() + '{"who": "Jos\u00e9", "lng": 1, "lat": 1}\n'.encode(
        "latin-1"
    )
    rows, bad, _ = whole(open_pings(write(tmp_path / "b.ndjson", latin)))
    assert (good, ["line 41: is not JSON"]) == (rows, bad)


def test_bad_rows_of_parquet_are_named(tmp_path: Path, blocks: int) -> None:
    """Nulls, NaN and what is out of range, by row."""
    table = pa.table({"lng": [1.0, None, float("nan"), 200.0, 1.0], "lat": [1, 2, 3, 4, None]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, bad, _ = whole(open_pings(tmp_path / "a.parquet"))
    assert [{"lng": 1.0, "lat": 1}] == rows
    assert [
        "row 2: lng is empty",
        "row 3: lng: longitude must be a finite number within -180 and 180 (nan)",
        "row 4: lng: longitude must be a finite number within -180 and 180 (200.0)",
        "row 5: lat is empty",
    ] == bad


@pytest.mark.parametrize(
    "lng",
    [
        pa.array(["24.5", "x"]),
        pa.array(["24.5", "x"], pa.large_string()),
        pa.array(["24.5", "x"]).dictionary_encode(),
        pa.array([Decimal("24.5"), None]),
        pa.array([24.5, None], pa.float32()),
    ],
    ids=lambda array: str(array.type),
)
def test_coordinates_of_parquet_may_have_any_type_of_number(tmp_path: Path, lng: Any) -> None:
    """Text is read as in CSV and becomes float64; other numbers stay what they are."""
    pq.write_table(pa.table({"lng": lng, "lat": [60, 60]}), tmp_path / "a.parquet")
    pings = open_pings(tmp_path / "a.parquet")
    (found,), _ = stretches(pings)
    assert [24.5] == found.lng.tolist()
    assert 1 == found.bad
    text = "string" in str(lng.type)
    assert (pa.float64() if text else lng.type) == pings.schema.field("lng").type


# -- types that change along the way -------------------------------------------------------------


def padded(*rows: str) -> Iterator[str]:
    """Yield a row so often that it fills small blocks, then the next."""
    for row in rows:
        yield from [row] * 50


@pytest.mark.parametrize(
    ("cells", "kind", "first"),
    [
        (["1", "2.5"], pa.float64(), 1.0),
        (["1", "x"], pa.string(), "1"),
        (["1", "2.5", "x"], pa.string(), "1"),
        (["2026-01-01", "soon"], pa.string(), "2026-01-01"),
        (["true", "2"], pa.string(), "true"),
        (["", "7"], pa.float64(), None),
    ],
    ids=str,
)
def test_csv_columns_become_as_wide_as_they_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str], kind: Any, first: Any
) -> None:
    """A cell that contradicts the first block begins the file again; no cell is lost."""
    monkeypatch.setattr(csv_pings, "BLOCK_BYTES", 256)
    text = "a,lng,lat\n" + "\n".join(padded(*(f"{cell},1,2" for cell in cells))) + "\n"
    pings = open_pings(write(tmp_path / "a.csv", text))
    rows, bad, reasons = whole(pings)
    assert 50 * len(cells) == len(rows)
    assert [] == bad
    assert kind == pings.schema.field("a").type
    assert first == rows[0]["a"]
    assert reasons[-1].startswith(f"column a is read as {kind} because of {cells[-1]!r}")


@pytest.mark.parametrize(
    ("first", "then", "kind"),
    [
        ('"a": 1', '"a": 2.5', pa.float64()),
        ('"b": 1', '"a": 2', pa.int64()),
        ('"a": null', '"a": "x"', pa.string()),
        ('"a": "2026-01-01T00:00:00Z"', '"a": "soon"', pa.string()),
        ('"a": {"x": 1}', '"a": {"y": 1.5}', None),
    ],
)
def test_members_of_ndjson_may_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, then: str, kind: Any
) -> None:
    """New members and wider types begin the file again; a pipe is refused instead."""
    monkeypatch.setattr(ndjson_pings, "BLOCK_BYTES", 256)
    text = as_ndjson(list(padded(*(f'{{"lng": 1, "lat": 2, {each}}}' for each in (first, then)))))
    pings = open_pings(write(tmp_path / "a.ndjson", text))
    rows, bad, reasons = whole(pings)
    assert 100 == len(rows)
    assert [] == bad
    assert 1 == len(reasons)
    assert "a (" in reasons[0]
    assert kind in {None, pings.schema.field("a").type}
    with pytest.raises(InvalidInput, match="a pipe can't be read twice"):
        whole(open_pings(Path("-"), stream=io.BytesIO(text.encode())))


def test_a_member_of_two_types_is_refused(tmp_path: Path, blocks: int) -> None:
    """No column holds both text and numbers: the member and the types are named."""
    text = as_ndjson(list(padded('{"lng": 1, "lat": 2, "a": 1}', '{"lng": 1, "lat": 2, "a": "x"}')))
    with pytest.raises(InvalidInput, match=r"member a|Column\(/a\) changed"):
        whole(open_pings(write(tmp_path / "a.ndjson", text)))


def test_ndjson_coordinates_may_be_text(tmp_path: Path) -> None:
    """Where the first line has text, all must; it becomes numbers."""
    text = as_ndjson([{"lng": "24.5", "lat": 60}, {"lng": "x", "lat": 60}])
    rows, bad, _ = whole(open_pings(write(tmp_path / "a.ndjson", text)))
    assert ([{"lng": 24.5, "lat": 60.0}], ["line 2: lng is not a number: 'x'"]) == (rows, bad)


# -- files that can't be read --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson", "a.parquet"])
def test_wrong_names_of_columns_are_answered_with_those_found(tmp_path: Path, name: str) -> None:
    """The message lists the columns, proposes one, and says how to name it."""
    row = {"who": "a", "Longitude": 1.0, "lat": 2.0}
    path = tmp_path / name
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        write(path, as_csv([row]) if name == "a.csv" else as_ndjson([row]))
    with pytest.raises(InvalidInput) as caught:
        open_pings(path)
    assert (
        f"{path}: has no column lng or lon; name yours with --columns lng=Longitude "
        "(found: who, Longitude, lat)" == str(caught.value)
    )
    with pytest.raises(InvalidInput, match="has no column east; name yours"):
        open_pings(path, columns={"lng": "east"})
    with pytest.raises(InvalidInput, match="columns: a column is one of lng, lat"):
        open_pings(path, columns={"device": "who"})
    rows, _, _ = whole(open_pings(path, columns={"lng": "Longitude"}))
    assert [row] == rows


def test_columns_that_hold_no_numbers_are_refused(tmp_path: Path) -> None:
    """Types that can't be coordinates, and two columns of one name, are errors of the file."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"lng": [True], "lat": [1]}), path)
    with pytest.raises(InvalidInput, match="column lng can't hold a longitude"):
        open_pings(path)
    with pytest.raises(InvalidInput, match="has two columns 'a'"):
        open_pings(write(tmp_path / "a.csv", "a,a,lng,lat\n1,2,3,4\n"))


BROKEN = {
    "cut.parquet": b"PAR1 and no more",
    "empty.csv": b"",
    "cut.csv.gz": gzip.compress(b"lng,lat\n" + b"1.25,2.5\n" * 5000)[:60],
    "plain.csv.gz": b"lng,lat\n1,2\n",
    "empty.ndjson": b"",
    "cut.ndjson.gz": gzip.compress(b'{"lng": 1, "lat": 2}\n' * 5000)[:60],
    "latin.csv": "name,lng,lat\nJos\u00e9,1,2\n".encode("latin-1"),
    "no-suffix": b"lng,lat\n1,2\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_not_be_read_is_one_clear_error(tmp_path: Path, name: str) -> None:
    """Files that break off, are empty or not what their name says name themselves."""
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(InvalidInput) as caught:
        whole(open_pings(path))
    assert str(caught.value).startswith(str(path))


def test_text_that_is_not_utf8_later_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The column is named, wherever the byte stands."""
    monkeypatch.setattr(csv_pings, "BLOCK_BYTES", 256)
    text = "name,lng,lat\n" + "\n".join(padded("a,1,2")) + "\nJos\u00e9,1,2\n"
    path = write(tmp_path / "a.csv", text.encode("latin-1"))
    with pytest.raises(InvalidInput, match="column name is not UTF-8 text; convert the file"):
        whole(open_pings(path))


def test_a_header_without_rows_is_no_error(tmp_path: Path) -> None:
    """An empty table of pings has columns and no rows."""
    pings = open_pings(write(tmp_path / "a.csv", "who,lng,lat\n"))
    assert ([], [], []) == whole(pings)
    assert pa.float64() == pings.schema.field("lng").type
