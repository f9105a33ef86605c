"""bench/watch.py: one connection that looks at the screens; each picture settles the presses that it answers."""

import asyncio
import time
from array import array
from collections import deque
from typing import Final, cast

import mqtt5
import msgspec

FILTERS: Final = 200
_PICTURE: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Watch(asyncio.Protocol):
    """One connection that subscribes to the screens; each picture settles the presses that it answers."""

    def __init__(self, topics: list[str], echo: bool) -> None:
        self._topics, self._echo = topics, echo
        self.pending: dict[str, deque[tuple[int, str]]] = {topic: deque() for topic in topics}
        self.waiting = 0
        self.latency_ns = array("q")
        self.due_ns = array("q")
        self.ready = asyncio.Event()
        self._left = 0
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak first."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(mqtt5.ConnectPacket("watch", clean_start=True, keep_alive=65_535).write())

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing is seen any more."""
        self.ready.set()

    def data_received(self, data: bytes) -> None:
        """One read, one time of sight."""
        now, data = time.monotonic_ns(), self._rest + data
        view, at, out = memoryview(data), 0, list[bytes]()
        while True:
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if type(packet) is mqtt5.PublishPacket:
                if packet.packet_id:
                    out.append(mqtt5.PubAckPacket(packet.packet_id).write())
                self.saw(packet.topic, packet.payload, now)
            elif type(packet) is mqtt5.ConnAckPacket:
                out += self._subscribe()
            elif type(packet) is mqtt5.SubAckPacket:
                self._left -= 1
                if not self._left:
                    self.ready.set()
        self._rest = data[at:]
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def _subscribe(self) -> list[bytes]:
        """At most once: a picture that is lost is superseded, and nothing is to be acknowledged."""
        packets = []
        for packet_id, first in enumerate(range(0, len(self._topics), FILTERS), 1):
            some = [
                mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_MOST_ONCE)
                for topic in self._topics[first : first + FILTERS]
            ]
            packets.append(mqtt5.SubscribePacket(packet_id, some).write())
        self._left = len(packets)
        if not packets:
            self.ready.set()
        return packets

    def expect(self, topic: str, due_ns: int, status: str) -> None:
        """A press was sent."""
        self.pending[topic].append((due_ns, status))
        self.waiting += 1

    def saw(self, topic: str, payload: bytes, now_ns: int) -> None:
        """The oldest press that brings this about, and those before it: their pictures were superseded."""
        presses = self.pending.get(topic)
        if not presses:
            return
        upto = 1
        if not self._echo:
            status = status_of(payload)
            upto = next((at for at, press in enumerate(presses, 1) if press[1] == status), 0)
        for _ in range(upto):
            due_ns = presses.popleft()[0]
            self.latency_ns.append(now_ns - due_ns)
            self.due_ns.append(due_ns)
        self.waiting -= upto

    def give_up(self) -> int:
        """What was never seen counts up to now: it flatters nobody."""
        now, unseen = time.monotonic_ns(), self.waiting
        for presses in self.pending.values():
            self.latency_ns.extend(now - due for due, _ in presses)
            self.due_ns.extend(due for due, _ in presses)
            presses.clear()
        self.waiting = 0
        return unseen

    def close(self) -> None:
        """Goodbye."""
        if self._transport is not None:
            self._transport.close()


def status_of(payload: bytes) -> str:
    """What a counter's screen says it is."""
    body = _PICTURE.decode(payload).get("body", b"{}")
    return str(msgspec.json.decode(_PICTURE.decode(body).get("status", b'""')))
