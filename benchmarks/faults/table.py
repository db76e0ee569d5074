"""Every row there is, in the order of the table."""

from __future__ import annotations

from benchmarks.faults import (
    bent,
    brokers,
    erasing,
    killing,
    outages,
    receivers,
    rotating,
    stopping,
    stores,
    times,
)
from benchmarks.faults.row import Row

ROWS: dict[str, Row] = {
    row.name: row
    for row in [
        *killing.ROWS,
        *brokers.ROWS,
        *stopping.ROWS,
        *bent.ROWS,
        *stores.ROWS,
        *times.ROWS,
        *receivers.ROWS,
        *outages.ROWS,
        *rotating.ROWS,
        *erasing.ROWS,
    ]
}
