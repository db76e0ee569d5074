"""Where a device was, from the ping to the body: for who asked, where it may be told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pytest
import shapely

from geotarget.catalog import Catalog
from geotarget.engine import Rules
from geotarget.errors import StoreError
from geotarget.model import Campaign, Endpoint, Kind, PingBatch, Policy, Trigger, Zone
from geotarget.pipeline import Pipeline
from geotarget.store import Store, Turn, tables
from geotarget.targeting import EVENT_TYPES

NOW = 1_760_000_000_000
HERE, THERE, AWAY = (24.9401234, 60.1701234), (24.9415123, 60.1705123), (24.99, 60.19)
CELL = h3.latlng_to_cell(HERE[1], HERE[0], 9)
DISTRICT = Zone(id="district", geometry=shapely.box(24.92, 60.16, 24.96, 60.18))
CLINIC = Zone(id="clinic", geometry=shapely.box(24.941, 60.17, 24.942, 60.171), sensitive=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty database on disk."""
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as opened:
        yield opened


@pytest.fixture
def catalog(store: Store) -> Catalog:
    """A district, and an endpoint of each choice that wants all that happens there."""
    catalog = Catalog(store)
    catalog.put_zones([DISTRICT])
    for name in ("none", "cell", "rounded", "exact"):
        catalog.put_endpoint(
            Endpoint(
                id=name,
                url="https://shop.example/hook",
                secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                events=EVENT_TYPES,
                position="" if name == "none" else name,
            )
        )
    catalog.put_campaign(
        Campaign(
            id="hello",
            name="Hello",
            trigger=Trigger(on=frozenset({Kind.ENTER, Kind.DWELL}), dwell_s=60),
            offer={"title": "Hello"},
            endpoints=("none", "cell", "rounded", "exact"),
        )
    )
    return catalog


def make(
    catalog: Catalog, store: Store, *, clock: Sequence[int] = (NOW,), most: str = "exact"
) -> Pipeline:
    """Return a pipeline that believes every jump, on a clock that stands still."""
    return Pipeline(
        catalog=catalog,
        store=store,
        rules=Rules(jump_fixes=1),
        policy=Policy(positions=most, offers_per_transition=9),
        now_ms=lambda: clock[0],
        behind_s=0.0,
    )


def pings(*fixes: tuple[int, tuple[float, float]], device: str = "a") -> PingBatch:
    """Return fixes (seconds after NOW, place) of a device as a batch."""
    ts = np.array([NOW + 1000 * second for second, _ in fixes], np.int64)
    return PingBatch(
        device=[device] * len(fixes),
        ts=ts,
        lng=np.array([lng for _, (lng, _) in fixes], np.float64),
        lat=np.array([lat for _, (_, lat) in fixes], np.float64),
        acc=np.full(len(fixes), 8.0),
        key=ts.astype(np.uint64),
        received=ts,
    )


def bodies(store: Store) -> dict[tuple[str, str], bytes]:
    """Return what waits, by webhook id and endpoint."""
    limits = dict.fromkeys(("none", "cell", "rounded", "exact"), 99)
    claimed = store.claim(now_ms=NOW + 9_000_000, limits=limits, lease_ms=0)
    return {(each.webhook_id, each.endpoint): each.body for each in claimed}


def told(store: Store, kind: str = "enter") -> dict[str, list[Any]]:
    """Return the positions in bodies about transitions of a kind, by endpoint."""
    found: dict[str, list[Any]] = {}
    for (_, endpoint), body in sorted(bodies(store).items()):
        data = json.loads(body)["data"]
        if data["transition"]["kind"] == kind:
            found.setdefault(endpoint, []).append(data.get("position", "left out"))
    return found


def test_it_is_the_ping_that_decided(catalog: Catalog, store: Store) -> None:
    """For offers and for plain transitions, to each endpoint as it chose; stored nowhere else."""
    make(catalog, store).process(pings((0, HERE)))
    assert told(store) == {
        "none": ["left out"] * 2,
        "cell": [{"cell": CELL}] * 2,
        "rounded": [{"lng": 24.94, "lat": 60.17}] * 2,
        "exact": [{"lng": HERE[0], "lat": HERE[1], "accuracy_m": 8.0}] * 2,
    }
    (stored,) = store.transitions_page().items
    assert stored.fix is None
    assert not {"lng", "lat", "fix"} & set(tables.transition.columns.keys())
    (decision,) = store.decisions_page().items
    assert "24.94" not in repr(decision)


def test_the_operator_s_bound_holds_for_what_is_stored_already(
    catalog: Catalog, store: Store
) -> None:
    """An endpoint that was allowed more before gets what is allowed now."""
    make(catalog, store, most="cell").process(pings((0, HERE)))
    assert told(store)["exact"] == told(store)["cell"] == [{"cell": CELL}] * 2
    make(catalog, store, most="").process(pings((0, HERE), device="b"))
    assert 2 == told(store)["exact"].count("left out")


def test_what_the_clock_decides_has_no_position(catalog: Catalog, store: Store) -> None:
    """A dwell that passes without a ping: there is none to tell of."""
    clock = [NOW]
    pipeline = make(catalog, store, clock=clock)
    pipeline.process(pings((0, HERE)))
    clock[0] += 70_000
    pipeline.process(pings())
    assert told(store, "dwell") == {
        "none": ["left out"] * 2,
        **{name: [None] * 2 for name in ("cell", "rounded", "exact")},
    }


def test_nothing_is_told_of_sensitive_places(catalog: Catalog, store: Store) -> None:
    """Who dwells in the clinic is told to dwell in the district around it, and nothing closer."""
    catalog.put_zones([CLINIC])
    make(catalog, store).process(pings((0, THERE)))
    found = told(store)
    assert found.pop("none") == ["left out"] * 3
    assert set(found) == {"cell", "rounded", "exact"}
    assert [[None] * 3] * 3 == list(found.values())
    make(catalog, store).process(pings((1, HERE), device="b"))
    assert {"lng": 24.94, "lat": 60.17} in told(store)["rounded"], "who is beside it, is told"


def test_a_crash_changes_no_byte(
    catalog: Catalog, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch that was not committed makes the same bodies again, in another process too."""
    batch = pings((0, HERE), (30, HERE), (90, HERE), (120, AWAY), (150, AWAY))
    seen: list[list[tuple[str, str, bytes]]] = []

    def fail(_: Turn, write: Any) -> None:
        seen.append([(each.webhook_id, each.endpoint, each.body) for each in write.deliveries])
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Turn, "write", fail)
        for pipeline in (make(catalog, store), make(catalog, store)):
            for _ in range(2):
                with pytest.raises(StoreError):
                    pipeline.process(batch)
    make(catalog, store).process(batch)
    committed = [(*key, body) for key, body in bodies(store).items()]
    assert len(committed) == 20
    assert all(sorted(each) == sorted(committed) for each in seen)
