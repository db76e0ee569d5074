"""Certificates of listeners and of connections outwards: what is refused, what is renewed."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from geotarget import metrics
from geotarget.certificates import ServerCertificate, client_context, tls_trouble
from geotarget.errors import SettingsError
from geotarget.key_files import make_key_file, warn_if_anybody_reads
from geotarget.settings import Settings
from geotarget.settings.tls import TlsSettings
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "127.0.0.1") -> bytes:
    """Shake hands over a real connection; return the certificate that the server showed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        trouble: list[OSError] = []

        def serve() -> None:
            try:
                with server.wrap_socket(theirs, server_side=True) as wrapped:
                    wrapped.recv(1)
            except OSError as error:
                trouble.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with client.wrap_socket(ours, server_hostname=name) as wrapped:
                shown = wrapped.getpeercert(binary_form=True)
                assert shown is not None
                wrapped.send(b".")
                return shown
        finally:
            ours.close()
            thread.join(10)


def test_a_pair_of_files_serves(authority: Authority) -> None:
    """Who trusts the authority gets through, by name and by address; TLS 1.1 does not."""
    certificate = ServerCertificate(*authority.local())
    trusting = client_context(authorities=authority.file)
    assert handshake(certificate.server, trusting, "localhost") == handshake(
        certificate.server, trusting, "127.0.0.1"
    )
    assert certificate.server.minimum_version == ssl.TLSVersion.TLSv1_2
    ok, detail = certificate.health()
    assert (ok, detail[:11]) == (True, "valid until")
    assert metrics.certificate_expires._value.get() == certificate.expires.timestamp()


def missing(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.local()
    certificate.unlink()
    return certificate, key


def no_key(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.local()
    key.unlink()
    return certificate, key


def no_pem(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.local()
    certificate.write_text("a certificate")
    return certificate, key


def no_pem_key(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.local()
    key.write_text("a key")
    return certificate, key


def of_another(authority: Authority) -> tuple[Path, Path]:
    return authority.local("one")[0], authority.local("two")[1]


def encrypted(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.local()
    plain = load_pem_private_key(key.read_bytes(), None)
    hidden = BestAvailableEncryption(b"secret")
    key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    return certificate, key


def folder(authority: Authority) -> tuple[Path, Path]:
    return authority.folder, authority.local()[1]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (missing, r"GEOTARGET_TLS_CERTIFICATE: there is no such file \(.*server.crt\)"),
        (no_key, r"GEOTARGET_TLS_KEY: there is no such file \(.*server.key\)"),
        (no_pem, r"GEOTARGET_TLS_CERTIFICATE: holds no certificate in PEM form \(.*server.crt\)"),
        (no_pem_key, r"GEOTARGET_TLS_KEY: holds no key in PEM form .*\(.*server.key\)"),
        (of_another, r"GEOTARGET_TLS_KEY: does not belong to the certificate .*one.crt \(.*two.k"),
        (encrypted, r"GEOTARGET_TLS_KEY: is encrypted; a key without a password is needed"),
        (folder, r"GEOTARGET_TLS_CERTIFICATE: can't be read: Is a directory \(.*certificates\)"),
        (lambda a: a.local(days=(-9, -1)), r"GEOTARGET_TLS_CERTIFICATE: expired on 20"),
        (lambda a: a.local(days=(1, 9)), r"GEOTARGET_TLS_CERTIFICATE: is not valid before 20"),
    ],
)
def test_files_that_can_not_serve_are_named(
    authority: Authority, make: Callable[[Authority], tuple[Path, Path]], told: str
) -> None:
    """The message has the variable, the file and the reason."""
    certificate, key = make(authority)
    chosen = Settings.read(tls_certificate=str(certificate), tls_key=str(key))
    with pytest.raises(SettingsError, match=told):
        chosen.server_certificate()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tls_key": "k"}, "GEOTARGET_TLS_CERTIFICATE: is missing: it goes with GEOTARGET_TLS_KEY"),
        ({"tls_certificate": "c"}, "GEOTARGET_TLS_KEY: is missing: it goes with"),
    ],
)
def test_certificate_and_key_go_together(given: dict[str, str], told: str) -> None:
    """One without the other is refused."""
    with pytest.raises(SettingsError, match=told):
        Settings.read(**given).server_certificate()


def test_without_settings_there_is_no_tls() -> None:
    """Neither for listeners nor for a broker at mqtt://."""
    chosen = Settings.read()
    assert chosen.server_certificate() is None
    assert chosen.broker_trust("mqtt://broker") is None
    assert chosen.webhook_trust() is None
    assert chosen.local_broker(1883) == ("mqtt://127.0.0.1:1883", None)


@pytest.mark.parametrize(
    ("given", "url", "told"),
    [
        ({"mqtt_ca": "a"}, "mqtt://b", "GEOTARGET_MQTT_CA: is of no use without TLS; .* mqtts://"),
        ({"mqtt_ca": "/no/where"}, "mqtts://b", r"GEOTARGET_MQTT_CA: there is no such file"),
        ({"mqtt_key": "k"}, "mqtts://b", "GEOTARGET_MQTT_CERTIFICATE: is missing"),
        (
            {"mqtt_certificate": "/no/where", "mqtt_key": "/no/where"},
            "mqtts://b",
            "GEOTARGET_MQTT_CERTIFICATE: there is no such file",
        ),
    ],
)
def test_what_a_broker_is_trusted_by_is_checked(given: dict[str, str], url: str, told: str) -> None:
    """A file that is not there is named; so is one that would not be used."""
    with pytest.raises(SettingsError, match=told):
        Settings.read(**given).broker_trust(url)


def test_a_password_is_wanted_exactly_when_access_says_so() -> None:
    """One that is not used would make somebody feel safe."""
    assert Settings.read().device_password() is None
    both = Settings.read(mqtt_device_access="password", mqtt_device_password="a/b")
    assert both.device_password() == "a/b"
    assert both.local_broker(1)[0] == "mqtt://device:a%2Fb@127.0.0.1:1"
    with pytest.raises(SettingsError, match="PASSWORD: is missing: the access `password` needs"):
        Settings.read(mqtt_device_access="password").device_password()
    with pytest.raises(SettingsError, match="is given, and GEOTARGET_MQTT_DEVICE_ACCESS is not"):
        Settings.read(mqtt_device_password="x").device_password()
    assert "a/b" not in repr(both)


def test_the_pin_trusts_this_certificate_and_no_other(authority: Authority) -> None:
    """Not even one of the same authority and name, and whatever name it is for."""
    ours = ServerCertificate(*authority.issue("pings.example.com", "pings.example.com"))
    other = ServerCertificate(
        *authority.issue("pings.example.com", "pings.example.com", file="other")
    )
    assert handshake(ours.server, ours.client)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other.server, ours.client)


