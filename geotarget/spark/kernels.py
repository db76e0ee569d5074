"""Which process of a node compiles the kernels, and where that is kept.

A cluster's Python processes are many, short-lived (Spark ends one that is idle for a minute), and
often run as a user without a home over an installation that it can't write to. Left alone, each of
them would compile for 10 to 20 seconds, and again after the next break. So in a task the machine
code goes into the folder of the executor where numba finds no place of its own, and the first
process of an executor compiles while the others wait for it.

Costs: nothing but a look for a file where the kernels are there already, as in an image in which
they were compiled (``geotarget`` was used once when it was built).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark import SparkFiles, TaskContext

if sys.platform != "win32":
    import fcntl

FOLDER = "geotarget-kernels"
"""Where machine code is kept in the folder of an executor."""


def executor_folder() -> Path:
    """Return the folder that all Python processes of an executor share; only in a task."""
    return Path(SparkFiles.getRootDirectory())


def keep_kernels(folder: Path | None = None) -> bool:
    """Give numba a place for machine code if it finds none, before it is asked for one.

    Parameters
    ----------
    folder
        The place to give; in a task that of the executor if None, elsewhere none.

    Returns
    -------
    bool
        Whether it was needed.
    """
    if folder is None:
        if TaskContext.get() is None:
            return False
        folder = executor_folder() / FOLDER
    try:
        import numba  # noqa: PLC0415 - the engine runs without it, only slower
    except ImportError:
        return False
    try:
        numba.njit(cache=True)(keep_kernels)  # decorates, compiles nothing
    except RuntimeError:
        numba.config.CACHE_DIR = str(folder.absolute())  # type: ignore[attr-defined]
        return True
    return False


@contextmanager
def first_alone(what: str, folder: Path | None = None) -> Iterator[None]:
    """Let one process of an executor do something for the first time while the others wait.

    Parameters
    ----------
    what
        What is done: the kernels that it needs are compiled when it is done once.
    folder
        Where that is noted; that of the executor if None. Outside of a task nobody waits.
    """
    if folder is None:
        folder = executor_folder() if TaskContext.get() is not None else None
    if folder is None or sys.platform == "win32":
        yield
        return
    done = folder / f"{FOLDER}.{what}"
    if done.exists():
        yield
        return
    with (folder / f"{FOLDER}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the process, however that ends
        if not done.exists():
            yield
            done.touch()
            return
    yield
