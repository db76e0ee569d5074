"""``/v1/zones``: GeoJSON in and out, and reports that name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.documents import LAT, LNG, collection, ping, square

GEOJSON = {"Content-Type": "application/geo+json"}


def put(api: Api, id: str, feature: dict[str, Any]) -> Any:
    """Put a zone that is accepted."""
    return api.call("PUT", f"/v1/zones/{id}", expect=200, json=feature)


def test_a_zone_comes_back_as_it_was_sent(api: Api) -> None:
    """Geometry and properties, unknown ones included, with a revision."""
    feature = square("a", tags=["bakery"], special={"bun": [1, 2]})
    stored = put(api, "a", feature)
    assert stored["geometry"] == feature["geometry"]
    assert stored["properties"].items() >= feature["properties"].items()
    assert stored["id"] == "a"
    assert stored["revision"] == 1
    assert api.call("GET", "/v1/zones/a", expect=200) == stored


def test_answers_are_geojson(api: Api) -> None:
    """The media type of RFC 7946; both that and plain JSON are taken."""
    answer = api.client.put("/v1/zones/a", content=json.dumps(square()), headers=GEOJSON)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/geo+json"


def test_a_changed_zone_is_matched_at_once(api: Api) -> None:
    """The next ping after the answer sees it."""
    put(api, "a", square(lng=LNG + 1))
    api.call("POST", "/v1/pings", expect=202, json=[ping("d", ago_s=60)])
    assert api.call("GET", "/v1/transitions", expect=200)["items"] == []
    put(api, "a", square())
    api.call("POST", "/v1/pings", expect=202, json=[ping("d", ago_s=5)])
    assert len(api.call("GET", "/v1/transitions", expect=200)["items"]) == 1


def test_putting_the_same_zone_again_keeps_its_revision(api: Api) -> None:
    """PUT is idempotent to the last digit."""
    assert put(api, "a", square()) == put(api, "a", square())


def test_a_circle(api: Api) -> None:
    """A point with a radius."""
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [LNG, LAT]},
        "properties": {"radius_m": 50},
    }
    assert put(api, "a", feature)["properties"]["radius_m"] == 50


@pytest.mark.parametrize("id", ["way/4711", "Kämppi 2", "a:b@c", "x" * 128])
def test_ids_may_be_what_people_use(api: Api, id: str) -> None:
    """Slashes, spaces, letters of any script."""
    assert put(api, id, square())["id"] == id
    assert api.call("GET", f"/v1/zones/{id}", expect=200)["id"] == id
    api.call("DELETE", f"/v1/zones/{id}", expect=204)


@pytest.mark.parametrize("id", ["x" * 129, "a%00b", "a//b", "%20a"])
def test_ids_that_would_be_trouble_are_refused(lasting: Api, id: str) -> None:
    """422 that names the id."""
    answer = lasting.call("PUT", f"/v1/zones/{id}", expect=422, json=square())
    assert answer["errors"][0]["path"] == "id"


def test_another_id_in_the_body_is_a_contradiction(lasting: Api) -> None:
    """The body's own id must be that of the path."""
    answer = lasting.call("PUT", "/v1/zones/a", expect=422, json=square("b"))
    assert answer["errors"][0]["path"] == "$.id"


def test_what_is_wrong_is_named_with_path_value_and_bound(lasting: Api) -> None:
    """Several faults at once, each with its place."""
    feature = square()
    feature["geometry"]["coordinates"][0][1][1] = 95.0
    feature["properties"]["entry"] = "sometimes"
    answer = lasting.call("PUT", "/v1/zones/a", expect=422, json=feature)
    assert answer["type"] == "urn:geotarget:problem:invalid-zone"
    found = {each["path"]: each for each in answer["errors"]}
    assert "$.properties.entry" in found
    assert any("95" in each["value"] + each["reason"] for each in found.values())
    lasting.call("GET", "/v1/zones/a", expect=404)


def test_a_deleted_zone_is_gone(api: Api) -> None:
    """And deleting it again says so."""
    put(api, "a", square())
    api.call("DELETE", "/v1/zones/a", expect=204)
    api.call("GET", "/v1/zones/a", expect=404)
    answer = api.call("DELETE", "/v1/zones/a", expect=404)
    assert answer["detail"] == "no zone is named 'a'"


def test_an_import_stores_the_good_and_reports_the_bad(api: Api) -> None:
    """Per feature: index, id and everything that is wrong."""
    broken = square("broken")
    del broken["geometry"]["coordinates"][0][-1]
    document = collection(square("a"), broken, square("b", lng=LNG + 1), "no feature")
    answer = api.call("POST", "/v1/zones", expect=200, json=document)
    assert answer["accepted"] == 2
    assert answer["rejected_count"] == 2
    first, second = answer["rejected"]
    assert (first["index"], first["id"]) == (1, "broken")
    assert first["errors"][0]["path"].startswith("$.features[1].geometry.coordinates[0]")
    assert (second["index"], second["id"]) == (3, None)
    listed = api.call("GET", "/v1/zones", expect=200)["features"]
    assert [each["id"] for each in listed] == ["a", "b"]
    assert api.catalog.snapshot.revision == answer["revision"]


