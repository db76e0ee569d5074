"""What every store does when a person is erased: what goes, what stays, and who may come again."""

from __future__ import annotations

import json
import threading
from typing import Any

from backends import Backend
from records import at, attempt, batch, decision, delivery, member, trace, transition
from recounted import every, stored
from structlog.testing import capture_logs

from geotarget.model import BatchWrite, Conversion, Profile, Rejected
from geotarget.store import Keep, Store, tombstones
from geotarget.store.database import cursor_of
from geotarget.store.erasures import ROWS_AT_ONCE

DAY_MS = 86_400_000
STATE = 8
DEADLINE_S = 60


def states(store: Store) -> dict[str, bytes]:
    """Return the state of every device."""
    devices, block = store.load_devices()
    width = len(block) // len(devices) if devices else 0
    return {each: block[at * width : (at + 1) * width] for at, each in enumerate(devices)}


def members(store: Store) -> list[tuple[str, str]]:
    """Return all memberships."""
    return sorted((each.device, each.zone) for each in store.load_members())


def letter(source: str, payload: bytes = b"{}") -> Rejected:
    """Return a dead letter."""
    return Rejected(source, payload, "json", "is no JSON", at(1))


def names(rows: list[Any]) -> list[str]:
    """Return whose rows these are."""
    return sorted({each.device for each in rows})


