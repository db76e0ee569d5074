"""The audit log is a chain: whatever is done to it behind our back is found, and where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import at

from geotarget.store import Store, sqlite_driver
from geotarget.store.audit import GENESIS, WALKED_AT_ONCE, append, digest_of
from geotarget.store.database import cursor_of
from tests.postgres_server import SECRET_KEY

COLUMNS = "seq, at_ms, actor, action, subject, detail, digest"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a database whose log has seven entries."""
    path = tmp_path / "store.db"
    write(path, 7)
    return path


@pytest.fixture
def raw(file: Path) -> Iterator[Any]:
    """Open it behind the store's back."""
    with closing(sqlite_driver().connect(file, isolation_level=None)) as connection:
        yield connection


def write(path: Path, entries: int) -> None:
    """Add entries."""
    with Store.open(f"sqlite:///{path}", now_ms=lambda: at(1)) as store:
        for number in range(entries):
            store.add_audit("anna", "export", f"zone-{number}", {"rows": number, "of": "Å\n"})


def verify(path: Path, expect: bytes | None = None) -> Any:
    """Walk the chain."""
    with Store.open(f"sqlite:///{path}", migrate=False) as store:
        return store.verify_audit(expect=expect)


def test_a_log_as_it_was_written_is_unbroken(file: Path) -> None:
    """The digest can be made by anybody from the columns, and a walk ends at the last entry."""
    with closing(sqlite_driver().connect(file)) as raw:
        rows = raw.execute(f"SELECT {COLUMNS} FROM audit ORDER BY seq").fetchall()
    digest = bytes(32)
    for *columns, stored in rows:
        texts = [str(column).encode() for column in columns]
        netstrings = b"".join(b"%d:%s," % (len(text), text) for text in texts)
        digest = sha256(digest + netstrings).digest()
        assert digest == stored
    report = verify(file)
    assert (7, digest, "") == (report.entries, report.digest, report.broken)


def test_an_empty_log_is_unbroken(tmp_path: Path) -> None:
    """Its digest is the one that the first entry stands on."""
    path = tmp_path / "store.db"
    write(path, 0)
    report = verify(path, GENESIS)
    assert (0, GENESIS, "") == (report.entries, report.digest, report.broken)


def test_pages_of_the_walk_join(tmp_path: Path) -> None:
    """More entries than are held at a time, and a break behind the first page."""
    path = tmp_path / "store.db"
    with (
        Store.open(f"sqlite:///{path}") as store,
        store._database.write() as connection,
    ):
        for number in range(2 * WALKED_AT_ONCE + 1):
            append(cursor_of(connection), at(number), "anna", "export", "all")
    assert (2 * WALKED_AT_ONCE + 1, "") == (verify(path).entries, verify(path).broken)
    with closing(sqlite_driver().connect(path)) as raw, raw:
        raw.execute("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = ?", (WALKED_AT_ONCE + 1,))
    assert WALKED_AT_ONCE == verify(path).entries


