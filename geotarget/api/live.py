"""``GET /v1/live``: what happens now, as server-sent events, for the console and for wall screens.

Events carry the place up to which they tell, so a browser that lost its connection gets what it
missed: the newest 200 of each kind.
"""

from __future__ import annotations

from typing import Annotated, TypedDict

from fastapi import Query
from pydantic import BaseModel, ConfigDict, RootModel
from starlette.requests import Request
from starlette.responses import StreamingResponse

from geotarget.api.broadcast import LISTENERS
from geotarget.api.services import Here
from geotarget.errors import InvalidInput, Overloaded, Problem
from geotarget.store import Place

MEDIA_TYPE = "text/event-stream"


class Stream(TypedDict):
    """What the row of a stream says of its answer."""

    answer: type[BaseModel]
    gives: str


class EventStream(RootModel[str]):
    """Events as they happen."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                'id: 41-17\nevent: transition\ndata: {"id":"019b79a2c0fa5d1c","what":"enter"}\n\n'
            ]
        }
    )


def read_place(text: str) -> Place:
    """Return the place that a ``Last-Event-ID`` names.

    Raises
    ------
    InvalidInput
        It is none of ours.
    """
    moved, _, decided = text.partition("-")
    if not (text.isascii() and moved.isdecimal() and decided.isdecimal() and len(text) <= 40):
        raise InvalidInput(Problem("Last-Event-ID", text[:80], "is no id of this stream"))
    return Place(int(moved), int(decided))


async def follow(
    request: Request,
    here: Here,
    after: Annotated[
        str,
        Query(
            max_length=40,
            description="As `Last-Event-ID`, for who can't send headers; the header comes first.",
        ),
    ] = "",
) -> StreamingResponse:
    """Follow what happens.

    Server-sent events: `transition` and `decision` as they are committed, `totals` every two
    seconds, and where the ingest runs in the same process `positions`, little-endian 32-bit floats
    in base64: lng, lat, lng, lat … of all devices that were heard in the last ten minutes. With
    `Last-Event-ID` it goes on where a broken connection ended.
    """
    last = request.headers.get("last-event-id", "") or after
    place = read_place(last) if last else None
    if here.broadcast.is_full:
        raise Overloaded(f"{LISTENERS} listeners follow already", retry_after_s=10)
    return StreamingResponse(here.broadcast.listen(place), media_type=MEDIA_TYPE)
