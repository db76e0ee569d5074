"""Is the lift what it says? Campaigns that change nothing, and customers with a known true uplift.

    python benchmarks/uplift.py [--smoke] [--only reading,idle]

Groups: 100,000 profiles; chi-square of the shares that the hash gives to holdout and variants.
A/A: campaigns whose offer changes nothing. The same people, each with a probability of their own,
are put into groups by the real hash with the campaign's own salt; how often does the report claim
a gain or a loss? Once at the end, and looking every day.
End to end: a seed is a scratch database. People enter a zone, the real gates decide, the store
writes, those who were sent the offer convert a third more often, conversions are reported by
profile, and the report is read: does its interval hold the true uplift?
Reading: what the report of a busy zone and of a large campaign costs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from scipy.stats import binomtest, chisquare
from shapely import Point

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import uplift_page
from benchmarks.uplift_page import RESULTS
from geotarget.catalog import Catalog
from geotarget.insight.lift import Group, Verdict, compare, judge, p_value
from geotarget.insight.results import CampaignResults, campaign_results
from geotarget.insight.traffic import traffic
from geotarget.model import (
    BatchWrite,
    Campaign,
    Conversion,
    Endpoint,
    Kind,
    Transition,
    Trigger,
    Variant,
    Zone,
)
from geotarget.store import Store
from geotarget.targeting import Ledger, asked, decide
from geotarget.targeting.allocation import choose_variant, held_out, unit_hash

START_MS = 1_767_268_800_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SEED = 7


# -- groups ---------------------------------------------------------------------------------


def balance(people: int) -> list[dict[str, Any]]:
    """Return how evenly the hash divides people, for some salts."""
    variants = tuple(Variant(name, {}, weight) for name, weight in (("a", 1.0), ("b", 2.0)))
    rows = []
    for salt in ("spring", "summer", "autumn", "winter"):
        campaign = _campaign(salt, holdout=0.1, variants=variants)
        counts = {"held out": 0, "a": 0, "b": 0}
        for number in range(people):
            profile = f"p-{number}"
            chosen = choose_variant(campaign, profile, "", {})
            assert chosen is not None
            counts["held out" if held_out(campaign, profile) else chosen.id] += 1
        shares = {"held out": 0.1, "a": 0.3, "b": 0.6}
        found = chisquare(list(counts.values()), [people * share for share in shares.values()])
        rows.append({"salt": salt, "people": people, **counts, "p_value": float(found.pvalue)})
    return rows


# -- campaigns that change nothing -------------------------------------------------------------


def idle_campaigns(
    campaigns: int, people: int, rates: Sequence[float], holdouts: Sequence[float]
) -> list[dict[str, Any]]:
    """Return how often something is claimed of campaigns that change nothing."""
    dice = np.random.default_rng(SEED)
    names = [f"p-{number}" for number in range(people)]
    spread = np.random.default_rng(SEED + 1).gamma(2.0, 0.5, people)  # some buy more than others
    chances = {rate: np.clip(rate * spread / spread.mean(), 0, 0.95) for rate in rates}
    tallies = {(rate, share): [0, 0] for rate in rates for share in holdouts}
    for number in range(campaigns):
        salt = f"idle-{number}"
        lots = np.array([unit_hash("holdout", salt, name) for name in names])
        for rate in rates:
            converted = dice.random(people) < chances[rate]
            for share in holdouts:
                held = lots < share
                groups = _groups(held, converted)
                tally = tallies[rate, share]
                tally[0] += judge(*groups) in {Verdict.GAIN, Verdict.LOSS}
                tally[1] += p_value(*groups) < 0.05
    rows = []
    for (rate, share), (claims, significant) in tallies.items():
        between = binomtest(claims, campaigns).proportion_ci(method="exact")
        rows.append(
            {
                "rate": rate,
                "holdout": share,
                "people": people,
                "campaigns": campaigns,
                "expected_held_out_conversions": rate * share * people,
                "claimed": claims / campaigns,
                "claimed_interval": [float(between.low), float(between.high)],
                "p_below_5_percent": significant / campaigns,
            }
        )
    return rows


def looked_at_daily(campaigns: int, people: int, days: int) -> dict[str, Any]:
    """Return how often a campaign that changes nothing shows a gain or loss on any of the days."""
    dice = np.random.default_rng(SEED + 2)
    ever = last = 0
    for _ in range(campaigns):
        held, converted = dice.random(people) < 0.1, dice.random(people) < 0.05
        seen = [
            judge(*_groups(held[:upto], converted[:upto])) in {Verdict.GAIN, Verdict.LOSS}
            for upto in range(people // days, people + 1, people // days)
        ]
        ever += any(seen)
        last += seen[-1]
    return {
        "campaigns": campaigns,
        "people": people,
        "days": days,
        "claimed_on_any_day": ever / campaigns,
        "claimed_on_the_last_day": last / campaigns,
    }


def coverage(campaigns: int, people: int, rate: float, uplift: float, share: float) -> Any:
    """Return how often intervals hold the truth, groups by chance, without a database."""
    dice = np.random.default_rng(SEED + 3)
    hits = [0, 0]
    for _ in range(campaigns):
        few = int(dice.binomial(people, share))
        many = people - few
        treated = Group(many, int(dice.binomial(many, rate * (1 + uplift))))
        found = compare(treated, Group(few, int(dice.binomial(few, rate))))
        assert found is not None
        hits[0] += found.relative_interval.low <= uplift <= found.relative_interval.high
        absolute = found.difference_interval
        hits[1] += absolute.low <= rate * uplift <= absolute.high
    return {
        "campaigns": campaigns,
        "people": people,
        "rate": rate,
        "uplift": uplift,
        "holdout": share,
        "relative": hits[0] / campaigns,
        "difference": hits[1] / campaigns,
    }


def _groups(held: Any, converted: Any) -> tuple[Group, Group]:
    both = held & converted
    many, few = len(held) - int(held.sum()), int(held.sum())
    return Group(many, int(converted.sum() - both.sum())), Group(few, int(both.sum()))


# -- a true uplift, end to end -------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A scratch database with a zone and a campaign."""

    store: Store
    catalog: Catalog


