"""Secrets at rest: a copy of the database alone is of no use for signing."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from geotarget.errors import SettingsError, StoreError
from geotarget.model import Endpoint
from geotarget.store import Store

TOKEN = "Bearer tok-4711-hush"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENDPOINT = Endpoint("crm", "https://example.org/hook", SECRET, headers={"Authorization": TOKEN})
ONE, TWO = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


def written(folder: Path) -> bytes:
    """Return everything that stands in the database and its log."""
    return b"".join(path.read_bytes() for path in folder.glob("store.db*"))


def test_secrets_are_not_in_the_database(url: str, tmp_path: Path) -> None:
    """Neither the current one nor the one before it, nor headers; who opens it gets them."""
    with Store.open(url) as store:
        store.put_endpoint(ENDPOINT)
        store.rotate_secret("crm", SECRET[:-4] + "AAAA", until_ms=1 << 50)
        assert SECRET[6:-4].encode() not in written(tmp_path)
        assert b"tok-4711" not in written(tmp_path)
        assert "tok-4711" not in repr(store.audit_page().items)
    with Store.open(url) as store:
        stored = store.endpoint("crm")
        assert stored is not None
        assert (SECRET[:-4] + "AAAA", SECRET) == (stored.secret, stored.previous_secret)
        assert {"Authorization": TOKEN} == stored.headers
        assert SECRET[6:-4] not in repr(stored)
        assert TOKEN not in repr(stored)


def test_the_key_is_made_once_and_for_its_owner_only(url: str, tmp_path: Path) -> None:
    """Beside the database, unless the operator gives one."""
    with Store.open(url):
        key = (tmp_path / "secret.key").read_bytes()
    assert 0o600 == (tmp_path / "secret.key").stat().st_mode & 0o777
    with Store.open(url):
        assert key == (tmp_path / "secret.key").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    with Store.open(f"sqlite:///{other / 'store.db'}", secret_key=ONE):
        assert not (other / "secret.key").exists()


def test_secrets_of_an_older_version_are_encrypted_at_the_first_start(
    url: str, tmp_path: Path
) -> None:
    """What was plain is overwritten, in the write-ahead log too.

    `r0002.sql` is a dump of what a version without encryption wrote.
    """
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((Path(__file__).parent / "r0002.sql").read_text())
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("DELETE FROM endpoint")
        old.execute(
            "INSERT INTO endpoint VALUES ('crm', 1, 'https://e', ?, '', NULL, '')", (SECRET,)
        )
        old.commit()
        assert SECRET.encode() in written(tmp_path)
    with Store.open(url) as store:
        assert SECRET[6:].encode() not in written(tmp_path)
        stored = store.endpoint("crm")
        assert stored is not None
        assert SECRET == stored.secret


def test_a_wrong_or_missing_key_is_named(url: str, tmp_path: Path) -> None:
    """The message says what to do, and shows no key."""
    with Store.open(url, secret_key=ONE) as store:
        store.put_endpoint(ENDPOINT)
    with pytest.raises(StoreError, match=r"store\.db are encrypted under another key") as wrong:
        Store.open(url, secret_key=TWO)
    assert TWO not in str(wrong.value)
    with pytest.raises(StoreError, match=r"their key is missing: set GEOTARGET_SECRET_KEY, or put"):
        Store.open(url)
    assert not (tmp_path / "secret.key").exists()
    (tmp_path / "secret.key").write_text(TWO)
    with pytest.raises(StoreError, match=r"another key than that of secret\.key"):
        Store.open(url)
    with Store.open(url, secret_key=ONE) as store:
        assert store.endpoint("crm") is not None


@pytest.mark.parametrize("key", ["hush", ONE[:-4], f"{ONE},hush", f"{ONE}{ONE}", "é" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(database_url: str, key: str) -> None:
    """Which one of several, and what it must be."""
    with pytest.raises(
        SettingsError, match=r"GEOTARGET_SECRET_KEY\[\d\]: must be the Base64"
    ) as no:
        Store.open(database_url, secret_key=key)
    assert "hush" not in str(no.value)


def test_the_key_is_changed_by_naming_both(database_url: str) -> None:
    """With `new,old` everything is encrypted anew; then the old one is of no use."""
    with Store.open(database_url, secret_key=ONE) as store:
        store.put_endpoint(ENDPOINT)
        store.put_endpoint(Endpoint("bare", "https://example.org/hook", SECRET))
    with Store.open(database_url, secret_key=f"{TWO},{ONE}"):
        pass
    with Store.open(database_url, secret_key=TWO) as store:
        bare, stored = store.endpoints()
        assert (SECRET, {"Authorization": TOKEN}) == (stored.secret, stored.headers)
        assert (SECRET, {}) == (bare.secret, bare.headers)
    with pytest.raises(StoreError, match="another key"):
        Store.open(database_url, secret_key=ONE)


def test_a_damaged_secret_is_named(url: str, tmp_path: Path) -> None:
    """Not what is left of it."""
    with Store.open(url) as store:
        store.put_endpoint(ENDPOINT)
    with closing(sqlite3.connect(tmp_path / "store.db")) as raw:
        raw.execute("UPDATE endpoint SET secret = 'gAAAA' || secret")
        raw.commit()
    with Store.open(url) as store, pytest.raises(StoreError, match="damaged"):
        store.endpoints()


def test_of_processes_that_start_at_once_one_makes_the_key(url: str, tmp_path: Path) -> None:
    """All of them read what each of them wrote."""
    code = (
        "import sys; from geotarget.store import Store; from geotarget.model import Endpoint\n"
        "sys.stdin.readline()\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    store.put_endpoint(Endpoint(sys.argv[2], 'https://e', 'whsec_x'))\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, url, name], stdin=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=60)
        assert 0 == child.returncode
    with Store.open(url) as store:
        assert ["whsec_x"] * 3 == [each.secret for each in store.endpoints()]
    assert {"secret.key", "store.db"} >= {
        each.name for each in tmp_path.iterdir() if not each.name.startswith("store.db-")
    }


def test_a_throw_away_database_leaves_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secrets go with it."""
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite://") as store:
        store.put_endpoint(ENDPOINT)
        assert ENDPOINT.secret == store.endpoints()[0].secret
    assert [] == list(tmp_path.iterdir())


def test_a_key_that_everybody_may_read_is_warned_of(url: str, tmp_path: Path) -> None:
    """At each start, with the file and what to do; a key as it was made is not."""
    with capture_logs() as logs, Store.open(url):
        pass
    assert [] == [each for each in logs if each["log_level"] == "warning"]
    (tmp_path / "secret.key").chmod(0o644)
    with capture_logs() as logs, Store.open(url):
        pass
    warnings = [each for each in logs if each["log_level"] == "warning"]
    assert ["everybody on this machine may read a key"] == [each["event"] for each in warnings]
    assert f"chmod 600 {tmp_path / 'secret.key'}" == warnings[0]["do"]
