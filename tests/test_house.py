"""Rules of the house that a reviewer would otherwise have to remember."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import geotarget
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "geotarget"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 450
BANNED_NAMES = {"utils", "helpers", "manager", "common", "base", "misc"}


def tracked_files() -> list[Path]:
    """Return the files under version control, or all files outside build folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        return [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [path for path in REPOSITORY.rglob("*") if path.is_file()]


def test_imports_only_go_down() -> None:
    """The layers of the architecture hold for every module, new ones included."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    """Each module has a docstring, at most 450 lines, and a name from the field."""
    source = path.read_text()
    tree = ast.parse(source)
    if tree.body:
        assert ast.get_docstring(tree), f"{path} has no docstring"
    assert len(source.splitlines()) <= LONGEST
    assert path.stem not in BANNED_NAMES


def test_public_names_are_pinned() -> None:
    """What a notebook sees changes only on purpose."""
    assert geotarget.__all__ == [
        "GeotargetError",
        "Rules",
        "Zone",
        "ZoneIndex",
        "__version__",
        "detect_transitions",
        "match",
        "sjoin",
    ]
    for name in geotarget.__all__:
        assert hasattr(geotarget, name)


def test_nothing_reads_the_environment_but_settings() -> None:
    """Rooms get plain values; only `settings` (and the entry points) know of the environment."""
    allowed = {"settings.py", "runtime.py", "cli.py", "env.py", "__main__.py"}
    readers = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if path.name not in allowed
        and re.search(r"os\.environ|os\.getenv|getenv\(", path.read_text())
    ]
    assert readers == []


def test_no_test_sleeps() -> None:
    """Tests wait for a condition with a deadline, never for time to pass."""
    sleepers = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}
    ]
    assert sleepers == []


def test_each_test_states_a_behaviour() -> None:
    """A test's docstring says what holds when it passes."""
    silent = [
        f"{path.relative_to(REPOSITORY)}::{node.name}"
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


@pytest.mark.slow
def test_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """An installed wheel adds `geotarget` and its metadata to site-packages, with demo data."""
    subprocess.run(
        [
            sys.executable, "-m", "build", "--wheel", "--no-isolation",
            "--outdir", str(tmp_path), str(REPOSITORY),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"geotarget", f"geotarget-{geotarget.__version__}.dist-info"}
    assert "geotarget/demo/helsinki.geojson" in names
    assert "geotarget/demo/streets.npz" in names
    assert any(name.startswith("geotarget/store/migrations/") for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_no_lock_file_and_no_address_of_a_registry() -> None:
    """Pinned versions carry no addresses."""
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|\s*|[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+( ; .*)?", line), line


def test_catalogues_are_documented_and_valid() -> None:
    """Every zone file in `zones/` is valid and named, with its source, in the README there."""
    from geotarget.geojson import load_zones

    text = (REPOSITORY / "zones" / "README.md").read_text()
    catalogues = sorted((REPOSITORY / "zones").glob("*.geojson"))
    assert catalogues
    for path in catalogues:
        assert path.name in text
        json.loads(path.read_text())
        assert load_zones(path).problems == []


def test_services_hold_no_importable_package() -> None:
    """`services/` holds deployment units, `zones/` holds data."""
    assert not list((REPOSITORY / "services").rglob("__init__.py"))
    assert not list((REPOSITORY / "zones").rglob("*.py"))


def test_every_import_is_a_declared_dependency() -> None:
    """What the package imports stands in pyproject.toml, not only what something else brings."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["postgres"], *extras["spark"]]
    declared = {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower().replace("_", "-") for each in wanted}
    homes = packages_distributions()
    undeclared = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in {each.split(".")[0] for each in names}:
                # pydantic pins its core to one version and documents it as part of itself
                if name in sys.stdlib_module_names or name in {"geotarget", "pydantic_core"}:
                    continue
                brought = {each.lower().replace("_", "-") for each in homes.get(name, [name])}
                if not brought & declared:
                    undeclared.add(f"{name} ({path.relative_to(PACKAGE)})")
    assert undeclared == set()
