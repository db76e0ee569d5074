"""Every setting, with its environment variable, default, unit and bound.

The only place that reads the environment. The rooms below get plain values. A setting `name` is
the variable ``GEOTARGET_NAME``; the table in the documentation is made from this class and held
by a test.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from geotarget.engine.rules import Rules
from geotarget.errors import Problem, SettingsError
from geotarget.geojson import GeometryLimits
from geotarget.model import Cap, Hours, Policy
from geotarget.settings.doors import DoorSettings
from geotarget.settings.intake import IntakeSettings
from geotarget.settings.rules import RuleSettings
from geotarget.settings.tls import TlsSettings
from geotarget.store import Keep
from geotarget.targeting.policy import read_caps, read_hours


class Settings(RuleSettings, DoorSettings, TlsSettings, IntakeSettings, BaseSettings):
    """What an operator may change without touching code: `intake`, `rules`, and what is here."""

    model_config = SettingsConfigDict(env_prefix="GEOTARGET_", extra="ignore", frozen=True)

    offer_max_age_s: float = Field(
        900.0, gt=0, description="An older transition is recorded but fires no offer, seconds."
    )
    offers_per_transition: int = Field(
        1, ge=1, le=100, description="How many campaigns may fire on one transition."
    )
    offer_caps: Annotated[tuple[Cap, ...], NoDecode, BeforeValidator(read_caps)] = Field(
        (),
        description="Most offers to one profile over all campaigns in so many seconds: "
        "`3/86400,10/604800`; empty means no bound.",
    )
    quiet_hours: Annotated[Hours | None, NoDecode, BeforeValidator(read_hours)] = Field(
        None,
        description="When nobody gets an offer, `21:00-08:00` in the zone's time zone, unless the "
        "profile says otherwise; empty means never.",
    )

    minimum_audience: int = Field(
        10,
        ge=3,
        le=1_000,
        description="Reports do not show counts of fewer people than this.",
    )

    reach_days: int = Field(
        30,
        ge=0,
        le=366,
        description="How long it is kept how many devices were where, by cell and day, for reach "
        "and lint, days; 0 notes nothing.",
    )
    retention_history_days: int = Field(
        90,
        ge=0,
        le=36_500,
        description="How long transitions and decisions are kept, days; 0 keeps them for good.",
    )
    retention_deliveries_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="How long deliveries that have ended are kept, with what was posted and every "
        "attempt, days; 0 keeps them for good.",
    )
    retention_conversions_days: int = Field(
        400,
        ge=0,
        le=36_500,
        description="How long reported conversions are kept, days; 0 keeps them for good.",
    )
    retention_behaviour_days: int = Field(
        400,
        ge=0,
        le=36_500,
        description="The behaviour of a profile is forgotten when nothing was added to it for so "
        "long, days; 0 keeps it for good.",
    )
    retention_tombstones_days: int = Field(
        400,
        ge=0,
        le=36_500,
        description="How long pings, and reports of conversions, from before an erasure are "
        "recognised and refused, days; 0 does so for good.",
    )
    phone_region: str = Field(
        "",
        pattern=r"^([A-Z]{2})?$",
        description="Country (ISO 3166, such as FI) of phone numbers without a country code, for "
        "customer lists; empty leaves such numbers out.",
    )

    webhook_allow_cidrs: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Private networks that webhooks may reach, also by plain http: "
        "`127.0.0.0/8,10.0.0.0/8`. Only the operator opens them.",
    )
    secret_key: str = Field(
        "",
        repr=False,
        description="Encrypts the secrets and headers of endpoints: Base64 of 32 bytes; empty "
        "means the file `secret.key` beside the database, made at the first start. `new,old` "
        "changes it.",
    )
    webhook_positions: Literal["none", "cell", "rounded", "exact"] = Field(
        "rounded",
        description="The most that any endpoint may be told of where a device was: `none`, `cell` "
        "(H3, 350 m across), `rounded` (three decimals) or `exact`. Each endpoint is told nothing "
        "unless it asks.",
    )
    webhook_disable_after_s: float = Field(
        432_000.0,
        gt=0,
        description="An endpoint is disabled when every attempt has failed for so long, ten at "
        "least, seconds.",
    )
    webhook_concurrency: int = Field(
        128, ge=1, le=10_000, description="Most posts at one time over all endpoints."
    )
    webhook_endpoint_concurrency: int = Field(
        16, ge=1, le=1_000, description="Most posts at one time to one endpoint."
    )
    drain_s: float = Field(
        20.0, gt=0, le=600, description="How long a stop waits for posts under way, seconds."
    )
    log_json: bool = Field(default=False, description="Log lines as JSON.")
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="Least level that is logged: debug, info, warning or error.",
    )

    @field_validator("webhook_allow_cidrs", mode="before")
    @classmethod
    def _split_cidrs(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError("must be networks such as 10.0.0.0/8, separated by commas")  # noqa: TRY004 - pydantic turns ValueError into a message
        return tuple(str(ipaddress.ip_network(str(part).strip())) for part in parts if part)

    @classmethod
    def read(cls, **overrides: object) -> Settings:
        """Read the environment; `overrides` that are not None win over it.

        Raises
        ------
        SettingsError
            Names each variable, its value and the bound.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            problems = [
                str(
                    Problem(
                        "GEOTARGET_" + "_".join(str(part) for part in each["loc"]).upper(),
                        "" if _is_secret(cls, each["loc"]) else repr(each["input"])[:80],
                        each["msg"],
                    )
                )
                for each in error.errors()
            ]
            raise SettingsError("; ".join(problems)) from None  # it would show secrets
        except UnicodeError:
            raise SettingsError("a GEOTARGET_ variable holds bytes that are no UTF-8") from None

    @property
    def store_url(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{(self.data / 'geotarget.db').resolve()}"

    def rules(self) -> Rules:
        """Return the figures of the entry rules."""
        names = [name for name in type(self).model_fields if name.startswith("rules_")]
        return Rules(**{name.removeprefix("rules_"): getattr(self, name) for name in names})

    @property
    def positions(self) -> str:
        """The most of `POSITIONS` that an endpoint may be told."""
        return "" if self.webhook_positions == "none" else self.webhook_positions

    def policy(self) -> Policy:
        """Return what holds for all campaigns."""
        return Policy(
            max_age_s=self.offer_max_age_s,
            offers_per_transition=self.offers_per_transition,
            caps=self.offer_caps,
            quiet_hours=self.quiet_hours,
            positions=self.positions,
        )

    def keep(self) -> Keep:
        """Return for how long what is kept."""
        return Keep(
            history=self.retention_history_days,
            deliveries=self.retention_deliveries_days,
            conversions=self.retention_conversions_days,
            behaviour=self.retention_behaviour_days,
            tombstones=self.retention_tombstones_days,
        )

    def geometry_limits(self) -> GeometryLimits:
        """Return the limits on what a zone may weigh."""
        return GeometryLimits(
            max_bytes=self.zone_max_bytes,
            max_vertices=self.zone_max_vertices,
            max_rings=self.zone_max_rings,
            max_collection_bytes=self.zones_max_bytes,
        )


def _is_secret(settings: type[BaseSettings], place: tuple[int | str, ...]) -> bool:
    """Return whether a setting is not to be shown, also when it is wrong."""
    field = settings.model_fields.get(str(place[0])) if place else None
    return field is not None and not field.repr


def settings_table() -> str:
    """Return all settings as a Markdown table, as the documentation shows it."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        shown = "" if default in ("", (), None) else f"`{text}`"
        rows.append(f"| `GEOTARGET_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
