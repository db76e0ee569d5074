"""``/v1/devices/{id}/tokens``: how an app's back end lets a phone in, and shuts it out again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from geotarget.store.device_tokens import MOST_LIVE
from tests.api.conftest import Api

TOKENS = "/v1/devices/phone-1/tokens"


def test_a_token_is_shown_once(api: Api) -> None:
    """With all that the app needs; later only what it is for."""
    asked = {"name": "Pixel 9", "valid_s": 86_400}
    made = api.call("POST", TOKENS, expect=201, json=asked)
    assert made["token"].startswith(f"gt_dev_{made['id']}_")
    assert made["login"] == {
        "url": "mqtt://nats:1883",
        "topic": "pings/phone-1",
        "username": "phone-1",
        "client_id": "phone-1",
    }
    created, expires = (datetime.fromisoformat(made[name]) for name in ("created", "expires"))
    assert timedelta(seconds=86_400) == expires - created
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
    token = made.pop("token")
    made.pop("login")
    listed = api.call("GET", TOKENS, expect=200)
    assert {"items": [made], "next": None} == listed
    assert (made["name"], made["last_used"], made["revoked"]) == ("Pixel 9", None, None)
    assert token not in str(listed)
    now_ms = round(created.timestamp() * 1000)
    assert api.store.find_device_token("phone-1", token, now_ms) is not None


def test_one_can_be_taken_back(api: Api) -> None:
    """It is refused from then on; the others work. Again changes nothing."""
    first, second = (api.call("POST", TOKENS, expect=201, json={}) for _ in range(2))
    for _ in range(2):
        api.call("DELETE", f"{TOKENS}/{first['id']}", expect=204)
    works = [
        api.store.find_device_token("phone-1", each["token"], 0) is not None
        for each in (first, second)
    ]
    assert [False, True] == works
    assert [False, True] == [
        each["revoked"] is None for each in api.call("GET", TOKENS, expect=200)["items"]
    ]
    other = f"/v1/devices/phone-2/tokens/{second['id']}"
    assert "no token of this device" in api.call("DELETE", other, expect=404)["detail"]


def test_no_more_than_so_many(api: Api) -> None:
    """409, and what to do."""
    for _ in range(MOST_LIVE):
        api.call("POST", TOKENS, expect=201, json={})
    answer = api.call("POST", TOKENS, expect=409, json={})
    assert f"has {MOST_LIVE} tokens that work, and may have {MOST_LIVE}" in answer["detail"]


@pytest.mark.parametrize("name", ["a%20b", "a.b", "geotarget-slot-3-0011223344556677"])
def test_a_name_that_cannot_log_in_is_refused(api: Api, name: str) -> None:
    """422 with the reason, and nothing is made."""
    answer = api.call("POST", f"/v1/devices/{name}/tokens", expect=422, json={})
    assert answer["errors"][0]["path"] == "device"
    assert [] == api.call("GET", f"/v1/devices/{name}/tokens", expect=200)["items"]


def test_where_nobody_asks_for_tokens_it_says_so(api_with: Callable[..., Api]) -> None:
    """409, with the settings that would change that: a token that is worth nothing is a trap."""
    answer = api_with(token_login=None).call("POST", TOKENS, expect=409, json={})
    assert "GEOTARGET_AUTH_CALLOUT_URL is not set" in answer["detail"]


@pytest.mark.parametrize(
    "document", [{"valid_s": 59}, {"valid_s": 10**12}, {"valid": 60}, {"name": "x" * 201}]
)
def test_bad_documents(api: Api, document: dict[str, object]) -> None:
    """A lifetime out of bounds, an unknown member, too long a name."""
    api.call("POST", TOKENS, expect=422, json=document)


def test_they_take_a_scope_of_their_own(api: Api) -> None:
    """The one of the passwords, for the list too."""
    for scope in ("pings:write", "traces:write", "reports:read"):
        headers = api.key(scope)
        api.call("POST", TOKENS, expect=403, json={}, headers=headers)
        api.call("GET", TOKENS, expect=403, headers=headers)
        api.call("DELETE", f"{TOKENS}/abc", expect=403, headers=headers)
    headers = api.key("devices:write")
    made = api.call("POST", TOKENS, expect=201, json={}, headers=headers)
    api.call("DELETE", f"{TOKENS}/{made['id']}", expect=204, headers=headers)


def test_erasing_the_device_takes_its_tokens(api: Api) -> None:
    """And the receipt counts them."""
    api.call("POST", TOKENS, expect=201, json={})
    receipt = api.call("DELETE", "/v1/profiles/phone-1", expect=200)
    assert receipt["counts"]["tokens"] == 1
    assert [] == api.call("GET", TOKENS, expect=200)["items"]
