"""What deciding costs: a hundred campaigns that all listen, and thousands that can't match.

One core, no store: what is measured is what lies between the transitions of a batch and its
decisions, the asking for what is remembered included. Profiles have eight attributes and a quarter
of a year of visits, so that rules have something to count. CPU time of the process, the median of
the rounds; every round decides transitions of people that it has not met before.

    python benchmarks/decisions.py            results/decisions.json and docs/decisions.svg
    python benchmarks/decisions.py --smoke    smaller, writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from shapely import Point

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.rounds import rounded
from geotarget.model import (
    Behaviour,
    Budget,
    Campaign,
    Cap,
    Decision,
    Hours,
    Kind,
    Profile,
    Stay,
    Transition,
    Trigger,
    Zone,
)
from geotarget.targeting import CampaignTable, Ledger, asked, decide

RESULTS = REPOSITORY / "benchmarks" / "results" / "decisions.json"
PICTURE = REPOSITORY / "geotarget" / "docs" / "decisions.svg"
GOAL_PER_S = 20_000
SEED = 20_261_122
NOON_MS, DAY_MS = 1_767_268_800_000, 86_400_000
SWEEP = (1, 10, 100, 1_000, 10_000)
FRUITLESS = {"other zones": "#c1121f", "other tags": "#457b9d"}

RULES = (
    "visits.here(30) >= {n}",
    'profile.tier == "gold" && visits.tag("food", 90) > {n}',
    'profile.age > {n} && profile.city == "Espoo"',
    '"running" in profile.interests && profile.spent > {n}.0',
    'local.weekday in ["sat", "sun"] && visits.total(7) > {n}',
    "purchases.value(90) > {n}.0 || offers.total(30) > {n}",
    "visits.days_since_here() > {n} && profile.children > 1",
)
OFFER = {
    "title": "Hello {{ profile.first_name | default: 'neighbour' }}",
    "text": "A bun for 2 € at {{ zone.name }}",
}


def zones(count: int) -> list[Zone]:
    """Return zones with tags, in several time zones."""
    names = ("Europe/Helsinki", "Europe/London", "Asia/Kathmandu")
    return [
        Zone(
            id=f"shop-{number}",
            geometry=Point(24.9, 60.2),
            radius_m=50,
            name=f"Shop {number}",
            tags=("food", f"chain-{number % 10}"),
            time_zone=names[number % len(names)],
        )
        for number in range(count)
    ]


def people(count: int, random: Random) -> dict[str, Profile]:
    """Return profiles by device."""
    return {
        f"phone-{number}": Profile(
            f"phone-{number}",
            {
                "first_name": "Aino",
                "tier": random.choice(["gold", "blue", "none"]),
                "age": random.randrange(18, 80),
                "city": random.choice(["Helsinki", "Espoo", "Vantaa"]),
                "interests": random.sample(["running", "food", "music", "cars"], 2),
                "spent": random.random() * 1_000,
                "children": random.randrange(4),
                "language": "fi",
            },
            {"marketing": random.random() < 0.9},
        )
        for number in range(count)
    }


def behaviour(random: Random, places: Sequence[Zone]) -> Behaviour:
    """Return sixty visits in a quarter of a year."""
    stays: dict[str, list[Stay]] = {}
    for start_ms in sorted(NOON_MS - random.randrange(90 * DAY_MS) for _ in range(60)):
        place = places[random.randrange(min(len(places), 12))]
        stays.setdefault(place.id, []).append(Stay(start_ms, random.randrange(60, 7_200)))
    first_ms = min(each[0].start_ms for each in stays.values())
    return Behaviour(first_ms=first_ms, last_ms=NOON_MS - 1, visits_total=60, stays=stays)


def moves(
    count: int, random: Random, devices: Sequence[str], places: Sequence[Zone]
) -> list[Transition]:
    """Return entries of a batch."""
    return [
        Transition(
            id=f"{random.getrandbits(128):032x}",
            visit=f"{number:032x}",
            device=devices[number % len(devices)],
            zone=places[random.randrange(len(places))].id,
            zone_revision=1,
            kind=Kind.ENTER,
            ts_ms=NOON_MS + number,
            decided_ms=NOON_MS + number,
            confidence=random.choice([1, 2, 3]),
            p=0.95,
            initial=random.random() < 0.1,
        )
        for number in range(count)
    ]


def listening(count: int) -> list[Campaign]:
    """Return campaigns for all zones: a third wants certainty, most of the others have a rule."""
    made = []
    for number in range(count):
        rule = RULES[number % len(RULES)].format(n=number % 40 + 3) if number % 10 < 9 else ""
        made.append(
            Campaign(
                id=f"listening-{number}",
                name="",
                trigger=Trigger(min_confidence=3 if number % 3 == 0 else 1, initial=number % 5 > 0),
                offer=OFFER,
                endpoints=("crm",),
                version=1,
                audience=rule,
                hours=(Hours("08:00", "20:00"),) if number % 4 == 0 else (),
                caps=(Cap(3, 7 * 86_400),),
                budget=Budget(total=1_000_000, per_day=50_000, pacing="asap"),
                holdout=0.1 if number % 2 else 0.0,
            )
        )
    return made


def fruitless(count: int, kind: str) -> list[Campaign]:
    """Return campaigns that can't match: for zones or tags where nobody comes."""
    made = []
    for number in range(count):
        if kind == "other zones":
            trigger = Trigger(zone_ids=frozenset({f"elsewhere-{number}"}))
        else:
            trigger = Trigger(zone_tags=frozenset({f"unheard-{number % 500}"}))
        made.append(Campaign(f"never-{number}", "", trigger, OFFER, ("crm",), version=1))
    return made


