"""``geotarget audit verify``: an unbroken log, a broken one, and one that was cut off."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from geotarget.store import Store, sqlite_driver
from tests.test_cli import geotarget


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a database with three changes in its log, one of them made on the command line."""
    made = geotarget("keys", "create", "crm", "--scope", "pings:write", "--data", tmp_path)
    assert made.returncode == 0
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        store.add_audit("crm", "export", "kamppi", {"rows": 3})
        store.add_audit("crm", "export", "oodi", {"rows": 4})
    return tmp_path


def change(data: Path, statement: str) -> None:
    """Change the log behind geotarget's back."""
    with closing(sqlite_driver().connect(data / "geotarget.db")) as file, file:
        assert file.execute(statement).rowcount == 1


def test_an_unbroken_log_says_its_last_digest(data: Path) -> None:
    """Quietly it prints only that, which can be given as what is expected later on."""
    said = geotarget("audit", "verify", "--data", data)
    assert (said.returncode, said.stderr) == (0, "")
    first, digest = said.stdout.splitlines()
    assert first == "3 entries, unbroken; the last digest is"
    kept = geotarget("audit", "verify", "--quiet", "--data", data).stdout
    assert [digest] == kept.splitlines()
    with Store.open(f"sqlite:///{data / 'geotarget.db'}") as store:
        assert digest == store.audit_page().items[0].digest.hex()
        assert ["export", "export", "key.create"] == [e.action for e in store.audit_page().items]
        store.revoke_key(store.keys()[0].id, by="ops")
    assert geotarget("audit", "verify", "--expect", kept, "--data", data).returncode == 0


def test_a_changed_entry_is_named(data: Path) -> None:
    """The status is 1, and nothing that looks like a digest goes to standard output."""
    change(data, "UPDATE audit SET subject = 'kiasma' WHERE seq = 2")
    said = geotarget("audit", "verify", "--quiet", "--data", data)
    assert (said.returncode, said.stdout) == (1, "")
    assert "the audit log is broken: entry 2 is not what its digest says" in said.stderr
    assert "sound up to entry 1" in said.stderr


def test_a_log_that_was_cut_off_does_not_come_by_its_old_end(data: Path) -> None:
    """Even if the count of what was written is put back as well."""
    kept = geotarget("audit", "verify", "--quiet", "--data", data).stdout
    change(data, "DELETE FROM audit WHERE seq = 3")
    said = geotarget("audit", "verify", "--data", data)
    assert said.returncode == 1
    assert "entry 3 is missing at the end: 3 were written" in said.stderr
    change(data, "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit'")
    assert geotarget("audit", "verify", "--data", data).returncode == 0
    said = geotarget("audit", "verify", "--expect", kept, "--data", data)
    assert said.returncode == 1
    assert f"no entry has the digest {kept.strip()}" in said.stderr


def test_what_is_no_digest_is_refused(data: Path) -> None:
    """Before anything is read."""
    said = geotarget("audit", "verify", "--expect", "abc", "--data", data)
    assert said.returncode == 2
    assert "--expect: must be a digest as this command prints it, 64 hex digits (abc)" in (
        said.stderr
    )
