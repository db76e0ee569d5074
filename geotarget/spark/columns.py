"""Which columns of a DataFrame are meant, and which of its rows are pings.

What is wrong with names and types is told before a job starts, with what was found. What is wrong
with values is known only when they are read: a job that meets such a row fails and names it, and
`is_ping` is there to leave such rows out, or to count them, by Spark itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - everybody's name for it
from pyspark.sql.types import NumericType, TimestampNTZType, TimestampType

from geotarget.errors import InvalidPing, Problem

_BOUNDS = {"lng": 180.0, "lat": 90.0}
_MOST_S = 1e11
"""As `geotarget.detect_transitions`: epoch seconds, not milliseconds."""


def named(name: str) -> Column:
    """Return a column by its whole name, dots and all."""
    return F.col("`" + name.replace("`", "``") + "`")


def at_work(error: InvalidPing, *meanings: str) -> InvalidPing:
    """Return what a job fails with: what is wrong, and how to leave such rows out.

    Parameters
    ----------
    error
        What the engine said of some rows; where among them says nothing here.
    *meanings
        The arguments of `is_ping` that matter.

    Examples
    --------
    >>> print(at_work(InvalidPing(Problem("lat[7]", "95.0", "is too large")), "lat"))
    lat: is too large; leave such rows out: df.where(geotarget.spark.is_ping(df, lat=…)) (95.0)
    """
    arguments = "".join(f", {each}=…" for each in meanings)
    out = f"leave such rows out: df.where(geotarget.spark.is_ping(df{arguments}))"
    return InvalidPing(
        *(
            Problem(each.path.partition("[")[0], each.value, f"{each.reason}; {out}")
            for each in error.problems
        )
    )


def check_columns(df: DataFrame, wanted: Mapping[str, str]) -> None:
    """Raise `InvalidPing` unless every column is there once, with values of its kind.

    Parameters
    ----------
    df
        The pings.
    wanted
        Names by meaning: ``lng``, ``lat``, ``acc`` must be numbers, ``ts`` numbers or timestamps;
        any other meaning may be of any type.
    """
    found = f"found: {', '.join(df.columns)}"
    problems = []
    for meaning, name in wanted.items():
        count = df.columns.count(name)
        if count > 1:
            problems.append(Problem("df", found, f"has {count} columns {name!r}"))
        elif not count:
            reason = f"has no column {name!r}"
            if meaning in _KINDS:
                reason += f"; name yours with {meaning}="
            problems.append(Problem("df", found, reason))
        elif meaning in _TYPES:
            kind = df.schema[name].dataType
            if not isinstance(kind, _TYPES[meaning]):
                reason = f"column {name!r} must hold {_KINDS[meaning]}"
                problems.append(Problem("df", kind.simpleString(), reason))
    if problems:
        raise InvalidPing(*problems)


def is_ping(
    df: DataFrame,
    *,
    lng: str = "lng",
    lat: str = "lat",
    device: str | None = None,
    ts: str | None = None,
) -> Column:
    """Return whether a row is a ping: true or false, never null.

    Parameters
    ----------
    df
        The rows.
    lng, lat
        Names of the columns with degrees, which must be finite and in range.
    device, ts
        Names of the columns with device and time, where `detect` is to have them; else not looked
        at.

    Returns
    -------
    pyspark.sql.Column
        For ``df.where(ok)``, and ``df.where(~ok)`` to see what is left out.

    Raises
    ------
    InvalidPing
        A column is missing (names what was found), or holds something else.
    """
    wanted = {"lng": lng, "lat": lat}
    wanted |= {} if device is None else {"device": device}
    wanted |= {} if ts is None else {"ts": ts}
    check_columns(df, wanted)
    fits = F.lit(True)  # noqa: FBT003 - a literal of SQL
    for meaning, bound in _BOUNDS.items():
        # Spark takes NaN for larger than all numbers.
        fits &= F.abs(named(wanted[meaning]).cast("double")) <= bound
    if device is not None:
        fits &= named(device).isNotNull()
    if ts is not None:
        fits &= named(ts).isNotNull()
        if isinstance(df.schema[ts].dataType, NumericType):
            fits &= F.abs(named(ts).cast("double")) <= _MOST_S
    return F.coalesce(fits, F.lit(False))  # noqa: FBT003 - a literal of SQL


_TIMES = (NumericType, TimestampType, TimestampNTZType)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "lng": (NumericType,),
    "lat": (NumericType,),
    "acc": (NumericType,),
    "ts": _TIMES,
}
_KINDS = {
    "device": "ids",
    "lng": "numbers",
    "lat": "numbers",
    "acc": "numbers",
    "ts": "timestamps or epoch seconds",
}