@contextmanager
def world(campaign: Campaign) -> Iterator[World]:
    """Make a database, and remove it."""
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/w.db") as store:
        catalog = Catalog(store)
        catalog.put_zones([Zone("shop", Point(24.94, 60.17).buffer(0.002))])
        catalog.put_endpoint(Endpoint("till", "https://till.example/", SECRET))
        catalog.put_campaign(campaign)
        yield World(store, catalog)
        catalog.stop()


def visit(here: World, people: Sequence[str], at_ms: int) -> dict[str, str]:
    """Let people enter the shop; return at which gate each one's decision ended."""
    transitions = [
        Transition(
            id=f"{at_ms:012x}{number:020x}",
            visit=f"{at_ms:012x}{number:020x}",
            device=person,
            zone="shop",
            zone_revision=1,
            kind=Kind.ENTER,
            ts_ms=at_ms,
            decided_ms=at_ms,
            confidence=3,
            p=0.97,
        )
        for number, person in enumerate(people)
    ]
    snapshot = here.catalog.snapshot
    with here.store.turn() as turn:
        profiles = turn.profiles_of(people)
        wanted = asked(transitions, table=snapshot.table, profiles=profiles)
        ledger = Ledger.read(turn, wanted, profiles)
        decisions = decide(
            transitions,
            table=snapshot.table,
            zones=snapshot.zones,
            audiences=snapshot.audiences,
            ledger=ledger,
            now_ms=at_ms,
        )
        turn.write(
            BatchWrite(
                transitions=transitions,
                decisions=decisions,
                profiles={person: profiles[person].id for person in people},
            )
        )
    return {each.profile: each.gate for each in decisions}


def one_seed(seed: int, people: int, *, rate: float, uplift: float, share: float) -> dict[str, Any]:
    """Return what the report of a campaign with a known uplift says."""
    dice = np.random.default_rng(seed)
    campaign = _campaign(f"seed-{seed}", holdout=share)
    names = [f"s{seed}-{number}" for number in range(people)]
    with world(campaign) as here:
        for day in range(2):  # everybody comes twice, most in another order
            order = [names[at] for at in dice.permutation(people)]
            for first in range(0, people, 1_000):
                some = order[first : first + 1_000]
                gates = visit(here, some, START_MS + day * 86_400_000 + first * 1_000)
                if day == 0:
                    _buy(here, dice, gates, rate=rate, uplift=uplift)
        found = campaign_results(here.store, here.catalog.snapshot.campaigns[0], minimum=3)
    lift = found.comparison.lift
    assert lift is not None
    relative, absolute = lift.relative_interval, lift.difference_interval
    return {
        "seed": seed,
        "treated": [lift.treated.people, lift.treated.converted],
        "held_out": [lift.held_out.people, lift.held_out.converted],
        "lift": lift.relative,
        "interval": [relative.low, relative.high],
        "covers": relative.low <= uplift <= relative.high,
        "difference_covers": absolute.low <= rate * uplift <= absolute.high,
        "verdict": lift.verdict.value,
    }


def _buy(
    here: World,
    dice: np.random.Generator,
    gates: dict[str, str],
    *,
    rate: float,
    uplift: float,
    at_ms: int = START_MS + 2 * 86_400_000,
) -> None:
    """Let people buy after their first visit: more of those who were sent the offer."""
    conversions = [
        Conversion(
            id=f"sale-{person}",
            profile=person,
            at_ms=at_ms,
            received_ms=at_ms,
            value_micros=int(dice.integers(1, 40)) * 1_000_000,
            currency="EUR",
        )
        for person, gate in gates.items()
        if dice.random() < rate * (1 + uplift if gate == "fired" else 1)
    ]
    here.store.record_conversions(conversions)


