"""The command line: quick help with examples, clear errors, catalogues, keys, replays."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import paho.mqtt.client as mqtt
import pytest
import typer
import typer.main
from typer.testing import CliRunner

from geotarget.cli import app, main
from geotarget.cli.catalogue import catalogue_text
from tests.conftest import REPOSITORY

HELSINKI = REPOSITORY / "zones" / "helsinki.geojson"
HEAVY = {"numba", "geopandas", "pandas", "pyarrow", "fastapi", "sqlalchemy", "shapely", "numpy"}
LIST_MODULES = """
import sys
from geotarget.cli import main
sys.argv = ["geotarget", "--help"]
try:
    main()
except SystemExit:
    print("LOADED", *sys.modules)
"""


def geotarget(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, as users run it in theirs."""
    out, err = io.StringIO(), io.StringIO()
    status: Any = 0
    with (
        mock.patch.dict(os.environ, {**clean_environment(), **environment}, clear=True),
        mock.patch.object(sys, "argv", ["geotarget", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def process(*arguments: object) -> subprocess.Popen[str]:
    """Start the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "geotarget", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=clean_environment(),
    )


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of whoever runs the tests."""
    return {name: each for name, each in os.environ.items() if not name.startswith("GEOTARGET_")}


def commands() -> Iterator[tuple[str, ...]]:
    """Yield every command, groups included."""
    pending: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while pending:
        path, command = pending.pop()
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            pending.append(((*path, name), inner))


def test_all_commands_of_the_contract_are_there() -> None:
    """Nothing that operators rely on is missing."""
    named = {" ".join(path) for path in commands()}
    assert {
        "up", "serve", "ingest", "deliver", "replay", "fleet", "migrate", "version", "backtest",
        "settings", "zones import", "zones export", "zones validate",
        "keys create", "keys list", "keys rotate", "keys revoke", "profiles import",
        "deliveries list", "deliveries show", "deliveries replay", "events", "audit verify",
        "backup", "restore",
    } <= named  # fmt: skip


@pytest.mark.parametrize("path", sorted(commands()), ids=lambda path: " ".join(path) or "geotarget")
def test_help_shows_an_example_that_is_the_command(path: tuple[str, ...]) -> None:
    """Each help says what the command does and ends with a line that can be typed."""
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, done.output
    assert "Example" in done.output
    examples = done.output.split("Example")[-1]
    assert re.search(r"\bgeotarget " + " ".join(path), examples)
    assert all(len(line) <= 100 for line in done.output.splitlines())


def test_examples_can_be_typed() -> None:
    """Every option that an example uses is one of its command."""
    known = sorted(commands(), key=len)
    helps = {path: CliRunner().invoke(app, [*path, "--help"]).output for path in known}
    examples = [
        line.split("geotarget ")[1].split()
        for text in helps.values()
        for line in text.split("Example")[-1].splitlines()
        if "geotarget " in line
    ]
    assert len(examples) >= len(known)
    for words in examples:
        path = [each for each in known if tuple(words[: len(each)]) == each][-1]
        assert path, words
        assert {each for each in words if each.startswith("--")} <= set(
            re.findall(r"--[a-z-]+", helps[path].split("Example")[0])
        )


def test_help_loads_nothing_heavy() -> None:
    """`geotarget --help` needs neither numba nor geopandas nor the API nor a database."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert loaded & HEAVY == set()


def test_version() -> None:
    """`geotarget version` prints it."""
    import geotarget as package

    done = geotarget("version")
    assert (done.returncode, done.stdout.strip()) == (0, package.__version__)


def test_settings_are_printed_as_the_documentation_has_them() -> None:
    """`geotarget settings` makes the table of `settings.md`."""
    page = REPOSITORY / "geotarget" / "docs" / "settings.md"
    assert geotarget("settings").stdout in page.read_text()


# -- settings and errors ----------------------------------------------------------------------


def test_bad_setting_is_one_line_and_status_2(tmp_path: Path) -> None:
    """A setting out of bounds is named with its variable; there is no traceback."""
    done = geotarget("migrate", "--data", tmp_path, GEOTARGET_PORT="99999")
    assert done.returncode == 2
    assert done.stderr.startswith("error: GEOTARGET_PORT: ")
    assert "99999" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_database_is_said_where_it_is_needed(tmp_path: Path) -> None:
    """Commands that only read do not make a database; the message says what to do."""
    done = geotarget("zones", "export", "--data", tmp_path)
    assert done.returncode == 1
    assert "geotarget migrate" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_option_wins_over_environment(tmp_path: Path) -> None:
    """What is typed counts, then the variable."""
    done = geotarget("migrate", "--data", tmp_path / "typed", GEOTARGET_DATA=str(tmp_path / "set"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "typed" / "geotarget.db").exists()
    assert not (tmp_path / "set").exists()
    done = geotarget("migrate", GEOTARGET_DATA=str(tmp_path / "set"))
    assert (tmp_path / "set" / "geotarget.db").exists()


def test_migrate_is_repeatable(tmp_path: Path) -> None:
    """The first run makes the database, the second finds it up to date."""
    assert "brought from nothing" in geotarget("migrate", "--data", tmp_path).stdout
    assert "was up to date" in geotarget("migrate", "--data", tmp_path).stdout


# -- zones ------------------------------------------------------------------------------------


def test_zones_go_in_and_come_out_as_they_were(tmp_path: Path) -> None:
    """Import, export: the same features, in the text that people review."""
    done = geotarget("zones", "import", HELSINKI, "--data", tmp_path)
    assert (done.returncode, done.stdout) == (0, "18 zones loaded\n"), done.stderr
    out = tmp_path / "out.geojson"
    done = geotarget("zones", "export", out, "--data", tmp_path)
    assert done.returncode == 0, done.stderr
    features = json.loads(HELSINKI.read_text())["features"]
    assert json.loads(out.read_text())["features"] == features
    assert out.read_text() == catalogue_text(features)
    again = geotarget("zones", "import", out, "--data", tmp_path)
    assert again.returncode == 0
    assert geotarget("zones", "export", "--data", tmp_path).stdout == out.read_text()


def test_shipped_catalogue_is_in_the_form_that_export_writes() -> None:
    """A person's diff of the catalogue never fights with the program's."""
    head, _, rest = HELSINKI.read_text().partition('  "features": [')
    document = json.loads(HELSINKI.read_text())
    assert rest == catalogue_text(document["features"]).partition('  "features": [')[2]
    assert "OpenStreetMap" in head


def test_catalogue_text_of_nothing_is_a_collection() -> None:
    """An empty database exports an empty collection."""
    assert json.loads(catalogue_text([])) == {"type": "FeatureCollection", "features": []}


def broken_catalogue(folder: Path) -> Path:
    """Return a file with one good zone and one that crosses itself."""
    star = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]
    document = json.loads(HELSINKI.read_text())
    document["features"] = [
        document["features"][0],
        {
            "type": "Feature", "id": "star", "properties": {"tags": "no list"},
            "geometry": {"type": "Polygon", "coordinates": [star]},
        },
    ]  # fmt: skip
    path = folder / "broken.geojson"
    path.write_text(json.dumps(document))
    return path


def test_validate_names_every_problem_and_its_place(tmp_path: Path) -> None:
    """Each problem is a line with file and JSON path; the status is 1."""
    path = broken_catalogue(tmp_path)
    done = geotarget("zones", "validate", path, HELSINKI)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"{path}, $.features[1].") for line in lines)
    assert "1 valid zones" in done.stderr
    assert f"{HELSINKI}: 18 valid zones" in done.stderr
    good = geotarget("zones", "validate", HELSINKI)
    assert (good.returncode, good.stdout) == (0, "")


def test_import_takes_all_or_nothing(tmp_path: Path) -> None:
    """While anything is wrong in any file, nothing of any of them is loaded."""
    done = geotarget("zones", "import", HELSINKI, broken_catalogue(tmp_path), "--data", tmp_path)
    assert done.returncode == 2
    assert "broken.geojson, $.features[1]" in done.stderr
    assert not (tmp_path / "geotarget.db").exists()


def test_ids_may_stand_in_a_property(tmp_path: Path) -> None:
    """`--id-property` takes the ids from where a foreign file has them."""
    document = json.loads(HELSINKI.read_text())
    for number, feature in enumerate(document["features"]):
        del feature["id"]
        feature["properties"]["code"] = f"Z{number}"
    path = tmp_path / "foreign.geojson"
    path.write_text(json.dumps(document))
    assert geotarget("zones", "import", path, "--data", tmp_path).returncode == 2
    done = geotarget("zones", "import", path, "--id-property", "code", "--data", tmp_path)
    assert done.returncode == 0, done.stderr
    exported = json.loads(geotarget("zones", "export", "--data", tmp_path).stdout)
    assert {each["id"] for each in exported["features"]} == {f"Z{n}" for n in range(18)}


# -- keys -------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """The key is printed alone on standard output, once; the list never shows it."""
    made = geotarget("keys", "create", "crm", "--scope", "pings:write", "--data", tmp_path)
    assert made.returncode == 0, made.stderr
    plain = made.stdout.strip()
    assert re.fullmatch(r"gt_live_\w+", plain)
    key = plain.removeprefix("gt_live_").split("_")[0]
    listed = geotarget("keys", "list", "--data", tmp_path, COLUMNS="120").stdout
    assert key in listed
    assert "pings:write" in listed
    assert "valid" in listed
    assert plain not in listed
    assert geotarget("keys", "revoke", key, "--data", tmp_path).returncode == 0
    assert "revoked" in geotarget("keys", "list", "--data", tmp_path, COLUMNS="120").stdout


def test_a_key_is_rotated(tmp_path: Path) -> None:
    """A new key comes alone on standard output; the old one is in the list with its end."""
    made = geotarget("keys", "create", "crm", "--scope", "pings:write", "--data", tmp_path)
    old = made.stdout.strip().split("_")[2]
    done = geotarget("keys", "rotate", old, "--overlap-hours", "1", "--data", tmp_path)
    assert re.fullmatch(r"gt_live_\w+", done.stdout.strip()), done.stderr
    assert f"{old} works for 1 h more" in done.stderr
    listed = geotarget("keys", "list", "--data", tmp_path, COLUMNS="120").stdout
    assert listed.count("pings:write") == 2
    assert done.stdout.strip() not in listed
    geotarget("keys", "revoke", old, "--data", tmp_path)
    refused = geotarget("keys", "rotate", old, "--data", tmp_path)
    assert refused.returncode != 0
    assert f"{old} is revoked" in refused.stderr


def test_wrong_scope_and_unknown_key_are_refused(tmp_path: Path) -> None:
    """The scopes that exist are listed; a key that does not exist is named."""
    done = geotarget("keys", "create", "crm", "--scope", "everything", "--data", tmp_path)
    assert done.returncode == 2
    assert "pings:write" in done.stderr
    assert "everything" in done.stderr
    done = geotarget("keys", "revoke", "nobody", "--data", tmp_path)
    assert done.returncode == 2
    assert "nobody" in done.stderr


# -- replay and fleet -------------------------------------------------------------------------


@pytest.fixture
def mosquitto(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real broker on a free port."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if binary is None:
        pytest.skip("missing: mosquitto (Debian package mosquitto)")
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {free_port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
    )
    with subprocess.Popen([binary, "-c", str(config)], stderr=subprocess.DEVNULL) as broker:
        try:
            eventually(lambda: answers(free_port), "mosquitto")
            yield f"mqtt://127.0.0.1:{free_port}"
        finally:
            broker.terminate()


def answers(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(holds: Any, what: str, seconds: float = 30.0) -> None:
    """Wait until a condition holds, or fail."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        pause.wait(0.02)


class Subscriber:
    """Collects what is published under a topic filter."""

    def __init__(self, url: str, topic: str = "pings/+") -> None:
        self.messages: list[tuple[str, Mapping[str, Any]]] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda client, data, message: self.messages.append(
            (message.topic, json.loads(message.payload))
        )
        subscribed = threading.Event()
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self.client.connect("127.0.0.1", int(url.rpartition(":")[2]))
        self.client.loop_start()
        assert subscribed.wait(60)

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def subscriber(mosquitto: str) -> Iterator[Subscriber]:
    """Somebody who wants the pings."""
    one = Subscriber(mosquitto)
    yield one
    one.close()


@pytest.mark.mosquitto
def test_replay_publishes_every_row_in_order(
    tmp_path: Path, mosquitto: str, subscriber: Subscriber
) -> None:
    """All pings arrive, QoS 1, in the order of the file, with the recorded times if kept."""
    recording = tmp_path / "a.csv"
    rows = [f"bus-{n % 7},{1_425_708_022 + n},30.{n:04d},-97.7,{n % 30 + 1}" for n in range(2_000)]
    recording.write_text("\n".join(["device,ts,lat,lon,acc", *rows]))
    done = geotarget("replay", recording, "--mqtt", mosquitto, "--speed", 0, "--times", "keep")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "2,000 of 2,000 pings published, 2,000 acknowledged, 0 bad rows left out\n"
    )
    eventually(lambda: len(subscriber.messages) == 2_000, "all messages")
    assert [topic for topic, _ in subscriber.messages] == [
        f"pings/bus-{n % 7}" for n in range(2_000)
    ]
    assert subscriber.messages[31][1] == {
        "ts": 1_425_708_053.0, "lat": 30.0031, "lng": -97.7, "acc": 2.0,
    }  # fmt: skip


@pytest.mark.mosquitto
def test_replay_of_real_buses(mosquitto: str, subscriber: Subscriber, shared_data: Path) -> None:
    """Recorded buses go out stamped with now, each device's times rising."""
    started = time.time()
    path = shared_data / "pings" / "austin_bus_2015-03-07_18.csv"
    done = geotarget("replay", path, "--mqtt", mosquitto, "--speed", 0, "--limit", 3_000)
    assert done.returncode == 0, done.stderr
    eventually(lambda: len(subscriber.messages) == 3_000, "all messages")
    last: dict[str, float] = {}
    for topic, ping in subscriber.messages:
        assert started - 1 <= ping["ts"] <= time.time() + 1
        assert ping["ts"] > last.get(topic, 0.0)
        last[topic] = ping["ts"]


@pytest.mark.mosquitto
def test_replay_names_bad_rows_and_sends_the_rest(
    tmp_path: Path, mosquitto: str, subscriber: Subscriber
) -> None:
    """Rows that are no pings are named and counted, status 1; odd pings are sent as they are."""
    recording = tmp_path / "a.csv"
    recording.write_text("vehicle,ts,lat,lng\na,1,0,0\nb,x,1,1\nc,3,95,1\n")
    done = geotarget(
        "replay", recording, "--mqtt", mosquitto, "--speed", 0, "--columns", "device=vehicle"
    )
    assert done.returncode == 1
    assert "line 3: ts is neither a number nor ISO 8601: 'x'" in done.stderr
    assert "2 of 2 pings published, 2 acknowledged, 1 bad rows left out" in done.stdout
    eventually(lambda: len(subscriber.messages) == 2, "both messages")
    assert [(ping["lat"], ping["lng"]) for _, ping in subscriber.messages] == [(0, 0), (95, 1)]


@pytest.mark.mosquitto
def test_replay_to_nobody_says_so(tmp_path: Path, mosquitto: str) -> None:
    """Where nobody subscribes, the broker keeps nothing: that is an error, not a success."""
    recording = tmp_path / "a.csv"
    recording.write_text("device,ts,lat,lng\na,1,1,1\n")
    done = geotarget("replay", recording, "--mqtt", mosquitto, "--speed", 0)
    assert done.returncode == 1
    assert "nobody subscribes" in done.stderr


def test_replay_without_a_broker_is_a_clear_error(tmp_path: Path, free_port: int) -> None:
    """A refused connection and a wrong address are one line each."""
    recording = tmp_path / "a.csv"
    recording.write_text("device,ts,lat,lng\na,1,1,1\n")
    done = geotarget("replay", recording, "--mqtt", f"http://127.0.0.1:{free_port}")
    assert done.returncode == 2
    assert "mqtt://" in done.stderr
    done = geotarget("replay", recording, "--mqtt", f"mqtt://127.0.0.1:{free_port}")
    assert done.returncode == 1
    assert f"can't reach mqtt://127.0.0.1:{free_port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.mosquitto
def test_ctrl_c_ends_a_replay_cleanly(
    tmp_path: Path, mosquitto: str, subscriber: Subscriber
) -> None:
    """What was published is acknowledged, the rest is not sent, the status is 130."""
    recording = tmp_path / "a.csv"
    recording.write_text("device,ts,lat,lng\na,1,1,1\na,2,1,1\na,99999,1,1\n")
    replaying = process("replay", recording, "--mqtt", mosquitto)
    eventually(lambda: len(subscriber.messages) == 2, "the first two")
    replaying.send_signal(signal.SIGINT)
    out, err = replaying.communicate(timeout=60)
    assert replaying.returncode == 130, err
    assert out == "2 of 3 pings published, 2 acknowledged, 0 bad rows left out\n"
    assert "Traceback" not in err


@pytest.mark.mosquitto
def test_fleet_walks_until_ctrl_c(mosquitto: str) -> None:
    """A fleet publishes plausible pings under its prefix; Ctrl-C is its normal end."""
    subscriber = Subscriber(mosquitto, "demo/+")
    walking = process("fleet", "--mqtt", mosquitto, "--walkers", 50, "--prefix", "demo")
    eventually(lambda: len(subscriber.messages) >= 20, "some pings")
    walking.send_signal(signal.SIGINT)
    out, err = walking.communicate(timeout=60)
    subscriber.close()
    assert walking.returncode == 0, err
    assert "50 walkers publish to mqtt://127.0.0.1:" in err
    published, acknowledged = (int(each) for each in re.findall(r"(\d+) (?:pings|ack)", out))
    assert published == acknowledged >= 20
    for topic, ping in subscriber.messages:
        assert re.fullmatch(r"demo/walker-0\d\d", topic)
        assert abs(ping["ts"] - time.time()) < 60
        assert 60.16 < ping["lat"] < 60.18
        assert 24.93 < ping["lng"] < 24.96
        assert 5 <= ping["acc"] <= 15
