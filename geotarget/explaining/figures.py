"""Times, lengths and spans as a person reads them.

They are rounded to what matters: nobody needs the millimetres of a fix that is good to 8 m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Writes instants of one story: with the date only where it takes more than one day.

    Examples
    --------
    >>> Clock.over([1767268800000, 1767268860000]).time(1767268815000)
    '12:00:15'
    """

    dated: bool

    @classmethod
    def over(cls, instants_ms: Sequence[int]) -> Clock:
        """Return the clock of a story that takes place at these instants."""
        return cls(dated=len({at_ms // DAY_MS for at_ms in instants_ms}) > 1)

    def time(self, at_ms: int) -> str:
        """Write an instant, UTC."""
        return moment(at_ms) if self.dated else moment(at_ms)[11:]


def moment(at_ms: int) -> str:
    """Write an instant in full, UTC, to the second or, where there are some, milliseconds."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    places = "milliseconds" if at_ms % 1000 else "seconds"
    return at.replace(tzinfo=None).isoformat(" ", places)


def metres(value: float) -> str:
    """Write a length.

    Examples
    --------
    >>> metres(3.14159), metres(42.4), metres(12345.6)
    ('3.1 m', '42 m', '12.3 km')
    """
    if abs(value) >= 10_000:
        return f"{value / 1000:.1f} km"
    return f"{value:.0f} m" if abs(value) >= 10 else f"{round(value, 1):g} m"


def duration(seconds: float) -> str:
    """Write a span of time.

    Examples
    --------
    >>> duration(45), duration(600), duration(5400), duration(200000)
    ('45 s', '10 min', '1.5 h', '2.3 d')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size or (size == 3_600 and seconds >= size):
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds, 1):g} s"


def where(distance_m: float | None, name: str) -> str:
    """Write on which side of a zone's outline something lies, and how far from it."""
    if distance_m is None:
        return f"while '{name}' was not valid"
    if abs(distance_m) < 0.05:
        return f"on the outline of '{name}'"
    return f"{metres(abs(distance_m))} {'inside' if distance_m > 0 else 'outside'} '{name}'"
