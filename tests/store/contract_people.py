"""What every store keeps of people: profiles, links, erasure, imports, and questions over all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from records import at, decision, delivery, trace, transition

from geotarget import sketches
from geotarget.errors import Conflict, InvalidInput
from geotarget.model import BatchWrite, Conversion, Footfall, Hours, Profile
from geotarget.profile_imports import import_profiles
from geotarget.store import Store, footfall

NDJSON = "application/x-ndjson"
DAY_MS = 86_400_000


class ProfilesContract:
    """Profiles and the devices that are linked to them."""

    def test_profiles(self, store: Store) -> None:
        """A profile is replaced whole, and forgotten whole."""
        first = Profile("phone-1", {"tier": "gold", "n": 2**70}, {"marketing": True})
        second = Profile("phone-1", {"name": "Aino"})
        assert None is store.profile("phone-1")
        assert first == store.put_profile(first)
        assert first == store.profile("phone-1")
        store.put_profile(second)
        assert second == store.profile("phone-1")
        assert store.erase_profile("phone-1")
        assert None is store.erase_profile("phone-1")
        assert None is store.profile("phone-1")
        assert 0 == store.catalog_revision()

    def test_profiles_of(self, store: Store) -> None:
        """Each device has a profile: what is stored under its id, or an empty one."""
        odd = Profile("quo\"te's [ä]", {"a": 1})
        store.put_profile(odd)
        store.put_profile(Profile("phone-1", {"tier": "gold"}))
        assert {
            "phone-1": Profile("phone-1", {"tier": "gold"}),
            "phone-2": Profile("phone-2"),
            odd.id: odd,
        } == store.profiles_of(["phone-1", "phone-2", odd.id])
        assert {} == store.profiles_of([])
        many = [f"phone-{number}" for number in range(40_000)]
        assert many == list(store.profiles_of(many))

    def test_all_of_a_profile_comes_back(self, store: Store) -> None:
        """External ids, devices in order and quiet hours too; devices once, however often named."""
        full = Profile(
            "aino",
            {"a": [1, {"b": None}]},
            {"marketing": True, "research": False},
            {"crm": "4711", "email": "aino@example.org"},
            ("phone-2", "phone-1"),
            Hours("22:00", "07:00"),
        )
        stored = store.put_profile(full)
        assert ("phone-1", "phone-2") == stored.devices
        assert stored == store.profile("aino")
        assert ("aino", full.external_ids, full.quiet_hours) == (
            stored.id,
            stored.external_ids,
            stored.quiet_hours,
        )

    def test_a_device_belongs_to_one_profile(self, store: Store) -> None:
        """Linking moves it; links stay when a change says nothing of them, and go with theirs."""
        store.put_profiles([Profile("aino", {"n": 1}, devices=("d1", "d2")), Profile("d3")])
        store.put_profile(Profile("onni", {"n": 2}, devices=("d2", "d3")))
        assert ("d1",) == store.profile("aino").devices
        assert {"d1": "aino", "d2": "onni", "d3": "onni", "d4": "d4"} == {
            device: each.id for device, each in store.profiles_of(["d1", "d2", "d3", "d4"]).items()
        }
        assert {"n": 2} == store.profiles_of(["d3"])["d3"].attributes
        kept = store.put_profile(Profile("onni", {"n": 3}), keep_links=True)
        assert (("d2", "d3"), {"n": 3}) == (kept.devices, kept.attributes)
        assert () == store.put_profile(Profile("onni")).devices
        assert ["d2", "d3"] == [each.id for each in store.profiles_of(["d2", "d3"]).values()]
        assert store.erase_profile("aino")
        assert Profile("d1") == store.profiles_of(["d1"])["d1"]

    def test_a_link_to_nothing_stored(self, store: Store) -> None:
        """A device of a profile without attributes has that profile, empty."""
        store.put_profile(Profile("aino", devices=("d1",)))
        assert Profile("aino") == store.profiles_of(["d1"])["d1"]

    def test_samples_are_those_written_last(self, store: Store) -> None:
        """To try offers on."""
        store.put_profiles([Profile(f"p{number}") for number in range(30)])
        assert 20 == len(store.some_profiles())
        assert [] == [each for each in store.some_profiles(3) if each.devices]

    def test_erasure_takes_everything_of_one_person(self, store: Store) -> None:
        """Behaviour, exposure, caps, places, webhooks of all devices; others keep theirs."""
        devices = ("phone-1", "phone-2")
        store.put_profiles([Profile("aino", {"n": 1}, devices=devices), Profile("onni")])
        of = {"phone-1": "aino", "phone-2": "aino", "phone-3": "onni"}
        decisions = [
            decision(number, campaign="buns", profile=of[f"phone-{number}"], day="2026-01-01",
                     counts_until_ms=at(number) + DAY_MS)
            for number in (1, 2, 3)
        ]  # fmt: skip
        plain = delivery(1, webhook_id="plain", type="transition.enter", campaign="")
        store.write_batch(
            BatchWrite(
                transitions=[transition(number) for number in (1, 2, 3)],
                decisions=decisions,
                deliveries=[*(delivery(number) for number in (1, 2, 3)), plain],
                traces=[trace(1)],
                profiles=of,
                footfall=[],
            )
        )
        bought = Conversion("receipt", "", at(4), at(4), device="phone-1", value_micros=5_000_000)
        (recorded,) = store.record_conversions([bought])
        assert ("aino", "buns") == (recorded.conversion.profile, recorded.conversion.campaign)
        assert 1 == store.behaviour("aino").purchases_total
        assert (4, at(1)) == store.outbox_size()

        assert store.erase_profile("aino", by="ann")
        assert (None, None) == (store.profile("aino"), store.behaviour("aino"))
        assert {"phone-1", "phone-2"} == {p.id for p in store.profiles_of(devices).values()}
        assert ["onni"] == store.people_ids()
        assert [] == store.traces("phone-1")
        left = {delivery(3).webhook_id}
        assert left == {each.webhook_id for each in store.deliveries_page().items}
        assert 1 == store.outbox_size()[0] == store.counts().deliveries_pending
        (row,) = store.exposures("buns")
        assert 1 == row.people
        with store.turn() as turn:
            asked = [("buns", "aino"), ("buns", "onni")]
            assert [("buns", "onni")] == list(turn.last_fired(asked))
        (conversion,) = store.conversions_page().items
        assert ("", "", "buns") == (conversion.profile, conversion.device, conversion.campaign)
        assert ["profile.erase"] == [each.action for each in store.audit_page().items]
        assert not store.erase_profile("aino", by="ann")

    def test_erasure_takes_what_a_device_did_before_it_was_linked(self, store: Store) -> None:
        """Unless a profile of its own is stored, which somebody else may have."""
        of = {f"phone-{number}": f"phone-{number}" for number in (1, 2)}
        moved = [transition(number) for number in (1, 2)]
        store.write_batch(BatchWrite(transitions=moved, profiles=of))
        store.put_profiles([Profile("phone-2"), Profile("aino", devices=("phone-1", "phone-2"))])
        assert store.erase_profile("aino")
        assert None is store.behaviour("phone-1")
        assert 1 == store.behaviour("phone-2").visits_total
        assert Profile("phone-2") == store.profile("phone-2")

    def test_erasure_leaves_the_counts_of_places(self, store: Store) -> None:
        """The devices of the person are in no sketch any more, others are."""
        salt = store.secret(footfall.SALT)
        hashes = [sketches.hash_of(device, salt) for device in ("phone-1", "phone-9")]
        sketch = sketches.sketch_of(np.array(hashes, np.uint64))
        today = store._now_ms() // DAY_MS
        seen = Footfall(1, today, sketches.to_bytes(sketch), [0] * 8, [0] * 8)
        store.write_batch(BatchWrite(footfall=[seen]))
        store.put_profile(Profile("aino", devices=("phone-1",)))
        assert store.erase_profile("aino")
        assert 0 == store.forget_footfall("phone-1")
        assert 1 == store.forget_footfall("phone-9")


class PeopleContract:
    """Questions over all people."""

    def test_people_are_profiles_and_those_who_were_seen(self, store: Store) -> None:
        """A linked device is nobody of its own; everybody comes once, with what they did."""
        store.put_profiles([Profile("aino", {"n": 1}, devices=("phone-1",)), Profile("onni")])
        of = {f"phone-{number}": f"phone-{number}" for number in (1, 2, 3)}
        store.write_batch(
            BatchWrite(transitions=[transition(number) for number in (1, 2, 3)], profiles=of)
        )
        ids = store.people_ids()
        assert ["aino", "onni", "phone-2", "phone-3"] == sorted(ids)
        assert 4 == store.people_count()
        people = {profile.id: (profile, told) for profile, told in store.people(ids)}
        assert sorted(ids) == sorted(people)
        assert ({"n": 1}, 0) == (people["aino"][0].attributes, people["aino"][1].visits_total)
        assert ({}, 1) == (people["phone-2"][0].attributes, people["phone-2"][1].visits_total)
        assert None is store.behaviour("aino")
        assert 1 == store.behaviour("phone-2").visits_total

    def test_a_sample_is_fair_and_repeatable(self, store: Store) -> None:
        """Each of many people has the same chance; one seed gives one sample."""
        store.put_profiles([Profile(f"p{number:04}") for number in range(1_000)])
        sample = store.people_ids(most=300, seed=5)
        assert sample == store.people_ids(most=300, seed=5)
        assert 300 == len(set(sample))
        assert sample != store.people_ids(most=300, seed=6)
        middle = sum(each < "p0500" for each in sample)
        assert 110 < middle < 190
        assert 1_000 == len(store.people_ids(most=1_000))


class ImportsContract:
    """Imports: durable in pieces, resumable, never mixed up."""

    def test_an_import_that_is_cut_off_goes_on(self, store: Store) -> None:
        """What is done is done; the same file again stores the rest, and nothing twice."""
        lines = [b'{"id": "p%d", "attributes": {"n": %d}}\n' % (n, n) for n in range(1_700)]

        def cut_off() -> Iterator[bytes]:
            yield b"".join(lines[:1_200])
            raise ConnectionError("gone")

        with pytest.raises(ConnectionError):
            import_profiles(store, "crm", cut_off(), media=NDJSON)
        job = store.import_job("crm")
        assert ("stopped", 1_000, 1_000) == (job.state, job.rows, job.stored)
        assert None is store.profile("p1100")
        store.put_profile(Profile("p5", {"n": "changed since"}))
        done = import_profiles(store, "crm", [b"".join(lines)], media=NDJSON, by="ann")
        assert ("done", 1_700, 1_700, 0) == (done.state, done.rows, done.stored, done.refused)
        assert {"n": "changed since"} == store.profile("p5").attributes
        assert {"n": 1_699} == store.profile("p1699").attributes
        assert done == store.import_job("crm")
        again = import_profiles(store, "crm", lines, media=NDJSON)
        assert done == again

    def test_another_file_under_the_same_id_is_refused(self, store: Store) -> None:
        """With how far it was the same; a shorter one too. The job stays as it is."""
        lines = [b'{"id": "p%d"}\n' % number for number in range(600)]
        done = import_profiles(store, "crm", lines, media=NDJSON)
        other = [b'{"id": "other"}\n', *lines[1:]]
        with pytest.raises(Conflict, match="the first 600 rows are not those"):
            import_profiles(store, "crm", other, media=NDJSON)
        with pytest.raises(Conflict, match=r"600 rows were imported.*this file has 10"):
            import_profiles(store, "crm", lines[:10], media=NDJSON)
        assert done == store.import_job("crm")
        assert None is store.profile("other")

    def test_two_senders_of_one_import(self, store: Store) -> None:
        """One goes on, the other is told; no row is counted twice."""
        lines = [b'{"id": "p%d"}\n' % number for number in range(1_000)]

        def overtaken() -> Iterator[bytes]:
            yield b"".join(lines[:600])
            import_profiles(store, "crm", lines, media=NDJSON)
            yield b"".join(lines[600:])

        with pytest.raises(Conflict, match="by somebody else"):
            import_profiles(store, "crm", overtaken(), media=NDJSON)
        job = store.import_job("crm")
        assert ("done", 1_000, 1_000) == (job.state, job.rows, job.stored)

    def test_problems_are_kept_up_to_a_bound_and_counted_beyond(self, store: Store) -> None:
        """The first thousand with line, path, value and reason; good rows are stored."""
        lines = [b'{"id": ""}\n', *(b'{"id": "p%d"}\n' % n for n in range(10))] * 150
        job = import_profiles(store, "crm", lines, media=NDJSON)
        assert (1_650, 1_500, 150) == (job.rows, job.stored, job.refused)
        assert list(range(1, 1_650, 11)) == [each.line for each in job.problems]
        job = import_profiles(store, "bad", [b"{}\n"] * 1_200, media=NDJSON)
        assert (0, 1_200, 1_000) == (job.stored, job.refused, len(job.problems))
        first = store.import_job("bad").problems[0]
        assert (1, "$.id", "", "is required, as text") == (
            first.line, first.path, first.value, first.reason,
        )  # fmt: skip

    def test_what_can_not_be_read_on_stops_it(self, store: Store) -> None:
        """The rows before it are stored, and the reason is told."""
        lines = [b'{"id": "p%d"}\n' % number for number in range(500)]
        with pytest.raises(InvalidInput, match="line 501: a row may have 262144 bytes"):
            import_profiles(store, "crm", [*lines, b"x" * (300 << 10)], media=NDJSON)
        assert ("stopped", 500) == (store.import_job("crm").state, store.import_job("crm").rows)
