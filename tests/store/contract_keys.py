"""What every store does with API keys and runs."""

from __future__ import annotations

import string
import sys
from types import FrameType
from typing import Any

import pytest
from backends import Backend
from records import at

from geotarget.errors import Conflict, InvalidInput, NotFound
from geotarget.store import SCOPES, Store
from geotarget.store.keys import _checksum

MINUTE_MS = 60_000


class KeysContract:
    """API keys."""

    def test_life_of_a_key(self, backend: Backend) -> None:
        """A key is recognised until it expires or is revoked; its use is noted to the minute."""
        store = backend.open(now_ms=lambda: at(0))
        plain, key = store.create_key(name="till", scopes=["pings:write"], expires_ms=at(1000))
        assert plain.startswith(f"gt_live_{key.id}_")
        assert set(plain) <= set(string.ascii_letters + string.digits + "_")
        seen = store.authenticate(plain, at(1))
        assert seen is not None
        assert (key.id, "till", frozenset({"pings:write"})) == (seen.id, seen.name, seen.scopes)
        assert at(1) == store.keys()[0].last_used_ms
        store.authenticate(plain, at(1) + MINUTE_MS - 1)
        assert at(1) == store.keys()[0].last_used_ms
        store.authenticate(plain, at(1) + MINUTE_MS)
        assert at(1) + MINUTE_MS == store.keys()[0].last_used_ms
        assert None is store.authenticate(plain, at(1000))
        store.revoke_key(key.id)
        store.revoke_key(key.id)
        assert at(0) == store.keys()[0].revoked_ms
        assert None is store.authenticate(plain, at(2))
        with pytest.raises(NotFound, match="no API key"):
            store.revoke_key("nobody")

    def test_two_live_keys(self, store: Store) -> None:
        """Keys are independent: one can replace the other while both work."""
        old, first = store.create_key(name="till", scopes=["admin"])
        new, _ = store.create_key(name="till", scopes=["admin", "reports:read"])
        store.revoke_key(first.id)
        assert None is store.authenticate(old, at(0))
        assert store.authenticate(new, at(0)) is not None
        assert 2 == len(store.keys())

    def test_rotation_lets_both_work_for_a_while(self, backend: Backend) -> None:
        """The new key has name, scopes and life of the old one, which ends after the overlap."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        old, first = store.create_key(
            name="till", scopes=["pings:write", "zones:read"], expires_ms=at(10_000)
        )
        now[0] = at(1_000)
        new, second = store.rotate_key(first.id, overlap_ms=60_000, by="cli")
        assert (first.name, first.scopes) == (second.name, second.scopes)
        assert at(11_000) == second.expires_ms
        for plain in (old, new):
            assert store.authenticate(plain, at(1_059)) is not None
        assert None is store.authenticate(old, at(1_060))
        assert store.authenticate(new, at(1_060)) is not None
        entry = store.audit_page().items[0]
        assert ("key.rotate", first.id, "cli") == (entry.action, entry.subject, entry.actor)
        assert {"name": "till", "new": second.id, "old_expires_ms": at(1_060)} == entry.detail

    def test_rotation_never_prolongs_a_key(self, backend: Backend) -> None:
        """An overlap beyond its end changes nothing; one of zero ends it now, even for ever."""
        store = backend.open(now_ms=lambda: at(0))
        short, first = store.create_key(name="a", scopes=["admin"], expires_ms=at(10))
        store.rotate_key(first.id, overlap_ms=60_000)
        assert None is store.authenticate(short, at(10))
        lasting, second = store.create_key(name="b", scopes=["admin"])
        new, third = store.rotate_key(second.id, overlap_ms=0)
        assert None is store.authenticate(lasting, at(0))
        assert None is third.expires_ms
        assert store.authenticate(new, at(10**9)) is not None

    def test_what_is_over_is_not_rotated(self, backend: Backend) -> None:
        """Neither a revoked nor an expired key gives rise to one that works; nothing is written."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        _, revoked = store.create_key(name="a", scopes=["admin"])
        store.revoke_key(revoked.id)
        _, expired = store.create_key(name="b", scopes=["admin"], expires_ms=at(5))
        now[0] = at(5)
        with pytest.raises(Conflict, match="is revoked"):
            store.rotate_key(revoked.id, overlap_ms=0)
        with pytest.raises(Conflict, match="has expired"):
            store.rotate_key(expired.id, overlap_ms=0)
        with pytest.raises(NotFound, match="no API key"):
            store.rotate_key("nobody", overlap_ms=0)
        assert 2 == len(store.keys())

    def test_an_unknown_id_and_a_wrong_secret_are_the_same_work(self, store: Store) -> None:
        """Step by step the same calls in the same order: time does not tell which ids exist."""
        plain, key = store.create_key(name="till", scopes=["admin"])
        secret = plain.rpartition("_")[2][:-6]
        wrong, unknown = (
            body + _checksum(body)
            for body in (f"gt_live_{key.id}_{'0' * 43}", f"gt_live_{'0' * 12}_{secret}")
        )
        assert [_steps(store, each) for each in (wrong, unknown)] == [_steps(store, wrong)] * 2
        assert "compare_digest" in _steps(store, unknown)
        assert _steps(store, plain) != _steps(store, wrong)

    def test_wrong_keys(self, store: Store) -> None:
        """Nothing but the key itself is taken for it."""
        plain, key = store.create_key(name="till", scopes=["admin"])
        other, _ = store.create_key(name="other", scopes=["admin"])
        swapped = plain[: len("gt_live_") + 12] + other[len("gt_live_") + 12 :]
        for wrong in (
            "", "gt_live_", key.id, plain[:-1], plain + "0", plain.swapcase(), swapped,
            plain.replace("live", "test"), "ä" * len(plain), "0" * len(plain),
        ):  # fmt: skip
            assert None is store.authenticate(wrong, at(0)), wrong
        for place in range(len(plain)):
            typo = plain[:place] + ("A" if plain[place] != "A" else "B") + plain[place + 1 :]
            assert None is store.authenticate(typo, at(0)), place

    def test_plain_key_is_not_stored(self, backend: Backend) -> None:
        """No file of the database holds the key."""
        store = backend.open()
        plain, _ = store.create_key(name="till", scopes=["admin"])
        secret = plain.rsplit("_", 1)[1].encode()
        store.close()
        assert not any(secret in part for part in backend.bytes())

    @pytest.mark.parametrize(
        ("path", "wrong"),
        [
            ("scopes[1]", {"scopes": ["admin", "everything"]}),
            ("scopes", {"scopes": []}),
            ("name", {"name": " "}),
            ("expires_ms", {"expires_ms": at(0)}),
        ],
    )
    def test_bad_keys_are_not_made(
        self, backend: Backend, path: str, wrong: dict[str, object]
    ) -> None:
        """An unknown scope, no scope, no name or a past expiry is refused by name."""
        store = backend.open(now_ms=lambda: at(0))
        with pytest.raises(InvalidInput) as caught:
            store.create_key(**{"name": "till", "scopes": ["admin"]} | wrong)
        assert [path] == [problem.path for problem in caught.value.problems]
        assert [] == store.keys()

    def test_every_scope(self, store: Store) -> None:
        """All scopes that are announced can be given."""
        plain, _ = store.create_key(name="all", scopes=SCOPES)
        assert frozenset(SCOPES) == store.authenticate(plain, at(0)).scopes


def _steps(store: Store, plain: str) -> list[str]:
    """Return the names of what is called, in our code and in C, to refuse or recognise a key."""
    store.authenticate(plain, at(0))  # whatever is made once is made now
    called: list[str] = []

    def note(frame: FrameType, event: str, what: Any) -> None:
        if frame.f_globals.get("__name__") == "geotarget.store.keys":
            if event == "call":
                called.append(frame.f_code.co_name)
            elif event == "c_call":
                called.append(what.__name__)

    sys.setprofile(note)
    try:
        store.authenticate(plain, at(0))
    finally:
        sys.setprofile(None)
    return called


class RunsContract:
    """The mark of a run."""

    def test_runs(self, backend: Backend) -> None:
        """The next run knows whether the last one of its role ended cleanly."""
        store = backend.open()
        assert store.start_run("ingest")
        assert not store.start_run("ingest")
        store.end_run("ingest")
        store.close()
        again = backend.open()
        assert again.start_run("ingest")
        assert again.start_run("deliver")
        assert not again.start_run("ingest")
