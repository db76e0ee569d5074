"""Compiles kernels where numba is there, and runs the same source where it is not.

numba is a plain dependency, so whoever installs the package gets the fast path; platforms that
lack its wheel get correct answers more slowly (a kernel's loop costs about a hundred times more).
`DESCRIPTION` is for the start-up message that says which path is live.

Costs: importing numba takes a third of a second. A kernel is compiled at its first call, and is
then kept beside the module (or in the user's cache folder); where neither place can be written it
is compiled once per process. On a fresh machine the kernels of an index take some 10 seconds, those
of a service 18, and whoever waits for that is told so (`MESSAGE`): in the log of a service, else on
standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    import numba
except ImportError:  # pragma: no cover - the test runs it in a process of its own
    numba = None  # type: ignore[assignment]

COMPILED: bool = numba is not None
"""Whether kernels are compiled."""

DESCRIPTION: str = (
    f"kernels compiled by numba {numba.__version__}"
    if COMPILED
    else "kernels run as plain Python (numba is missing): correct but slower"
)


MESSAGE = "compiling kernels, once for this machine; takes 10 to 20 seconds"


def _announce() -> None:
    """Say why nothing seems to happen."""
    import structlog  # noqa: PLC0415 - takes a tenth of a warm start and is seldom needed

    if structlog.is_configured():
        structlog.get_logger(__name__).info(MESSAGE)
    else:
        sys.stderr.write(f"geotarget: {MESSAGE}\n")


if COMPILED:
    from numba.core import event

    class _FirstCompilation(event.Listener):
        """Announces the first kernel that is compiled rather than loaded."""

        def __init__(self) -> None:
            self.announced = False

        def on_start(self, event: object) -> None:  # noqa: ARG002 the interface is numba's
            if not self.announced:
                self.announced = True
                _announce()

        def on_end(self, event: object) -> None:
            """Nothing to say."""

    event.register("numba:compile", _FirstCompilation())  # type: ignore[no-untyped-call]


def njit(
    *,
    cache: bool = True,
    nogil: bool = True,
    error_model: Literal["python", "numpy"] = "python",
) -> Callable[[Kernel], Kernel]:
    """Return a decorator that compiles a kernel, or leaves it as it is without numba.

    Parameters
    ----------
    cache
        Keep the machine code on disk for the next process.
    nogil
        Let other threads run meanwhile.
    error_model
        What a division by zero does: raise, as Python's, or give infinity or NaN, as NumPy's. A
        loop that divides becomes vector code only with the latter; without numba the types of the
        operands decide, so a kernel must not divide by zero either way.
    """
    options: dict[str, Any] = {"nogil": nogil, "error_model": error_model}

    def decorate(function: Kernel) -> Kernel:
        if not COMPILED:
            return function
        try:
            compiled = numba.njit(cache=cache, **options)(function)
        except RuntimeError:
            # numba finds no folder that it may write to: a read-only installation without a home
            compiled = numba.njit(**options)(function)
        return cast("Kernel", compiled)

    return decorate
