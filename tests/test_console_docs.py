"""The console's documentation shows every page as it looks, in both themes."""

from __future__ import annotations

import re
import tomllib

from tests.conftest import REPOSITORY
from tests.console.screenshots import FOLDER, MOST_BYTES, MOST_BYTES_IN_ALL, SHOTS, files

PAGES = REPOSITORY / "geotarget" / "console" / "pages"


def test_every_page_has_its_two_screenshots() -> None:
    """Each way of the shell and each tab is shown light and dark, and the documentation has it.

    Renew them with ``python -m tests.console.screenshots``.
    """
    shell = (PAGES.parent / "shell.js").read_text()
    addresses = set(re.findall(r"\{ name: \"([a-z]+)\", words", shell))
    assert len(addresses) >= 7
    for module in ("settings", "deliveries"):
        text = (PAGES / f"{module}.js").read_text()
        tabs = re.findall(r"^  \[\"([a-z-]*)\", \"", text, re.MULTILINE)
        assert "" in tabs
        addresses |= {f"{module}/{tab}" for tab in tabs if tab}
    assert addresses <= {address.removesuffix("/{device}") for address in SHOTS.values()}
    told = (REPOSITORY / "geotarget" / "docs" / "console.md").read_text()
    assert set(files()) == set(re.findall(r"\(screenshots/([a-z-]+\.webp)\)", told))


def test_screenshots_are_small() -> None:
    """Those that are named are there and no other, each small, all together small."""
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(files()) == set(sizes)
    assert max(sizes.values()) <= MOST_BYTES
    assert sum(sizes.values()) <= MOST_BYTES_IN_ALL


def test_screenshots_do_not_go_into_the_wheel() -> None:
    """Who installs the package does not download them."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert f"/{FOLDER.relative_to(REPOSITORY).as_posix()}" in wheel["exclude"]
