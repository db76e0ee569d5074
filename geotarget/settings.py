"""Every setting, with its environment variable, default, unit and bound.

The only place that reads the environment. The rooms below get plain values. A setting `name` is
the variable ``GEOTARGET_NAME``; the table in the documentation is made from this class and held
by a test.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from geotarget.engine.rules import MOST_SUSPECTS, Rules
from geotarget.errors import Problem, SettingsError
from geotarget.geojson import GeometryLimits
from geotarget.model import Cap, Hours, Policy
from geotarget.targeting.policy import read_caps, read_hours

_RULES = Rules()


class Settings(BaseSettings):
    """What an operator may change without touching code."""

    model_config = SettingsConfigDict(env_prefix="GEOTARGET_", extra="ignore", frozen=True)

    data: Path = Field(
        Path("geotarget-data"), description="Folder of the database and the embedded broker."
    )
    database_url: str = Field(
        "",
        description="`sqlite:///path`; empty means `geotarget.db` in the data folder.",
    )
    host: str = Field("127.0.0.1", description="Address that HTTP and the broker listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the HTTP API; 0 takes a free one.")
    admin_key: str = Field(
        "", description="A fixed API key with all rights, for automation; empty means none."
    )
    open_metrics: bool = Field(
        default=False, description="Serve `/metrics` without a key, for a closed network."
    )

    mqtt: str = Field(
        "",
        description="Broker URL, `mqtt://user:password@host:1883` or `mqtts://…`; "
        "empty means the embedded one.",
    )
    mqtt_port: int = Field(
        1883, ge=0, le=65535, description="Port of the embedded broker; 0 takes a free one."
    )
    mqtt_client_id: str = Field(
        "geotarget-ingest", min_length=1, description="Client id of the ingest session."
    )
    mqtt_prefix: str = Field(
        "pings",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Pings arrive on `{prefix}/{device}`.",
    )
    mqtt_ack_wait_s: float = Field(
        3.0,
        ge=1,
        le=60,
        description="How long the broker waits before it sends an unacknowledged message again; "
        "after an unclean start pings are held this long plus 1 s and put in order, seconds.",
    )
    mqtt_keepalive_s: int = Field(
        30, ge=5, le=3600, description="Keep-alive; three times this in silence is a dead line."
    )
    broker_max_bytes: int = Field(
        4 << 30, ge=1 << 24, description="Disk that the embedded broker may use, bytes."
    )

    batch_pings: int = Field(5_000, ge=1, le=100_000, description="A batch closes at this size,")
    batch_age_ms: float = Field(
        20.0, ge=1, le=1_000, description="or when its oldest ping is this old, milliseconds."
    )
    reorder_window_s: float = Field(
        0.0,
        ge=0,
        le=30,
        description="How long pings are held back so that later ones with an older fix time come "
        "in order; 3 is a good value on mobile networks, seconds.",
    )
    queue_messages: int = Field(
        20_000,
        ge=100,
        le=60_000,
        description="Messages that may wait unacknowledged; beyond it the broker holds them back.",
    )
    message_max_bytes: int = Field(
        65_536, ge=1_024, le=1 << 20, description="Largest MQTT message, bytes."
    )
    message_max_pings: int = Field(
        100, ge=1, le=10_000, description="Most pings in one MQTT message."
    )
    request_max_bytes: int = Field(
        8 << 20, ge=1_024, le=1 << 30, description="Largest body of `POST /v1/pings`, bytes."
    )
    import_max_bytes: int = Field(
        1 << 30,
        ge=1_024,
        description="Largest body of `PUT /v1/imports/{id}`, bytes; it is read as it comes.",
    )
    dead_letters: int = Field(
        100_000, ge=0, description="How many refused pings are kept; the oldest go first."
    )

    zone_max_bytes: int = Field(8 << 20, ge=1_024, description="Largest single zone, bytes.")
    zone_max_vertices: int = Field(200_000, ge=4, description="Most vertices of one zone.")
    zone_max_rings: int = Field(5_000, ge=1, description="Most rings of one zone.")
    zones_max_bytes: int = Field(
        64 << 20, ge=1_024, description="Largest FeatureCollection, bytes."
    )
    zone_check_s: float = Field(
        10.0,
        gt=0,
        le=300,
        description="Time limit for checking one document of zones, seconds; "
        "larger ones than 8 MiB get more, in proportion.",
    )

    rules_future_s: float = Field(
        _RULES.future_s,
        gt=0,
        description="A fix time further ahead of its arrival is refused, seconds.",
    )
    rules_unknown_accuracy_m: float = Field(
        _RULES.unknown_accuracy_m,
        gt=0,
        description="Stands in for an accuracy that was not reported, metres.",
    )
    rules_exit_buffer_m: float = Field(
        _RULES.exit_buffer_m,
        ge=0,
        description="A fix further outside than its accuracy plus this is outside, metres.",
    )
    rules_deep_share: float = Field(
        _RULES.deep_share,
        gt=0,
        description="A fix deeper inside than this share of its accuracy is inside.",
    )
    rules_maybe_share: float = Field(
        _RULES.maybe_share,
        ge=0,
        description="A fix deeper inside than this share of it is some evidence of that.",
    )
    rules_arrival_ceiling_m: float = Field(
        _RULES.arrival_ceiling_m,
        gt=0,
        description="Coarser fixes are no evidence of an arrival, metres.",
    )
    rules_pending_least_s: float = Field(
        _RULES.pending_least_s,
        ge=0,
        description="How much later than the first a second piece of evidence must come, seconds.",
    )
    rules_pending_s: float = Field(
        _RULES.pending_s,
        gt=0,
        description="How long one piece of evidence waits for a second, seconds,",
    )
    rules_pending_intervals: float = Field(
        _RULES.pending_intervals,
        gt=0,
        description="or this many usual intervals of the device, if that is longer.",
    )
    rules_exit_fixes: int = Field(
        _RULES.exit_fixes, ge=1, le=100, description="Fixes in a row outside that end a visit."
    )
    rules_clear_share: float = Field(
        _RULES.clear_share,
        gt=0,
        description="A fix further out than this share of its accuracy is clearly outside.",
    )
    rules_exit_least_s: float = Field(
        _RULES.exit_least_s,
        ge=0,
        description="When the one that would end a visit is not, the first one outside must be so "
        "much older, seconds.",
    )
    rules_moving_after_s: float = Field(
        _RULES.moving_after_s,
        gt=0,
        description="A device moves when a fix at least this much older, seconds,",
    )
    rules_moving_m: float = Field(
        _RULES.moving_m, gt=0, description="lies at least this far away, metres,"
    )
    rules_moving_share: float = Field(
        _RULES.moving_share,
        gt=0,
        description="and at least this many times the larger accuracy.",
    )
    rules_moving_out_share: float = Field(
        _RULES.moving_out_share,
        ge=0,
        description="Then a fix further out than this share of its accuracy is outside.",
    )
    rules_jump_speed_m_s: float = Field(
        _RULES.jump_speed_m_s,
        gt=0,
        description="A fix that would need more than this speed, metres a second,",
    )
    rules_jump_factor: float = Field(
        _RULES.jump_factor,
        gt=0,
        description="and more than this many times the device's recent speed, is a suspect: it "
        "decides nothing until others agree with it.",
    )
    rules_jump_memory_s: float = Field(
        _RULES.jump_memory_s, gt=0, description="How long the recent speed remembers, seconds."
    )
    rules_jump_fixes: int = Field(
        _RULES.jump_fixes,
        ge=1,
        le=MOST_SUSPECTS + 1,
        description="So many suspects in a row that agree are believed; 1 believes every fix.",
    )
    rules_jump_span_s: float = Field(
        _RULES.jump_span_s,
        gt=0,
        description="Two that agree and lie this far apart are believed too, seconds.",
    )
    rules_jump_bend: float = Field(
        _RULES.jump_bend,
        ge=0,
        description="Two are enough as well when they go on: the way over the first is at most so "
        "many times the straight one,",
    )
    rules_jump_line_m_s: float = Field(
        _RULES.jump_line_m_s, gt=0, description="and no faster than this, metres a second."
    )
    rules_jump_most_m_s: float = Field(
        _RULES.jump_most_m_s,
        gt=0,
        description="Suspects that would need more than this speed between them do not agree, "
        "metres a second.",
    )
    rules_rest_after_s: float = Field(
        _RULES.rest_after_s,
        gt=0,
        description="While fixes agree with standing still for so long, a device is at rest: zones "
        "are judged by the weighted mean of the fixes, seconds.",
    )
    rules_rest_apart: float = Field(
        _RULES.rest_apart,
        gt=0,
        description="A fix agrees with the mean up to so many deviations of both.",
    )
    rules_rest_shared: float = Field(
        _RULES.rest_shared,
        gt=0,
        description="Share of the error that two fixes at rest have in common,",
    )
    rules_rest_memory_s: float = Field(
        _RULES.rest_memory_s, gt=0, description="and in how much time it fades, seconds."
    )
    rules_rest_most: float = Field(
        _RULES.rest_most, gt=0, description="The mean counts as at most so many independent fixes."
    )
    rules_rest_share: float = Field(
        _RULES.rest_share,
        gt=0,
        description="At rest, the mean further inside than this share of its radius is inside;",
    )
    rules_rest_buffer_m: float = Field(
        _RULES.rest_buffer_m,
        ge=0,
        description="further outside than its radius plus this it is outside, metres.",
    )
    rules_fast_hop: float = Field(
        _RULES.fast_hop,
        gt=0,
        description="A device is fast when it moves by more than so many accuracies between two "
        "fixes,",
    )
    rules_fast_hops: float = Field(_RULES.fast_hops, gt=0, description="or among three.")
    rules_fast_in_share: float = Field(
        _RULES.fast_in_share,
        ge=0,
        description="When fast, a fix further inside than this share of its accuracy is inside,",
    )
    rules_fast_out_share: float = Field(
        _RULES.fast_out_share,
        ge=0,
        description="and one further outside than this share is outside.",
    )
    rules_blink_bend: float = Field(
        _RULES.blink_bend,
        ge=0,
        description="A fast device that is clearly outside for one fix and inside again with the "
        "next was out, if the way over the three is at most so many times the straight one.",
    )
    rules_dwell_timer_s: float = Field(
        _RULES.dwell_timer_s,
        gt=0,
        description="The clock completes a stay while the last fix is younger than this, seconds.",
    )
    rules_crossed_gap_s: float = Field(
        _RULES.crossed_gap_s,
        gt=0,
        description="Two fixes further apart than this say nothing of the way between them, "
        "seconds.",
    )
    rules_stale_s: float = Field(
        _RULES.stale_s,
        gt=0,
        description="A membership without a fix for so long is shown as stale, seconds;",
    )
    rules_forget_s: float = Field(
        _RULES.forget_s,
        gt=0,
        description="after so long it is forgotten without an event, seconds.",
    )
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
                        repr(each["input"])[:80],
                        each["msg"],
                    )
                )
                for each in error.errors()
            ]
            raise SettingsError("; ".join(problems)) from error

    @property
    def store_url(self) -> str:
        """URL of the database."""
        return self.database_url or f"sqlite:///{(self.data / 'geotarget.db').resolve()}"

    def rules(self) -> Rules:
        """Return the figures of the entry rules."""
        names = [name for name in type(self).model_fields if name.startswith("rules_")]
        return Rules(**{name.removeprefix("rules_"): getattr(self, name) for name in names})

    def policy(self) -> Policy:
        """Return what holds for all campaigns."""
        return Policy(
            max_age_s=self.offer_max_age_s,
            offers_per_transition=self.offers_per_transition,
            caps=self.offer_caps,
            quiet_hours=self.quiet_hours,
        )

    def geometry_limits(self) -> GeometryLimits:
        """Return the limits on what a zone may weigh."""
        return GeometryLimits(
            max_bytes=self.zone_max_bytes,
            max_vertices=self.zone_max_vertices,
            max_rings=self.zone_max_rings,
            max_collection_bytes=self.zones_max_bytes,
        )


def settings_table() -> str:
    """Return all settings as a Markdown table, as the documentation shows it."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        shown = "" if default in ("", (), None) else f"`{text}`"
        rows.append(f"| `GEOTARGET_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)
