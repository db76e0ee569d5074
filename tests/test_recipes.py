"""The recipes of the documentation, cooked: each document is sent, each table row happens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import shapely
from starlette.testclient import TestClient

from geotarget.api import Services, create_app
from geotarget.catalog import Catalog
from geotarget.ingest import decode_http
from geotarget.model import Decision, PingBatch
from geotarget.pipeline import Pipeline
from geotarget.store import Store
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "geotarget" / "docs" / "recipes.md").read_text()
HELSINKI = ZoneInfo("Europe/Helsinki")
WEEKS = timedelta(weeks=(datetime.now(HELSINKI) - datetime(2026, 6, 14, tzinfo=HELSINKI)).days // 7)
"""The page's dates are moved by whole weeks, to the latest ones that are past: a report of a
purchase may be 90 days old."""
ADMIN = "gt_test_admin_key"


@dataclass(frozen=True)
class Row:
    """One line of a recipe's table."""

    at_ms: int
    who: str
    where: str
    happens: str


@dataclass(frozen=True)
class Recipe:
    """A section of the page: what is sent, and what happens then."""

    title: str
    documents: tuple[tuple[str, str, Any], ...]
    rows: tuple[Row, ...]


def recipes() -> list[Recipe]:
    """Read the page."""
    found = []
    for section in PAGE.split("\n## ")[1:]:
        documents = tuple(
            (method, path, json.loads(text))
            for method, path, text in re.findall(
                r"`(PUT|POST) (/v1/[^`]+)`\n```json\n(.*?)```", section, re.DOTALL
            )
        )
        rows = tuple(
            Row(
                at_ms=round(1000 * moved(at).timestamp()),
                who=who,
                where=where,
                happens=happens,
            )
            for at, who, where, happens in re.findall(
                r"^\| (\d{4}-\d\d-\d\d \d\d:\d\d) \| (\S+) \| (\S+) \| (.+?) \|$",
                section,
                re.MULTILINE,
            )
        )
        found.append(Recipe(section.split("\n", 1)[0], documents, rows))
    return found


def moved(text: str) -> datetime:
    """Return a local time of the page, by the weeks that it is moved."""
    local = datetime.fromisoformat(text).replace(tzinfo=None)
    return (local + WEEKS).replace(tzinfo=HELSINKI)


class Kitchen:
    """The API and the pipeline over one database, with a clock that the pings move."""

    def __init__(self, store: Store) -> None:
        self.now_ms = round(1000 * moved("2026-06-01 00:00").timestamp())
        self.store = store
        self.catalog = Catalog(store)
        self.pipeline = Pipeline(catalog=self.catalog, store=store, now_ms=lambda: self.now_ms)
        services = Services(
            catalog=self.catalog, store=store, decode=decode_http, intake=self, admin_key=ADMIN
        )
        self.client = TestClient(create_app(services), headers={"Authorization": f"Bearer {ADMIN}"})

    def submit(self, pings: PingBatch, rejected: Any) -> Any:
        """Stand where the queue is; pings do not come over HTTP here."""
        raise AssertionError

    def send(self, method: str, path: str, document: Any) -> Any:
        """Send one document of a recipe."""
        answer = self.client.request(method, path, json=document)
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def visit(self, row: Row) -> Decision:
        """Let somebody walk in and out again; return the campaign's answer to the entry."""
        inside = shapely.get_coordinates(
            shapely.point_on_surface(self.catalog.snapshot.zones[row.where].geometry)
        )[0]
        away = inside + np.array([0.02, 0.01])
        for seconds, (lng, lat) in ((0, inside), (20, inside), (900, away), (960, away)):
            self.now_ms = row.at_ms + 1000 * seconds
            ts = np.array([self.now_ms])
            self.pipeline.process(
                PingBatch(
                    device=[row.who],
                    ts=ts,
                    lng=np.array([lng]),
                    lat=np.array([lat]),
                    acc=np.array([5.0]),
                    key=np.array([self.now_ms], np.uint64),
                    received=ts,
                )
            )
        page = self.store.decisions_page(device=row.who, limit=1000)
        [decision] = [
            each
            for each in page.items
            if each.zone == row.where and row.at_ms <= each.decided_ms <= row.at_ms + 20_000
        ]
        return decision


