"""Reports over HTTP: results of campaigns and foot traffic, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from geotarget.model import BatchWrite, Conversion, Kind, Transition
from tests.api.conftest import Api, running_api
from tests.api.documents import campaign, ping, square

URL = "https://crm.example.com/hook"
PEOPLE = [f"p{number}" for number in range(60)]
BUYERS = PEOPLE[::2]


@pytest.fixture
def told(api: Api) -> Api:
    """Sixty people entered a zone, of whom some are held out; half of them bought something."""
    api.call("PUT", "/v1/zones/mall/north", expect=200, json=square())
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": URL})
    document = campaign("crm", holdout=0.4, cost_per_offer=0.05, name="=Bun")
    api.call("PUT", "/v1/campaigns/spring/bun", expect=200, json=document)
    pings = [ping(person, ago_s=ago_s) for ago_s in (60, 30) for person in PEOPLE]
    assert api.call("POST", "/v1/pings", expect=202, json=pings)["accepted"] == len(pings)
    decisions = api.store.decisions_page(limit=100).items
    assert len(decisions) == len(PEOPLE)
    at_ms = max(each.decided_ms for each in decisions) + 1_000
    api.store.record_conversions(
        [
            Conversion(
                f"sale-{person}", person, at_ms, at_ms, value_micros=2_500_000, currency="EUR"
            )
            for person in BUYERS
        ]
    )
    return api


def sheet(api: Api, path: str) -> list[dict[str, str]]:
    """Return the rows of a CSV answer."""
    answer = api.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment")
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def test_a_campaign_is_reported_with_its_lift(told: Api) -> None:
    """What was decided, what came of it, and what that says."""
    found = told.call("GET", "/v1/reports/campaigns/spring/bun", expect=200)
    total, lift = found["total"], found["comparison"]
    assert (found["campaign"], found["name"], found["status"]) == ("spring/bun", "=Bun", "active")
    assert total["fired"] + total["held_out"] == total["decisions"] == len(PEOPLE)
    assert total["cost"] == pytest.approx(0.05 * total["fired"])
    assert total["revenue"] == [{"currency": "EUR", "value": 2.5 * total["conversions"]}]
    assert total["roi"] == pytest.approx(2.5 * total["conversions"] / total["cost"] - 1)
    assert lift["treated"]["people"] == total["fired"]
    assert lift["held_out"]["people"] == total["held_out"]
    assert lift["treated"]["converted"] + lift["held_out"]["converted"] == len(BUYERS)
    assert lift["lift_interval"]["low"] <= lift["lift"] <= lift["lift_interval"]["high"]
    assert lift["verdict"] == "early"
    assert lift["sentence"].startswith("Too early to tell: 30 conversions, about ")
    assert [each["step"] for each in found["funnel"]] == [
        "entries", "eligible", "fired", "delivered", "converted",
    ]  # fmt: skip
    assert found["rows"] == []


def test_rows_by_zone_and_day(told: Api) -> None:
    """Each with the same figures; a range that holds nothing is empty."""
    for by in ("zone", "day", "variant"):
        found = told.call("GET", f"/v1/reports/campaigns/spring/bun?by={by}", expect=200)
        (row,) = found["rows"]
        assert {**row, "key": ""} == found["total"]
    day = told.call("GET", "/v1/reports/campaigns/spring/bun?by=day", expect=200)["rows"][0]["key"]
    path = "/v1/reports/campaigns/spring/bun"
    assert told.call("GET", f"{path}?from={day}&to={day}", expect=200)["total"] == {
        **row, "key": "",
    }  # fmt: skip
    empty = told.call("GET", f"{path}?to=2020-01-01", expect=200)
    assert (empty["total"]["decisions"], empty["total"]["conversions"]) == (0, 0)
    assert empty["comparison"]["treated"]["people"] > 0


def test_all_campaigns_beside_each_other(told: Api) -> None:
    """A page at a time, by id."""
    told.call("PUT", "/v1/campaigns/autumn", expect=200, json=campaign("crm", status="paused"))
    found = told.call("GET", "/v1/reports/campaigns", expect=200)
    assert [each["campaign"] for each in found["items"]] == ["autumn", "spring/bun"]
    assert found["items"][0]["comparison"]["sentence"] == "Nobody has come into question yet."
    first = told.call("GET", "/v1/reports/campaigns?limit=1", expect=200)
    rest = told.call("GET", f"/v1/reports/campaigns?cursor={first['next']}", expect=200)
    assert first["items"] + rest["items"] == found["items"]
    rows = sheet(told, "/v1/reports/campaigns?format=csv")
    assert [row["campaign"] for row in rows] == ["autumn", "spring/bun"]
    begun = told.client.get("/v1/reports/campaigns?format=csv&limit=1")
    assert begun.links["next"]["url"] == f"?cursor={first['next']}&format=csv"
    (row,) = sheet(told, f"/v1/reports/campaigns{begun.links['next']['url']}")
    assert row["campaign"] == "spring/bun"
    assert "next" not in told.client.get("/v1/reports/campaigns?format=csv").links


def test_a_campaign_as_csv(told: Api) -> None:
    """One row in all, or one for each; a name that looks like a formula is harmless."""
    (row,) = sheet(told, "/v1/reports/campaigns/spring/bun?format=csv")
    found = told.call("GET", "/v1/reports/campaigns/spring/bun", expect=200)
    assert row["name"] == "'=Bun"
    assert int(row["fired"]) == found["total"]["fired"]
    assert float(row["lift"]) == pytest.approx(found["comparison"]["lift"])
    assert row["sentence"] == found["comparison"]["sentence"]
    (row,) = sheet(told, "/v1/reports/campaigns/spring/bun?format=csv&by=zone")
    assert (row["by"], row["key"], row["lift"]) == ("zone", "mall/north", "")


def test_a_deleted_campaign_keeps_its_report(told: Api) -> None:
    """What it came to is shown as before; it counts as ended."""
    path = "/v1/reports/campaigns/spring/bun"
    before = told.call("GET", path, expect=200)
    told.call("DELETE", "/v1/campaigns/spring/bun", expect=204)
    assert told.call("GET", path, expect=200) == {**before, "status": "ended"}


def test_few_people_are_not_shown(told: Api) -> None:
    """Neither in JSON nor in CSV, by the operator's minimum."""
    limits = replace(told.services.limits, minimum_audience=40)
    with running_api(replace(told.services, limits=limits)) as strict:
        found = strict.call("GET", "/v1/reports/campaigns/spring/bun", expect=200)
        total = found["total"]
        assert (total["conversions"], total["revenue"], total["roi"]) == (None, None, None)
        assert found["comparison"]["lift"] is None
        assert "Counts of fewer than 40 people are not shown" in found["warnings"][-1]
        (row,) = sheet(strict, "/v1/reports/campaigns/spring/bun?format=csv")
        assert (row["conversions"], row["revenue"], row["lift"]) == ("", "", "")


