"""The pages for marketers and backend developers: every example is a request that works."""

from __future__ import annotations

import re
from typing import Any

import pytest

from geotarget.api.campaign_documents import CampaignDocument
from tests.api.conftest import Api
from tests.api.documents import square
from tests.test_docs import DOCS

REQUEST = re.compile(r"`(PUT|POST) (/v1/[^\s`]+)`[^\n]*\n```(json|csv|ndjson)\n(.*?)```", re.DOTALL)
MEDIA = {"json": "application/json", "csv": "text/csv", "ndjson": "application/x-ndjson"}


def requests(page: str) -> list[tuple[str, str, str, str]]:
    """Return the requests that a page shows: method, path, kind of body, body."""
    return REQUEST.findall((DOCS / page).read_text())


def send(api: Api, method: str, path: str, kind: str, body: str) -> Any:
    """Send a request of a page."""
    headers = {"Content-Type": MEDIA[kind]}
    return api.call(method, path, expect=200, content=body.encode(), headers=headers)


@pytest.fixture
def ready(api: Api) -> Api:
    """An API with what the pages take for granted."""
    zone = square("kamppi", tags=["bakery"], special="cinnamon bun")
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=zone)
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    return api


def test_the_campaigns_of_the_page_are_accepted(ready: Api) -> None:
    """The audience that one of them names comes last on the page, and first to the API."""
    asked = requests("campaigns.md")
    assert [path for _, path, _, _ in asked] == [
        "/v1/campaigns/hello",
        "/v1/campaigns/bun",
        "/v1/campaigns:preview",
        "/v1/audiences/adults",
        "/v1/audiences:count",
    ]
    told = {path: send(ready, *request) for *request, path in _audiences_first(asked)}
    assert told["/v1/campaigns/bun"]["matches_zones"] == 1
    assert told["/v1/campaigns/bun"]["warnings"] == []
    (offer,) = told["/v1/campaigns:preview"]["offers"]
    assert offer["offer"] == {"text": "Hello Aino, cinnamon bun today"}
    assert told["/v1/audiences:count"]["text"].startswith("fewer than 10 people")


def _audiences_first(asked: list[tuple[str, str, str, str]]) -> list[tuple[str, ...]]:
    in_order = sorted(asked, key=lambda each: "/audiences/" not in each[1])
    return [(*each, each[1]) for each in in_order]


def test_every_member_of_a_campaign_is_on_the_page() -> None:
    """A member that is added to the document is added to the table."""
    table = (DOCS / "campaigns.md").read_text().split("| member |")[1].split("\n\n")[0]
    for name in CampaignDocument.model_fields:
        assert re.search(rf"^\|[^|]*`{name}[`.]", table, re.MULTILINE), name


def test_the_profiles_imports_and_conversions_of_the_page_are_accepted(ready: Api) -> None:
    """With the answers that the page shows."""
    asked = requests("profiles.md")
    told = {path: send(ready, method, path, kind, body) for method, path, kind, body in asked}
    assert told["/v1/profiles/aino"]["devices"] == ["phone-17", "tablet-3"]
    sheet = told["/v1/imports/crm-2026-01-01"]
    assert (sheet["stored"], sheet["refused"]) == (2, 0)
    lines = told["/v1/imports/crm-2026-01-02"]
    assert (lines["state"], lines["rows"], lines["stored"], lines["refused"]) == ("done", 2, 1, 1)
    assert lines["problems"][0]["path"] == "$.consent.marketing"
    assert told["/v1/conversions"] == {"accepted": 2, "known": 0, "rejected": []}
    onni = ready.call("GET", "/v1/profiles/onni", expect=200)
    assert (onni["attributes"], onni["external_ids"]) == ({"first_name": "Onni"}, {"crm": "00815"})