def measure(
    campaigns: Sequence[Campaign], places: Sequence[Zone], *, moved: int, rounds: int
) -> tuple[list[float], list[list[Decision]]]:
    """Return CPU seconds and decisions of each round."""
    table = CampaignTable.compile(campaigns, places)
    by_id = {place.id: place for place in places}
    taken, made = [], []
    for number in range(rounds + 1):  # the first compiles rules and fills tables
        random = Random(SEED + number)
        profiles = people(max(moved // 2, 1), random)
        transitions = moves(moved, random, list(profiles), places)
        ledger = Ledger(profiles, {each: behaviour(random, places) for each in profiles})
        started = time.process_time()
        asked(transitions, table=table, profiles=profiles)
        decisions = decide(
            transitions,
            table=table,
            zones=by_id,
            audiences={},
            ledger=ledger,
            now_ms=NOON_MS,
        )
        taken.append(time.process_time() - started)
        made.append(decisions)
    return taken[1:], made[1:]


def refusals(campaigns: int, *, moved: int, rounds: int) -> dict[str, Any]:
    """Measure campaigns that all listen, most of them refused by trigger or audience."""
    taken, made = measure(listening(campaigns), zones(100), moved=moved, rounds=rounds)
    rates = [len(decisions) / cpu_s for cpu_s, decisions in zip(taken, made, strict=True)]
    gates = Counter(each.gate for decisions in made for each in decisions)
    total = sum(gates.values())
    return {
        "campaigns": campaigns,
        "transitions": moved,
        "decisions": len(made[0]),
        "per_s": rounded(statistics.median(rates)),
        "us": rounded(1e6 / statistics.median(rates)),
        "rounds_per_s": [rounded(rate) for rate in rates],
        "shares": {gate: rounded(count / total) for gate, count in gates.most_common()},
    }


def sweep(counts: Sequence[int], *, moved: int, rounds: int) -> list[dict[str, Any]]:
    """Measure five campaigns that listen among ever more that can't match."""
    rows = []
    places = zones(100)
    for count in counts:
        row: dict[str, Any] = {"campaigns": count}
        for kind in FRUITLESS:
            campaigns = [*listening(5), *fruitless(count, kind)]
            started = time.process_time()
            CampaignTable.compile(campaigns, places)
            compiled = time.process_time() - started
            taken, _ = measure(campaigns, places, moved=moved, rounds=rounds)
            row[kind] = {
                "us_per_transition": rounded(statistics.median(taken) / moved * 1e6),
                "rounds_us": [rounded(each / moved * 1e6) for each in taken],
                "compile_ms": rounded(1e3 * compiled),
            }
        rows.append(row)
    return rows


def silence(*, moved: int, rounds: int) -> dict[str, Any]:
    """Measure transitions that no campaign listens to."""
    campaigns = fruitless(100, "other zones")
    taken, _ = measure(campaigns, zones(100), moved=10 * moved, rounds=rounds)
    return {"us_per_transition": rounded(statistics.median(taken) / (10 * moved) * 1e6)}


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw CPU microseconds a transition over the campaigns that can't match."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "geotarget", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    counts = [row["campaigns"] for row in rows]
    for kind, colour in FRUITLESS.items():
        costs = [row[kind]["us_per_transition"] for row in rows]
        axes.plot(counts, costs, color=colour, label=f"for {kind}", linewidth=2, marker="o")
    axes.set(
        xscale="log",
        xlabel="campaigns that can't match, beside five that listen",
        ylabel="CPU µs a transition, one core",
    )
    highest = max(row[kind]["us_per_transition"] for row in rows for kind in FRUITLESS)
    axes.set_ylim(0, 1.3 * highest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Measure, print, and unless it is only a trial keep the figures and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="small, writes nothing")
    options = parser.parse_args()
    size = {"moved": 50, "rounds": 2} if options.smoke else {"moved": 1_000, "rounds": 9}
    load = os.getloadavg()[0]
    found = refusals(100, **size)
    gates = ", ".join(f"{100 * share:.1f} % {gate}" for gate, share in found["shares"].items())
    print(f"100 campaigns that listen: {found['per_s']:,.0f} decisions/s ({gates})")
    unheard = silence(**size)
    print(f"no campaign listens: {unheard['us_per_transition']:.2f} us a transition")
    rows = sweep(SWEEP[:3] if options.smoke else SWEEP, **size)
    for row in rows:
        costs = ", ".join(
            f"{kind} {row[kind]['us_per_transition']:.1f} us a transition "
            f"(compiled in {row[kind]['compile_ms']:.1f} ms)"
            for kind in FRUITLESS
        )
        print(f"{row['campaigns']:6,} campaigns that can't match: {costs}")
    if options.smoke:
        return
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        "measured": time.strftime("%Y-%m-%d"),
        "load_before": rounded(load),
        "seed": SEED,
        "goal_per_s": GOAL_PER_S,
        "listening": found,
        "nobody_listens": unheard,
        "fruitless": rows,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    draw(rows, PICTURE)


if __name__ == "__main__":
    main()
