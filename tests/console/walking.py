"""Phones that walk into a zone, over real MQTT, and the receiver that their offers come to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.e2e.harness import Node, Phones, Receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STEPS = ((90, 0.006), (60, 0.003), (40, 0.0), (20, 0.0), (0, 0.0))
"""How many seconds ago, and how many degrees north of the place; within the zone at the last."""


@contextmanager
def receiving(node: Node, endpoint: str) -> Iterator[Receiver]:
    """Listen as an endpoint of the node, which is gone afterwards if nothing names it."""
    with Receiver(SECRET).running() as receiver:
        node.put(f"/v1/endpoints/{endpoint}", {"url": receiver.url, "secret": receiver.secret})
        yield receiver
        node.call("DELETE", f"/v1/endpoints/{endpoint}")


def walk(node: Node, devices: Iterable[str], *, lng: float, lat: float) -> None:
    """Let phones walk to a place from the north; the broker has all of it when this returns."""
    phones = Phones(*node.broker_url, name=f"phones-{time.monotonic_ns()}")
    now = time.time()
    phones.publish_all(
        (f"pings/{device}", {"ts": now - ago, "lat": lat + north, "lng": lng, "acc": 6})
        for device in devices
        for ago, north in STEPS
    )
    phones.close()
