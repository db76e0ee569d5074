"""``If-Match`` and ``If-None-Match``: two people do not overwrite each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from geotarget.api.values import parse_instant
from tests.api.conftest import Api
from tests.api.documents import campaign

PATH = "/v1/campaigns/hello"


@pytest.fixture
def ready(api: Api) -> Api:
    """An API with an endpoint and a campaign at version 1."""
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/"})
    api.call("PUT", PATH, expect=200, json=campaign("crm"))
    return api


def put(api: Api, name: str, *, expect: int, **headers: str) -> Any:
    """Store the campaign under another name."""
    told = {header.replace("_", "-"): value for header, value in headers.items()}
    return api.call("PUT", PATH, expect=expect, json=campaign("crm", name=name), headers=told)


def test_a_change_counts_for_the_version_that_was_seen(ready: Api) -> None:
    """The ETag of an answer lets one change pass; a second one hears who was first, and when."""
    kim, _ = ready.store.create_key(name="kim", scopes=["campaigns:write"])
    seen = ready.client.get(PATH).headers["etag"]
    assert seen == '"1"'
    first = ready.client.put(
        PATH,
        json=campaign("crm", name="Kim's"),
        headers={"Authorization": f"Bearer {kim}", "If-Match": seen},
    )
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    answer = put(ready, "Mine", expect=412, If_Match=seen)
    assert answer["type"] == "urn:geotarget:problem:outdated"
    assert "campaign 'hello' is at version 2, stored by 'kim (" in answer["detail"]
    assert ready.call("GET", PATH, expect=200)["name"] == "Kim's"
    put(ready, "Mine", expect=200, If_Match='W/"2"')  # as a proxy that compresses makes it


def test_only_what_is_there_or_only_what_is_not(ready: Api) -> None:
    """`If-None-Match: *` never replaces, `If-Match: *` never creates; without both, as ever."""
    answer = put(ready, "Again", expect=412, If_None_Match="*")
    assert "is at version 1" in answer["detail"]
    put(ready, "Again", expect=200, If_Match="*")
    ready.call("DELETE", PATH, expect=204)
    assert "there is no campaign 'hello'" in put(ready, "New", expect=412, If_Match="*")["detail"]
    put(ready, "New", expect=412, If_Match='"2"')
    put(ready, "New", expect=200, If_None_Match="*")
    put(ready, "Newer", expect=200)


@pytest.mark.parametrize(
    ("header", "value"),
    [("If-Match", "3"), ("If-Match", '"a"'), ("If-Match", '"1", "2"'), ("If-None-Match", '"1"')],
    ids=["bare", "no number", "two", "one version"],
)
def test_a_condition_that_means_nothing_is_refused(ready: Api, header: str, value: str) -> None:
    """Not ignored: it would overwrite what it was to protect."""
    answer = ready.call("PUT", PATH, expect=422, json=campaign("crm"), headers={header: value})
    assert [each["path"] for each in answer["errors"]] == [header]


def test_of_many_at_once_one_wins(ready: Api) -> None:
    """The comparison and the change are one."""
    names = [f"n{number}" for number in range(8)]

    def change(name: str) -> int:
        answer = ready.client.put(
            PATH, json=campaign("crm", name=name), headers={"If-Match": '"1"'}
        )
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(change, names))
    assert statuses == [200] + [412] * 7
    assert ready.call("GET", PATH, expect=200)["version"] == 2


def test_versions_say_who_and_when(ready: Api) -> None:
    """The author of each version, and the instant that answers call `updated`."""
    kim, _ = ready.store.create_key(name="kim", scopes=["campaigns:write"])
    ready.call(
        "PUT",
        PATH,
        expect=200,
        json=campaign("crm", name="Kim's"),
        headers={"Authorization": f"Bearer {kim}"},
    )
    ready.store.put_campaign(ready.store.campaign("hello", version=1))  # type: ignore[arg-type]
    items = ready.call("GET", f"{PATH}/versions", expect=200)["items"]
    authors = [(each["version"], (each["by"] or "nobody").partition(" (")[0]) for each in items]
    assert authors == [(3, "nobody"), (2, "kim"), (1, "admin")]
    now = ready.call("GET", PATH, expect=200)
    (listed,) = ready.call("GET", "/v1/campaigns", expect=200)["items"]
    assert now["updated"] == listed["updated"] == items[0]["stored"]
    assert items[2]["campaign"]["updated"] == items[2]["stored"]
    old = ready.call("GET", f"{PATH}?version=1", expect=200)
    assert old["updated"] == items[2]["stored"]
    assert parse_instant(now["updated"]) >= parse_instant(items[2]["stored"])
