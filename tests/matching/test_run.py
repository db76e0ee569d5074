"""A file is matched in stretches, and its result appears whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import shapely

import geotarget as gt
from geotarget.errors import InvalidInput, InvalidPing
from geotarget.matching import csv_pings, ping_files
from geotarget.matching import run as running
from geotarget.matching.pairs import Keep
from geotarget.matching.ping_files import open_pings
from geotarget.matching.run import Progress, match_files
from geotarget.model import Zone
from tests.conftest import REPOSITORY

INDEX = gt.ZoneIndex.build(
    [Zone(id=f"b{n}", geometry=shapely.box(n, 0, n + 1.5, 1)) for n in range(3)]
)
"""Three boxes; each overlaps the next by half a degree."""


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, batches and row groups so small that every file has many."""
    monkeypatch.setattr(csv_pings, "BLOCK_BYTES", 512)
    for module in (ping_files, csv_pings):
        monkeypatch.setattr(module, "BATCH_ROWS", 100)
    monkeypatch.setattr(running, "GROUP_ROWS", 250)


def pings(count: int = 2_000, seed: int = 0) -> pa.Table:
    """Return pings in and around the boxes."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "who": [f"p{n % 7}" for n in range(count)],
            "n": np.arange(count),
            "lng": rng.uniform(-1, 5, count),
            "lat": rng.uniform(-0.5, 1.5, count),
        }
    )


def write(path: Path, table: pa.Table) -> Path:
    """Write pings in the format that the name says."""
    if path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("keep", list(Keep))
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_file_gives_what_its_frame_gives(
    tmp_path: Path, name: str, keep: Keep, threads: int
) -> None:
    """Rows, order, types and ids are those of `match` over the whole table."""
    table = pings()
    out = tmp_path / "out.parquet"
    seen: list[tuple[int, float]] = []
    done = match_files(
        INDEX,
        open_pings(write(tmp_path / name, table)),
        out,
        keep=keep,
        threads=threads,
        on_progress=lambda each: seen.append((each.pings, each.fraction)),
    )
    wanted = gt.match(table, INDEX, keep=keep)
    assert wanted == pq.read_table(out)
    pairs = len(wanted) - wanted["zone_id"].null_count
    assert (2_000, 0, pairs) == (done.pings, done.bad, done.pairs)
    assert len(seen) >= 20
    assert sorted(seen) == seen
    assert 0 < seen[0][1] <= 1
    assert pq.ParquetFile(out).num_row_groups >= 3
    assert {out, tmp_path / name} == set(tmp_path.iterdir())


def test_rows_that_are_no_pings_are_left_out_and_told(tmp_path: Path) -> None:
    """They are counted and named, whatever is kept."""
    table = pings(300)
    wrong = table.set_column(2, "lng", pa.array([None if n % 50 == 7 else 0.5 for n in range(300)]))
    told: list[str] = []
    done = match_files(
        INDEX,
        open_pings(write(tmp_path / "a.parquet", wrong)),
        tmp_path / "out.parquet",
        keep=Keep.ALL,
        on_bad=lambda row: told.append(f"{row.place}: {row.reason}"),
    )
    assert (294, 6) == (done.pings, done.bad)
    assert [f"row {n}: lng is empty" for n in range(8, 300, 50)] == told
    assert 294 == pq.read_metadata(tmp_path / "out.parquet").num_rows


def test_a_file_that_is_begun_again_is_written_once(tmp_path: Path) -> None:
    """Rows written before a column turned out to be wider are not in the result."""
    lines = [*(f"{n},0.5,0.5" for n in range(300)), "x,0.5,0.5"]
    path = tmp_path / "a.csv"
    path.write_text("n,lng,lat\n" + "\n".join(lines) + "\n")
    again: list[str] = []
    done = match_files(
        INDEX, open_pings(path), tmp_path / "out.parquet", threads=2, on_again=again.append
    )
    assert ["column n is read as string because of 'x'"] == again
    assert 301 == done.pings
    found = pq.read_table(tmp_path / "out.parquet")
    assert [*(str(n) for n in range(300)), "x"] == found["n"].to_pylist()


def test_no_pings_give_an_empty_result(tmp_path: Path) -> None:
    """A file without rows has a result with all columns and no rows."""
    for name in ("a.csv", "b.parquet"):
        path = write(tmp_path / name, pings(0))
        done = match_files(INDEX, open_pings(path), tmp_path / "out.parquet", overwrite=True)
        assert Progress(0, 0, 0, done.fraction) == done
        found = pq.read_table(tmp_path / "out.parquet")
        assert ["who", "n", "lng", "lat", "zone_id"] == found.schema.names
        assert 0 == found.num_rows


def test_an_index_of_nothing_matches_nothing(tmp_path: Path) -> None:
    """Without zones no row is kept, or all are without zone."""
    path = write(tmp_path / "a.parquet", pings(50))
    nothing = gt.ZoneIndex.build([])
    match_files(nothing, open_pings(path), tmp_path / "none.parquet")
    match_files(nothing, open_pings(path), tmp_path / "all.parquet", keep=Keep.ALL)
    assert 0 == pq.read_metadata(tmp_path / "none.parquet").num_rows
    assert [None] * 50 == pq.read_table(tmp_path / "all.parquet")["zone_id"].to_pylist()


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_half_written_is_left(tmp_path: Path, threads: int) -> None:
    """After a failure in the middle there is neither a result nor an unfinished file."""
    path = write(tmp_path / "a.csv", pings())
    out = tmp_path / "out.parquet"

    def interrupt(done: Progress) -> None:
        if done.pings > 1_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        match_files(INDEX, open_pings(path), out, threads=threads, on_progress=interrupt)
    assert [path] == list(tmp_path.iterdir())
    out.write_text("precious")
    with pytest.raises(KeyboardInterrupt):
        match_files(
            INDEX, open_pings(path), out, threads=threads, on_progress=interrupt, overwrite=True
        )
    assert "precious" == out.read_text()
    assert {path, out} == set(tmp_path.iterdir())


def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    """The error names the file; no result is made of its first half."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"name,lng,lat\n" + b"a,0.5,0.5\n" * 200 + b"Jos\xe9,0.5,0.5\n")
    for threads in (1, 2):
        with pytest.raises(InvalidInput, match="is not UTF-8 text"):
            match_files(INDEX, open_pings(path), tmp_path / "out.parquet", threads=threads)
    assert [path] == list(tmp_path.iterdir())


