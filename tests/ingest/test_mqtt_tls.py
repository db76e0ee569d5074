"""TLS to somebody's broker: a real mosquitto with real certificates, right ones and wrong ones."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geotarget.certificates import client_context
from geotarget.errors import BrokerError
from geotarget.ingest import Forwarder, Intake, MqttSource, Publisher
from geotarget.ingest.publish import OutgoingPing
from tests.certificates import Authority
from tests.ingest.harness import Eventually, Mosquitto, Recorder
from tests.test_cli import geotarget

pytestmark = pytest.mark.mosquitto


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def secure(
    make_mosquitto: Callable[..., Mosquitto], authority: Authority
) -> Callable[..., Mosquitto]:
    """Start a mosquitto that shows a certificate, by default a good one."""

    def start(pair: tuple[Path, Path] | None = None, *, asks: bool = False) -> Mosquitto:
        certificate, key = pair or authority.local()
        lines = [f"certfile {certificate}", f"keyfile {key}"]
        if asks:
            lines += [f"cafile {authority.file}", "require_certificate true"]
        broker = make_mosquitto(more="\n".join(lines))
        broker.start()
        return broker

    return start


def url_of(broker: Mosquitto) -> str:
    return f"mqtts://127.0.0.1:{broker.port}"


@pytest.fixture
def collect(recorder: Recorder) -> Iterator[Callable[..., MqttSource]]:
    """Fetch from a broker into the recorder, with what is trusted and shown."""
    made: list[MqttSource] = []

    def start(broker: Mosquitto, tls: ssl.SSLContext | None, **options: Any) -> MqttSource:
        intake = Intake(recorder.process, max_age_s=0.005)
        intake.start()
        options = {"reconnect_s": (0.05, 0.2), "ack_wait_s": 0.0} | options
        source = MqttSource(url_of(broker), intake, tls=tls, **options)
        source.start()
        made.append(source)
        return source

    yield start
    for source in made:
        source.stop(5.0)


def connections(broker: Mosquitto) -> int:
    """Count attempts, those that mosquitto ends in the handshake included."""
    log = (broker.folder / "mosquitto.log").read_text()
    return log.count("New connection from") + log.count("Client connection from")


@pytest.mark.parametrize("asks", [False, True], ids=["plain client", "client certificate"])
def test_pings_flow_over_tls(
    secure: Any, collect: Any, authority: Authority, recorder: Recorder, eventually: Any, asks: bool
) -> None:
    """Publisher and ingest verify the broker, and show a certificate where it asks for one.

    Thousands of pings, so that more than one TLS record is read at once.
    """
    pair = authority.issue("geotarget", client=True) if asks else None
    broker = secure(asks=asks)
    tls = client_context(authorities=authority.file, pair=pair)
    source = collect(broker, tls)
    eventually(lambda: source.health() == (True, ""))
    with Publisher(url_of(broker), tls=tls) as publisher:
        publisher.publish_all(
            (f"d{second % 7}", [OutgoingPing(float(second), 60.0, 25.0)])
            for second in range(1, 3001)
        )
        assert publisher.flush(30.0)
        assert publisher.acknowledged == 3000
    eventually(lambda: recorder.count == 3000)
    assert sorted(recorder.seconds) == list(range(1, 3001))


def expired(authority: Authority) -> tuple[Path, Path]:
    return authority.local("expired", days=(-9, -1))


def elsewhere(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("broker.example", "broker.example")


def stranger(authority: Authority) -> tuple[Path, Path]:
    return Authority(authority.folder / "strange", "strange").local()


@pytest.mark.parametrize(
    ("show", "told"),
    [
        (stranger, "does not come from an authority that is trusted here"),
        (elsewhere, "its certificate is for another name: IP address mismatch"),
        (expired, "its certificate has expired"),
    ],
)
def test_a_broker_that_is_not_who_it_should_be_is_refused(
    secure: Any, collect: Any, authority: Authority, eventually: Any, show: Any, told: str
) -> None:
    """Ingest and publisher say why, in words, and publish nothing to it."""
    broker = secure(show(authority))
    tls = client_context(authorities=authority.file)
    source = collect(broker, tls)
    eventually(lambda: told in source.health()[1])
    ok, detail = source.health()
    assert (ok, detail.startswith(f"can't reach {url_of(broker)}: ")) == (False, True)
    publisher = Publisher(url_of(broker), tls=tls, reconnect_s=(0.05, 0.2))
    with pytest.raises(BrokerError, match=told):
        publisher.connect(1.0)
    publisher.close()


def test_the_systems_authorities_are_the_default(
    secure: Any, collect: Any, eventually: Any
) -> None:
    """Without a setting an own authority is not trusted: nothing is taken on faith."""
    source = collect(secure(), None)
    eventually(lambda: "GEOTARGET_MQTT_CA names one" in source.health()[1])


def test_a_broker_that_asks_for_a_certificate_says_so(
    secure: Any, collect: Any, authority: Authority, eventually: Any
) -> None:
    """Without one, or with one of another authority, the reason names the setting."""
    broker = secure(asks=True)
    none = client_context(authorities=authority.file)
    source = collect(broker, none)
    eventually(lambda: "GEOTARGET_MQTT_CERTIFICATE" in source.health()[1])
    foreign = Authority(authority.folder / "strange", "strange").issue("who", client=True)
    other = collect(
        broker, client_context(authorities=authority.file, pair=foreign), client_id="other"
    )
    eventually(lambda: "GEOTARGET_MQTT_CERTIFICATE" in other.health()[1])
    publisher = Publisher(url_of(broker), tls=none, reconnect_s=(0.05, 0.2))
    with pytest.raises(BrokerError, match="GEOTARGET_MQTT_CERTIFICATE"):
        publisher.connect(1.0)
    publisher.close()


@pytest.mark.parametrize("asks", [False, True], ids=["strange broker", "client certificate"])
def test_refused_again_and_again_is_no_busy_loop(
    secure: Any, collect: Any, authority: Authority, eventually: Any, asks: bool
) -> None:
    """The wait between attempts doubles up to its bound, whoever it is that refuses."""
    broker = secure(asks=asks)
    tls = client_context(authorities=authority.file) if asks else None
    collect(broker, tls, reconnect_s=(0.2, 0.4))
    before = connections(broker)
    eventually(lambda: connections(broker) > before)
    first, started = connections(broker), time.monotonic()
    eventually(lambda: connections(broker) >= first + 6)
    assert time.monotonic() - started > 1.0


def test_the_other_scheme_is_guessed(
    mosquitto: Mosquitto,
    secure: Any,
    collect: Any,
    eventually: Any,
    recorder: Recorder,
    authority: Authority,
) -> None:
    """mqtts:// where no TLS is spoken, and mqtt:// where it is: the reason asks for the other."""
    plain = collect(mosquitto, client_context(authorities=authority.file))
    eventually(lambda: "mqtt:// is the address without" in plain.health()[1])
    broker = secure()
    intake = Intake(recorder.process)
    intake.start()
    source = MqttSource(f"mqtt://127.0.0.1:{broker.port}", intake, reconnect_s=(0.05, 0.2))
    source.start()
    eventually(lambda: "is its address mqtts://?" in source.health()[1])
    source.stop(5.0)


