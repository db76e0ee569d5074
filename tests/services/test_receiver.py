"""The receiver that people copy: verified against the reference library, run as they run it."""

from __future__ import annotations

import ast
import datetime as dt
import http.client
import importlib.util
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

SCRIPT = Path(__file__).resolve().parents[2] / "services" / "receiver" / "receiver.py"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = json.dumps(
    {
        "type": "offer.triggered",
        "timestamp": "2026-01-01T12:00:00Z",
        "data": {
            "campaign": "hello",
            "offer": {"text": "Pääsiäinen -20 %"},
            "profile": {"id": "phone-1", "attributes": {}},
            "zone": {"id": "hall", "name": "Market Hall"},
            "transition": {"kind": "enter"},
        },
    }
).encode()


class Running:
    """The script in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(SCRIPT), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        assert self.process.stdout
        ready = self.process.stdout.readline().rstrip("\n")
        assert ready.startswith("listening on http://127.0.0.1:"), ready
        self.port = int(ready.rpartition(":")[2])
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self) -> str:
        """Return the next printed line; nothing is read before the first is asked for."""
        if not self.reader.ident:
            self.reader.start()
        return self.lines.get(timeout=60)

    def post(
        self,
        body: bytes = BODY,
        *,
        webhook_id: str = "offer_1",
        secret: str = SECRET,
        age_s: int = 0,
        **changed: str,
    ) -> tuple[int, str]:
        """Post a body, signed by the reference library; `changed` replaces headers."""
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age_s)
        headers = {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, moment, body.decode()),
        }
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        self.connection.request("POST", "/hook", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process and return its status."""
        self.connection.close()
        self.process.send_signal(how)
        status = self.process.wait(60)
        if self.reader.ident:
            self.reader.join(60)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()
        return status


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start receivers that are stopped at the end."""
    started: list[Running] = []

    def make(*options: str) -> Running:
        started.append(Running(*(options or ("--secret", SECRET))))
        return started[-1]

    yield make
    for running in started:
        running.stop()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Load the script as a module, the way nobody else does."""
    spec = importlib.util.spec_from_file_location("receiver_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_genuine_post_is_taken_and_printed(start: Callable[..., Running]) -> None:
    """A post that the reference library signed is answered 204 and shown in one line."""
    running = start()
    assert running.post() == (204, "")
    expected = (
        "2026-01-01T12:00:00Z  offer.triggered  phone-1 enter Market Hall  "
        'hello: {"text": "Pääsiäinen -20 %"}'
    )
    assert running.line() == expected


def test_repetition_is_taken_once(start: Callable[..., Running]) -> None:
    """The same webhook-id again is answered like the first, but does nothing more."""
    running = start()
    assert [running.post()[0], running.post()[0], running.post(webhook_id="offer_2")[0]] == [
        204
    ] * 3
    lines = [running.line() for _ in range(3)]
    assert [line.split("  ")[0] for line in lines] == [
        "2026-01-01T12:00:00Z",
        "again, ignored",
        "2026-01-01T12:00:00Z",
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"secret": "whsec_" + "A" * 32}, "no signature fits"),
        ({"age_s": 310}, "webhook-timestamp is more than five minutes off"),
        ({"age_s": -310}, "webhook-timestamp is more than five minutes off"),
        ({"webhook_timestamp": "soon"}, "webhook-timestamp is not a number of seconds"),
        ({"webhook_timestamp": "9" * 400}, "webhook-timestamp is not a number of seconds"),
        ({"webhook_signature": ""}, "a webhook header is missing"),
        ({"webhook_signature": "v1,nonsense v1"}, "no signature fits"),
        ({"webhook_signature": "v1,\xe4"}, "no signature fits"),
        ({"webhook_id": ""}, "a webhook header is missing"),
    ],
)
def test_what_is_not_genuine_is_refused(
    options: dict[str, str], reason: str, start: Callable[..., Running]
) -> None:
    """Another secret, an old or future time, and missing or mangled headers are refused."""
    running = start()
    assert running.post(**options) == (400, reason)  # type: ignore[arg-type]
    assert running.line() == f"refused: {reason}"
    assert running.post(webhook_id="offer_2")[0] == 204


