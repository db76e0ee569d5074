"""The composition root: builds the rooms from the settings and runs them as processes."""

from geotarget.runtime.commands import deliver, ingest, serve, up

__all__ = ["deliver", "ingest", "serve", "up"]
