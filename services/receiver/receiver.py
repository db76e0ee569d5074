#!/usr/bin/env python3
"""A webhook receiver to try things with, and to copy from.

It needs nothing but Python's standard library, and does what every receiver should do:

1. verify the signature over the raw bytes, before anything reads them;
2. refuse what was signed more than five minutes ago, or in the future;
3. treat a webhook-id that it has seen as already done: deliveries arrive at least once;
4. answer quickly with 2xx, and only then take its time.

    python3 receiver.py --secret whsec_… --port 8081
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hmac
import json
import os
import random
import signal
import sys
import threading
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_S = 300
MAX_DIGITS = 15
MAX_BODY_BYTES = 1024 * 1024
REMEMBERED_IDS = 100_000

PRINTING = threading.Lock()


class NotGenuine(Exception):
    """The post was not signed by who holds the secret, or is too old."""


def key_of(secret: str) -> bytes:
    """Return the key inside of ``whsec_…``."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except binascii.Error as error:
        raise argparse.ArgumentTypeError("a secret is whsec_ and base64") from error


def verify(
    keys: list[bytes],
    *,
    webhook_id: str,
    timestamp: str,
    signatures: str,
    body: bytes,
    now_s: float,
) -> None:
    """Check a post as Standard Webhooks 1.0 says, with any of the keys.

    Raises
    ------
    NotGenuine
        If a header is missing, the time is off by more than five minutes, or no signature fits.
    """
    if not webhook_id or not timestamp or not signatures:
        raise NotGenuine("a webhook header is missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= MAX_DIGITS):
        raise NotGenuine("webhook-timestamp is not a number of seconds")
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        raise NotGenuine("webhook-timestamp is more than five minutes off")
    message = f"{webhook_id}.{timestamp}.".encode() + body
    expected = [b"v1," + base64.b64encode(hmac.digest(key, message, "sha256")) for key in keys]
    for given in signatures.split():
        for wanted in expected:
            # compare_digest takes as long for a wrong signature as for a right one
            if hmac.compare_digest(given.encode(), wanted):
                return
    raise NotGenuine("no signature fits")


class Seen:
    """The last webhook ids that were dealt with; a real receiver keeps them in its database."""

    def __init__(self, capacity: int = REMEMBERED_IDS) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._capacity = capacity
        self._lock = threading.Lock()

    def add(self, webhook_id: str) -> bool:
        """Remember an id; tell whether it is new."""
        with self._lock:
            if webhook_id in self._ids:
                return False
            self._ids[webhook_id] = None
            if len(self._ids) > self._capacity:
                self._ids.popitem(last=False)
            return True


def line_of(event: dict[str, Any]) -> str:
    """Return what a person wants to see of an event."""
    data = event.get("data") or {}
    zone, transition = data.get("zone") or {}, data.get("transition") or {}
    who = (data.get("profile") or {}).get("id", "?")
    where = zone.get("name") or zone.get("id", "?")
    kind = transition.get("kind", "?")
    parts = [str(event.get("timestamp", "?")), str(event.get("type", "?")), f"{who} {kind} {where}"]
    if "campaign" in data:
        parts.append(f"{data['campaign']}: {json.dumps(data.get('offer'), ensure_ascii=False)}")
    return "  ".join(parts)


class Receiver(ThreadingHTTPServer):
    """The server, with what its handlers share."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], keys: list[bytes], fail_rate: float, seed: int | None
    ) -> None:
        super().__init__(address, Handler)
        self.keys = keys
        self.fail_rate = fail_rate
        self.seen = Seen()
        self.random = random.Random(seed)  # noqa: S311  # decides about pretended failures only


class Handler(BaseHTTPRequestHandler):
    """One connection; kept open between posts."""

    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """Verify, deduplicate, answer, print."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # the body stays unread
            self.answer(413, f"a body needs a Content-Length of at most {MAX_BODY_BYTES}")
            return
        body = self.rfile.read(int(length))
        webhook_id = self.headers.get("webhook-id", "")
        try:
            verify(
                self.server.keys,
                webhook_id=webhook_id,
                timestamp=self.headers.get("webhook-timestamp", ""),
                signatures=self.headers.get("webhook-signature", ""),
                body=body,
                now_s=time.time(),
            )
            event = json.loads(body)
        except (NotGenuine, ValueError) as error:
            self.answer(400, str(error))
            say(f"refused: {error}")
            return
        if self.server.random.random() < self.server.fail_rate:
            self.answer(500, "pretending to be broken (--fail-rate)")
            say(f"pretended to fail  {webhook_id}")
            return
        new = self.server.seen.add(webhook_id)
        self.answer(204, "")
        say(line_of(event) if new else f"again, ignored  {webhook_id}")

    def answer(self, status: int, text: str) -> None:
        """Send a short answer."""
        body = text.encode()
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        if status != 204:  # No Content has no length either
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line per event is enough."""


def say(line: str) -> None:
    """Print a line at once, whole, whatever the terminal can show."""
    encoding = sys.stdout.encoding or "utf-8"
    with PRINTING:
        sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()


def main() -> int:
    """Listen until stopped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--secret",
        type=key_of,
        action="append",
        help="whsec_…; give it twice while secrets change (default: $WEBHOOK_SECRET)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="0 picks a free one (%(default)s)")
    parser.add_argument(
        "--fail-rate", type=float, default=0.0, help="share of posts to answer with 500 (0 to 1)"
    )
    parser.add_argument("--seed", type=int, help="makes the pretended failures repeatable")
    options = parser.parse_args()
    if not options.secret and "WEBHOOK_SECRET" in os.environ:
        options.secret = [key_of(os.environ["WEBHOOK_SECRET"])]
    if not options.secret or not all(options.secret):
        parser.error("a --secret is needed: without one anybody could post")
    server = Receiver((options.host, options.port), options.secret, options.fail_rate, options.seed)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    say(f"listening on http://{options.host}:{server.server_port}")
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        say("stopped")
    finally:
        server.server_close()
        # never given back: Python aborts when it ends while another thread is about to print
        PRINTING.acquire()
    return 0


if __name__ == "__main__":
    sys.exit(main())
