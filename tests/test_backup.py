"""Backups: one state of a busy database, whole or not at all, and back to where it was."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from geotarget.backup import database_file, restore, take
from geotarget.errors import Conflict, InvalidInput, StoreError
from geotarget.model import BatchWrite, Endpoint
from geotarget.store import Store, current_revision, sqlite_driver
from geotarget.store.schema import head
from tests.conftest import REPOSITORY
from tests.store.records import decision, delivery, transition

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DEADLINE_S = 60.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a data folder whose database holds a little of everything, and an endpoint's secret."""
    folder = tmp_path / "data"
    folder.mkdir()
    with Store.open(f"sqlite:///{folder / 'geotarget.db'}") as store:
        store.put_endpoint(Endpoint("crm", "https://crm.example/hooks", SECRET), by="ops")
        write(store, 0, 300)
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Make an empty data folder."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def write(store: Store, first: int, count: int) -> None:
    """Commit so many transitions, each with a decision and a delivery, in one transaction."""
    numbers = range(first, first + count)
    store.write_batch(
        BatchWrite(
            transitions=[transition(number) for number in numbers],
            decisions=[decision(number) for number in numbers],
            deliveries=[delivery(number) for number in numbers],
        )
    )


def rows(file: Path) -> dict[str, int]:
    """Count rows with a connection that may write nothing."""
    with closing(sqlite_driver().connect(f"file:{file}?mode=ro", uri=True)) as opened:
        return {
            table: opened.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("transition", "decision", "delivery", "delivery_body")
        }


def keys_in(folder: Path) -> dict[str, Path]:
    """Name the keys of a data folder."""
    return {"secret.key": folder / "secret.key", "device.key": folder / "device.key"}


@pytest.fixture
def writer(data: Path) -> Iterator[list[int]]:
    """Commit as fast as it goes, as another connection; tells how many were committed."""
    committed = [300]
    stop = threading.Event()

    def work() -> None:
        with Store.open(f"sqlite:///{data / 'geotarget.db'}") as store:
            while not stop.is_set():
                write(store, committed[0], 5)
                committed[0] += 5

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield committed
    finally:
        stop.set()
        thread.join(DEADLINE_S)


def test_a_backup_is_one_state_while_others_write(
    data: Path, tmp_path: Path, writer: list[int]
) -> None:
    """Everything committed before is in it, batches are in it whole, and writers go on."""
    during: list[int] = []
    before = writer[0]
    taken = take(
        data / "geotarget.db",
        tmp_path / "b.db",
        progress=lambda _done, _total: during.append(writer[0]),
    )
    after = writer[0]
    found = rows(taken.file)
    assert len(set(found.values())) == 1
    assert before <= found["transition"] <= after
    assert (found["transition"] - 300) % 5 == 0
    assert taken.contents.counts["transitions"] == found["transition"]
    assert taken.contents.counts["deliveries_pending"] == found["delivery"]
    assert taken.contents.audit is not None
    assert (1, "") == (taken.contents.audit.entries, taken.contents.audit.broken)
    assert during


def test_a_backup_ends_although_there_is_a_commit_between_any_two_steps(
    data: Path, tmp_path: Path
) -> None:
    """Its steps see the state of the first moment, so it never has to begin anew."""
    with Store.open(f"sqlite:///{data / 'geotarget.db'}") as store:
        for first in range(1_000, 13_000, 1_000):
            write(store, first, 1_000)
        committed = 20_000
        seen: list[tuple[int, int]] = []

        def commit(done: int, total: int) -> None:
            nonlocal committed
            seen.append((done, total))
            write(store, committed, 5)
            committed += 5

        taken = take(data / "geotarget.db", tmp_path / "b.db", progress=commit)
    assert len(seen) > 3
    assert len({total for _, total in seen}) == 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert 12_300 == rows(taken.file)["transition"]


def test_a_backup_is_one_file_for_its_owner(data: Path, tmp_path: Path) -> None:
    """There is nothing beside it, others can't read it, and it opens where nobody may write."""
    folder = tmp_path / "backups"
    folder.mkdir()
    taken = take(data / "geotarget.db", folder / "b.db", keys=keys_in(data))
    assert {"b.db", "b.db.secret.key"} == {each.name for each in folder.iterdir()}
    assert (folder / "b.db.secret.key",) == taken.keys
    for each in folder.iterdir():
        assert 0o600 == stat.S_IMODE(each.stat().st_mode)
        each.chmod(0o400)
    folder.chmod(0o500)
    assert 300 == rows(folder / "b.db")["delivery"]
    folder.chmod(0o700)


def test_an_interrupted_backup_leaves_nothing(data: Path, tmp_path: Path) -> None:
    """Not even when an older one of its name was to be replaced."""
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    older = taken.file.read_bytes()

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(data / "geotarget.db", tmp_path / "b.db", overwrite=True, progress=interrupt)
    assert older == taken.file.read_bytes()
    assert {"data", "b.db"} == {each.name for each in tmp_path.iterdir()}


