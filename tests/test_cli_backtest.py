"""`geotarget backtest`: drafts in all the forms that people have them in, and their faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotarget.drafts import read_audiences, read_campaigns, read_profiles
from geotarget.errors import InvalidInput
from tests.api.documents import campaign, collection, square
from tests.test_cli import geotarget

START = 1_767_268_800
Drafts = Callable[..., tuple[Any, ...]]


@pytest.fixture
def drafts(tmp_path: Path) -> Drafts:
    """Write drafts and a recording of two people who come and go, and return the options."""

    def write(**campaigns: Any) -> tuple[Any, ...]:
        rows = [
            f"{device},{START + 60 * minute},{60.17 if 3 <= minute % 10 < 8 else 60.2},24.94,8"
            for minute in range(45)
            for device in ("a", "b")
        ]
        (tmp_path / "pings.csv").write_text("\n".join(["device,ts,lat,lng,acc", *rows, "x,y,z,,"]))
        zones = collection(square("shop"), square("far", lat=61.0))
        (tmp_path / "zones.geojson").write_text(json.dumps(zones))
        (tmp_path / "campaigns.json").write_text(json.dumps(campaigns))
        options = ("--zones", tmp_path / "zones.geojson", "--pings", tmp_path / "pings.csv")
        return (*options, "--campaigns", tmp_path / "campaigns.json") if campaigns else options

    return write


# -- what it says ---------------------------------------------------------------------------------


def test_people_get_tables(drafts: Drafts) -> None:
    """Where what happened, what the gates said, what a day takes and who hears how often."""
    paid = campaign(
        "crm", cost_per_offer=0.05, caps={"per_profile": [{"max": 2, "period_s": 86_400}]}
    )
    done = geotarget("backtest", *drafts(hello=paid, later=campaign("crm", status="draft")))
    assert done.returncode == 0, done.stderr
    assert "line 92: device" not in done.stdout
    assert "line 92: ts" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["shop", "2026-01-01", "8", "8"] in lines
    assert "Nothing happened in 1 zone." in done.stdout
    assert ["hello", "cap", "4", "-"] in lines
    assert ["fired", "4", "2", "2.00", "0.20", "EUR"] in lines
    assert "later" in done.stdout
    assert "a draft does not speak: --as-active" in done.stdout
    assert ["hello", "2026-01-01", "4", "0.20", "EUR"] in lines
    assert ["2", "2"] in lines


def test_programs_get_json_and_files(drafts: Drafts, tmp_path: Path) -> None:
    """Standard output is the summary and nothing else; the folder has the same."""
    out = tmp_path / "out"
    done = geotarget("backtest", *drafts(hello=campaign("crm")), "--json", "--out", out)
    document = json.loads(done.stdout)
    assert document == json.loads((out / "summary.json").read_text())
    assert document["recording"]["bad_rows"] == [
        {"place": "line 92", "reason": "ts is neither a number nor ISO 8601: 'y'"}
    ]
    assert document["campaigns"][0]["fired"] == 8
    assert sorted(path.name for path in out.iterdir()) == [
        "decisions.csv", "summary.json", "transitions.csv",
    ]  # fmt: skip
    again = geotarget("backtest", *drafts(hello=campaign("crm")), "--out", out)
    assert again.returncode == 2
    assert "summary.json: exists already" in again.stderr
    more = geotarget("backtest", *drafts(), "--out", out, "--overwrite", "--parquet")
    assert more.returncode == 0, more.stderr
    assert (out / "transitions.parquet").exists()


def test_two_processes_say_the_same(drafts: Drafts, tmp_path: Path) -> None:
    """Another order of sets and another folder for temporary files: the same bytes."""
    options = drafts(
        hello=campaign("crm", holdout=0.5),
        warm=campaign("crm", priority=3, variants=[
            {"id": "a", "offer": {"text": "A"}}, {"id": "b", "offer": {"text": "B"}},
        ], offer=None),
    )  # fmt: skip
    found = []
    for seed in ("1", "2"):
        temporary, out = tmp_path / f"tmp{seed}", tmp_path / f"out{seed}"
        temporary.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TMPDIR": str(temporary)}
        done = subprocess.run(
            [sys.executable, "-m", "geotarget", "backtest", *map(str, options), "--out", str(out)],
            env=environment,
            capture_output=True,
            check=True,
        )
        found.append([done.stdout, *(path.read_bytes() for path in sorted(out.iterdir()))])
        assert list(temporary.iterdir()) == []
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_profiles_and_audiences_come_from_files(drafts: Drafts, tmp_path: Path) -> None:
    """Only who is in the audience hears."""
    (tmp_path / "people.csv").write_text("id,tier\na,gold\nb,tin\n")
    (tmp_path / "audiences.json").write_text(
        json.dumps({"gold": {"rule": 'profile.tier == "gold"'}})
    )
    done = geotarget(
        "backtest", *drafts(vip=campaign("crm", audiences=["gold"])), "--json",
        "--profiles", tmp_path / "people.csv", "--audiences", tmp_path / "audiences.json",
    )  # fmt: skip
    (result,) = json.loads(done.stdout)["campaigns"]
    assert (result["fired"], result["refused"], result["reach"]) == (4, {"audience": 4}, 1)


def test_the_settings_of_the_environment_count(drafts: Drafts) -> None:
    """Rules are those that the pipeline would have."""
    done = geotarget("backtest", *drafts(), "--json", GEOTARGET_RULES_FUTURE_S="1")
    assert json.loads(done.stdout)["transitions"] == {"enter": 8, "exit": 8}
    done = geotarget("backtest", *drafts(), "--json", GEOTARGET_RULES_EXIT_FIXES="7")
    assert json.loads(done.stdout)["transitions"] == {"enter": 2}


# -- files of drafts ------------------------------------------------------------------------------

BUN = campaign("crm", name="Bun")
FORMS = {
    "object.json": json.dumps({"bun": BUN}),
    "list.json": json.dumps([{"id": "bun", **BUN}]),
    "one.json": json.dumps({"id": "bun", **BUN}),
    "page.json": json.dumps({"items": [{"id": "bun", "version": 3, **BUN}], "next": None}),
    "lines.ndjson": json.dumps({"id": "bun", **BUN}) + "\n\n",
    "mark.json": "\ufeff" + json.dumps({"bun": BUN}),
}


@pytest.mark.parametrize("name", FORMS)
def test_campaigns_are_read_in_every_form(tmp_path: Path, name: str) -> None:
    """By id, in lists, as the API lists them, one a line."""
    path = tmp_path / name
    path.write_text(FORMS[name], encoding="utf-8")
    (found,) = read_campaigns(path)
    assert (found.id, found.name, found.endpoints) == ("bun", "Bun", ("crm",))


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.json", "{", "a.json, line 1, column 2: is not JSON"),
        ("a.json", '{"x": NaN}', "a.json: is not JSON: NaN is no JSON number"),
        ("a.json", '{"x": {}, "x": {}}', "a.json: stands there twice in one object (x)"),
        ("a.json", "7", "a.json: must be an object {id: document} or a list"),
        ("a.json", "[7]", "a.json, [0]: must be an object (7)"),
        ("a.json", "[{}]", "a.json, [0].id: is required"),
        ("a.json", '[{"id": 7}]', "a.json, [0].id: must be a text (7)"),
        ("a.json", '[{"id": "a//b"}]', "a.json, [0].id: between slashes"),
        ("a.json", json.dumps([{"id": "a", **BUN}] * 2), "[1].id: stands there twice (a)"),
        ("a.json", '{"x": {"id": "y"}}', "a.json, x.id: contradicts the name 'x'"),
        ("a.ndjson", '{"id": "a"}\n{', "a.ndjson, line 2, line 1, column 2: is not JSON"),
        ("a.json", json.dumps({"x": {**BUN, "offr": 1}}), "a.json, x.offr: unknown member (1)"),
        ("a.json", json.dumps({"x": {**BUN, "holdout": 2}}), "a.json, x.holdout: "),
        ("a.json", json.dumps({"x": {**BUN, "offer": None}}), "a.json, x.offer: is required"),
        ("a.json", json.dumps({"x": {"name": "N"}}), "a.json, x.endpoints: is required"),
    ],
)
def test_what_is_wrong_with_a_file_of_campaigns(
    tmp_path: Path, name: str, text: str, wanted: str
) -> None:
    """File, place, value and bound."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_campaigns(tmp_path / name)
    assert wanted in str(caught.value)


