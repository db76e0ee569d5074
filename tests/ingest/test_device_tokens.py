"""Tokens of devices at the embedded broker: taken as passwords, refused and cut once revoked."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotarget import metrics
from geotarget.errors import InvalidInput, SettingsError, StoreError
from geotarget.ingest import EmbeddedBroker
from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.admission import SESSION_S, SPREAD_S, Admission, check_device
from geotarget.ingest.device_access import DeviceLogins
from geotarget.store import Store
from tests.ingest.harness import Eventually
from tests.ingest.test_device_access import NOT_AUTHORIZED, Device

SOON_S = 30.0
"""Within which a connection is cut: a look a second, on a machine that does other things too."""

NOW_MS = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'geotarget.db'}") as store:
        yield store


@pytest.fixture
def broker(tmp_path: Path, store: Store) -> Iterator[EmbeddedBroker]:
    logins = DeviceLogins.of(tmp_path)
    broker = EmbeddedBroker(tmp_path / "broker", port=0, logins=logins, tokens=store)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def device(broker: EmbeddedBroker) -> Iterator[Callable[[str, str], Device]]:
    made: list[Device] = []

    def make(name: str, password: str) -> Device:
        made.append(Device(broker.port, name, password, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_token_is_a_password(
    device: Callable[[str, str], Device], store: Store, broker: EmbeddedBroker
) -> None:
    """Beside the one of the name; of its own device only."""
    assert broker.logins is not None
    plain, _ = store.create_device_token("a")
    assert device("a", plain).answers == [0]
    assert device("a", broker.logins.password("a")).answers == [0]
    assert device("b", plain).answers == [NOT_AUTHORIZED]
    assert device("b", broker.logins.password("a")).answers == [NOT_AUTHORIZED]


def test_a_revoked_token_is_refused_and_its_connection_cut(
    device: Callable[[str, str], Device], store: Store, eventually: Eventually
) -> None:
    """A new connection at once, an open one about a second later; others stay."""
    plain, token = store.create_device_token("a")
    other, _ = store.create_device_token("b")
    a, b = device("a", plain), device("b", other)
    before = metrics.devices_cut._value.get()
    store.revoke_device_token("a", token.id)
    assert device("a", plain).answers == [NOT_AUTHORIZED]
    eventually(lambda: not a.client.is_connected(), SOON_S)
    eventually(lambda: metrics.devices_cut._value.get() == before + 1)
    b.publish("pings/b", 1)
    assert b.answers == [0]


def test_who_has_another_token_comes_back(
    device: Callable[[str, str], Device], store: Store, eventually: Eventually
) -> None:
    """The old one is revoked: the connection is cut, and the new one opens the next."""
    old, first = store.create_device_token("a")
    new, _ = store.create_device_token("a")
    a = device("a", old)
    store.revoke_device_token("a", first.id)
    eventually(lambda: not a.client.is_connected(), SOON_S)
    assert device("a", new).answers == [0]


def test_a_token_that_expires_ends_its_connection(
    device: Callable[[str, str], Device], store: Store, eventually: Eventually
) -> None:
    """The server itself ends it, by the second; nobody has to look."""
    plain, _ = store.create_device_token("a", expires_ms=time.time_ns() // 1_000_000 + 3_000)
    a = device("a", plain)
    assert a.answers == [0]
    eventually(lambda: not a.client.is_connected(), SOON_S)
    assert device("a", plain).answers == [NOT_AUTHORIZED]


def test_that_a_token_was_used_is_noted(
    device: Callable[[str, str], Device], store: Store, broker: EmbeddedBroker
) -> None:
    """At the latest when the broker is stopped."""
    plain, _ = store.create_device_token("a")
    began_ms = time.time_ns() // 1_000_000
    device("a", plain).close()
    broker.stop()
    used_ms = store.device_tokens("a")[0].last_used_ms
    assert used_ms is not None
    assert began_ms <= used_ms <= time.time_ns() // 1_000_000


def test_a_database_that_cannot_be_read_lets_nobody_in(
    device: Callable[[str, str], Device], store: Store, broker: EmbeddedBroker
) -> None:
    """Except those whose password follows from the name: nobody asks the database for them."""
    assert broker.logins is not None
    plain, _ = store.create_device_token("a")
    store.close()
    assert device("a", broker.logins.password("a")).answers == [0]
    assert device("a", plain).answers == [NOT_AUTHORIZED]


def test_how_long_a_connection_lasts(store: Store) -> None:
    """An hour or a little less, not beyond the token's end; with the name's password for good."""
    logins = DeviceLogins(bytes(32))
    admission = Admission(logins=logins, tokens=store, now_ms=lambda: NOW_MS)
    plain, _ = store.create_device_token("a")
    found = [admission.admit("a", plain) for _ in range(50)]
    lasting = {each.until_s - NOW_MS // 1_000 for each in found if each and each.until_s}
    assert min(lasting) > SESSION_S - SPREAD_S
    assert max(lasting) <= SESSION_S
    assert len(lasting) > 10
    short, _ = store.create_device_token("a", expires_ms=NOW_MS + 5_000)
    ends = admission.admit("a", short)
    assert ends is not None
    assert ends.until_s == NOW_MS // 1_000 + 5
    known = admission.admit("a", logins.password("a"))
    assert known is not None
    assert known.until_s is None


def test_revocations_are_told_once(tmp_path: Path) -> None:
    """Also those from before a restart whose connections may live on; a failure loses none."""
    now = [NOW_MS]
    with Store.open(f"sqlite:///{tmp_path / 'other.db'}", now_ms=lambda: now[0]) as store:
        ids = {name: store.create_device_token(name)[1].id for name in "abcd"}
        now[0] = NOW_MS - 2 * SESSION_S * 1_000
        store.revoke_device_token("a", ids["a"])
        now[0] = NOW_MS - 60_000
        store.revoke_device_token("b", ids["b"])
        now[0] = NOW_MS
        admission = Admission(tokens=store, now_ms=lambda: now[0])
        assert admission.ended() == {"b"}
        assert admission.ended() == frozenset()
        now[0] = NOW_MS - 5_000  # a clock that is behind ours
        store.revoke_device_token("c", ids["c"])
        now[0] = NOW_MS + 1_000
        assert admission.ended() == {"c"}
        now[0] = NOW_MS + 1_000_000
        store.revoke_device_token("d", ids["d"])
        store.revoke_device_token("a b", store.create_device_token("a b")[1].id)  # never admitted
        assert admission.ended() == {"d"}
        assert admission.ended() == frozenset()
    with pytest.raises(StoreError):
        admission.ended()


def test_uses_that_could_not_be_written_are_kept(tmp_path: Path) -> None:
    """They are written the next time, once; without tokens there is nothing to write."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    with Store.open(url) as store:
        plain, _ = store.create_device_token("a")
        admission = Admission(tokens=store, now_ms=lambda: NOW_MS)
        assert admission.admit("a", plain)
    with pytest.raises(StoreError):
        admission.note_uses()
    with Store.open(url) as store:
        admission._tokens = store
        admission.note_uses()
        assert store.device_tokens("a")[0].last_used_ms == NOW_MS
    admission.note_uses()
    Admission().note_uses()
    assert Admission().ended() == frozenset()
    assert Admission().admit("a", plain) is None


