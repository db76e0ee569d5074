"""Matching for analysts: frames and files of pings in, pairs of ping and zone out.

- `frames`: `geotarget.match` for pandas, Polars and Arrow
- `spatial_join`, `joined_frames`, `text_rows`: `geotarget.sjoin` for GeoPandas
- `zone_files`, `ping_files`, `run`: files of any size, for ``geotarget match``

Everything here asks a `ZoneIndex` and nothing else; no transition, no store, no service.
"""

from __future__ import annotations
