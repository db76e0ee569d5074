"""The HTTP API: pings in, the catalogue and the history, for machines and the console.

Read `app` first: its table holds every route with what a key must allow. One module per resource;
`route` is what stands before every handler, `problems` how every error is told.
"""

from geotarget.api.app import create_app
from geotarget.api.auth import Scope
from geotarget.api.services import Check, Decode, Decoded, Intake, Limits, Services

__all__ = ["Check", "Decode", "Decoded", "Intake", "Limits", "Scope", "Services", "create_app"]
