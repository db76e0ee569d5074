"""The gauges of the catalogue: which version this process has, and whether it keeps up."""

from __future__ import annotations

from geotarget import metrics
from geotarget.catalog import Catalog


def measure(catalog: Catalog, *, matches: bool) -> None:
    """Set the gauges of a process's catalogue.

    Parameters
    ----------
    catalog
        The one of this process.
    matches
        Whether a pipeline matches against it: that one says itself which version it works with.
    """
    metrics.catalog_behind_seconds.set(catalog.behind_s)
    if not matches:
        snapshot = catalog.snapshot
        metrics.zone_index_version.set(snapshot.revision)
        metrics.zone_index_zones.set(len(snapshot.index))
