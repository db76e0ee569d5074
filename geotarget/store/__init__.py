"""What must survive, in a database: see `store.Store` for the whole of it."""

from geotarget.store.audit import AuditEntry
from geotarget.store.conversions import Recorded
from geotarget.store.device_tokens import DeviceToken, DeviceTokens
from geotarget.store.erasures import Erasure
from geotarget.store.feed import Moment, Place
from geotarget.store.history import DeliveryDetail, DeliveryRow, Totals
from geotarget.store.imports import ImportJob, RowProblem
from geotarget.store.keys import SCOPES, ApiKey
from geotarget.store.leases import Lease, SlotsLost, Standing, Taken, read_leases
from geotarget.store.opening import shown_url
from geotarget.store.pages import Page
from geotarget.store.replays import MOST_REPLAYED, Replay, Replayed
from geotarget.store.results import ConversionRow, ExposureRow, TallyRow
from geotarget.store.retention import Dropped, Keep
from geotarget.store.schema import current_revision, migrate
from geotarget.store.slot_logs import SlotLogs
from geotarget.store.sqlite import sqlite_driver
from geotarget.store.store import Store
from geotarget.store.turn import Turn

__all__ = [
    "MOST_REPLAYED",
    "SCOPES",
    "ApiKey",
    "AuditEntry",
    "ConversionRow",
    "DeliveryDetail",
    "DeliveryRow",
    "DeviceToken",
    "DeviceTokens",
    "Dropped",
    "Erasure",
    "ExposureRow",
    "ImportJob",
    "Keep",
    "Lease",
    "Moment",
    "Page",
    "Place",
    "Recorded",
    "Replay",
    "Replayed",
    "RowProblem",
    "SlotLogs",
    "SlotsLost",
    "Standing",
    "Store",
    "Taken",
    "TallyRow",
    "Totals",
    "Turn",
    "current_revision",
    "migrate",
    "read_leases",
    "shown_url",
    "sqlite_driver",
]
