"""Requests made from the API's own description, good and bad, and answers held against it."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from geotarget.api import Limits
from geotarget.api.app import table
from geotarget.api.auth import Scope
from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square
from tests.fuzzing import FACTOR

SCOPES = {
    f"{row.method} {row.path.replace(':path}', '}')}": row.scope or Scope.ADMIN
    for row in table(Limits())
}
"""What the key needs, by route."""
ENDLESS = "GET /v1/live"
"""A stream, which has tests of its own (test_live)."""

ROWS = [row for row in SCOPES if row != ENDLESS]

MEANING = {
    "POST /v1/pings",
    "POST /v1/zones",
    "PUT /v1/zones/{id}",
    "PUT /v1/campaigns/{id}",
    "POST /v1/campaigns:preview",
    "POST /v1/campaigns/{id}:preview",
    "POST /v1/campaigns:backtest",
    "POST /v1/campaigns/{id}:backtest",
    "PUT /v1/audiences/{id}",
    "POST /v1/audiences:count",
    "PUT /v1/imports/{id}",
    "POST /v1/conversions",
    "PUT /v1/endpoints/{id}",
    "POST /v1/endpoints/{id}:rotate",
    "PUT /v1/profiles/{id}",
    "GET /v1/zones",
    "POST /v1/devices/{id}/trace",
    "GET /v1/devices/{id}/explain",
    "GET /v1/reports/campaigns",
    "GET /v1/reports/campaigns/{id}",
    "GET /v1/reports/zones/{id}",
    "GET /v1/exports/zones/{id}/visitors",
    "GET /v1/zones/{id}/cells",
    "GET /v1/tiles/zones/{z}/{x}/{y}",
    "POST /v1/zones:cells",
    "POST /v1/zones:lint",
    "POST /v1/zones:reach",
}
"""Where a schema can't say all: rings close, cells are not too many, endpoints exist, secrets are
Base64, ends come after beginnings, rules are CEL, rows are profiles, no name holds NUL. There a
request that obeys the schema may still be refused."""

REPORTS = {"POST /v1/pings", "POST /v1/zones", "POST /v1/conversions", "PUT /v1/imports/{id}"}
"""Where bad items are reported in a good answer."""


@pytest.fixture(scope="module")
def schema(lasting: Api) -> Any:
    """The description of an application that has something of everything."""
    for path, body in [
        ("/v1/zones/z", square()),
        ("/v1/endpoints/crm", {"url": "https://crm.example.com/hook"}),
        ("/v1/campaigns/c", campaign("crm")),
        ("/v1/campaigns/z", campaign("crm", variants=[{"id": "a", "offer": {}}], offer=None)),
        ("/v1/audiences/z", {"rule": "visits.total(30) > 2"}),
        ("/v1/profiles/z", {"attributes": {"tier": "gold"}, "devices": ["d1"]}),
    ]:
        lasting.call("PUT", path, expect=200, json=body)
    pings = [ping(ago_s=60), ping(ago_s=30), {"device": "x"}]
    lasting.call("POST", "/v1/pings", expect=202, json=pings)
    sold = {"id": "r1", "device": "d1", "value": 1, "currency": "EUR"}
    lasting.call("POST", "/v1/conversions", expect=200, json=sold)
    rows = {"content": b'{"id": "a"}\n{}\n', "headers": {"Content-Type": "application/x-ndjson"}}
    lasting.call("PUT", "/v1/imports/z", expect=200, **rows)
    return schemathesis.openapi.from_asgi("/openapi.json", lasting.app)


def examine(schema: Any, row: str, headers: dict[str, str], *, examples: int) -> None:
    """Send requests of both kinds and check each answer against the description."""
    method, path = row.split()
    described = schema.raw_schema["paths"][path][method.lower()]
    for mode in GenerationMode:
        good = mode is GenerationMode.POSITIVE
        if not good and not described.get("parameters") and "requestBody" not in described:
            continue  # there is nothing in it that could be wrong
        cases = schema[path][method].as_strategy(
            generation_mode=mode,
            path_parameters={"id": "z"} if good and "{id}" in path else None,
        )

        @seed(7 if FACTOR == 1 else secrets.randbits(64))
        @settings(
            max_examples=examples * FACTOR,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def send(case: Any) -> None:
            answer = case.call(headers=headers)
            excluded = []
            if row in MEANING or (answer.status_code == 422 and only_the_cursor(answer.json())):
                excluded.append(positive_data_acceptance)
            refused = answer.status_code == 413  # refused for its size, which the check can't know
            if row in REPORTS or refused or lost_on_the_way(case, answer):
                excluded.append(negative_data_rejection)
            case.validate_response(answer, headers=headers, excluded_checks=excluded)

        send()


def lost_on_the_way(case: Any, answer: Any) -> bool:
    """Return whether a query member that was meant has no place in the address that was sent.

    A member without a value (None, an empty list) makes a query invalid on paper only.
    """
    sent = parse_qs(urlsplit(str(answer.request.url)).query, keep_blank_values=True)
    return not set(case.query or {}) <= set(sent)


def only_the_cursor(problem: Any) -> bool:
    """Return whether all that is wrong is a cursor that we never gave."""
    return all(each["path"] == "cursor" for each in problem["errors"])


@pytest.fixture(scope="module")
def keys(lasting: Api) -> dict[Scope, dict[str, str]]:
    """A key for each scope, which has that one only."""
    return {scope: lasting.key(scope.value) for scope in Scope}


@pytest.mark.fuzz
@pytest.mark.parametrize("row", ROWS)
def test_the_description_is_true(schema: Any, keys: dict[Scope, dict[str, str]], row: str) -> None:
    """No 5xx; status, media type, headers, body as described; the scope that is named is enough."""
    examine(schema, row, keys[SCOPES[row]], examples=4)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_description_is_true_at_length(
    schema: Any, keys: dict[Scope, dict[str, str]], row: str
) -> None:
    """The same, longer; `make fuzz` sends the one above 30 times as much."""
    examine(schema, row, keys[SCOPES[row]], examples=30)
