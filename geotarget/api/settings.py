"""``/v1/settings``: what the operator has set that others meet, to be read by administrators.

Only what helps to understand what happens: how long what is kept, and what holds for all campaigns,
webhooks and callers. It is set by environment variables of the process and changed with a restart;
no request changes it, and none shows a secret, a path or an address.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from geotarget.api.services import Here, OperatorSetting

EXAMPLE: dict[str, Any] = {
    "version": "0.1.0",
    "database_revision": "0006",
    "settings": [
        {
            "variable": "GEOTARGET_RETENTION_HISTORY_DAYS",
            "about": "retention",
            "value": 30,
            "default": 90,
            "meaning": "How long transitions and decisions are kept, days; 0 keeps them for good.",
        }
    ],
}


class SettingAnswer(BaseModel):
    """One setting."""

    variable: str = Field(description="The environment variable that sets it.")
    about: Literal["retention", "offers", "webhooks", "access"]
    value: bool | int | float | str = Field(
        description="In the notation of the variable; a boolean where only is told whether it is "
        "set."
    )
    default: bool | int | float | str = Field(description="The value without the variable.")
    meaning: str = Field(description="What it does, and its unit.")

    @classmethod
    def of(cls, setting: OperatorSetting) -> SettingAnswer:
        """Return what the API says about a setting."""
        return cls.model_validate(setting, from_attributes=True)


class SettingsAnswer(BaseModel):
    """What runs, and how it is set."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    version: str = Field(description="Of geotarget.")
    database_revision: str = Field(description="Of the database's tables.")
    settings: list[SettingAnswer] = Field(description="By what they are about.")


def show_settings(here: Here) -> SettingsAnswer:
    """Show the operator's settings.

    How long what is kept, and what holds for all campaigns, webhooks and callers. They are changed
    where the process is started, by the variables that are named here.
    """
    services = here.services
    return SettingsAnswer(
        version=services.version,
        database_revision=services.store.schema_revision(),
        settings=[SettingAnswer.of(each) for each in services.operator],
    )
