"""How often one person hears from one campaign, in one visit, and from all campaigns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotarget.errors import InvalidCampaign
from geotarget.model import Campaign, Cap, Fired, Heard, Kind, Policy, Transition, Trigger
from geotarget.targeting import validate_caps, validate_policy_caps
from geotarget.targeting.caps import gate
from tests.targeting.conftest import NOON_MS, make_campaign
from tests.targeting.deciding import DAY_S, heard, make_case, remembering, run

OWN, ALL = "of this campaign", "of all campaigns"


@pytest.mark.parametrize(
    ("caps", "offers", "reason"),
    [
        ([Cap(1, 60)], [], None),
        ([Cap(1, 60)], heard(59.999), "1 offer of this campaign in the last 1 min"),
        # the window is open at its far end: an offer exactly a period ago counts no more
        ([Cap(1, 60)], heard(60), None),
        ([Cap(2, 3600)], heard(3599), None),
        ([Cap(2, 3600)], heard(3599, 1), "2 offers of this campaign in the last 1 h"),
        ([Cap(2, 3600)], heard(3600, 1), None),
        ([Cap(3, 7 * DAY_S)], heard(6 * DAY_S, DAY_S, 5),
         "3 offers of this campaign in the last 7 d"),
        ([Cap(1, 90)], heard(89), "1 offer of this campaign in the last 90 s"),
        # several caps: the first that is reached is told
        ([Cap(5, DAY_S), Cap(1, 60)], heard(30), "1 offer of this campaign in the last 1 min"),
        # another campaign's offers, and what a held-out profile was not sent, do not count
        ([Cap(1, DAY_S)], heard(5, campaign="other"), None),
        ([Cap(1, DAY_S)], heard(5, held_out=True), None),
        # an offer for something later counts as well: there is a window that holds both
        ([Cap(1, 60)], heard(-3600), "1 offer of this campaign in the last 1 min"),
    ],
)  # fmt: skip
def test_rolling_caps(caps: list[Cap], offers: list[Heard], reason: str | None) -> None:
    """At most so many offers of the campaign in every window of the period."""
    case = make_case(campaign={"caps": tuple(caps)}, ledger=remembering(*offers))
    refusal = gate(case)
    if reason is None:
        assert refusal is None
        return
    assert refusal is not None
    assert refusal.reason.startswith(reason)
    assert (refusal.inputs["of"], "cap" in case.passed) == (OWN, False)


@pytest.mark.parametrize(("count", "refuses"), [(0, False), (2, False), (3, True), (4, True)])
def test_a_cap_for_ever_counts_all_firings(count: int, refuses: bool) -> None:
    """Without a period the firings so far count, however long ago they are."""
    fired = {("hello", "phone-1"): Fired(5, count)} if count else {}
    case = make_case(campaign={"caps": (Cap(3),)}, ledger=remembering(fired=fired))
    refusal = gate(case)
    assert refuses == (refusal is not None)
    inputs = {"of": OWN, "max": 3, "period_s": None, "count": count}
    if refusal is not None:
        assert f"{count} offers of this campaign so far, at most 3 may be" == refusal.reason
        assert inputs == refusal.inputs
    else:
        assert {"cap": {"caps": [inputs]}} == case.passed


@pytest.mark.parametrize(
    ("per_visit", "offers", "refuses"),
    [
        (1, [], False),
        (1, heard(10, visit="visit-1"), True),
        (1, heard(10, visit="another"), False),
        (1, heard(10, visit="visit-1", campaign="other"), False),
        (1, heard(10, visit="visit-1", held_out=True), False),
        (2, heard(10, visit="visit-1"), False),
        (2, heard(20, 10, visit="visit-1"), True),
        # a visit may last for weeks
        (1, heard(40 * DAY_S, visit="visit-1"), True),
    ],
)
def test_per_visit(per_visit: int, offers: list[Heard], refuses: bool) -> None:
    """At most so many offers of the campaign while one visit lasts."""
    refusal = gate(make_case(campaign={"per_visit": per_visit}, ledger=remembering(*offers)))
    assert refuses == (refusal is not None)
    if refusal is not None:
        expected = {"per_visit": per_visit, "visit": "visit-1", "count": len(offers)}
        assert expected == refusal.inputs


@pytest.mark.parametrize(
    ("ago_ms", "reason"),
    [
        (59_999, "fired 59.999 s ago, the cooldown is 60 s"),
        (60_000, None),
        (0, "fired 0 s ago, the cooldown is 60 s"),
        # decided late: what was sent for a later visit must not be followed by another
        (-5_000, "fired for a visit 5 s later, the cooldown is 60 s"),
    ],
)
def test_cooldown(ago_ms: int, reason: str | None) -> None:
    """Silence lasts for the cooldown, and covers transitions that are decided late."""
    ledger = remembering(fired={("hello", "phone-1"): Fired(NOON_MS - ago_ms, 1)})
    refusal = gate(make_case(campaign={"cooldown_s": 60}, ledger=ledger))
    assert reason == (refusal and refusal.reason)
    if refusal is not None:
        expected = {
            "cooldown_s": 60,
            "since_s": ago_ms / 1000,
            "last_fired_ms": NOON_MS - ago_ms,
        }
        assert expected == refusal.inputs


@pytest.mark.parametrize(
    ("pair", "refuses"),
    [(("hello", "phone-1"), True), (("hello", "other"), False), (("other", "phone-1"), False)],
)
def test_cooldown_is_per_profile_and_campaign(pair: tuple[str, str], refuses: bool) -> None:
    """Another campaign's or person's offer starts no silence."""
    ledger = remembering(fired={pair: Fired(NOON_MS, 1)})
    refusal = gate(make_case(campaign={"cooldown_s": 60}, ledger=ledger))
    assert refuses == (refusal is not None)


@pytest.mark.parametrize(
    ("caps", "offers", "reason"),
    [
        ((Cap(2, DAY_S),), heard(5), None),
        ((Cap(2, DAY_S),), [*heard(5), *heard(9, campaign="other")],
         "2 offers of all campaigns in the last 1 d, at most 2 may be"),
        ((Cap(2, DAY_S),), [*heard(5), *heard(9, campaign="other", held_out=True)], None),
        ((Cap(2, DAY_S),), [*heard(5), *heard(DAY_S, campaign="other")], None),
        ((Cap(1),), heard(80 * DAY_S, campaign="other"),
         "1 offer of all campaigns so far, at most 1 may be"),
    ],
)  # fmt: skip
def test_policy_caps_hold_over_all_campaigns(
    caps: tuple[Cap, ...], offers: list[Heard], reason: str | None
) -> None:
    """The operator's caps count whatever campaign an offer came from."""
    refusal = gate(make_case(policy=Policy(caps=caps), ledger=remembering(*offers)))
    assert reason == (refusal and refusal.reason)
    assert refusal is None or refusal.inputs["of"] == ALL


