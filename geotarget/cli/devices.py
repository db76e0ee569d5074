"""``geotarget devices``: how devices log in, at the embedded broker or at one's own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geotarget.cli.options import Data, example, settings
from geotarget.errors import InvalidInput, Problem, SettingsError

if TYPE_CHECKING:
    from geotarget.settings import Settings

app = typer.Typer(
    help="How devices log in.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=example("geotarget devices credentials phone-17"),
)


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

    chosen = _with_passwords(data)
    login = device_login(chosen, DeviceLogins.of(chosen.data), device)
    typer.echo(json.dumps(asdict(login), indent=2))


@app.command(
    short_help="Write passwords of devices for mosquitto.",
    epilog=example(
        "geotarget devices passwords --mosquitto passwords phone-17 phone-18",
        "geotarget devices passwords --mosquitto passwords --list devices.txt",
    ),
)
def passwords(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="The devices.")
    ] = None,
    *,
    mosquitto: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Its password_file; made if missing. Other users' lines stay."
        ),
    ],
    listed: Annotated[
        Path | None,
        typer.Option("--list", metavar="FILE", help="More devices, one a line; - reads them here."),
    ] = None,
    data: Data = None,
) -> None:
    """Write the passwords of devices, hashed, into a password file of mosquitto.

    They are those of `geotarget devices credentials`. Mosquitto reads the file again at SIGHUP, and
    its list of rights lets each device write under its own name only.
    """
    from geotarget.ingest.broker_url import BrokerUrl  # noqa: PLC0415
    from geotarget.ingest.device_access import DeviceLogins  # noqa: PLC0415
    from geotarget.ingest.mosquitto_passwords import INGEST, write_passwords  # noqa: PLC0415

    chosen = _with_passwords(data)
    names = [*(devices or ()), *_lines(listed)]
    if not names:
        raise InvalidInput(Problem("ID", "", "name a device, or a file of them with --list"))
    user = BrokerUrl.parse(chosen.mqtt).username if chosen.mqtt else None
    try:
        count = write_passwords(
            mosquitto, DeviceLogins.of(chosen.data), names, ingest=user or INGEST
        )
    except OSError as error:
        raise InvalidInput(Problem("--mosquitto", str(mosquitto), str(error))) from error
    typer.echo(f"{count} {'device' if count == 1 else 'devices'} in {mosquitto}", err=True)


@app.command(
    short_help="Make the key that a NATS auth callout is answered with.",
    epilog=example(
        "geotarget devices issuer >> .env",
        "geotarget devices issuer --nats issuer/issuer.conf",
    ),
)
def issuer(
    *,
    nats: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the issuer as a file that the server's configuration includes.",
        ),
    ] = None,
) -> None:
    """Print a new seed for GEOTARGET_AUTH_CALLOUT_SEED and what NATS has to know of it.

    The seed is a secret; the issuer is public and goes into `auth_callout` of the server's
    configuration. When the variable is set already, only its issuer is printed, always the same.
    """
    from geotarget.ingest.account_key import AccountKey  # noqa: PLC0415 the help does not need it

    known = settings().auth_callout_seed
    key = AccountKey.of_seed(known) if known else AccountKey()
    if nats is not None:
        _write_issuer(nats, key.public)
    if not known:
        typer.echo(f"GEOTARGET_AUTH_CALLOUT_SEED={key.seed}")
    typer.echo(f"NATS_CALLOUT_ISSUER={key.public}")


def _write_issuer(file: Path, public: str) -> None:
    """Write what a configuration of NATS includes, whole or not at all: it holds no secret."""
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(f'# Who lets devices in.\nNATS_CALLOUT_ISSUER: "{public}"\n')
        new.replace(file)
    except OSError as error:
        raise InvalidInput(Problem("--nats", str(file), str(error))) from error


def _with_passwords(data: Path | None) -> Settings:
    """Return the settings, when devices have passwords of their own."""
    chosen = settings(data=data)
    if chosen.mqtt_device_access != "device":
        raise SettingsError(
            "devices have no passwords of their own: GEOTARGET_MQTT_DEVICE_ACCESS is"
            f" `{chosen.mqtt_device_access}`, not `device`"
        )
    return chosen


def _lines(file: Path | None) -> list[str]:
    """Return the lines of a file that are not empty."""
    if file is None:
        return []
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeError) as error:
        raise InvalidInput(Problem("--list", str(file), str(error))) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
