"""``/v1/zones/{id}/cells`` and ``/v1/zones:cells``: the H3 cells of a zone.

For maps and for those who count by cells; matching is exact and uses none. `engine.shown` says what
a cover holds and what it costs. With 5,000 cells at most an answer stays below 1 MB.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.places import turn, zone_of
from geotarget.api.route import RawBody
from geotarget.api.services import Here
from geotarget.api.values import Id
from geotarget.engine.cells import to_strings
from geotarget.engine.shown import FINEST, at_most, finest_of, outlines_of, whole
from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.model import KeyArray, Zone

MOST_CELLS = 5_000
"""Of one answer."""

SHOWN = 500
"""Without a resolution the finest one is taken that has no more cells."""

_PLACES = 7
"""Decimals of a degree: a centimetre."""

Resolution = Annotated[
    int | None,
    Query(
        ge=0,
        le=FINEST,
        description=f"0 (1,300 km) to {FINEST} (half a metre); without it the finest one with at "
        f"most {SHOWN} cells. More than {MOST_CELLS:,} cells are refused.",
    ),
]
Outlines = Annotated[
    bool, Query(description="With the outline of each cell, for a map that does not know H3.")
]


Corner = Annotated[list[float], Field(min_length=2, max_length=2)]


class CoverCell(BaseModel):
    """One H3 cell that the zone touches."""

    cell: str = Field(description="H3 index, 15 hexadecimal digits.")
    whole: bool = Field(description="Whether all of it lies in the zone.")
    outline: list[Corner] | None = Field(
        default=None,
        description="Longitude and latitude of its corners, the first one again at the end; beyond "
        "180 where it lies on the antimeridian. Only with `outlines`.",
    )


class CellsAnswer(BaseModel):
    """The H3 cells that cover a zone."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "resolution": 9,
                    "count": 3,
                    "whole": 1,
                    "cells": [
                        {"cell": "891126d338bffff", "whole": False, "outline": None},
                        {"cell": "891126d338fffff", "whole": True, "outline": None},
                        {"cell": "891126d33c3ffff", "whole": False, "outline": None},
                    ],
                }
            ]
        }
    )

    resolution: int
    count: int = Field(description="How many cells the zone touches.")
    whole: int = Field(description="How many of them lie in it with all of their area.")
    cells: list[CoverCell] = Field(description="In the order of their names.")


def get_cells(
    id: Id, here: Here, resolution: Resolution = None, *, outlines: Outlines = False
) -> CellsAnswer:
    """Show the H3 cells of a zone.

    All cells that the zone touches, with its holes left out, and whether each lies wholly in it.
    The zone is drawn with straight lines in longitude and latitude, as it is matched, a circle with
    64 corners; so are the cells. For a picture or a join, not for membership.
    """
    zone = here.services.store.zone(id)
    if zone is None:
        raise NotFound("zone", id)
    return _answer(zone, resolution, outlines=outlines)


def draft_cells(
    document: RawBody, here: Here, resolution: Resolution = None, *, outlines: Outlines = False
) -> CellsAnswer:
    """Show the H3 cells of a draft.

    As for a stored zone, for a draft (a GeoJSON Feature) or `{"zone": "kamppi"}`. Nothing is
    stored.
    """
    return _answer(zone_of(document, here), resolution, outlines=outlines)


def _answer(zone: Zone, resolution: int | None, *, outlines: bool) -> CellsAnswer:
    with turn():
        resolution, cells = _cells(zone, resolution)
        rings = outlines_of(cells)
        inside = whole(rings, zone.geometry, zone.radius_m).tolist()
    shapes = [ring.round(_PLACES).tolist() if outlines else None for ring in rings]
    names = to_strings(cells).tolist()
    return CellsAnswer(
        resolution=resolution,
        count=len(names),
        whole=sum(inside),
        cells=[
            CoverCell.model_construct(cell=name, whole=every, outline=shape)
            for name, every, shape in zip(names, inside, shapes, strict=True)
        ],
    )


def _cells(zone: Zone, resolution: int | None) -> tuple[int, KeyArray]:
    if resolution is None:
        return finest_of(zone.geometry, zone.radius_m, SHOWN)
    cells = at_most(zone.geometry, zone.radius_m, resolution, MOST_CELLS)
    if cells is None:
        fits, _ = finest_of(zone.geometry, zone.radius_m, MOST_CELLS)
        reason = (
            f"would give more than {MOST_CELLS:,} cells; the finest resolution that fits is {fits}"
        )
        raise InvalidInput(Problem("resolution", str(resolution), reason))
    return resolution, cells
