"""workers/link.py: the one MQTT session of a process, on the mqtt5 codec: what is said in each state of the connection.

An input: read, stamped, handed out in a batch (inbox.py), settled after the commit, PUBACK. A publish: flights.py.
States: link_states.py; dialing, backing off, writing: connection.py; settings and counters: link_settings.py.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any, Final, Protocol

import mqtt5

from workers.connection import Connection
from workers.flights import FLIGHT_IDS, Flight, Flights
from workers.inbox import PROBE, Received
from workers.link_settings import LinkSettings
from workers.link_states import CONNECTED, TABLE, Event, State
from workers.ports import Input

ASIDE: Final = 0xFFFF  # the packet id of a subscription that may be refused
FILTERS_A_PACKET: Final = 200  # a SUBSCRIBE stays far below the broker's max_packet_size
TAKING: Final = (State.SUBSCRIBING, State.LIVE, State.PAUSED)
ACKING: Final = (*TAKING, State.DRAINING)
BIRTH: Final = 32  # bytes of a probe that are when and who; the client id follows
FAILURE: Final = 0x80  # reason codes from here on. The codec's enums are no int at run time: int() them
AUTHORITY: Final = (mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD, mqtt5.ConnAckReasonCode.NOT_AUTHORIZED)
FORBIDDEN: Final = mqtt5.PubAckReasonCode.NOT_AUTHORIZED
PING: Final = mqtt5.PingReqPacket().write()


class Sender(Protocol):
    """Who publishes through the link. Called from the loop; `room` when some may be there again."""

    def published(self, token: object, refusal: str) -> None: ...
    def room(self) -> None: ...
    def pending(self) -> int: ...


class NobodySends:
    """The sender of a link that only receives."""

    def published(self, token: object, refusal: str) -> None:
        """Only the probe was sent."""

    def room(self) -> None:
        """Nothing waits."""

    def pending(self) -> int:
        """Nothing waits."""
        return 0


def nothing(_: object) -> None:
    """The callback of nobody."""


def subscriptions(halls: Sequence[str]) -> list[mqtt5.TopicFilter]:
    """Events and states of these halls, or of all; the probe, where no wildcard covers it."""
    wanted = [f"jh/v1/{hall}/+/{leaf}" for hall in halls or ("+",) for leaf in ("event", "state")]
    return [mqtt5.TopicFilter(one, max_qos=mqtt5.QoS.AT_LEAST_ONCE) for one in (*wanted, *([PROBE] if halls else ()))]


class Link(Connection):
    """One connection a process, one order. Its callbacks are called from the loop and must not block."""

    complaint = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.PROTOCOL_ERROR).write()
    goodbye = mqtt5.DisconnectPacket().write()

    def __init__(
        self,
        settings: LinkSettings,
        *,
        now_ms: Callable[[], int],
        random: Random,
        tls: ssl.SSLContext | None = None,
        on_live: Callable[[bool], None] = nothing,
        on_down: Callable[[str], None] = nothing,
    ) -> None:
        super().__init__(settings, random, tls, on_down)
        self.on_live = on_live  # with "session present"; without one every device is to be synced
        self._now_ms = now_ms
        self._stirred = asyncio.Event()  # something was settled or acknowledged: drain looks again
        self._inbox = Received(settings.batch_max, self._acknowledge, self._stirred.set)
        self._flights = Flights()
        self._sender: Sender = NobodySends()
        self._rest = b""
        self._subscribing: dict[int, list[int]] = {}  # packet id -> the QoS asked for
        self._connack = mqtt5.ConnAckPacket()
        self._heard = 0.0
        self._birth = b"%016d" % now_ms() + secrets.token_hex(8).encode()  # ordered by time: the elder of two yields,
        self._birth += settings.client_id.encode()  # of those with one client id: the topic is all dispatchers'
        self._probed = False  # our birth is the retained one, so an older process is not taken for another
        self._forbidden = self._held = self._wants_acks = False

    # The outside: what the dispatcher, the outbox and the application call.

    def batches(self) -> AsyncIterator[Sequence[Input]]:
        """In order of receipt, ≤ batch_max; ends when drained. Empty after a nudge. Pass the same object to settle."""
        return self._inbox

    def nudge(self) -> None:
        """Have the iteration yield once, with an empty batch if nothing is there."""
        self._inbox.nudge()

    def depth(self) -> int:
        """Inputs in the house: waiting and handed out."""
        return self._inbox.level()

    async def settle(self, batch: Sequence[Input]) -> None:
        """After the commit: the PUBACKs of the batch, and of later ones settled before it, in one write."""
        self._inbox.settle(batch)
        self._weigh()
        self._stirred.set()

    def _acknowledge(self, ids: list[int]) -> None:
        if self.state in ACKING:
            self._write(b"".join([mqtt5.PubAckPacket(one).write() for one in ids]))

    def hold(self, on: bool) -> None:
        """True while a commit is being retried: nothing is read, nothing is ready."""
        self._held = on
        self._weigh()

    def wants_acks(self, on: bool) -> None:
        """True while the sender's bound is reached: a paused link would never read the PUBACKs it waits for."""
        self._wants_acks = on
        self._weigh()

    def choked(self) -> bool:
        """Live, and the broker has sent all it may before we settle something."""
        return self.state in (State.LIVE, State.PAUSED) and self._inbox.level() >= self.settings.receive_max

    def attach(self, sender: Sender) -> None:
        """Who hears of PUBACKs and of room."""
        self._sender = sender

    def publish(self, topic: str, payload: bytes, retain: bool, token: object) -> bool:
        """QoS 1; False when not live or the window is full. Its PUBACK ends in sender.published(token, refusal)."""
        flight = Flight(topic, payload, retain, token)
        packet_id = self._flights.take_off(flight)
        if packet_id:
            self._send(packet_id, flight, False)
        return packet_id > 0

    def ready(self) -> bool:
        """Live, allowed to publish, no commit being retried, and something heard of late."""
        hearing = asyncio.get_running_loop().time() - self._heard < self.settings.deaf_s
        return self.state in (State.LIVE, State.PAUSED) and not self._held and not self._forbidden and hearing

    async def drain(self, timeout_s: float = 5.0) -> None:
        """No more input; waits for the dispatcher to settle and for PUBACKs to us, at most so long; DISCONNECT."""
        if Event.STOP in TABLE[self.state]:
            self._on(Event.STOP)
        try:
            async with asyncio.timeout(timeout_s):
                while self.state is State.DRAINING and not self._quiet():
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            self.stats.last_error = "drain: not everything was settled and acknowledged in time"
        if self.state is State.DRAINING:
            self._on(Event.DRAINED)

    def _quiet(self) -> bool:
        return self._inbox.finished() and not self._flights and not self._sender.pending()

    # What is said on entering a state.

    def _enter_handshake(self, before: State, why: str) -> None:
        """Speak first."""
        s, a = self.settings, self._address
        password = s.password if s.password is not None else a.password
        self._arm("step", s.step_s, Event.LATE)
        self._write(
            mqtt5.ConnectPacket(
                s.client_id,
                username=s.username if s.username is not None else a.username,
                password=None if password is None else password.encode(),
                clean_start=False,
                keep_alive=s.keep_alive_s,
                session_expiry_interval=s.session_expiry_s,
                receive_max=s.receive_max,
            ).write()
        )

    def _enter_subscribing(self, before: State, why: str) -> None:
        """After every connect, though the session may know them: retained states come again."""
        self._arm("step", self.settings.step_s, Event.LATE)
        filters = subscriptions(self.settings.halls)
        for packet_id, start in enumerate(range(0, len(filters), FILTERS_A_PACKET), FLIGHT_IDS + 1):
            some = filters[start : start + FILTERS_A_PACKET]
            self._subscribing[packet_id] = [int(one.max_qos) for one in some]
            self._write(mqtt5.SubscribePacket(packet_id, some).write())
        if topic := self.settings.dropped_topic:
            self._subscribing[ASIDE] = []  # whatever is granted: it is only told
            self._write(
                mqtt5.SubscribePacket(ASIDE, [mqtt5.TopicFilter(topic, max_qos=mqtt5.QoS.AT_MOST_ONCE)]).write()
            )

    def _begin(self) -> None:
        """Live: what has no PUBACK goes out again, then everything new."""
        self._heard = asyncio.get_running_loop().time()
        self._forbidden = False
        self.stats.granted = self._connack.receive_max
        self._flights.window = min(self.settings.send_max, self.stats.granted)
        self._fly_again()
        self._keep_alive()
        self._probe()
        self.on_live(self._connack.session_present)
        self._sender.room()
        self._weigh()

    def _ground(self) -> None:
        """Tokens are dropped, flights are kept."""
        self._rest = b""
        self._subscribing.clear()
        self._flights.ground()
        self._inbox.next_generation()
        self._stirred.set()

    def _forget(self) -> None:
        """The iteration ends after what is here."""
        self._inbox.close()

    # Bytes in.

    def data_received(self, data: bytes) -> None:
        """One read, one stamp."""
        if not self.within(*CONNECTED):
            return  # hanging up
        self.stats.bytes_in += len(data)
        taken, answered = self._take(self._rest + data if self._rest else data)
        if not self.within(*CONNECTED):
            return
        if taken:
            self._heard = asyncio.get_running_loop().time()
            self.stats.messages_in += taken
            self._inbox.wake()
        if answered:
            self._sender.room()
            self._stirred.set()
        self._pace()
        self._weigh()

    def _take(self, data: bytes) -> tuple[int, bool]:
        """Every whole packet of `data`, publishes straight into the inbox. Returns their number, and if others came."""
        view, at, others, at_ms = memoryview(data), 0, False, self._now_ms()
        inputs, ids, takes = self._inbox.inputs, self._inbox.ids, self.state in TAKING
        before = len(inputs) - self._inbox.probes
        while True:
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break  # not whole yet
            except ValueError as error:
                self._on(Event.GARBAGE, str(error))
                break
            at += size
            if takes and type(packet) is mqtt5.PublishPacket:
                topic, packet_id = packet.topic, packet.packet_id
                if topic == PROBE:
                    self._probe_came(packet.payload)
                    if not self.within(*CONNECTED):
                        break
                elif packet_id is None and (topic == self.settings.dropped_topic or self._overfull()):
                    self._broker_says(topic, packet.payload)
                    continue
                inputs.append(Input(topic, packet.payload, at_ms, packet.retain))
                ids.append(packet_id or 0)
                if packet.duplicate:
                    self.stats.redelivered += 1
            else:
                others = True
                HANDLE.get(type(packet), Link._stranger_came)(self, packet)
                if not self.within(*CONNECTED):
                    break
                takes = self.state in TAKING
        self._rest = data[at:]
        return len(inputs) - self._inbox.probes - before, others

    def _probe_came(self, birth: bytes) -> None:
        """The broker still delivers. The probe is retained and acknowledged in its turn. A younger birth than ours is
        another dispatcher with our client id: mosquitto before 2.0.15 and iotcore hang up on us without saying so."""
        self._heard = asyncio.get_running_loop().time()
        self._inbox.probes += 1
        self._inbox.wake()
        if self._probed and birth[BIRTH:] == self._birth[BIRTH:] and birth > self._birth:
            self._on(Event.TAKEN_OVER, "a probe of another dispatcher with our client id")

    def _broker_says(self, topic: str, payload: bytes) -> None:
        if topic == self.settings.dropped_topic and payload.isdigit():
            self.stats.broker_dropped = int(payload)

    def _overfull(self) -> bool:
        """QoS 0 beyond the bound is dropped: its sender asked for no promise."""
        full = self._inbox.level() >= self.settings.inbox_max
        self.stats.unpromised += 1
        self.stats.dropped += full
        return full

    def _publish_unnamed(self, _: mqtt5.PublishPacket) -> None:
        self._on(Event.PUBLISH)

    def _stranger_came(self, packet: object) -> None:
        self._on(Event.GARBAGE, type(packet).__name__)

    def _connack_came(self, packet: mqtt5.ConnAckPacket) -> None:
        if int(packet.reason_code) >= FAILURE:
            self.stats.refused += 1
            self._least_delay_s = self.settings.refused_s if packet.reason_code in AUTHORITY else 0.0
            return self._on(Event.REFUSED, f"broker refuses us: {packet.reason_code.name.lower()}")
        self._connack = packet
        if self.state is State.HANDSHAKE:
            self.stats.sessions += 1
            self.stats.session_lost += self.stats.sessions > 1 and not packet.session_present
        self._on(Event.CONNACK)

    def _suback_came(self, packet: mqtt5.SubAckPacket) -> None:
        wanted, granted = self._subscribing.pop(packet.packet_id, None), [int(one) for one in packet.reason_codes]
        if wanted is None:
            self._on(Event.GARBAGE, "a SUBACK nobody asked for")
        elif wanted and wanted != granted:
            self.stats.refused += 1
            self._on(Event.REFUSED, f"subscription refused: wanted {wanted}, granted {granted}")
        elif not self._subscribing:
            self._on(Event.SUBACK)

    def _puback_came(self, packet: mqtt5.PubAckPacket) -> None:
        flight = self._flights.land(packet.packet_id)
        refusal = packet.reason_code.name.lower() if int(packet.reason_code) >= FAILURE else ""
        if refusal:
            self.stats.puback_failures += 1
            self._forbidden = self._forbidden or packet.reason_code == FORBIDDEN
        self._on(Event.PUBACK)
        if self._flights.grounded:
            self._fly_again()
        if flight is not None and flight.token is PROBE:
            self._probed = True
        elif flight is not None:
            self._sender.published(flight.token, refusal)

    def _pong_came(self, _: mqtt5.PingRespPacket) -> None:
        self._disarm("pong")
        self._on(Event.PONG)

    def _disconnect_came(self, packet: mqtt5.DisconnectPacket) -> None:
        taken = packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER
        self._on(Event.TAKEN_OVER if taken else Event.LOST, f"broker says {packet.reason_code.name.lower()}")

    def _weigh(self) -> None:
        """Read on, or leave it to the broker to hold what comes."""
        self.stats.unacked = level = self._inbox.level()
        most = self.settings.inbox_max
        if self.state is State.LIVE and (self._held or level * 10 >= most * 8) and not self._wants_acks:
            self._on(Event.HIGH)
        elif self.state is State.PAUSED and (self._wants_acks or (not self._held and level * 2 <= most)):
            self._on(Event.LOW)

    def _send(self, packet_id: int, flight: Flight, again: bool) -> None:
        packet = mqtt5.PublishPacket(
            flight.topic,
            flight.payload,
            qos=mqtt5.QoS.AT_LEAST_ONCE,
            retain=flight.retain,
            packet_id=packet_id,
            duplicate=again,
        )
        self.stats.messages_out += 1
        self._write(packet.write())

    def _fly_again(self) -> None:
        """After a reconnect: same ids, oldest first. DUP only where the broker may know them."""
        for packet_id, flight in self._flights.again():
            self._send(packet_id, flight, self._connack.session_present)

    def _keep_alive(self) -> None:
        """Also while paused. A little early: the broker's patience counts from its side."""
        every_s = self._connack.server_keep_alive or self.settings.keep_alive_s
        self._write(PING)
        if "pong" not in self._timers:
            self._arm("pong", self.settings.pong_s, Event.SILENT)
        self._timers["ping"] = asyncio.get_running_loop().call_later(every_s * 0.8, self._keep_alive)

    def _probe(self) -> None:
        """Through the broker to ourselves: mosquitto grants what its ACL will never deliver."""
        self.publish(PROBE, self._birth, True, PROBE)
        self._timers["probe"] = asyncio.get_running_loop().call_later(self.settings.probe_s, self._probe)


HANDLE: Final[dict[type, Callable[[Link, Any], None]]] = {
    mqtt5.PublishPacket: Link._publish_unnamed,
    mqtt5.ConnAckPacket: Link._connack_came,
    mqtt5.SubAckPacket: Link._suback_came,
    mqtt5.PubAckPacket: Link._puback_came,
    mqtt5.PingRespPacket: Link._pong_came,
    mqtt5.DisconnectPacket: Link._disconnect_came,
}
