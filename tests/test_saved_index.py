"""The saved index: built once for all processes, never believed further than it is proven."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from structlog.testing import capture_logs

from geotarget.engine import frozen
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import Zone
from geotarget.saved_index import EDITS, SavedIndex
from geotarget.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="indexes are shared on POSIX only")

MANY = 60


@pytest.fixture
def store() -> Iterator[Store]:
    """A database with some zones, one of them inactive, one deleted."""
    with Store.open("sqlite://") as opened:
        opened.put_zones([zone(number) for number in range(MANY + 2)])
        opened.put_zones([replace(zone(MANY), active=False)])
        opened.delete_zones([f"z{MANY + 1}"])
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it is saved."""
    return tmp_path / "index"


def zone(number: int, *, east: float = 0.0) -> Zone:
    """Return one of many zones, each a square of its own."""
    lng = 20 + number * 0.01 + east
    return Zone(
        id=f"z{number}",
        name=f"Zone {number}",
        geometry=shapely.box(lng, 60, lng + 0.01, 60.01),
        tags=("odd",) if number % 2 else (),
    )


def current(folder: Path, store: Store) -> ZoneIndex:
    """Return the index that a process would get."""
    index = SavedIndex(folder, worth_it=10).current(store)
    assert index is not None
    return index


def saved(folder: Path, suffix: str = ".zones") -> Path:
    """Return the file of the index."""
    (path,) = folder.glob(f"*{suffix}")
    return path


def same(index: ZoneIndex, store: Store) -> None:
    """Assert that an index holds just the active zones of the database."""
    wanted = {each.id: each for each in store.zones()[0] if each.active}
    assert {each.id: each for each in index.zones} == wanted
    there = list(wanted)
    x = [wanted[id_].geometry.centroid.x for id_ in there]
    ping, place = index.query(lng=x, lat=[60.005] * len(x))
    assert ping.tolist() == list(range(len(there)))
    assert index.ids[place].tolist() == there


def warned(entries: list[dict[str, object]]) -> list[object]:
    """Return what was warned of."""
    return [each["event"] for each in entries if each["log_level"] == "warning"]


def test_the_first_builds_and_the_others_map(folder: Path, store: Store) -> None:
    """One file, made once; whoever comes later maps it."""
    same(current(folder, store), store)
    before = saved(folder).stat()
    with capture_logs() as entries:
        same(current(folder, store), store)
    assert [each["event"] for each in entries] == ["index mapped"]
    after = saved(folder).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_small_catalogues_are_not_shared(folder: Path, store: Store) -> None:
    """Below the bound there is no file."""
    assert SavedIndex(folder, worth_it=MANY + 1).current(store) is None
    assert not folder.exists()


def test_what_changed_since_is_put_on_top(folder: Path, store: Store) -> None:
    """A few edits: the same file. Edited, deleted, switched off, made anew, added."""
    same(current(folder, store), store)
    file = saved(folder)
    store.put_zones([zone(3, east=0.001)])
    same(current(folder, store), store)
    store.delete_zones(["z3"])
    same(current(folder, store), store)
    store.put_zones([zone(3)])
    same(current(folder, store), store)
    store.put_zones([replace(zone(4), active=False)])
    same(current(folder, store), store)
    assert saved(folder) == file


def test_many_changes_make_a_new_file(folder: Path, store: Store) -> None:
    """The old one goes; whoever has it mapped goes on with it."""
    first = current(folder, store)
    old = saved(folder)
    store.put_zones([zone(number, east=0.001) for number in range(int(EDITS * MANY) + 2)])
    same(current(folder, store), store)
    assert not old.exists()
    assert saved(folder) != old
    assert first.ids[first.query(lng=[20.0005], lat=[60.005])[1]].tolist() == ["z0"]


def test_of_another_database_nothing_is_believed(folder: Path, store: Store) -> None:
    """The same ids, keys and revisions, but other outlines: as after a backup was restored."""
    current(folder, store)
    with Store.open("sqlite://") as other:
        other.put_zones([zone(number, east=0.002) for number in range(MANY + 2)])
        other.put_zones([replace(zone(MANY), active=False)])
        other.delete_zones([f"z{MANY + 1}"])
        same(current(folder, other), other)
        one = zone(7)
        other.put_zones([one])
        current(folder, store)
        same(current(folder, other), other)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _older(path: Path) -> None:
    """Write it as another version of the format would."""
    data = path.read_bytes()
    kind = "zone index" if path.suffix == ".zones" else "marks of zones"
    version = 2 if path.suffix == ".zones" else 1
    header, arrays = frozen.read(path, kind=kind, version=version)
    copies = {name: np.array(array) for name, array in arrays.items()}
    frozen.write(path, kind=kind, version=version - 1, header=header, arrays=copies)
    assert path.read_bytes() != data


@pytest.mark.parametrize("suffix", [".zones", ".marks"])
@pytest.mark.parametrize("harm", [_truncate, _flip, _empty, _older, Path.unlink])
def test_a_file_that_is_of_no_use_is_made_again(
    folder: Path, store: Store, suffix: str, harm: Callable[[Path], None]
) -> None:
    """Damaged, cut off, of another version, gone: a warning, a new file, never a wrong answer."""
    current(folder, store)
    harm(saved(folder, suffix))
    gone = harm is Path.unlink and suffix == ".zones"
    with capture_logs() as entries:
        same(current(folder, store), store)
    assert set(warned(entries)) == (set() if gone else {"a saved index is of no use"})
    with capture_logs() as entries:
        same(current(folder, store), store)
    assert warned(entries) == []


def test_marks_of_another_index_are_noticed(folder: Path, store: Store) -> None:
    """Two sound files that do not belong together."""
    current(folder, store)
    marks = saved(folder, ".marks").read_bytes()
    with Store.open("sqlite://") as other:
        other.put_zones([zone(number) for number in range(20)])
        current(folder, other)
        saved(folder, ".marks").write_bytes(marks)
        with capture_logs() as entries:
            same(current(folder, other), other)
    assert "a saved index is of no use" in warned(entries)


def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path: Path, store: Store) -> None:
    """Every process builds its own then, and says why."""
    (tmp_path / "file").write_text("")
    with capture_logs() as entries:
        assert SavedIndex(tmp_path / "file" / "index", worth_it=10).current(store) is None
    assert warned(entries) == ["the index can't be shared: every process builds its own"]


BUILD = """
import sys
from pathlib import Path
from geotarget.saved_index import SavedIndex
from geotarget.store import Store
with Store.open(sys.argv[1]) as store:
    sys.stdin.readline()
    index = SavedIndex(Path(sys.argv[2]), worth_it=10).current(store)
    print(len(index), flush=True)
"""


def test_processes_that_start_together_build_one(tmp_path: Path, folder: Path) -> None:
    """Two at once: one builds, the other waits and maps."""
    url = f"sqlite:///{tmp_path / 'geotarget.db'}"
    with Store.open(url) as store:
        store.put_zones([zone(number) for number in range(MANY)])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, url, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate(timeout=120)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert sum(text.count("index saved") for text in told) == 1
    assert all(text.splitlines()[-1] == str(MANY) for text in told)
    assert sorted(each.suffix for each in folder.iterdir()) == ["", ".marks", ".zones"]
