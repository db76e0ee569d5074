"""``/v1/events``: the catalogue of events, for tools that read schemas."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, RootModel

from geotarget.api.services import Here
from geotarget.events import asyncapi


class EventsAnswer(RootModel[dict[str, Any]]):
    """An AsyncAPI 3 document."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"asyncapi": "3.0.0", "channels": {}, "operations": {}}]}
    )


def list_events(here: Here) -> EventsAnswer:
    """Show the event catalogue.

    Every type of webhook and every MQTT payload with its schema, as an AsyncAPI 3 document. It
    needs no key.
    """
    return EventsAnswer(asyncapi(here.services.version))
