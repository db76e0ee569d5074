"""The messages as JSON Schema (2020-12): one document each, or all of them with names for links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from geotarget.errors import InvalidInput, Problem
from geotarget.events.messages import EVENTS, MOST_PINGS, PINGS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_names() -> tuple[str, ...]:
    """Return what `schema` knows: the types of events, and the payloads of pings."""
    return (*EVENTS, *PINGS)


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a message, complete in itself.

    Parameters
    ----------
    name
        A type of event such as ``offer.triggered``, or ``ping``, or ``owntracks``.

    Raises
    ------
    InvalidInput
        There is no such message; those that there are, are named.

    Examples
    --------
    >>> schema("transition.enter")["title"], schema("test")["required"]
    ('transition.enter', ['type', 'timestamp', 'data'])
    """
    if name not in schema_names():
        reason = f"must be one of {', '.join(schema_names())}"
        raise InvalidInput(Problem("type", name[:80], reason))
    of = EVENTS.get(name) or PINGS[name]
    definitions = definitions_of(of, link="#/$defs/{name}")
    top: Mapping[str, Any]
    top = one_or_many("#/$defs/Ping") if name == "ping" else definitions.pop(of.__name__)
    document = {"$schema": DIALECT, **top, "title": name}
    return {**document, "$defs": definitions} if definitions else document


def definitions_of(*types: type[msgspec.Struct], link: str) -> dict[str, Any]:
    """Return the schemas of types and of all that they are made of, by name.

    Parameters
    ----------
    types
        Structs.
    link
        How one points to another, with ``{name}``.
    """
    _, definitions = msgspec.json.schema_components(types, ref_template=link)
    if "Ping" in definitions:
        # what types can't say: one of the two names of the longitude must be there
        definitions["Ping"]["anyOf"] = [{"required": ["lng"]}, {"required": ["lon"]}]
    if "Position" in definitions:
        definitions["Position"]["oneOf"] = [{"required": ["cell"]}, {"required": ["lng", "lat"]}]
    return definitions


def one_or_many(link: str) -> dict[str, Any]:
    """Return the schema of a payload that is a ping, or some of them."""
    return {
        "description": f"One ping, or an array of at most {MOST_PINGS}.",
        "anyOf": [
            {"$ref": link},
            {"type": "array", "items": {"$ref": link}, "maxItems": MOST_PINGS},
        ],
    }
