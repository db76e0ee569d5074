"""What must survive, in a database: see `store.Store` for the whole of it."""

from geotarget.store.database import sqlite_driver
from geotarget.store.history import DeliveryDetail, DeliveryRow, Totals
from geotarget.store.keys import SCOPES, ApiKey
from geotarget.store.pages import Page
from geotarget.store.schema import current_revision, migrate
from geotarget.store.store import Store

__all__ = [
    "SCOPES",
    "ApiKey",
    "DeliveryDetail",
    "DeliveryRow",
    "Page",
    "Store",
    "Totals",
    "current_revision",
    "migrate",
    "sqlite_driver",
]
