"""Whose device it is, for campaigns: pings get the key of their profile, and its document.

Caps, consent and behaviour belong to a profile, so all devices of one must come to one task. There
may be millions of profiles, so they are neither sent to everybody nor held in memory: the links are
joined to the pings by Spark, the documents travel the way of the pings and come before them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - everybody's name for it
from pyspark.sql.types import MapType, StringType, StructType

from geotarget.errors import InvalidInput, Problem
from geotarget.model import Profile
from geotarget.spark.columns import named

Profiles = DataFrame | Iterable[Profile] | str | Path
"""What is known of people: rows, objects, or a file on the driver as the command takes it."""

LINE = "value"
"""The column of ``spark.read.text``: one document a row."""

_MEMBERS = ("id", "devices", "attributes", "consent", "external_ids", "quiet_hours")
_OBJECTS = ("attributes", "consent", "external_ids", "quiet_hours")
_DEVICES = "array<string>"


def documents(spark: SparkSession, profiles: Profiles) -> DataFrame:
    """Return ``profile, devices, document`` of profiles; the last is JSON as the import takes it.

    Parameters
    ----------
    spark
        The session.
    profiles
        As of `backtest`.

    Raises
    ------
    InvalidInput
        A column is missing, not known or of another type, or the file holds what is no profile.
    """
    if isinstance(profiles, DataFrame):
        return _of_rows(profiles)
    if isinstance(profiles, str | Path):
        from geotarget.drafts import read_profiles  # noqa: PLC0415 - loads the API

        profiles = read_profiles(Path(profiles))
    known = _last_word(profiles)
    rows = pa.table(
        {
            "profile": pa.array([each.id for each in known], pa.string()),
            "devices": pa.array([each.devices for each in known], pa.list_(pa.string())),
            "document": pa.array([_json(each) for each in known], pa.string()),
        }
    )
    return spark.createDataFrame(rows)


def with_keys(pings: DataFrame, people: DataFrame) -> DataFrame:
    """Return pings with the column ``key``: the profile of their ``device``.

    A job fails where two profiles have the same device, because rows have no order in which the
    last one could win.
    """
    links = people.select(F.explode("devices").alias("device"), "profile").distinct()
    links = links.groupBy("device").agg(
        F.min("profile").alias("profile"), F.max("profile").alias("other")
    )
    said = F.concat(
        F.lit("device "), "device", F.lit(" belongs to two profiles: "), "profile",
        F.lit(" and "), "other",
    )  # fmt: skip
    one = F.when(F.col("profile") == F.col("other"), F.col("profile")).otherwise(
        F.raise_error(said).cast("string")
    )
    links = links.select("device", one.alias("profile"))
    return pings.join(links, "device", "left").withColumn("key", F.coalesce("profile", "device"))


def _of_rows(rows: DataFrame) -> DataFrame:
    if rows.columns == [LINE] and isinstance(rows.schema[LINE].dataType, StringType):
        lines = rows.where(F.trim(LINE) != "")
        of_line = F.get_json_object(LINE, "$.devices")
        return lines.select(
            F.get_json_object(LINE, "$.id").alias("profile"),
            F.from_json(of_line, _DEVICES).alias("devices"),
            F.col(LINE).alias("document"),
        )
    found = f"found: {', '.join(rows.columns)}"
    problems = [
        Problem("profiles", found, f"has no column {name!r}")
        for name in ("id",)
        if name not in rows.columns
    ]
    for name in rows.columns:
        if name not in _MEMBERS:
            reason = f"column {name!r} is none of {', '.join(_MEMBERS)}; what is known goes into"
            problems.append(Problem("profiles", found, f"{reason} attributes, as a struct or map"))
        elif name in _OBJECTS and not isinstance(rows.schema[name].dataType, StructType | MapType):
            kind = rows.schema[name].dataType.simpleString()
            reason = f"column {name!r} must hold structs or maps; JSON as text goes, a whole"
            problems.append(Problem("profiles", kind, f"{reason} document a row, as {LINE!r}"))
    if problems:
        raise InvalidInput(*problems)
    id_ = named("id").cast("string")
    devices = named("devices").cast(_DEVICES) if "devices" in rows.columns else F.lit(None)
    members = [id_.alias("id"), devices.cast(_DEVICES).alias("devices")]
    members += [named(name) for name in _OBJECTS if name in rows.columns]
    return rows.select(
        id_.alias("profile"),
        devices.cast(_DEVICES).alias("devices"),
        F.to_json(F.struct(*members)).alias("document"),
    )


def _last_word(profiles: Iterable[Profile]) -> list[Profile]:
    """Return profiles with the devices that they have in the end: the last one that names one."""
    known: dict[str, Profile] = {}
    owner: dict[str, str] = {}
    for each in profiles:
        before = known.pop(each.id, None)
        for device in () if before is None else before.devices:
            if owner.get(device) == each.id:
                del owner[device]
        known[each.id] = each
        owner |= dict.fromkeys(each.devices, each.id)
    return [
        replace(each, devices=tuple(name for name in each.devices if owner[name] == each.id))
        for each in known.values()
    ]


def _json(profile: Profile) -> str:
    quiet = profile.quiet_hours
    document = {
        "id": profile.id,
        "devices": profile.devices,
        "attributes": profile.attributes,
        "consent": profile.consent,
        "external_ids": profile.external_ids,
        "quiet_hours": None if quiet is None else {"from": quiet.start, "to": quiet.end},
    }
    return msgspec.json.encode(document).decode()
