"""``geotarget slots status``: who has which slot, from the database alone."""

from __future__ import annotations

import json
from pathlib import Path

from geotarget.ingest.slots import ALL_SLOTS, slot_of
from geotarget.store import Store
from tests.postgres_server import SECRET_KEY
from tests.test_cli import geotarget

LONG_MS = 3_600_000


def share(url: str) -> None:
    """Give 40 slots to one worker, one more whose lease ran out to another; a third has none."""
    with Store.open(url, secret_key=SECRET_KEY) as store:
        store.prepare_slots(sorted(ALL_SLOTS), slot_of)
        first = store.take_slots("one", among=range(2), most=2, lease_ms=LONG_MS)
        store.release_slots("one", {each.slot: each.epoch for each in first}, clean=[0, 1])
        store.take_slots("one", among=range(40), most=40, lease_ms=LONG_MS)
        store.take_slots("two", among=[63], most=1, lease_ms=-90_000)
        for name in ("one", "three"):
            store.renew_slots(name, lease_ms=LONG_MS)


def test_who_has_which_slot(database_url: str) -> None:
    """In ranges of one worker and one epoch, with what is free and what has run out."""
    share(database_url)
    said = geotarget("slots", "status", "--database", database_url, COLUMNS="120")
    assert (said.returncode, said.stderr) == (0, "")
    lines = [line.split() for line in said.stdout.splitlines()]
    assert ["0-1", "one", "2"] == lines[1][:3]
    assert 3_500 < float(lines[1][3]) <= 3_600
    assert ["2-39", "one", "1"] == lines[2][:3]
    assert ["40-62", "nobody", "0", "free"] == lines[3]
    assert ["63", "two", "1", "ran", "out"] == lines[4][:5]
    assert 80 < int(lines[4][5]) < 150
    assert "40 of 64 slots are somebody's, 2 workers live" in said.stdout


def test_for_programs(database_url: str) -> None:
    """Each slot by itself; no key of the secrets is needed."""
    share(database_url)
    said = geotarget("slots", "status", "--json", GEOTARGET_DATABASE_URL=database_url)
    assert (said.returncode, said.stderr) == (0, "")
    found = json.loads(said.stdout)
    assert found["broker"] is None
    assert found["slots"]["workers"] == ["one", "three"]
    leases = found["slots"]["leases"]
    assert [each["slot"] for each in leases] == list(range(64))
    assert [leases[slot]["worker"] for slot in (0, 39, 40, 63)] == ["one", "one", None, "two"]
    assert [leases[slot]["epoch"] for slot in (0, 39, 40, 63)] == [2, 1, 0, 1]
    assert 3_500 < leases[0]["expires_in_s"] <= 3_600
    assert leases[40]["expires_in_s"] is None
    assert -150 < leases[63]["expires_in_s"] < -80


def test_no_worker_was_there_yet(tmp_path: Path) -> None:
    """A database without leases is nothing wrong; said as that."""
    Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}").close()
    said = geotarget("slots", "status", "--data", tmp_path)
    assert (said.returncode, said.stdout) == (0, "")
    assert "no worker with slots has ever started on sqlite:///" in said.stderr


def test_the_broker_is_away(tmp_path: Path) -> None:
    """What the database knows is shown before the broker is asked."""
    url = f"sqlite:///{tmp_path / 'geotarget.db'}"
    share(url)
    said = geotarget("slots", "status", "--database", url, "--mqtt", "mqtt://127.0.0.1:1")
    assert said.returncode == 1
    assert "40 of 64 slots are somebody's" in said.stdout
    assert "can't reach mqtt://127.0.0.1:1" in said.stderr


def test_no_database_is_there(tmp_path: Path) -> None:
    """One that is not named is asked for; one that is named must be there, and is not made."""
    said = geotarget("slots", "status", "--data", tmp_path)
    assert said.returncode == 2
    assert "in the workers' database: name it with --database" in said.stderr
    missing = tmp_path / "other.db"
    said = geotarget("slots", "status", "--database", f"sqlite:///{missing}")
    assert said.returncode == 1
    assert "who has which slot can't be shown: the database " in said.stderr
    assert list(tmp_path.iterdir()) == []
