"""The Dockerfile says what the repository has; it was not built where no engine runs."""

from __future__ import annotations

import fnmatch
import importlib
import re
import subprocess
import tomllib

import pytest

from tests.conftest import REPOSITORY
from tests.services.containers import EXACT_TAG, SERVICES, compose, instructions, shell_commands

DOCKERFILE = SERVICES / "geotarget" / "Dockerfile"
STEPS = instructions(DOCKERFILE.read_text())
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
RUNS = [words for word, rest in STEPS if word == "RUN" for words in shell_commands(rest)]
ENVIRONMENT = dict(
    each.split("=", 1) for word, rest in STEPS if word == "ENV" for each in rest.split()
)


def test_the_base_is_exact_and_one_that_we_support() -> None:
    """The same Python builds and runs, of a version that the package allows."""
    bases = {rest.split(" AS ")[0] for word, rest in STEPS if word == "FROM"}
    (base,) = bases
    assert EXACT_TAG.search(base)
    version = re.match(r"python:(\d+)\.(\d+)\.\d+-slim-", base)
    assert version is not None
    least = re.search(r">=(\d+)\.(\d+)", PROJECT["requires-python"])
    assert least is not None
    assert (int(version[1]), int(version[2])) >= (int(least[1]), int(least[2]))
    named = "Programming Language :: Python :: {}.{}".format(*version.groups())
    assert named in PROJECT["classifiers"]


def test_it_does_not_run_as_root() -> None:
    """The last word about the user is a number that is not 0, the same as in compose."""
    user = [rest for word, rest in STEPS if word == "USER"][-1]
    made = next(words for words in RUNS if words[0] == "useradd")
    number = made[made.index("--uid") + 1]
    group = made[made.index("--gid") + 1]
    assert user == f"{number}:{group}" != "0:0"
    assert compose()["services"]["serve"]["user"] == user
    after = [word for word, _ in STEPS[STEPS.index(("USER", user)) :]]
    assert "USER" not in after[1:]


def ignored(path: str) -> bool:
    """Tell whether .dockerignore keeps a path out; the last line that fits decides."""
    out = False
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        keep, pattern = line.startswith("!"), line.lstrip("!")
        parts = path.split("/")
        tops = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
        fits = {each for each in tops if fnmatch.fnmatch(each, pattern)}
        if pattern.startswith("**/"):
            fits |= {each for each in parts if fnmatch.fnmatch(each, pattern[3:])}
        if fits:
            out = not keep
    return out


def test_what_is_copied_is_there_and_sent() -> None:
    """Each source is in the repository, and .dockerignore lets it through."""
    sources = [
        source
        for word, rest in STEPS
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert not ignored(source), source
    stages = {rest.split(" AS ")[1] for word, rest in STEPS if word == "FROM" and " AS " in rest}
    taken = {rest.split()[0] for word, rest in STEPS if rest.startswith("--from=")}
    assert taken == {f"--from={stage}" for stage in stages}


def test_the_wheel_can_be_built_from_what_is_copied() -> None:
    """The package, what its metadata names, and the data that goes into it from elsewhere."""
    copied = {s for word, rest in STEPS if word == "COPY" for s in rest.split()[:-1]}
    tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]
    wheel = tool["build"]["targets"]["wheel"]
    wanted = {PROJECT["readme"], *PROJECT["license-files"], *wheel["packages"], "pyproject.toml"}
    assert wanted <= copied
    for source in wheel["force-include"]:
        assert source.split("/")[0] in copied
        assert not ignored(source), source


@pytest.mark.parametrize(
    "path",
    [".env", ".git/config", "tests/conftest.py", "geotarget-data/secret.key", ".venv/bin/python",
     "geotarget/docs/screenshots/live-light.webp", "geotarget/engine/__pycache__/rings.pyc"],
)  # fmt: skip
def test_nothing_else_is_sent(path: str) -> None:
    """Least of all secrets and data."""
    assert ignored(path)


def test_versions_are_those_that_are_tested() -> None:
    """Every installation is bound by the constraints, as in the README; the extra exists."""
    installs = [words for words in RUNS if "pip" in words]
    assert len(installs) == 2
    for words in installs:
        assert words[words.index("-c") + 1] == "constraints.txt"
        assert "--no-cache-dir" in words
    assert "pip install -c constraints.txt" in (REPOSITORY / "README.md").read_text()
    extras = re.findall(r"\[([a-z]+)\]", " ".join(installs[-1]))
    assert extras == ["postgres"]
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    builds = next(words for words in RUNS if "build" in words and "pip" not in words)
    assert "--no-isolation" in builds  # else the build's own tools come unpinned
    pins = (REPOSITORY / "constraints.txt").read_text()
    tools = installs[0][installs[0].index("constraints.txt") + 1 :]
    assert all(re.search(rf"^{name}==", pins, re.MULTILINE) for name in tools)


def test_the_command_is_the_project_s() -> None:
    """The command chooses the process; without one it shows the help."""
    assert dict(STEPS)["ENTRYPOINT"] == '["geotarget"]'
    assert dict(STEPS)["CMD"] == '["--help"]'
    assert "geotarget" in PROJECT["scripts"]
    assert ENVIRONMENT["PATH"].startswith("/opt/geotarget/bin:")


def test_kernels_are_compiled_in_the_build_and_found_later() -> None:
    """By the real function, as the user that will run, into the folder that becomes a volume.

    Times are whole seconds before anything is compiled: layers keep no fractions, and numba and
    Python take a file with another time for a changed one.
    """
    warming = next(words for words in RUNS if words[0] == "python" and words[1] == "-c")
    module, name = re.findall(r"from ([\w.]+) import (\w+)", warming[2])[0]
    assert callable(getattr(importlib.import_module(module), name))
    order = [rest for _, rest in STEPS]
    user = dict(STEPS)["USER"]
    assert order.index(user) < next(i for i, rest in enumerate(order) if name in rest)
    cache = ENVIRONMENT["NUMBA_CACHE_DIR"]
    for service in ("serve", "ingest", "worker", "deliver"):
        assert f"kernels:{cache}" in compose()["services"][service]["volumes"]
    touch = next(words for words in RUNS if "touch" in words)
    assert re.fullmatch(r"--date=@\d+", touch[touch.index("touch") + 1])
    assert RUNS.index(touch) < RUNS.index(next(words for words in RUNS if "compileall" in words))
    assert "--no-compile" in next(words for words in RUNS if "--no-compile" in words)


def test_volumes_begin_with_their_owner() -> None:
    """Each folder that a volume is mounted at first belongs to our user."""
    made = next(words for words in RUNS if words[0] == "install")
    assert made[made.index("--owner") + 1] == "geotarget"
    folders = {word for word in made if word.startswith("/")}
    mounted = {
        each.split(":")[1]
        for service in compose()["services"].values()
        if service["image"].startswith("geotarget:")
        for each in service.get("volumes", ())
        if not each.startswith(".")
    }
    assert folders == mounted
    assert ENVIRONMENT["GEOTARGET_DATA"] in folders


def test_the_script_is_one_for_any_shell() -> None:
    """env.sh has to run where only `sh` is."""
    script = SERVICES / "geotarget" / "env.sh"
    assert script.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(script)], check=True)
