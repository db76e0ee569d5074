"""What every store does with tokens of devices."""

from __future__ import annotations

import string

import pytest
from backends import Backend
from records import at

from geotarget.errors import Conflict, InvalidInput, NotFound
from geotarget.model import Profile
from geotarget.store import Store
from geotarget.store.device_tokens import KEPT_MS, MOST_LIVE, USED_EVERY_MS


class DeviceTokensContract:
    """Tokens of devices."""

    def test_life_of_a_token(self, backend: Backend) -> None:
        """It is recognised for its device until it expires or is revoked."""
        store = backend.open(now_ms=lambda: at(0))
        plain, token = store.create_device_token("phone-1", name="Pixel", expires_ms=at(100))
        assert plain.startswith(f"gt_dev_{token.id}_")
        assert set(plain) <= set(string.ascii_letters + string.digits + "_")
        assert token == store.find_device_token("phone-1", plain, at(99))
        assert [token] == store.device_tokens("phone-1")
        assert None is store.find_device_token("phone-2", plain, at(1))
        assert None is store.find_device_token("phone-1", plain, at(100))
        store.revoke_device_token("phone-1", token.id)
        store.revoke_device_token("phone-1", token.id)
        assert None is store.find_device_token("phone-1", plain, at(1))
        assert at(0) == store.device_tokens("phone-1")[0].revoked_ms

    def test_only_its_own_device_may_be_named(self, store: Store) -> None:
        """Who revokes a token names the device that it is of; else there is none."""
        plain, token = store.create_device_token("phone-1")
        for device, id in (("phone-2", token.id), ("phone-1", "nobody")):
            with pytest.raises(NotFound, match="no token of this device"):
                store.revoke_device_token(device, id)
        assert store.find_device_token("phone-1", plain, at(0)) is not None
        assert [] == store.device_tokens("phone-2")

    def test_two_tokens_while_one_replaces_the_other(self, store: Store) -> None:
        """Each works for itself; the old one is revoked once the phone has the new one."""
        old, first = store.create_device_token("phone-1")
        new, second = store.create_device_token("phone-1")
        store.revoke_device_token("phone-1", first.id)
        assert None is store.find_device_token("phone-1", old, at(0))
        assert second == store.find_device_token("phone-1", new, at(0))

    def test_no_more_than_so_many_work(self, backend: Backend) -> None:
        """The message says what to do; what has expired or was revoked does not count."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        made = [store.create_device_token("phone-1", expires_ms=at(60)) for _ in range(MOST_LIVE)]
        with pytest.raises(Conflict, match=f"has {MOST_LIVE} tokens that work.*revoke one"):
            store.create_device_token("phone-1", by="ann")
        assert [] == store.audit_page().items
        store.create_device_token("phone-2")
        store.revoke_device_token("phone-1", made[0][1].id)
        store.create_device_token("phone-1")
        now[0] = at(60)
        store.create_device_token("phone-1")
        assert MOST_LIVE + 2 == len(store.device_tokens("phone-1"))

    def test_what_ended_long_ago_goes_with_the_next_one(self, backend: Backend) -> None:
        """So the list of a device stays short; nobody else's is looked at."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        store.create_device_token("phone-1", expires_ms=at(1))
        _, revoked = store.create_device_token("phone-1")
        store.revoke_device_token("phone-1", revoked.id)
        store.create_device_token("phone-2", expires_ms=at(1))
        _, live = store.create_device_token("phone-1")
        now[0] = at(1) + KEPT_MS + 1
        _, new = store.create_device_token("phone-1")
        assert [live, new] == store.device_tokens("phone-1")
        assert 1 == len(store.device_tokens("phone-2"))

    def test_uses_are_noted_together(self, store: Store) -> None:
        """To ten minutes, for many at once; one that is gone is no error."""
        (_, one), (_, other) = (store.create_device_token(f"phone-{n}") for n in (1, 2))
        store.note_token_uses({})
        store.note_token_uses({one.id: at(5), other.id: at(6), "gone": at(7)})
        store.note_token_uses({one.id: at(5) + USED_EVERY_MS - 1, other.id: at(6) + USED_EVERY_MS})
        used = [store.device_tokens(f"phone-{n}")[0].last_used_ms for n in (1, 2)]
        assert [at(5), at(6) + USED_EVERY_MS] == used

    def test_what_was_revoked_since(self, backend: Backend) -> None:
        """In order, for those who end connections."""
        now = [at(0)]
        store = backend.open(now_ms=lambda: now[0])
        ids = []
        for number in range(3):
            now[0] = at(number)
            _, token = store.create_device_token(f"phone-{number}")
            store.revoke_device_token(token.device, token.id)
            ids.append(token.id)
        assert [(ids[1], "phone-1"), (ids[2], "phone-2")] == store.revoked_tokens(at(0))
        assert [] == store.revoked_tokens(at(2))

    def test_wrong_tokens(self, store: Store) -> None:
        """Nothing but the token itself is taken for it; an API key is none."""
        plain, token = store.create_device_token("phone-1")
        other, _ = store.create_device_token("phone-1")
        key, _ = store.create_key(name="till", scopes=["admin"])
        head = len("gt_dev_") + 12
        for wrong in (
            "", "gt_dev_", token.id, plain[:-1], plain + "0", plain.swapcase(), key,
            plain[:head] + other[head:], plain.replace("dev", "live"), "ä" * len(plain),
        ):  # fmt: skip
            assert None is store.find_device_token("phone-1", wrong, at(0)), wrong
        assert None is store.authenticate(plain, at(0))

    def test_plain_token_is_not_stored(self, backend: Backend) -> None:
        """No file of the database holds it."""
        store = backend.open()
        plain, _ = store.create_device_token("phone-1")
        store.close()
        assert not any(plain.rsplit("_", 1)[1].encode() in part for part in backend.bytes())

    def test_one_that_has_ended_already_is_not_made(self, backend: Backend) -> None:
        """It is refused by name, and nothing is written."""
        store = backend.open(now_ms=lambda: at(0))
        with pytest.raises(InvalidInput, match="expires_ms: must be in the future"):
            store.create_device_token("phone-1", expires_ms=at(0))
        assert [] == store.device_tokens("phone-1")

    def test_the_audit_log_names_nobody(self, store: Store) -> None:
        """The token by its id, the device by its pseudonym, and not what people call the phone."""
        plain, token = store.create_device_token("phone-1", name="Aino's phone", by="crm")
        store.revoke_device_token("phone-1", token.id, by="ann")
        store.revoke_device_token("phone-1", token.id, by="ann")
        revoked, made = store.audit_page().items
        assert ("crm", "device_token.create") == (made.actor, made.action)
        assert {"token": token.id, "expires_ms": None} == made.detail
        assert ("ann", "device_token.revoke", {"token": token.id}) == (
            revoked.actor, revoked.action, revoked.detail,
        )  # fmt: skip
        assert made.subject == revoked.subject
        for each in (made, revoked):
            assert not any(word in str(each) for word in ("phone-1", "Aino", plain))

    def test_tokens_of_a_person_go_with_the_person(self, store: Store) -> None:
        """Those of all devices; who is erased has no way in any more, others keep theirs."""
        store.put_profile(Profile("aino", devices=("phone-1", "phone-2")))
        plains = [store.create_device_token(f"phone-{n}")[0] for n in (1, 2, 3)]
        erased = store.erase_profile("aino", by="ann")
        assert erased is not None
        assert 2 == erased.counts["tokens"]
        assert [False, False, True] == [
            store.find_device_token(f"phone-{n}", plain, at(0)) is not None
            for n, plain in enumerate(plains, start=1)
        ]

    def test_a_device_that_has_nothing_but_a_token_can_be_erased(self, store: Store) -> None:
        """A token is something that is known of it."""
        store.create_device_token("phone-1")
        assert store.erase_profile("phone-1") is not None
        assert [] == store.device_tokens("phone-1")
        assert None is store.erase_profile("phone-1")
