"""``geotarget devices``: how a device logs in at the embedded broker."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from geotarget.cli.options import Data, example, settings
from geotarget.errors import SettingsError

app = typer.Typer(
    help="Passwords of devices.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget devices credentials phone-17"),
)


@app.callback()
def _group() -> None:
    """Keep `credentials` a command of its own."""


@app.command(
    short_help="Print how a device logs in.",
    epilog=example("geotarget devices credentials phone-17"),
)
def credentials(
    device: Annotated[str, typer.Argument(metavar="ID", help="The device.")],
    *,
    data: Data = None,
) -> None:
    """Print address, topic, user, password and client id of a device as JSON.

    For brokers whose GEOTARGET_MQTT_DEVICE_ACCESS is "device". The password is worked out from the
    key in the data folder: nothing is stored, and the device need not be known.
    """
    from geotarget.ingest.device_access import DeviceLogins  # noqa: PLC0415
    from geotarget.runtime.brokers import device_login  # noqa: PLC0415 the help does not need it

    chosen = settings(data=data)
    if chosen.mqtt_device_access != "device":
        raise SettingsError(
            "devices have no passwords of their own: GEOTARGET_MQTT_DEVICE_ACCESS is"
            f" `{chosen.mqtt_device_access}`, not `device`"
        )
    login = device_login(chosen, DeviceLogins.of(chosen.data), device)
    typer.echo(json.dumps(asdict(login), indent=2))
