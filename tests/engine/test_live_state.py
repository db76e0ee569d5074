"""The live state: who is known, who is a stranger, and what is left of who is forgotten."""

from __future__ import annotations

import numpy as np

from geotarget.engine.live_state import DEVICE, INSIDE, MEMBER, LiveState


def inside(state: LiveState, device: str, *zones: int) -> None:
    """Let a device be known, and in some zones."""
    (row,) = state.rows([device]).tolist()
    record = np.zeros(1, DEVICE)
    record["known"] = 1
    state.write(np.array([row]), record)
    for zone in zones:
        member = np.zeros(1, MEMBER)
        member["zone"], member["phase"] = zone, INSIDE
        state.insert(row, member[0], f"zone-{zone}")


def test_strangers_are_those_of_whom_nothing_was_applied() -> None:
    """Also when they have a row already, because a commit failed."""
    state = LiveState()
    inside(state, "a")
    state.rows(["b"])
    assert [1, 2, 4] == state.strangers(["a", "b", "c", "a", "b"]).tolist()
    assert [] == state.strangers([]).tolist()


def test_who_is_forgotten_is_a_stranger_without_a_past() -> None:
    """Others keep their rows and their memberships; whoever comes back begins anew."""
    state = LiveState()
    for device, zones in {"a": (1, 2), "b": (1, 2, 3), "c": (3,)}.items():
        inside(state, device, *zones)
    before = state.rows(["a", "c"]).tolist()
    state.forget("b")
    assert (2, 3) == (len(state), state.memberships)
    assert before == state.rows(["a", "c"]).tolist()
    rows, slots = state.occupied()
    assert [("a", 1), ("a", 2), ("c", 3)] == sorted(
        (state.ids[row], int(zone))
        for row, zone in zip(rows, state.members["zone"][slots], strict=True)
    )
    assert [1] == state.strangers(["a", "b"]).tolist()
    (row,) = state.rows(["b"]).tolist()
    assert "b" == state.ids[row]
    assert 0 == state.devices["known"][row]
    assert 0 == len(state.slots(np.array([row]))[1])
    inside(state, "b", 3)
    assert 4 == state.memberships
