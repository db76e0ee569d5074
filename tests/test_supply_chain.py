"""What is shipped is pinned by hash, and what is known against it can't be overlooked."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from datetime import date
from importlib.metadata import requires
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

HASHED = REPOSITORY / "constraints-hashed.txt"


@pytest.fixture(scope="module")
def supply() -> ModuleType:
    """Import the script that CI runs."""
    found = importlib.util.spec_from_file_location("supply", REPOSITORY / ".ci" / "supply.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_hashed_versions_are_those_that_are_tested(supply: ModuleType) -> None:
    """`make hashes` was run after the last change of versions."""
    tested = supply.pins(supply.CONSTRAINTS)
    hashed = supply.pins(HASHED)
    assert {name: tested[name] for name in hashed} == hashed


def test_all_that_production_needs_is_hashed(supply: ModuleType) -> None:
    """Every dependency, and what each of them needs in turn, on the machine that runs this."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed: set[str] = set()
    wanted = [Requirement(each) for each in project["dependencies"]]
    while wanted:
        each = wanted.pop()
        name = supply.normal(each.name)
        extras = each.extras or {""}
        if name in needed or (
            each.marker and not any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ):
            continue
        needed.add(name)
        for text in requires(each.name) or ():
            inner = Requirement(text)
            if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(Requirement(text.partition(";")[0]))
    assert needed <= set(supply.pins(HASHED))


def test_hashed_file_holds_versions_and_hashes_only() -> None:
    """Each version has at least one SHA-256; no address of a registry, no other option of pip."""
    lines = HASHED.read_text().splitlines()
    pin = r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[A-Za-z0-9.!+_-]+( ; .*)? \\"
    digest = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    for before, line in zip(["", *lines], lines, strict=False):
        assert re.fullmatch(rf"#.*|{pin}|{digest}", line), line
        assert before.endswith("\\") == line.startswith(" "), line


def test_tools_of_ci_are_pinned() -> None:
    """Versions only, as for everything else."""
    for line in (REPOSITORY / ".ci" / "tools.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+", line), line


def found(*advisories: str, **more: Any) -> list[dict[str, Any]]:
    """Return what pip-audit says of one package."""
    vulns = [{"id": each, "aliases": [f"CVE-{each}"], "fix_versions": []} for each in advisories]
    return [{"name": "one", "version": "1.0", "vulns": vulns, **more}]


def test_an_advisory_fails_unless_it_is_excused(supply: ModuleType) -> None:
    """By its id or by another name of it; what can't be asked is counted."""
    unknown = [{"name": "two", "skip_reason": "not on the index"}]
    told, open_ones = supply.judged(found("A", "B") + unknown, {"CVE-A"})
    assert ["one 1.0: B, mended in none"] == open_ones
    assert [
        "advisories: excused: one 1.0: A, mended in none",
        "advisories: 1 versions asked, 1 unknown, 1 open",
    ] == told
    assert [] == supply.judged(found(), set())[1]


def test_an_excuse_has_a_reason_and_an_end(supply: ModuleType) -> None:
    """One that is over excuses nothing any more; one without either is no excuse."""
    said = {"A": {"reason": "unused", "until": date(2999, 1, 1)}}
    assert {"A"} == supply.read_excused(said)
    assert set() == supply.read_excused({"A": {"reason": "unused", "until": date(2020, 1, 1)}})
    for wrong in ({"reason": "", "until": date(2999, 1, 1)}, {"reason": "unused"}):
        with pytest.raises(SystemExit, match="A needs a reason and a date"):
            supply.read_excused({"A": wrong})
    supply.read_excused(tomllib.loads(supply.EXCUSED.read_text()))


def test_the_script_says_what_it_does(supply: ModuleType) -> None:
    """Anything but its three commands shows them."""
    for command in ("sbom", "audit", "hashes"):
        assert f"supply.py {command} " in supply.__doc__
