"""Settings of the doors: where things are kept, who listens where, and how much may come in.

A part of `Settings`, in a module of its own because the list is long.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class IntakeSettings(BaseModel):
    """Folder, addresses, broker, batches, limits of what comes in."""

    data: Path = Field(
        Path("geotarget-data"), description="Folder of the database and the embedded broker."
    )
    database_url: str = Field(
        "",
        repr=False,
        description="`postgresql://user:password@host/database` or `sqlite:///path`; empty means "
        "`geotarget.db` in the data folder.",
    )
    host: str = Field("127.0.0.1", description="Address that HTTP and the broker listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the HTTP API; 0 takes a free one.")
    admin_key: str = Field(
        "",
        repr=False,
        pattern=r"^(|.{16,})$",
        description="A fixed API key with all rights, for automation: at least 16 random "
        "characters; empty means none.",
    )
    open_metrics: bool = Field(
        default=False, description="Serve `/metrics` without a key, for a closed network."
    )

    mqtt: str = Field(
        "",
        repr=False,
        description="Broker URL, `mqtt://user:password@host:1883` or `mqtts://…`; "
        "empty means the embedded one.",
    )
    mqtt_port: int = Field(
        1883, ge=0, le=65535, description="Port of the embedded broker; 0 takes a free one."
    )
    mqtt_phone_url: str = Field(
        "",
        pattern=r"^(|mqtts?://[^\s/@]+)$",
        description="Where phones reach the broker, as the API tells apps: "
        "`mqtts://pings.example.com:8883`; empty means where this process does.",
    )
    mqtt_client_id: str = Field(
        "geotarget-ingest", min_length=1, description="Client id of the ingest session."
    )
    mqtt_prefix: str = Field(
        "pings",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        description="Pings arrive on `{prefix}/{device}`.",
    )
    slots: str = Field(
        "",
        description="Which of the 64 slots this ingest works on: `auto` shares them with all "
        "workers, `0-15,20` takes these only; empty means all pings, over one session.",
    )
    slot_topics: bool = Field(
        default=False,
        description="Pings that come by HTTP, replays and fleets are published to "
        "`slots/{n}/{device}`, for brokers that don't map topics as NATS does.",
    )
    nats_admin: str = Field(
        "",
        repr=False,
        description="Where `geotarget slots` administers NATS, and where workers (as `ingest`) ask "
        "it what is unacknowledged, to hold slots no longer than need be: "
        "`nats://admin:password@host:4222`, several by commas.",
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
    auth_callout_url: str = Field(
        "",
        repr=False,
        pattern=r"^(|(nats|tls)://[^\s]+)$",
        description="Where `serve` answers the auth callout of your own NATS servers, so that "
        "devices log in with tokens: `nats://user:password@host:4222` or `tls://…`, several by "
        "commas; empty answers none.",
    )
    auth_callout_seed: str = Field(
        "",
        repr=False,
        description="Seed of the key that the callout's answers are signed with, the same for all "
        "processes: 32 random bytes in Base64, or as NATS writes it (`SA…`); `geotarget devices "
        "issuer` makes one.",
    )
    auth_callout_account: str = Field(
        "GEOTARGET", min_length=1, description="NATS account that admitted devices belong to."
    )
    broker_max_bytes: int = Field(
        4 << 30, ge=1 << 24, description="Disk that the embedded broker may use, bytes."
    )
    broker_flush: str = Field(
        "2m",
        pattern=r"^(always|[1-9][0-9]{0,5}(ms|s|m))$",
        description="When the embedded broker flushes to disk what it acknowledges: `always` "
        "(before it says so), or after so long, such as `500ms`, `10s` or `2m`. What is "
        "[not flushed is lost](durability.md#prices) with the power, not with the process.",
    )

    batch_pings: int = Field(5_000, ge=1, le=100_000, description="A batch closes at this size,")
    batch_age_ms: float = Field(
        20.0,
        ge=1,
        le=1_000,
        description="or when its oldest ping is this old, milliseconds; while pings keep "
        "coming it waits twice as long as the last batches took, up to 250.",
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
