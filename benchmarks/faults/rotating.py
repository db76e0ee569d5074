"""The row about secrets: changed under load, by a receiver that believes in one at a time."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from benchmarks.faults.ledger import Post, check
from benchmarks.faults.node import rest
from benchmarks.faults.receiver import SECRET
from benchmarks.faults.receivers import caught_up, emptied
from benchmarks.faults.row import Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, Scene

OVERLAP_S = 3
PROMISED_S = 1.0
"""After the answer to a rotation until all processes sign with both secrets."""


class OneSecret:
    """A receiver that knows one secret and answers 401 to whatever is not signed with it."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.failed: list[tuple[float, Post]] = []
        """When it was signed, epoch seconds, and what did not verify."""
        self.url = ""
        self._webhook = Webhook(SECRET)

    def switch(self, secret: str) -> None:
        """Believe in another secret from now on."""
        self._webhook = Webhook(secret)

    @contextlib.contextmanager
    def running(self) -> Iterator[OneSecret]:
        """Listen on a free port of loopback for the time of a block."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                """Verify, keep, answer."""
                at, body = time.time(), self.rfile.read(int(self.headers["content-length"]))
                post = receiver.take(at, self.path, dict(self.headers.items()), body)
                self.send_response(post.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:
                """Stay quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/ok/{ENDPOINT}"
        thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def take(self, at: float, path: str, headers: dict[str, str], body: bytes) -> Post:
        """Verify a post and keep it."""
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            self._webhook.verify(body, headers)
            verified = True
        except WebhookVerificationError:
            verified = False
        digest = hashlib.sha256(body).hexdigest()
        status = 204 if verified else 401
        post = Post(at, path, headers["webhook-id"], digest, verified, status, body)
        self.posts.append(post)
        if not verified:
            self.failed.append((float(headers["webhook-timestamp"]), post))
        return post


def rotation_under_load(run: Run) -> Result:
    """Change the secret again and again; the receiver follows at some moment of the overlap."""
    rotations = run.size(8, 2)
    with OneSecret().running() as receiver, Scene(run, rate=1_000) as scene:
        scene.put_endpoint(ENDPOINT, url=receiver.url)
        phones = scene.publish()
        caught_up(scene)
        doubled: list[float] = []  # from when on everything is signed with both secrets
        for _ in range(rotations):
            answer = scene.node.post(f"/v1/endpoints/{ENDPOINT}:rotate", {"overlap_s": OVERLAP_S})
            answered = time.monotonic()
            doubled.append(time.time() + PROMISED_S)
            rest(run.luck.uniform(PROMISED_S, OVERLAP_S - 0.1))
            receiver.switch(answer["secret"])
            rest(OVERLAP_S + 0.2 - (time.monotonic() - answered))
        rest(1)
        phones.finish()
        emptied(scene.node, seconds=60)
        # A post that was signed before the answer and came after the switch was on its way for
        # longer than a second, as happens where cores are scarce. It fails, and comes again. The
        # header tells whole seconds.
        slow = [
            post
            for signed, post in receiver.failed
            if any(signed + 1 <= moment < post.at for moment in doubled)
        ]
        posts = [each for each in receiver.posts if each not in slow]
        verdict = check(scene.owed(), posts, ENDPOINT)
        failed = len(receiver.failed) - len(slow)
        size = f"{rotations} rotations, {OVERLAP_S} s overlap, {len(phones.acknowledged):,} pings"
        note = f"{len(posts):,} posts verified with the one secret of the moment, {failed} failed"
        if slow:
            note += f", and {len(slow)} that had been on their way since before the rotation"
        return scene.result(verdict, size, note=note)


ROWS = [
    Row(
        "secrets-rotated",
        "the secret changed under load, the receiver follows at any moment of the overlap",
        rotation_under_load,
        120,
    )
]