def enter(api: Api, zone: str, count: int) -> None:
    """Let people enter a zone on 2026-01-02 at noon, UTC, and leave after ten minutes."""
    at_ms = 1_767_355_200_000
    usual: dict[str, Any] = {
        "zone": zone, "zone_revision": 1, "confidence": 3, "p": 0.97, "decided_ms": at_ms,
    }  # fmt: skip
    made = []
    for number in range(count):
        visit = f"{at_ms:012x}{number:020x}"
        who = {"visit": visit, "device": f"q{number}", **usual}
        made.append(Transition(id=f"a{visit}", kind=Kind.ENTER, ts_ms=at_ms, **who))
        left_ms = at_ms + 600_000
        made.append(
            Transition(id=f"b{visit}", kind=Kind.EXIT, ts_ms=left_ms, duration_s=600.0, **who)
        )
    api.store.write_batch(BatchWrite(transitions=made))


def test_the_traffic_of_a_zone(told: Api) -> None:
    """Visits and visitors on the clock of the zone, how long they stayed; as JSON and CSV."""
    enter(told, "mall/north", 25)
    path = "/v1/reports/zones/mall/north?from=2026-01-01&to=2026-01-05"
    found = told.call("GET", path, expect=200)
    assert (found["visits"], found["visitors"], found["returning"]) == (25, 25, 0)
    assert found["time_zone"] == "Europe/Helsinki"
    assert {each["key"]: each["visits"] for each in found["hours"] if each["visits"]} == {"14": 25}
    assert found["dwell"]["quantiles_s"]["0.5"] == 600
    assert [each["key"] for each in found["days"]] == [f"2026-01-0{day}" for day in range(1, 6)]
    rows = sheet(told, f"{path}&format=csv")
    assert {"zone": "mall/north", "figure": "visits", "key": "", "value": "25"} in rows
    assert {"zone": "mall/north", "figure": "visits_by_hour", "key": "14", "value": "25"} in rows
    today = told.call("GET", "/v1/reports/zones/mall/north", expect=200)
    assert today["visits"] == len(PEOPLE)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("campaigns/c?from=yesterday", "from"),
        ("campaigns/c?to=2026-13-01", "to"),
        ("campaigns/c?to=2026-02-30", "to"),
        ("campaigns/c?from=1767268800", "from"),
        ("campaigns/c?from=0001-01-01", "from"),
        ("campaigns/c?from=2026-01-02&to=2026-01-01", "to"),
        ("campaigns/c?by=gate", "by"),
        ("campaigns/c?format=xml", "format"),
        ("campaigns?limit=0", "limit"),
        ("campaigns?by=zone", "by"),
        ("zones/z?from=2026-01-01&to=2026-04-03", "from"),
        ("zones/z?from=2026-01-02&to=2026-01-01", "to"),
        ("zones/z?by=day", "by"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(lasting: Api, path: str, wrong: str) -> None:
    """By its name in the query."""
    lasting.call("PUT", "/v1/zones/z", expect=200, json=square())
    answer = lasting.call("GET", f"/v1/reports/{path}", expect=422)
    assert [each["path"] for each in answer["errors"]] == [wrong]


def test_what_there_is_not(lasting: Api) -> None:
    """404, naming it."""
    for path in ("campaigns/nothing", "zones/nothing"):
        assert "nothing" in lasting.call("GET", f"/v1/reports/{path}", expect=404)["detail"]


def test_reports_need_their_scope(lasting: Api) -> None:
    """Whoever may only write pings reads nothing."""
    for scopes, status in ((["pings:write"], 403), (["reports:read"], 404)):
        path = "/v1/reports/campaigns/nothing"
        lasting.call("GET", path, expect=status, headers=lasting.key(*scopes))
