"""``/livez``, ``/readyz``, ``/metrics``: for those who run it.

Alive needs nothing but the process. Ready asks what the process stands on, in a worker thread, and
says why not; both answer without a key, so they name no customer's data.

`create_watched` is an application of these three alone, without a key, for a port that only probes
and Prometheus reach: `ingest` and `deliver` have no other HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import structlog
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from geotarget.api.headers import SafeHeaders
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
    answer = _asked(here.services.readiness)
    response.status_code = 200 if answer.status == "ready" else 503
    return answer


def _asked(readiness: Callable[[], Sequence[Check]]) -> ReadyAnswer:
    """Return how everything stands at this moment."""
    try:
        checks = list(readiness())
    except Exception as error:
        # A check that breaks is a reason to be unready, not an error of the one who asks.
        log.exception("readiness can't be asked")
        checks = [Check("readiness", ok=False, detail=type(error).__name__)]
    return ReadyAnswer(
        status="ready" if all(check.ok for check in checks) else "unready",
        checks=[CheckAnswer(name=each.name, ok=each.ok, detail=each.detail) for each in checks],
    )


def metrics(request: Request) -> Response:
    """Export metrics.

    Prometheus text format, or OpenMetrics where the Accept header asks for it. No device, zone or
    campaign appears in a label.
    """
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(REGISTRY), media_type=content_type)


def create_watched(readiness: Callable[[], Sequence[Check]]) -> Starlette:
    """Return an application that serves `livez`, `readyz` and `metrics`, to everybody.

    Parameters
    ----------
    readiness
        Asked by ``/readyz``, in a worker thread.

    Examples
    --------
    >>> [route.path for route in create_watched(tuple).routes]
    ['/livez', '/readyz', '/metrics']
    """

    async def alive(_: Request) -> Response:
        return _document(await livez())

    def ready(_: Request) -> Response:
        answer = _asked(readiness)
        return _document(answer, 200 if answer.status == "ready" else 503)

    app = Starlette(
        routes=[Route("/livez", alive), Route("/readyz", ready), Route("/metrics", metrics)]
    )
    app.add_middleware(SafeHeaders)
    return app


def _document(answer: BaseModel, status: int = 200) -> Response:
    return Response(answer.model_dump_json(), status, media_type="application/json")