def test_what_comes_over_http_is_forwarded_over_tls(
    secure: Any, collect: Any, authority: Authority, recorder: Recorder, eventually: Eventually
) -> None:
    """A forwarder is healthy once its broker has shown who it is, and says why it is not."""
    broker = secure()
    refused = Forwarder(Publisher(url_of(broker), reconnect_s=(0.05, 0.2)))
    refused.start()
    eventually(lambda: "GEOTARGET_MQTT_CA names one" in refused.health()[1])
    refused.stop()
    trusting = Forwarder(Publisher(url_of(broker), tls=client_context(authorities=authority.file)))
    trusting.start()
    eventually(lambda: trusting.health() == (True, ""))
    trusting.stop()


@pytest.mark.e2e
def test_the_command_line_publishes_over_tls(
    secure: Any,
    collect: Any,
    authority: Authority,
    recorder: Recorder,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    """`geotarget replay` reads the same settings as the processes, and refuses what they refuse."""
    broker = secure(asks=True)
    pair = authority.issue("till", client=True)
    source = collect(broker, client_context(authorities=authority.file, pair=pair))
    eventually(lambda: source.health()[0])
    walk = tmp_path / "walk.csv"
    walk.write_text("device,ts,lat,lng\nd,1,60.1,24.9\nd,2,60.1,24.9\n")
    command = ("replay", walk, "--mqtt", url_of(broker), "--speed", "0", "--times", "keep")
    shown = {"GEOTARGET_MQTT_CA": str(authority.file), "GEOTARGET_MQTT_CERTIFICATE": str(pair[0])}
    said = geotarget(*command, **shown, GEOTARGET_MQTT_KEY=str(pair[1]))
    assert (said.returncode, said.stderr.count("error")) == (0, 0), said.stderr
    assert "2 acknowledged" in said.stdout
    eventually(lambda: recorder.seconds == [1, 2])
    said = geotarget(*command, **shown)
    assert said.returncode == 2
    assert "GEOTARGET_MQTT_KEY: is missing: it goes with GEOTARGET_MQTT_CERT" in said.stderr
