"""``/livez``, ``/readyz``, ``/metrics``: for those who run it.

Alive needs nothing but the process. Ready asks what the process stands on, in a worker thread, and
says why not; both answer without a key, so they name no customer's data.
"""

from __future__ import annotations

from typing import Literal

import structlog
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.requests import Request
from starlette.responses import Response

from geotarget.api.services import Check, Here
from geotarget.metrics import REGISTRY

log = structlog.get_logger(__name__)


class AliveAnswer(BaseModel):
    """The process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class CheckAnswer(BaseModel):
    """One condition of being ready."""

    name: str
    ok: bool
    detail: str = Field(description="How it stands, in words; may be empty when all is well.")


class ReadyAnswer(BaseModel):
    """Whether traffic should come here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "checks": [{"name": "database", "ok": True, "detail": ""}],
                }
            ]
        }
    )

    status: Literal["ready", "unready"]
    checks: list[CheckAnswer]


class MetricsAnswer(RootModel[str]):
    """Prometheus text format."""

    model_config = ConfigDict(
        json_schema_extra={"examples": ["geotarget_zone_index_version 42.0\n"]}
    )


async def livez() -> AliveAnswer:
    """Tell whether the process is alive.

    Depends on nothing else: when this does not answer, restart the process.
    """
    return AliveAnswer()


def readyz(here: Here, response: Response) -> ReadyAnswer:
    """Tell whether the process is ready.

    Asks database, broker, catalogue and outbox. 503 while one of them is not well; the reasons
    are in the checks.
    """
    try:
        checks = list(here.services.readiness())
    except Exception as error:
        # A check that breaks is a reason to be unready, not an error of the one who asks.
        log.exception("readiness can't be asked")
        checks = [Check("readiness", ok=False, detail=type(error).__name__)]
    ready = all(check.ok for check in checks)
    response.status_code = 200 if ready else 503
    return ReadyAnswer(
        status="ready" if ready else "unready",
        checks=[CheckAnswer(name=each.name, ok=each.ok, detail=each.detail) for each in checks],
    )


def metrics(request: Request) -> Response:
    """Export metrics.

    Prometheus text format, or OpenMetrics where the Accept header asks for it. No device, zone or
    campaign appears in a label.
    """
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), media_type=content_type)
