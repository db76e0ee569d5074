"""Settings come from the environment, are bounded, and name what is wrong."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from geotarget.api.limits import CallerLimits, HttpLimits
from geotarget.engine import Rules
from geotarget.errors import SettingsError
from geotarget.model import Cap, Hours, Policy
from geotarget.settings import Settings, settings_table


def test_defaults_are_the_rules_defaults() -> None:
    """Without any variable the entry rules are those of the documentation."""
    assert Settings.read().rules() == Rules()


@pytest.mark.parametrize("name", [field.name for field in fields(Rules)])
def test_every_figure_of_the_rules_can_be_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each reaches the rules from its variable, except in its default."""
    monkeypatch.setenv(f"GEOTARGET_RULES_{name.upper()}", "1")
    assert Settings.read().rules() == replace(Rules(), **{name: 1})


def test_environment_wins_over_default_and_option_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """GEOTARGET_PORT is read; an option given on the command line wins."""
    monkeypatch.setenv("GEOTARGET_PORT", "9001")
    monkeypatch.setenv("GEOTARGET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8, 10.0.0.0/8")
    read = Settings.read(host=None)
    assert (read.port, read.webhook_allow_cidrs) == (9001, ("127.0.0.0/8", "10.0.0.0/8"))
    assert Settings.read(port=9002).port == 9002


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GEOTARGET_PORT", "70000"),
        ("GEOTARGET_BATCH_PINGS", "0"),
        ("GEOTARGET_RULES_EXIT_BUFFER_M", "-1"),
        ("GEOTARGET_RULES_JUMP_FIXES", "0"),
        ("GEOTARGET_RULES_FORGET_S", "0"),
        ("GEOTARGET_REORDER_WINDOW_S", "31"),
        ("GEOTARGET_WEBHOOK_ALLOW_CIDRS", "everything"),
        ("GEOTARGET_MQTT_PREFIX", "pings/#"),
        ("GEOTARGET_WEBHOOK_POSITIONS", "street"),
        ("GEOTARGET_OFFERS_PER_TRANSITION", "0"),
        ("GEOTARGET_OFFER_CAPS", "often"),
        ("GEOTARGET_OFFER_CAPS", "3/86400,"),
        ("GEOTARGET_OFFER_CAPS", "0/86400"),
        ("GEOTARGET_OFFER_CAPS", "3/99999999"),
        ("GEOTARGET_QUIET_HOURS", "21:00"),
        ("GEOTARGET_QUIET_HOURS", "21:00-25:00"),
        ("GEOTARGET_API_RATE_PER_S", "0"),
        ("GEOTARGET_API_RATES", "till"),
        ("GEOTARGET_API_RATES", "=5"),
        ("GEOTARGET_API_RATES", "till=0"),
        ("GEOTARGET_API_RATES", "till=nan"),
        ("GEOTARGET_API_WRONG_KEYS", "0"),
        ("GEOTARGET_TRUSTED_PROXIES", "everybody"),
        ("GEOTARGET_HTTP_CONNECTIONS", "7"),
        ("GEOTARGET_HTTP_READ_S", "0.5"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """The error names the variable and the value."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert variable in str(caught.value)
    assert value in str(caught.value)


def test_the_policy_of_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Age, number, caps and quiet hours reach the policy; without them it is the default one."""
    monkeypatch.setenv("GEOTARGET_OFFER_CAPS", "")
    monkeypatch.setenv("GEOTARGET_QUIET_HOURS", " ")
    assert Policy() == Settings.read().policy()
    monkeypatch.setenv("GEOTARGET_OFFER_MAX_AGE_S", "60")
    monkeypatch.setenv("GEOTARGET_OFFERS_PER_TRANSITION", "2")
    monkeypatch.setenv("GEOTARGET_OFFER_CAPS", "3/86400, 10/604800")
    monkeypatch.setenv("GEOTARGET_QUIET_HOURS", "21:00-08:00")
    assert Policy(
        max_age_s=60.0,
        offers_per_transition=2,
        caps=(Cap(3, 86_400), Cap(10, 604_800)),
        quiet_hours=Hours("21:00", "08:00"),
    ) == Settings.read().policy()  # fmt: skip


def test_the_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates and proxies are read; without any the limits are those of the API itself."""
    assert CallerLimits() == Settings.read().caller_limits()
    assert HttpLimits() == Settings.read().http_limits()
    monkeypatch.setenv("GEOTARGET_API_RATES", "back end=2000, till=0.5,")
    monkeypatch.setenv("GEOTARGET_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("GEOTARGET_HTTP_HEAD_BYTES", "2048")
    read = Settings.read()
    assert {"back end": 2000.0, "till": 0.5} == read.caller_limits().rates
    assert ("10.0.0.0/8", "::1/128") == read.trusted_proxies
    assert 2_048 == read.http_limits().head_bytes


def test_a_secret_that_is_wrong_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and the bound; the settings don't print secrets either."""
    monkeypatch.setenv("GEOTARGET_ADMIN_KEY", "too short")
    with pytest.raises(SettingsError, match="GEOTARGET_ADMIN_KEY") as caught:
        Settings.read()
    assert "too short" not in str(caught.value)
    monkeypatch.setenv("GEOTARGET_ADMIN_KEY", "long enough by far")
    assert "long enough" not in repr(Settings.read())


def test_the_database_lies_in_the_data_folder(tmp_path: Path) -> None:
    """Without a URL the database is a file in the data folder."""
    assert Settings.read(data=tmp_path).store_url == f"sqlite:///{tmp_path / 'geotarget.db'}"


def test_the_table_names_every_setting() -> None:
    """One row a setting, after two of heading."""
    assert len(settings_table().splitlines()) == 2 + len(Settings.model_fields)


@pytest.mark.parametrize(
    ("value", "most"), [(None, "rounded"), ("none", ""), ("cell", "cell"), ("exact", "exact")]
)
def test_what_endpoints_may_be_told_of_positions(
    monkeypatch: pytest.MonkeyPatch, value: str | None, most: str
) -> None:
    """Three decimals unless the operator says otherwise; it bounds what is sent, too."""
    if value is not None:
        monkeypatch.setenv("GEOTARGET_WEBHOOK_POSITIONS", value)
    assert (most, most) == (Settings.read().positions, Settings.read().policy().positions)
