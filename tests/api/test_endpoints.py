"""``/v1/endpoints``: secrets that change without a gap, test events, on and off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geotarget.api.services import Limits
from geotarget.delivery.signature import signing_keys
from geotarget.model import Delivery
from tests.api.conftest import Api

URL = "https://crm.example.com/hook"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = (
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
TOKEN = "Bearer tok-4711-hush"
CRM = "/v1/endpoints/crm"


def paths(answer: Any) -> list[str]:
    """Return where the problems are."""
    return [each["path"] for each in answer["errors"]]


@pytest.fixture
def crm(api: Api) -> Api:
    """An API with an endpoint ``crm``."""
    api.call("PUT", CRM, expect=200, json={"url": URL, "secret": SECRET})
    return api


def test_both_secrets_sign_while_they_overlap(crm: Api) -> None:
    """The new one is shown once, the old one is hinted at with its end."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    assert made["secret"] != SECRET
    assert made["previous_secret"]["hint"] == SECRET[-4:]
    shown = crm.call("GET", CRM, expect=200)
    assert (shown["secret"], shown["previous_secret"]) == (None, made["previous_secret"])
    assert made["secret"] not in crm.client.get("/v1/endpoints").text
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert len(signing_keys(stored, now_ms=stored.previous_until_ms - 1)) == 2
    assert len(signing_keys(stored, now_ms=stored.previous_until_ms)) == 1


def test_changes_keep_the_overlap_and_a_secret_that_is_put_ends_it(crm: Api) -> None:
    """A new description says nothing of secrets."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 60})
    changed = crm.call("PUT", CRM, expect=200, json={"url": URL, "description": "new"})
    assert changed["previous_secret"] == made["previous_secret"]
    assert changed["secret_hint"] == made["secret"][-4:]
    put = crm.call("PUT", CRM, expect=200, json={"url": URL, "secret": SECRET})
    assert put["previous_secret"] is None


def test_a_third_secret_is_a_conflict_unless_it_ends_the_others(crm: Api) -> None:
    """A leaked secret is taken out of use at once, in the middle of a rotation too."""
    crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    answer = crm.call("POST", f"{CRM}:rotate", expect=409, json={"overlap_s": 5})
    assert "two secrets of endpoint 'crm' sign already, for 86" in answer["detail"]
    alone = crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 0, "secret": SECRET})
    assert (alone["secret"], alone["previous_secret"]) == (SECRET, None)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"overlap_s": -1}, "$.overlap_s"),
        ({"overlap_s": 2_592_001}, "$.overlap_s"),
        ({"overlap_s": 1.5}, "$.overlap_s"),
        ({"overlap_s": True}, "$.overlap_s"),
        ({"secret": "whsec_short"}, "$.secret"),
        ({"secret": PUBLIC}, "$.secret"),
        ({"scheme": "rsa"}, "$.scheme"),
        ({"secret": PRIVATE, "scheme": "hmac"}, "$.scheme"),
        ({"overlap": 1}, "$.overlap"),
    ],
)
def test_a_wrong_rotation_is_refused(crm: Api, body: dict[str, Any], path: str) -> None:
    """With its path; nothing changes."""
    answer = crm.call("POST", f"{CRM}:rotate", expect=422, json=body)
    assert paths(answer) == [path]
    assert crm.call("GET", CRM, expect=200)["secret_hint"] == SECRET[-4:]


def test_what_is_not_there_can_be_neither_rotated_nor_tested(api: Api) -> None:
    """404 names it."""
    for action, body in (("rotate", {"json": {}}), ("test", {})):
        answer = api.call("POST", f"{CRM}:{action}", expect=404, **body)
        assert "'crm'" in answer["detail"]


def test_a_test_event_waits_in_the_outbox(api_with: Callable[..., Api]) -> None:
    """One, whatever the endpoint's events say; the sender is woken."""
    woken: list[bool] = []
    api = api_with(wake_delivery=lambda: woken.append(True))
    api.call("PUT", CRM, expect=200, json={"url": URL, "events": ["transition.exit"]})
    id = api.call("POST", f"{CRM}:test", expect=202)["id"]
    (told,) = api.call("GET", f"/v1/deliveries/{id}", expect=200)["items"]
    assert (told["type"], told["endpoint"], told["state"]) == ("test", "crm", "pending")
    assert told["body"]["type"] == "test"
    assert told["body"]["data"]["endpoint"] == "crm"
    assert api.store.outbox_size()[0] == 1
    assert len(woken) == 2


