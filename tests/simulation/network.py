"""tests/simulation/network.py: a broker and the wires to it: QoS 1, a session for the dispatcher, retained messages.

The dispatcher's end is bytes of MQTT 5 through a transport; devices speak whole messages. Delays come from the seed.
Bytes arrive in order on one connection and not at all once it is cut; a cut may be seen by one side only.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, Protocol

import mqtt5

from tests.simulation.loop import NS, Owner, VirtualLoop
from workers.inbox import PROBE

ONCE = mqtt5.QoS.AT_LEAST_ONCE
GRANTED = mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE
TAKEN_OVER = mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER


class Message(NamedTuple):
    """What the broker keeps for the dispatcher."""

    topic: str
    payload: bytes
    retain: bool


class Listener(Protocol):
    """What the broker needs of a device, and who watches it."""

    def arrives(self, topic: str, payload: bytes) -> None: ...


class Plug:
    """A socket whose options may be set."""

    def setsockopt(self, *option: int) -> None: ...


class Transport(asyncio.Transport):
    """The dispatcher's end of one connection."""

    def __init__(self, broker: "Broker", owner: Owner, protocol: Any) -> None:
        super().__init__({"socket": Plug()})
        self.broker, self.owner, self.protocol = broker, owner, protocol
        self.down = self.closing = self.paused = self.silent = False
        self.unread: list[bytes] = []
        self.rest = b""
        self.last_ns = [0, 0]  # arrival of the last bytes: at the broker, at the link
        self.live = False
        loop = broker.loop
        loop.soon(owner, protocol.connection_made, self)

    # What a protocol asks.

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        if not self.down and not self.silent:
            self.broker.loop.at(self._when(0), None, self.broker.heard, self, bytes(data))

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        if self.paused:
            self.paused = False
            self.broker.loop.soon(self.owner, self._read)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The broker hangs up in its turn."""
        if not self.down and not self.silent:
            self.broker.loop.at(self._when(0), None, self.broker.heard_eof, self)

    def close(self) -> None:
        self._close(None)

    def abort(self) -> None:
        self._close(None)

    def _close(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            loop = self.broker.loop
            loop.soon(self.owner, self.protocol.connection_lost, error)
            if not self.silent:
                loop.at(self._when(0), None, self.broker.hung_up, self)

    # What the network does.

    def _when(self, way: int) -> int:
        self.last_ns[way] = max(self.last_ns[way], self.broker.loop.now_ns + self.broker.delay_ns())
        return self.last_ns[way]

    def send(self, data: bytes) -> None:
        """From the broker. Sometimes in two pieces."""
        rng = self.broker.rng
        if self.down or self.silent:
            return
        cut = rng.randrange(1, len(data)) if len(data) > 1 and rng.random() < 0.05 else len(data)
        for piece in (data[:cut], data[cut:]):
            if piece:
                self.broker.loop.at(self._when(1), self.owner, self._arrive, piece)

    def _arrive(self, data: bytes) -> None:
        if self.closing or self.silent:
            return
        self.unread.append(data)
        self._read()

    def _read(self) -> None:
        """One read gets what has gathered, as a kernel gives it."""
        if self.unread and not self.paused and not self.closing:
            data, self.unread = b"".join(self.unread), []
            try:
                self.protocol.data_received(data)
            except Exception as error:
                self._close(error)

    def lose(self, *, seen_by_link: bool, seen_by_broker: bool) -> None:
        """What is under way is gone."""
        self.silent = True
        if seen_by_link:
            self.broker.loop.soon(self.owner, self._close, ConnectionResetError("cut"))
        if seen_by_broker:
            self.broker.hung_up(self)


class Session:
    """What the broker keeps for the dispatcher's client id."""

    def __init__(self) -> None:
        self.queue: deque[Message] = deque()
        self.inflight: dict[int, Message] = {}
        self.window = 65535
        self.subscribed = False


