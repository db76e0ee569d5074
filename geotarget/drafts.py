"""Files of drafts: campaigns, audiences and profiles as their authors write them, with every fault.

The documents are those of the API (``PUT /v1/campaigns/{id}`` and so on), so what a backtest has
tried can be put as it is. A file is one JSON object ``{id: document}``, a list of documents that
have an ``id``, a page as the API lists them, or NDJSON with one such document a line; profiles may
be CSV too. Nothing is used while anything is wrong; a problem names file, place, value and bound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from geotarget.errors import InvalidCampaign, InvalidInput, InvalidZone, Problem
from geotarget.geojson.properties import id_problem

if TYPE_CHECKING:
    from pydantic import BaseModel

    from geotarget.geojson import GeometryLimits
    from geotarget.model import Audience, Campaign, Profile, Zone

MOST_PROBLEMS = 20
"""A file of profiles is given up after so many bad rows."""

LINES = frozenset({".ndjson", ".jsonl"})
ANSWERED = ("version", "matches_zones", "inside_asked", "warnings", "revision", "used_by")
"""Members of the API's answers that an author does not write; they are left out."""

PIECE = 1 << 16

D = TypeVar("D", bound="BaseModel")


def read_zones(path: Path, *, limits: GeometryLimits, id_property: str | None = None) -> list[Zone]:
    """Return the zones of a GeoJSON file; their ids may be those of a property.

    Raises
    ------
    InvalidZone
        With all that is wrong with them.
    """
    from geotarget.geojson import load_zones  # noqa: PLC0415 the help does not need it

    report = load_zones(path, id_property=id_property, limits=limits)
    if report.problems:
        raise InvalidZone(
            *(Problem(f"{path}, {each.path}", each.value, each.reason) for each in report.problems)
        )
    return list(report.zones)


def read_campaigns(path: Path) -> list[Campaign]:
    """Return the campaigns of a file, by id.

    Raises
    ------
    InvalidInput
        With all that is wrong with them.
    """
    from geotarget.api.campaign_documents import CampaignDocument  # noqa: PLC0415 loads the API

    found: list[Campaign] = []
    problems: list[Problem] = []
    for name, document in _documents(path):
        read = _read(CampaignDocument, document, f"{path}, {name}", problems)
        if read is not None:
            wrong = [_within(f"{path}, {name}", each) for each in read.problems()]
            problems += wrong
            found += [] if wrong else [read.to_campaign(name)]
    if problems:
        raise InvalidCampaign(*problems)
    return sorted(found, key=lambda campaign: campaign.id)


def read_audiences(path: Path) -> list[Audience]:
    """Return the named audiences of a file, by id; errors as of `read_campaigns`."""
    from geotarget.api.audiences import AudienceDocument  # noqa: PLC0415 loads the API
    from geotarget.model import Audience  # noqa: PLC0415

    found: list[Audience] = []
    problems: list[Problem] = []
    for name, document in _documents(path):
        read = _read(AudienceDocument, document, f"{path}, {name}", problems)
        if read is not None:
            found.append(Audience(name, read.rule, name=read.name, description=read.description))
    if problems:
        raise InvalidInput(*problems)
    return sorted(found, key=lambda audience: audience.id)


def read_profiles(path: Path) -> Iterator[Profile]:
    """Yield the profiles of a file, in its order; a file of rows may be larger than memory.

    Raises
    ------
    InvalidInput
        At the end, or after `MOST_PROBLEMS` bad rows, with all of them.
    """
    problems: list[Problem] = []
    for place, make in _profile_rows(path):
        try:
            profile, _ = make()
        except InvalidInput as error:
            problems += [_within(f"{path}, {place}", each) for each in error.problems]
            if len(problems) >= MOST_PROBLEMS:
                break
        else:
            yield profile
    if problems:
        raise InvalidInput(*problems)


