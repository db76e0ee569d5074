"""What the operator has set is shown to administrators; consent is counted by purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from geotarget.api import OperatorSetting
from geotarget.settings import Settings
from geotarget.settings.shown import SHOWN, WHETHER, shown
from geotarget.store.schema import head
from tests.api.conftest import Api
from tests.api.documents import campaign, square


def told(settings: Settings) -> dict[str, OperatorSetting]:
    """Return what is shown, by variable."""
    return {each.variable.removeprefix("GEOTARGET_"): each for each in shown(settings)}


def test_no_secret_path_or_address_is_shown(tmp_path: Path) -> None:
    """Of what names a file or a broker only is told that it is set; passwords are left out."""
    secrets = {
        "admin_key": "gt-very-secret-admin",
        "secret_key": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=",
        "mqtt": "mqtts://user:hunter2@broker.example:8883",
        "mqtt_device_password": "hunter3",
        "auth_callout_url": "nats://callout:hunter4@broker.example:4222",
        "auth_callout_seed": "SA-very-secret-seed",
        "tls_certificate": str(tmp_path / "certificate.pem"),
        "tls_key": str(tmp_path / "key.pem"),
        "data": tmp_path,
    }
    found = told(Settings.read(**secrets))
    for secret in (*secrets.values(), "hunter2", "broker.example"):
        assert str(secret) not in str(found)
    assert (True, False) == (found["MQTT"].value, found["MQTT"].default)
    assert found["TLS_CERTIFICATE"].value is True
    hidden = {name for name, field in Settings.model_fields.items() if not field.repr}
    assert hidden & {name for names in SHOWN.values() for name in names} <= WHETHER


@pytest.mark.parametrize(
    ("variable", "written"),
    [
        ("OFFER_CAPS", "3/86400,10/604800"),
        ("QUIET_HOURS", "21:00-08:00"),
        ("WEBHOOK_ALLOW_CIDRS", "10.0.0.0/8,127.0.0.0/8"),
        ("RETENTION_HISTORY_DAYS", 30),
        ("OFFER_MAX_AGE_S", 60.5),
        ("OPEN_METRICS", True),
    ],
)
def test_a_value_is_shown_as_it_is_written(variable: str, written: object) -> None:
    """Who reads it there can write it into the environment."""
    assert written == told(Settings.read(**{variable.lower(): written}))[variable].value


def test_settings_are_for_administrators(api_with: Callable[..., Api]) -> None:
    """Version, revision of the tables, each setting with its variable; nobody else sees them."""
    api = api_with(operator=shown(Settings.read(retention_history_days=30)))
    answer = api.call("GET", "/v1/settings", expect=200)
    assert (api.services.version, head()) == (answer["version"], answer["database_revision"])
    kept = {each["variable"]: each for each in answer["settings"]}
    history = kept["GEOTARGET_RETENTION_HISTORY_DAYS"]
    assert ("retention", 30, 90) == (history["about"], history["value"], history["default"])
    assert "days" in history["meaning"]
    lesser = api.key("reports:read", "profiles:write")
    assert api.client.get("/v1/settings", headers=lesser).status_code == 403


def test_purposes_are_counted(api: Api) -> None:
    """By purpose: who agreed, who declined, of whom nothing is known, and who acts for it."""
    api.call("PUT", "/v1/endpoints/crm", expect=200, json={"url": "https://crm.example.com/hook"})
    api.call("PUT", "/v1/zones/square", expect=200, json=square("square"))
    for id, consent in (
        ("free", {}),
        ("strict", {"purpose": "partners", "required": True}),
        ("over", {"purpose": "partners"}),
    ):
        document = campaign("crm", consent=consent, status="ended" if id == "over" else "active")
        api.call("PUT", f"/v1/campaigns/{id}", expect=200, json=document)
    for id, said in (
        ("a", {"marketing": True, "research": False}),
        ("b", {"marketing": True}),
        ("c", {"marketing": False}),
        ("d", {}),
    ):
        api.call("PUT", f"/v1/profiles/{id}", expect=200, json={"consent": said})
    assert {
        "profiles": 4,
        "exact": True,
        "purposes": [
            {"purpose": "marketing", "agreed": 2, "declined": 1, "unknown": 1,
             "campaigns": ["free"], "required_by": []},
            {"purpose": "partners", "agreed": 0, "declined": 0, "unknown": 4,
             "campaigns": ["strict"], "required_by": ["strict"]},
            {"purpose": "research", "agreed": 0, "declined": 1, "unknown": 3,
             "campaigns": [], "required_by": []},
        ],
    } == api.call("GET", "/v1/profiles:purposes", expect=200)  # fmt: skip


def test_of_many_profiles_the_newest_are_counted(api: Api) -> None:
    """The bound holds, and what came last is in it."""
    for id, agreed in (("old", False), ("new", True)):
        api.call("PUT", f"/v1/profiles/{id}", expect=200, json={"consent": {"marketing": agreed}})
    assert (1, {"marketing": (1, 0)}) == api.services.store.consents(1)
