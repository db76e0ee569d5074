"""Migrations: from nothing to now, once, whoever comes first; and what is refused."""

from __future__ import annotations

import base64
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from records import (
    at,
    attempt,
    batch,
    campaign,
    decision,
    delivery,
    member,
    square,
    trace,
    transition,
)

from geotarget.errors import StoreError
from geotarget.model import Behaviour, Decision, Fired, Profile, Stay
from geotarget.store import Store, current_revision, migrate
from geotarget.store.database import cursor_of
from geotarget.store.opening import open_database
from geotarget.store.schema import head
from geotarget.store.tables import metadata

OPENER = """
import sys
from geotarget.store import Store
print("ready", flush=True)
sys.stdin.readline()
Store.open(sys.argv[1]).close()
"""


def before_targeting(number: int, **changes: Any) -> Decision:
    """Make a decision as the first versions knew it."""
    nothing = {"passed": {}, "language": "", "visit": "", "cost_micros": 0, "day": ""}
    return decision(number, **nothing, budget_day="", counts_until_ms=0, **changes)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'store.db'}"


def schema_of(connection: sa.Connection) -> list[str]:
    """Return the statements that make a schema, however their lines are broken."""
    return [
        re.sub(r"\s*([,()])\s*", r"\1", " ".join(text.split()))
        for (text,) in cursor_of(connection).execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name NOT LIKE 'alembic%' "
            "ORDER BY type, name"
        )
    ]


def test_migrations_lead_to_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    """What the migrations make is, word for word, what the code says that the tables are."""
    migrate(url)
    migrated, described = open_database(url), open_database(f"sqlite:///{tmp_path / 'other.db'}")
    with described.write() as connection:
        metadata.create_all(connection)
    with migrated.read() as one, described.read() as other:
        assert schema_of(other) == schema_of(one)
    migrated.close()
    described.close()


def test_revision_before_and_after(url: str, tmp_path: Path) -> None:
    """A database has no revision until it is migrated; asking for it makes no file."""
    assert None is current_revision(url)
    assert [] == list(tmp_path.iterdir())
    assert head() == migrate(url) == current_revision(url)
    assert head() == migrate(url)


def test_database_of_the_first_version_is_brought_over(url: str, tmp_path: Path) -> None:
    """All that it held is there, new columns say nothing, and an unchanged zone stays unchanged.

    `r0001.sql` is a dump of what the last version of that schema wrote.
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as old:
        old.executescript((Path(__file__).parent / "r0001.sql").read_text())
    assert "0001" == current_revision(url)
    with Store.open(url, now_ms=lambda: at(200)) as store:
        assert [transition(number) for number in (4, 3, 2, 1)] == store.transitions_page().items
        assert [before_targeting(number) for number in (4, 3, 2, 1)] == store.decisions_page().items
        (detail,) = store.delivery(delivery(1).webhook_id)
        assert ("delivered", delivery(1).body) == (detail.delivery.state, detail.body)
        assert {f"phone-{number}" for number in range(1, 5)} == set(store.load_devices()[0])
        assert [member("phone-4", "zone-1", 4)] == store.members_of("phone-4")
        assert ["json"] == [each.reason for each in store.dead_letters_of("phone-1")]
        (kamppi, kiosk), _ = store.zones()
        assert (False, None) == (kamppi.pending_enters, kamppi.exit_buffer_m)
        assert 1 == kamppi.revision == kiosk.revision
        assert [kamppi, kiosk] == store.put_zones([square("kamppi"), kiosk])
        (patient,) = store.put_zones([replace(kamppi, pending_enters=True, exit_buffer_m=5.0)])
        assert patient == store.zone("kamppi")
        store.write_batch(batch(5, transitions=[transition(5, distance_m=9.5, reason="deep")]))
        assert 9.5 == store.transitions_page().items[0].distance_m
    assert head() == current_revision(url)
    with Store.open(url, migrate=False) as store:
        assert 5 == len(store.transitions_page().items)


def test_database_of_the_second_version_is_brought_over(url: str, tmp_path: Path) -> None:
    """What it held is there, new columns say nothing, and what happens from now on is counted.

    `r0002.sql` is a dump of what the last version of that schema wrote.
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as old:
        old.executescript((Path(__file__).parent / "r0002.sql").read_text())
    assert "0002" == current_revision(url)
    with Store.open(url, now_ms=lambda: at(200)) as store:
        refused = before_targeting(4, gate="cap", offer=None, variant=None, expires_ms=None)
        assert [
            refused,
            *(before_targeting(number) for number in (3, 2, 1)),
        ] == store.decisions_page().items
        assert [transition(number) for number in (4, 3, 2, 1)] == store.transitions_page().items
        assert Profile("phone-1", {"tier": "gold"}, {"marketing": True}) == store.profile("phone-1")
        assert replace(campaign("buns", endpoints=("crm",), name="More buns"), version=2) == (
            store.campaign("buns")
        )
        assert [trace(2)] == store.traces("phone-2")
        assert [] == store.tallies("campaign-1") == store.exposures("campaign-1")
        pair = ("campaign-1", "phone-1")
        with store.turn() as turn:
            assert {pair: Fired(at(1), 1)} == turn.last_fired([pair])
            assert Behaviour() == turn.behaviour_of(["phone-1"])["phone-1"]
            assert {} == turn.spent([("campaign-1", "")])
        store.write_batch(
            batch(6, decisions=[decision(6, campaign="campaign-1", day="2026-01-02")])
        )
        with store.turn() as turn:
            assert {pair: Fired(at(6), 2)} == turn.last_fired([pair])
            assert [Stay(at(6))] == turn.behaviour_of(["phone-1"])["phone-1"].stays["zone-0"]
        assert [1] == [each.count for each in store.tallies("campaign-1")]
        store.mark([attempt(delivery(2))])
        store.put_profile(Profile("anna", external_ids={"crm": "7"}, devices=("phone-1",)))
        assert {"phone-1": "anna"} == {
            device: each.id for device, each in store.profiles_of(["phone-1"]).items()
        }
    assert head() == current_revision(url)


