"""`geotarget deliveries` and `geotarget events`: what went out, once more, and what there is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geotarget import __version__
from geotarget.events import asyncapi, schema
from geotarget.model import Attempt, BatchWrite, Delivery, Endpoint
from geotarget.store import Store
from tests.test_cli import geotarget

NOW_MS = time.time_ns() // 1_000_000
HOUR_MS = 3_600_000


def delivery(number: int, endpoint: str = "crm", *, ago_ms: int = 60_000) -> Delivery:
    """Make a delivery of some minutes ago."""
    return Delivery(
        webhook_id=f"offer_{number:032x}",
        endpoint=endpoint,
        type="offer.triggered",
        body=json.dumps({"type": "offer.triggered", "data": {"name": "Åsa", "n": number}}).encode(),
        created_ms=NOW_MS - ago_ms,
        device="phone-1",
        zone="kamppi",
        campaign="coffee",
    )


def tried(of: Delivery, state: str, **changes: object) -> Attempt:
    """Make an attempt."""
    return Attempt(
        **{
            "webhook_id": of.webhook_id,
            "endpoint": of.endpoint,
            "attempt": 1,
            "started_ms": of.created_ms + 1_000,
            "duration_ms": 1_234,
            "state": state,
            "next_attempt_ms": NOW_MS + 10 * HOUR_MS,
            "status": 503 if state != "delivered" else 204,
            "answer": "",
        }
        | changes
    )  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Five deliveries: delivered, waiting, failed now, to another endpoint, and long ago."""
    sent = [
        delivery(1), delivery(2), delivery(3), delivery(3, "till"), delivery(4, ago_ms=5 * HOUR_MS),
    ]  # fmt: skip
    states = ("delivered", "pending", "failed", "failed", "failed")
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as opened:
        for name in ("crm", "till"):
            opened.put_endpoint(Endpoint(name, "https://example.org/", "whsec_x"))
        opened.write_batch(BatchWrite(deliveries=sent))
        opened.mark([tried(each, state) for each, state in zip(sent, states, strict=True)])
        yield opened


def test_deliveries_are_listed_and_filtered(store: Store, tmp_path: Path) -> None:
    """A table for people, with the ids whole; filters as of the API."""
    done = geotarget("deliveries", "list", "--data", tmp_path, COLUMNS="140")
    assert done.returncode == 0, done.stderr
    for number in (1, 2, 3, 4):
        assert f"offer_{number:032x}" in done.stdout
    assert "503" in done.stdout
    few = geotarget("deliveries", "list", "--state", "failed", "--from", "-2h", "--data", tmp_path)
    assert f"{3:032x}" in few.stdout
    assert f"{4:032x}" not in few.stdout
    assert f"{1:032x}" not in few.stdout
    part = geotarget("deliveries", "list", "--limit", 2, "--data", tmp_path)
    assert "more than 2" in part.stderr
    none = geotarget("deliveries", "list", "--device", "nobody", "--data", tmp_path)
    assert none.stdout == "No delivery.\n"


def test_json_lines_are_those_of_the_api(store: Store, tmp_path: Path) -> None:
    """One delivery a line, with the members that `GET /v1/deliveries` answers."""
    done = geotarget("deliveries", "list", "--endpoint", "till", "--json", "--data", tmp_path)
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert (told["id"], told["endpoint"], told["state"]) == (f"offer_{3:032x}", "till", "failed")
    shown = geotarget("deliveries", "show", told["id"], "--json", "--data", tmp_path).stdout
    both = [json.loads(each) for each in shown.splitlines()]
    assert [each["endpoint"] for each in both] == ["crm", "till"]
    assert both[0]["history"][0]["status"] == 503
    assert both[0]["body"]["data"]["name"] == "Åsa"


