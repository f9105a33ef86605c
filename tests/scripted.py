"""tests/scripted.py: a broker that does what the test says, and a link that remembers its transitions."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import mqtt5

from workers.link import Link
from workers.link_settings import LinkSettings
from workers.link_states import Event, State

ONCE = mqtt5.QoS.AT_LEAST_ONCE


class Peer:
    """The broker's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._rest = b""

    def send(self, *packets: Any) -> None:
        self.writer.write(b"".join(one if isinstance(one, bytes) else one.write() for one in packets))

    def publish(self, packet_id: int, topic: str = "jh/v1/h1/k1/event", **more: Any) -> None:
        payload = more.pop("payload", b"%d" % packet_id)
        self.send(mqtt5.PublishPacket(topic, payload, qos=ONCE, packet_id=packet_id, **more))

    async def packet(self) -> Any:
        """The next packet; EOFError when there is none any more."""
        while True:
            try:
                packet, size = mqtt5.read(memoryview(self._rest))
            except IndexError:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError from None
                self._rest += data
            else:
                self._rest = self._rest[size:]
                return packet

    async def expect(self, kind: type, **fields: object) -> Any:
        """The next packet of this kind; pings and probes are passed over, anything else is a failure."""
        while True:
            packet = await self.packet()
            if isinstance(packet, kind) and getattr(packet, "topic", "") != "jh/v1/_core/_link/event":
                assert all(getattr(packet, name) == value for name, value in fields.items()), packet
                return packet
            assert isinstance(packet, mqtt5.PingReqPacket | mqtt5.PublishPacket), packet

    async def acked(self, count: int) -> list[int]:
        """Packet ids of the next PUBACKs, in order."""
        return [(await self.expect(mqtt5.PubAckPacket)).packet_id for _ in range(count)]

    async def until_closed(self) -> list[Any]:
        """Everything until the link hangs up; then we do, as a broker does."""
        packets = []
        try:
            while True:
                packets.append(await self.packet())
        except (EOFError, ConnectionError):
            await self.close()
            return packets

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def connack(self, session_present: bool = False, **more: Any) -> Any:
        """CONNECT answered."""
        connect = await self.expect(mqtt5.ConnectPacket)
        self.send(mqtt5.ConnAckPacket(session_present=session_present, **more))
        return connect

    async def suback(self) -> Any:
        """SUBSCRIBE granted."""
        subscribe = await self.expect(mqtt5.SubscribePacket)
        granted = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(subscribe.topic_filters)
        self.send(mqtt5.SubAckPacket(subscribe.packet_id, granted))
        return subscribe

    async def greet(self, session_present: bool = False, **more: Any) -> None:
        await self.connack(session_present, **more)
        await self.suback()


class ScriptedBroker:
    """Listens; every connection is a Peer the test drives."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._all: list[Peer] = []

    async def __aenter__(self) -> "ScriptedBroker":
        self._server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        return self

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._all.append(peer)
        self._peers.put_nowait(peer)

    async def accept(self) -> Peer:
        return await self._peers.get()

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for _ in range(5):
            await asyncio.sleep(0)  # one that was just accepted becomes a peer
        for peer in self._all:
            await peer.close()


class FixedDelay(Random):
    """Every back-off takes this share of the longest."""

    def __init__(self, share: float) -> None:
        super().__init__(1)
        self.share = share
        self.asked: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append(b)
        return self.share * b


class ObservedLink(Link):
    """Remembers (state, event, next state), and what it told the outside."""

    def __init__(self, url: str, *, share: float = 0.01, tls: ssl.SSLContext | None = None, **settings: Any) -> None:
        self.seen: list[tuple[State, Event, State]] = []
        self.lives: list[bool] = []
        self.downs: list[str] = []
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.delays = FixedDelay(share)
        super().__init__(
            LinkSettings(url, **settings),
            now_ms=lambda: self.clock(),
            random=self.delays,
            tls=tls,
            on_live=self.lives.append,
            on_down=self.downs.append,
        )

    def _on(self, event: Event, why: str = "") -> None:
        before = self.state
        super()._on(event, why)
        self.seen.append((before, event, self.state))


async def until(condition: Callable[[], object]) -> None:
    """Waits for it, for the length of the scenario at most."""
    while not condition():
        await asyncio.sleep(0.001)


@asynccontextmanager
async def running(link: Link) -> AsyncIterator[asyncio.Task[None]]:
    """The link's task, ended with the block. What it raised is the test's to ask."""
    task = asyncio.create_task(link.run(), name="link")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: link._transport is None)


@asynccontextmanager
async def session(**settings: Any) -> AsyncIterator[tuple[ObservedLink, Peer, ScriptedBroker]]:
    """A live link, its peer, and the broker that will see it come back. Ended quietly."""
    async with ScriptedBroker() as broker:
        link = ObservedLink(broker.url, **settings)
        async with running(link):
            peer = await broker.accept()
            await peer.greet()
            await until(lambda: link.lives)
            yield link, peer, broker


async def take(link: Link, count: int) -> list[Any]:
    """Batches with at least so many inputs together."""
    batches: list[Any] = []
    async for batch in link.batches():
        batches.append(batch)
        if sum(map(len, batches)) >= count:
            break
    return batches


def play(scenario: Callable[[], Any], timeout_s: float = 20) -> None:
    """Runs an async scenario, at most so long."""

    async def bounded() -> None:
        async with asyncio.timeout(timeout_s):
            await scenario()

    asyncio.run(bounded())
