"""``geotarget profiles import``: files into the database, resumable, with their problems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geotarget.model import Profile
from geotarget.store import Store
from tests.test_cli import geotarget


def stored(folder: Path) -> Store:
    """Open the database that the command wrote."""
    return Store.open(f"sqlite:///{folder / 'geotarget.db'}")


def test_a_file_is_loaded_and_its_problems_are_named(tmp_path: Path) -> None:
    """Good rows are stored, bad ones named with their line; the status says so."""
    file = tmp_path / "customers.csv"
    file.write_text("id,tier,consent.marketing\naino,gold,yes\nonni,blue,perhaps\nveera,,no\n")
    done = geotarget("profiles", "import", file, "--data", tmp_path)
    assert (done.returncode, done.stdout) == (1, "2 profiles loaded, 1 rows refused\n")
    assert "line 3, $.consent.marketing: must be true or false (perhaps)" in done.stderr
    with stored(tmp_path) as store:
        profile = store.profile("aino")
        assert profile is not None
        assert ({"tier": "gold"}, {"marketing": True}) == (profile.attributes, profile.consent)
        assert None is store.profile("onni")
        assert ["import.done", "import.begin"] == [e.action for e in store.audit_page().items]
        assert {"cli"} == {e.actor for e in store.audit_page().items}


def test_a_file_that_was_loaded_is_not_loaded_twice(tmp_path: Path) -> None:
    """Unless it changed, or another id is given; what was changed since stays."""
    file = tmp_path / "customers.ndjson"
    file.write_text('{"id": "aino", "attributes": {"n": 1}}\n')
    command = ("profiles", "import", file, "--data", tmp_path)
    assert geotarget(*command).returncode == 0
    with stored(tmp_path) as store:
        assert store.erase_profile("aino")
    assert geotarget(*command).returncode == 0
    with stored(tmp_path) as store:
        assert None is store.profile("aino")
    assert geotarget(*command, "--id", "again").returncode == 0
    with stored(tmp_path) as store:
        assert store.erase_profile("aino")
    file.write_text('{"id": "aino", "attributes": {"n": 2}}\n')
    os.utime(file, (1_900_000_000, 1_900_000_000))
    assert geotarget(*command).returncode == 0
    with stored(tmp_path) as store:
        profile = store.profile("aino")
        assert profile is not None
        assert {"n": 2} == profile.attributes


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("a.txt", "x", [], "must end in .csv, .ndjson, .jsonl"),
        ("a.csv", "name\nx\n", [], "line 1: the first line must name the columns"),
        ("a.csv", "id\nx\n", ["--id", "a//b"], "--id: between slashes"),
    ],
)
def test_what_can_not_be_read_is_refused(
    tmp_path: Path, name: str, text: str, options: list[str], said: str
) -> None:
    """Status 2, with the reason."""
    file = tmp_path / name
    file.write_text(text)
    done = geotarget("profiles", "import", file, "--data", tmp_path, *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_person_is_erased_with_a_receipt(tmp_path: Path) -> None:
    """Only when it is meant; the receipt is shown later, too; who is not there is an error."""
    with stored(tmp_path) as store:
        store.put_profile(Profile("aino", {"n": 1}, devices=("d1",)))
    refused = geotarget("profiles", "erase", "aino", "--data", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes: must be given: aino and all that its devices did" in refused.stderr
    done = geotarget("profiles", "erase", "aino", "--yes", "--data", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    name = first.partition(",")[0]
    assert ["devices: 1", "links: 1", "profiles: 1"] == lines[:3]
    assert "aino" not in done.stdout
    shown = geotarget("erasures", "show", name, "--data", tmp_path)
    assert (0, done.stdout) == (shown.returncode, shown.stdout)
    assert name in geotarget("erasures", "list", "--data", tmp_path).stdout
    missing = geotarget("profiles", "erase", "aino", "--yes", "--data", tmp_path)
    assert missing.returncode == 2
    assert geotarget("erasures", "show", "erasure_0", "--data", tmp_path).returncode == 2
    with stored(tmp_path) as store:
        assert None is store.profile("aino")
        assert ("cli", "profile.erase") == (
            store.audit_page().items[0].actor,
            store.audit_page().items[0].action,
        )
