"""A dump of a PostgreSQL database, taken and put back by the very commands of the guide."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from records import at, batch

from geotarget.model import Endpoint
from geotarget.store import Store
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
    (commands,) = (
        each
        for each in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if each.startswith("pg_dump")
    )
    server = sa.make_url(database)
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
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
