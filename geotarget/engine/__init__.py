"""The engine: where a ping is, and what changed. Arrays and a `now` in, values out.

Pure: no I/O, no clock, no settings. `ZoneIndex` answers *where*; `transitions` what follows.
"""

from __future__ import annotations

from geotarget.engine.rules import Rules
from geotarget.engine.zone_index import ZoneIndex

__all__ = ["Rules", "ZoneIndex"]
