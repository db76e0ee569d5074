"""The documentation says what the code does."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from geotarget.settings import Settings, settings_table
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "geotarget" / "docs"
MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for path in (REPOSITORY / "geotarget").rglob("*.py")
    if ">>> " in path.read_text()
)
PAGES = [REPOSITORY / "README.md", REPOSITORY / "geotarget" / "ARCHITECTURE.md", *DOCS.glob("*.md")]


def test_every_setting_is_documented_as_it_is() -> None:
    """`settings.md` is the table that the code makes; renew it with `geotarget settings`."""
    assert settings_table() in (DOCS / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_hold(page: Path) -> None:
    """Every relative link of a page leads to a file."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_that_pages_name_exist(page: Path) -> None:
    """No page names a setting that there is not."""
    known = {f"GEOTARGET_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"GEOTARGET_[A-Z_]+[A-Z]", page.read_text())) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_name_exist(page: Path) -> None:
    """Each `geotarget COMMAND` in the pages is a command of the command line."""
    helped = subprocess.run(
        [sys.executable, "-m", "geotarget", "--help"], capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"`geotarget ([a-z]+)", page.read_text()))
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        named |= set(re.findall(r"(?:^|\()geotarget ([a-z]+)", block, re.MULTILINE))
    for command in named:
        assert re.search(rf"\b{command}\b", helped), command


def test_json_in_the_pages_parses() -> None:
    """Every JSON block is JSON."""
    for page in PAGES:
        for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
            json.loads(block)


def test_changelog_has_a_section_for_what_comes_next() -> None:
    """The changelog begins with what is not released yet."""
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]", text, re.MULTILINE)


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Log beside the examples: on a fresh machine the first to need the kernels prints a line."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("quiet_log")
@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    """What a docstring shows is what happens."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