def test_an_endpoint_is_disabled_with_a_reason_and_enabled_again(crm: Api) -> None:
    """Meanwhile nothing can be tested; an empty reason says who did it."""
    off = {"url": URL, "enabled": False, "disabled_reason": "the till is being moved"}
    answer = crm.call("PUT", CRM, expect=200, json=off)
    assert (answer["state"], answer["disabled_reason"]) == ("disabled", off["disabled_reason"])
    refused = crm.call("POST", f"{CRM}:test", expect=409)
    assert refused["detail"] == "endpoint 'crm' is disabled: the till is being moved"
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL, "enabled": False})
    assert answer["disabled_reason"] == "disabled by its owner"
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL})
    assert (answer["state"], answer["disabled_reason"]) == ("enabled", "")


def test_bounds_of_an_endpoint_are_kept(crm: Api) -> None:
    """Until a document without them takes them off."""
    bounds = {"rate_per_s": 12.5, "concurrency": 2}
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL} | bounds)
    assert {name: answer[name] for name in bounds} == bounds
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert (stored.rate_per_s, stored.concurrency) == (12.5, 2)
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL})
    assert {answer[name] for name in bounds} == {None}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"rate_per_s": 0}, "$.rate_per_s"),
        ({"rate_per_s": 10_001}, "$.rate_per_s"),
        ({"rate_per_s": "5"}, "$.rate_per_s"),
        ({"concurrency": 0}, "$.concurrency"),
        ({"concurrency": 1.5}, "$.concurrency"),
        ({"concurrency": 1_001}, "$.concurrency"),
    ],
)
def test_bounds_have_bounds(lasting: Api, wrong: dict[str, Any], path: str) -> None:
    """With their path."""
    answer = lasting.call("PUT", "/v1/endpoints/e", expect=422, json={"url": URL} | wrong)
    assert paths(answer) == [path]


@pytest.mark.parametrize(
    "wrong", [{"disabled_reason": "why"}, {"enabled": "no"}, {"enabled": False, "url": ""}]
)
def test_contradictions_are_refused(lasting: Api, wrong: dict[str, Any]) -> None:
    """A reason needs something that is disabled; enabled is true or false."""
    lasting.call("PUT", "/v1/endpoints/e", expect=422, json={"url": URL} | wrong)
    lasting.call("GET", "/v1/endpoints/e", expect=404)


def test_changes_of_secrets_are_in_the_audit_log_without_them(crm: Api) -> None:
    """Who rotated, who disabled; no secret is told."""
    made = crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    stored = crm.store.endpoint("crm")
    assert stored is not None
    since_ms = 1_700_000_000_000
    other = Delivery("endpoint_1", "other", "endpoint.disabled", b"{}", since_ms)
    disabled = crm.store.disable_endpoint(
        "crm",
        stored.revision,
        "every attempt has failed",
        failing_since_ms=since_ms,
        tell=lambda _: [other],
        by="delivery",
    )
    assert disabled is not None
    again = crm.store.disable_endpoint("crm", disabled.revision, "once more", by="delivery")
    assert again is None
    told = crm.store.audit_page().items
    assert [(each.actor, each.action) for each in told] == [
        ("delivery", "endpoint.disable"),
        ("admin", "endpoint.rotate"),
        ("admin", "endpoint.put"),
    ]
    assert not any(secret[6:] in repr(told) for secret in (SECRET, made["secret"]))
    assert crm.store.outbox_size()[0] == 1
    crm.catalog.refresh()
    shown = crm.call("GET", CRM, expect=200)
    assert (shown["state"], shown["failing_since"]) == ("disabled", "2023-11-14T22:13:20.000Z")
    assert crm.call("PUT", CRM, expect=200, json={"url": URL})["failing_since"] is None


def test_what_was_changed_meanwhile_is_not_disabled(crm: Api) -> None:
    """The owner was faster than the sender; neither is its failure written down."""
    stored = crm.store.endpoint("crm")
    assert stored is not None
    crm.call("PUT", CRM, expect=200, json={"url": URL + "/new"})
    assert crm.store.disable_endpoint("crm", stored.revision, "dead") is None
    crm.store.note_failing("crm", stored.revision, 5)
    assert crm.call("GET", CRM, expect=200)["failing_since"] is None
    crm.store.note_failing("crm", stored.revision + 1, 5)
    assert crm.call("GET", CRM, expect=200)["failing_since"] == "1970-01-01T00:00:00.005Z"


