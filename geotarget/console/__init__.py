"""The web console: static files that the API serves at ``/``.

Nothing is built and nothing is fetched from elsewhere. ``vendor/`` holds the libraries with their
licences; ``vendoring/``, which the wheel leaves out, is what a maintainer renews them with.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the files are."""

SERVED = ("css", "data", "map", "pages", "parts", "vendor")
"""Folders that are served; of the folder itself the files of `SUFFIXES`."""

SUFFIXES = (".html", ".js", ".svg")
