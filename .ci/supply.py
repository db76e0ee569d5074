"""What is shipped: hashes of what production installs, its bill of materials, known advisories.

    python .ci/supply.py sbom      build/sbom.cdx.json, CycloneDX, from the environment beside it
    python .ci/supply.py audit     fails on a known advisory that advisories.toml does not excuse
    python .ci/supply.py hashes    writes constraints-hashed.txt anew, for changed versions (1 min)

The tools live in an environment of their own, build/tools: they are no dependency of anything. All
three ask the package index that pip is set up for; `audit` says so and passes where that has no
advisories, as a mirror has none.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / "build" / "tools"
CONSTRAINTS = ROOT / "constraints.txt"
HASHED = ROOT / "constraints-hashed.txt"
VERSIONS = ROOT / ".ci" / "tools.txt"
EXCUSED = ROOT / ".ci" / "advisories.toml"
SBOM = ROOT / "build" / "sbom.cdx.json"
SPECIFICATION = "1.6"
PROBED = 3
"""Packages that are asked for first, to see whether there are advisories at all."""

OUT_OF_REACH = re.compile(r"ConnectionError|ServiceError|Timeout|MaxRetryError|HTTPError")
HEADER = """\
# What production installs, with the SHA-256 of all files of these versions:
#   pip install --require-hashes -r constraints-hashed.txt && pip install --no-deps WHEEL
# Made from pyproject.toml and constraints.txt by `make hashes`; not edited by hand.
"""


def tool(package: str, command: str) -> Path:
    """Return a command of a package in the environment of tools; install it there at first."""
    path = TOOLS / "bin" / command
    if not path.exists():
        if not (TOOLS / "bin" / "python").exists():
            run(sys.executable, "-m", "venv", str(TOOLS))
        pip = (str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet")
        run(*pip, "--disable-pip-version-check", "-c", str(VERSIONS), package)
    return path


def run(*command: str) -> None:
    """Run a command; its complaints are shown when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def normal(name: str) -> str:
    """Return the normal form of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Return versions by package, of a file of pins with or without hashes."""
    lines = path.read_text().splitlines()
    found = (re.match(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)", line) for line in lines)
    return {normal(each[1]): each[2] for each in found if each}


def hashes() -> None:
    """Write the runtime dependencies with the hashes of all their files."""
    command = tool("pip-tools", "pip-compile")
    unwanted = "header annotate emit-index-url emit-find-links emit-trusted-host emit-options"
    made = ROOT / "build" / HASHED.name
    made.unlink(missing_ok=True)
    run(
        str(command), "--quiet", "--generate-hashes", "--strip-extras", "--no-config",
        *(f"--no-{each}" for each in unwanted.split()),
        "--extra", "postgres", "-c", str(CONSTRAINTS), "-o", str(made),
        str(ROOT / "pyproject.toml"),
    )  # fmt: skip
    HASHED.write_text(HEADER + made.read_text())
    print(f"{HASHED.name}: {len(pins(HASHED))} packages")


def sbom() -> None:
    """Write the bill of materials of what runs in production.

    What is only there for tests and benchmarks is left out, and so are the links of projects: a
    component is identified by its package URL.
    """
    command = tool("cyclonedx-bom", "cyclonedx-py")
    SBOM.parent.mkdir(exist_ok=True)
    run(
        str(command), "environment", str(Path(sys.prefix)), "--pyproject",
        str(ROOT / "pyproject.toml"), "--output-reproducible", "--validate",
        "--spec-version", SPECIFICATION, "-o", str(SBOM),
    )  # fmt: skip
    document: dict[str, Any] = json.loads(SBOM.read_text())
    wanted = pins(HASHED)
    kept = [each for each in document["components"] if normal(each["name"]) in wanted]
    wrong = {each["name"] for each in kept if wanted[normal(each["name"])] != each["version"]}
    if wrong:
        sys.exit(f"other versions are installed than {HASHED.name} says: {sorted(wrong)}")
    refs = {each["bom-ref"] for each in kept} | {"root-component"}
    document["components"] = kept
    document["dependencies"] = [
        each | {"dependsOn": sorted(refs & set(each.get("dependsOn", ())))}
        for each in document["dependencies"]
        if each["ref"] in refs
    ]
    tools = document["metadata"]["tools"]["components"]
    for each in (document["metadata"]["component"], *kept, *tools):
        each.pop("externalReferences", None)
    SBOM.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    check_sbom(document)
    print(f"{SBOM.relative_to(ROOT)}: {len(kept)} components, CycloneDX {SPECIFICATION}")


def check_sbom(document: dict[str, Any]) -> None:
    """Check what was cut: no address, no path of this machine, and still what the schema wants."""
    text = json.dumps(document)
    for bad in ("file:", str(ROOT), str(Path(sys.prefix)), str(Path.home()) + "/"):
        if bad in text:
            sys.exit(f"{SBOM.name} names {bad!r}")
    code = (
        "import sys; from cyclonedx.validation.json import JsonStrictValidator as V; "
        "from cyclonedx.schema import SchemaVersion as S; "
        f"error = V(S.from_version({SPECIFICATION!r})).validate_str(open(sys.argv[1]).read()); "
        "sys.exit(str(error) if error else 0)"
    )
    run(str(TOOLS / "bin" / "python"), "-c", code, str(SBOM))


def audit() -> None:
    """Fail on known advisories of pinned versions; pass, and say so, where none can be asked."""
    all_pins = [f"{name}=={version}" for name, version in pins(CONSTRAINTS).items()]
    for some in (all_pins[:PROBED], all_pins):
        found = advisories(some)
        if found is None:
            print("advisories: NOT ASKED, nobody who has them can be reached from here")
            return
        if all("skip_reason" in each for each in found):
            print("advisories: NOT ASKED, the package index that pip is set up for has none")
            return
    told, open_ones = judged(found, read_excused(tomllib.loads(EXCUSED.read_text())))
    print("\n".join(told))
    if open_ones:
        sys.exit("\n".join(open_ones))


def judged(found: list[dict[str, Any]], excused: set[str]) -> tuple[list[str], list[str]]:
    """Return what to say about what was found, and the advisories that nothing excuses."""
    asked = [each for each in found if "skip_reason" not in each]
    told, open_ones = [], []
    for each in asked:
        for advisory in each["vulns"]:
            names = {advisory["id"], *advisory.get("aliases", ())}
            better = ", ".join(advisory["fix_versions"]) or "none"
            line = f"{each['name']} {each['version']}: {advisory['id']}, mended in {better}"
            if names & excused:
                told.append(f"advisories: excused: {line}")
            else:
                open_ones.append(line)
    unknown = len(found) - len(asked)
    told.append(
        f"advisories: {len(asked)} versions asked, {unknown} unknown, {len(open_ones)} open"
    )
    return told, open_ones


def advisories(some: list[str]) -> list[dict[str, Any]] | None:
    """Return what is known of pinned versions; None when nobody answers."""
    command = tool("pip-audit", "pip-audit")
    asked = ROOT / "build" / "audited.txt"
    asked.write_text("\n".join(some) + "\n")
    done = subprocess.run(
        [
            str(command), "-r", str(asked), "--no-deps", "--disable-pip", "--format", "json",
            "--progress-spinner", "off", "--timeout", "15",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.stdout.strip():
        if OUT_OF_REACH.search(done.stderr):
            return None
        sys.exit(done.stderr)
    found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return found


def read_excused(said: dict[str, Any]) -> set[str]:
    """Return the advisories that are excused today; each has a reason and an end."""
    today = datetime.now(UTC).date()
    excused = set()
    for name, why in said.items():
        until = why.get("until")
        if not why.get("reason") or not isinstance(until, date):
            sys.exit(f"{EXCUSED.name}: {name} needs a reason and a date")
        if until >= today:
            excused.add(name)
    return excused


if __name__ == "__main__":
    commands = {"sbom": sbom, "audit": audit, "hashes": hashes}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    (ROOT / "build").mkdir(exist_ok=True)
    commands[sys.argv[1]]()
