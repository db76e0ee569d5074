"""Figures in pages of the documentation: who measures them writes them between two markers."""

from __future__ import annotations


def renewed(page: str, begin: str, end: str, text: str) -> str:
    """Return a page with the part between its markers renewed.

    Raises
    ------
    SystemExit
        The page lacks one of them.
    """
    before, first, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise SystemExit(f"the page has no markers {begin!r} and {end!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"
