"""The console's files at ``/``, under a content policy that lets nothing in from elsewhere.

No script but our own files, no inline code, no frame around it, no request to another host. Files
are asked for again each time and answered 304 when they are as they were.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from geotarget.console import FOLDER, SERVED, SUFFIXES

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = ((b"content-security-policy", POLICY.encode()), (b"cache-control", b"no-cache"))


class ConsoleFiles(StaticFiles):
    """Static files with the console's headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file."""

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await super().__call__(scope, receive, complete)


def install(app: FastAPI) -> None:
    """Serve the console: its page at ``/``, its files beside it."""
    headers = {name.decode(): value.decode() for name, value in HEADERS}

    async def file(request: Request) -> Response:
        name = request.url.path.removeprefix("/") or "index.html"
        return FileResponse(FOLDER / name, headers=headers)

    app.add_route("/", file, include_in_schema=False)
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in SUFFIXES:
            app.add_route(f"/{path.name}", file, include_in_schema=False)
    for name in SERVED:
        app.mount(f"/{name}", ConsoleFiles(directory=FOLDER / name), name=f"console-{name}")
