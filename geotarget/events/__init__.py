"""The event catalogue: what comes in over MQTT and what goes out as webhooks, as schemas.

Made from typed models that tests hold against real bodies and against the decoder of pings, so a
page, a code generator and a contract test of a receiver can rely on it. Nothing here runs while
events are made: a webhook costs what it cost before.
"""

from geotarget.events.asyncapi import asyncapi
from geotarget.events.messages import EVENTS, PINGS
from geotarget.events.schemas import schema, schema_names

__all__ = ["EVENTS", "PINGS", "asyncapi", "schema", "schema_names"]
