"""Planning over everything that runs: what phones report becomes reach, also over a restart."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.harness import Node, Phones, square

pytestmark = pytest.mark.e2e

HERE = {"lng": 24.94, "lat": 60.17}


def test_reach_survives_a_clean_stop(node_factory: Callable[..., Node]) -> None:
    """What waited in memory is written when the service stops: the next one knows of it."""
    node = node_factory().start()
    phones = Phones(*node.broker_url)
    ts = time.time() - 10
    phones.publish_all([(f"pings/phone-{n}", {**HERE, "ts": ts, "acc": 9}) for n in range(25)])
    phones.close()
    assert node.stop() == 0
    node.start()
    draft = square("draft", **HERE, half_m=400)
    status, answer = node.call("POST", "/v1/zones:reach", draft)
    assert status == 200
    assert 20 <= answer["devices"] <= 30
    assert node.stop() == 0
