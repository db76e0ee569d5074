"""``/v1/session``: a browser's way in. A key is exchanged for a cookie that no script can read."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from geotarget.api.auth import Caller
from geotarget.api.cookies import COOKIE, HOLDS_MS, Session
from geotarget.api.services import Here
from geotarget.api.values import Document, instant, instant_or_none
from geotarget.errors import NotAllowed


class SignInDocument(Document):
    """A key, to be exchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "gt_live_3kP9xQ7mZr2a_…"}]})

    key: Annotated[str, Field(min_length=1, max_length=400)] = Field(
        description="An API key.", json_schema_extra={"writeOnly": True}
    )


SESSION: dict[str, Any] = {
    "name": "marketing",
    "scopes": ["zones:write", "campaigns:write", "reports:read"],
    "until": "2026-01-02T00:00:00.000Z",
    "expires": None,
}


class SessionAnswer(BaseModel):
    """Who is signed in."""

    model_config = ConfigDict(json_schema_extra={"examples": [SESSION]})

    name: str = Field(description="Of the key.")
    scopes: list[str]
    until: str | None = Field(description="When the session ends; null for a key by itself.")
    expires: str | None = Field(description="When the key does; null is never.")


async def sign_in(document: SignInDocument, request: Request, here: Here) -> Response:
    """Sign in.

    Exchanges a key for a session: a cookie that holds for twelve hours and that no script can
    read. Wrong keys are counted as everywhere.
    """
    doorkeeper = here.doorkeeper
    caller = await doorkeeper.introduce(request, document.key)
    session = Session(caller.key, doorkeeper.now_ms() + HOLDS_MS)
    answer = JSONResponse(_answer(caller, session))
    answer.set_cookie(
        COOKIE,
        doorkeeper.seals.close(session),
        max_age=HOLDS_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


async def show_session(request: Request, here: Here) -> Response:
    """Show who is signed in.

    By the cookie, or by the key in the Authorization header; 204 when it is nobody.
    """
    try:
        caller = await here.doorkeeper.identify(request)
    except NotAllowed:
        return Response(status_code=204)
    cookie = request.cookies.get(COOKIE, "")
    session = here.doorkeeper.seals.open(cookie, now_ms=here.doorkeeper.now_ms())
    return JSONResponse(_answer(caller, session))


async def sign_out() -> Response:
    """Sign out.

    Takes the cookie back; harmless without one.
    """
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _answer(caller: Caller, session: Session | None) -> dict[str, Any]:
    return {
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "until": None if session is None else instant(session.until_ms),
        "expires": instant_or_none(caller.expires_ms),
    }
