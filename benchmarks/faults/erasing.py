"""The row about people who are erased while what is known of them is being sent again."""

from __future__ import annotations

import time

from benchmarks.faults.ledger import check
from benchmarks.faults.node import rest
from benchmarks.faults.phones import Phones
from benchmarks.faults.receivers import emptied, send_again
from benchmarks.faults.row import Broken, Result, Row, Run
from benchmarks.faults.scene import ENDPOINT, Scene

ON_THE_WIRE_S = 1.0
RATE = 1_000.0


def erasure_during_replay(run: Run) -> Result:
    """Erase one in five while all old pings are published again and all deliveries replayed."""
    laps, people = run.size((3, 20), (1, 5))
    with Scene(run, rate=RATE) as scene:
        node = scene.node
        began = time.time()
        phones = scene.publish()
        phones.wait_for((laps - 1) * phones.walks.lap + 1)
        phones.finish()
        owed = scene.owed()
        scene.arrived(owed, seconds=60)
        emptied(node, seconds=30)
        # slow enough that the replay outlasts the erasing
        scene.put_endpoint(ENDPOINT, url=scene.receiver.url(ENDPOINT, "slow") + "?ms=100")
        replayed = send_again(node, began, "delivered")
        before = time.time()
        again = Phones(*node.phone_address, phones.walks, rate=RATE).start()
        scene.phones = again  # ended with the scene
        rest(0.5)
        erased: dict[str, float] = {}
        names = [f"{phones.walks.name}{number}" for number in range(phones.walks.devices)]
        for name in run.luck.sample(names, people):
            status, answer = node.call("DELETE", f"/v1/profiles/{name}")
            if status != 200:
                raise Broken(f"DELETE /v1/profiles/{name}: {status} {answer}")
            erased[name] = time.time()
            rest(0.1)
        under_way = replayed - sum(each.at > before for each in scene.receiver.posts())
        again.wait_for(len(phones.acknowledged))
        again.finish()
        emptied(node, seconds=60)
        refusals = node.metrics("geotarget_pings_rejected_total")
        refused = refusals.get('{reason="erased"}', 0.0)
        got = scene.receiver.posts()
        problems, late, kept = [], 0, []
        for each in got:
            event = each.event()
            if event is None or event.device not in erased:
                kept.append(each)
            elif each.at > erased[event.device] + ON_THE_WIRE_S:
                late += 1
        if late:
            problems.append(f"{late} posts about people who had been erased")
        if not refused:
            problems.append("no ping of an erased device was refused")
        for name in erased:
            _, page = node.call("GET", f"/v1/deliveries?device={name}&limit=1")
            if page["items"]:
                problems.append(f"deliveries of {name} are still there")
        others = {each for each in owed | scene.owed() if each.device not in erased}
        verdict = check(others, kept, ENDPOINT)
        note = (
            f"{replayed:,} deliveries replayed, {under_way:,} of them not yet sent when the last "
            f"of {people} people was erased; {late} posts about them later than "
            f"{ON_THE_WIRE_S:.0f} s after it; {refused:,.0f} old pings of theirs refused; "
            "duplicates are the replay of the others"
        )
        size = f"{people} of {len(names)} people erased, {len(again.acknowledged):,} old pings"
        return scene.result(verdict, size, note=note, problems=problems)


ROWS = [
    Row(
        "erased-during-replay",
        "people erased while their old pings and deliveries are being sent again",
        erasure_during_replay,
        150,
    )
]
