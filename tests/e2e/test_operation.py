"""What operators and developers rely on while it runs: keys, changes, bad input, retries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.harness import Node, Phones, Receiver, campaign, eventually, square

pytestmark = pytest.mark.e2e

HERE = {"lng": 24.94, "lat": 60.17}


def now(offset_s: float = 0) -> float:
    """Return epoch seconds."""
    return time.time() + offset_s


def test_without_a_key_nothing_but_health_answers(node_factory: Callable[..., Node]) -> None:
    """401 everywhere but on the health checks and the documentation."""
    node = node_factory().start()
    assert node.call("GET", "/livez", key="")[0] == 200
    assert node.call("GET", "/readyz", key="")[0] == 200
    for path in ("/v1/zones", "/v1/campaigns", "/v1/transitions", "/v1/deliveries", "/metrics"):
        status, answer = node.call("GET", path, key="")
        assert status == 401, path
        assert answer["status"] == 401
    assert node.call("GET", "/v1/zones", key="gt_live_wrong_key")[0] == 401


def test_a_changed_zone_takes_effect_within_a_second(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """A zone that is put while phones publish catches the next pings, without a restart."""
    node = node_factory().start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    phones = Phones(*node.broker_url)
    phones.publish_all([("pings/a", {**HERE, "ts": now(-60), "acc": 5})])
    node.put("/v1/zones/late", square("late", **HERE, half_m=100))
    threading.Event().wait(1.0)
    phones.publish_all([("pings/a", {**HERE, "ts": now(-1), "acc": 5})])
    eventually(lambda: len(receiver.bodies) == 1, seconds=60, what="an offer in the new zone")
    phones.close()


def test_poison_is_named_kept_and_in_nobodys_way(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """Bad messages become dead letters with a reason; good pings around them go through."""
    node = node_factory().start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    poison: list[tuple[str, Any]] = [
        ("pings/a", b"{broken"),
        ("pings/a", b'{"ts": 1, "lat": NaN, "lng": 1}'),
        ("pings/a", {"ts": now(), "lat": 95.0, "lng": 24.0}),
        ("pings/a", {"ts": now(), "lat": 24.94, "lng": 190.17}),
        ("pings/a", {"ts": now(3600), "lat": 60.0, "lng": 24.0}),
        ("pings/a", {"ts": now(), "lat": 0.0, "lng": 0.0}),
        ("pings/a", [{"ts": now(), **HERE, "acc": 5}, {"ts": "soon", **HERE}]),
    ]
    phones = Phones(*node.broker_url)
    phones.publish_all(poison)
    phones.publish_all([("pings/b", {"ts": now(), **HERE, "acc": 5})])
    eventually(lambda: len(receiver.bodies) == 2, seconds=60, what="offers for a and b")
    reasons = sorted(each["reason"] for each in node.pages("/v1/dead-letters"))
    assert reasons == [
        "future",
        "json",
        "latitude",
        "longitude",
        "not_finite",
        "null_island",
        "timestamp",
    ]
    phones.close()


def test_http_pings_answer_item_by_item(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """`POST /v1/pings` commits the good ones and names the bad ones by position."""
    node = node_factory().start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    status, answer = node.call(
        "POST",
        "/v1/pings",
        [
            {"device": "h1", "ts": now(), **HERE, "acc": 5},
            {"device": "h2", "ts": now(), "lat": 91, "lng": 0},
            {"device": "h3", "ts": now(600), **HERE},
        ],
    )
    assert status == 202, answer
    assert answer["accepted"] == 1
    assert [(each["index"], each["reason"]) for each in answer["rejected"]] == [
        (1, "latitude"),
        (2, "future"),
    ]
    eventually(lambda: len(receiver.bodies) == 1, seconds=60, what="an offer for h1")


def test_a_failing_receiver_gets_the_same_bytes_again(
    node_factory: Callable[..., Node], receiver: Receiver
) -> None:
    """500, then 204: the offer arrives on the second attempt, both attempts are on record."""
    receiver.status = lambda count: 500 if count == 0 else 204
    node = node_factory().start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e"))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    status, _ = node.call("POST", "/v1/pings", [{"device": "a", "ts": now(), **HERE, "acc": 5}])
    assert status == 202
    eventually(lambda: len(receiver.bodies) == 1, seconds=60, what="the offer after a retry")
    (event,) = receiver.posts
    assert receiver.posts[event] == 2
    assert receiver.unverified == []
    status, answer = node.call("GET", f"/v1/deliveries/{event}")
    assert status == 200, answer


def test_cooldown_is_one_per_profile(node_factory: Callable[..., Node], receiver: Receiver) -> None:
    """The second visit within the cooldown is decided, refused by the cap, and explained."""
    node = node_factory().start()
    node.put("/v1/endpoints/e", {"url": receiver.url, "secret": receiver.secret})
    node.put("/v1/campaigns/c", campaign("e", caps={"cooldown_s": 3600}))
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    away = {**HERE, "lng": HERE["lng"] + 0.0045}  # 250 m, on foot
    pings = [
        {"device": "a", "ts": now(-700 + 100 * i), **place, "acc": 5}
        for i, place in enumerate([HERE, HERE, away, away, HERE, HERE])
    ]
    assert node.call("POST", "/v1/pings", pings)[0] == 202
    eventually(lambda: len(node.pages("/v1/decisions")) == 2, seconds=60, what="two decisions")
    decisions = node.pages("/v1/decisions?device=a")
    assert sorted(each["gate"] for each in decisions) == ["cap", "fired"]
    refused = next(each for each in decisions if each["gate"] == "cap")
    assert refused["reason"]
    kinds = sorted(each["kind"] for each in node.pages("/v1/transitions?device=a"))
    assert kinds == ["enter", "enter", "exit"]


def test_deleted_zone_ends_its_visits(node_factory: Callable[..., Node]) -> None:
    """Deleting a zone with somebody in it is recorded as `reconciled`, not as an exit."""
    node = node_factory().start()
    node.put("/v1/zones/z", square("z", **HERE, half_m=100))
    node.call("POST", "/v1/pings", [{"device": "a", "ts": now(), **HERE, "acc": 5}])
    eventually(lambda: len(node.pages("/v1/transitions")) == 1, seconds=60, what="the entry")
    assert node.call("DELETE", "/v1/zones/z")[0] in (200, 204)
    eventually(
        lambda: sorted(t["kind"] for t in node.pages("/v1/transitions")) == ["enter", "reconciled"],
        seconds=60,
        what="the reconciled end of the visit",
    )