def test_campaign_without_caps_has_nothing_to_tell() -> None:
    """Nothing is looked at, so nothing is told."""
    case = make_case(ledger=remembering(*heard(3, 2, 1)))
    assert gate(case) is None
    assert {} == case.passed


def test_passed_caps_tell_what_they_counted() -> None:
    """Who passed sees how far it was from being capped."""
    case = make_case(
        campaign={"caps": (Cap(3, 3600),), "per_visit": 2, "cooldown_s": 5},
        ledger=remembering(*heard(100, 50)),
        policy=Policy(caps=(Cap(9, DAY_S),)),
    )
    assert gate(case) is None
    expected = [
        {"of": OWN, "max": 3, "period_s": 3600, "count": 2},
        {"per_visit": 2, "visit": "visit-1", "count": 0},
        {"of": ALL, "max": 9, "period_s": DAY_S, "count": 2},
    ]
    assert {"cap": {"caps": expected}} == case.passed
    assert msgspec.json.encode(case.passed)


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({}, []),
        ({"caps": (Cap(1), Cap(500, 90 * DAY_S)), "per_visit": 1, "cooldown_s": 1}, []),
        ({"caps": (Cap(0, 60),)}, ["$.caps.per_profile[0].max"]),
        ({"caps": (Cap(1, 60), Cap(501, 0))},
         ["$.caps.per_profile[1].max", "$.caps.per_profile[1].period_s"]),
        ({"caps": (Cap(1, 90 * DAY_S + 1),)}, ["$.caps.per_profile[0].period_s"]),
        ({"caps": (Cap(1),) * 11}, ["$.caps.per_profile"]),
        ({"per_visit": 0, "cooldown_s": 0}, ["$.caps.per_visit", "$.caps.cooldown_s"]),
        ({"per_visit": 501, "cooldown_s": 10**9}, ["$.caps.per_visit", "$.caps.cooldown_s"]),
    ],
)  # fmt: skip
def test_validate_caps(options: dict[str, Any], paths: list[str]) -> None:
    """Figures out of their bounds are all named at once."""
    campaign = make_campaign(**options)
    if not paths:
        validate_caps(campaign)
        return
    with pytest.raises(InvalidCampaign) as caught:
        validate_caps(campaign)
    assert paths == [problem.path for problem in caught.value.problems]
    assert all("may be" in each.reason or "within" in each.reason for each in caught.value.problems)