class Broker:
    """`confirmed` is told what the dispatcher has acknowledged, `published` what it says."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: Random,
        fail: Callable[[str], None],
        confirmed: Callable[[Message], None],
        published: Callable[[str, bytes, bool], None],
    ) -> None:
        self.loop, self.rng, self.fail = loop, rng, fail
        self.confirmed, self.published = confirmed, published
        self.up = True
        self.retained: dict[str, bytes] = {}
        self.session: Session | None = None
        self.link: Transport | None = None
        self.devices: dict[str, Listener] = {}
        self.slow_until_ns = 0

    def delay_ns(self) -> int:
        """1 to 8 ms, sometimes much more."""
        rng = self.rng
        most = 400_000_000 if self.loop.now_ns < self.slow_until_ns or rng.random() < 0.02 else 8_000_000
        return rng.randrange(1_000_000, most)

    # The dispatcher's connection.

    async def dial(self, owner: Owner, factory: Callable[[], Any]) -> Any:
        """TCP. OSError when nobody listens."""
        await asyncio.sleep(self.delay_ns() / NS)
        if not self.up:
            raise ConnectionRefusedError("no broker")
        protocol = factory()
        return Transport(self, owner, protocol), protocol

    def heard(self, conn: Transport, data: bytes) -> None:
        if conn.down or not self.up:
            return
        conn.rest += data
        while not conn.down:
            try:
                packet, size = mqtt5.read(memoryview(conn.rest))
            except IndexError:
                return
            except ValueError as error:
                self.fail(f"the link sends garbage: {error}")
                return
            conn.rest = conn.rest[size:]
            getattr(self, f"_{type(packet).__name__}")(conn, packet)

    def heard_eof(self, conn: Transport) -> None:
        """The link has said all; what we have sent still arrives, then the end."""
        if not conn.down:
            self.hung_up(conn)
            self.loop.at(conn._when(1), conn.owner, conn._close, None)

    def hung_up(self, conn: Transport) -> None:
        conn.down, conn.live = True, False
        if self.link is conn:
            self.link = None

    def _ConnectPacket(self, conn: Transport, packet: Any) -> None:
        if self.link is not None and self.link is not conn:
            old = self.link
            old.send(mqtt5.DisconnectPacket(reason_code=TAKEN_OVER).write())
            old.down = True
        present = self.session is not None
        session = self.session = self.session or Session()
        session.window, session.subscribed = packet.receive_max, session.subscribed and present
        self.link = conn
        conn.send(mqtt5.ConnAckPacket(session_present=present, receive_max=100).write())
        conn.live = True
        again = [self._packet(number, one, True) for number, one in session.inflight.items()]
        if again:
            conn.send(b"".join(again))
        self.pump()

    def _SubscribePacket(self, conn: Transport, packet: Any) -> None:
        assert self.session is not None
        conn.send(mqtt5.SubAckPacket(packet.packet_id, [GRANTED for _ in packet.topic_filters]).write())
        self.session.subscribed = True
        for topic, payload in self.retained.items():
            if topic.endswith(("/state", "/event")):
                self.session.queue.append(Message(topic, payload, True))
        self.pump()

    def _PublishPacket(self, conn: Transport, packet: Any) -> None:
        payload = bytes(packet.payload)
        if packet.retain:
            self.retained[packet.topic] = payload
        conn.send(mqtt5.PubAckPacket(packet.packet_id).write())
        if packet.topic == PROBE:
            self.queue(Message(PROBE, payload, False))
            return
        self.published(packet.topic, payload, packet.retain)
        device = self.devices.get(packet.topic.split("/")[3])
        if device is not None:
            device.arrives(packet.topic, payload)

    def _PubAckPacket(self, conn: Transport, packet: Any) -> None:
        session = self.session
        if conn is not self.link or session is None:
            return
        oldest = next(iter(session.inflight), 0)
        if packet.packet_id != oldest:
            self.fail(f"PUBACK {packet.packet_id}, though {oldest or 'nothing'} is the oldest without one")
            return
        self.confirmed(session.inflight.pop(oldest))
        self.pump()

    def _PingReqPacket(self, conn: Transport, packet: Any) -> None:
        conn.send(mqtt5.PingRespPacket().write())

    def _DisconnectPacket(self, conn: Transport, packet: Any) -> None:
        if int(packet.reason_code):
            self.fail(f"the link complains: {packet.reason_code.name}")
        self.heard_eof(conn)

    def queue(self, message: Message) -> None:
        """For the dispatcher, whether it is there or not."""
        if self.session is not None and self.session.subscribed:
            self.session.queue.append(message)
            self.pump()

    def pump(self) -> None:
        """As many as its window allows. The lowest free packet id, so that ids are used again at once."""
        session, conn = self.session, self.link
        if session is None or conn is None or not conn.live:
            return
        data: list[bytes] = []
        while session.queue and len(session.inflight) < session.window:
            number = next(one for one in range(1, 65536) if one not in session.inflight)
            message = session.inflight[number] = session.queue.popleft()
            data.append(self._packet(number, message, False))
        if data:
            conn.send(b"".join(data))

    def _packet(self, number: int, message: Message, again: bool) -> bytes:
        topic, payload, retain = message
        return mqtt5.PublishPacket(topic, payload, qos=ONCE, retain=retain, packet_id=number, duplicate=again).write()

    # Devices.

    def takes(self, topic: str, payload: bytes, retain: bool) -> None:
        """A message of a device, or its will."""
        if retain:
            self.retained[topic] = payload
        self.queue(Message(topic, payload, False))

    def shown(self, device: str, topic: str) -> bytes | None:
        """The retained picture of a device."""
        return self.retained.get(topic)

    def stop(self, *, lose: bool) -> None:
        """Everybody is thrown off; with `lose`, everything kept is gone."""
        self.up = False
        if self.link is not None:
            self.link.lose(seen_by_link=True, seen_by_broker=True)
        if lose:
            self.retained.clear()
            self.session = None

    def reorder(self) -> None:
        """Messages of different devices change places; those of one device keep their order."""
        if self.session is not None and len(self.session.queue) > 1:
            by_topic: dict[str, deque[Message]] = {}
            for one in self.session.queue:
                by_topic.setdefault(one.topic, deque()).append(one)
            order = [one.topic for one in self.session.queue]
            self.rng.shuffle(order)
            self.session.queue = deque(by_topic[topic].popleft() for topic in order)
