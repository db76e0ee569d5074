"""The console's files at ``/``, under a content policy that lets nothing in from elsewhere.

No script but our own files, no inline code, no frame around it, no request to another host.

The page at ``/`` names its scripts and styles under ``/assets/{digest}/``, a digest of all files as
they are: browsers keep those for a year and never ask again, and a changed file has a new address.
Under their plain names files are asked for again each time, and answered 304 when they are as they
were. Text goes compressed: 2.4 MB become 0.7 MB, compressed once and kept.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from geotarget.console import FOLDER, SERVED, SUFFIXES

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
ASK_AGAIN = "no-cache"
FOR_A_YEAR = "public, max-age=31536000, immutable"
COMPRESSED = {".css", ".geojson", ".html", ".js", ".json", ".mjs", ".svg", ".topojson"}
LEAST_BYTES = 1_000
"""What is smaller is not worth the time to compress."""

_ADDRESS = re.compile(
    r'(<link rel="(?:stylesheet|preload|modulepreload)" href="|<script type="module" src=")'
)


class ConsoleFiles(StaticFiles):
    """Static files of the console with its headers; of the folder itself only what is a page's."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)
        self._digest = ""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return the file of a path, nothing where it is not the console's."""
        plain = os.path.normpath(path)
        first, *rest = Path(plain).parts or ("",)
        ours = first in SERVED if rest else Path(first).suffix in SUFFIXES
        return super().lookup_path(plain) if ours else ("", None)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with one file."""
        answer = await super().get_response(path, scope)
        if isinstance(answer, FileResponse) and may_compress(answer, Headers(scope=scope)):
            answer = await run_in_threadpool(_compressed_answer, answer)
        asked = scope.get("path_params", {}).get("digest")
        current = asked is not None and asked == (self._digest or self.renew())
        answer.headers["cache-control"] = FOR_A_YEAR if current else ASK_AGAIN
        answer.headers["content-security-policy"] = POLICY
        return answer

    def renew(self) -> str:
        """Return the digest of all files as they are now: a look at each, 1 ms."""
        stats = ((path, path.stat()) for path in files())
        states = [f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\n" for path, stat in stats]
        self._digest = hashlib.sha256("".join(states).encode()).hexdigest()[:16]
        return self._digest

    def front_page(self) -> bytes:
        """Return the page at ``/``: its scripts and styles by addresses that hold for ever."""
        page = (FOLDER / "index.html").read_text("utf-8")
        return _ADDRESS.sub(rf"\g<1>assets/{self.renew()}/", page).encode()


def files() -> Iterator[Path]:
    """Give all files of the console, in order."""
    for name in SERVED:
        yield from sorted(path for path in (FOLDER / name).rglob("*") if path.is_file())
    yield from sorted(path for path in FOLDER.iterdir() if path.suffix in SUFFIXES)


def may_compress(answer: FileResponse, headers: Headers) -> bool:
    """Return whether a file goes compressed to who asks."""
    path = Path(answer.path)
    wanted = "gzip" in headers.get("accept-encoding", "") and "range" not in headers
    return wanted and path.suffix in COMPRESSED and path.stat().st_size >= LEAST_BYTES


def _compressed_answer(answer: FileResponse) -> Response:
    path = Path(answer.path)
    content = _compressed(path, path.stat().st_mtime_ns)
    kept = {name: answer.headers[name] for name in ("content-type", "last-modified")}
    # The bytes are others than those of the file: the same tag, but a weak one.
    other = {"content-encoding": "gzip", "vary": "accept-encoding"}
    return Response(content, headers={**kept, **other, "etag": f"W/{answer.headers['etag']}"})


@lru_cache(maxsize=256)
def _compressed(path: Path, _modified_ns: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6)


def install(app: FastAPI) -> None:
    """Serve the console: its page at ``/``, its files beside it."""
    served = ConsoleFiles()

    async def page(_: Request) -> Response:
        content = await run_in_threadpool(served.front_page)
        headers = {"cache-control": ASK_AGAIN, "content-security-policy": POLICY}
        return Response(content, media_type="text/html", headers=headers)

    async def file(request: Request) -> Response:
        return await served.get_response(request.url.path.removeprefix("/"), request.scope)

    app.add_route("/", page, include_in_schema=False)
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in SUFFIXES:
            app.add_route(f"/{path.name}", file, include_in_schema=False)
    for name in SERVED:
        app.add_route(f"/{name}/{{rest:path}}", file, include_in_schema=False)
    app.mount("/assets/{digest}", served, name="console-assets")
