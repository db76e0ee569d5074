"""A webhook receiver as a process of its own: it outlives nodes, and its file outlives it.

    python -m benchmarks.faults.receiver --port 9000 --file posts.tsv --secret whsec_...

Every post is verified with the `standardwebhooks` library and written to the file before it is
answered, one line each: time, path, webhook id, SHA-256 of the body, verified (0 or 1), status,
body, with tabs between. What it answers depends on the path (`behaviours`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from benchmarks.faults import clock
from benchmarks.faults.behaviours import BEHAVIOURS
from benchmarks.faults.ledger import Post, posts
from benchmarks.faults.node import end_tree, eventually
from tests.ports import free_ports

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Handle of the process.

    Parameters
    ----------
    folder
        Where its file lies.
    secrets
        A post is verified when it is under one of them.
    clock_file
        Where its clock's offset stands (`clock`); empty takes the machine's clock.
    """

    def __init__(
        self, folder: Path, *, secrets: Sequence[str] = (SECRET,), clock_file: str = ""
    ) -> None:
        self.file = folder / "posts.tsv"
        self.secrets = tuple(secrets)
        self.clock_file = clock_file
        (self.port,) = free_ports(1)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, endpoint: str, behaviour: str = "ok") -> str:
        """Return where an endpoint's posts go; a behaviour may end in a query, ``slow?ms=20``."""
        name, mark, query = behaviour.partition("?")
        return f"http://127.0.0.1:{self.port}/{name}/{endpoint}{mark}{query}"

    def start(self) -> Self:
        """Start it, again on the same port and with the same file if it was stopped."""
        with (self._folder / "receiver.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "benchmarks.faults.receiver",
                    "--port", str(self.port), "--file", str(self.file),
                    *(f"--secret={each}" for each in self.secrets),
                    *([f"--clock={self.clock_file}"] if self.clock_file else []),
                ],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).resolve().parents[2],
            )  # fmt: skip
        eventually(self._answers, seconds=20, what="the receiver")
        return self

    def kill(self) -> None:
        """SIGKILL: connections break, nobody listens."""
        if self._process is not None:
            end_tree(self._process)

    def _answers(self) -> bool:
        import socket

        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def posts(self) -> list[Post]:
        """Return all posts so far."""
        return posts(self.file)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class _Service:
    """The process itself."""

    def __init__(self, file: Path, secrets: Sequence[str]) -> None:
        self._out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._webhooks = [Webhook(each) for each in secrets]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Verify, answer by the path, write down."""
        at, body = clock.real(), await request.read()
        verified = self._verified(body, dict(request.headers))
        behave = BEHAVIOURS.get(request.path.split("/")[1])
        if behave is None:
            return web.Response(status=404)
        status = 0
        try:
            answer = await behave(request)
            status = answer.status
        finally:
            self._write(at, request, body, verified=verified, status=status)
        return answer

    def _verified(self, body: bytes, headers: dict[str, str]) -> bool:
        for webhook in self._webhooks:
            with contextlib.suppress(WebhookVerificationError):
                webhook.verify(body, headers)
                return True
        with clock.as_before() as was_on_its_way:
            for webhook in self._webhooks if was_on_its_way else ():
                with contextlib.suppress(WebhookVerificationError):
                    webhook.verify(body, headers)
                    return True
        return False

    def _write(
        self, at: float, request: web.Request, body: bytes, *, verified: bool, status: int
    ) -> None:
        event = request.headers.get("webhook-id", "")
        digest = hashlib.sha256(body).hexdigest()
        line = f"{at:.6f}\t{request.path}\t{event}\t{digest}\t{verified:d}\t{status}\t".encode()
        os.write(self._out, line + body.replace(b"\n", b" ") + b"\n")


async def serve(port: int, file: Path, secrets: Sequence[str]) -> None:
    """Answer until the process ends."""
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{tail:.*}", _Service(file, secrets).take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=512, reuse_address=True).start()
    await asyncio.Event().wait()


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--secret", action="append", required=True)
    parser.add_argument("--clock", default="")
    chosen = parser.parse_args()
    if chosen.clock:
        clock.follow(Path(chosen.clock))
    asyncio.run(serve(chosen.port, chosen.file, chosen.secret))


if __name__ == "__main__":
    main()