@pytest.mark.parametrize(
    "name", ["", "a/b", "a b", "a.b", "ä", "a" * 65, "geotarget-slot-3-abc", "geotarget-ingest"]
)
def test_names_that_nobody_may_have(name: str, store: Store) -> None:
    """No broker carries them, or our own sessions are called so: refused even with a token."""
    with pytest.raises(InvalidInput, match=r"to publish over MQTT|sessions of the ingest"):
        check_device(name)
    plain, _ = store.create_device_token(name)
    logins = DeviceLogins(bytes(32))
    assert Admission(logins=logins, tokens=store).admit(name, plain) is None


def test_a_seed_is_read_as_nats_writes_it() -> None:
    """One of another kind, a mistyped one and anything else are refused, and not shown."""
    seed = "SAAHPJUCRLTIUVMKUN2OEAB2JQU6NGUHQ6EDFHOWBA5XM2Z24HPKQSJUZU"
    for wrong in ("", "SA", "Ü", seed[:-1], seed.replace("SA", "SU", 1), "A" * 58):
        with pytest.raises(SettingsError, match="AUTH_CALLOUT_SEED") as caught:
            AccountKey.of_seed(wrong)
        assert not wrong[2:] or wrong not in str(caught.value)
    key = AccountKey()
    assert (key.seed[:2], key.public[0]) == ("SA", "A")
    assert (len(key.seed), len(key.public)) == (58, 56)
    assert AccountKey.of_seed(f" {key.seed}\n").public == key.public


def test_a_seed_may_be_random_bytes_of_a_script() -> None:
    """32 in Base64, as `openssl rand -base64 32` writes them: the key that NATS' seed has too."""
    raw = bytes(range(32))
    text = base64.b64encode(raw).decode()
    assert AccountKey.of_seed(f"{text}\n").seed == AccountKey(raw).seed
    for wrong in (base64.b64encode(raw[:31]).decode(), f"!{text[1:]}", text.rstrip("=")):
        with pytest.raises(SettingsError, match="32 random bytes in Base64"):
            AccountKey.of_seed(wrong)
