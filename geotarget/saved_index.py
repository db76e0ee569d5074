"""The index of the catalogue in a file that all processes of this machine map: built once for all.

Building an index of 100,000 zones takes seconds and a process's own memory; mapping one takes a
fraction of a second, and its pages are there once for all who map them. So whoever starts first
builds and saves, under a lock of the folder, the others wait for it and map; a restart maps what
the last run left, and takes over by edits what has changed since.

A file is never trusted further than it is proven: beside the index stand key, revision and digest
of each zone as the database had them (the digest covers all that an author can change). Whoever
maps the index compares these with the database and puts every zone anew that differs in any of
them, so a file of another database, of an older state or of a backup that was restored is only
slow. A damaged file, or one of another version, is built again, with a warning in the log.

Costs: `docs/operations.md` has the figures for 100,000 zones. Small catalogues are built:
below `WORTH_IT` zones there is nothing to win.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from geotarget.engine import frozen
from geotarget.engine.zone_index import ZoneIndex
from geotarget.errors import InvalidIndexFile, Problem
from geotarget.model import IntArray, Zone
from geotarget.store.zones import DIGEST_BYTES, ZoneMarks

if sys.platform != "win32":
    import fcntl

log = structlog.get_logger(__name__)

FOLDER = "index"
"""Beside the other data of a machine."""

WORTH_IT = 5_000
"""Zones from which an index is shared."""

EDITS = 0.05
"""Share of the zones that may have changed since an index was saved; beyond it is built anew."""

PATIENCE_S = 120.0
"""How long to wait for the process that builds, before every process builds its own."""

KIND, VERSION = "marks of zones", 1
_COLUMNS = {"key": ("int64", 1), "revision": ("int64", 1), "digest": ("uint8", 2)}


class Zones(Protocol):
    """What is asked of the store."""

    def zone_marks(self) -> ZoneMarks:
        """Return what tells the active zones' states apart."""
        ...

    def zones_of_keys(self, keys: IntArray) -> list[Zone]:
        """Return the zones with these keys, as far as they are there."""
        ...

    def zones(self) -> tuple[list[Zone], list[str]]:
        """Return all zones, and the ids of those that are gone."""
        ...


class _Saved(NamedTuple):
    zones: ZoneIndex
    key: IntArray
    revision: IntArray
    digest: NDArray[np.uint8]


