"""A standalone cluster on loopback: a master and two workers, in processes."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pyspark

SPARK = Path(pyspark.__file__).parent
DEADLINE_S = 120.0
WORKERS, CORES = 2, 2


class Standalone:
    """The cluster; everything that it writes is in one folder."""

    def __init__(self, folder: Path, *, cores: int = CORES) -> None:
        self.folder = folder
        self.cores = cores
        self.master = ""
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "conf").mkdir()
        self._environment = os.environ | {
            "SPARK_HOME": str(SPARK),
            "SPARK_CONF_DIR": str(folder / "conf"),  # nobody's own
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),
            "SPARK_DAEMON_MEMORY": "256m",
        }

    def start(self) -> None:
        where = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        found = self._run(
            "master.Master", "master", *where, until=r"Starting Spark master at (spark://\S+)"
        )
        self.master = found[1]
        for number in range(WORKERS):
            name = f"worker-{number}"
            room = ("-c", str(self.cores), "-m", "1g", "-d", str(self.folder / name))
            until = "Successfully registered with master"
            self._run("worker.Worker", name, *where, *room, self.master, until=until)

    def _run(self, kind: str, name: str, *arguments: str, until: str) -> re.Match[str]:
        """Start a daemon and wait until its log says that it is ready."""
        path = self.folder / f"{name}.log"
        command = [str(SPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}"]
        with path.open("wb") as log:
            process = subprocess.Popen(
                [*command, *arguments],
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self.folder,
            )
        self._processes.append(process)
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not (found := re.search(until, path.read_text())):
            assert process.poll() is None, path.read_text()
            assert time.monotonic() < deadline, path.read_text()
            pause.wait(0.05)
        return found

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers; their executors are their children."""
        return [process.pid for process in self._processes[1:]]

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(30)
