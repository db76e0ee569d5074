"""What every test of delivery signs with."""

from __future__ import annotations

import pytest
from verifying_receiver import SECRET


@pytest.fixture
def secret() -> str:
    """Return the secret that receivers verify with."""
    return SECRET
