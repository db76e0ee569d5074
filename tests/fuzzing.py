"""How long property tests try: briefly in CI, a multiple of it with `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("GEOTARGET_FUZZ", "1"))
"""`make fuzz` sets it to 30, `make fuzz FUZZ=100` to 100."""

settings.register_profile("house", deadline=None)
"""A deadline on the wall clock measures who else is busy on the machine."""

settings.register_profile("fuzz", max_examples=100 * FACTOR, deadline=None)


def examples(count: int) -> settings:
    """Return settings that try so many examples, times `FACTOR`."""
    return settings(
        max_examples=count * FACTOR,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
