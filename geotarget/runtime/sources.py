"""Where the ingest's pings come from: one session with the broker, or one for each slot it owns.

With one session it is noted in the store how the last run ended: after an unclean end what was not
acknowledged comes again, and is held for. With slots the lease of each says so (`slot_keeper`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from geotarget.errors import SettingsError
from geotarget.ingest import EmbeddedBroker, Intake, MqttSource, SlotSource
from geotarget.ingest.slots import ALL_SLOTS, parse_slots, slots_of
from geotarget.owned_slots import OwnedSlots
from geotarget.runtime.slot_keeper import SlotKeeper, worker_name
from geotarget.settings import Settings
from geotarget.store import Store

ROLE = "ingest"

Source = MqttSource | SlotSource


@dataclass(frozen=True, slots=True)
class SlotWork:
    """What a worker with slots has beside its source."""

    owned: OwnedSlots
    keeper: SlotKeeper


def wanted_slots(settings: Settings) -> frozenset[int]:
    """Return the slots that this process may take; empty means one session for everything.

    Raises
    ------
    SettingsError
        They can't be read, or can't be had here.
    """
    if not settings.slots:
        return frozenset()
    slots = parse_slots(settings.slots)
    if not settings.mqtt:
        raise SettingsError(
            "slots need a broker that all workers reach: name it with --mqtt or GEOTARGET_MQTT"
        )
    return ALL_SLOTS if slots is None else slots


def share_slots(settings: Settings, store: Store, poke: Callable[[], None]) -> SlotWork | None:
    """Return what keeps this worker's slots, not started yet; None when it works alone.

    Parameters
    ----------
    poke
        Has the pipeline look for errands.
    """
    among = wanted_slots(settings)
    if not among:
        return None
    owner = worker_name()
    owned = OwnedSlots(store, owner, slots_of)
    return SlotWork(owned, SlotKeeper(store, owned, poke=poke, owner=owner, among=among))


def open_source(
    settings: Settings,
    intake: Intake,
    store: Store,
    *,
    broker: EmbeddedBroker | None,
    url: str,
    trust: ssl.SSLContext | None,
    ack_wait_s: float,
) -> Source:
    """Return where pings come from, not started yet; the run is noted in the store."""
    if wanted_slots(settings):
        return SlotSource(
            url,
            intake,
            keepalive_s=settings.mqtt_keepalive_s,
            ack_wait_s=ack_wait_s,
            tls=trust,
            nats=settings.nats_admin,
        )
    return MqttSource(
        url,
        intake,
        client_id=broker.client_id if broker else settings.mqtt_client_id,
        keepalive_s=settings.mqtt_keepalive_s,
        ack_wait_s=ack_wait_s,
        clean=store.start_run(ROLE),
        tls=trust,
        mqtt5=broker is None,
    )


def begin(source: Source, work: SlotWork | None) -> None:
    """Begin to fetch: from the one session, or from slots as they are taken."""
    source.start()
    if work is not None and isinstance(source, SlotSource):
        work.keeper.start(source)


def note_end(store: Store, source: Source, work: SlotWork | None, *, clean: bool) -> None:
    """Note which sessions were left clean; `clean` is what the source's `stop` said."""
    if isinstance(source, SlotSource):
        if work is not None:
            work.keeper.leave(source.clean)
    elif clean:
        store.end_run(ROLE)
