"""The embedded server's log: warnings and errors go on into ours, so many a minute.

Refused publishes are counted, because nobody else learns of them: the server acknowledges what it
refuses, and drops it.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from typing import IO

import structlog

from geotarget import metrics

_LINES_A_MINUTE = 60
_LEVELS = {"[WRN]": "warning", "[ERR]": "error", "[FTL]": "critical"}

_OF_A_CLIENT = re.compile(r"\S+:\d+ - ")
_NAMED = re.compile(r'"(?:[^"\\]|\\.)*"')

_log = structlog.get_logger(__name__)


class ServerLog:
    """Reads the server's standard error; `last_lines` are for saying why it ended.

    Parameters
    ----------
    note
        Is shown every line.
    """

    def __init__(self, note: Callable[[str], None] = lambda _: None) -> None:
        self._note = note
        self.last_lines: deque[str] = deque(maxlen=20)

    def forward(self, lines: IO[str]) -> None:
        """Pass on what is worth it until the server ends."""
        minute, count = 0, 0
        with lines:
            for line in lines:
                text = line.partition("] ")[2].rstrip() or line.rstrip()
                self.last_lines.append(text)
                self._note(text)
                if "Publish Violation" in text:
                    metrics.publishes_refused.inc()
                level = _LEVELS.get(text[:5])
                if level is None or _is_expected(text):
                    continue
                if "unacceptable protocol version" in text:
                    _log.info("a client tried MQTT 5; the embedded broker speaks MQTT 3.1.1")
                    continue
                if int(time.monotonic() // 60) != minute:
                    minute, count = int(time.monotonic() // 60), 0
                count += 1
                if count < _LINES_A_MINUTE:
                    getattr(_log, level)("embedded broker", line=_nameless(text[6:]))
                elif count == _LINES_A_MINUTE:
                    _log.warning("embedded broker: further lines of this minute are left out")


def _nameless(text: str) -> str:
    """Leave out who it is about: a line that begins with a client's address quotes its names."""
    return _NAMED.sub('"…"', text) if _OF_A_CLIENT.match(text) else text


def _is_expected(text: str) -> bool:
    """Tell what an operator need not hear.

    The passwords in plain text are random, new with each start, in a file of its owner only. And
    somebody who only looks whether the port answers, as we do, ends before the handshake.
    """
    return "Plaintext passwords detected" in text or text.endswith("TLS handshake error: EOF")
