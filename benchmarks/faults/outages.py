"""Rows about endpoints that are gone for a while, and nodes that die with a slow one."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from benchmarks.faults import clock
from benchmarks.faults.ledger import check
from benchmarks.faults.node import eventually, rest
from benchmarks.faults.phones import Phones
from benchmarks.faults.receivers import ENTERS, caught_up, emptied, listed, send_again
from benchmarks.faults.row import Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, KINDS, RATE, Scene
from tests.ports import free_ports

HOUR_S = 3_600.0
AS_FAST_AS_IT_GOES = 1e6
SLOW_MS = 500
EVENTS_A_DEVICE = 3
LEAST_SHARE, MOST_CPU = 0.5, 1.25
MOST_GROWTH_MIB = 300.0
ATTEMPTS = "geotarget_webhook_attempts_total"


def down_for_an_hour(run: Run) -> Result:
    """Nobody listens while an hour passes on the clocks; then replay, twice."""
    file = run.folder / "clock"
    clock.step(file, 0.0)
    steps = run.size(2, 1)  # each waits for a probe: pauses double up to 30 s
    launcher = ("-m", "benchmarks.faults.points", "--clock", str(file), "--")
    with Scene(run, launcher=launcher, clock_file=str(file)) as scene:
        node = scene.node
        # one attempt each, so that there is something to replay
        scene.put_endpoint(ENDPOINT, retry_delays_s=[])
        began = time.time()
        phones = scene.publish()
        phones.wait_for(2_000)
        scene.receiver.kill()
        rest(run.size(6.0, 2.0))
        phones.finish()
        for number in range(1, steps + 1):
            before = node.metric(ATTEMPTS)
            clock.step(file, HOUR_S * number / steps)
            eventually(
                lambda before=before: node.metric(ATTEMPTS) > before,
                seconds=45,
                what="an attempt after the clock was stepped",
            )
        attempts = node.metric(ATTEMPTS)
        scene.receiver.start()
        back = time.time()
        asked = send_again(node, began, "pending", "failed")
        owed = scene.owed()
        scene.arrived(owed, seconds=90)
        arrived_s = time.time() - back
        emptied(node, seconds=60)
        posts = len(scene.receiver.posts())
        again = send_again(node, began, "pending", "failed")
        emptied(node, seconds=30)
        got = scene.receiver.posts()
        verdict = check(owed, got, ENDPOINT)
        problems = []
        if verdict.duplicates:
            problems.append(f"{verdict.duplicates} came twice although each was asked for once")
        if again or len(got) > posts:
            problems.append(f"a second replay took {again}, {len(got) - posts} came")
        note = (
            f"an hour in {steps} steps of the clock, {attempts:,.0f} attempts before it was over; "
            f"the replay took {asked:,}, the same request again none"
        )
        size = f"{len(phones.acknowledged):,} pings at {RATE:,.0f}/s"
        return scene.result(verdict, size, recovery_s=arrived_s, note=note, problems=problems)


def down_for_forty_seconds(run: Run) -> Result:
    """Nobody listens for 40 s while phones publish; nobody asks for a replay afterwards."""
    seconds = run.size(40.0, 5.0)
    with Scene(run, rate=500) as scene:
        scene.put_endpoint(ENDPOINT, retry_delays_s=[5] * 12)
        phones = scene.publish()
        phones.wait_for(2_000)
        scene.receiver.kill()
        rest(seconds)
        scene.receiver.start()
        back = time.time()
        recovery_s = scene.wait_for_post(back)
        phones.finish()
        owed = scene.owed()
        scene.arrived(owed, seconds=90)
        note = f"everything had arrived after {time.time() - back:.0f} s, without a replay"
        emptied(scene.node, seconds=60)
        verdict = check(owed, scene.receiver.posts(), ENDPOINT)
        size = f"{len(phones.acknowledged):,} pings at 500/s, down for {seconds:.0f} s"
        return scene.result(verdict, size, recovery_s=recovery_s, note=note)


def killed_with_a_slow_receiver(run: Run) -> Result:
    """Again and again 2,000 events are acknowledged to the phones, far ahead of the receiver."""
    kills, events = run.size((5, 2_000), (1, 300))
    slow = f"?ms={SLOW_MS}"
    with Scene(run, rate=AS_FAST_AS_IT_GOES) as scene:
        scene.put_endpoint(ENDPOINT, url=scene.receiver.url(ENDPOINT, "slow") + slow)
        killed: list[tuple[Phones, int]] = []
        for number in range(kills):
            phones = scene.publish(f"run{number}-")
            lap = phones.walks.lap
            owed_a_lap = EVENTS_A_DEVICE * phones.walks.devices
            phones.wait_for((-(-events // owed_a_lap) - 1) * lap + 1)
            phones.finish()
            scene.node.kill()
            killed.append((phones, len(scene.receiver.posts())))
            scene.node.start()
        scene.put_endpoint(ENDPOINT)
        mended = time.time()
        owed = [set(phones.walks.events(phones.acknowledged, KINDS)) for phones, _ in killed]
        scene.arrived(set().union(*owed), seconds=150)
        took = time.time() - mended
        emptied(scene.node, seconds=90)
        got = scene.receiver.posts()
        found = [
            check(events, got, ENDPOINT, phones.walks.name)
            for events, (phones, _) in zip(owed, killed, strict=True)
        ]
        acknowledged = sum(len(phones.acknowledged) for phones, _ in killed)
        ahead = [sum(map(len, owed[: at + 1])) - seen for at, (_, seen) in enumerate(killed)]
        return Result(
            run.name,
            f"{kills} runs, {acknowledged:,} pings, {SLOW_MS} ms an answer",
            sum(each.owed for each in found),
            sum(len(each.lost) for each in found),
            sum(each.duplicates for each in found),
            round(took, 1),
            f"lost in each run: {', '.join(str(len(each.lost)) for each in found)}; "
            f"{listed(ahead)} events were acknowledged and not yet sent when the node was killed; "
            "what was on its way then came again after the lease of a minute; recovery is from the "
            "repair until all had come",
            tuple(problem for each in found for problem in each.problems),
        )


def ingest_beside_dead_endpoints(run: Run) -> Result:
    """Phones publish as fast as they can: all endpoints up, one dead, all dead, in turn."""
    rounds, seconds = run.size((3, 2.0), (1, 1.5))
    (nobody,) = free_ports(1)
    names = [ENDPOINT, "one", "two"]
    dead = {"all up": (), "one dead": ("one",), "all dead": tuple(names)}
    with Scene(run, rate=AS_FAST_AS_IT_GOES) as scene:
        node = scene.node

        def kill(endpoints: tuple[str, ...]) -> None:
            for name in names:
                url = f"http://127.0.0.1:{nobody}/ok/{name}" if name in endpoints else None
                wanted = ["offer.triggered"] if name == ENDPOINT else ENTERS
                scene.put_endpoint(name, events=wanted, **({"url": url} if url else {}))

        began = time.time()
        kill(())
        warm = scene.publish("warm", rate=1_000)
        caught_up(scene)
        warm.finish()
        phones = scene.publish()
        phones.wait_for(4_000)
        rates: dict[str, list[float]] = defaultdict(list)
        costs: dict[str, list[float]] = defaultdict(list)
        memory, waited = node.rss_bytes, 0.0
        for turn in range(rounds):
            # to and fro, so that what grows with time favours nobody
            for name, endpoints in list(dead.items())[:: 1 if turn % 2 == 0 else -1]:
                kill(endpoints)
                rest(0.5)
                before, start = len(phones.acknowledged), time.monotonic()
                cpu_s = node.cpu_s
                rest(seconds)
                handled = len(phones.acknowledged) - before
                rates[name].append(handled / (time.monotonic() - start))
                costs[name].append(1e6 * (node.cpu_s - cpu_s) / max(1, handled))
                waited = max(waited, node.metric("geotarget_outbox_pending"))
        grown_mib = (node.rss_bytes - memory) / 2**20
        kill(())
        phones.finish()
        mended = time.monotonic()
        emptied(node, seconds=120, since=began)
        took = time.monotonic() - mended
        got, lost, owed, duplicates = scene.receiver.posts(), 0, 0, 0
        problems = []
        for name in names:
            kinds = ("offer",) if name == ENDPOINT else ("enter",)
            found = check(scene.owed(kinds), got, name, phones.walks.name)
            owed, lost = owed + found.owed, lost + len(found.lost)
            duplicates += found.duplicates
            problems += [f"{name}: {each}" for each in found.problems]
        median = {name: statistics.median(each) for name, each in rates.items()}
        shares = {name: each / median["all up"] for name, each in median.items()}
        cpu = {name: statistics.median(each) for name, each in costs.items()}
        for name, share in shares.items():
            if share < LEAST_SHARE:
                problems.append(f"{name}: {100 * share:.0f} % of the pings that all up take")
            if cpu[name] > MOST_CPU * cpu["all up"]:
                problems.append(f"{name}: {cpu[name]:.0f} µs of CPU a ping")
        if grown_mib > MOST_GROWTH_MIB:
            problems.append(f"memory grew by {grown_mib:.0f} MiB")
        told = ", ".join(
            f"{each:,.0f} {name} ({listed(rates[name])})" for name, each in median.items()
        )
        note = (
            f"pings/s: {told}; {shares['one dead']:.2f} and {shares['all dead']:.2f} times; CPU of "
            f"the node {', '.join(f'{each:.0f}' for each in cpu.values())} µs a ping; "
            f"up to {waited:,.0f} deliveries waited, memory {grown_mib:+.0f} MiB; "
            f"all had arrived {took:.0f} s after the repair"
        )
        turns = f"{rounds} times {seconds:.0f} s each"
        size = f"{len(phones.acknowledged):,} pings, {len(names)} endpoints, {turns}"
        return Result(run.name, size, owed, lost, duplicates, None, note, tuple(problems))


ROWS = [
    Row("endpoint-down-40-s", "nobody listens for 40 s", down_for_forty_seconds, 200),
    Row("endpoint-down-an-hour", "nobody listens for an hour, then replay", down_for_an_hour, 300),
    Row(
        "killed-while-slow",
        "the node killed with 2,000 acknowledged events ahead of a slow receiver",
        killed_with_a_slow_receiver,
        300,
    ),
    Row(
        "ingest-with-dead-endpoints",
        "one endpoint dead, or all, while phones publish as fast as they can",
        ingest_beside_dead_endpoints,
        240,
    ),
]
