"""Some rows of the fault suite, small: that nothing is lost, and that the suite itself works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults.scene import DEVICES
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

OWED = 2 * DEVICES
"""What the first lap of the walks implies, an entry and an offer of each phone; a slow machine may
do no more laps in the time that a row takes."""


@pytest.mark.parametrize("row", ["broker-nats", "sigterm", "blocked"])
def test_a_fault_under_load_loses_nothing(row: str, tmp_path: Path) -> None:
    """Phones publish 2,000 pings a second into the fault; every owed event arrives, verified."""
    out = tmp_path / "faults.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", row, "--quick", "--out", str(out)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads(out.read_text())["rows"]
    assert result["owed"] >= OWED
    assert (result["lost"], result["problems"]) == (0, [])
