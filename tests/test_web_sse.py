"""workers/web/sse.py: whole pictures, at most four a second, nobody waits for a browser."""

import asyncio
import json

import pytest

from workers.web.sse import COUNT_GAP_S, WAKE_AT_ONCE, Client, Full, Hub, Topic

BOARD = Topic("board", "h1")


class Made:
    """A hub over a clock and a picture of our own."""

    def __init__(self, **more: int) -> None:
        self.now_s, self.body, self.drawn, self.woken = 100.0, b'{"a":1}', 0, 0
        self.hub = Hub(self.draw, lambda topic: (7, 123), wake=self.wake, now_s=lambda: self.now_s, **more)

    def draw(self, topic: Topic) -> bytes:
        self.drawn += 1
        return self.body

    def wake(self) -> None:
        self.woken += 1

    def change(self, body: bytes, after_s: float = 0.0, gap_s: float = 0.25) -> None:
        """The hall moves and its loop turns."""
        self.now_s += after_s
        self.body = body
        self.hub.mark([BOARD], gap_s)
        self.hub.turn()


async def read(client: Client) -> list[bytes]:
    async with asyncio.timeout(1):
        frames = await client.frames()
    assert frames is not None
    return [one for one in frames.split(b"\n\n") if one]


def test_a_stream_begins_with_the_whole_picture_as_soon_as_the_loop_turns() -> None:
    async def scenario() -> None:
        made = Made()
        client = made.hub.join(BOARD)
        assert made.woken == 1 and made.hub.stale(), "the loop is asked to turn"
        made.hub.turn()
        (frame,) = await read(client)
        head, data = frame.split(b"\n")
        assert head == b"id: 7" and json.loads(data[6:]) == {"n": 7, "at_ms": 123, "body": {"a": 1}}
        second = made.hub.join(BOARD)
        assert await read(second) == [frame] and made.drawn == 1, "the one at hand"

    asyncio.run(scenario())


def test_at_most_four_a_second_over_time_and_the_last_is_not_lost() -> None:
    async def scenario() -> None:
        made = Made()
        client = made.hub.join(BOARD)
        made.hub.turn()
        for at in range(490):
            made.change(b"%d" % at, after_s=0.01)
        frames = await read(client)
        assert len(frames) == 16 and made.hub.pictures == 2 + 4.9 // 0.25, "two at once, then one each quarter"
        made.now_s += 0.25
        assert made.hub.stale()
        made.hub.turn()
        (last,) = await read(client)
        assert b'"body":489}' in last and not made.hub.stale()

    asyncio.run(scenario())


def test_counts_of_people_wait_for_a_second_but_a_call_does_not() -> None:
    async def scenario() -> None:
        made = Made()
        made.hub.join(BOARD)
        made.hub.turn()
        made.change(b"1", after_s=0.3, gap_s=COUNT_GAP_S)
        assert made.drawn == 1
        made.change(b"2", after_s=0.1)
        assert made.drawn == 2

    asyncio.run(scenario())


def test_a_call_does_not_wait_because_people_were_counted_just_before() -> None:
    async def scenario() -> None:
        made = Made()
        made.hub.join(BOARD)
        made.hub.turn()
        made.change(b"1", after_s=1.2, gap_s=COUNT_GAP_S)
        made.change(b"2", after_s=0.01)
        assert made.drawn == 3, "the call is shown at once"
        made.change(b"3", after_s=0.01)
        assert made.drawn == 3 and not made.hub.stale(), "the next one has its turn"
        made.now_s += 0.25
        assert made.hub.stale()

    asyncio.run(scenario())


def test_every_queue_holds_the_same_bytes() -> None:
    async def scenario() -> None:
        made = Made()
        clients = [made.hub.join(BOARD) for _ in range(5)]
        made.hub.turn()
        assert len({id(frame) for client in clients for frame in client._queue}) == 1 and made.drawn == 1

    asyncio.run(scenario())


def test_an_equal_picture_is_not_sent_again() -> None:
    async def scenario() -> None:
        made = Made()
        client = made.hub.join(BOARD)
        made.hub.turn()
        await read(client)
        made.change(made.body, after_s=1)
        assert made.drawn == 2 and made.hub.pictures == 1
        made.change(b"2", after_s=1)
        assert len(await read(client)) == 1

    asyncio.run(scenario())


def test_a_slow_browser_loses_the_oldest_and_it_is_counted() -> None:
    async def scenario() -> None:
        made = Made(queue=16)
        client = made.hub.join(BOARD)
        made.hub.turn()
        for at in range(20):
            made.change(b"%d" % at, after_s=0.25)
        frames = await read(client)
        assert len(frames) == 16 and b'"body":19}' in frames[-1]
        assert client.dropped == made.hub.dropped["board"] == 5

    asyncio.run(scenario())


def test_many_browsers_are_woken_a_few_at_a_time() -> None:
    async def scenario() -> None:
        made = Made()
        clients = [made.hub.join(BOARD) for _ in range(100)]
        made.hub.turn()
        ready = sum(client._ready.is_set() for client in clients)
        assert ready == WAKE_AT_ONCE
        for _ in range(10):
            await asyncio.sleep(0)
        assert all(client._ready.is_set() for client in clients)

    asyncio.run(scenario())


def test_whoever_leaves_is_forgotten_and_so_is_the_picture() -> None:
    async def scenario() -> None:
        made = Made()
        first, second = made.hub.join(BOARD), made.hub.join(BOARD)
        assert made.hub.by_page() == {"board": 2}
        made.hub.leave(first)
        made.hub.leave(first)
        assert made.hub.count == 1
        made.hub.leave(second)
        assert made.hub.count == 0 and made.hub.channels == {}
        made.change(b"2", after_s=1)
        assert made.drawn == 0, "nobody looks"

    asyncio.run(scenario())


def test_there_is_a_bound_and_an_end() -> None:
    async def scenario() -> None:
        made = Made(clients_max=1)
        client = made.hub.join(BOARD)
        with pytest.raises(Full):
            made.hub.join(BOARD)
        made.hub.close()
        assert await client.frames() is None
        made.hub.leave(client)
        with pytest.raises(Full):
            made.hub.join(BOARD)

    asyncio.run(scenario())


def test_silence_is_broken() -> None:
    async def scenario() -> None:
        made = Made()
        client = made.hub.join(BOARD)
        made.hub.turn()
        await read(client)
        made.hub.keep_alive()
        assert await read(client) == [b'event: alive\ndata: {"at_ms":123}']

    asyncio.run(scenario())
