"""How log lines look: for people on a terminal, JSON for machines, into a file beside a live view.

Lines carry counts, names of settings, ids of what operators make and reasons. They never carry
coordinates, payloads, keys, secrets, or ids of devices and profiles. Whoever logs sees to that;
what an exception says is somebody else's text, so every line passes `redact` on its way out as
well: some 20 µs a text.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 …"),
    (re.compile(r"\b(whsec|whsk|whpk)_[A-Za-z0-9+/=_-]+"), r"\1_…"),
    (re.compile(r"\b(gt_[a-z]+)_[A-Za-z0-9_-]+"), r"\1_…"),
    (re.compile(r"://[^/\s@]*@"), "://…@"),
    # more than three decimals: what a coordinate has, and no reader of a log needs
    (re.compile(r"(?<![\d.])(-?\d{1,3}\.\d{3})\d+(?![\d.])"), r"\1…"),
)
_OURS = {"timestamp", "level", "logger"}
_AS_DICTIONARIES = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)
_AS_TEXT = structlog.processors.ExceptionRenderer()
"""Neither prints local variables, where coordinates and keys may be."""


def redact(text: str) -> str:
    """Return a text without what looks like a secret, a password in an address or a coordinate.

    The net under the rule that none of it is logged, not the rule.

    Examples
    --------
    >>> redact("can't reach mqtt://me:pass@host: whsec_C2FVsBQIhrs= at 60.1698557")
    "can't reach mqtt://…@host: whsec_… at 60.169…"
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def configure_logging(
    *, level: str = "info", as_json: bool = False, file: Path | None = None
) -> None:
    """Set up structlog for this process, and have the warnings of libraries look the same.

    Parameters
    ----------
    level
        Least level that is written: debug, info, warning or error. Libraries are heard from
        warning on: below that some of them print what they carry.
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
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    first: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = [
        _AS_DICTIONARIES if as_json else _AS_TEXT,
        _redact_all,
        renderer,
    ]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _redact_all(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Redact all texts of a line, however deep, as the last step before it is written."""
    for name, value in event.items():
        if name not in _OURS:
            event[name] = _redacted(value)
    return event


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _redacted(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each) for each in value]
    return value
