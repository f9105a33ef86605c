"""bench/noop.py: the baseline: same codec and pacing, a decode, PUBACK at once; as relay also two publishes.

No inbox, no batches, no states, no store: what a dispatcher costs above this is the dispatcher. `python -m bench.noop`.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

import mqtt5
import msgspec

from devices import wire
from workers import eventloop
from workers.link_settings import parse_url


class Received(msgspec.Struct, frozen=True):
    """What one run received. CPU of the whole process between the first and the last message."""

    received: int
    published: int
    seconds: float
    cpu_s: float
    finished: bool

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.received / self.seconds if self.seconds else 0.0

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu_s / self.received * 1e6 if self.received else 0.0


class Noop(asyncio.Protocol):
    """One connection. `decode` is called with every payload and its answer thrown away."""

    def __init__(
        self,
        count: int,
        decode: Callable[[bytes], object],
        *,
        receive_max: int,
        pace_s: float,
        relay: bool,
        window: int,
        keeps: bool = False,
    ) -> None:
        self.count = count
        self.received = self.published = self.flying = 0
        self.ready = asyncio.Event()
        self.done = asyncio.Event()
        self.first = self.last = (0.0, 0.0)
        self._decode = decode
        self._receive_max = receive_max
        self._pace_s = pace_s
        self._relay = relay
        self._window = window
        self._keeps = keeps
        self._waiting: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first."""
        self._transport = cast(asyncio.Transport, transport)
        # No pings: a run is shorter. iotcore refuses a keep-alive of 0.
        hello = mqtt5.ConnectPacket(
            "noop",
            clean_start=not self._keeps,
            session_expiry_interval=3600 if self._keeps else 0,
            keep_alive=65_535,
            receive_max=self._receive_max,
        )
        self._transport.write(hello.write())

    def connection_lost(self, error: Exception | None) -> None:
        """Over."""
        self._transport = None
        self.ready.set()
        self.done.set()

    def data_received(self, data: bytes) -> None:
        """Every packet of the read, and one write for all of them."""
        out: list[bytes] = []
        self._take(self._rest + data if self._rest else data, out)
        while self._waiting and self.flying < self._window:
            out.append(self._waiting.popleft())
            self.flying += 1
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if self._pace_s and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_later(self._pace_s, self._resume)
        if self.received >= self.count and not self.flying and not self._waiting:
            self.done.set()

    def _take(self, data: bytes, out: list[bytes]) -> None:
        view, at, before = memoryview(data), 0, self.received
        while True:
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is mqtt5.PublishPacket:
                out.append(mqtt5.PubAckPacket(packet.packet_id or 1).write())
                if packet.retain:
                    continue  # a probe that a dispatcher has left: events are never retained
                self._decode(packet.payload)
                self.received += 1
                if self._relay:
                    self._echo(packet)
            elif type(packet) is mqtt5.PubAckPacket:
                self.flying -= 1
            elif type(packet) is mqtt5.ConnAckPacket:
                events = mqtt5.TopicFilter("jh/v1/+/+/event", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
                out.append(mqtt5.SubscribePacket(1, [events]).write())
            elif type(packet) is mqtt5.SubAckPacket:
                self.ready.set()
        self._rest = data[at:]
        self.last = (time.monotonic(), time.process_time())  # of a relay the last PUBACK counts
        if self.received and not before:
            self.first = self.last

    def _echo(self, packet: mqtt5.PublishPacket) -> None:
        """What the full product says to one event at least: a result and a picture."""
        device = packet.topic.rpartition("/")[0]
        for leaf, retain in (("ack", False), ("screen", True)):
            self.published += 1
            frame = mqtt5.PublishPacket(
                f"{device}/{leaf}",
                packet.payload,
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain=retain,
                packet_id=self.published % 65_535 + 1,
            )
            self._waiting.append(frame.write())

    def _resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Goodbye."""
        if self._transport is not None:
            self._transport.write(mqtt5.DisconnectPacket().write())
            self._transport.close()


async def receive(
    url: str,
    count: int,
    decode: Callable[[bytes], object] = bytes,
    *,
    relay: bool = False,
    receive_max: int = 1000,
    pace_s: float = 0.001,
    window: int = 256,
    seconds: float = 60.0,
    keeps: bool = False,
    on_ready: Callable[[], object] = bool,
    stopping: asyncio.Event | None = None,
) -> Received:
    """Until `count` messages are there and acknowledged, or time is up, or `stopping` is set.

    `on_ready`: subscribed, the load may come. `keeps`: the broker holds what comes while nobody is there.
    """
    address, loop = parse_url(url), asyncio.get_running_loop()
    noop = Noop(count, decode, receive_max=receive_max, pace_s=pace_s, relay=relay, window=window, keeps=keeps)
    await loop.create_connection(lambda: noop, address.host, address.port)
    await noop.ready.wait()
    on_ready()
    stopped = loop.create_task((stopping or asyncio.Event()).wait())
    ended = loop.create_task(noop.done.wait())
    await asyncio.wait([stopped, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    ended.cancel()
    noop.close()
    took, cpu_s = noop.last[0] - noop.first[0], noop.last[1] - noop.first[1]
    return Received(noop.received, noop.published, took, cpu_s, noop.received >= count)


def main(arguments: Sequence[str]) -> None:
    """Says `ready` on its own line, then one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m bench.noop")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--receive-max", type=int, default=1000, help="100 for iotcore")
    parser.add_argument("--pace", type=float, default=0.001, help="seconds; 0 = none")
    parser.add_argument("--relay", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--keeps", action="store_true", help="a session that outlives the connection")
    given = parser.parse_args(arguments)

    async def whole() -> Received:
        stopping = asyncio.Event()
        with contextlib.suppress(OSError, ValueError):  # no standard input to hear from
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopping.set)
        return await receive(
            given.url,
            given.count,
            lambda payload: wire.decode(payload, "noop"),
            relay=given.relay,
            receive_max=given.receive_max,
            pace_s=given.pace,
            seconds=given.seconds,
            keeps=given.keeps,
            on_ready=lambda: print("ready", flush=True),
            stopping=stopping,
        )

    print(msgspec.json.encode(eventloop.run(whole())).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
