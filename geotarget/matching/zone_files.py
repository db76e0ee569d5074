"""Zones of a file, as a `ZoneIndex`: GeoJSON, GeoPackage, GeoParquet, or an index that was saved.

Only outlines and ids are read: whatever else a file says of its zones, no match needs it. What is
wrong with a zone is named, and nothing is matched against the others, because an answer without
some of the zones looks just like a right one.

Costs: as `ZoneIndex.from_geojson` and `ZoneIndex.from_geopandas`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geotarget.engine import ZoneIndex
from geotarget.errors import InvalidInput, InvalidZone, Problem
from geotarget.geojson import GeometryLimits, load_zones, parse_zones
from geotarget.matching.ping_files import UNREADABLE, reading

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

SAVED = ".zones"
"""Suffix of what `ZoneIndex.save` writes."""

READABLE = f"a .geojson, .json, .gpkg or .parquet file, or a saved index ({SAVED})"

LIMITS = GeometryLimits(
    max_bytes=1 << 30,
    max_vertices=20_000_000,
    max_rings=2_000_000,
    max_collection_bytes=4 << 30,
    max_features=10_000_000,
    max_properties_bytes=64 << 20,
    max_radius_m=1_000_000.0,
    max_pairs=3_000_000_000,
)
"""One's own file may be large: these bounds only keep a broken one from running for hours."""

_RADIUS = "radius_m"
_GDAL = (*UNREADABLE, RuntimeError)


def load_index(path: Path, *, id: str | None = None, layer: str | None = None) -> ZoneIndex:
    """Return an index of the zones in a file.

    Parameters
    ----------
    path
        A GeoJSON, GeoPackage or GeoParquet file, or a saved index.
    id
        Name of the property or column that holds the ids; without it a feature's ``id`` counts,
        then a property ``id``, then the position.
    layer
        Which layer of a GeoPackage, where it has several.

    Raises
    ------
    InvalidZone
        A zone can't be accepted; holds every problem, with its place.
    InvalidInput
        The file can't be read, or has no such property or layer: lists those that were found.
    """
    suffix = path.suffix.lower()
    if suffix != ".gpkg" and layer is not None:
        raise InvalidInput(Problem("layer", layer, "only a .gpkg file has layers"))
    if suffix == SAVED:
        if id is not None:
            raise InvalidInput(Problem("id", id, "a saved index has its ids"))
        return ZoneIndex.load(path)
    if suffix in {".geojson", ".json"}:
        return _from_geojson(path, id)
    if suffix == ".gpkg":
        return _from_frame(_geopackage(path, layer), path, id)
    if suffix in {".parquet", ".pq"}:
        return _from_frame(_geoparquet(path), path, id)
    raise InvalidInput(Problem(str(path), "", f"must be {READABLE}"))


def _from_geojson(path: Path, id: str | None) -> ZoneIndex:
    options: dict[str, Any] = {"id_property": id, "number": id is None, "limits": LIMITS}
    try:
        with reading(path):
            report = load_zones(path, **options)
            if report.problems:  # perhaps with properties that no match needs
                document = json.loads(path.read_bytes())
                if id is not None:
                    _check_property(path, document, id)
                report = parse_zones(_bare(document, id), **options)
    except InvalidZone as error:  # the document as a whole
        raise _named(path, error.problems) from None
    if report.problems:
        raise _named(path, report.problems)
    return ZoneIndex.build(report.zones)


def _features(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the features of a document that has some."""
    features = document.get("features", [document])
    return [each for each in features if isinstance(each, dict)]


def _check_property(path: Path, document: dict[str, Any], name: str) -> None:
    """Raise `InvalidInput` if no feature has a property of this name."""
    each = [feature.get("properties") or {} for feature in _features(document)]
    names = dict.fromkeys(key for properties in each for key in properties)
    if name not in names:
        raise InvalidInput(_missing(path, name, list(names)))


def _bare(document: dict[str, Any], id: str | None) -> dict[str, Any]:
    """Leave features no properties but those that make a zone."""
    for feature in _features(document):
        properties = feature.get("properties")
        if isinstance(properties, dict):
            wanted = ("id", _RADIUS, id)
            feature["properties"] = {key: properties[key] for key in properties if key in wanted}
    return document


def _missing(path: Path, name: str, found: list[str]) -> Problem:
    reason = f"has no property or column {name!r} that could hold the ids"
    return Problem(str(path), f"found: {', '.join(found)}", reason)


def _geopackage(path: Path, layer: str | None) -> GeoDataFrame:
    import geopandas as gpd  # noqa: PLC0415 half a second that GeoJSON need not pay

    with reading(path, _GDAL):
        layers = gpd.list_layers(path)
    names = layers["name"][layers["geometry_type"].notna()].tolist()
    if layer is None and len(names) != 1:
        reason = "has not exactly one layer with geometry; choose one with --layer"
        raise InvalidInput(Problem(str(path), f"found: {', '.join(names)}", reason))
    if layer is not None and layer not in names:
        found = f"found: {', '.join(names)}"
        raise InvalidInput(Problem(str(path), found, f"has no layer {layer!r} with geometry"))
    with reading(path, _GDAL):
        return gpd.read_file(path, layer=layer or names[0])


def _geoparquet(path: Path) -> GeoDataFrame:
    import geopandas as gpd  # noqa: PLC0415 half a second that GeoJSON need not pay
    import pyarrow.parquet as pq  # noqa: PLC0415

    with reading(path):
        schema = pq.read_schema(path)
        if b"geo" not in (schema.metadata or {}):
            found = f"found: {', '.join(schema.names)}"
            reason = "is no GeoParquet file: no column is marked as geometry"
            raise InvalidInput(Problem(str(path), found, reason))
        return gpd.read_parquet(path)


def _from_frame(frame: GeoDataFrame, path: Path, id: str | None) -> ZoneIndex:
    """Make an index of outlines and ids alone."""
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if id is not None and id not in columns:
        raise InvalidInput(_missing(path, id, columns))
    chosen = id if id is not None else "id" if "id" in columns else None
    if chosen is not None and frame[chosen].isna().any():
        row = int(frame[chosen].isna().argmax())
        raise InvalidZone(Problem(f"{path}, row {row}", "", f"{chosen} is missing"))
    wanted = [name for name in (chosen, _RADIUS) if name in columns]
    bare = frame[[*wanted, frame.geometry.name]].reset_index(drop=True)
    if chosen == "id":
        chosen = "zone id"  # as a property it would be read a second time
        bare = bare.rename(columns={"id": chosen})
    try:
        return ZoneIndex.from_geopandas(bare, id=chosen)
    except InvalidZone as error:
        raise _named(path, error.problems) from None


def _named(path: Path, problems: list[Problem] | tuple[Problem, ...]) -> InvalidZone:
    return InvalidZone(
        *(Problem(f"{path}, {each.path}", each.value, each.reason) for each in problems)
    )
