"""``geotarget match``, as people type it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from geotarget.cli import main
from tests.conftest import REPOSITORY

SQUARES = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"code": f"c{n}"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[n, 0], [n + 1, 0], [n + 1, 1], [n, 1], [n, 0]]],
            },
        }
        for n in range(2)
    ],
}
PINGS = "who,lng,lat\na,0.5,0.5\nb,1,1\nc,7,7\n"


class Done(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str


class Workplace:
    """A folder with zones and pings, and the command line in it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self._monkeypatch, self._capsys = monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        (folder / "zones.geojson").write_text(json.dumps(SQUARES))
        (folder / "pings.csv").write_text(PINGS)

    def match(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run the command in this process."""
        self._monkeypatch.setattr(sys, "argv", ["geotarget", "match", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return Done(status, *self._capsys.readouterr())

    def files(self) -> list[str]:
        """Return the names of all files."""
        return sorted(path.name for path in self.folder.iterdir())

    def result(self, name: str = "out.parquet") -> list[tuple[object, ...]]:
        """Return the rows of a result."""
        return [tuple(row.values()) for row in pq.read_table(self.folder / name).to_pylist()]


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Workplace:
    """A folder to work in."""
    return Workplace(tmp_path, monkeypatch, capsys)


FILES = ("zones.geojson", "pings.csv", "-o", "out.parquet")
MATCHED = [("a", 0.5, 0.5, "0"), ("b", 1.0, 1.0, "0"), ("b", 1.0, 1.0, "1")]


def test_pings_are_matched_and_counted(workplace: Workplace) -> None:
    """One row for each pair, one line that says what was done, status 0."""
    done = workplace.match(*FILES)
    assert 0 == done.status, done.err
    assert MATCHED == workplace.result()
    assert re.fullmatch(
        r"3 pings, 0 bad rows left out, 3 pairs in 2 zones, [\d.]+ s, [\d,]+ pings/s\n", done.out
    )
    assert "pings/s" in done.err
    assert ["out.parquet", "pings.csv", "zones.geojson"] == workplace.files()


def test_options_say_what_is_kept_and_how_it_is_called(workplace: Workplace) -> None:
    """Ids from a property, all pings, other names of columns, one thread."""
    (workplace.folder / "pings.csv").write_text(PINGS.replace("lng,lat", "x,y"))
    done = workplace.match(
        *FILES, "--id", "code", "--keep", "all", "--columns", "lng=x,lat=y",
        "--zone-column", "ward", "--threads", "1",
    )  # fmt: skip
    assert 0 == done.status, done.err
    wanted = [(*row[:3], f"c{row[3]}") for row in MATCHED]
    assert [*wanted, ("c", 7.0, 7.0, None)] == workplace.result()
    table = pq.read_table(workplace.folder / "out.parquet")
    assert ["who", "x", "y", "ward"] == table.column_names
    assert "dictionary<values=string, indices=int32, ordered=0>" == str(table["ward"].type)


def test_standard_input_is_ndjson(workplace: Workplace) -> None:
    """A dash reads a pipe."""
    lines = b'{"who": "a", "lng": 0.5, "lat": 0.5}\n{"who": "c", "lng": 7, "lat": 7}\n'
    done = workplace.match("zones.geojson", "-", "-o", "out.parquet", stdin=lines)
    assert 0 == done.status, done.err
    assert MATCHED[:1] == workplace.result()


def test_bad_rows_are_named_and_left_out(workplace: Workplace) -> None:
    """The first twenty are named on standard error, all are counted, the status is 0."""
    (workplace.folder / "pings.csv").write_text(PINGS + "d,east,0\n" * 30)
    done = workplace.match(*FILES)
    assert 0 == done.status
    assert "3 pings, 30 bad rows left out, 3 pairs" in done.out
    named = re.findall(r"row (\d+): lng is not a number: 'east'", done.err)
    assert [str(n) for n in range(4, 24)] == named
    assert "further bad rows are only counted" in done.err
    assert MATCHED == workplace.result()


def test_strict_fails_at_bad_rows(workplace: Workplace) -> None:
    """With --strict they are errors, and no result is written."""
    (workplace.folder / "pings.csv").write_text(PINGS + "d,200,0\n")
    done = workplace.match(*FILES, "--strict")
    assert 2 == done.status
    assert (
        "error: pings.csv, row 4: lng: longitude must be a finite number within -180 and 180 "
        "(200.0)\n" in done.err
    )
    assert not (workplace.folder / "out.parquet").exists()


def test_a_result_is_replaced_only_with_leave(workplace: Workplace) -> None:
    """An existing file is refused without --overwrite, before anything is read."""
    (workplace.folder / "out.parquet").write_text("precious")
    done = workplace.match("zones.geojson", "nowhere.csv", "-o", "out.parquet")
    assert (2, "error: out.parquet: exists; --overwrite replaces it\n") == (done.status, done.err)
    assert "precious" == (workplace.folder / "out.parquet").read_text()
    assert 0 == workplace.match(*FILES, "--overwrite").status
    assert MATCHED == workplace.result()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("zones.geojson", "nowhere.csv", "-o", "out.parquet"),
            "nowhere.csv: there is no such file",
        ),
        (
            ("zones.geojson", "zones.geojson", "-o", "out.parquet"),
            "zones.geojson: must be a .csv, .csv.gz, .ndjson, .jsonl, .ndjson.gz or .parquet file",
        ),
        (
            ("pings.csv", "pings.csv", "-o", "out.parquet"),
            "pings.csv: must be a .geojson, .json, .gpkg or .parquet file, or a saved index",
        ),
        (
            ("zones.geojson", "pings.csv", "-o", "out.csv"),
            "out.csv: the result is Parquet: name it .parquet",
        ),
        (
            (*FILES, "--columns", "lng=east"),
            "pings.csv: has no column east; name yours with --columns lng=lng",
        ),
        ((*FILES, "--columns", "east"), "--columns: must look like lng=x,lat=y (east)"),
        ((*FILES, "--keep", "some"), "keep: must be one of matched, all ('some')"),
        ((*FILES, "--zone-column", "who"), "who: is a column of the pings already"),
        ((*FILES, "--layer", "a"), "layer: only a .gpkg file has layers (a)"),
        (
            (*FILES, "--id", "name"),
            "zones.geojson: has no property or column 'name' that could hold the ids",
        ),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_one_line_and_status_2(
    workplace: Workplace, arguments: tuple[str, ...], message: str
) -> None:
    """The message names the file, what was found and what to do; there is no traceback."""
    done = workplace.match(*arguments)
    assert 2 == done.status
    assert f"error: {message}" in done.err
    assert "Traceback" not in done.err
    assert ["pings.csv", "zones.geojson"] == workplace.files()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(workplace: Workplace, kind: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end a match with status 130 and without a half-written file."""
    process = subprocess.Popen(
        [sys.executable, "-m", "geotarget", "match", "zones.geojson", "-", "-o", "out.parquet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=workplace.folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdin is not None
    line = b'{"who": "a", "lng": 0.5, "lat": 0.5}\n'
    process.stdin.write(line * (40 << 20 >> 5))  # more than a block: it has begun to match
    process.stdin.flush()
    process.send_signal(kind)
    out, err = process.communicate(timeout=60)
    assert 130 == process.returncode, err.decode()
    assert b"" == out
    assert ["pings.csv", "zones.geojson"] == workplace.files()