def test_an_import_again_changes_nothing(api: Api) -> None:
    """The revision stays."""
    document = collection(square("a"), square("b", lng=LNG + 1))
    first = api.call("POST", "/v1/zones", expect=200, json=document)
    assert api.call("POST", "/v1/zones", expect=200, json=document) == first


def test_a_dry_run_only_checks(api: Api) -> None:
    """The same report, nothing stored."""
    document = collection(square("a"), square("a"))
    answer = api.call("POST", "/v1/zones?dry_run=true", expect=200, json=document)
    assert (answer["accepted"], answer["rejected_count"], answer["dry_run"]) == (1, 1, True)
    assert api.call("GET", "/v1/zones", expect=200)["features"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"type": "FeatureCollection"}',
        b'{"type": "Topology", "features": []}',
        b'{"type": "FeatureCollection", "features": {}}',
        b"[" * 200_000,
        b'{"type": "Feature", "properties": {"a": NaN}, "geometry": null}',
        b"\xff" * 1_000,
    ],
    ids=lambda body: body[:20].decode(errors="replace"),
)
def test_documents_that_are_none_are_refused(lasting: Api, body: bytes) -> None:
    """A clear answer to anything; never a 5xx."""
    answer = lasting.client.post("/v1/zones", content=body, headers=GEOJSON)
    assert answer.status_code in {200, 422}
    if answer.status_code == 422:
        assert answer.json()["errors"]
    else:
        assert answer.json()["accepted"] == 0
    assert lasting.client.put("/v1/zones/a", content=body, headers=GEOJSON).status_code == 422


def test_pages_go_through_all_zones_once(api: Api) -> None:
    """By id, a cursor at a time."""
    names = [f"z{number:02}" for number in range(25)]
    document = collection(*(square(name, lng=24 + n / 10) for n, name in enumerate(names)))
    api.call("POST", "/v1/zones", expect=200, json=document)
    seen: list[str] = []
    cursor = ""
    while True:
        page = api.call("GET", f"/v1/zones?limit=10{cursor}", expect=200)
        assert page["type"] == "FeatureCollection"
        seen += [each["id"] for each in page["features"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == names


def test_zones_by_tag_and_box(api: Api) -> None:
    """Inactive ones are listed too."""
    document = collection(
        square("a", tags=["bakery"]),
        square("b", lng=LNG + 1, tags=["bakery", "cafe"], active=False),
        square("c", lng=-179.999, half=0.0005),
    )
    api.call("POST", "/v1/zones", expect=200, json=document)

    def ids(query: str) -> list[str]:
        found = api.call("GET", f"/v1/zones?{query}", expect=200)["features"]
        return [each["id"] for each in found]

    assert ids("tag=bakery") == ["a", "b"]
    assert ids("tag=cafe") == ["b"]
    assert ids(f"bbox={LNG - 0.1},{LAT - 0.1},{LNG + 0.1},{LAT + 0.1}") == ["a"]
    assert ids("bbox=179,60,-179,61") == ["c"]
    assert ids("tag=cafe&bbox=0,0,1,1") == []


@pytest.mark.parametrize("box", ["", "1,2,3", "1,2,3,x", "0,91,1,92", "0,2,1,1", "nan,0,1,1"])
def test_a_box_that_is_none_is_refused(lasting: Api, box: str) -> None:
    """422 names the parameter."""
    answer = lasting.call("GET", f"/v1/zones?bbox={box}", expect=422)
    assert answer["errors"][0]["path"] == "bbox"


def test_a_foreign_cursor_is_refused(lasting: Api) -> None:
    """422 names the parameter."""
    answer = lasting.call("GET", "/v1/zones?cursor=abc", expect=422)
    assert answer["errors"][0]["path"] == "cursor"


def test_a_real_catalogue_comes_in(api: Api, shared_data: Path) -> None:
    """Austin's neighbourhoods, whose ids are a property that we don't look for."""
    document = json.loads((shared_data / "zones" / "austin_neighborhoods.geojson").read_bytes())
    for position, feature in enumerate(document["features"]):
        feature["id"] = f"austin/{position}"
    answer = api.call("POST", "/v1/zones", expect=200, json=document)
    assert (answer["accepted"], answer["rejected"]) == (len(document["features"]), [])
    assert len(api.catalog.snapshot.index) == len(document["features"])


def test_every_fixture_gets_an_answer(lasting: Api, shared_data: Path) -> None:
    """Fixtures of broken GeoJSON: always a report or a problem, never a fault of ours."""
    fixtures = sorted((shared_data / "fixtures" / "geojson").rglob("*.*json"))
    assert fixtures
    for path in fixtures:
        answer = lasting.client.post(
            "/v1/zones?dry_run=true", content=path.read_bytes(), headers=GEOJSON
        )
        assert answer.status_code in {200, 422}, (path, answer.text[:300])
