"""Geometries as the flat columns that the engine reads."""

from __future__ import annotations

import numpy as np
import shapely

from geotarget.engine.outlines import Outlines
from geotarget.model import FloatArray, IntArray


def columns(*geometries: shapely.Geometry) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Return vertices, and where rings, parts and zones start; points have no parts."""
    shapes = np.array([shapely.from_wkt("MULTIPOLYGON EMPTY")] * len(geometries), object)
    for row, shape in enumerate(geometries):
        if isinstance(shape, shapely.Polygon):
            shapes[row] = shapely.MultiPolygon([shape])
        elif isinstance(shape, shapely.MultiPolygon):
            shapes[row] = shape
    if not len(shapes):
        return np.empty((0, 2)), *(np.zeros(1, np.int64) for _ in range(3))
    _, xy, offsets = shapely.to_ragged_array(shapes)
    ring, part, zone = (np.asarray(offset, np.int64) for offset in offsets)
    return np.ascontiguousarray(xy[:, :2]), ring, part, zone


def outlines(*geometries: shapely.Geometry) -> Outlines:
    """Return the outlines of some geometries."""
    return Outlines.of(*columns(*geometries))
