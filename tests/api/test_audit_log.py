"""``/v1/audit``: who changed what, for administrators."""

from __future__ import annotations

from typing import Any

import pytest

from geotarget.store.audit import GENESIS, digest_of
from tests.api.conftest import Api

ENDPOINT = {"url": "https://crm.example.com/hook"}


@pytest.fixture
def changed(api: Api) -> Api:
    """An API that saw a key made, used and revoked, and an endpoint stored."""
    made = api.call("POST", "/v1/keys", expect=201, json={"name": "ops", "scopes": ["admin"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    api.call("PUT", "/v1/endpoints/crm", expect=200, json=ENDPOINT, headers=headers)
    api.call("DELETE", f"/v1/keys/{made['id']}", expect=204)
    return api


def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    """Return the items of a page."""
    items: list[dict[str, Any]] = api.call("GET", f"/v1/audit{query}", expect=200)["items"]
    return items


def test_changes_are_listed_with_who_made_them(changed: Api) -> None:
    """Newest first, with numbers and digests that anybody can work out."""
    revoked, stored, created = items = listed(changed)
    (key,) = changed.store.keys()
    assert [3, 2, 1] == [each["number"] for each in items]
    assert ("admin", "key.create", key.id) == tuple(
        created[name] for name in ("actor", "action", "subject")
    )
    assert {"name": "ops", "scopes": ["admin"], "expires_ms": None} == created["detail"]
    assert (f"ops ({key.id})", "endpoint.put") == (stored["actor"], stored["action"])
    assert ("admin", "key.revoke") == (revoked["actor"], revoked["action"])
    (first,) = changed.store.audit_page(limit=1, action="key.create").items
    detail = b'{"name":"ops","scopes":["admin"],"expires_ms":null}'
    texts = (b"admin", b"key.create", key.id.encode(), detail)
    assert digest_of(GENESIS, 1, first.at_ms, *texts).hex() == created["digest"]
    assert changed.store.verify_audit().digest.hex() == revoked["digest"]


def test_the_log_is_filtered_and_paged(changed: Api) -> None:
    """By who, what, which and when."""
    assert [3, 1] == [each["number"] for each in listed(changed, "?actor=admin")]
    assert [2] == [each["number"] for each in listed(changed, "?action=endpoint.put&subject=crm")]
    time = listed(changed)[1]["time"]
    assert 2 in [each["number"] for each in listed(changed, f"?from={time}")]
    assert [] == listed(changed, "?to=2020-01-01T00:00:00Z")
    page = changed.call("GET", "/v1/audit?limit=2", expect=200)
    rest = changed.call("GET", f"/v1/audit?limit=2&cursor={page['next']}", expect=200)
    assert ([1], None) == ([each["number"] for each in rest["items"]], rest["next"])
    changed.call("GET", "/v1/audit?cursor=x", expect=422)


def test_the_log_is_for_administrators(api: Api) -> None:
    """Whoever may read reports may not read who changed what."""
    api.call("GET", "/v1/audit", expect=403, headers=api.key("reports:read", "exports:read"))
    api.call("GET", "/v1/audit", expect=200, headers=api.key("admin"))


def test_no_secret_gets_into_the_log(changed: Api) -> None:
    """Neither a key nor what signs webhooks."""
    text = changed.client.get("/v1/audit").text
    assert "gt_live_" not in text
    assert "whsec_" not in text
