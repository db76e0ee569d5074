"""The description of the API, complete enough to generate a client from, and its page.

FastAPI describes what it knows: parameters and models. Added here is what it can't see: who may
call what, the problem details that each operation may answer, and an example for every body. The
page at ``/docs`` is Swagger UI from our own address: nothing is fetched from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, get_type_hints

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from geotarget.api.auth import Scope
from geotarget.api.problems import (
    LACKING_SCOPE,
    MEDIA_TYPE,
    PLAIN,
    TABLE,
    UNKNOWN_CALLER,
    ProblemDetails,
)
from geotarget.api.route import Body, Row
from geotarget.errors import Conflict, InvalidInput, Outdated, Overloaded

SECURITY = "ApiKey"
COMPONENT = "#/components/schemas/{model}"

INTRODUCTION = """\
Pings in, exact entries found, signed offers out.

Send `Authorization: Bearer gt_live_…`. Lists take `limit` and `cursor` and answer `items` and
`next`. Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem details: branch on
`type`, show `detail`, find each mistake in `errors` by its JSON path.
"""

TAGS: dict[str, str] = {
    "Pings": "Where devices are.",
    "Zones": "Places, as GeoJSON.",
    "Campaigns": "Which transitions are answered, with which offer.",
    "Endpoints": "Where webhooks go.",
    "Profiles": "What is known of the owner of devices; one by one or from a file.",
    "Audiences": "Rules over people, for many campaigns.",
    "Conversions": "What customers did afterwards, as your systems report it.",
    "Devices": "Where a device stands, and why it did or did not enter and fire.",
    "History": "What happened, what was decided and what was delivered.",
    "Reports": "What came of it: results of campaigns, lift, foot traffic.",
    "Exports": "Lists of people for other systems: consent checked, and noted in the audit log.",
    "Keys": "API keys and their scopes.",
    "Audit": "Who changed what, in a chain of digests.",
    "Settings": "What the operator has set for everybody; read-only.",
    "Console": "A browser's session, and what happens now.",
    "Health": "For those who run it.",
}

WHY: dict[int, str] = {
    401: UNKNOWN_CALLER.title,
    403: LACKING_SCOPE.title,
    409: TABLE[Conflict].title,
    412: TABLE[Outdated].title,
    422: TABLE[InvalidInput].title,
    429: f"{TABLE[Overloaded].title}; wait as long as Retry-After says",
    **{status: row.title for status, row in PLAIN.items()},
}

CSV = "text/csv"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")

CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)


def describe(app: FastAPI, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the OpenAPI document of an application."""
    document: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=INTRODUCTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for name, schema in _definitions(rows).items():
        if name not in schemas:
            schemas[name] = schema
        elif "examples" in schema:
            schemas[name]["examples"] = schema["examples"]  # FastAPI drops null from examples
    components["securitySchemes"] = {
        SECURITY: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "gt_live_…",
            "description": "An API key. Scopes: "
            + ", ".join(f"`{scope.value}`" for scope in Scope)
            + ". Writing implies reading, `admin` implies all.",
        }
    }
    for row in rows:
        path = row.path.replace(":path}", "}")
        _complete(document["paths"][path][row.method.lower()], row, schemas)
    return document


def _definitions(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the schemas of all models, those that FastAPI does not see included."""
    models: list[type[BaseModel]] = [ProblemDetails]
    for row in rows:
        seen = get_type_hints(row.handler).values()
        taken = None if row.body is None else row.body.model
        models += [
            each
            for each in (*seen, taken, row.answer, *row.also.values())
            if isinstance(each, type) and issubclass(each, BaseModel)
        ]
    _, definitions = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template=COMPONENT
    )
    found = definitions["$defs"]
    assert isinstance(found, dict)
    return found


def _complete(operation: dict[str, Any], row: Row, schemas: dict[str, Any]) -> None:
    """Add to one operation what FastAPI does not know about it."""
    for parameter in operation.get("parameters", ()):
        _certain(parameter)
    if row.scope is not None:
        operation["security"] = [{SECURITY: []}]
        operation["description"] += f"\n\nNeeds the scope `{row.scope.value}`."
    if row.body is not None and row.body.model is not None:
        operation["requestBody"] = _taken(row.body)
    responses = operation["responses"]
    for unknown in ("422", "default"):
        responses.pop(unknown, None)
    if row.answer is not None:
        responses[str(row.status)]["content"] = {row.gives: _content(row.answer)}
    if row.csv:
        content = responses[str(row.status)].setdefault("content", {})
        content[CSV] = _sheet(row.csv)
    told = [(status, row.gives, model) for status, model in row.also.items()]
    told += [(status, MEDIA_TYPE, ProblemDetails) for status in row.statuses()]
    for status, media, model in told:
        responses[str(status)] = {"description": WHY[status], "content": {media: _content(model)}}
    for body in (operation.get("requestBody", {}), *responses.values()):
        for media, content in body.get("content", {}).items():
            _exemplify(media, content, schemas)


def _taken(body: Body) -> dict[str, Any]:
    """Return the description of a request's body that its handler reads itself."""
    assert body.model is not None
    content = {media: _content(body.model) for media in body.takes}
    if body.csv:
        content[CSV] = _sheet(body.csv)
    return {"required": True, "content": content}


def _sheet(example: str) -> dict[str, Any]:
    """Return the description of a body that is CSV."""
    return {"schema": {"type": "string", "examples": [example]}}


def _content(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body that is a model."""
    return {"schema": {"$ref": COMPONENT.format(model=model.__name__)}}


def _exemplify(media: str, content: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add an example to the description of a body."""
    example = _example(content["schema"], schemas)
    if media in LINES:
        content["schema"] = {"type": "string", "description": "One document per line."}
        example = "".join(json.dumps(each) + "\n" for each in example)
    content["example"] = example


def _certain(parameter: dict[str, Any]) -> None:
    """Take null out of a parameter's types: it can be left out, but there is no way to say null."""
    schema = parameter["schema"]
    kinds = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    if len(kinds) == 1:
        schema |= kinds[0]
    elif kinds:
        schema["anyOf"] = kinds


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Return the example of a schema: its own, or made from those of its parts."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)]
    if "properties" in schema:
        return {name: _example(each, schemas) for name, each in schema["properties"].items()}
    return None


def install(app: FastAPI, rows: Sequence[Row]) -> None:
    """Serve the description at ``/openapi.json``, its page at ``/docs``."""
    # Made when it is first asked for: it takes a tenth of a second, which a start can spare.
    describe_once = cache(lambda: describe(app, rows))
    app.openapi = describe_once  # type: ignore[method-assign] # FastAPI's documented way

    def openapi(_: Request) -> Response:
        return JSONResponse(describe_once())

    async def docs(_: Request) -> Response:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} API",
            swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css",
            swagger_favicon_url="docs/assets/favicon.png",
        )
        page.headers["Content-Security-Policy"] = CONTENT_POLICY
        return page

    assets = StaticFiles(directory=str(files(fastapi_offline) / "static"))
    app.mount("/docs/assets", assets, name="docs-assets")
    app.add_route("/openapi.json", openapi, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)
