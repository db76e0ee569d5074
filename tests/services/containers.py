"""What tests of the compose file, the image and the manifests share: they read, nothing is run."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer.main
import yaml

from geotarget.cli import app
from tests.conftest import REPOSITORY

SERVICES = REPOSITORY / "services"
ENV_FILE = REPOSITORY / ".env.example"
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?:(?P<how>:?[?+-])(?P<rest>[^{}]*))?\}")
"""With none in its rest: of several, one in the other, the innermost."""
EXACT_TAG = re.compile(r":v?\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$")
"""Of an image: two or three numbers (PostgreSQL has two), then what it stands on."""


def variables(text: str) -> dict[str, str]:
    """Return the lines ``NAME=value`` of an env file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def generated(folder: Path) -> dict[str, str]:
    """Run the script that writes .env, in a copy of what it reads; return what it wrote."""
    script = folder / "services" / "geotarget" / "env.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text((SERVICES / "geotarget" / "env.sh").read_text())
    (folder / ENV_FILE.name).write_text(ENV_FILE.read_text())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return variables((folder / ".env").read_text())


def filled(value: Any, given: Mapping[str, str]) -> Any:
    """Return a part of the compose file with its variables replaced."""
    if isinstance(value, dict):
        return {key: filled(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, given) for each in value]
    if not isinstance(value, str):
        return value

    def of(found: re.Match[str]) -> str:
        mine = given[found["name"]]
        if found["how"] == ":+":
            return found["rest"] if mine else ""
        return mine

    while VARIABLE.search(value):
        value = VARIABLE.sub(of, value)
    return value


def compose() -> dict[str, Any]:
    """Return the compose file as it is written, merges done."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    return document


def parse_command(arguments: Sequence[str]) -> dict[str, Any]:
    """Let the real command line read arguments; return the parameters of the command that it found.

    Raises
    ------
    ClickException
        What a user would be told: an unknown command or option, a value out of bounds.
    """
    command: Any = typer.main.get_command(app)
    context = command.make_context("geotarget", list(arguments))
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    parameters: dict[str, Any] = context.params
    return parameters


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    parts = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(word.upper(), rest) for word, rest in parts]


def shell_commands(line: str) -> list[list[str]]:
    """Return the words of each command of a RUN instruction."""
    return [shlex.split(each) for each in line.split("&&")]