def end_to_end(seeds: int, people: int, *, rate: float, uplift: float, share: float) -> Any:
    """Return in how many seeds the report's interval holds the truth."""
    rows = [one_seed(seed, people, rate=rate, uplift=uplift, share=share) for seed in range(seeds)]
    return {
        "seeds": seeds,
        "people": people,
        "rate": rate,
        "uplift": uplift,
        "holdout": share,
        "covered": sum(row["covers"] for row in rows),
        "difference_covered": sum(row["difference_covers"] for row in rows),
        "mean_lift": float(np.mean([row["lift"] for row in rows])),
        "verdicts": {
            verdict.value: sum(row["verdict"] == verdict.value for row in rows)
            for verdict in Verdict
        },
        "rows": rows,
    }


def reading(people: int) -> dict[str, Any]:
    """Return what reports cost, CPU seconds; a visit is two transitions."""
    dice = np.random.default_rng(SEED)
    with world(_campaign("large", holdout=0.2)) as here:
        names = [f"p-{number}" for number in range(people)]
        for first in range(0, people, 5_000):
            some = names[first : first + 5_000]
            at_ms = START_MS + first * 10_000
            gates = visit(here, some, at_ms)
            left = [
                Transition(
                    id=f"{at_ms + 1:012x}{number:020x}",
                    visit=f"{at_ms:012x}{number:020x}",
                    device=person,
                    zone="shop",
                    zone_revision=1,
                    kind=Kind.EXIT,
                    ts_ms=at_ms + 600_000 + number,
                    decided_ms=at_ms + 600_000 + number,
                    confidence=3,
                    p=0.97,
                    duration_s=600.0 + number / 1000,
                )
                for number, person in enumerate(some)
            ]
            here.store.write_batch(BatchWrite(transitions=left))
            _buy(here, dice, gates, rate=0.1, uplift=0.2, at_ms=at_ms + 3_600_000)
        took = []
        campaign = here.catalog.snapshot.campaigns[0]
        day = date(2026, 1, 1)
        for read in (
            lambda: traffic(
                here.store, "shop", minimum=10, now_ms=START_MS, first_day=day,
                last_day=day + timedelta(days=30),
            ),
            lambda: campaign_results(here.store, campaign, minimum=10, by="day"),
        ):  # fmt: skip
            started = time.process_time()
            found = read()
            took.append(time.process_time() - started)
        assert isinstance(found, CampaignResults)
        return {
            "transitions": here.store.counts().transitions,
            "people": people,
            "conversions": found.total.conversions,
            "zone_s": took[0],
            "campaign_s": took[1],
        }


def _campaign(id: str, *, holdout: float, variants: tuple[Variant, ...] = ()) -> Campaign:
    return Campaign(
        id=id,
        name="Bun",
        trigger=Trigger(),
        offer={"title": "A bun for 2 €"},
        endpoints=("till",),
        holdout=holdout,
        variants=variants,
        cost_micros=50_000,
    )


def measure(only: set[str], *, smoke: bool) -> dict[str, Any]:
    """Measure some parts, or all when none is named."""
    parts: dict[str, Callable[[], Any]] = {
        "balance": lambda: balance(5_000 if smoke else 100_000),
        "idle": lambda: idle_campaigns(
            100 if smoke else 4_000, 1_000 if smoke else 6_000, (0.02, 0.05, 0.2), (0.1, 0.3, 0.5)
        ),
        "daily": lambda: looked_at_daily(100 if smoke else 2_000, 14_000, 14),
        "coverage": lambda: [
            coverage(200 if smoke else 20_000, people, rate, 0.3, share)
            for people, rate, share in ((3_000, 0.05, 0.1), (3_000, 0.2, 0.3), (600, 0.02, 0.1))
        ],
        "end_to_end": lambda: end_to_end(
            2 if smoke else 100, 500 if smoke else 3_000, rate=0.1, uplift=0.3, share=0.3
        ),
        "reading": lambda: reading(500 if smoke else 50_000),
    }
    if unknown := only - set(parts):
        raise SystemExit(f"no part {sorted(unknown)}: there are {', '.join(parts)}")
    found: dict[str, Any] = {"seed": SEED}
    for name, part in parts.items():
        if only and name not in only:
            continue
        started = time.perf_counter()
        found[name] = part()
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small, and nothing is kept")
    parser.add_argument("--only", default="", help="parts, separated by commas")
    given = parser.parse_args()
    smoke = given.smoke
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = measure({part for part in given.only.split(",") if part}, smoke=smoke)
    if not smoke:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(kept | found, indent=1) + "\n")
        uplift_page.main()
    shown = {name: part for name, part in found.items() if name != "end_to_end"}
    if "end_to_end" in found:
        shown["end_to_end"] = {
            name: part for name, part in found["end_to_end"].items() if name != "rows"
        }
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
