"""``/v1/imports``: files of profiles, read while they come.

The body goes from the socket in pieces to a worker thread that cuts it into rows and stores them,
and the next piece is asked for when the last one is dealt with: a slow database slows the sender
down, and nothing piles up here. A file of any size takes a few megabytes of memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
from anyio import from_thread, to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from geotarget.api.route import media_type
from geotarget.api.services import IMPORTS_AT_ONCE, Here, Who
from geotarget.api.values import Id, instant
from geotarget.errors import NotFound, Overloaded
from geotarget.profile_files import CSV, NDJSON
from geotarget.profile_imports import import_profiles
from geotarget.store import ImportJob

MEDIA_TYPES = (*NDJSON, *CSV)
ROW: dict[str, Any] = {
    "id": "aino",
    "attributes": {"first_name": "Aino", "tier": "gold"},
    "consent": {"marketing": True},
    "external_ids": {"crm": "4711"},
    "devices": ["device-17"],
}
CSV_EXAMPLE = (
    "id,first_name,tier,consent.marketing,external_ids.crm,devices\n"
    "aino,Aino,gold,yes,4711,device-17\n"
)


class ImportDocument(BaseModel):
    """One row of a file; in CSV the first line names the columns."""

    model_config = ConfigDict(json_schema_extra={"examples": [[ROW]]})

    id: str = Field(description="The profile's.")
    attributes: dict[str, Any] = {}
    consent: dict[str, bool] = {}
    external_ids: dict[str, str] = {}
    devices: list[str] | None = None
    quiet_hours: dict[str, str] | None = None


class RowProblemItem(BaseModel):
    """What is wrong with a row that was refused; the others are not affected."""

    line: int = Field(description="Where the row begins, from 1.")
    path: str = Field(description="A JSON path in the row.")
    value: str = Field(description="What stood there, shortened.")
    reason: str = Field(description="What is wrong with it, with the bound.")


class ImportAnswer(BaseModel):
    """How far an import has come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "crm-2026-01-01",
                    "state": "done",
                    "started": "2026-01-01T12:00:00.000Z",
                    "changed": "2026-01-01T12:00:07.500Z",
                    "rows": 200000,
                    "stored": 199999,
                    "refused": 1,
                    "problems": [
                        {
                            "line": 17,
                            "path": "$.consent.marketing",
                            "value": "perhaps",
                            "reason": "must be true or false",
                        }
                    ],
                }
            ]
        }
    )

    id: str
    state: str = Field(description="`running`, `stopped` before its end, or `done`.")
    started: str
    changed: str = Field(description="When it last moved.")
    rows: int = Field(description="Rows that are done.")
    stored: int = Field(description="Of them, profiles that were stored.")
    refused: int = Field(description="Of them, rows that were refused.")
    problems: list[RowProblemItem] = Field(description="The first 1,000.")

    @classmethod
    def of(cls, job: ImportJob) -> ImportAnswer:
        """Return what the API says about an import."""
        return cls(
            id=job.id,
            state=job.state,
            started=instant(job.started_ms),
            changed=instant(job.changed_ms),
            rows=job.rows,
            stored=job.stored,
            refused=job.refused,
            problems=[
                RowProblemItem(line=each.line, path=each.path, value=each.value, reason=each.reason)
                for each in job.problems
            ],
        )


def get_import(id: Id, here: Here) -> ImportAnswer:
    """Show how far an import has come.

    Also while it runs.
    """
    job = here.services.store.import_job(id)
    if job is None:
        raise NotFound("import", id)
    return ImportAnswer.of(job)


async def put_import(id: Id, request: Request, here: Here, who: Who) -> ImportAnswer:
    """Import profiles from a file.

    NDJSON, one profile a line, or CSV with a first line of names: `id`, attributes by their names
    (or as `attributes.NAME`), `consent.PURPOSE`, `external_ids.NAME`, `devices` (separated by
    spaces), `quiet_hours`. Each row replaces its profile, 500 rows are stored at a time, and rows
    that are wrong are reported with their line and hold nothing up.

    The answer comes at the end of the file. When the connection breaks before, send the same file
    under the same id again: rows that are done are passed over.
    """
    if not here.imports.acquire(blocking=False):
        raise Overloaded(f"{IMPORTS_AT_ONCE} imports are running already", retry_after_s=10)
    pieces = aiter(request.stream())

    def bridged() -> Iterator[bytes]:
        while (piece := from_thread.run(anext, pieces, None)) is not None:
            yield piece

    def work() -> ImportJob:
        return import_profiles(
            here.services.store, id, bridged(), media=media_type(request), by=who
        )

    try:
        # A thread of its own: those of the pool are for requests that are over soon.
        job = await to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
    finally:
        here.imports.release()
    return ImportAnswer.of(job)
