"""What the console's templates say: a line break between a word and a tag is no space there."""

from __future__ import annotations

import re
from pathlib import Path

import geotarget

PAGES = Path(geotarget.__file__).parent / "console"
INLINE = "a|b|code|em|kbd|span|strong|time"
BEFORE_A_TAG = re.compile(rf"[\w,:;.)]\n\s*<(?:{INLINE})\b")
AFTER_A_TAG = re.compile(rf"</(?:{INLINE})>\n\s*[\w(]")


def test_words_do_not_run_together() -> None:
    """Templates drop white space that holds a line break: a space there is written as one."""
    sources = sorted(PAGES.rglob("*.js"))
    assert sources
    for source in sources:
        text = source.read_text()
        for rule in (BEFORE_A_TAG, AFTER_A_TAG):
            for found in rule.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                raise AssertionError(f"{source.name}, line {line}: {found[0]!r} has no space")