def test_validate_policy_caps() -> None:
    """The operator's caps have the same bounds."""
    validate_policy_caps((Cap(3, DAY_S),))
    with pytest.raises(InvalidCampaign, match=r"\$.caps\[1\].max: must be within 1 and 500 \(0\)"):
        validate_policy_caps((Cap(1), Cap(0)))


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["phone-1", "phone-2"]),
        st.integers(0, 400).map(lambda seconds: NOON_MS + seconds * 1_000),
        st.sampled_from(["visit-1", "visit-2"]),
    ),
    max_size=20,
)


@given(
    MOVES,
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 200)), max_size=2),
    st.integers(1, 4),
    st.integers(1, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 200)),
)
def test_no_window_ever_holds_more(
    moves: list[tuple[str, int, str]],
    caps: list[tuple[int, int]],
    ever: int,
    per_visit: int,
    over_all: tuple[int, int],
) -> None:
    """Whatever comes in whatever order: no window, no visit and no profile has one too many."""
    own = (*(Cap(most, period_s) for most, period_s in caps), Cap(ever))
    campaigns = [
        Campaign(name, "", Trigger(), {}, (), caps=own, per_visit=per_visit, with_others=True)
        for name in ("a", "b")
    ]
    moved = [
        Transition(f"{n:032x}", visit, device, "shop", 1, Kind.ENTER, at_ms, at_ms, 3, 0.9)
        for n, (device, at_ms, visit) in enumerate(moves)
    ]
    policy = Policy(caps=(Cap(*over_all),))
    fired = [each for each in run(moved, campaigns, policy=policy) if each.fired]
    for profile in ("phone-1", "phone-2"):
        mine = [each for each in fired if each.profile == profile]
        assert most_in_a_window([each.decided_ms for each in mine], over_all[1]) <= over_all[0]
        for name in ("a", "b"):
            sent = [each for each in mine if each.campaign == name]
            assert len(sent) <= ever
            for most, period_s in caps:
                assert most_in_a_window([each.decided_ms for each in sent], period_s) <= most
            for visit in ("visit-1", "visit-2"):
                assert sum(each.visit == visit for each in sent) <= per_visit


def most_in_a_window(times: list[int], period_s: int) -> int:
    """The most instants that lie in any stretch of a period, its end excluded."""
    return max(
        (sum(start <= at < start + 1000 * period_s for at in times) for start in times), default=0
    )
