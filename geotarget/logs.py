"""How log lines look: for people on a terminal, JSON for machines, into a file beside a live view.

Lines carry counts, names of settings and reasons. They never carry coordinates, payloads, keys or
secrets.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

import structlog

_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure_logging(
    *, level: str = "info", as_json: bool = False, file: Path | None = None
) -> None:
    """Set up structlog for this process.

    Parameters
    ----------
    level
        Least level that is written: debug, info, warning or error.
    as_json
        One JSON object a line instead of text.
    file
        Where to write; standard error if None.
    """
    out: TextIO = sys.stderr if file is None else file.open("a", buffering=1)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty(),
            pad_event_to=24,
            # the pretty formatter prints local variables, where coordinates and keys may be
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *([_TRACEBACKS] if as_json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=out, format="%(levelname)s %(name)s %(message)s"
    )