def test_a_backup_replaces_an_older_one_only_when_told_to(data: Path, tmp_path: Path) -> None:
    """And the database itself never."""
    take(data / "geotarget.db", tmp_path / "b.db")
    with pytest.raises(Conflict, match="exists already"):
        take(data / "geotarget.db", tmp_path / "b.db")
    take(data / "geotarget.db", tmp_path / "b.db", overwrite=True)
    with pytest.raises(Conflict, match="is the database itself"):
        take(data / "geotarget.db", data / "geotarget.db", overwrite=True)
    with pytest.raises(InvalidInput, match="does not exist"):
        take(data / "other.db", tmp_path / "c.db")
    with pytest.raises(InvalidInput, match="the folder of the backup"):
        take(data / "geotarget.db", tmp_path / "nowhere" / "c.db")


def damage(file: Path) -> None:
    """Overwrite a page in the midst of a file."""
    with file.open("r+b") as opened:
        opened.seek((file.stat().st_size // 8192) * 4096)
        opened.write(b"\xff" * 4096)


def test_a_damaged_database_gives_no_backup(data: Path, tmp_path: Path) -> None:
    """It is found while it is taken, and the last good one keeps its name."""
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    good = taken.file.read_bytes()
    damage(data / "geotarget.db")
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        take(data / "geotarget.db", tmp_path / "b.db", overwrite=True)
    assert good == taken.file.read_bytes()


def test_what_was_backed_up_is_there_again(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """In a new folder, with its keys: secrets open, history, outbox and audit log are whole."""
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    done = restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere))
    assert ((), ("secret.key",), None) == (done.missing, done.keys, done.replaced)
    assert head() == done.came_as == done.contents.revision
    assert {"geotarget.db", "secret.key"} == {each.name for each in elsewhere.iterdir()}
    assert 0o600 == stat.S_IMODE((elsewhere / "geotarget.db").stat().st_mode)
    with (
        Store.open(f"sqlite:///{data / 'geotarget.db'}") as one,
        Store.open(f"sqlite:///{elsewhere / 'geotarget.db'}", migrate=False) as other,
    ):
        assert one.counts() == other.counts()
        assert one.endpoints() == other.endpoints()
        assert SECRET == other.endpoints()[0].secret
        assert one.transitions_page(limit=1000).items == other.transitions_page(limit=1000).items
        (restored, *rest) = other.audit_page().items
        assert ("database.restore", "b.db", {"entries": 1}) == (
            restored.action, restored.subject, restored.detail,
        )  # fmt: skip
        assert one.audit_page().items == rest
        assert (2, "") == (other.verify_audit().entries, other.verify_audit().broken)


def test_a_missing_key_is_told(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """The database is put back all the same; the right key, put there later, is all it takes."""
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    done = restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere))
    (said,) = done.missing
    assert "their key is missing" in said
    url = f"sqlite:///{elsewhere / 'geotarget.db'}"
    with pytest.raises(StoreError, match="their key is missing"):
        Store.open(url)
    shutil.copy(data / "secret.key", elsewhere)
    with Store.open(url) as store:
        assert SECRET == store.endpoints()[0].secret


def test_another_key_is_told_and_not_replaced_unasked(
    data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """The key of something else stays, unless the backup's own is to take its place."""
    (elsewhere / "secret.key").write_bytes(base64.b64encode(bytes(32)))
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    with pytest.raises(Conflict, match="is another key than"):
        restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere))
    assert ["secret.key"] == [each.name for each in elsewhere.iterdir()]
    bare = take(data / "geotarget.db", tmp_path / "bare.db")
    done = restore(bare.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere))
    assert ["are encrypted under another key" in each for each in done.missing] == [True]
    done = restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere), force=True)
    assert () == done.missing


def test_a_database_that_is_there_is_moved_away_only_when_told_to(
    data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """It stays whole under another name, with what was committed last."""
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    with Store.open(f"sqlite:///{elsewhere / 'geotarget.db'}") as store:
        store.write_batch(BatchWrite(transitions=[transition(7)]))
    with pytest.raises(Conflict, match="exists: --force moves it away"):
        restore(taken.file, elsewhere / "geotarget.db", keys={})
    done = restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere), force=True)
    assert done.replaced is not None
    assert 1 == rows(done.replaced)["transition"]
    assert 300 == rows(elsewhere / "geotarget.db")["transition"]


