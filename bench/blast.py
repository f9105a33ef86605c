"""bench/blast.py: the generator: pre-encoded events over a few connections, at full speed or at intended times.

It runs in a process of its own, decides nothing and measures its own lateness: `python -m bench.blast --url mqtt://…`.
"""

import argparse
import asyncio
import sys
import time
from array import array
from collections.abc import Iterable, Sequence
from typing import Final, cast

import mqtt5
import msgspec

from workers.link_settings import parse_url

TICK_S: Final = 0.001  # at a rate, what is due is sent at least so often
PACKET_IDS: Final = 65_535


class Blasted(msgspec.Struct, frozen=True):
    """What one run sent. `late_ms`: the wait of a message after its turn; without a rate there is no turn."""

    sent: int
    acked: int
    refused: int  # PUBACKs >= 0x80
    seconds: float
    cpu_s: float
    late_ms_p50: float
    late_ms_p99: float
    finished: bool  # False: the time was over first

    @property
    def per_second(self) -> float:
        """Acknowledged a second."""
        return self.acked / self.seconds if self.seconds else 0.0


def encode(messages: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """(topic, payload) as QoS 1 frames for one lane, packet ids by turns."""
    once = mqtt5.QoS.AT_LEAST_ONCE
    return [
        mqtt5.PublishPacket(topic, payload, qos=once, packet_id=at % PACKET_IDS + 1).write()
        for at, (topic, payload) in enumerate(messages)
    ]


class Lane(asyncio.Protocol):
    """One connection: its frames in order, at most `unacked` without PUBACK. It never reconnects."""

    def __init__(self, name: str, frames: Sequence[bytes], unacked: int) -> None:
        assert unacked < PACKET_IDS, "packet ids come by turns"
        self.name = name
        self.frames = frames
        self.unacked = unacked
        self.sent = self.acked = self.refused = 0
        self.allowed = 0  # frames whose time has come
        self.connected = asyncio.Event()
        self.done = asyncio.Event()
        self.intended_ns: array[int] | None = None
        self.late_ns = array("q", bytes(8 * len(frames)))
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(mqtt5.ConnectPacket(self.name, clean_start=True, keep_alive=65_535).write())

    def connection_lost(self, error: Exception | None) -> None:
        """The run is over for this lane, whatever it has."""
        self._transport = None
        self.connected.set()
        self.done.set()

    def data_received(self, data: bytes) -> None:
        """PUBACKs make room."""
        data = self._rest + data if self._rest else data
        view, at = memoryview(data), 0
        while True:
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is mqtt5.PubAckPacket:
                self.acked += 1
                self.refused += int(packet.reason_code) >= 0x80
            elif type(packet) is mqtt5.ConnAckPacket:
                self.unacked = min(self.unacked, packet.receive_max)
                self.connected.set()
        self._rest = data[at:]
        self.pump()
        if self.acked == len(self.frames):
            self.done.set()

    def pump(self) -> None:
        """Send what is due and has room, in one write."""
        upto = min(self.allowed, self.acked + self.unacked)
        if self._transport is None or upto <= self.sent:
            return
        self._transport.write(b"".join(self.frames[self.sent : upto]))
        if self.intended_ns is not None:
            now, intended = time.monotonic_ns(), self.intended_ns
            for one in range(self.sent, upto):
                self.late_ns[one] = now - intended[one]
        self.sent = upto

    def close(self) -> None:
        """Goodbye."""
        if self._transport is not None:
            self._transport.write(mqtt5.DisconnectPacket().write())
            self._transport.close()


async def blast(
    url: str, lanes: Sequence[Sequence[bytes]], *, unacked: int = 500, seconds: float = 60.0, rate: float = 0.0
) -> Blasted:
    """All frames of all lanes, at `rate` a second together (open loop; 0 = as the window lets); bounded in time."""
    address, loop = parse_url(url), asyncio.get_running_loop()
    everyone = [Lane(f"blast-{at}", frames, unacked) for at, frames in enumerate(lanes)]
    for lane in everyone:
        await loop.create_connection(lambda lane=lane: lane, address.host, address.port)  # type: ignore[misc]  # mypy cannot infer a bound default
        await lane.connected.wait()
    since, cpu = time.monotonic(), time.process_time()
    pacing = loop.create_task(_pace(everyone, rate), name="pace")
    try:
        async with asyncio.timeout(seconds):
            for lane in everyone:
                await lane.done.wait()
    except TimeoutError:
        pass
    finally:
        pacing.cancel()
    took, cpu = time.monotonic() - since, time.process_time() - cpu
    for lane in everyone:
        lane.close()
    return _report(everyone, took, cpu)


async def _pace(lanes: Sequence[Lane], rate: float) -> None:
    """Message i of a lane is due at i · lanes / rate; lanes start shifted against each other."""
    if not rate:
        for lane in lanes:
            lane.allowed = len(lane.frames)
            lane.pump()
        return
    gap_ns, start_ns = int(1e9 * len(lanes) / rate), time.monotonic_ns()
    for at, lane in enumerate(lanes):
        first = start_ns + gap_ns * at // len(lanes)
        lane.intended_ns = array("q", (first + one * gap_ns for one in range(len(lane.frames))))
    while any(lane.allowed < len(lane.frames) for lane in lanes):
        now = time.monotonic_ns()
        for lane in lanes:
            assert lane.intended_ns is not None, "set above"
            while lane.allowed < len(lane.frames) and lane.intended_ns[lane.allowed] <= now:
                lane.allowed += 1
            lane.pump()
        await asyncio.sleep(TICK_S)


def _report(lanes: Sequence[Lane], seconds: float, cpu_s: float) -> Blasted:
    late = sorted(one for lane in lanes if lane.intended_ns is not None for one in lane.late_ns[: lane.sent])
    sent, acked = sum(lane.sent for lane in lanes), sum(lane.acked for lane in lanes)
    return Blasted(
        sent=sent,
        acked=acked,
        refused=sum(lane.refused for lane in lanes),
        seconds=seconds,
        cpu_s=cpu_s,
        late_ms_p50=late[len(late) // 2] / 1e6 if late else 0.0,
        late_ms_p99=late[len(late) * 99 // 100] / 1e6 if late else 0.0,
        finished=acked == sum(len(lane.frames) for lane in lanes),
    )


def events(lane: int, count: int, halls: int, size: int = 200) -> list[tuple[str, bytes]]:
    """Stand-ins of about `size` bytes: one device a hall and lane, seq from 1, in the envelope of the wire."""
    out: list[tuple[str, bytes]] = []
    for at in range(count):
        hall, seq = at % halls, at // halls + 1
        head = b'{"boot":"blast%d","seq":%d,"sent_ms":1795420800123,"body":{"type":"ticket.call_next","pad":"' % (
            lane,
            seq,
        )
        out.append((f"jh/v1/h{hall}/blast-{lane}/event", head + b"x" * max(0, size - len(head) - 3) + b'"}}'))
    return out


def main(arguments: Sequence[str]) -> None:
    """One JSON line."""
    parser = argparse.ArgumentParser(prog="python -m bench.blast")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--halls", type=int, default=1)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--unacked", type=int, default=500)
    parser.add_argument("--rate", type=float, default=0.0, help="a second over all connections; 0 = as the window lets")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args(arguments)
    share = given.count // given.connections
    lanes = [encode(events(lane, share, given.halls)) for lane in range(given.connections)]
    sys.stdin.isatty() or sys.stdin.readline()  # a parent says when
    result = asyncio.run(blast(given.url, lanes, unacked=given.unacked, seconds=given.seconds, rate=given.rate))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