def test_show_tells_headers_body_and_every_attempt(store: Store, tmp_path: Path) -> None:
    """With status, duration and answer; nothing that a receiver said steers the terminal."""
    odd = tried(
        delivery(3), "failed", attempt=2, started_ms=NOW_MS, answer="\x1b[2Jbusy\nvery", status=500
    )
    lost = tried(
        delivery(3), "failed", attempt=3, started_ms=NOW_MS + 1, status=None, error="no answer"
    )
    store.mark([odd, lost])
    done = geotarget(
        "deliveries", "show", delivery(3).webhook_id, "--endpoint", "crm", "--data", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"webhook-id: offer_{3:032x}\n" in done.stdout
    assert "content-type: application/json\n" in done.stdout
    assert f"webhook-timestamp: {NOW_MS // 1000} (last attempt)" in done.stdout
    assert '"name": "Åsa"' in done.stdout
    assert re.search(r"attempt 1, [-0-9: ]+: status 503 in 1,234 ms, then failed\n", done.stdout)
    assert re.search(r"attempt 2, .*: status 500 .*\n  \?\[2Jbusy\n  very\n", done.stdout)
    assert re.search(r"attempt 3, .*: no answer in 1,234 ms", done.stdout)
    assert "\x1b" not in done.stdout
    assert "till" not in done.stdout
    gone = geotarget("deliveries", "show", "offer_none", "--data", tmp_path)
    assert (gone.returncode, "offer_none" in gone.stderr) == (2, True)


def test_one_event_is_sent_again(store: Store, tmp_path: Path) -> None:
    """Delivered or not, to all endpoints that it went to, or to one."""
    one = delivery(3).webhook_id
    done = geotarget("deliveries", "replay", one, "--endpoint", "till", "--data", tmp_path)
    assert (done.returncode, done.stdout) == (0, "sent again: 1\n"), done.stderr
    done = geotarget("deliveries", "replay", delivery(1).webhook_id, "--data", tmp_path)
    assert done.stdout == "sent again: 1\n"
    limits = {"crm": 9, "till": 9}
    got = store.claim(now_ms=NOW_MS + HOUR_MS, limits=limits, lease_ms=1)
    assert {(one, "till"), (delivery(1).webhook_id, "crm")} == {
        (each.webhook_id, each.endpoint) for each in got
    }
    assert geotarget("deliveries", "replay", "offer_none", "--data", tmp_path).returncode == 2


def test_all_that_failed_is_sent_again(store: Store, tmp_path: Path) -> None:
    """Since a time, by endpoint; the same command again finds nothing; it stands in the audit."""
    failed = ("deliveries", "replay", "--failed", "--since", "2h", "--data", tmp_path)
    asked = geotarget(*failed)
    assert asked.returncode == 2
    assert "2 deliveries would be sent again: add --yes" in asked.stderr
    assert store.counts().deliveries_failed == 3
    done = geotarget(*failed, "--endpoint", "crm", "--yes")
    assert (done.returncode, done.stdout) == (0, "sent again: 1\n"), done.stderr
    assert geotarget(*failed, "--yes").stdout == "sent again: 1\n"
    assert geotarget(*failed, "--yes").stdout == "sent again: 0\n"
    older = geotarget("deliveries", "replay", "--failed", "--since", "1d", "-y", "--data", tmp_path)
    assert older.stdout == "sent again: 1\n"
    waiting = ("--state", "pending", "--since", "-2h", "--yes", "--data", tmp_path)
    assert geotarget("deliveries", "replay", *waiting).stdout == "sent again: 1\n"
    notes = [each for each in store.audit_page().items if each.action == "delivery.replay"]
    assert [(each.actor, each.subject, each.detail) for each in notes] == [
        ("cli", "", {"count": 1}), ("cli", "", {"count": 1}), ("cli", "", {"count": 1}),
        ("cli", "crm", {"count": 1}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--failed"),
        (("offer_1", "--failed"), "--failed"),
        (("--failed",), "--since"),
        (("offer_1", "--since", "2h"), "--since"),
        (("--failed", "--since", "yesterday"), "--since"),
        (("--state", "lost", "--since", "2h"), "lost"),
        (("--failed", "--since", "2h", "--endpoint", "nobody"), "nobody"),
        (("--failed", "--since", "2h", "--limit", "100001", "--yes"), "100001"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    store: Store, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    """With status 2 and what is wrong; nothing is sent."""
    done = geotarget("deliveries", "replay", *arguments, "--data", tmp_path)
    assert done.returncode == 2
    assert named in done.stderr
    assert store.counts().deliveries_failed == 3


def test_the_catalogue_is_printed() -> None:
    """All of it, or the schema of one type; who asks for another is told them."""
    assert json.loads(geotarget("events").stdout) == asyncapi(__version__)
    one = geotarget("events", "--schema", "transition.enter")
    assert json.loads(one.stdout) == schema("transition.enter")
    none = geotarget("events", "--schema", "offer")
    assert (none.returncode, "offer.triggered" in none.stderr) == (2, True)
