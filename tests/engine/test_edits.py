"""Chains of edits: layers that stay few, and answers that stay right."""

from __future__ import annotations

import numpy as np
import shapely

from geotarget.engine import ZoneIndex
from geotarget.model import Zone
from tests.strategies import stars


def moved(zone: Zone, by: float) -> Zone:
    """Return a zone a little further east."""
    return Zone(id=zone.id, geometry=shapely.affinity.translate(zone.geometry, by))


def test_layers_stay_few_however_many_edits_follow() -> None:
    """Three hundred edits, one by one: a handful of layers, each answer that of a new index."""
    rng = np.random.default_rng(4)
    pool = stars(400)
    index = ZoneIndex.build(pool[:200])
    lng, lat = rng.uniform(24, 25, 3000), rng.uniform(60, 60.5, 3000)
    for step in range(300):
        kind = step % 3
        zone = pool[int(rng.integers(0, 400))]
        if kind == 2:
            index = index.with_changes(remove=[zone.id])
        else:
            index = index.with_changes(put=[moved(zone, 0.0001 * kind)])
        assert index.stats()["layers"] <= 5
        if step % 50 == 0:
            again = ZoneIndex.build(index.zones)
            assert again.query(lng=lng, lat=lat).tolist() == index.query(lng=lng, lat=lat).tolist()
            assert again.ids.tolist() == index.ids.tolist()
    assert {zone.id: at for at, zone in enumerate(index.zones)} == {
        id_: index.position(id_) for id_ in index.ids
    }


def test_an_edit_of_a_large_index_leaves_the_large_layer_alone() -> None:
    """One zone of thousands is indexed anew, not the thousands."""
    index = ZoneIndex.build(stars(3000))
    edited = index.with_changes(put=[moved(index.zones[7], 0.01)])
    assert edited._layers[0].covering is index._layers[0].covering
    assert 1 == len(edited._layers[1])
    assert 2999 == len(edited._layers[0].alive)


def test_an_index_may_be_emptied_and_filled_again() -> None:
    """The last zone may go, and others come."""
    index = ZoneIndex.build(stars(2)).with_changes(remove=["s0", "s1"])
    assert 0 == len(index)
    assert (2, 0) == index.query(lng=[24.5], lat=[60.2]).shape
    assert ["s5"] == list(index.with_changes(put=stars(1, first=5)).ids)


def test_zones_can_be_sliced_and_counted_from_the_end() -> None:
    """The zones of an index behave as a sequence does."""
    pool = stars(6)
    index = ZoneIndex.build(pool[:5]).with_changes(put=pool[5:])
    assert pool[1:4] == list(index.zones[1:4])
    assert pool[-1] is index.zones[-1]
    assert 6 == len(index.zones)