def test_headers_are_stored_and_only_their_names_shown(crm: Api) -> None:
    """No answer and no audit entry holds a value; a change keeps them until it names others."""
    wanted = {"Authorization": TOKEN, "X-Shop": "shop-4711"}
    answers = [
        crm.client.put(CRM, json={"url": URL, "headers": wanted}),
        crm.client.put(CRM, json={"url": URL + "/new", "description": "headers are kept"}),
        *(crm.client.get(path) for path in (CRM, "/v1/endpoints", "/v1/audit")),
        crm.client.post(f"{CRM}:rotate", json={}),
    ]
    assert {each.status_code for each in answers} == {200}
    assert not any("4711" in each.text for each in answers)
    assert answers[1].json()["headers"] == ["Authorization", "X-Shop"]
    assert crm.catalog.snapshot.endpoints["crm"].headers == wanted
    other = {"url": URL, "headers": {"X-Shop": "8"}}
    assert crm.call("PUT", CRM, expect=200, json=other)["headers"] == ["X-Shop"]
    assert crm.call("PUT", CRM, expect=200, json={"url": URL, "headers": {}})["headers"] == []


def test_headers_are_not_kept_for_another_host(crm: Api) -> None:
    """Who may write endpoints but does not know the token can't have it sent to himself."""
    crm.call("PUT", CRM, expect=200, json={"url": URL, "headers": {"Authorization": TOKEN}})
    elsewhere = "https://other.example.com/hook"
    refused = crm.call("PUT", CRM, expect=409, json={"url": elsewhere})
    assert "were given for https://crm.example.com: give them again" in refused["detail"]
    assert crm.call("GET", CRM, expect=200)["url"] == URL
    moved = crm.call("PUT", CRM, expect=200, json={"url": elsewhere, "headers": {}})
    assert moved["headers"] == []


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Content-Length": TOKEN}, "$.headers.Content-Length"),
        ({"webhook-id": TOKEN}, "$.headers.webhook-id"),
        ({"Proxy-Authorization": TOKEN}, "$.headers.Proxy-Authorization"),
        ({"X Token": TOKEN}, "$.headers.X Token"),
        ({"X\n": TOKEN}, "$.headers.X\\n"),
        ({"X-Token": TOKEN + "\r\nHost: b"}, "$.headers.X-Token"),
        ({"X-Token": TOKEN + "é"}, "$.headers.X-Token"),
        ({"X-Token": [TOKEN]}, "$.headers.X-Token"),
        ({f"X-{number}": TOKEN for number in range(21)}, "$.headers"),
        (TOKEN, "$.headers"),
    ],
)
def test_wrong_headers_are_refused_without_showing_them(
    lasting: Api, headers: Any, path: str
) -> None:
    """With the place; the value is not repeated."""
    document = {"url": URL, "headers": headers}
    answer = lasting.call("PUT", "/v1/endpoints/e", expect=422, json=document)
    assert paths(answer) == [path]
    assert "tok-4711" not in repr(answer)
    lasting.call("GET", "/v1/endpoints/e", expect=404)


def test_a_document_that_contradicts_itself_repeats_no_secret(lasting: Api) -> None:
    """What is wrong is named by its own place, not by showing the document."""
    document = {"headers": {"A": TOKEN}, "secret": SECRET, "url": URL, "disabled_reason": "why"}
    answer = lasting.call("PUT", "/v1/endpoints/e", expect=422, json=document)
    assert paths(answer) == ["$.disabled_reason"]
    assert not any(each in repr(answer) for each in ("tok-4711", SECRET[6:]))


