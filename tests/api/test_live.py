"""What listeners hear: what is new, once, from where they stopped; and none waits for another."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from geotarget.api.broadcast import WAITING, Broadcast, Scene, events
from geotarget.api.live import read_place
from geotarget.errors import InvalidInput
from geotarget.model import BatchWrite
from geotarget.store import Place, Store

sys.path.append(str(Path(__file__).resolve().parents[1] / "store"))
from records import decision, transition


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """A database of this test's own."""
    with Store.open(f"sqlite:///{tmp_path / 'live.db'}") as opened:
        yield opened


def write(store: Store, *numbers: int) -> None:
    """Commit a transition and a decision of each number."""
    store.write_batch(
        BatchWrite(
            transitions=[transition(each) for each in numbers],
            decisions=[decision(each) for each in numbers],
        )
    )


def told(event: bytes) -> tuple[str, str]:
    """Return name and id of an event."""
    lines = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    return lines["event"], json.loads(lines["data"])["id"]


Heard = Callable[[int], Awaitable[list[bytes]]]


async def hear(broadcast: Broadcast, place: Place | None, count: int) -> list[bytes]:
    """Listen until so many moments were told."""
    heard: list[bytes] = []
    listener = broadcast.listen(place)
    async with asyncio.timeout(30):
        async for event in listener:
            if b"transition" in event or b"decision" in event:
                heard.append(event)
            if len(heard) == count:
                break
    await listener.aclose()  # type: ignore[attr-defined] # an async generator
    return heard


def test_a_new_listener_begins_with_the_latest(kept: Store) -> None:
    """The screen is not empty at first; old comes before new, and the last names the place."""
    write(kept, *range(1, 4))

    async def case() -> None:
        heard = await hear(Broadcast(kept, None), None, 6)
        assert {told(each) for each in heard} == {
            *(("transition", transition(each).id) for each in range(1, 4)),
            *(("decision", decision(each).id) for each in range(1, 4)),
        }
        assert heard[-1].startswith(b"id: 3-3\n")

    asyncio.run(case())


def test_a_broken_connection_misses_nothing(kept: Store) -> None:
    """It goes on behind the id that it saw last: what came since, and nothing twice."""
    write(kept, 1, 2)
    place = kept.feed_end()
    write(kept, 3)

    async def case() -> None:
        heard = await hear(Broadcast(kept, None), place, 2)
        assert [("transition", transition(3).id), ("decision", decision(3).id)] == sorted(
            (told(each) for each in heard), reverse=True
        )

    asyncio.run(case())


def test_what_happens_is_told_to_all(kept: Store) -> None:
    """Two listeners hear the same bytes; where devices are comes as floats."""
    places = np.array([24.94, 60.17, 24.95, 60.18], np.float32)

    async def case() -> None:
        broadcast = Broadcast(kept, lambda: Scene(places, 2, 1))
        both = [asyncio.create_task(hear(broadcast, kept.feed_end(), 2)) for _ in range(2)]
        async with asyncio.timeout(30):
            while len(broadcast._listeners) < 2:  # noqa: ASYNC110 - no sleep, a turn of the loop
                await asyncio.sleep(0)
        await asyncio.to_thread(write, kept, 7)
        one, other = await asyncio.gather(*both)
        assert one == other
        frames = broadcast.listen(None)
        async with asyncio.timeout(30):
            async for event in frames:
                if event.startswith(b"event: positions"):
                    raw = base64.b64decode(event.split(b"data: ")[1].strip())
                    assert np.array_equal(places, np.frombuffer(raw, "<f4"))
                    break
        await frames.aclose()  # type: ignore[attr-defined] # an async generator

    asyncio.run(case())


def test_what_came_while_it_joined_carries_its_own_place(kept: Store) -> None:
    """A listener that breaks off there goes on behind it, and does not hear it twice."""

    async def case() -> None:
        listener = Broadcast(kept, None).listen(None)
        await anext(listener)  # it has looked where the end is, and not yet what it missed
        await asyncio.to_thread(write, kept, 7)
        heard = [await anext(listener) for _ in range(2)]
        end = kept.feed_end()
        assert heard[1].startswith(f"id: {end.transition}-{end.decision}\n".encode())
        await listener.aclose()  # type: ignore[attr-defined] # an async generator

    asyncio.run(case())


def test_a_slow_listener_loses_the_oldest(kept: Store) -> None:
    """What waits for it is bounded; the others don't notice."""

    async def case() -> None:
        broadcast = Broadcast(kept, None)
        queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        broadcast._listeners.add(queue)
        for number in range(WAITING + 10):
            broadcast._send(str(number).encode())
        assert queue.qsize() == WAITING
        assert queue.get_nowait() == b"10"

    asyncio.run(case())


def test_nothing_new_is_no_event() -> None:
    """A place without moments tells nothing."""
    assert events([], Place(1, 2)) == []


@pytest.mark.parametrize("text", ["", "1", "1-", "a-b", "-1-2", "1-2-3", "1-" + "9" * 60, "٣-٣"])
def test_an_id_of_something_else_is_refused(text: str) -> None:
    """With the name of the header and what came."""
    with pytest.raises(InvalidInput, match="Last-Event-ID"):
        read_place(text)


def test_an_id_of_this_stream_is_a_place() -> None:
    """As it was told."""
    assert Place(41, 17) == read_place("41-17")
