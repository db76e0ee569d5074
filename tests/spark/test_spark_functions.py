"""What runs in a task, without a cluster around it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import geotarget as gt
from geotarget.errors import InvalidInput, InvalidPing
from geotarget.spark import detector, matcher
from geotarget.spark.kernels import first_alone
from geotarget.spark.transitions import whole_devices
from tests.conftest import REPOSITORY
from tests.spark.town import town, walkers


def batches(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    return table.combine_chunks().to_batches(max_chunksize=rows)


@pytest.mark.parametrize("stretch", [1, 700, 10**6])
def test_however_rows_are_cut_the_transitions_are_the_same(stretch: int) -> None:
    """Batches of 333 rows, in stretches of a part of a device, of some, of all."""
    zones, pings = town(), walkers(40, 200)
    expected = gt.detect_transitions(pings, zones, dwell_s=[60], until=2e9)
    ordered = pings.sort_by([("device", "ascending"), ("ts", "ascending")])
    function = detector(zones, dwell_s=[60], until=2e9)
    function = type(function)(function.zones, None, (60,), 2e9, stretch)
    found = pa.Table.from_batches(function(batches(ordered, 333))).cast(expected.schema)
    assert expected.num_rows > 300
    assert expected.sort_by("event").equals(found.sort_by("event"))


def test_pings_of_one_time_are_never_parted() -> None:
    """A device with many pings of one time: they come in one stretch, however long it gets."""
    rows = pa.record_batch({"device": ["a"] * 9, "ts": [1, 2, 2, 2, 2, 2, 2, 3, 3]})
    parts = [rows.slice(at, 1) for at in range(9)]
    found = [(part["ts"].to_pylist(), whole) for part, whole in whole_devices(parts, 2)]
    assert found == [([1], False), ([2] * 6, False), ([3, 3], True)]


def test_no_rows_no_answer() -> None:
    """A partition without rows gives none."""
    assert list(matcher(town(), ["device"])([])) == []
    assert list(detector(town())([])) == []


def test_a_bad_row_is_named_with_what_to_do() -> None:
    """Latitude 95, no coordinate, no device, a time in milliseconds."""
    good = {"device": ["a"], "ts": [1.0], "lng": [24.9], "lat": [60.1]}
    with pytest.raises(InvalidPing, match=r"lat: latitude .*is_ping\(df, lng=…, lat=…\)\) \(95"):
        list(matcher(town(), ["device"])([pa.record_batch(good | {"lat": [95.0]})]))
    missing = pa.array([None], pa.float64())
    with pytest.raises(InvalidPing, match=r"lng: longitude .*is_ping.* \(null\)"):
        list(matcher(town(), ["device"])([pa.record_batch(good | {"lng": missing})]))
    for wrong in (
        {"device": pa.array([None], pa.string())},
        {"ts": missing},
        {"ts": [1.7e12]},
        {"lat": [95.0]},
    ):
        (name,) = wrong
        with pytest.raises(InvalidPing, match=rf"{name}.*is_ping\(df, .*ts=…\)"):
            list(detector(town())([pa.record_batch(good | wrong)]))


def test_a_name_is_added_only_where_it_is_free() -> None:
    """Neither the zone's nor the distance's column may be there already."""
    with pytest.raises(InvalidInput, match=r"zone_id.*found: device, zone_id"):
        matcher(town(), ["device", "zone_id"])
    with pytest.raises(InvalidInput, match="found: device, zone_id"):
        matcher(town(), ["device"], distance_column="zone_id")
    with pytest.raises(InvalidInput, match="matched, all"):
        matcher(town(), ["device"], keep="some")


def _second(folder: Path, started: Event, order: str) -> None:
    started.set()
    with first_alone("work", folder), (folder / order).open("a") as file:
        file.write("second ")


def test_one_process_does_it_first_while_others_wait(tmp_path: Path) -> None:
    """The second process comes after the first one is done; once done, nobody waits."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    other = context.Process(target=_second, args=(tmp_path, started, "order"))
    with first_alone("work", tmp_path):
        other.start()
        assert started.wait(60)
        other.join(0.5)
        assert other.is_alive()  # it waits
        (tmp_path / "order").write_text("first ")
    other.join(60)
    assert (tmp_path / "order").read_text() == "first second "
    with first_alone("work", tmp_path), first_alone("work", tmp_path):
        pass


def test_whoever_fails_leaves_it_to_the_next(tmp_path: Path) -> None:
    """What failed does not count as done."""
    with pytest.raises(ZeroDivisionError), first_alone("work", tmp_path):
        raise ZeroDivisionError
    assert not (tmp_path / "geotarget-kernels.work").exists()
    with first_alone("work", tmp_path):
        pass
    assert (tmp_path / "geotarget-kernels.work").exists()


KEPT = """
import sys
from pathlib import Path
from geotarget.spark.kernels import keep_kernels
assert keep_kernels(Path(sys.argv[1])), "numba found a place of its own"
from geotarget.engine import cells
cells.cells_at(lng=[24.9], lat=[60.2], resolution=9)
"""


def test_machine_code_goes_to_the_executor_where_nothing_else_can_be_written(
    tmp_path: Path,
) -> None:
    """A user without a home, a package that it can't write to: the given folder takes it."""
    package, kept = tmp_path / "installed" / "geotarget", tmp_path / "executor"
    left_out = shutil.ignore_patterns("docs", "console", "demo", "__pycache__")
    shutil.copytree(REPOSITORY / "geotarget", package, ignore=left_out)
    for folder in (package, *(path for path in package.rglob("*") if path.is_dir())):
        (folder / "__pycache__").touch()  # nobody, not even root, makes a folder of a file
    subprocess.run(
        [sys.executable, "-B", "-c", KEPT, str(kept)],
        env={"PYTHONPATH": str(package.parent), "HOME": "/dev/null", "PATH": os.defpath},
        cwd=package.parent,
        check=True,
    )
    assert [path for path in kept.rglob("*.nbc") if "cell" in path.name]


def test_the_town_is_the_same_every_time() -> None:
    """Seeded data: what tests compare is what they compared yesterday."""
    assert walkers(3, 5).equals(walkers(3, 5))
    assert np.array_equal(town().keys, town().keys)