@pytest.fixture
def kitchen(tmp_path: Path) -> Iterator[Kitchen]:
    """Open an empty one."""
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        kitchen = Kitchen(store)
        with kitchen.client:
            for method, path, document in preliminaries():
                kitchen.send(method, path, document)
            yield kitchen


def preliminaries() -> list[tuple[str, str, Any]]:
    """Return what stands before the first recipe."""
    return [
        (method, path, json.loads(text))
        for method, path, text in re.findall(
            r"`(PUT|POST) (/v1/[^`]+)`\n```json\n(.*?)```", PAGE.split("\n## ")[0], re.DOTALL
        )
    ]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.title.split(":")[0])
def test_a_recipe_does_what_its_table_says(recipe: Recipe, kitchen: Kitchen) -> None:
    """Documents are accepted without a warning, and every visit ends as written."""
    assert recipe.documents
    assert recipe.rows
    for method, path, document in recipe.documents:
        if not path.endswith("conversions"):
            answer = kitchen.send(method, path, document)
            assert not (answer or {}).get("warnings"), answer
    happened = {}
    for row in sorted(recipe.rows, key=lambda row: row.at_ms):
        decision = kitchen.visit(row)
        title = (decision.offer or {}).get("title", "")
        happened[row] = title if decision.fired else f"refused: {decision.gate}"
    for row in recipe.rows:
        assert happened[row].startswith(row.happens), (row, happened[row])


def recipe_named(word: str) -> Recipe:
    """Return the recipe whose title holds a word."""
    [recipe] = [each for each in recipes() if word in each.title]
    return recipe


def fired(kitchen: Kitchen, recipe: Recipe) -> dict[str, Decision]:
    """Cook a recipe; return the last fired decision by device."""
    for method, path, document in recipe.documents:
        if not path.endswith("conversions"):
            kitchen.send(method, path, document)
    made = [kitchen.visit(row) for row in sorted(recipe.rows, key=lambda row: row.at_ms)]
    return {each.device: each for each in made if each.fired}


def test_homes_within_the_price_range(kitchen: Kitchen) -> None:
    """The agent's offer lists what its reader can pay, and downstream is told how much that is."""
    sent = fired(kitchen, recipe_named("estate"))["eino"]
    assert sent.offer is not None
    assert sent.offer["homes"] in PAGE
    assert "Rope Walk" not in sent.offer["homes"]
    [delivery] = kitchen.store.deliveries_page(device="eino").items
    [detail] = kitchen.store.delivery(delivery.webhook_id)
    assert {"most": 450000} == json.loads(detail.body)["data"]["profile"]["attributes"]


def test_cards_languages_and_the_till(kitchen: Kitchen) -> None:
    """Each guest reads their language and their discount; the till's report counts for them."""
    recipe = recipe_named("restaurant")
    sent = fired(kitchen, recipe)
    assert {"sofia": ("sv", "20 %"), "max": ("", "10 %"), "leo": ("fi", "5 %")} == {
        who: (each.language, (each.offer or {})["less"]) for who, each in sent.items()
    }
    [(method, path, reports)] = [each for each in recipe.documents if "conversions" in each[1]]
    reports = [{**each, "time": moved(each["time"]).isoformat()} for each in reports]
    answer = kitchen.send(method, path, reports)
    assert (2, 0) == (answer["accepted"], answer["known"])
    again = kitchen.send(method, path, reports)
    assert (0, 2) == (again["accepted"], again["known"])
    listed = kitchen.client.get("/v1/conversions", params={"campaign": "lunch"}).json()["items"]
    assert {"sofia": sent["sofia"].variant, "max": sent["max"].variant} == {
        each["profile"]: each["variant"] for each in listed
    }
    report = kitchen.client.get("/v1/reports/campaigns/lunch").json()
    assert (3, None) == (report["total"]["fired"], report["total"]["conversions"])
