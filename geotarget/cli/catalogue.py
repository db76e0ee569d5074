"""``geotarget zones``: catalogues of zones, from files into the database and back.

They work on the database itself, so no process need run; those that run follow within a second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geotarget.cli.options import Data, Database, example, open_store, progress, settings
from geotarget.errors import InvalidZone, Problem

if TYPE_CHECKING:
    from geotarget.model import Zone

CHUNK = 500
"""Zones in one transaction of an import."""

app = typer.Typer(
    help="Load, save and check catalogues of zones (GeoJSON files).",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget zones validate zones/helsinki.geojson"),
)

Files = Annotated[
    list[Path],
    typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="GeoJSON files."),
]


IdProperty = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Property that holds the ids, where they are not the features' own."
    ),
]


@app.command(
    name="import",
    short_help="Load files into the database.",
    epilog=example(
        "geotarget zones import zones/helsinki.geojson",
        "geotarget zones import wards.geojson --id-property GSS_CODE",
    ),
)
def load(
    files: Files,
    *,
    id_property: IdProperty = None,
    data: Data = None,
    database: Database = None,
) -> None:
    """Put the zones of files into the database; zones of the same id are replaced.

    Nothing is loaded while anything is wrong in any of the files. It writes to the database
    itself, so no process need run; those that run follow within a second.
    """
    good: list[tuple[Path, list[Zone]]] = []
    wrong: list[Problem] = []
    with progress() as bar:
        checking = bar.add_task("checking", total=len(files))
        for path in files:
            zones, problems = _checked(path, id_property)
            good.append((path, zones))
            wrong += [Problem(f"{path}, {each.path}", each.value, each.reason) for each in problems]
            bar.advance(checking)
        if wrong:
            raise InvalidZone(*wrong)
        with open_store(data, database) as store:
            for path, zones in good:
                task = bar.add_task(path.name, total=len(zones))
                for start in range(0, len(zones), CHUNK):
                    store.put_zones(zones[start : start + CHUNK], by="cli")
                    bar.update(task, completed=min(start + CHUNK, len(zones)))
    typer.echo(f"{sum(len(zones) for _, zones in good):,} zones loaded")


@app.command(
    short_help="Write the zones of the database as a file.",
    epilog=example("geotarget zones export helsinki.geojson", "geotarget zones export"),
)
def export(
    file: Annotated[
        Path | None,
        typer.Argument(
            dir_okay=False, metavar="FILE", help="Where to; standard output if left out."
        ),
    ] = None,
    *,
    data: Data = None,
    database: Database = None,
) -> None:
    """Write all zones of the database as one catalogue, in a form that reads well in a diff."""
    from geotarget.geojson import to_feature  # noqa: PLC0415 the help does not need it

    with open_store(data, database, create=False) as store:
        zones, _ = store.zones()
    features = [to_feature(zone) for zone in sorted(zones, key=lambda each: each.id)]
    text = catalogue_text(features)
    if file is None:
        typer.echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    typer.echo(f"{len(features):,} zones written to {file}", err=True)


@app.command(
    short_help="Check files without loading them.",
    epilog=example("geotarget zones validate zones/helsinki.geojson"),
)
def validate(files: Files, *, id_property: IdProperty = None) -> None:
    """Check files without loading them: every problem with its place; status 1 if there is one."""
    wrong = 0
    for path in files:
        zones, problems = _checked(path, id_property)
        for problem in problems:
            typer.echo(f"{path}, {problem}")
        bad = f", {len(problems):,} problems" if problems else ""
        typer.echo(f"{path}: {len(zones):,} valid zones{bad}", err=True)
        wrong += len(problems)
    if wrong:
        raise typer.Exit(1)


def _checked(path: Path, id_property: str | None) -> tuple[list[Zone], Sequence[Problem]]:
    """Return the valid zones of a file, and everything that is wrong with it."""
    from geotarget.geojson import load_zones  # noqa: PLC0415 the help does not need it

    limits = settings().geometry_limits()
    try:
        report = load_zones(path, id_property=id_property, limits=limits)
    except InvalidZone as error:
        return [], error.problems
    return report.zones, report.problems


def catalogue_text(features: list[dict[str, Any]]) -> str:
    """Return a FeatureCollection as people edit it: one property and one position a line."""
    shown = ",\n".join(_indented(_feature_text(each)) for each in features)
    inside = f"\n{shown}\n  " if features else ""
    return f'{{\n  "type": "FeatureCollection",\n  "features": [{inside}]\n}}\n'


def _feature_text(feature: dict[str, Any]) -> str:
    properties = ",\n".join(
        f"    {_json(name)}: {_json(value)}" for name, value in feature["properties"].items()
    )
    geometry = feature["geometry"]
    coordinates = _coordinates_text(geometry["coordinates"], 4)
    return (
        "{\n"
        '  "type": "Feature",\n'
        f'  "id": {_json(feature["id"])},\n'
        f'  "properties": {{\n{properties}\n  }},\n'
        '  "geometry": {\n'
        f'    "type": {_json(geometry["type"])},\n'
        f'    "coordinates": {coordinates}\n'
        "  }\n"
        "}"
    )


def _coordinates_text(coordinates: Any, depth: int) -> str:
    """Return nested lists with each position in a line of its own."""
    if not isinstance(coordinates[0], list | tuple):
        return _json(list(coordinates))
    pad = " " * (depth + 2)
    inner = ",\n".join(pad + _coordinates_text(each, depth + 2) for each in coordinates)
    return f"[\n{inner}\n{' ' * depth}]"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
