"""The seams beside the journal, by one suite each: whoever stands there passes. The journal's: test_journal_suite."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.ports_memory import MemoryInbox, MemoryLeases, MemoryOutbox
from tests.scripted import play, session
from tests.test_link import nothing_before
from tests.test_workers_outbox import FakeLink
from workers.outbox import MqttOutbox
from workers.owner import FlockOwner, Taken
from workers.ports import Acquired, Inbox, Input, Lost, Outbox, Outgoing, Ownership

TOPIC = "jh/v1/h1/k1/event"


# Inbox: in order of receipt, at least once, stamped once; confirmed only when settled.


class Source(NamedTuple):
    """An inbox and what feeds it. `confirmed`: numbers of what need not be sent again, at least so many of them."""

    inbox: Inbox
    send: Callable[[int], None]
    confirmed: Callable[[int], Awaitable[list[int]]]


@asynccontextmanager
async def source_of(kind: str) -> AsyncIterator[Source]:
    if kind == "memory":
        memory = MemoryInbox()

        async def seen(_: int) -> list[int]:
            return [int(one.payload) for one in memory.confirmed]

        yield Source(memory, lambda n: memory.put(Input(TOPIC, b"%d" % n, n, False)), seen)
        return
    async with session() as (link, peer, _):

        async def acked(count: int) -> list[int]:
            if not count:
                await nothing_before(link, peer)
            return await peer.acked(count)

        yield Source(link, lambda n: peer.publish(n, TOPIC, payload=b"%d" % n), acked)


async def gathered(batches: AsyncIterator[Sequence[Input]], count: int) -> list[Sequence[Input]]:
    found: list[Sequence[Input]] = []
    while sum(map(len, found)) < count:
        found.append(await anext(batches))
    return found


@pytest.mark.parametrize("kind", ["memory", "link"])
def test_an_inbox_gives_everything_in_order_and_confirms_what_is_settled_in_order(kind: str) -> None:
    async def scenario() -> None:
        async with source_of(kind) as source:
            batches = aiter(source.inbox.batches())
            for n in range(1, 9):
                source.send(n)
            found = await gathered(batches, 8)
            inputs = [one for batch in found for one in batch]
            assert [int(one.payload) for one in inputs] == list(range(1, 9))
            assert {one.topic for one in inputs} == {TOPIC}
            stamps = [one.at_ms for one in inputs]
            assert stamps == sorted(stamps) and stamps[0] > 0
            assert await source.confirmed(0) == [], "nothing before it is settled"
            for batch in found:
                await source.inbox.settle(batch)
            assert await source.confirmed(8) == list(range(1, 9))

    play(scenario)


@pytest.mark.parametrize("kind", ["memory", "link"])
def test_an_inbox_confirms_only_what_was_settled_and_an_empty_batch_settles_nothing(kind: str) -> None:
    async def scenario() -> None:
        async with source_of(kind) as source:
            batches = aiter(source.inbox.batches())
            source.send(1)
            (first,) = await gathered(batches, 1)
            source.send(2)
            await gathered(batches, 1)
            await source.inbox.settle(())
            await source.inbox.settle(first)
            assert await source.confirmed(1) == [1]

    play(scenario)


# Outbox: orders and answers in order; of a screen the newest; nothing is lost.


def spoken(n: int) -> Outgoing:
    return Outgoing("jh/v1/h1/v1/command", b"%d" % n, hall="h1", n=n)


def shown(n: int, screen: str) -> Outgoing:
    return Outgoing(f"jh/v1/h1/{screen}/screen", b"%d" % n, retain=True)


async def heard_of(kind: str, act: Callable[[Outbox], Awaitable[None]]) -> list[Outgoing]:
    """What the outside heard, when it confirms each message at once."""
    if kind == "memory":
        memory = MemoryOutbox()
        await act(memory)
        return memory.heard
    link = FakeLink(window=2)
    outbox = MqttOutbox(link, screen_gap_s=0.0)
    acting = asyncio.ensure_future(act(outbox))
    while not acting.done() or outbox.pending():
        await asyncio.sleep(0)
        if link.flying:
            link.ack()
            outbox.room()
    outbox.close()
    await acting
    return link.sent


@pytest.mark.parametrize("kind", ["memory", "mqtt"])
def test_an_outbox_keeps_the_order_of_orders_and_ends_with_the_newest_pictures(kind: str) -> None:
    async def act(outbox: Outbox) -> None:
        for n in range(1, 31):
            await outbox.emit([spoken(n), shown(n, f"s{n % 3}")])
        await outbox.emit([])

    async def scenario() -> None:
        heard = await heard_of(kind, act)
        assert [one.n for one in heard if not one.retain] == list(range(1, 31))
        for screen, newest in (("s0", 30), ("s1", 28), ("s2", 29)):
            pictures = [int(one.payload) for one in heard if one.topic == f"jh/v1/h1/{screen}/screen"]
            assert pictures == sorted(pictures) and pictures[-1] == newest

    play(scenario)


# Ownership: each hall once, by one at a time, and by the next when it is free.


def owners(kind: str, place: Path) -> Callable[[], Any]:
    """Each call is another process that wants the same two halls."""
    holders: dict[str, MemoryLeases] = {}
    return (lambda: MemoryLeases(holders, HALLS)) if kind == "memory" else (lambda: FlockOwner(place, HALLS))


HALLS = ("h1", "h2")


async def now(owner: Ownership) -> list[Acquired | Lost]:
    """What changes at once; who is refused has nothing."""
    found: list[Acquired | Lost] = []

    async def read() -> None:
        async for change in owner.changes():
            found.append(change)  # noqa: PERF401 - kept when the reading is given up

    with suppress(TimeoutError, Taken):
        await asyncio.wait_for(read(), 0.05)
    return found


@pytest.mark.parametrize("kind", ["memory", "flock"])
def test_a_hall_has_one_owner_and_the_next_one_when_it_is_free(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        another = owners(kind, tmp_path)
        first, second = another(), another()
        assert await now(first) == [Acquired("h1"), Acquired("h2")]
        assert await now(second) == []
        first.release()
        assert await now(second) == [Acquired("h1"), Acquired("h2")]
        assert await now(another()) == []
        second.release()

    play(scenario)


def test_a_lease_that_is_taken_away_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        holders: dict[str, MemoryLeases] = {}
        first, second = MemoryLeases(holders, HALLS), MemoryLeases(holders, HALLS)
        await now(first)
        holders["h1"] = second
        assert (await now(first), await now(second)) == ([Lost("h1")], [Acquired("h1")])

    play(scenario)


def test_who_finds_one_hall_taken_has_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        other = FlockOwner(tmp_path, ["h2"])
        assert await now(other) == [Acquired("h2")]
        both = FlockOwner(tmp_path, HALLS)
        with pytest.raises(Taken, match="hall h2 in use by process"):
            await anext(both.changes())
        free = FlockOwner(tmp_path, ["h1"])
        assert await now(free) == [Acquired("h1")], "h1 was given back"
        assert await now(FlockOwner(None, HALLS)) == [Acquired("h1"), Acquired("h2")], "alone on its machine"
        for one in (other, free):
            one.release()

    play(scenario)
