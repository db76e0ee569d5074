"""Reach and lint over the real parts: pings in, and answers that show nobody alone."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from geotarget.api import places
from geotarget.engine.footfall import Collector
from geotarget.model import PingBatch
from geotarget.pipeline import Pipeline
from geotarget.store.footfall import SALT
from tests.api.conftest import Api

LNG, LAT = 24.9384, 60.1699


def draft(radius_m: float = 300.0, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [LNG, LAT]},
        "properties": {"radius_m": radius_m, **properties},
    }


def walk_by(api: Api, devices: int, *, accuracy_m: float = 20.0, pings: int = 3) -> None:
    """Let devices walk up to the middle of the draft and stay, through the pipeline."""
    collector = Collector(api.store.secret(SALT), every_ms=0)
    pipeline = Pipeline(catalog=api.catalog, store=api.store, footfall=collector)
    now_ms = time.time_ns() // 1_000_000
    chance = np.random.default_rng(3)
    for turn in range(pings + 1):
        ts = np.full(devices, now_ms - 200_000 * (pings - turn), np.int64)
        east = LNG + (0.012 if turn == 0 else 0.0)
        pipeline.process(
            PingBatch(
                device=[f"phone-{number}" for number in range(devices)],
                ts=ts,
                lng=np.full(devices, east),
                lat=np.full(devices, LAT),
                acc=np.full(devices, accuracy_m),
                key=chance.integers(1, 2**62, devices).astype(np.uint64),
                received=ts,
            )
        )


def test_pings_become_reach(api: Api) -> None:
    """What came through the pipeline a moment ago is counted, and where nobody was is not."""
    walk_by(api, 40)
    found = api.call("POST", "/v1/zones:reach", json=draft(), expect=200)
    assert 40 == found["devices"]
    assert "About 40 devices were here in the last 30 days." == found["sentence"]
    assert (30, 9) == (found["days"], found["resolution"])
    assert {40, None} == {each["devices"] for each in found["cells"]}
    assert all(0 <= each["share"] <= 1 for each in found["cells"])
    elsewhere = draft()
    elsewhere["geometry"]["coordinates"] = [10.0, 50.0]
    assert api.call("POST", "/v1/zones:reach", json=elsewhere, expect=200)["devices"] is None


def test_few_devices_are_not_shown(api: Api) -> None:
    """Nine of them are null, in the zone and in each cell, and the sentence says why."""
    walk_by(api, 9)
    found = api.call("POST", "/v1/zones:reach", json=draft(), expect=200)
    assert found["devices"] is None
    assert {None} == {each["devices"] for each in found["cells"]}
    assert (
        "Fewer than 10 devices were here in the last 30 days: too few to show."
        == (found["sentence"])
    )


def test_an_erased_profile_is_counted_no_more(api: Api) -> None:
    """Erasure takes the device out of the sketches too."""
    walk_by(api, 10)
    api.call("PUT", "/v1/profiles/phone-3", json={}, expect=200)
    assert 10 == api.call("POST", "/v1/zones:reach", json=draft(), expect=200)["devices"]
    api.call("DELETE", "/v1/profiles/phone-3", expect=200)
    assert api.call("POST", "/v1/zones:reach", json=draft(), expect=200)["devices"] is None


def test_a_stored_zone_can_be_named(api: Api) -> None:
    """Both questions take an id, also of an inactive zone."""
    api.call("PUT", "/v1/zones/shop/1", json=draft(active=False), expect=200)
    walk_by(api, 12)
    assert 10 == api.call("POST", "/v1/zones:reach", json={"zone": "shop/1"}, expect=200)["devices"]
    linted = api.call("POST", "/v1/zones:lint", json={"zone": "shop/1"}, expect=200)
    assert "inactive" in {each["code"] for each in linted["findings"]}
    assert "duplicate" not in {each["code"] for each in linted["findings"]}


def test_lint_forecasts_with_the_phones_that_came_by(api: Api) -> None:
    """200 devices with 28 m: the forecast is about them, and names the neighbours."""
    walk_by(api, 200, accuracy_m=28.0)
    api.call("PUT", "/v1/zones/twin", json=draft(15.0), expect=200)
    api.call("PUT", "/v1/zones/mall", json=draft(200.0), expect=200)
    found = api.call("POST", "/v1/zones:lint", json=draft(15.0), expect=200)
    assert found["accuracy_m"]["observed"]
    assert pytest.approx(28.0, rel=0.13) == found["accuracy_m"]["median"]
    assert (400, 300.0) == (found["forecast"]["visits"], found["forecast"]["stay_s"])
    assert found["forecast"]["missed"] > 0.4
    assert found["sentence"].startswith("Median accuracy here is 2")
    by_code = {each["code"]: each for each in found["findings"]}
    assert {"problem"} == {by_code[each]["severity"] for each in ("duplicate", "arrivals-missed")}
    assert "mall" in by_code["overlap"]["text"]
    assert "twin" in by_code["duplicate"]["text"]


def test_lint_looks_at_dwell_times_of_campaigns(api: Api) -> None:
    """A campaign that waits for less time than the phones are silent is told."""
    api.call("PUT", "/v1/zones/shop", json=draft(), expect=200)
    api.call("PUT", "/v1/endpoints/crm", json={"url": "https://example.com/"}, expect=200)
    campaign = {
        "name": "Stay",
        "trigger": {"on": ["dwell"], "dwell_s": 30, "zones": {"ids": ["shop"]}},
        "offer": {"title": "Hello"},
        "endpoints": ["crm"],
        "status": "active",
    }
    api.call("PUT", "/v1/campaigns/stay", json=campaign, expect=200)
    found = api.call("POST", "/v1/zones:lint", json={"zone": "shop"}, expect=200)
    assert "dwell-too-short" in {each["code"] for each in found["findings"]}


@pytest.mark.parametrize("path", ["/v1/zones:reach", "/v1/zones:lint"])
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"zone": "nowhere"}, 404, "no zone is named 'nowhere'"),
        ({"zone": 17}, 422, "must be the id of a zone"),
        ({"zone": "shop", "days": 3}, 422, "$.days: unknown member; there are type or zone (3)"),
        ({}, 422, "$"),
        ([], 422, "$"),
        ({"type": "Feature", "properties": {}}, 422, "a Feature has a member geometry"),
        (draft(-1.0), 422, "radius_m"),
    ],
)
def test_bad_bodies_are_told(lasting: Api, path: str, body: Any, status: int, said: str) -> None:
    """With the place, the value and the reason, as everywhere."""
    assert said in lasting.call("POST", path, json=body, expect=status)["detail"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("days=0", "greater than or equal to 1"),
        ("days=31", "footfall is kept for 30 days"),
        ("stay_s=60", "unknown parameter"),
    ],
)
def test_bounds_of_reach(lasting: Api, query: str, said: str) -> None:
    """No more days than are kept, and nothing that would be ignored."""
    answer = lasting.call("POST", f"/v1/zones:reach?{query}", json=draft(), expect=422)
    assert said in answer["detail"]


def test_a_zone_that_is_too_large_is_refused(lasting: Api) -> None:
    """Naming its size and the bound."""
    answer = lasting.call("POST", "/v1/zones:reach", json=draft(20_000.0), expect=422)
    assert "up to 5,000 cells of about 0.1 km2" in answer["detail"]


def test_reach_can_be_switched_off(api_with: Any) -> None:
    """Then it says so, and lint goes on with assumed phones."""
    api = api_with()
    limits = type(api.services.limits)(reach_days=0)
    off = api_with(limits=limits)
    assert (
        "GEOTARGET_REACH_DAYS"
        in (off.call("POST", "/v1/zones:reach", json=draft(), expect=409)["detail"])
    )
    found = off.call("POST", "/v1/zones:lint", json=draft(), expect=200)
    assert not found["accuracy_m"]["observed"]


def test_a_key_needs_the_scope(api: Api) -> None:
    """Reach is a report; lint belongs to whoever draws zones."""
    zones, reports = api.key("zones:write"), api.key("reports:read")
    for path, headers, status in (
        ("/v1/zones:reach", zones, 403),
        ("/v1/zones:reach", reports, 200),
        ("/v1/zones:lint", zones, 200),
        ("/v1/zones:lint", reports, 403),
    ):
        api.call("POST", path, json=draft(), headers=headers, expect=status)


@pytest.mark.parametrize("path", ["/v1/zones:reach", "/v1/zones:lint"])
def test_few_work_at_one_time(lasting: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others keep the cores busy, the next one is told when to come again."""
    monkeypatch.setattr(places, "WAIT_S", 0.01)
    with ExitStack() as busy:
        for _ in range(places.AT_ONCE):
            busy.enter_context(places.turn())
        answer = lasting.client.post(path, json=draft())
        assert (429, "1") == (answer.status_code, answer.headers["retry-after"])
    lasting.call("POST", path, json=draft(), expect=200)


def test_lint_answers_in_time(lasting: Api) -> None:
    """Less than two seconds of one core, warm."""
    lasting.call("POST", "/v1/zones:lint", json=draft(50.0), expect=200)
    started = time.process_time()
    lasting.call("POST", "/v1/zones:lint", json=draft(51.0), expect=200)
    assert time.process_time() - started < 2.0