def test_database_of_the_third_version_is_brought_over(url: str, tmp_path: Path) -> None:
    """What it held is there, and its audit log is a chain from the first entry on.

    `r0003.sql` is a dump of what the last version of that schema wrote.
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as old:
        old.executescript((Path(__file__).parent / "r0003.sql").read_text())
    assert "0003" == current_revision(url)
    noted = [
        ("maija", "campaign.put", "buns", {"version": 1}),
        ("maija", "campaign.put", "buns", {"version": 2}),
        ("ops", "profile.delete", "phone-9", {}),
        ("cli", "export", 'lounas \u20ac "quoted"', {"rows": 3, "none": None}),
    ]
    with Store.open(url, now_ms=lambda: at(200)) as store:
        entries = store.audit_page().items[::-1]
        assert noted == [(e.actor, e.action, e.subject, e.detail) for e in entries]
        report = store.verify_audit(expect=entries[0].digest)
        assert (4, entries[-1].digest, "") == (report.entries, report.digest, report.broken)
        store.add_audit("cli", "export", "kamppi")
        assert (5, "") == (store.verify_audit().entries, store.verify_audit().broken)
        assert [transition(number) for number in (4, 3, 2, 1)] == store.transitions_page().items
        assert 4 == len(store.decisions_page().items)
        states = {each.webhook_id: each.state for each in store.deliveries_page().items}
        assert {delivery(1).webhook_id: "delivered", delivery(2).webhook_id: "failed"} == {
            key: state for key, state in states.items() if state != "pending"
        }
        assert "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" == store.endpoints()[0].secret
    assert head() == current_revision(url)


def test_database_of_the_fifth_version_is_brought_over(url: str, tmp_path: Path) -> None:
    """What it held is there, its secrets open under the same key, and new choices are not made.

    `r0005.sql` is a dump of what the last version of that schema wrote, under the key of the bytes
    0 to 31. (No version was given out whose newest schema was 0004; that of 0003 comes by it.)
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as old:
        old.executescript((Path(__file__).parent / "r0005.sql").read_text())
    assert "0005" == current_revision(url)
    key = base64.b64encode(bytes(range(32))).decode()
    first, second = (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    )
    with Store.open(url, now_ms=lambda: at(200), secret_key=key) as store:
        assert ["cli", "ops", "maija", "maija", "maija"] == [
            each.actor for each in store.audit_page().items
        ]
        crm, till = store.endpoints()
        assert (second, first, at(3_000)) == (
            crm.secret,
            crm.previous_secret,
            crm.previous_until_ms,
        )
        assert (5.0, 3, "") == (crm.rate_per_s, crm.concurrency, crm.disabled_reason)
        assert ("not yet", first, "") == (till.disabled_reason, till.secret, till.previous_secret)
        for each in (crm, till):
            chosen = (each.headers, each.delays_s, each.ordered, each.position)
            assert (({}, None, False, "")) == chosen
        assert [transition(number) for number in (4, 3, 2, 1)] == store.transitions_page().items
        assert 4 == len(store.decisions_page().items)
        assert {delivery(1).webhook_id: "delivered", delivery(2).webhook_id: "failed"} == {
            each.webhook_id: each.state
            for each in store.deliveries_page().items
            if each.state != "pending"
        }
        store.write_batch(batch(5))
        store.mark([attempt(delivery(3))])
        assert "" == store.verify_audit().broken
        anna = store.profile("anna")
        assert anna is not None
        assert ("phone-1",) == anna.devices
    assert head() == current_revision(url)


