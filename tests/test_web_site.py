"""workers/web/site.py: facts mark the pictures they change, and no others; a browser that is gone leaves nothing."""

import asyncio
import gc

import pytest

from core import commands as c
from tests.halls import HALL, opened
from tests.sites import Around, with_site
from workers.web import pages, server
from workers.web.access import Grant
from workers.web.sse import Client, Topic

TOPICS = {
    "board": Topic("board", HALL),
    "mine": Topic("console", HALL, "caller-1"),
    "other": Topic("console", HALL, "caller-2"),
    "pad": Topic("pad", HALL, "ev-1"),
    "ops": Topic("ops", HALL),
}


@pytest.mark.parametrize(
    ("body", "urgent"),
    [
        ({"type": "ticket.call_next"}, {"board", "mine", "pad"}),
        ({"type": "counter.pause"}, {"mine", "pad"}),
        ({"type": "ticket.recall"}, set()),
    ],
)
def test_a_fact_marks_what_it_changes(body: dict[str, str], urgent: set[str]) -> None:
    driven = opened()
    driven.take()

    async def scenario(around: Around) -> None:
        clients = {name: around.site.hub.join(topic) for name, topic in TOPICS.items()}
        for client in clients.values():
            await client.frames()
        await asyncio.sleep(0.3)
        marked: set[str] = set()
        mark = around.site.hub.mark

        def noting(topics: object, gap_s: float = 0.25) -> None:
            found = list(topics)  # type: ignore[call-overload]  # topics
            if gap_s == 0.25:
                marked.update(name for name, topic in TOPICS.items() if topic in found)
            mark(found, gap_s)

        around.site.hub.mark = noting  # type: ignore[method-assign]  # a spy
        await around.say("clerk", "caller-1", body)
        assert marked == urgent
        for client in clients.values():
            around.site.hub.leave(client)

    with_site(scenario, driven)


def test_a_call_is_on_the_board_of_a_stream_at_once() -> None:
    driven = opened()
    driven.take()

    async def scenario(around: Around) -> None:
        client = around.site.hub.join(TOPICS["board"])
        await client.frames()
        await asyncio.sleep(0.3)
        now_s = around.site.hub._now_s()
        around.site.hub._now_s = lambda: now_s  # time stands: what is due a moment later never comes
        await around.say("clerk", "caller-1", {"type": "ticket.call_next"})
        async with asyncio.timeout(10):
            frames = await client.frames()
        assert frames is not None and b"A001" in frames
        around.site.hub.leave(client)

    with_site(scenario, driven)


def test_a_thousand_browsers_come_and_go_and_leave_nothing() -> None:
    async def scenario(around: Around) -> None:
        around.site.limits._rates = {
            name: rate._replace(burst=9999) for name, rate in around.site.limits._rates.items()
        }
        host, port = around.web.url.removeprefix("http://").split(":")
        before = len(asyncio.all_tasks())

        async def visit(rude: bool) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /events/board?hall={HALL} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            await reader.readuntil(b"data:")
            if rude:
                writer.transport.abort()
            writer.close()

        async def crowd() -> int:
            """Five hundred; what they left in memory, in objects."""
            for _ in range(10):
                await asyncio.gather(*(visit(at % 2 == 0) for at in range(50)))
            async with asyncio.timeout(5):
                while around.site.hub.count or len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0.01)
            gc.collect()
            return len(gc.get_objects())

        first, second = await crowd(), await crowd()
        assert around.site.hub.channels == {} and second - first < 250, "half an object a browser would be too much"
        assert not [one for one in gc.get_objects() if isinstance(one, Client)]

    with_site(scenario)


async def unread(around: Around) -> asyncio.StreamWriter:
    """A browser that opens the board's stream and then reads nothing of it."""
    host, port = around.web.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=64)
    writer.write(f"GET /events/board?hall={HALL} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n")
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a reading transport
    return writer


def test_a_browser_that_does_not_read_delays_nobody() -> None:
    driven = opened()

    async def scenario(around: Around) -> None:
        writer = await unread(around)
        while not around.site.hub.count:
            await asyncio.sleep(0.01)
        (channel,) = around.site.hub.channels.values()
        big = b"x" * 200_000
        loop = asyncio.get_running_loop()
        slowest = 0.0
        for at in range(60):
            around.site.hub._send(channel.clients, big)
            await asyncio.sleep(0)
            started = loop.time()
            await around.say("clerk", "caller-1", {"type": "ticket.recall"}, seq=at + 1)
            slowest = max(slowest, loop.time() - started)
        assert slowest < pages.WRITE_S / 2 and around.site.hub.dropped["board"] > 0
        writer.transport.abort()

    with_site(scenario, driven)


def test_a_browser_that_is_dead_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "WRITE_S", 0.1)

    async def scenario(around: Around) -> None:
        writer = await unread(around)
        async with asyncio.timeout(10):
            while not around.site.hub.count:
                await asyncio.sleep(0.01)
            (channel,) = around.site.hub.channels.values()
            while around.site.hub.count:  # sockets swallow some megabytes before they say no
                around.site.hub._send(channel.clients, b"x" * 1_000_000)
                await asyncio.sleep(0.01)
        assert around.site.hub.channels == {}
        writer.transport.abort()
        await asyncio.sleep(0.01)

    with_site(scenario)


def test_shutdown_ends_every_stream_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_S", 60.0)  # so long it would wait for streams that do not end

    async def scenario(around: Around) -> None:
        url = f"{around.web.url}/events/board?hall={HALL}"
        answers = [await around.session.get(url) for _ in range(20)]
        for answer in answers:
            await answer.content.readuntil(b"data:")
        loop = asyncio.get_running_loop()
        started = loop.time()
        await around.web.stop()
        assert loop.time() - started < 30
        for answer in answers:
            await answer.read()
            answer.close()

    with_site(scenario)


def test_a_hall_without_a_policy_has_no_picture_yet() -> None:
    async def scenario(around: Around) -> None:
        assert around.site._draw(Topic("board", "h9")) == b"null"
        assert around.site._draw(Topic("console", HALL, "kiosk-1")) == b"null"
        assert around.site.state("h9") is None and around.site.halls() == [HALL]
        await around.site.door.ask(HALL, c.RetireDevice("caller-1"))
        assert "caller-1" not in {device.device for _, device in around.site.devices_of(_clerk(around))}

    with_site(scenario)


def _clerk(around: Around) -> Grant:
    return next(one for one in around.site.access._grants.values() if one.role == "clerk")
