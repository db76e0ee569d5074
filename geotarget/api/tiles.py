"""``GET /v1/tiles/zones/{z}/{x}/{y}``: the zones as a map needs them."""

from __future__ import annotations

import gzip
from typing import Annotated, TypedDict

from fastapi import Path
from pydantic import BaseModel, ConfigDict, RootModel
from starlette.requests import Request
from starlette.responses import Response

from geotarget.api.services import Here
from geotarget.api.zone_map import HIGHEST_ZOOM
from geotarget.errors import InvalidInput, Problem

MEDIA_TYPE = "application/vnd.mapbox-vector-tile"
LEAST_BYTES = 1_000
"""What is smaller is not worth the time to compress."""

Zoom = Annotated[int, Path(ge=0, le=HIGHEST_ZOOM, description="0 is the whole Earth.")]
Place = Annotated[
    int, Path(ge=0, lt=1 << HIGHEST_ZOOM, description="From 0 to below 2 to the power of `z`.")
]


class TileAnswer(RootModel[str]):
    """Binary; empty where there is no zone."""

    model_config = ConfigDict(json_schema_extra={"examples": [""], "format": "binary"})


class _Tile(TypedDict):
    answer: type[BaseModel]
    gives: str


ANSWER: _Tile = {"answer": TileAnswer, "gives": MEDIA_TYPE}
"""What the route answers."""


def zone_tile(z: Zoom, x: Place, y: Place, here: Here, request: Request) -> Response:
    """Draw the zones.

    A Mapbox Vector Tile of the Web Mercator pyramid, `x` eastward and `y` southward, with all
    zones, inactive ones too. Layer `zones`: outlines to a quarter of a pixel. `dots`: what is
    smaller than two pixels. `names`, from zoom 12 on: one point a zone. Properties: `id`, `name`,
    `tone` (0 to 5, a colour to tell neighbours apart) and `off` (1: not active).
    """
    most = (1 << z) - 1
    wrong = [
        Problem(name, str(value), f"goes from 0 to {most} at zoom {z}")
        for name, value in (("x", x), ("y", y))
        if value > most
    ]
    if wrong:
        raise InvalidInput(*wrong)
    tile = here.zone_map.tile(z, x, y)
    headers = {"Vary": "Accept-Encoding"}
    if len(tile) >= LEAST_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        tile = gzip.compress(tile, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(tile, media_type=MEDIA_TYPE, headers=headers)