def test_database_of_the_sixth_version_is_brought_over(url: str, tmp_path: Path) -> None:
    """What it held is there, and devices can have tokens.

    `r0006.sql` is a dump of what the last version of that schema wrote, under the key of the bytes
    0 to 31.
    """
    with closing(sqlite3.connect(tmp_path / "store.db")) as old:
        old.executescript((Path(__file__).parent / "r0006.sql").read_text())
    assert "0006" == current_revision(url)
    key = base64.b64encode(bytes(range(32))).decode()
    with Store.open(url, now_ms=lambda: at(200), secret_key=key) as store:
        (crm,) = store.endpoints()
        assert ({"X-Till": "7"}, (5.0, 60.0), True, "cell") == (
            crm.headers, crm.delays_s, crm.ordered, crm.position,
        )  # fmt: skip
        assert [transition(number) for number in (4, 2, 1)] == store.transitions_page().items
        (erased,) = store.erasures_page().items
        assert (1, 1) == (erased.devices, erased.counts["states"])
        assert (4, "") == (store.verify_audit().entries, store.verify_audit().broken)
        assert ["till"] == [each.name for each in store.keys()]  # noqa: SIM118 - no dictionary
        plain, token = store.create_device_token("phone-1", by="ops")
        assert token == store.find_device_token("phone-1", plain, at(200))
        assert (5, "") == (store.verify_audit().entries, store.verify_audit().broken)
    assert head() == current_revision(url)


def test_opening_again_keeps_everything(url: str) -> None:
    """Migrating a database that is up to date changes nothing."""
    with Store.open(url) as store:
        store.write_batch(batch(1))
    migrate(url)
    with Store.open(url, migrate=False) as store:
        assert [transition(1)] == store.transitions_page().items


def test_without_migration(url: str, tmp_path: Path) -> None:
    """Who must not migrate is told to, and makes no file."""
    with pytest.raises(StoreError, match=r"store\.db has no tables yet: run `geotarget migrate`"):
        Store.open(url, migrate=False)
    assert [] == list(tmp_path.iterdir())


def test_older_database_without_migration(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older database is named as such."""
    migrate(url)
    monkeypatch.setattr("geotarget.store.schema.head", lambda: "9000")
    with pytest.raises(StoreError, match="is older than this geotarget: run `geotarget migrate`"):
        Store.open(url, migrate=False)


@pytest.mark.parametrize("may_migrate", [True, False])
def test_newer_database(url: str, may_migrate: bool) -> None:
    """A database of a later version is left alone, and the message says so."""
    migrate(url)
    database = open_database(url)
    with database.write() as connection:
        cursor_of(connection).execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(StoreError, match=r"newer than this geotarget.*9999"):
        Store.open(url, migrate=may_migrate)
    assert "9999" == current_revision(url)


def test_failed_migration_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All migrations are one transaction: what fails half-way has changed nothing."""
    real = sa.MetaData.create_all

    def fail(self: sa.MetaData, *args: object, **options: object) -> None:
        real(self, *args, **options)  # type: ignore[arg-type]
        raise RuntimeError("half-way")

    monkeypatch.setattr(sa.MetaData, "create_all", fail)
    with pytest.raises(RuntimeError, match="half-way"):
        Store.open(url)
    monkeypatch.undo()
    database = open_database(url)
    with database.read() as connection:
        assert [] == schema_of(connection)
    database.close()
    with Store.open(url) as store:
        assert 0 == store.catalog_revision()


def test_several_processes_start_at_once(url: str) -> None:
    """Of four processes that open a new database together, all succeed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert "ready\n" == child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, complaint = child.communicate(timeout=60)
        assert (0, "") == (child.returncode, complaint)
    assert head() == current_revision(url)
