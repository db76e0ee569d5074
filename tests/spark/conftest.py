"""Fixtures of Spark's tests: one cluster and one session for all of a module."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from tests.spark.standalone import Standalone


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A master and two workers, or a skip."""
    home = os.environ.get("JAVA_HOME")
    if not shutil.which("java", path=f"{home}/bin" if home else None):
        pytest.skip("no Java here (Debian package openjdk-17-jre-headless)")
    found = Standalone(tmp_path_factory.mktemp("spark"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def spark(cluster: Standalone) -> Iterator[SparkSession]:
    """A session of this process as the driver; its executors are those of the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_LOCAL_DIRS", str(cluster.folder / "scratch"))
        patch.setenv("SPARK_CONF_DIR", str(cluster.folder / "conf"))
        settings = {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "512m",
            "spark.executor.memory": "1g",
            "spark.sql.session.timeZone": "Europe/Helsinki",  # what is no instant would show
            "spark.sql.shuffle.partitions": "4",
            "spark.sql.warehouse.dir": str(cluster.folder / "warehouse"),
            "spark.task.maxFailures": "1",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
        }
        builder = SparkSession.builder.master(cluster.master).appName("geotarget")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        gateway = SparkContext._gateway
        assert gateway is not None
        session.sparkContext.setLogLevel("OFF")
        try:
            yield session
        finally:
            session.stop()
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait(30)
            SparkContext._gateway = SparkContext._jvm = None


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files that both driver and executors see."""
    return tmp_path_factory.mktemp("lake")
