"""``geotarget backup`` and ``geotarget restore``: what they say, and their exit statuses."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from geotarget.store import Store, sqlite_driver
from tests.test_cli import geotarget


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a data folder with one change in its audit log."""
    folder = tmp_path / "data"
    made = geotarget("keys", "create", "crm", "--scope", "pings:write", "--data", folder)
    assert made.returncode == 0
    return folder


def test_a_backup_says_what_it_holds_and_what_it_does_not(data: Path, tmp_path: Path) -> None:
    """Size, revision, counts, the last digest; and that the key is somewhere else."""
    said = geotarget("backup", tmp_path / "b.db", "--data", data)
    assert (said.returncode, said.stderr) == (0, "")
    first, key, rest, audit, digest = said.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'b.db'}: ")
    assert "0 transitions, 0 webhooks that wait; copied in" in first
    assert key.startswith(f"NOT in it: {data / 'secret.key'}; without a copy")
    assert "pings that still wait in the broker" in rest
    assert audit == "audit log: 1 entries, unbroken; the last digest is"
    assert digest == geotarget("audit", "verify", "--quiet", "--data", data).stdout.strip()
    assert not (tmp_path / "b.db.secret.key").exists()


def test_keys_go_beside_it_on_request(data: Path, tmp_path: Path) -> None:
    """All that a data folder has; and a restore puts them back."""
    (data / "device.key").write_bytes((data / "secret.key").read_bytes())
    said = geotarget("backup", tmp_path / "b.db", "--keys", "--data", data)
    assert said.returncode == 0
    for name in ("secret.key", "device.key"):
        assert f"key beside it: {tmp_path / f'b.db.{name}'}" in said.stdout
        assert (tmp_path / f"b.db.{name}").read_bytes() == (data / name).read_bytes()
    other = tmp_path / "other"
    said = geotarget("restore", tmp_path / "b.db", "--data", other)
    assert (said.returncode, said.stderr) == (0, "")
    assert "put back: secret.key" in said.stdout
    assert "put back: device.key" in said.stdout
    assert "0 webhooks that wait go out" in said.stdout
    assert geotarget("keys", "list", "--data", other).returncode == 0
    verified = geotarget("audit", "verify", "--data", other)
    assert verified.stdout.startswith("2 entries, unbroken")


def test_a_key_of_the_setting_is_named(data: Path, tmp_path: Path) -> None:
    """It is nowhere in the data folder, and the restore needs it, too."""
    key = (data / "secret.key").read_text().strip()
    (data / "secret.key").unlink()
    said = geotarget("backup", tmp_path / "b.db", "--data", data, GEOTARGET_SECRET_KEY=key)
    assert said.returncode == 0
    assert "the key of the secrets is in GEOTARGET_SECRET_KEY" in said.stdout
    assert key not in said.stdout
    said = geotarget("restore", tmp_path / "b.db", "--data", tmp_path / "other")
    assert said.returncode == 1
    assert "missing: the secrets in geotarget.db are encrypted and their key is missing: set " in (
        said.stderr
    )
    said = geotarget(
        *("restore", tmp_path / "b.db", "--force", "--data", tmp_path / "other"),
        GEOTARGET_SECRET_KEY=key,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert f"what was there before: {tmp_path / 'other' / 'geotarget.db.before-'}" in said.stdout


def test_what_would_be_replaced_is_refused(data: Path, tmp_path: Path) -> None:
    """By either command, with status 2."""
    assert geotarget("backup", tmp_path / "b.db", "--data", data).returncode == 0
    said = geotarget("backup", tmp_path / "b.db", "--data", data)
    assert (said.returncode, said.stdout) == (2, "")
    assert "exists already: name another file, or give --force" in said.stderr
    said = geotarget("restore", tmp_path / "b.db", "--data", data)
    assert (said.returncode, said.stdout) == (2, "")
    assert "--force moves it away and puts the backup in its place" in said.stderr
    said = geotarget("backup", tmp_path / "c.db", "--data", tmp_path / "nowhere")
    assert (said.returncode, said.stdout) == (2, "")
    assert "does not exist" in said.stderr


def test_a_database_in_use_is_status_1(data: Path, tmp_path: Path) -> None:
    """Nothing was wrong with the question: it can be asked again when geotarget is stopped."""
    assert geotarget("backup", tmp_path / "b.db", "--data", data).returncode == 0
    with Store.open(f"sqlite:///{data / 'geotarget.db'}") as store:
        store.add_audit("ops", "export", "kamppi")
        said = geotarget("restore", tmp_path / "b.db", "--force", "--data", data)
    assert said.returncode == 1
    assert "is in use: stop geotarget first" in said.stderr


def test_a_broken_audit_log_is_status_1(data: Path, tmp_path: Path) -> None:
    """The backup is taken and put back all the same, and each says it."""
    with closing(sqlite_driver().connect(data / "geotarget.db")) as file, file:
        file.execute("UPDATE audit SET actor = 'nobody'")
    said = geotarget("backup", tmp_path / "b.db", "--data", data)
    assert (said.returncode, (tmp_path / "b.db").exists()) == (1, True)
    assert "the audit log is broken: entry 1 is not what its digest says" in said.stderr
    said = geotarget("restore", tmp_path / "b.db", "--data", tmp_path / "other")
    assert said.returncode == 1
    assert "the audit log is broken: entry 1" in said.stderr
    assert (tmp_path / "other" / "geotarget.db").exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_postgresql_is_sent_to_its_own_tools(command: str, tmp_path: Path) -> None:
    """Before anything is opened."""
    said = geotarget(
        command, tmp_path / "b.db", "--database", "postgresql://geo:hidden@db/geotarget"
    )
    assert (said.returncode, said.stdout) == (2, "")
    assert "pg_dump --format=custom" in said.stderr
    assert "hidden" not in said.stderr