def test_a_renewed_certificate_is_taken(authority: Authority) -> None:
    """By the contexts in use, server and pin; files that do not fit yet change nothing."""
    certificate = ServerCertificate(*authority.local(days=(-1, 20)))
    assert not certificate.renew()
    before, expires = handshake(certificate.server, certificate.client), certificate.expires
    key = certificate.key.read_bytes()
    authority.local()
    new_key = certificate.key.read_bytes()
    certificate.key.write_bytes(key)  # the certificate is there already, its key is not
    with capture_logs() as logs:
        assert not certificate.renew()
        assert not certificate.renew()
    assert [each["event"] for each in logs] == ["the certificate has changed and can't be used"]
    assert handshake(certificate.server, certificate.client) == before
    certificate.key.write_bytes(new_key)
    assert certificate.renew()
    assert not certificate.renew()
    assert handshake(certificate.server, certificate.client) != before
    assert certificate.expires > expires


def test_an_end_that_is_near_is_warned_of(authority: Authority) -> None:
    """A week ahead, and at the end it is no longer healthy."""
    with capture_logs() as logs:
        certificate = ServerCertificate(*authority.local(days=(-80, 6)))
    assert "a certificate expires soon" in [each["event"] for each in logs]
    certificate.expires = certificate.expires.replace(year=2020)
    ok, detail = certificate.health()
    assert (ok, detail[:30]) == (False, "the certificate server.crt expi"[:30])


def trouble(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "127.0.0.1") -> str:
    with pytest.raises(ssl.SSLError) as caught:
        handshake(server, client, name)
    return tls_trouble(caught.value)


def test_what_was_wrong_is_said_in_words(authority: Authority, tmp_path: Path) -> None:
    """Wrong name, wrong authority, expired: each says what to do or what to look at."""
    trusting = client_context(authorities=authority.file)
    good = ServerCertificate(*authority.local()).server
    elsewhere = ServerCertificate(*authority.issue("a.example", "a.example")).server
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.load_cert_chain(*authority.local("old", days=(-9, -1)))
    assert trouble(elsewhere, trusting, "b.example").startswith(
        "its certificate is for another name: Hostname mismatch"
    )
    assert trouble(expired, trusting) == "its certificate has expired"
    stranger = client_context(authorities=Authority(tmp_path / "strange").file)
    assert "an authority that is trusted here" in trouble(good, stranger)
    assert "GEOTARGET_MQTT_CA names one" in trouble(good, client_context())
    both = client_context(authorities=authority.file, besides_the_systems=True)
    assert handshake(good, both)
    assert len(both.get_ca_certs()) >= 1


def test_a_key_that_everybody_may_read_is_warned_of(authority: Authority, tmp_path: Path) -> None:
    """With its file and the way out; one for a group is not."""
    certificate, key = authority.local()
    key.chmod(0o640)
    assert not warn_if_anybody_reads(key)
    key.chmod(0o644)
    with capture_logs() as logs:
        ServerCertificate(certificate, key)
    assert [
        {
            "event": "everybody on this machine may read a key",
            "log_level": "warning",
            "file": str(key),
            "mode": "644",
            "do": f"chmod 600 {key}",
        }
    ] == logs
    made = tmp_path / "made.key"
    make_key_file(made, b"one")
    make_key_file(made, b"two")
    assert (made.read_bytes(), made.stat().st_mode & 0o777) == (b"one", 0o600)
    assert [made.name] == [each.name for each in tmp_path.glob("made.key*")]


def test_settings_of_files_are_all_read(tmp_path: Path) -> None:
    """Each file that is named and missing is told by its own variable."""
    nowhere = str(tmp_path / "nowhere.pem")
    files = [name for name in TlsSettings.model_fields if name.endswith(("_ca", "_certificate"))]
    assert files == ["tls_certificate", "mqtt_ca", "mqtt_certificate", "webhook_ca"]
    for name in files:
        more = {f"{name.removesuffix('certificate')}key": nowhere} if "cert" in name else {}
        chosen = Settings.read(**{name: nowhere}, **more)
        use = {
            "tls_certificate": chosen.server_certificate,
            "webhook_ca": chosen.webhook_trust,
        }.get(name, partial(chosen.broker_trust, "mqtts://broker"))
        with pytest.raises(SettingsError, match=f"GEOTARGET_{name.upper()}: there is no such"):
            use()
