"""`geotarget explain` and `geotarget trace`: from a database, and from a recording."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for

from geotarget.api.explain import ExplainAnswer
from geotarget.cli.times import read_instant_ms, read_span_s
from geotarget.errors import InvalidInput
from geotarget.model import BatchWrite, Decision, Kind, Trace, Transition
from geotarget.store import Store
from tests.api.documents import campaign, collection, square
from tests.test_cli import geotarget

NOW_MS = 1_767_268_800_000
WALK = """device,ts,lat,lng,acc
d,2026-01-01T12:00:00Z,60.175,24.94,8
x,2026-01-01T12:00:00Z,60.175,24.94,8
d,2026-01-01T12:03:20Z,60.1701,24.94,8
d,2026-01-01T12:02:00Z,60.1723,24.94,8
d,2026-01-01T12:04:00Z,95,24.94,8
d,yesterday,60.17,24.94,8
"""


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Any, ...]:
    """Write a walk and a zone, and return the options that name them."""
    (tmp_path / "walk.csv").write_text(WALK)
    zones = collection(square("kamppi", name="Kamppi"), square("far", lat=60.5, name="Far"))
    (tmp_path / "zones.geojson").write_text(json.dumps(zones))
    return "--pings", tmp_path / "walk.csv", "--zones", tmp_path / "zones.geojson"


def trace(ts_ms: int) -> Trace:
    """Return a trace of a ping well inside a zone."""
    return Trace(
        "d", ts_ms, ts_ms, 24.94, 60.17, 8.0, "applied", zone="kamppi", distance_m=40.0,
        verdict="in", reason="deep", before="outside", after="inside",
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> str:
    """Make a database in which a device entered a minute ago and a campaign declined."""
    url = f"sqlite:///{tmp_path / 'geotarget.db'}"
    at_ms = time.time_ns() // 1_000_000 - 60_000
    event = Transition(
        "e1", "v1", "d", "kamppi", 1, Kind.ENTER, at_ms, at_ms, 3, 0.97, distance_m=40.0,
        accuracy_m=8.0, reason="deep",
    )  # fmt: skip
    refusal = Decision("d1", "bun", 1, "e1", "d", "d", "kamppi", "cap", "fired 9 s ago", at_ms)
    with Store.open(url) as store:
        store.write_batch(
            BatchWrite(transitions=[event], decisions=[refusal], traces=[trace(at_ms)])
        )
    return url


# -- from a database ----------------------------------------------------------------------------


def test_a_device_is_explained_from_the_database(database: str) -> None:
    """The summary, and behind it the timeline if it is wanted; no process need run."""
    done = geotarget("explain", "--device", "d", "--from", "-2h", "--database", database)
    assert done.returncode == 0, done.stderr
    assert "the fix was 40 m inside 'kamppi', accuracy 8 m" in done.stdout
    assert "the device entered 'kamppi' (ENTER)" in done.stdout
    assert "the gate 'cap'" in done.stdout
    more = geotarget("explain", "--device", "d", "--timeline", "--database", database)
    assert len(more.stdout.splitlines()) == len(done.stdout.splitlines()) + 4
    early = geotarget("explain", "--device", "d", "--to", "-1h", "--database", database)
    assert "0 transitions" in early.stdout
    other = geotarget("explain", "--device", "d", "--zone", "y", "--database", database)
    assert "There is no zone 'y'" in other.stdout


def test_json_is_what_the_api_answers(database: str) -> None:
    """The same document, so a script can change over."""
    done = geotarget("explain", "--device", "d", "--json", "--database", database)
    answer = json.loads(done.stdout)
    validator_for(ExplainAnswer.model_json_schema(mode="serialization")).validate(answer)
    assert [item["what"] for item in answer["timeline"]] == ["ping", "transition", "decision"]
    assert answer["from"] < answer["to"]
    gates = {each["gate"]: each for each in answer["timeline"][2]["decision"]["gates"]}
    assert len(gates) == 10
    assert [gates[name]["answer"] for name in ("holdout", "cap", "budget")] == [
        "passed", "refused", "not asked",
    ]  # fmt: skip
    assert gates["cap"]["text"] == "fired 9 s ago"


def test_a_trace_is_switched_on_and_off(database: str) -> None:
    """It says until when; off keeps what there is unless it is to be forgotten."""
    done = geotarget("trace", "d", "--for", "1h", "--database", database)
    assert done.returncode == 0, done.stderr
    assert "d is traced until 20" in done.stderr
    with Store.open(database) as store:
        until_ms = store.trace_until("d")
        assert until_ms is not None
        assert 3_500_000 < until_ms - time.time_ns() // 1_000_000 <= 3_600_000
    assert geotarget("trace", "d", "--off", "--database", database).returncode == 0
    with Store.open(database) as store:
        assert (store.trace_until("d"), len(store.traces("d"))) == (None, 1)
    done = geotarget("trace", "d", "--off", "--forget", "--database", database)
    assert "traces dropped: 1" in done.stderr
    with Store.open(database) as store:
        assert store.traces("d") == []


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("trace", "d"), "--for: give either --for SPAN or --off"),
        (("trace", "d", "--for", "1h", "--off"), "--for: give either"),
        (("trace", "d", "--for", "1h", "--forget"), "--forget: goes with --off"),
        (("trace", "d", "--for", "8d"), "at most 7 days ahead"),
        (("trace", "d", "--for", "soon"), "--for: must be a span such as 45s"),
        (("explain", "--device", "d", "--from", "noon"), "--from: must be ISO 8601"),
        (("explain", "--device", "d", "--from", "-1h", "--to", "-2h"), "must be before --to"),
        (("explain", "--device", "d", "--to", "1767268800000"), "are these milliseconds?"),
    ],
)
def test_what_is_wrong_is_named(database: str, arguments: tuple[str, ...], wanted: str) -> None:
    """One line and status 2."""
    done = geotarget(*arguments, "--database", database)
    assert (done.returncode, done.stdout) == (2, "")
    assert wanted in done.stderr


# -- from a recording ---------------------------------------------------------------------------


def test_a_recording_is_explained_without_a_database(recorded: tuple[Any, ...]) -> None:
    """Rows in any order, bad ones counted, other devices left out."""
    done = geotarget("explain", "--device", "d", *recorded, "--timeline")
    assert done.returncode == 0, done.stderr
    assert "2 rows are no pings" in done.stderr
    assert "2026-01-01 12:00:00 to 2026-01-01 12:03:20 UTC: 3 traced pings" in done.stdout
    assert "12:03:20 the device entered 'Kamppi' (ENTER)" in done.stdout
    assert "At the end of the recording: inside 'Kamppi'" in done.stdout
    assert "12:02:00 ping, accuracy 8 m" in done.stdout


def test_a_recording_can_be_asked_about_a_zone_and_a_time(recorded: tuple[Any, ...]) -> None:
    """Relative times go by its end; the clock runs on to a later one."""
    far = geotarget("explain", "--device", "d", *recorded, "--zone", "far")
    assert "None of the 3 traced fixes met 'Far': the nearest was 36." in far.stdout
    last = geotarget("explain", "--device", "d", *recorded, "--from", "-30s")
    assert "1 traced ping," in last.stdout
    early = geotarget("explain", "--device", "d", *recorded, "--to", "-30s")
    assert "2 traced pings, 0 refused pings, 0 transitions" in early.stdout
    data = json.loads(geotarget("explain", "--device", "d", *recorded, "--json").stdout)
    assert [item["what"] for item in data["timeline"]] == ["ping", "ping", "ping", "transition"]


def test_a_recording_follows_the_rules_of_the_environment(recorded: tuple[Any, ...]) -> None:
    """What would have happened with other figures can be tried."""
    done = geotarget(
        "explain", "--device", "d", *recorded, "--zone", "kamppi", GEOTARGET_RULES_EXIT_BUFFER_M="7"
    )
    assert "the exit buffer (at most 7 m)" in done.stdout


def test_what_is_wrong_with_a_recording_is_named(recorded: tuple[Any, ...], tmp_path: Path) -> None:
    """A device that is not in it, a file of zones that is none, half of the options."""
    done = geotarget("explain", "--device", "q", *recorded)
    assert done.returncode == 2
    assert "holds no pings of this device; it holds d, x (q)" in done.stderr
    done = geotarget("explain", "--device", "d", *recorded[:2])
    assert "--zones: --pings and --zones go together" in done.stderr
    (tmp_path / "bad.geojson").write_text(json.dumps(collection(square("a", entry="now"))))
    done = geotarget("explain", "--device", "d", *recorded[:2], "--zones", tmp_path / "bad.geojson")
    assert "bad.geojson, $.features[0].properties.entry: must be one of" in done.stderr
    (tmp_path / "empty.csv").write_text("device,ts,lat,lng\n")
    done = geotarget("explain", "--device", "d", "--pings", tmp_path / "empty.csv", *recorded[2:])
    assert "the file holds no pings (d)" in done.stderr


def test_a_recording_can_be_played_to_campaigns(recorded: tuple[Any, ...], tmp_path: Path) -> None:
    """What a draft would have said, gate by gate, as a backtest decides it."""
    draft = campaign("crm", status="draft", audience="profile.tier == 'gold'", audiences=["all"])
    (tmp_path / "audiences.json").write_text(json.dumps({"all": {"rule": "true"}}))
    (tmp_path / "campaigns.json").write_text(json.dumps({"bun": draft}))
    (tmp_path / "people.csv").write_text("id,tier\nd,gold\n")
    options = (
        *(*recorded, "--campaigns", tmp_path / "campaigns.json"),
        *("--audiences", tmp_path / "audiences.json"),
    )
    refused = geotarget("explain", "--device", "d", *options)
    assert refused.returncode == 0, refused.stderr
    assert "2 rows are no pings" in refused.stderr
    assert "3 traced pings, 0 refused pings, 1 transition, 1 decision." in refused.stdout
    assert "(version 1) did not fire: the gate 'audience'" in refused.stdout
    assert "    passed: trigger, schedule, consent.\n" in refused.stdout
    assert "    not asked: holdout, cap, budget, arbitration, variant, content." in refused.stdout
    fired = geotarget("explain", "--device", "d", *options, "--profiles", tmp_path / "people.csv")
    assert "fired: every gate let it pass; the offer is" in fired.stdout
    assert "Hello at Kamppi" in fired.stdout
    assert "audience (in the campaign's own and 'all')" in fired.stdout
    assert "nothing was sent" not in fired.stdout
    nobody = geotarget("explain", "--device", "q", *options)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "walk.csv: the file holds no pings of this device (q)" in nobody.stderr


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--campaigns", "walk.csv"), "--campaigns: goes with --pings and --zones"),
        (("--profiles", "walk.csv"), "--profiles: goes with --campaigns"),
        (("--audiences", "walk.csv"), "--audiences: goes with --campaigns"),
    ],
)
def test_campaigns_need_a_recording(
    recorded: tuple[Any, ...], tmp_path: Path, options: tuple[str, str], wanted: str
) -> None:
    """Those of the database are the ones that decided."""
    done = geotarget("explain", "--device", "d", options[0], tmp_path / options[1])
    assert done.returncode == 2
    assert wanted in done.stderr


# -- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", NOW_MS),
        ("-45s", NOW_MS - 45_000),
        ("-1.5h", NOW_MS - 5_400_000),
        ("-1d12h", NOW_MS - 129_600_000),
        ("1767268800", NOW_MS),
        ("1767268800.25", NOW_MS + 250),
        ("2026-01-01T12:00", NOW_MS),
        ("2026-01-01T12:00:00Z", NOW_MS),
        ("2026-01-01T14:00:00+02:00", NOW_MS),
        ("2026-01-01", NOW_MS - 43_200_000),
        ("20260101", NOW_MS - 43_200_000),
    ],
)
def test_times_as_people_type_them(text: str, wanted: int) -> None:
    """ISO 8601, epoch seconds, spans ago."""
    assert wanted == read_instant_ms(text, "--from", now_ms=NOW_MS)


@pytest.mark.parametrize("text", ["", "h", "1", "1 h", "1w", "-1h", "1h-", "1,5h"])
def test_spans_that_are_none(text: str) -> None:
    """The error shows how they are written."""
    with pytest.raises(InvalidInput, match="45s, 90min, 1h or 2d"):
        read_span_s(text, "--for")


def test_spans_add_up() -> None:
    """Units may be combined."""
    assert read_span_s("1d2h3min4s", "--for") == 86_400 + 7_200 + 180 + 4