def test_a_database_in_use_is_not_replaced(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Not even with force: the process would go on writing into what was moved away."""
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    with Store.open(f"sqlite:///{elsewhere / 'geotarget.db'}") as store:
        store.write_batch(BatchWrite(transitions=[transition(7)]))
        with pytest.raises(StoreError, match="is in use: stop geotarget first"):
            restore(taken.file, elsewhere / "geotarget.db", keys={}, force=True)
        store.write_batch(BatchWrite(transitions=[transition(8)]))
        assert 2 == store.counts().transitions


@pytest.mark.parametrize("place", ["in its midst", "at its head"])
def test_a_damaged_database_can_be_replaced(
    data: Path, elsewhere: Path, tmp_path: Path, place: str
) -> None:
    """That is what a backup is for."""
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    target = elsewhere / "geotarget.db"
    if place == "at its head":
        target.write_bytes(b"\xff" * 40_960)
        target.with_name("geotarget.db-wal").write_bytes(b"\xff" * 4_096)
    else:
        shutil.copy(data / "geotarget.db", target)
        damage(target)
    broken = target.read_bytes()
    done = restore(taken.file, target, keys=keys_in(elsewhere), force=True)
    assert done.replaced is not None
    assert len(broken) == done.replaced.stat().st_size
    with Store.open(f"sqlite:///{target}", migrate=False) as store:
        assert 300 == store.counts().transitions


def test_a_log_without_its_database_is_in_the_way(
    data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """SQLite would write it into the database that is put there; so it is moved away, too."""
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    target = elsewhere / "geotarget.db"
    with Store.open(f"sqlite:///{target}") as store:
        store.write_batch(BatchWrite(transitions=[transition(7)]))
        shutil.copy(elsewhere / "geotarget.db-wal", tmp_path / "left")
    target.unlink()
    (elsewhere / "secret.key").unlink()
    shutil.move(tmp_path / "left", elsewhere / "geotarget.db-wal")
    with pytest.raises(Conflict, match=r"geotarget\.db-wal exists"):
        restore(taken.file, target, keys=keys_in(elsewhere))
    done = restore(taken.file, target, keys=keys_in(elsewhere), force=True)
    assert (None, ()) == (done.replaced, done.missing)
    assert 300 == rows(target)["transition"]
    (left,) = elsewhere.glob("geotarget.db.before-*-wal")
    assert left.stat().st_size > 0


def test_what_is_put_back_belongs_to_the_owner_of_the_folder(
    data: Path, elsewhere: Path, tmp_path: Path
) -> None:
    """Also when root does it: the process that opens it afterwards is another user's."""
    if os.geteuid() == 0:
        os.chown(elsewhere, 65534, 65534)
    taken = take(data / "geotarget.db", tmp_path / "b.db", keys=keys_in(data))
    done = restore(taken.file, elsewhere / "geotarget.db", keys=keys_in(elsewhere))
    for each in (done.database, elsewhere / "secret.key"):
        assert elsewhere.stat().st_uid == each.stat().st_uid
        assert elsewhere.stat().st_gid == each.stat().st_gid
        assert 0o600 == stat.S_IMODE(each.stat().st_mode)


def test_a_damaged_backup_changes_nothing(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Nor does a file that is no database, or one of something else."""
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    damage(taken.file)
    (tmp_path / "text.db").write_text("a shopping list\n" * 400)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.executescript("CREATE TABLE shopping (item TEXT);")
    for name, said in {
        "b.db": "damaged|malformed",
        "text.db": "file is not a database",
        "other.db": "is no database of geotarget",
    }.items():
        with pytest.raises(StoreError, match=said):
            restore(tmp_path / name, elsewhere / "geotarget.db", keys={})
        assert [] == list(elsewhere.iterdir())
    with pytest.raises(InvalidInput, match="does not exist"):
        restore(tmp_path / "none.db", elsewhere / "geotarget.db", keys={})


def test_an_older_backup_is_brought_to_this_version(elsewhere: Path, tmp_path: Path) -> None:
    """A copy of it is; the backup itself stays as it was, for the older version."""
    backup = tmp_path / "b.db"
    with closing(sqlite3.connect(backup)) as old:
        old.executescript((REPOSITORY / "tests" / "store" / "r0005.sql").read_text())
    before = backup.read_bytes()
    key = base64.b64encode(bytes(range(32))).decode()
    done = restore(backup, elsewhere / "geotarget.db", keys={}, secret_key=key)
    assert ("0005", head(), ()) == (done.came_as, done.contents.revision, done.missing)
    assert before == backup.read_bytes()
    with Store.open(
        f"sqlite:///{elsewhere / 'geotarget.db'}", migrate=False, secret_key=key
    ) as store:
        assert 4 == len(store.transitions_page().items)
        assert (6, "") == (store.verify_audit().entries, store.verify_audit().broken)


def test_a_newer_backup_is_refused(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """It says what to install; a backup of such a database can be taken all the same."""
    with closing(sqlite_driver().connect(data / "geotarget.db")) as file, file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
    taken = take(data / "geotarget.db", tmp_path / "b.db")
    assert ("9999", None) == (taken.contents.revision, taken.contents.audit)
    with pytest.raises(StoreError, match=r"b\.db is newer than this geotarget.*9999"):
        restore(taken.file, elsewhere / "geotarget.db", keys={})
    assert [] == list(elsewhere.iterdir())
    assert "9999" == current_revision(f"sqlite:///{taken.file}")


@pytest.mark.parametrize(
    "url",
    ["postgresql://geo:hidden@db/geotarget", "postgresql+psycopg://geo:hidden@db/geotarget"],
)
def test_postgresql_has_its_own_tools(url: str) -> None:
    """The message names them, and no password."""
    with pytest.raises(InvalidInput, match="pg_dump --format=custom") as refused:
        database_file(url)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://db/geotarget", "?"])
def test_what_is_no_file_can_not_be_copied(url: str) -> None:
    """And the message says what to write."""
    with pytest.raises(InvalidInput, match="write sqlite:///path"):
        database_file(url)