def test_changed_body_is_refused(start: Callable[..., Running]) -> None:
    """One byte more than was signed, and it isn't ours."""
    running = start()
    moment = dt.datetime.now(dt.UTC)
    signature = Webhook(SECRET).sign("offer_1", moment, BODY.decode())
    assert running.post(BODY + b" ", webhook_signature=signature) == (400, "no signature fits")


def test_body_that_is_not_json_is_refused(start: Callable[..., Running]) -> None:
    """Genuine nonsense gets a reason, too."""
    status, text = start().post(b"{nonsense")
    assert status == 400
    assert "Expecting property name" in text


def test_two_secrets_while_they_change(start: Callable[..., Running]) -> None:
    """Posts of either secret are taken, also if the header holds a foreign signature first."""
    other = "whsec_" + "B" * 32
    running = start("--secret", SECRET, "--secret", other)
    assert running.post()[0] == 204
    assert running.post(webhook_id="offer_2", secret=other)[0] == 204
    moment = dt.datetime.now(dt.UTC)
    both = " ".join(
        Webhook(secret).sign("offer_3", moment, BODY.decode())
        for secret in ("whsec_" + "C" * 32, SECRET)
    )
    assert running.post(webhook_id="offer_3", webhook_signature="v1a,xyz " + both)[0] == 204


def test_pretended_failures_are_not_remembered(start: Callable[..., Running]) -> None:
    """With --fail-rate a post fails now and succeeds later, and is printed exactly once."""
    running = start("--secret", SECRET, "--fail-rate", "0.5", "--seed", "4")
    statuses = []
    while 204 not in statuses or 500 not in statuses:
        statuses.append(running.post(webhook_id="offer_7")[0])
        assert len(statuses) < 100
    lines = [running.line() for _ in statuses]
    assert sum(line.endswith('%"}') for line in lines) == 1
    assert sum(line.startswith("pretended to fail") for line in lines) == statuses.count(500)


def test_large_and_unmeasured_bodies_are_refused(start: Callable[..., Running]) -> None:
    """What is announced as too large isn't read."""
    running = start()
    for length in ("99999999999", "-1", "many", None):
        running.connection.putrequest("POST", "/hook")
        if length is not None:
            running.connection.putheader("Content-Length", length)
        running.connection.endheaders()
        answer = running.connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (413, "close")
        assert "at most 1048576" in answer.read().decode()
    assert running.post()[0] == 204


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(how: signal.Signals, start: Callable[..., Running]) -> None:
    """Ctrl-C and a service manager's signal end it cleanly."""
    running = start()
    assert running.post()[0] == 204
    assert running.stop(how) == 0


def test_it_stops_cleanly_in_the_middle_of_a_line(start: Callable[..., Running]) -> None:
    """A line that nobody reads yet is printed to its end before the process ends with 0."""
    running = start()
    name = "Hall" * 100_000
    data = {"zone": {"id": "hall", "name": name}, "transition": {"kind": "enter"}}
    assert running.post(json.dumps({"type": "offer.triggered", "data": data}).encode())[0] == 204
    running.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        running.process.wait(3)  # Python gives a thread one second to let go of stdout
    assert running.line().endswith(f" {name}")
    assert running.process.wait(60) == 0


@pytest.mark.parametrize("options", [[], ["--secret", "whsec_"], ["--secret", "whsec_!!!x"]])
def test_secret_is_needed(options: list[str]) -> None:
    """It doesn't start without a usable secret, and says why."""
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={},
    )
    assert done.returncode == 2
    assert "secret" in done.stderr


def test_it_imports_only_the_standard_library() -> None:
    """People may copy the one file and nothing else."""
    tree = ast.parse(SCRIPT.read_text())
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert modules - sys.stdlib_module_names == set()


def test_ids_are_forgotten_in_order(script: ModuleType) -> None:
    """Memory is bounded: the oldest id goes first."""
    seen = script.Seen(capacity=2)
    assert [seen.add(name) for name in ("a", "b", "a", "c", "b", "a")] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60), st.binary(max_size=50))
def test_verification_never_accepts_nor_breaks(
    webhook_id: str, timestamp: str, signatures: str, body: bytes
) -> None:
    """Whatever stands in the headers, the answer is a refusal, not a crash."""
    spec = importlib.util.spec_from_file_location("receiver_script", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(module.NotGenuine):
        module.verify(
            [b"k" * 24],
            webhook_id=webhook_id,
            timestamp=timestamp,
            signatures=signatures,
            body=body,
            now_s=0.0,
        )