class SavedIndex:
    """The folder of the saved index.

    Parameters
    ----------
    folder
        Made when it is needed. Processes that share it should share the database as well.
    worth_it
        Zones from which an index is shared.
    """

    def __init__(self, folder: Path, *, worth_it: int = WORTH_IT) -> None:
        self._folder = folder
        self._worth_it = worth_it

    def current(self, store: Zones) -> ZoneIndex | None:
        """Return an index of the active zones of a store; None where sharing is of no use.

        It holds every change that was committed before the call, and may hold later ones.
        """
        if sys.platform == "win32":
            return None
        marks = store.zone_marks()
        if len(marks.ids) < self._worth_it:
            return None
        index = self._mapped(store, marks)
        if index is not None:
            return index
        try:
            with self._alone():
                marks = store.zone_marks()  # somebody may have built it while this one waited
                index = self._mapped(store, marks)
                if index is None:
                    self._build(store, marks)
                    index = self._mapped(store, store.zone_marks())
        except OSError as error:
            log.warning("the index can't be shared: every process builds its own", error=str(error))
        return index

    def _mapped(self, store: Zones, marks: ZoneMarks) -> ZoneIndex | None:
        """Return the saved index with what has changed since; None if there is none to begin with.

        The newest file that is sound and near enough.
        """
        for path in sorted(self._folder.glob("*.zones"), key=_revision_of, reverse=True):
            try:
                saved = _read(path)
            except InvalidIndexFile as error:
                log.warning("a saved index is of no use", file=path.name, reason=str(error))
                continue
            changed, gone = _differences(saved, marks)
            if len(changed) + len(gone) <= max(1, EDITS * len(marks.ids)):
                log.info("index mapped", file=path.name, edits=len(changed) + len(gone))
                if not len(changed) and not gone:
                    return saved.zones
                put = [zone for zone in store.zones_of_keys(changed) if zone.active]
                return saved.zones.with_changes(put=put, remove=gone)
        return None

    def _build(self, store: Zones, marks: ZoneMarks) -> None:
        """Build the index, save it, and remove all others."""
        zones = [zone for zone in store.zones()[0] if zone.active]
        known = dict(zip(marks.key.tolist(), range(len(marks.ids)), strict=True))
        digest = np.zeros((len(zones), DIGEST_BYTES), np.uint8)
        for row, zone in enumerate(zones):
            at = known.get(zone.key)
            # what was changed between the two looks keeps zeros, and is put anew when it is mapped
            if at is not None and int(marks.revision[at]) == zone.revision:
                digest[row] = marks.digest[at]
        arrays: dict[str, NDArray[Any]] = {
            "key": np.array([zone.key for zone in zones], np.int64),
            "revision": np.array([zone.revision for zone in zones], np.int64),
            "digest": digest,
        }
        revision = int(arrays["revision"].max(initial=0))
        place = self._folder / f"{revision}-{os.urandom(4).hex()}.zones"
        head = {"zones": len(zones)}
        self._folder.chmod(0o700)
        frozen.write(
            place.with_suffix(".marks"), kind=KIND, version=VERSION, header=head, arrays=arrays
        )
        ZoneIndex.build(zones).save(place)
        for other in self._folder.iterdir():
            if other.suffix in {".zones", ".marks", ".part"} and other.stem != place.stem:
                other.unlink(missing_ok=True)  # who has mapped it keeps it
        log.info("index saved", file=place.name, zones=len(zones))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process of this machine in; the others wait, also when it dies."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        with (self._folder / "lock").open("a") as lock:
            while sys.platform != "win32":
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    pause.wait(0.05)
                else:
                    break
            yield


def _revision_of(path: Path) -> int:
    """Return the revision in the name of a file, to look at the newest first."""
    revision = path.stem.partition("-")[0]
    return int(revision) if revision.isdecimal() else -1


def _read(path: Path) -> _Saved:
    """Map an index and what its zones were in the database.

    Raises
    ------
    InvalidIndexFile
        One of the two files is none, of another version, damaged, or does not belong to the other.
    """
    marks = path.with_suffix(".marks")
    _, arrays = frozen.read(marks, kind=KIND, version=VERSION, columns=_COLUMNS)
    index = ZoneIndex.load(path)
    key, revision, digest = (arrays[name] for name in _COLUMNS)
    fits = np.array_equal(index.keys, key) and np.array_equal(
        index.facts.records["revision"], revision
    )
    if not fits or digest.shape != (len(key), DIGEST_BYTES):
        raise InvalidIndexFile(Problem(str(marks), "", "is of another index"))
    return _Saved(index, key, revision, digest)


def _differences(saved: _Saved, marks: ZoneMarks) -> tuple[IntArray, list[str]]:
    """Return the keys of zones that are not in the index as they are, and the ids that must go."""
    order = np.argsort(saved.key)
    at = np.searchsorted(saved.key, marks.key, sorter=order)
    row = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(at), np.int64)
    if not len(order):
        return marks.key, []
    same = saved.key[row] == marks.key
    same &= saved.revision[row] == marks.revision
    same &= (saved.digest[row] == marks.digest).all(axis=1)
    same &= saved.zones.ids[row] == marks.ids
    stays = np.zeros(len(saved.key), np.bool_)
    stays[row[same]] = True
    kept = set(marks.ids[~same].tolist())
    gone = [id_ for id_ in saved.zones.ids[~stays].tolist() if id_ not in kept]
    return marks.key[~same], gone