def _profile_rows(path: Path) -> Iterator[tuple[str, Callable[[], tuple[Profile, bool]]]]:
    """Yield (place, what reads the profile there)."""
    from geotarget.profile_files import CSV, NDJSON, profile_of, rows_of  # noqa: PLC0415

    if path.suffix == ".json":
        for name, document in _documents(path):
            yield name, partial(profile_of, {**document, "id": name})
        return
    media = CSV[0] if path.suffix == ".csv" else NDJSON[0]
    try:
        for row in rows_of(_pieces(path), media):
            yield f"line {row.line}", row.read
    except InvalidInput as error:  # of the file as a whole
        places = [_within(f"{path}, ", each) for each in error.problems]
        raise InvalidInput(*places) from error


def _documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (id, document) of a file of any of the forms."""
    found: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for place, document in _listed(path):
        if not isinstance(document, dict):
            problems.append(Problem(f"{path}, {place}", _shown(document), "must be an object"))
            continue
        name = document.get("id")
        if not isinstance(name, str) or id_problem(name):
            reason = id_problem(name) if isinstance(name, str) else "must be a text"
            reason = reason if "id" in document else "is required"
            problems.append(Problem(f"{path}, {place}.id", _shown(name), reason))
        elif name in found:
            problems.append(Problem(f"{path}, {place}.id", name, "stands there twice"))
        else:
            found[name] = {
                member: value
                for member, value in document.items()
                if member not in ("id", *ANSWERED)
            }
    if problems:
        raise InvalidInput(*problems)
    return list(found.items())


def _listed(path: Path) -> list[tuple[str, Any]]:
    """Return (place, document with its id) of a file of any of the forms."""
    if path.suffix in LINES:
        return [
            (f"line {number}", _parse(line, f"{path}, line {number}"))
            for number, line in enumerate(_text(path).splitlines(), 1)
            if line.strip()
        ]
    whole = _parse(_text(path), str(path))
    if isinstance(whole, dict):
        if isinstance(whole.get("items"), list):
            whole = whole["items"]
        elif isinstance(whole.get("id"), str):
            whole = [whole]
        else:
            return [(name, _with_id(name, each, path)) for name, each in whole.items()]
    if isinstance(whole, list):
        return [(f"[{at}]", each) for at, each in enumerate(whole)]
    reason = "must be an object {id: document} or a list of documents with an id"
    raise InvalidInput(Problem(str(path), _shown(whole), reason))


def _with_id(name: str, document: Any, path: Path) -> Any:
    if isinstance(document, dict) and document.get("id", name) != name:
        reason = f"contradicts the name {name!r} that it stands under"
        raise InvalidInput(Problem(f"{path}, {name}.id", _shown(document["id"]), reason))
    return {**document, "id": name} if isinstance(document, dict) else document


def _read(model: type[D], document: Any, place: str, problems: list[Problem]) -> D | None:
    """Read a document as the API would; None, and why, if it would refuse."""
    from pydantic import ValidationError  # noqa: PLC0415 the help does not need it

    from geotarget.api.problems import problem_of  # noqa: PLC0415 loads the API

    try:
        return model.model_validate(document)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            finding = problem_of({**each, "loc": ("body", *each["loc"])})
            problems.append(_within(place, finding))
        return None


def _within(place: str, problem: Problem) -> Problem:
    return Problem(f"{place}{problem.path.removeprefix('$')}", problem.value, problem.reason)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(Problem(str(path), "", f"can't be read: {error}")) from error


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise InvalidInput(Problem(str(path), "", f"can't be read: {error}")) from error


def _parse(text: str, place: str) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidInput(Problem(place, twice, "stands there twice in one object"))
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidInput(Problem(place, "", "is nested too deep")) from None
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}, column {error.colno}"
        raise InvalidInput(Problem(where, "", f"is not JSON: {error.msg}")) from error
    except ValueError as error:
        raise InvalidInput(Problem(place, "", f"is not JSON: {error}")) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _shown(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)[:80]
