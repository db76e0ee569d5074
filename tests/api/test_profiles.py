"""``/v1/profiles``: documents that are taken whole or not, links, behaviour, erasure."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.documents import campaign, ping, square

FULL: dict[str, Any] = {
    "attributes": {"tier": "gold", "n": [1, 2.5, None]},
    "consent": {"marketing": True, "research": False},
    "external_ids": {"crm": "4711"},
    "quiet_hours": {"from": "22:00", "to": "07:00"},
    "devices": ["phone-1", "way/2"],
}


def paths(answer: Any) -> list[str]:
    """Return where the errors are."""
    return [each["path"] for each in answer["errors"]]


def test_a_profile_is_replaced_and_erased(api: Api) -> None:
    """Whole, under an id that may hold a slash; only links stay when nothing is said of them."""
    url = "/v1/profiles/aino/phone"
    api.call("GET", url, expect=404)
    assert api.call("PUT", url, expect=200, json=FULL) == FULL | {"id": "aino/phone"}
    assert api.call("GET", url, expect=200) == FULL | {"id": "aino/phone"}
    api.call("PUT", url, expect=200, json={})
    assert api.call("GET", url, expect=200) == {
        "id": "aino/phone",
        "attributes": {},
        "consent": {},
        "external_ids": {},
        "quiet_hours": None,
        "devices": FULL["devices"],
    }
    api.call("PUT", url, expect=200, json={"devices": []})
    assert api.call("GET", url, expect=200)["devices"] == []
    api.call("DELETE", url, expect=200)
    api.call("GET", url, expect=404)
    api.call("DELETE", url, expect=404)


def test_linking_a_device_moves_it(api: Api) -> None:
    """A device has one profile: the one that named it last."""
    api.call("PUT", "/v1/profiles/aino", expect=200, json={"devices": ["a", "b"]})
    api.call("PUT", "/v1/profiles/onni", expect=200, json={"devices": ["b"]})
    assert api.call("GET", "/v1/profiles/aino", expect=200)["devices"] == ["a"]
    assert api.call("GET", "/v1/profiles/onni", expect=200)["devices"] == ["b"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"attributes": []}, "$.attributes"),
        ({"consent": {"marketing": "perhaps"}}, "$.consent.marketing"),
        ({"consent": {"": True}}, "$.consent"),
        ({"external_ids": {"crm": 5}}, "$.external_ids.crm"),
        ({"external_ids": {"crm": ""}}, "$.external_ids.crm"),
        ({"devices": ["a//b"]}, "$.devices[0]"),
        ({"devices": "a"}, "$.devices"),
        ({"quiet_hours": {"from": "22:00"}}, "$.quiet_hours.to"),
        ({"quiet_hours": {"from": "25:00", "to": "07:00"}}, "$.quiet_hours.from"),
        ({"name": "x"}, "$.name"),
        ([], "$"),
    ],
)
def test_a_profile_that_is_none_is_refused(lasting: Api, body: Any, path: str) -> None:
    """With its path."""
    answer = lasting.call("PUT", "/v1/profiles/p", expect=422, json=body)
    assert paths(answer)[0].startswith(path)


def test_behaviour_is_what_was_seen_and_reported(api: Api) -> None:
    """A visit of a linked device, an offer to it and a purchase are its profile's."""
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=square("kamppi", tags=["bakery"]))
    url = "https://crm.example.com/hook"
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": url})
    api.call("PUT", "/v1/campaigns/hello", expect=200, json=campaign("crm"))
    api.call("PUT", "/v1/profiles/aino", expect=200, json={"devices": ["d1"]})
    before = api.call("GET", "/v1/profiles/aino/behaviour", expect=200)
    assert (before["first_seen"], before["visits"], before["zones"]) == (None, 0, [])
    pings = [ping("d1", ago_s=ago) for ago in (60, 40, 20)]
    api.call("POST", "/v1/pings", expect=202, json=pings)
    sold = {"id": "r1", "device": "d1", "value": 4.5, "currency": "EUR", "category": "bakery"}
    assert api.call("POST", "/v1/conversions", expect=200, json=sold)["accepted"] == 1
    told = api.call("GET", "/v1/profiles/aino/behaviour", expect=200)
    assert (told["visits"], told["offers"], told["purchases"]) == (1, 1, 1)
    assert [(each["days"], each["visits"]) for each in told["windows"]] == [
        (7, 1),
        (30, 1),
        (90, 1),
    ]
    assert [each["offers"] for each in told["windows"]] == [1, 1, 1]
    (there,) = told["zones"]
    assert (there["zone"], there["visits_7"], there["visits_30"], there["visits"]) == (
        "kamppi", 1, 1, 1,
    )  # fmt: skip
    assert told["tags"] == [{**{k: v for k, v in there.items() if k != "zone"}, "tag": "bakery"}]
    assert told["categories"] == [
        {"category": "bakery", "currency": "EUR", "purchases": 1, "value": 4.5}
    ]
    (bought,) = told["recent_purchases"]
    assert (bought["category"], bought["value"], bought["currency"]) == ("bakery", 4.5, "EUR")
    api.call("GET", "/v1/profiles/d1/behaviour", expect=404)
    api.call("GET", "/v1/profiles/nobody/behaviour", expect=404)


