"""The engine: where a ping is, and what changed. Arrays and a `now` in, values out.

Pure: no clock, no settings, and no I/O but that of `ZoneIndex.save` and `load`. `ZoneIndex` answers
*where*; `transitions` what follows.
"""

from __future__ import annotations

from geotarget.engine.rules import Rules
from geotarget.engine.zone_index import ZoneIndex

__all__ = ["Rules", "ZoneIndex"]
