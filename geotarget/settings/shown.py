"""What the console shows of the settings: those that people meet without having set them.

Chosen one by one, because most say how the process runs, and some are secrets: those are never
shown, nor are paths and addresses, of which only is told whether there is one.
"""

from __future__ import annotations

from pydantic import BaseModel

from geotarget.api import OperatorSetting
from geotarget.model import Cap, Hours

SHOWN: dict[str, tuple[str, ...]] = {
    "retention": (
        "retention_history_days",
        "retention_deliveries_days",
        "retention_conversions_days",
        "retention_behaviour_days",
        "retention_tombstones_days",
        "reach_days",
        "dead_letters",
        "rules_forget_s",
    ),
    "offers": (
        "offer_caps",
        "quiet_hours",
        "offers_per_transition",
        "offer_max_age_s",
        "minimum_audience",
        "phone_region",
    ),
    "webhooks": (
        "webhook_positions",
        "webhook_allow_cidrs",
        "webhook_disable_after_s",
        "webhook_endpoint_concurrency",
        "webhook_concurrency",
    ),
    "access": (
        "tls_certificate",
        "mqtt",
        "mqtt_device_access",
        "api_rate_per_s",
        "api_wrong_keys",
        "open_metrics",
    ),
}
"""Names of settings by what they are about, in the order in which they are shown."""

WHETHER = frozenset({"tls_certificate", "mqtt"})
"""Of these only is told whether they are set."""


def shown(settings: BaseModel) -> tuple[OperatorSetting, ...]:
    """Return what anybody who may administer is told of the settings.

    Parameters
    ----------
    settings
        Those of the process.
    """
    fields = type(settings).model_fields
    return tuple(
        OperatorSetting(
            variable=f"GEOTARGET_{name.upper()}",
            about=about,
            value=_written(name, getattr(settings, name)),
            default=_written(name, fields[name].default),
            meaning=fields[name].description or "",
        )
        for about, names in SHOWN.items()
        for name in names
    )


def _written(name: str, value: object) -> bool | float | str:
    """Return a value in the notation of its variable."""
    if name in WHETHER:
        return bool(value)
    if value is None:
        return ""
    if isinstance(value, Hours):
        return f"{value.start}-{value.end}"
    if isinstance(value, tuple):
        return ",".join(_one(each) for each in value)
    return value if isinstance(value, bool | int | float | str) else str(value)


def _one(value: object) -> str:
    return f"{value.max}/{value.period_s}" if isinstance(value, Cap) else str(value)
