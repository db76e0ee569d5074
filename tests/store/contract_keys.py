"""What every store does with API keys and runs."""

from __future__ import annotations

import string

import pytest
from backends import Backend
from records import at

from geotarget.errors import InvalidInput, NotFound
from geotarget.store import SCOPES, Store

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
