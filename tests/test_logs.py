"""What log lines look like, and what can't get into one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from geotarget.logs import redact

WRITER = """
import logging, sys
from pathlib import Path
import structlog
from geotarget.logs import configure_logging

configure_logging(level="debug", as_json=sys.argv[1] == "json", file=Path(sys.argv[2]))
log = structlog.get_logger("one")
log.info("shown", count=3, where=["whsec_TfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], took=0.123456)
latitude = 60.1698557
try:
    raise ValueError(f"latitude {latitude} of mqtt://me:pass-word@host")
except ValueError:
    log.exception("failed", deep={"key": "gt_live_abc_def"})
    logging.getLogger("library").exception("its %s", "Bearer abcdefgh12345")
logging.getLogger("library").info("quiet")
"""


@pytest.mark.parametrize("kind", ["json", "text"])
def test_nothing_that_is_secret_gets_through(tmp_path: Path, kind: str) -> None:
    """Not in a value, not in an exception's text, not in a traceback, not from a library."""
    file = tmp_path / "log"
    subprocess.run([sys.executable, "-c", WRITER, kind, str(file)], check=True)
    text = file.read_text()
    for secret in ("TfKQ9r8", "169855", "pass-word", "abc_def", "abcdefgh"):
        assert secret not in text
    for shown in ("shown", "failed", "ValueError", "latitude 60.169…", "its Bearer …", "library"):
        assert shown in text.replace("\\u2026", "…")
    assert "quiet" not in text
    assert "0.123456" in text, "a figure of our own is no text of somebody else's"
    if kind == "json":
        shown, failed, theirs = map(json.loads, text.splitlines())
        assert ("info", 3) == (shown["level"], shown["count"])
        assert re.fullmatch(r"[\d-]+T[\d:]+\.\d{6}Z", shown["timestamp"])
        assert ("error", "error", "library") == (
            failed["level"],
            theirs["level"],
            theirs["logger"],
        )
        assert "ValueError" == failed["exception"][0]["exc_type"]
        assert "locals" not in text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "whsec_…"),
        ("Authorization: Bearer gt_live_x1_secretsecret", "Authorization: Bearer …"),
        ("amqp://user:p%40ss@host/x", "amqp://…@host/x"),
        ("[24.9384123, -60.1698557]", "[24.938…, -60.169…]"),
        ("127.0.0.1:12345 took 0.25 s", "127.0.0.1:12345 took 0.25 s"),
        ("SQLite 3.53.4 of 2026.10.18", "SQLite 3.53.4 of 2026.10.18"),
        ("https://example.org/a@b", "https://example.org/a@b"),
    ],
)
def test_what_is_redacted(text: str, left: str) -> None:
    """Secrets, passwords and long decimals go; the rest of the text stays readable."""
    assert left == redact(text)
