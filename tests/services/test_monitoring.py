"""Alerts and dashboard ask for metrics that there are, and every alert is explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from geotarget import metrics
from geotarget.metrics import REGISTRY

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = REPOSITORY / "services"
ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def alerts() -> list[dict[str, Any]]:
    """Return the rules that Prometheus is given."""
    document = yaml.safe_load((SERVICES / "prometheus" / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def questions() -> Iterator[tuple[str, str]]:
    """Yield (who asks, expression)."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for path in sorted((SERVICES / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield panel["title"], target["expr"]


def known() -> set[str]:
    """Return all names that `/metrics` may show."""
    return {
        family.name + ending for family in REGISTRY.collect() for ending in ENDINGS[family.type]
    }


@pytest.mark.parametrize(("who", "expression"), list(questions()))
def test_what_is_asked_for_exists(who: str, expression: str) -> None:
    """No panel stays empty, and no alert silent, because a metric was renamed."""
    asked = set(re.findall(r"\bgeotarget_\w+", expression))
    assert asked or "up{" in expression, who
    assert asked <= known(), who


def test_every_family_is_watched() -> None:
    """What is worth counting is worth a place on the dashboard; the few that are not stand here."""
    shown = {
        name for _, expression in questions() for name in re.findall(r"geotarget_\w+", expression)
    }
    unseen = {
        family.name
        for family in REGISTRY.collect()
        if not any(name.startswith(family.name) for name in shown)
    }
    assert unseen == {"geotarget_holds", "geotarget_memberships", "geotarget_mqtt_reconnects"}


def test_every_metric_is_measured() -> None:
    """A name at `/metrics` that nobody counts would say for ever that all is well."""
    names = {name for name, each in vars(metrics).items() if isinstance(each, MetricWrapperBase)}
    sources = "".join(
        path.read_text()
        for path in (REPOSITORY / "geotarget").rglob("*.py")
        if path.name != "metrics.py"
    )
    assert {name for name in names if not re.search(rf"\bmetrics\.{name}\b", sources)} == set()


def test_every_alert_is_explained() -> None:
    """Whoever is woken finds what it means and what to do."""
    guide = (REPOSITORY / "geotarget" / "docs" / "operations.md").read_text()
    rows = set(re.findall(r"^\| `(Geotarget\w+)` \|", guide, re.MULTILINE))
    assert rows == {rule["alert"] for rule in alerts()}
    assert {rule["labels"]["severity"] for rule in alerts()} == {"page", "ticket"}


def test_panels_do_not_overlap() -> None:
    """Each place of the dashboard's grid of 24 columns is used once at most."""
    for path in (SERVICES / "grafana" / "dashboards").glob("*.json"):
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert at["x"] + at["w"] <= 24, panel["title"]
            assert not cells & taken, panel["title"]
            taken |= cells
