"""TLS: the certificate that we show, whom we trust, and in words what was wrong with either.

Certificates live for 90 days or less, so a listener takes a renewed one while it runs. Whoever
connects from this machine to a listener of this process trusts exactly its certificate, by pin:
the name in it is for phones and differs from 127.0.0.1, and verification is never switched off.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from geotarget import metrics
from geotarget.errors import Problem, SettingsError
from geotarget.key_files import warn_if_anybody_reads

SOON = timedelta(days=7)
"""From so long before its end on a certificate is warned of."""

_MOST_BYTES = 1 << 20
_EXPIRED, _NOT_YET = 10, 9
_NAME, _ADDRESS = 62, 64
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)

_log = structlog.get_logger(__name__)


class ServerCertificate:
    """A certificate with its key, as listeners show it.

    Parameters
    ----------
    certificate, key
        PEM files. The certificate first, then what leads to its authority; a key without password.
    names
        What messages call the two.

    Raises
    ------
    SettingsError
        Names the file and what is wrong with it: missing, unreadable, no PEM, expired, a key of
        another certificate.
    """

    def __init__(
        self, certificate: Path, key: Path, *, names: tuple[str, str] = ("certificate", "key")
    ) -> None:
        self.certificate = certificate.absolute()
        self.key = key.absolute()
        self._names = names
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.minimum_version = ssl.TLSVersion.TLSv1_2
        self.server.set_alpn_protocols(["http/1.1"])
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False  # the certificate itself is what is checked
        self.client.sslsocket_class = _ClosingSocket
        self.client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._seen = self._stamp()
        self.expires = self._load()
        warn_if_anybody_reads(self.key)

    def renew(self) -> bool:
        """Take the files as they are now, if they have changed; tell whether they were taken.

        Files that can't be used (the one is written, the other not yet) leave everything as it
        was, and are looked at again when they change.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self.expires = self._load()
        except SettingsError as error:
            _log.warning("the certificate has changed and can't be used", reason=str(error))
            return False
        _log.info("a renewed certificate is in use", expires=self.expires.isoformat())
        return True

    def health(self) -> tuple[bool, str]:
        """Tell whether it is valid now, and until when."""
        left = self.expires - datetime.now(UTC)
        when = f"{self.expires:%Y-%m-%d %H:%M} UTC"
        if left <= timedelta(0):
            return False, f"the certificate {self.certificate.name} expired on {when}; renew it"
        return True, f"valid until {when}"

    def _stamp(self) -> tuple[tuple[int, ...], ...]:
        return tuple(_stamp(file) for file in (self.certificate, self.key))

    def _load(self) -> datetime:
        """Check the files on a context of their own, then put them into those in use."""
        leaf = _leaf(self.certificate, self._names[0])
        now = datetime.now(UTC)
        if leaf.not_valid_after_utc <= now:
            raise _wrong(
                self._names[0], self.certificate, f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}"
            )
        if leaf.not_valid_before_utc > now:
            raise _wrong(
                self._names[0],
                self.certificate,
                f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            )
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.server):
            _load_pair(context, self.certificate, self.key, self._names)
        self.client.load_verify_locations(cadata=leaf.public_bytes(Encoding.PEM).decode())
        metrics.certificate_expires.set(leaf.not_valid_after_utc.timestamp())
        if leaf.not_valid_after_utc - now < SOON:
            _log.warning(
                "a certificate expires soon",
                file=str(self.certificate),
                expires=leaf.not_valid_after_utc.isoformat(),
            )
        return leaf.not_valid_after_utc


def client_context(
    *,
    authorities: Path | None = None,
    besides_the_systems: bool = False,
    pair: tuple[Path, Path] | None = None,
    names: tuple[str, str, str] = ("authorities", "certificate", "key"),
) -> ssl.SSLContext:
    """Return what a connection outwards trusts and shows.

    Parameters
    ----------
    authorities
        PEM file of the authorities to trust; the system's without.
    besides_the_systems
        Trust the system's as well.
    pair
        Certificate and key to show when the other side asks for one.
    names
        What messages call the three files.

    Raises
    ------
    SettingsError
        Names the file and what is wrong with it.
    """
    if authorities is None or besides_the_systems:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _ClosingSocket
    if authorities is not None:
        _certificates(authorities, names[0])
        context.load_verify_locations(cafile=authorities)
    if pair is not None:
        _certificates(pair[0], names[1])
        _load_pair(context, *pair, names[1:])
        warn_if_anybody_reads(pair[1])
    return context


def tls_trouble(error: BaseException | str | None) -> str:
    """Say what was wrong with a handshake, as far as something can be done about it."""
    code = getattr(error, "verify_code", None)
    text = str(error)
    if code == _EXPIRED:
        return "its certificate has expired"
    if code == _NOT_YET:
        return "its certificate is not valid yet; does one of the clocks go wrong?"
    if code in (_NAME, _ADDRESS):
        return f"its certificate is for another name: {getattr(error, 'verify_message', text)}"
    if code in _UNKNOWN_ISSUER:
        return (
            "its certificate does not come from an authority that is trusted here"
            f" ({getattr(error, 'verify_message', text)}); GEOTARGET_MQTT_CA names one"
        )
    if "ALERT" in text and any(
        word in text for word in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
    ):
        return (
            f"it does not accept our client certificate, or misses one ({text});"
            " see GEOTARGET_MQTT_CERTIFICATE"
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "it does not speak TLS on this port; mqtt:// is the address without TLS"
    return text


class _ClosingSocket(ssl.SSLSocket):
    """Closes when the handshake fails: paho forgets the socket then, and leaves it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 as in ssl
        try:
            super().do_handshake(block)
        except OSError as error:
            if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
                self.close()
            raise


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what differs when a file was written or replaced; nothing for one that is away."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _leaf(file: Path, name: str) -> x509.Certificate:
    return _certificates(file, name)[0]


def _certificates(file: Path, name: str) -> list[x509.Certificate]:
    try:
        with file.open("rb") as opened:
            return x509.load_pem_x509_certificates(opened.read(_MOST_BYTES))
    except OSError as error:
        raise _wrong(name, file, _why(error)) from error
    except ValueError:
        raise _wrong(name, file, "holds no certificate in PEM form") from None


def _load_pair(
    context: ssl.SSLContext, certificate: Path, key: Path, names: tuple[str, ...]
) -> None:
    def no_password() -> str:
        raise _wrong(names[1], key, "is encrypted; a key without a password is needed")

    try:
        with key.open("rb"):
            pass
    except OSError as error:
        raise _wrong(names[1], key, _why(error)) from error
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            reason = f"does not belong to the certificate {certificate}"
        else:
            reason = f"holds no key in PEM form that can be used ({error})"
        raise _wrong(names[1], key, reason) from error


def _wrong(name: str, file: Path, reason: str) -> SettingsError:
    return SettingsError(str(Problem(name, str(file), reason)))


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"can't be read: {error.strerror or error}"