@pytest.mark.parametrize(
    "change",
    [
        "at_ms = at_ms + 1",
        "actor = 'someone'",
        "action = 'export.refuse'",
        "subject = 'zone-9'",
        "subject = CAST(subject AS BLOB)",
        "at_ms = at_ms + 0.5",
        """detail = '{"rows":0}'""",
        "digest = x''",
        "digest = zeroblob(32)",
        "digest = 'text'",
        "actor = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_changed_entry_is_found(file: Path, raw: Any, change: str) -> None:
    """Whatever column it is; the walk says how far the log is sound."""
    raw.execute(f"UPDATE audit SET {change} WHERE seq = 4")
    report = verify(file)
    assert 3 == report.entries
    assert report.broken.startswith("entry 4 is not what its digest says")


@pytest.mark.parametrize(
    ("where", "sound", "said"),
    [
        ("seq = 1", 0, "entry 1 is missing"),
        ("seq = 4", 3, "entry 4 is missing"),
        ("seq IN (3, 4, 5)", 2, "entries 3 to 5 are missing"),
        ("seq = 7", 6, "entry 7 is missing at the end: 7 were written"),
        ("seq > 0", 0, "entries 1 to 7 are missing at the end: 7 were written"),
    ],
)
def test_a_removed_entry_is_found(file: Path, raw: Any, where: str, sound: int, said: str) -> None:
    """In the middle, at the beginning, at the end."""
    raw.execute(f"DELETE FROM audit WHERE {where}")
    assert (sound, said) == (verify(file).entries, verify(file).broken)


def test_removed_entries_do_not_make_room(file: Path, raw: Any) -> None:
    """What is added after the end was cut off leaves the gap to be seen."""
    raw.execute("DELETE FROM audit WHERE seq >= 6")
    write(file, 2)
    assert (5, "entries 6 to 7 are missing") == (verify(file).entries, verify(file).broken)


def test_closing_the_gap_does_not_help(file: Path, raw: Any) -> None:
    """Entries that were given the numbers of others do not follow."""
    raw.execute("DELETE FROM audit WHERE seq = 4")
    raw.execute("UPDATE audit SET seq = seq - 1 WHERE seq > 4")
    assert 3 == verify(file).entries
    assert verify(file).broken.startswith("entry 4 is not")


@pytest.mark.parametrize("number", [0, -5, 8, 12])
def test_an_entry_that_was_put_in_is_found(file: Path, raw: Any, number: int) -> None:
    """Before the first, after the last, even with a digest that was made without the one before."""
    digest = digest_of(GENESIS, number, at(1), b"eve", b"export", b"x", b"{}")
    values = (number, at(1), "eve", "export", "x", "{}", digest)
    raw.execute(f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    report = verify(file)
    assert (0 if number <= 0 else 7) == report.entries
    assert report.broken


def test_entries_that_changed_places_are_found(file: Path, raw: Any) -> None:
    """The number belongs to what the digest says."""
    raw.execute("UPDATE audit SET seq = 100 WHERE seq = 2")
    raw.execute("UPDATE audit SET seq = 2 WHERE seq = 5")
    raw.execute("UPDATE audit SET seq = 5 WHERE seq = 100")
    assert 1 == verify(file).entries


def test_a_log_written_anew_is_found_by_a_digest_kept_elsewhere(file: Path, raw: Any) -> None:
    """The chain itself can't tell; every digest that it had can, and so it can after more came."""
    kept = [row[0] for row in raw.execute("SELECT digest FROM audit ORDER BY seq")]
    write(file, 3)
    assert all(verify(file, digest).broken == "" for digest in [GENESIS, *kept])
    rows = raw.execute("SELECT seq, at_ms, actor, action, subject, detail FROM audit").fetchall()
    digest = GENESIS
    for seq, at_ms, actor, action, subject, detail in rows:
        other = "zone-x" if seq == 4 else subject
        texts = (each.encode() for each in (actor, action, other, detail))
        digest = digest_of(digest, seq, at_ms, *texts)
        raw.execute("UPDATE audit SET subject = ?, digest = ? WHERE seq = ?", (other, digest, seq))
    assert "" == verify(file).broken == verify(file, kept[2]).broken
    for lost in kept[3:]:
        report = verify(file, lost)
        assert f"no entry has the digest {lost.hex()}" in report.broken


ROWS = st.integers(1, 7)
TAMPERING = st.one_of(
    st.tuples(
        st.sampled_from(
            ["UPDATE audit SET actor = actor || ' ' WHERE seq = ?",
             "UPDATE audit SET at_ms = at_ms - 1 WHERE seq = ?",
             "UPDATE audit SET detail = replace(detail, 'rows', 'row') WHERE seq = ?",
             "UPDATE audit SET action = substr(action, 2) || 'e' WHERE seq = ?",
             "UPDATE audit SET digest = randomblob(32) WHERE seq = ?",
             "DELETE FROM audit WHERE seq = ?",
             "UPDATE audit SET seq = 40 + seq WHERE seq = ?",
             "UPDATE audit SET seq = -seq WHERE seq = ?"]
        ),
        st.tuples(ROWS),
    ),
    st.tuples(
        st.just(
            "UPDATE audit SET subject = subject || (SELECT count(*) FROM audit WHERE seq <= ?) "
            "WHERE seq = ?"
        ),
        st.tuples(ROWS, ROWS),
    ),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(TAMPERING, min_size=1, max_size=4))
def test_whatever_is_done_is_found(
    file: Path, raw: Any, tampering: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Any mixture of changes; entries before the first break are as they were written."""
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("CREATE TEMP TABLE IF NOT EXISTS written AS SELECT * FROM audit")
    raw.execute("DELETE FROM audit")
    raw.execute("INSERT INTO audit SELECT * FROM written")
    raw.execute("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'audit'")
    before = raw.execute(f"SELECT {COLUMNS} FROM audit ORDER BY seq").fetchall()
    for statement, values in tampering:
        raw.execute(statement, values)
    after = raw.execute(f"SELECT {COLUMNS} FROM audit ORDER BY seq").fetchall()
    report = verify(file)
    assert (after == before) == (report.broken == "")
    assert before[: report.entries] == after[: report.entries]


def test_pages_are_filtered(ready_database_url: str) -> None:
    """By who, what, which and when; numbers and digests come along."""
    clock = iter(range(1, 100))
    with Store.open(
        ready_database_url, now_ms=lambda: at(next(clock)), secret_key=SECRET_KEY
    ) as store:
        store.add_audit("anna", "export", "kamppi")
        store.add_audit("ben", "export", "kamppi")
        store.add_audit("anna", "campaign.put", "buns", {"version": 2})

        def numbers(**asked: Any) -> list[int]:
            return [each.seq for each in store.audit_page(**asked).items]

        assert [3, 2, 1] == numbers()
        assert [3, 1] == numbers(actor="anna")
        assert [2, 1] == numbers(action="export")
        assert [1] == numbers(actor="anna", subject="kamppi")
        assert [2] == numbers(from_ms=at(2), to_ms=at(3))
        first = store.audit_page(actor="anna", limit=1)
        assert [1] == numbers(actor="anna", limit=1, cursor=first.next)
        assert store.verify_audit().digest == first.items[0].digest


def test_keys_are_noted_with_who_made_and_revoked_them(ready_database_url: str) -> None:
    """Once each, never the key itself, and not if nobody is named."""
    with Store.open(ready_database_url, secret_key=SECRET_KEY) as store:
        plain, key = store.create_key(name="till", scopes=["pings:write"], by="anna")
        store.revoke_key(key.id, by="ben")
        store.revoke_key(key.id, by="carl")
        store.create_key(name="quiet", scopes=["admin"])
        revoked, created = store.audit_page().items
        assert ("ben", "key.revoke", key.id) == (revoked.actor, revoked.action, revoked.subject)
        assert ("anna", "key.create", key.id) == (created.actor, created.action, created.subject)
        assert {"name": "till", "scopes": ["pings:write"], "expires_ms": None} == created.detail
        assert plain not in str(store.audit_page().items)
