"""How devices log in: what an app's back end is told, and who answers a broker that asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from geotarget.api import DeviceLogin
from geotarget.errors import SettingsError
from geotarget.ingest import EmbeddedBroker
from geotarget.ingest.account_key import AccountKey
from geotarget.ingest.admission import Admission, check_device
from geotarget.ingest.auth_callout import QUEUE, AuthCallout
from geotarget.ingest.device_access import DeviceLogins
from geotarget.runtime.brokers import device_login, told_url
from geotarget.settings import Settings
from geotarget.store import Store


def password_login(
    settings: Settings, broker: EmbeddedBroker | None
) -> Callable[[str], DeviceLogin] | None:
    """Return what says how a device logs in with the password of its name; None: there is none.

    At one's own broker it works when that was told the passwords, as mosquitto is (`geotarget
    devices passwords`).
    """
    if broker is not None and broker.logins is not None:
        return partial(device_login, settings, broker.logins, port=broker.port)
    if settings.mqtt and settings.mqtt_device_access == "device" and not settings.auth_callout_url:
        return partial(device_login, settings, DeviceLogins.of(settings.data))
    return None


def token_login(
    settings: Settings, broker: EmbeddedBroker | None, url: str
) -> Callable[[str], DeviceLogin] | None:
    """Return what says how a device logs in with a token; None where nobody asks for tokens.

    Parameters
    ----------
    settings
        What the operator chose.
    broker
        The embedded one, if it runs here.
    url
        Where phones publish, unless the operator says that they reach it elsewhere.
    """
    asked = broker is not None and broker.logins is not None
    if not asked and not settings.auth_callout_url:
        return None
    return partial(_login, told_url(settings, url), settings.mqtt_prefix)


def _login(url: str, prefix: str, device: str) -> DeviceLogin:
    check_device(device)
    return DeviceLogin(
        url=url, topic=f"{prefix}/{device}", username=device, password="", client_id=device
    )


def start_callout(settings: Settings, store: Store) -> AuthCallout | None:
    """Begin to answer the auth callout of a NATS server or cluster that runs elsewhere.

    It goes on by itself until it reaches one; `health` of what is returned says whether it has.

    Returns
    -------
    AuthCallout or None
        None where `auth_callout_url` is not set.

    Raises
    ------
    SettingsError
        The seed is missing, or none.
    """
    if not settings.auth_callout_url:
        return None
    if not settings.auth_callout_seed:
        raise SettingsError(
            "GEOTARGET_AUTH_CALLOUT_URL is set without GEOTARGET_AUTH_CALLOUT_SEED:"
            " `geotarget devices issuer` makes one"
        )
    callout = AuthCallout(
        Admission(tokens=store),
        account=settings.auth_callout_account,
        prefix=settings.mqtt_prefix,
        key=AccountKey.of_seed(settings.auth_callout_seed),
        queue=QUEUE,
    )
    callout.follow(settings.auth_callout_url)
    return callout