class ErasureContract:
    """Erasure of a person, with its devices."""

    def test_everything_of_its_devices_goes(self, store: Store) -> None:
        """History, state, deliveries in any state with bodies and attempts; others keep theirs."""
        store.put_profile(Profile("aino", devices=("phone-1", "phone-2")))
        for number in range(40):
            store.write_batch(batch(number, traces=[trace(number)]))
        sent = [delivery(number) for number in (1, 2, 3)]
        ends = ("delivered", "failed", "delivered")
        store.mark([attempt(each, state=end) for each, end in zip(sent, ends, strict=True)])
        before, sums = store.counts(), {k: stored(store)[k] for k in ("tally", "spent", "sent")}
        erased = store.erase_profile("aino", by="ann")
        assert erased is not None
        assert 2 == erased.devices
        assert {
            "attempts": 2, "behaviour": 2, "caps": 2, "decisions": 16, "deliveries": 16,
            "exposures": 2, "links": 2, "memberships": 6, "profiles": 1, "states": 2, "traces": 16,
            "transitions": 16,
        } | {"caps": 4, "exposures": 4} == erased.counts  # fmt: skip
        others = ["phone-0", "phone-3", "phone-4"]
        for name in ("transitions_page", "decisions_page", "deliveries_page"):
            rows = every(store, name)
            assert (others, 24) == (names(rows), len(rows))
        assert others == sorted(states(store))
        assert others == sorted({device for device, _ in members(store)})
        assert [] == store.traces("phone-1")
        with store._database.read() as connection:
            for table in ("delivery_body", "attempt"):
                left = (
                    f"SELECT count(*) FROM {table} WHERE delivery NOT IN (SELECT seq FROM delivery)"
                )
                assert (0,) == cursor_of(connection).execute(left).fetchone()
        after = store.counts()
        assert (23, 1, 0) == (
            after.deliveries_pending, after.deliveries_delivered, after.deliveries_failed,
        )  # fmt: skip
        assert (before.transitions, before.attempts) == (after.transitions, after.attempts)
        assert sums == {name: stored(store)[name] for name in sums}
        assert None is store.erase_profile("aino", by="ann")

    def test_numbers_are_not_given_twice(self, store: Store) -> None:
        """Also when the last row of a list is the person's: lists are read on by their numbers."""
        for number in range(5):
            store.write_batch(batch(number))
        store.mark([attempt(delivery(4))])
        last = store.transitions_page(limit=1)
        assert ["phone-4"] == names(last.items)
        assert store.erase_profile("phone-4")
        store.write_batch(batch(5))
        assert ["phone-0"] == names(store.transitions_page(limit=1).items)
        assert 4 == len(store.transitions_page(limit=4, cursor=last.next).items)
        assert () == store.delivery(delivery(5).webhook_id)[0].attempts

    def test_a_long_history_goes_in_pieces(self, store: Store) -> None:
        """Others write in between; what comes meanwhile goes with the rest, and all is counted."""
        count = 2 * ROWS_AT_ONCE + 77
        for start in range(0, count, 500):
            numbers = range(start, min(start + 500, count))
            moved = [transition(n, device=f"phone-{n % 2}") for n in numbers]
            made = [decision(n, device=f"phone-{n % 2}", profile="x") for n in numbers]
            store.write_batch(BatchWrite(transitions=moved, decisions=made))
        begun, stop = threading.Event(), threading.Event()
        written: list[int] = []

        def keep_writing() -> None:
            while not stop.is_set():
                number = count + len(written)
                store.write_batch(BatchWrite(transitions=[transition(number, device="phone-0")]))
                written.append(number)
                begun.set()

        writer = threading.Thread(target=keep_writing)
        writer.start()
        assert begun.wait(DEADLINE_S)
        before = len(written)
        erased = store.erase_profile("phone-1")
        between = len(written) - before
        stop.set()
        writer.join(DEADLINE_S)
        assert erased is not None
        assert between > 2
        assert (count // 2, count // 2) == (
            erased.counts["transitions"], erased.counts["decisions"],
        )  # fmt: skip
        left = every(store, "transitions_page")
        assert (["phone-0"], count - count // 2 + len(written)) == (names(left), len(left))

    def test_the_log_of_states_goes_on_without_it(self, backend: Backend) -> None:
        """Whoever erases: the process that writes, or another; folding brings nobody back."""
        for other in (False, True):
            writer = backend.open(log_rows=6)
            eraser = backend.open() if other else writer
            for number in range(20):
                writer.write_batch(batch(number))
            known = states(writer)
            together = BatchWrite(
                devices=["phone-0", "phone-1", "phone-2"],
                device_states=b"".join(bytes([n]) * STATE for n in range(3)),
                members_put=[member(f"phone-{n}", "zone-9", n) for n in range(3)],
                members_removed=[("phone-1", "zone-1"), ("phone-2", "zone-1")],
            )
            writer.write_batch(together)
            assert eraser.erase_profile("phone-1")
            expected = known | {f"phone-{n}": bytes([n]) * STATE for n in (0, 2)}
            del expected["phone-1"]
            assert expected == states(writer)
            inside = members(writer)
            assert "phone-1" not in {device for device, _ in inside}
            assert ("phone-0", "zone-9") in inside
            for number in range(100, 130):  # until all of it is folded
                each = batch(number) if number % 5 != 1 else BatchWrite()
                writer.write_batch(each)
            assert "phone-1" not in states(writer)
            assert "phone-1" not in {device for device, _ in members(writer)}
            assert set(expected) == set(states(writer))
            writer.write_batch(batch(131))
            assert (131).to_bytes(8, "big") == states(writer)["phone-1"]
            assert [("phone-1", "zone-2")] == [e for e in members(writer) if e[0] == "phone-1"]
            assert writer.erase_profile("phone-1")

    def test_what_names_the_profile_about_a_device_that_moved_on(self, store: Store) -> None:
        """Decisions and webhooks of a device that belongs to somebody else by now go too."""
        told = {"profile": {"id": "aino", "attributes": {}}}
        other = {"profile": {"id": "onni", "attributes": {}}}
        bodies = [json.dumps(each, separators=(",", ":")).encode() for each in (told, other)]
        store.put_profiles([Profile("aino", {"n": 1}), Profile("onni", devices=("phone-1",))])
        store.write_batch(
            BatchWrite(
                transitions=[transition(1), transition(6)],
                decisions=[decision(1, profile="aino"), decision(6, profile="onni")],
                deliveries=[delivery(1, body=bodies[0]), delivery(6, body=bodies[1])],
                profiles={"phone-1": "onni"},
            )
        )
        erased = store.erase_profile("aino")
        assert erased is not None
        assert (1, 1, 0) == (
            erased.counts["decisions"], erased.counts["deliveries"],
            erased.counts.get("transitions", 0),
        )  # fmt: skip
        assert [decision(6).id] == [each.id for each in store.decisions_page().items]
        assert [delivery(6).webhook_id] == [e.webhook_id for e in store.deliveries_page().items]
        assert 2 == len(store.transitions_page().items)

    def test_dead_letters_of_its_devices_go(self, store: Store) -> None:
        """By topic, by ping, and anywhere in a request that was refused as a whole."""
        phone = 'päi"vä'
        others = [letter("pings/phone-10"), letter("http", b'[{"device": "phone-10"}]')]
        store.put_profile(Profile("aino", devices=("phone-1", phone, "anna/phone")))
        store.write_batch(
            BatchWrite(
                rejected=[
                    letter("pings/phone-1"),
                    letter("owntracks/anna/phone"),
                    letter("intake", json.dumps({"device": phone}).encode()),
                    letter("http", json.dumps([{"device": phone}], ensure_ascii=False).encode()),
                    letter("http", b'[{"device": "phone-10"}, {"device": "phone-1"}, '),
                    *others,
                ]
            )
        )
        erased = store.erase_profile("aino")
        assert erased is not None
        assert 5 == erased.counts["dead_letters"]
        assert others == store.dead_letters_page().items[::-1]

    def test_a_receipt_names_nobody(self, store: Store) -> None:
        """It can be read later; the audit log has a digest in place of the id, and is unbroken."""
        store.put_profile(Profile("aino", {"n": 1}, devices=("phone-1",)))
        store.put_profile(Profile("onni"))
        first, second = (store.erase_profile(each, by="ann") for each in ("aino", "onni"))
        assert first is not None
        assert second is not None
        assert (first, second) == (store.erasure(first.id), store.erasure(second.id))
        page = store.erasures_page(limit=1)
        assert [second] == page.items
        assert [first] == store.erasures_page(limit=1, cursor=page.next).items
        assert None is store.erasure("erasure_unknown")
        (_, entry) = store.audit_page().items
        assert ("ann", "profile.erase", first.id) == (entry.actor, entry.action, entry.subject)
        assert entry.digest.hex() == first.audit
        assert "" == store.verify_audit().broken
        with store._database.write() as connection:
            named = tombstones.pseudonym(cursor_of(connection), tombstones.PROFILE, "aino")
            kept = cursor_of(connection).execute("SELECT receipt FROM erasure").fetchall()
        assert {"of": named} == entry.detail
        store.put_profile(Profile("aino", {}, {"news": True}), by="ann")
        assert ["profile.consent"] == [e.action for e in store.audit_page(subject="aino").items]
        for text in (*(row[0] for row in kept), first.id, named):
            assert "aino" not in text
            assert "phone-1" not in text
        assert None is store.erase_profile("phone-7", by="ann")

    def test_tombstones(self, store: Store) -> None:
        """They answer who asks for an id; a second erasure moves them, time drops them."""
        assert not store.has_tombstones()
        assert (0, b"", set()) == store.tombstones_after(0)
        store.put_profile(Profile("aino", devices=("phone-1",)))
        first = store.erase_profile("aino")
        assert first is not None
        assert {"phone-1": first.erased_ms, "aino": first.erased_ms} == store.erased_devices(
            ["phone-1", "aino", "phone-2"]
        )
        last, key, digests = store.tombstones_after(0)
        assert (store.last_erasure(), 1) == (last, last)
        assert tombstones.digest_of(key, tombstones.DEVICE, "phone-1") in digests
        store.write_batch(batch(1))
        second = store.erase_profile("phone-1")
        assert second is not None
        assert {"phone-1": second.erased_ms} == store.erased_devices(["phone-1"])
        assert set() == store.tombstones_after(2)[2]
        assert store.tombstones_after(1)[2]
        store._now_ms = lambda: second.erased_ms + 3 * DAY_MS
        assert [] == list(store.drop_old(Keep(tombstones=4)))
        assert {4} == {step.rows for step in store.drop_old(Keep(tombstones=2))}
        assert ({}, False) == (store.erased_devices(["phone-1"]), store.has_tombstones())
        assert (2, 2) == (store.last_erasure(), len(store.erasures_page().items))

    def test_conversions_from_before_do_not_bring_it_back(self, store: Store) -> None:
        """By profile or device; what happens later, and whatever somebody else buys, counts."""
        store.put_profile(Profile("aino", devices=("phone-1",)))
        erased = store.erase_profile("aino")
        assert erased is not None
        ms = erased.erased_ms
        given = [
            Conversion("a", "aino", ms, ms + 5),
            Conversion("b", "", ms - 1, ms + 5, device="phone-1"),
            Conversion("c", "aino", ms + 1, ms + 5),
            Conversion("d", "", ms + 1, ms + 5, device="phone-1"),
            Conversion("e", "onni", ms, ms + 5),
        ]
        done = store.record_conversions(given)
        assert ["refused", "refused", "new", "new", "new"] == [each.state for each in done]
        assert "its profile was erased after it happened" == done[0].problem
        assert ["c", "d", "e"] == sorted(each.id for each in store.conversions_page().items)

    def test_a_device_in_conversions_of_somebody_else(self, store: Store) -> None:
        """It is named no more; the conversion stays theirs."""
        store.put_profile(Profile("onni", devices=("phone-1",)))
        store.record_conversions([Conversion("a", "", at(1), at(1), device="phone-1")])
        store.put_profile(Profile("aino", devices=("phone-1",)))
        assert store.erase_profile("aino")
        (left,) = store.conversions_page().items
        assert ("onni", "") == (left.profile, left.device)

    def test_an_attempt_that_was_under_way(self, store: Store) -> None:
        """What comes of it is noted nowhere, without a warning; it is not tried again."""
        store.write_batch(batch(1))
        (claimed,) = store.claim(now_ms=at(1), limits={"crm": 9}, lease_ms=1_000)
        assert store.erase_profile("phone-1")
        failed = attempt(delivery(1), state="pending", next_attempt_ms=at(5))
        with capture_logs() as logs:
            store.mark([failed])
        assert {"info"} == {each["log_level"] for each in logs}
        assert [] == store.claim(now_ms=at(9_999), limits={"crm": 9}, lease_ms=1_000)
        assert (0, None) == store.outbox_size()
        assert [] == store.delivery(claimed.webhook_id)
