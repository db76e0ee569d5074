"""A dump of a PostgreSQL database, taken and put back by the very commands of the guide."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from records import at, batch

from geotarget.model import Endpoint
from geotarget.store import Keep, Store
from geotarget.store.database import wall_clock_ms
from geotarget.store.partitions import DAY_MS
from tests.conftest import REPOSITORY
from tests.postgres_server import SECRET_KEY, drop_database, make_database, programs

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAGE = REPOSITORY / "geotarget" / "docs" / "backup.md"


@pytest.fixture
def database(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """Make a database with all tables; what the guide makes beside it goes as well."""
    url = make_database(postgres_url, postgres_template)
    yield url
    drop_database(url)
    drop_database(f"{postgres_url}/geotarget_new")


@pytest.fixture
def tools() -> Path:
    """The folder of PostgreSQL's programs, or a skip."""
    folder = programs()
    if (folder / "pg_dump").exists():
        return folder
    found = shutil.which("pg_dump")
    if found is None:
        pytest.skip("missing: pg_dump (Debian package postgresql-client)")
    return Path(found).parent


def the_guides(first_word: str) -> str:
    """Return the commands of the guide that begin with a word."""
    (commands,) = (
        each
        for each in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if each.startswith(first_word)
    )
    return commands


def shell(
    commands: str, database: str, tools: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, with a database as the guide's."""
    server = sa.make_url(database)
    return subprocess.run(
        ["bash", "-euc", "set -o pipefail\n" + commands],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "DSN": database,
            "PGHOST": str(server.host),
            "PGPORT": str(server.port or 5432),
            "PGUSER": str(server.username),
            "PGPASSWORD": str(server.password or ""),
        },
    )


def test_the_guides_dump_is_a_backup(
    database: str, postgres_url: str, tools: Path, tmp_path: Path
) -> None:
    """Everything is there again, secrets open, what waits can be sent, the audit log is whole."""
    with Store.open(database, secret_key=SECRET_KEY, now_ms=lambda: at(200)) as store:
        store.put_endpoint(Endpoint("crm", "https://crm.example/hooks", SECRET), by="ops")
        for number in range(5):
            store.write_batch(batch(number))
        before = store.counts(), store.transitions_page().items, store.endpoints()
        digest = store.verify_audit().digest
    done = shell(the_guides("pg_dump"), database, tools, tmp_path)
    assert done.returncode == 0, done.stderr
    with Store.open(
        f"{postgres_url}/geotarget_new",
        migrate=False,
        secret_key=SECRET_KEY,
        now_ms=lambda: at(200),
    ) as store:
        assert before == (store.counts(), store.transitions_page().items, store.endpoints())
        assert SECRET == store.endpoints()[0].secret
        report = store.verify_audit(expect=digest)
        assert (1, "") == (report.entries, report.broken)
        assert 5 == len(store.claim(now_ms=2**50, limits={"crm": 10}, lease_ms=60_000))
        store.write_batch(batch(9))
        assert 6 == store.counts().transitions


@dataclass(frozen=True)
class Contents:
    """All that a dump says of a database: its tables, and their rows in any order.

    Whose the schema is, is left out: the first user's of the server before, whoever made it after.
    """

    tables: list[str]
    rows: list[str]

    @classmethod
    def of(cls, database: str, tools: Path, folder: Path) -> Contents:
        parts = (
            shell(f'pg_dump --no-owner {part} "$DSN"', database, tools, folder).stdout.splitlines()
            for part in ("--schema-only", "--data-only --inserts")
        )
        tables, rows = (
            [
                line
                for line in said
                if line and not re.match(r"--|\\|(CREATE|COMMENT ON) SCHEMA", line)
            ]
            for said in parts
        )
        return cls(tables, sorted(rows))


def test_the_guide_puts_a_dump_into_the_place_of_what_is_there(
    database: str, tools: Path, tmp_path: Path
) -> None:
    """Days were dropped and made since: what came is gone, what was is back. `--clean` can't."""
    with Store.open(database, secret_key=SECRET_KEY, now_ms=lambda: at(200)) as store:
        for number in range(5):
            store.write_batch(batch(number))
    dumped = Contents.of(database, tools, tmp_path)
    assert len([line for line in dumped.rows if "INTO public.transition" in line]) == 5
    assert shell('pg_dump -Fc -f geotarget.dump "$DSN"', database, tools, tmp_path).returncode == 0
    later_ms = wall_clock_ms() + 4 * DAY_MS
    with Store.open(database, secret_key=SECRET_KEY, now_ms=lambda: later_ms) as store:
        assert [step.rows for step in store.drop_old(Keep(history=1))] == [5, 5]
        store.write_batch(batch(8))
    before = Contents.of(database, tools, tmp_path)
    assert before.tables != dumped.tables
    for how, stays in (("--single-transaction", True), ("--exit-on-error", False)):
        clean = f'pg_restore --clean --if-exists {how} --no-owner --dbname="$DSN" geotarget.dump'
        done = shell(clean, database, tools, tmp_path)
        assert done.returncode == 1
        assert "cannot drop inherited constraint" in done.stderr
        assert (Contents.of(database, tools, tmp_path) == before) is stays
    done = shell(the_guides("{ echo"), database, tools, tmp_path)
    assert done.returncode == 0, done.stderr
    assert Contents.of(database, tools, tmp_path) == dumped
    with Store.open(database, migrate=False, secret_key=SECRET_KEY) as store:
        store.write_batch(batch(9))
        assert store.counts().transitions == 6
