"""The description of the API: complete, with examples, and true."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import validator_for

from geotarget.api.app import table
from geotarget.api.openapi import LINES
from geotarget.api.route import Row
from geotarget.api.services import Limits
from geotarget.api.values import Document
from tests.api.conftest import Api
from tests.api.documents import square

ROWS = table(Limits())


@pytest.fixture(scope="module")
def document(lasting: Api) -> dict[str, Any]:
    """The document as clients get it, without a key."""
    found: dict[str, Any] = lasting.client.get(
        "/openapi.json", headers={"Authorization": ""}
    ).json()
    return found


def operation(document: dict[str, Any], row: Row) -> dict[str, Any]:
    """Return the description of a route."""
    path = row.path.replace(":path}", "}")
    found: dict[str, Any] = document["paths"][path][row.method.lower()]
    return found


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    """Summary, description, tag, a name of its own."""
    names = set()
    for row in ROWS:
        found = operation(document, row)
        assert found["summary"], row
        assert len(found["description"]) > 20, row
        assert found["tags"][0] in {each["name"] for each in document["tags"]}, row
        names.add(found["operationId"])
        assert "`" not in found["summary"]
    assert len(names) == len(ROWS)
    assert sum(len(each) for each in document["paths"].values()) == len(ROWS)


def test_every_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    """Requests, answers and problems alike; the example obeys its own schema."""
    bodies = 0
    for row in ROWS:
        found = operation(document, row)
        for body in (found.get("requestBody", {}), *found["responses"].values()):
            for media, content in body.get("content", {}).items():
                assert content["example"] is not None, (row.path, media)
                if media not in LINES:
                    schema = {**content["schema"], "components": document["components"]}
                    validator_for(schema).validate(content["example"])
                bodies += 1
    assert bodies > 4 * len(ROWS)


def test_every_operation_lists_its_problems(document: dict[str, Any]) -> None:
    """Those without a key, without the scope, with a bad body; and ours."""
    for row in ROWS:
        found = operation(document, row)
        problems = {
            int(status)
            for status, answer in found["responses"].items()
            if "application/problem+json" in answer.get("content", {})
        }
        assert problems == set(row.statuses()), row
        assert 500 in problems
        assert ({401, 403} <= problems) == (row.scope is not None)
        if row.body is not None:
            assert {413, 415, 422} <= problems


def test_the_key_and_the_scope_are_part_of_it(document: dict[str, Any]) -> None:
    """Protected operations name the scheme and the scope; others neither."""
    for row in ROWS:
        found = operation(document, row)
        if row.scope is None:
            assert "security" not in found
        else:
            assert found["security"] == [{"ApiKey": []}]
            assert f"`{row.scope.value}`" in found["description"]
    assert document["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"


def test_parameters_are_described(document: dict[str, Any]) -> None:
    """Each with a sentence; none of them claims to be nullable."""
    for row in ROWS:
        for parameter in operation(document, row).get("parameters", ()):
            assert parameter["description"], (row.path, parameter["name"])
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ())


def test_documents_that_are_written_are_closed(document: dict[str, Any]) -> None:
    """Unknown members are refused, so the schema says so; aliases are what is sent."""
    schemas = document["components"]["schemas"]
    for name in ("CampaignDocument", "ScheduleDocument", "ProfileDocument", "AudienceDocument"):
        assert schemas[name]["additionalProperties"] is False, name
    assert set(schemas["HoursDocument"]["properties"]) == {"from", "to"}
    assert "in" in schemas["BudgetDocument"]["properties"]
    assert schemas["CampaignDocument"]["properties"]["include_inside"]["writeOnly"] is True


def test_examples_of_requests_are_accepted(api: Api, document: dict[str, Any]) -> None:
    """What the documentation shows works as it stands, in the order of a first visit."""
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=square())
    for path, name, status in [
        ("/v1/endpoints/{id}", "crm", 200),
        ("/v1/campaigns/{id}", "bun", 200),
        ("/v1/profiles/{id}", "aino", 200),
        ("/v1/audiences/{id}", "gold-regulars", 200),
        ("/v1/zones/{id}", "kamppi", 200),
    ]:
        content = document["paths"][path]["put"]["requestBody"]["content"]
        for media, each in content.items():
            api.call(
                "PUT",
                path.replace("{id}", name),
                expect=status,
                json=each["example"],
                headers={"Content-Type": media},
            )
    for path, status in [
        ("/v1/zones", 200),
        ("/v1/keys", 201),
        ("/v1/pings", 202),
        ("/v1/conversions", 200),
        ("/v1/audiences:count", 200),
        ("/v1/campaigns:preview", 200),
        ("/v1/campaigns:backtest", 200),
    ]:
        content = document["paths"][path]["post"]["requestBody"]["content"]
        for media, each in content.items():
            body = {"content": each["example"]} if media in LINES else {"json": each["example"]}
            answer = api.call("POST", path, expect=status, headers={"Content-Type": media}, **body)
            assert not answer.get("rejected"), answer
    content = document["paths"]["/v1/imports/{id}"]["put"]["requestBody"]["content"]
    for position, (media, each) in enumerate(content.items()):
        path, headers = f"/v1/imports/{position}", {"Content-Type": media}
        answer = api.call("PUT", path, expect=200, content=each["example"], headers=headers)
        assert (answer["stored"], answer["problems"]) == (1, []), (media, answer)


def test_documents_refuse_what_they_do_not_know() -> None:
    """Every model that a client writes; GeoJSON and pings may hold more."""
    kinds = Document.__subclasses__()
    assert len(kinds) > 5
    for kind in kinds:
        assert kind.model_config["extra"] == "forbid", kind


def test_the_front_door_is_the_console(lasting: Api) -> None:
    """Whoever opens the address of the API in a browser finds the console."""
    answer = lasting.client.get("/", headers={"Authorization": ""})
    assert (200, True) == (answer.status_code, "<title>geotarget</title>" in answer.text)
