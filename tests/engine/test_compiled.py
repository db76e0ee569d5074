"""What a person sees of the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import numpy as np
from geotarget.engine.cells import cells_at
print(cells_at(lng=np.array([24.94]), lat=np.array([60.17]), resolution=9))
"""


def test_who_waits_for_the_compiler_is_told_why(tmp_path: Path) -> None:
    """The first run with an empty cache says so on standard error, once; the second is silent."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert 1 == first.stderr.count("compiling kernels, once for this machine")
    assert "" == second.stderr
