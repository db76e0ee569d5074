"""Fixtures that every room shares."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import is_hypothesis_test, settings

from tests.fuzzing import FACTOR

NO_DATA = "no real data beside the checkout"
"""The only reason for which a test may skip in CI."""

REPOSITORY = Path(__file__).resolve().parents[1]


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


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


settings.load_profile("fuzz" if FACTOR > 1 else "house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests that try what chance makes, for `make fuzz`."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.fuzz)


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