def test_erasing_takes_back_what_waits_to_be_sent(api: Api) -> None:
    """An offer that no receiver has yet is gone with the profile, and who did it is noted."""
    api.call("PUT", "/v1/zones/kamppi", expect=200, json=square("kamppi"))
    url = "https://crm.example.com/hook"
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": url})
    api.call("PUT", "/v1/campaigns/hello", expect=200, json=campaign("crm"))
    api.call("PUT", "/v1/profiles/aino", expect=200, json={"devices": ["d1"]})
    pings = [ping(device, ago_s=ago) for ago in (60, 40, 20) for device in ("d1", "d2")]
    api.call("POST", "/v1/pings", expect=202, json=pings)
    waiting = api.call("GET", "/v1/deliveries?campaign=hello", expect=200)["items"]
    assert sorted(each["device"] for each in waiting) == ["d1", "d2"]
    receipt = api.call("DELETE", "/v1/profiles/aino", expect=200)
    left = api.call("GET", "/v1/deliveries?campaign=hello", expect=200)["items"]
    assert [each["device"] for each in left] == ["d2"]
    api.call("GET", "/v1/profiles/aino/behaviour", expect=404)
    moved = api.call("GET", "/v1/transitions", expect=200)["items"]
    assert {each["device"] for each in moved} == {"d2"}
    api.call("GET", "/v1/devices/d1", expect=404)
    (noted,) = api.store.audit_page(subject=receipt["id"]).items
    assert (noted.actor, noted.action) == ("admin", "profile.erase")
    assert noted.digest.hex() == receipt["audit"]


def test_a_receipt_is_kept_and_old_pings_are_refused(api: Api) -> None:
    """For who asks with all rights; it names nobody. What is sent again says why it is refused."""
    api.call("PUT", "/v1/profiles/aino", expect=200, json={"devices": ["d1", "d7"]})
    old = [ping(device, ago_s=30) for device in ("d1", "d2")]
    api.call("POST", "/v1/pings", expect=202, json=old)
    receipt = api.call("DELETE", "/v1/profiles/aino", expect=200)
    assert receipt["devices"] == 2
    assert receipt["counts"].items() >= {"links": 2, "profiles": 1, "states": 1}.items()
    assert receipt == api.call("GET", f"/v1/erasures/{receipt['id']}", expect=200)
    assert [receipt] == api.call("GET", "/v1/erasures?limit=1", expect=200)["items"]
    assert not {"aino", "d1", "d7"} & set(str(receipt).replace("'", " ").split())
    api.call("GET", "/v1/erasures/erasure_0", expect=404)
    said = api.call("POST", "/v1/pings", expect=202, json=old)
    assert (said["accepted"], [each["reason"] for each in said["rejected"]]) == (1, ["erased"])
    assert [] == api.call("GET", "/v1/dead-letters", expect=200)["items"]
    sold = [{"id": "r1", "profile": "aino", "time": old[0]["ts"]}, {"id": "r2", "profile": "aino"}]
    done = api.call("POST", "/v1/conversions", expect=200, json=sold)
    assert done["accepted"] == 1
    assert "its profile was erased after it happened" in str(done["rejected"])
