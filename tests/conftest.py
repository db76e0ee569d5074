"""Fixtures that every room shares."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import is_hypothesis_test, settings

from tests.fuzzing import FACTOR
from tests.ports import find_port

NO_DATA = "no real data beside the checkout"
"""The only reason for which a test may skip in CI."""

FIRST_DAY_MS = 1_767_225_600_000
"""The day on which the records of the store's tests begin."""

REPOSITORY = Path(__file__).resolve().parents[1]

DESCRIPTORS = Path("/proc/self/fd")
MOST_LEFT = 24
"""A server or Spark that the session keeps counts in the module that asks for it first."""
GIVEN_BACK_S = 30.0


def pytest_configure() -> None:
    """Let what tests start be interrupted, also when a shell began them in the background.

    Such a shell has them ignore SIGINT, and every process below would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real zones and pings that stands beside a checkout, or a skip."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{NO_DATA} ({folder.name} folder is missing)")
    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging in this process leaves the next test as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module", autouse=True)
def descriptors_are_given_back() -> Iterator[None]:
    """Fail when the tests of a module leave more open than servers that all tests share need.

    What a module left for the garbage collector is collected here, which takes half a second: so
    only where there is reason to. Threads that still end are waited for.
    """
    if not DESCRIPTORS.is_dir():  # Linux has it
        yield
        return
    before = _open_now()
    yield
    if _open_now() - before > MOST_LEFT:
        gc.collect()
    deadline = time.monotonic() + GIVEN_BACK_S
    while _open_now() - before > MOST_LEFT:
        if time.monotonic() > deadline:
            kinds = Counter(_target(each) for each in DESCRIPTORS.iterdir())
            pytest.fail(
                f"{sum(kinds.values()) - before} descriptors more than before this module: "
                f"{kinds.most_common(8)}"
            )
        threading.Event().wait(0.05)


def _open_now() -> int:
    return sum(1 for _ in DESCRIPTORS.iterdir())


def _target(descriptor: Path) -> str:
    """Return what a descriptor leads to, without the number of a socket or pipe."""
    try:
        return str(descriptor.readlink()).split(":[")[0]
    except FileNotFoundError:
        return "closed by now"


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment."""
    return find_port()


settings.load_profile("fuzz" if FACTOR > 1 else "house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests that try what chance makes, for `make fuzz`; the longest tests come first.

    Else one that takes two minutes may begin when everything else is done. The order is that of
    chance otherwise, and modules stay together but for this.
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.fuzz)
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("e2e", "slow"))))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI when a test skipped because something is missing that CI should have."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None or hasattr(session.config, "workerinput"):
        return
    missing = [
        f"{report.nodeid}: {report.longrepr[2]}"
        for report in reporter.stats.get("skipped", [])
        if NO_DATA not in str(report.longrepr)
    ]
    if missing:
        reporter.write_line("skipped in CI, where nothing may be missing:", red=True)
        for line in missing:
            reporter.write_line(f"  {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server, without a database."""
    from tests.postgres_server import VARIABLE, PostgresServer, programs

    named = os.environ.get(VARIABLE, "")
    if named.startswith("postgresql://"):
        yield named.rstrip("/")
        return
    server = PostgresServer(programs())
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with all tables, to make others from: a tenth of the time.

    With partitions for two days of the tests' records: some of them lie there, some in the rest.
    """
    from geotarget.store import Store
    from geotarget.store.partitions import make_days
    from tests.postgres_server import SECRET_KEY, drop_database, make_database

    url = make_database(postgres_url)
    with Store.open(url, secret_key=SECRET_KEY) as store:
        assert 6 == make_days(store._database, FIRST_DAY_MS, ahead=1)
    yield url.rpartition("/")[2]
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own, once of each kind.

    SQLite's is not there yet; PostgreSQL's is empty. Opened with `SECRET_KEY` on both.
    """
    from tests.postgres_server import drop_database, make_database

    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'geotarget.db'}"
        return
    url = make_database(request.getfixturevalue("postgres_url"))
    yield url
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def ready_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """As `database_url`, with all tables and no rows: a tenth of the time where they are no matter.

    Its secrets are encrypted under `SECRET_KEY`.
    """
    from tests.postgres_server import SECRET_KEY, drop_database, make_database
    from tests.ready_database import lay_out

    if request.param == "sqlite":
        yield lay_out(tmp_path / "geotarget.db", secret_key=SECRET_KEY)
        return
    server, template = map(request.getfixturevalue, ("postgres_url", "postgres_template"))
    url = make_database(server, template)
    yield url
    drop_database(url)