def test_what_the_catalogue_refuses_names_the_file_too(drafts: Drafts, tmp_path: Path) -> None:
    """Templates, rules and references are checked with all drafts together."""
    bad = {"one": campaign("crm", offer={"text": "{{"}), "two": campaign("crm", audience="1 +")}
    done = geotarget("backtest", *drafts(**bad))
    assert (done.returncode, done.stdout) == (2, "")
    assert "campaigns.json, one.offer" in done.stderr
    assert "campaigns.json, two.audience" in done.stderr
    (tmp_path / "audiences.json").write_text('{"gold": {"rule": "profile.tier =="}}')
    done = geotarget("backtest", *drafts(), "--audiences", tmp_path / "audiences.json")
    assert done.returncode == 2
    assert "audiences.json, gold.rule" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.csv", "name\nx\n", "a.csv, line 1: the first line must name the columns"),
        ("a.csv", "id,consent.x\na,maybe\nb,yes\n", "a.csv, line 2.consent.x"),
        ("a.ndjson", '{"id": "a"}\n{"id": 7}', "a.ndjson, line 2.id"),
        ("a.json", '{"a": {"consent": 7}}', "a.json, a.consent"),
        ("a.json", "{", "a.json, line 1, column 2: is not JSON"),
    ],
)
def test_what_is_wrong_with_a_file_of_profiles(
    tmp_path: Path, name: str, text: str, wanted: str
) -> None:
    """File, place, value and bound; rows of a table by their line."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInput) as caught:
        list(read_profiles(tmp_path / name))
    assert wanted in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,tier,consent.marketing\na,gold,no\n"),
        (
            "a.ndjson",
            '{"id": "a", "attributes": {"tier": "gold"}, "consent": {"marketing": false}}',
        ),
        ("a.json", '{"a": {"attributes": {"tier": "gold"}, "consent": {"marketing": false}}}'),
    ],
)
def test_profiles_are_read_in_every_form(tmp_path: Path, name: str, text: str) -> None:
    """The same person from a table, from lines and from one object."""
    (tmp_path / name).write_text(text)
    (found,) = read_profiles(tmp_path / name)
    assert (found.id, found.attributes, found.consent) == (
        "a", {"tier": "gold"}, {"marketing": False},
    )  # fmt: skip


def test_audiences_are_read(tmp_path: Path) -> None:
    """With or without a name."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"b": {"rule": "true", "name": "All"}, "a": {"rule": "false"}}))
    assert [(each.id, each.name, each.rule) for each in read_audiences(path)] == [
        ("a", "", "false"), ("b", "All", "true"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--parquet",), "--parquet: goes with --out"),
        (("--overwrite",), "--overwrite: goes with --out"),
        (("--columns", "device"), "--columns: must look like"),
    ],
)
def test_options_that_make_no_sense(drafts: Drafts, options: tuple[str, ...], wanted: str) -> None:
    """One line and status 2, before any work."""
    done = geotarget("backtest", *drafts(), *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert wanted in done.stderr


def test_a_zone_may_come_once(drafts: Drafts) -> None:
    """Two files that hold one id contradict each other."""
    options = drafts()
    done = geotarget("backtest", *options, "--zones", options[1])
    assert done.returncode == 2
    assert "zones.geojson: this zone came already (shop)" in done.stderr
