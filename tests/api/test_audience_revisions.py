"""``If-Match`` and ``If-None-Match`` of audiences: two people do not overwrite each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.api.conftest import Api

PATH = "/v1/audiences/gold"
RULE = "profile.tier == 'gold'"


def put(api: Api, name: str, *, expect: int, **headers: str) -> Any:
    """Store the audience under another name."""
    told = {header.replace("_", "-"): value for header, value in headers.items()}
    return api.call("PUT", PATH, expect=expect, json={"rule": RULE, "name": name}, headers=told)


def test_a_change_counts_for_the_revision_that_was_seen(api: Api) -> None:
    """The ETag of an answer lets one change pass; a second one hears who was first, and when."""
    put(api, "Gold", expect=200)
    kim, _ = api.store.create_key(name="kim", scopes=["audiences:write"])
    got = api.client.get(PATH)
    seen = got.headers["etag"]
    assert seen == f'"{got.json()["revision"]}"'
    first = api.client.put(
        PATH,
        json={"rule": RULE, "name": "Kim's"},
        headers={"Authorization": f"Bearer {kim}", "If-Match": seen},
    )
    assert first.status_code == 200
    assert first.headers["etag"] == f'"{first.json()["revision"]}"' != seen
    answer = put(api, "Mine", expect=412, If_Match=seen)
    assert answer["type"] == "urn:geotarget:problem:outdated"
    revision = first.json()["revision"]
    assert f"audience 'gold' is at revision {revision}, stored by 'kim (" in answer["detail"]
    assert answer["detail"].endswith("Z")
    assert api.call("GET", PATH, expect=200)["name"] == "Kim's"
    put(api, "Mine", expect=200, If_Match=first.headers["etag"])


def test_only_what_is_there_or_only_what_is_not(api: Api) -> None:
    """`If-None-Match: *` never replaces, `If-Match: *` never creates; without both, as ever."""
    put(api, "Gold", expect=200, If_None_Match="*")
    put(api, "Again", expect=412, If_None_Match="*")
    put(api, "Again", expect=200, If_Match="*")
    api.call("DELETE", PATH, expect=204)
    said = put(api, "New", expect=412, If_Match="*")["detail"]
    assert "there is no audience 'gold'" in said
    put(api, "New", expect=200)
    answer = put(api, "New", expect=422, If_Match="3")
    assert [each["path"] for each in answer["errors"]] == ["If-Match"]


def test_who_kept_it_out_of_the_log_is_not_guessed(api: Api) -> None:
    """The entry before speaks of another revision."""
    put(api, "Gold", expect=200)
    stored = api.store.audience("gold")
    assert stored is not None
    seen = api.client.get(PATH).headers["etag"]
    now = api.store.put_audience(type(stored)(id="gold", rule="true"))
    said = put(api, "Mine", expect=412, If_Match=seen)["detail"]
    assert said.endswith(f"audience 'gold' is at revision {now.revision}")


def test_of_many_at_once_one_wins(api: Api) -> None:
    """The comparison and the change are one."""
    put(api, "Gold", expect=200)
    seen = api.client.get(PATH).headers["etag"]

    def change(number: int) -> int:
        return api.client.put(
            PATH, json={"rule": RULE, "name": f"n{number}"}, headers={"If-Match": seen}
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200] + [412] * 7
