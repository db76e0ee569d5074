"""Processes of this project's code that begin in a hundredth of a second.

A new interpreter takes one to two seconds to import the store and the engine. These are forked from
one that has imported them, which is started by the first test that asks and ends with the session.
They share nothing with the test: arguments are pickled, answers come through a pipe.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

_context = get_context("forkserver")
_context.set_forkserver_preload(
    ["geotarget.pipeline", "geotarget.store.postgres", "tests.postgres_server"]
)

Target = Callable[..., None]
"""A function of a module, called with the child's end of a pipe and what else was given."""


class Forked:
    """A child process and the test's end of a pipe to it.

    Parameters
    ----------
    target
        What it runs.
    arguments
        What it is called with, after its end of the pipe.
    """

    def __init__(self, target: Target, *arguments: Any) -> None:
        self.pipe: Connection
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=target, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self, within_s: float = 120.0) -> Any:
        """Return the next thing that it says.

        Raises
        ------
        EOFError
            It has ended.
        """
        assert self.pipe.poll(within_s), f"it says nothing for {within_s:g} s"
        return self.pipe.recv()

    def kill(self) -> list[Any]:
        """End it by SIGKILL; return what it had said until then."""
        self.process.kill()
        said = []
        try:
            while True:
                said.append(self.pipe.recv())
        except EOFError:
            self.process.join()
            return said
        finally:
            self.pipe.close()

    def wait(self, within_s: float = 120.0) -> int | None:
        """Wait until it has ended; return its status, None if it has not."""
        self.process.join(within_s)
        self.pipe.close()
        return self.process.exitcode
