"""The HTTP API: pings in, the catalogue and the history, for machines and the console.

Read `app` first: its table holds every route with what a key must allow. One module per resource;
`route` is what stands before every handler, `problems` how every error is told.

Names are imported when they are used: the processes that check zones (`quarantine`) import this
package too, and 30 MB is what they need, not the 170 of the whole.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geotarget.api.app import create_app
    from geotarget.api.auth import Scope
    from geotarget.api.broadcast import Scene
    from geotarget.api.health import create_watched
    from geotarget.api.services import (
        Check,
        Connection,
        Decode,
        Decoded,
        DeviceLogin,
        Intake,
        Limits,
        OperatorSetting,
        Services,
    )

__all__ = [
    "Check",
    "Connection",
    "Decode",
    "Decoded",
    "DeviceLogin",
    "Intake",
    "Limits",
    "OperatorSetting",
    "Scene",
    "Scope",
    "Services",
    "create_app",
    "create_watched",
]

_HOMES = {
    "create_app": "app",
    "create_watched": "health",
    "Scope": "auth",
    "Scene": "broadcast",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'services')}"), name)
