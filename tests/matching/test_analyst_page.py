"""The page for analysts can be typed as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "geotarget" / "docs" / "analyst.md").read_text()


def test_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands write what it says, and all of its Python runs after them."""
    monkeypatch.chdir(tmp_path)
    (shell,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    command = f"{sys.executable} -m geotarget match"
    subprocess.run(
        ["bash", "-euc", shell.replace("geotarget match", command)],
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
    )
    rows = pq.read_table("matched.parquet").select(["device", "zone_id"]).to_pylist()
    assert [("phone-1", "west"), ("phone-2", "west"), ("phone-2", "east")] == [
        tuple(row.values()) for row in rows
    ]
    python = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    exec(compile(python, "analyst.md", "exec"), {})