def test_schedule_order_and_position_are_kept(crm: Api) -> None:
    """Until a document without them takes them off; the model counts the first attempt too."""
    chosen = {"retry_delays_s": [0.5, 60.0], "ordered": True, "position": "cell"}
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL} | chosen)
    assert {name: answer[name] for name in chosen} == chosen
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert (stored.delays_s, stored.ordered, stored.position) == ((0.0, 0.5, 60.0), True, "cell")
    never = crm.call("PUT", CRM, expect=200, json={"url": URL, "retry_delays_s": []})
    assert (never["retry_delays_s"], never["ordered"], never["position"]) == ([], False, "none")
    answer = crm.call("PUT", CRM, expect=200, json={"url": URL})
    assert answer["retry_delays_s"] is None
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert (stored.delays_s, stored.position) == (None, "")


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"retry_delays_s": [1, -1]}, "$.retry_delays_s[1]"),
        ({"retry_delays_s": [604_801]}, "$.retry_delays_s[0]"),
        ({"retry_delays_s": ["5"]}, "$.retry_delays_s[0]"),
        ({"retry_delays_s": [1] * 21}, "$.retry_delays_s"),
        ({"retry_delays_s": 5}, "$.retry_delays_s"),
        ({"ordered": 1}, "$.ordered"),
        ({"position": "street"}, "$.position"),
        ({"position": None}, "$.position"),
        ({"scheme": "v1a"}, "$.scheme"),
        ({"scheme": "ed25519", "secret": SECRET}, "$.scheme"),
        ({"secret": PUBLIC}, "$.secret"),
        ({"secret": PRIVATE[:-8]}, "$.secret"),
    ],
)
def test_choices_have_bounds(lasting: Api, wrong: dict[str, Any], path: str) -> None:
    """With their path."""
    answer = lasting.call("PUT", "/v1/endpoints/e", expect=422, json={"url": URL} | wrong)
    assert paths(answer) == [path]


def test_a_key_pair_shows_its_public_half_only(api: Api) -> None:
    """Made here or brought along; nobody needs the private one to verify."""
    made = api.call("PUT", CRM, expect=200, json={"url": URL, "scheme": "ed25519"})
    assert (made["secret"], made["scheme"]) == (None, "ed25519")
    assert made["public_key"].startswith("whpk_")
    stored = api.catalog.snapshot.endpoints["crm"]
    assert stored.secret.startswith("whsk_")
    assert api.call("PUT", CRM, expect=200, json={"url": URL})["public_key"] == made["public_key"]
    put = api.call("PUT", CRM, expect=200, json={"url": URL, "secret": PRIVATE})
    assert (put["secret"], put["public_key"]) == (None, PUBLIC)
    assert put == api.call("GET", CRM, expect=200)
    assert not any(each.text.count("whsk_") for each in (api.client.get("/v1/endpoints"),))


def test_a_rotation_may_change_the_scheme(crm: Api) -> None:
    """Both keys are shown while both sign; without a scheme it stays as it is."""
    shown = crm.call("GET", CRM, expect=200)
    assert (shown["scheme"], shown["public_key"]) == ("hmac", None)
    refused = crm.call("PUT", CRM, expect=409, json={"url": URL, "scheme": "ed25519"})
    assert "signs with hmac: `:rotate` changes that" in refused["detail"]
    first = crm.call("POST", f"{CRM}:rotate", expect=200, json={"scheme": "ed25519"})
    assert (first["secret"], first["scheme"]) == (None, "ed25519")
    assert first["previous_secret"]["public_key"] is None
    crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 0, "secret": PRIVATE})
    second = crm.call("POST", f"{CRM}:rotate", expect=200, json={})
    assert second["previous_secret"]["public_key"] == PUBLIC
    assert second["public_key"] not in {None, PUBLIC}
    stored = crm.catalog.snapshot.endpoints["crm"]
    assert len(signing_keys(stored, now_ms=0)) == 2
    back = crm.call("POST", f"{CRM}:rotate", expect=200, json={"overlap_s": 0, "scheme": "hmac"})
    assert back["secret"].startswith("whsec_")
    assert (back["public_key"], back["previous_secret"]) == (None, None)


@pytest.mark.parametrize(
    ("most", "allowed"), [("", ()), ("cell", ("cell",)), ("rounded", ("cell", "rounded"))]
)
def test_positions_need_the_operator(
    api_with: Callable[..., Api], most: str, allowed: tuple[str, ...]
) -> None:
    """What goes beyond his bound is refused, and the answer names the setting."""
    api = api_with(limits=Limits(positions=most))
    for choice in ("none", "cell", "rounded", "exact"):
        fits = choice in ("none", *allowed)
        body = {"url": URL, "position": choice}
        answer = api.call("PUT", CRM, expect=200 if fits else 422, json=body)
        if fits:
            assert choice == answer["position"]
        else:
            assert ["$.position"] == paths(answer)
            assert f"GEOTARGET_WEBHOOK_POSITIONS is {most or 'none'!r}" in answer["detail"]
    assert choice != api.call("GET", CRM, expect=200)["position"]