def test_strict_refuses_the_first_bad_rows(tmp_path: Path) -> None:
    """The rows are named with their file, and nothing is written."""
    path = tmp_path / "a.csv"
    path.write_text("lng,lat\n0.5,0.5\nx,0\n0,95\n")
    with pytest.raises(InvalidPing) as caught:
        match_files(INDEX, open_pings(path), tmp_path / "out.parquet", strict=True)
    assert [
        f"{path}, row 2: lng is not a number: 'x'",
        f"{path}, row 3: lat: latitude must be a finite number within -90 and 90 (95.0)",
    ] == [str(problem) for problem in caught.value.problems]
    assert [path] == list(tmp_path.iterdir())


def test_a_result_that_can_not_be_written_is_refused_first(tmp_path: Path) -> None:
    """An existing file, another suffix, a missing folder, a column in the way."""
    path = write(tmp_path / "a.parquet", pings(10))
    source = open_pings(path)
    for out, message in (
        (path, "exists; --overwrite replaces it"),
        (tmp_path / "out.csv", "the result is Parquet"),
        (tmp_path / "nowhere" / "out.parquet", "there is no such folder"),
    ):
        with pytest.raises(InvalidInput, match=message):
            match_files(INDEX, source, out)
    with pytest.raises(InvalidInput, match="who: is a column of the pings already"):
        match_files(INDEX, source, tmp_path / "out.parquet", zone_column="who")
    assert [path] == list(tmp_path.iterdir())


def test_a_result_may_replace_its_own_source(tmp_path: Path) -> None:
    """With leave to overwrite, pings can be matched into their own file."""
    table = pings()
    path = write(tmp_path / "a.parquet", table)
    match_files(INDEX, open_pings(path), path, overwrite=True, threads=2)
    assert gt.match(table, INDEX) == pq.read_table(path)


MEASURE = """
import resource, sys
from pathlib import Path
import geotarget as gt
from geotarget.matching.ping_files import open_pings
from geotarget.matching.run import match_files
from tests.strategies import stars
index = gt.ZoneIndex.build(stars(5))
index.query(lng=[24.5], lat=[60.2])
for path in sys.argv[1:]:
    match_files(index, open_pings(Path(path)), Path(path).with_suffix(".parquet"), threads=2)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Six times the pings need the same memory."""
    rng = np.random.default_rng(1)
    paths: list[Any] = []
    for count in (1_000_000, 6_000_000):
        table = pa.table(
            {
                "who": rng.integers(0, 1_000, count),
                "lng": rng.uniform(24, 25, count).round(6),
                "lat": rng.uniform(60, 60.5, count).round(6),
                "note": pa.repeat("something that somebody wrote", count),
            }
        )
        paths.append(write(tmp_path / f"{count}.csv", table))
    assert paths[1].stat().st_size > 300e6
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    small, large = (int(line) * 1024 for line in done.stdout.split())
    assert large - small < 150e6
