"""What may be told of where a device was: a cell, a rounded position, or all of it.

A webhook says which zone it is about, and nothing more of the place. An endpoint may choose more,
up to what the operator allows; then it is told where the ping was that settled the transition:

- ``cell``: the H3 cell of resolution 9, 0.1 km² and some 350 m across, the one that reach is
  counted by. Wider than most shops, so of a small place it says less than the event's own zone
  does; of a district it names a few blocks. A single house in the country is alone in its cell.
- ``rounded``: three decimals, 111 m north to south and 64 m east to west at 55° N: the building.
- ``exact``: as it was reported, with its accuracy: the entrance.

Nobody is told a position that lies in a sensitive zone, nor one of a transition of such a zone: a
dwell in a district must not say that somebody sits in the clinic in it.

Costs nothing while nobody asks; else one match of the transitions of a batch, and some 3 µs each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from geotarget.engine.cells import cells_at, to_strings
from geotarget.engine.zone_index import ZoneIndex
from geotarget.model import Transition

RESOLUTION = 9
DECIMALS = 3

Told = Mapping[str, Any]


def positions(
    transitions: Sequence[Transition],
    choices: Collection[str],
    *,
    index: ZoneIndex,
    is_sensitive: Callable[[str], bool],
) -> dict[str, dict[str, Told]]:
    """Return what is told of the pings that settled transitions.

    Parameters
    ----------
    transitions
        As `advance` made them.
    choices
        Those of `POSITIONS` that somebody asks for; the first of them, nothing, is none.
    index
        The zones.
    is_sensitive
        Whether a zone is, by its id.

    Returns
    -------
    dict
        By choice, then by the transition's id: ``{"cell"}``, ``{"lng", "lat"}`` or
        ``{"lng", "lat", "accuracy_m"}``. Transitions that no ping settled are left out, and so are
        sensitive ones.
    """
    known = [
        (each.id, each.fix)
        for each in transitions
        if each.fix is not None and not is_sensitive(each.zone)
    ]
    lng, lat = (np.array([fix[axis] for _, fix in known], np.float64) for axis in (0, 1))
    ping, zone = index.query(lng=lng, lat=lat)
    hidden = {
        at
        for at, name in zip(ping.tolist(), index.ids[zone].tolist(), strict=True)
        if is_sensitive(name)
    }
    kept = [at for at in range(len(known)) if at not in hidden]
    told: dict[str, dict[str, Told]] = {}
    for choice in choices:
        if choice == "cell":
            cells = to_strings(cells_at(lng=lng[kept], lat=lat[kept], resolution=RESOLUTION))
            told[choice] = {
                known[at][0]: {"cell": cell} for at, cell in zip(kept, cells.tolist(), strict=True)
            }
        elif choice == "rounded":
            told[choice] = {
                event: {"lng": _rounded(x), "lat": _rounded(y)}
                for event, (x, y, _) in (known[at] for at in kept)
            }
        elif choice == "exact":
            told[choice] = {
                event: {"lng": x, "lat": y, "accuracy_m": accuracy_m}
                for event, (x, y, accuracy_m) in (known[at] for at in kept)
            }
    return told


def _rounded(degrees: float) -> float:
    """Round to `DECIMALS`; never to -0.0, which would tell the side of the equator."""
    return round(degrees, DECIMALS) + 0.0
