"""Pings in a data lake: matched, and played to the entry rules, on Apache Spark.

- `kernels`: which process of a node compiles, and where that is kept
- `columns`: which columns are meant, and which rows are pings
- `shipping`: one saved index on every node, mapped by all its Python processes
- `matching`: `match`, the zones of each ping
- `transitions`: `detect`, what `geotarget.detect_transitions` says, for millions of devices
- `backtesting`: `backtest`, what campaigns would have answered, as `geotarget backtest` says it
- `drafting`, `people`, `lanes`: what is played, whose device it is, how pings come to their task
- `answers`: what decisions come to: `summarise`, `budgets`

The code that decides is that of the engine; nothing here knows of geometry or of rules. PySpark is
an extra (``pip install 'geotarget[spark]'``), and geotarget must be installed where the Python
processes of the cluster run, in the version of the driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

try:
    import pyspark  # noqa: F401 - to say what to install
except ImportError as error:
    raise ImportError("geotarget.spark needs PySpark: pip install 'geotarget[spark]'") from error

from geotarget.spark.kernels import keep_kernels

if TYPE_CHECKING:
    from geotarget.spark.answers import budgets, summarise
    from geotarget.spark.backtesting import backtest

keep_kernels()  # before anything that is compiled is imported

from geotarget.spark.columns import is_ping  # noqa: E402
from geotarget.spark.matching import Matcher, match, matcher  # noqa: E402
from geotarget.spark.shipping import ShippedIndex, ship  # noqa: E402
from geotarget.spark.transitions import Detector, detect, detector  # noqa: E402

__all__ = [
    "Detector",
    "Matcher",
    "ShippedIndex",
    "backtest",
    "budgets",
    "detect",
    "detector",
    "is_ping",
    "match",
    "matcher",
    "ship",
    "summarise",
]

_HOMES = {
    "backtest": "geotarget.spark.backtesting",
    "budgets": "geotarget.spark.answers",
    "summarise": "geotarget.spark.answers",
}
"""What loads the pipeline: a second and a half that tasks of `match` and `detect` need not wait."""


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'geotarget.spark' has no attribute {name!r}")
