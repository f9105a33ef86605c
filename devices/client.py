"""devices/client.py: the reference client of a device. Nothing but `30-wire`; the only file that knows aiomqtt.

`async with Device(url, hall="h1", device="caller-03") as d: result = await d.send(CallNext())`. A command enters the
outbox before it is sent and leaves it when the hall's `ack` has come; one message is unacknowledged at a time.

connect ─▶ subscribe ─▶ birth ─▶ oldest message ─▶ PUBACK ─▶ ack ─▶ next       lost, silent or `device.sync`: once more
"""

import asyncio
import logging
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
from aiomqtt.client import TLSParameters
from msgspec import Struct

from core.commands import Command
from devices import topics, wire
from devices.flight import PATIENT, Counts, Flight, Timing, wall_ms
from devices.intake import Orders, Pictures, Shown
from devices.outbox import MemoryOutbox

NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it the 99th percentile is 77 ms, with it 4 ms
QUICKACK: Final = int(getattr(socket, "TCP_QUICKACK", 0))  # Linux
_UNSEEDED: Final = Random()  # noqa: S311 - spreads retries, guards nothing


class SwitchedOff(ConnectionError):
    """The device ended before the hall had answered. What is in a kept outbox will still be sent."""


class _Type(Struct, frozen=True):
    type: str = ""


_QUIET: Final = logging.Logger("devices.client", logging.CRITICAL)  # what happens to a connection stands in Counts
Observer = Callable[[str, str, int, str, wire.Result], None]
"""device, boot, seq, type of the command, what the hall answered: called once an event."""

_JSON: Final = msgspec.json.Encoder()
_ACK: Final = msgspec.json.Decoder(wire.Ack)
_TYPE: Final = msgspec.json.Decoder(_Type)


class _Client(aiomqtt.Client):
    """aiomqtt, and what it does not offer: messages go on where they arrive, without a task or a queue that overflows;
    the writer is asked for at once, since by the loop's next turn the socket may be closed and its number another's."""

    def __init__(self, take: Callable[[str, bytes], None], *where: Any, **how: Any) -> None:
        super().__init__(*where, **how)
        self._take = take

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        self._take(message.topic, message.payload)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            super()._on_socket_register_write(client, userdata, sock)
        elif sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write, client)

    def _write(self, client: Any) -> None:
        with suppress(OSError):  # the reader will see that it is lost
            client.loop_write()

    def plug(self) -> socket.socket | None:
        """The connection itself."""
        found = self._client.socket()
        return found if isinstance(found, socket.socket) else None

    def hurry(self) -> None:
        """Confirm the PUBACK now: a broker that gathers small packets (rumqttd) else holds its next for 40 ms."""
        plug = self.plug()
        if plug is not None and QUICKACK:
            plug.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


class Device:
    """One device. Works without a broker, too: commands then wait in the outbox.

    `now_ms`: its wall clock. `observer`: told of each event once, when it is answered for good.
    """

    def __init__(
        self,
        url: str,
        *,
        hall: str,
        device: str,
        profile: str = "",
        now_ms: Callable[[], int] = wall_ms,
        outbox: MemoryOutbox | None = None,
        rng: Random = _UNSEEDED,
        timing: Timing = PATIENT,
        firmware: str = "",
        v5: bool = False,
        tls: TLSParameters | None = None,
        observer: Observer | None = None,
        on_screen: Callable[[Shown], None] | None = None,
    ) -> None:
        self.hall, self.device, self.profile, self.firmware = hall, device, profile, firmware
        self.outbox = outbox if outbox is not None else MemoryOutbox()
        self.timing, self.counts = timing, Counts()
        self.online = asyncio.Event()
        self.faults: tuple[str, ...] = ()
        self.skew_ms = 0  # the hall's clock minus ours, by the last `ack` or `device.sync`
        self._url, self._v5, self._tls = urlsplit(url), v5, tls
        self._now_ms, self._rng, self.observer = now_ms, rng, observer
        self._flight = Flight(self.outbox, timing, now_ms, self.counts)
        self._pictures = Pictures(self.counts, on_screen)
        self._orders = Orders(self.counts, self._sync)
        self._topic = {leaf: topics.build(hall, device, leaf) for leaf in topics.LEAVES}
        self._takes = {
            self._topic[topics.SCREEN]: self._pictures.take,
            self._topic[topics.ACK]: self._on_ack,
            self._topic[topics.COMMAND]: self._orders.take,
        }
        self._client: _Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._closing, self._stir = asyncio.Event(), asyncio.Event()
        self._birth_due = self._resend_due = False
        self._link = (self.outbox.boot, 0)

    # What a device does.

    @property
    def screen(self) -> Shown | None:
        """The newest picture."""
        return self._pictures.newest

    def post(self, command: Command | wire.Rate) -> "asyncio.Future[wire.Result]":
        """Into the outbox, synced; the future is the hall's answer. OutboxFull, ValueError (above 16 KiB)."""
        future = self._flight.put(_JSON.encode(command))
        self._stir.set()
        return future

    async def send(self, command: Command | wire.Rate) -> wire.Result:
        """`post`, and wait for the answer. Cancelled: the event stays in the outbox. SwitchedOff: the device ended."""
        return await self.post(command)

    async def commands(self, *, late: bool = False) -> AsyncIterator[wire.Message]:
        """One-shot orders, each once, none after its time unless `late` ones are asked for. Ends with the device."""
        while (message := await self._orders.next()) is not None:
            self.counts.too_late += self.is_late(message)
            if late or not self.is_late(message):
                yield message

    def is_late(self, message: wire.Message) -> bool:
        """Whether an order's time is over, by the hall's clock."""
        return self._now_ms() + self.skew_ms > message.until_ms

    async def next_screen(self) -> Shown:
        """The next picture that is newer than the one held now. SwitchedOff: the device ended."""
        return await self._pictures.next()

    def report(self, faults: tuple[str, ...]) -> None:
        """What is wrong with the device; nothing: well again. Published as its state."""
        self.faults, self._birth_due = faults, True
        self._stir.set()

    def resend(self) -> None:
        """Send what is unanswered once more, now, or the last message if all is answered. Harmless: a hall knows it."""
        self._resend_due = True
        self._stir.set()

    def drop(self) -> None:
        """The cable is pulled: no DISCONNECT, so the will speaks. The device comes back by itself."""
        plug = self._client.plug() if self._client is not None else None
        if plug is not None:
            with suppress(OSError):
                plug.shutdown(socket.SHUT_RDWR)

    async def arrive(self) -> None:
        """Until the device is connected and has said its birth. SwitchedOff: it ended before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.online, self._closing)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not self.online.is_set():
            raise SwitchedOff(f"{self.device} was switched off") from self._failure

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._live(), name=f"device {self.device}")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None, "entered before it is left"
        self._closing.set()
        self._stir.set()
        try:
            await self._task
        finally:
            self._end()
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: Exception) -> None:
        """A mistake of ours or of our caller ends the device, loudly: nobody waits for an answer that cannot come."""
        self._failure = self._failure or error
        self._closing.set()
        self._stir.set()
        self._end()

    def _end(self) -> None:
        """Nobody waits for ever. The outbox is closed by whoever made it."""
        over = SwitchedOff(f"{self.device} was switched off")
        over.__cause__ = self._failure
        self._flight.end(over)
        self._pictures.end(over)
        self._orders.end()

    # One connection after the other.

    async def _live(self) -> None:
        failures = 0
        while not self._closing.is_set():
            began_s = time.monotonic()
            try:
                await self._session()
            except (aiomqtt.MqttError, OSError):
                pass
            except Exception as error:
                self._fail(error)
            finally:
                self._client = None
                self.online.clear()
            failures = 0 if time.monotonic() - began_s >= self.timing.settled_s else failures + 1
            limit_s = min(self.timing.backoff_max_s, self.timing.backoff_s * 2.0 ** min(failures, 20))
            await self._pause(self._rng.uniform(0, limit_s))

    async def _pause(self, seconds: float) -> None:
        """So long, or until the device is switched off."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _new_client(self) -> _Client:
        self._link = (self.outbox.boot, self.outbox.connected())
        will = aiomqtt.Will(self._topic[topics.STATE], wire.encode(self._state("lost")), 1, True)
        url, tls = self._url, self._tls
        if url.scheme == "mqtts" and tls is None:
            tls = TLSParameters()
        return _Client(
            self._take,
            url.hostname or "localhost",
            url.port or (8883 if tls else 1883),
            username=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            identifier=f"{self.hall}.{self.device}",  # a slash is refused by rumqttd, which then stops listening
            logger=_QUIET,
            protocol=aiomqtt.ProtocolVersion.V5 if self._v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if self._v5 else True,
            will=will,
            timeout=self.timing.connect_s,
            keepalive=self.timing.keepalive_s,
            tls_params=tls,
            socket_options=(NODELAY,),
        )

    async def _session(self) -> None:
        """One connection, until it is lost (MqttError) or the device is switched off."""
        client = self._new_client()
        try:
            await client.__aenter__()
        except aiomqtt.MqttError:
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)  # a connection never granted may have left a socket
            raise
        try:
            await self._greet(client)
            tasks = [asyncio.create_task(part) for part in (self._pump(client), _until_lost(client))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
        finally:
            await client.__aexit__(None, None, None)

    async def _greet(self, client: _Client) -> None:
        """Subscriptions first, so that nothing said to us is missed; birth before the first event."""
        granted = await client.subscribe([(topic, 1) for topic in self._takes])
        if any((code if isinstance(code, int) else code.value) >= 0x80 for code in granted):
            raise aiomqtt.MqttError("a subscription was refused")
        self.counts.connections += 1
        await self._say_state(client, "ready")
        self._flight.afresh()
        self._client, self._resend_due = client, False
        self.online.set()

    def _state(self, state: wire.DeviceState) -> wire.State:
        boot, link = self._link
        return wire.State(state, boot, link, self.firmware, self.profile, self.faults)

    async def _say_state(self, client: _Client, state: wire.DeviceState) -> None:
        self._birth_due = False
        if state == "ready" and self.faults:
            state = "degraded"
        await self._put(client, topics.STATE, wire.encode(self._state(state)))

    # One message after the other.

    async def _pump(self, client: _Client) -> None:
        """Sends the oldest message until it is answered, then the next. Ends when the device is switched off."""
        flight, sent, due_s = self._flight, False, 0.0
        while not self._closing.is_set():
            if self._birth_due:
                await self._say_state(client, "ready")
            if flight.held_s() > 0:
                sent = await self._stirred(flight.held_s()) and False  # and then once more
                continue
            if flight.load():
                sent = False
            if (flight and not sent) or self._resend_due:
                await self._publish(client)
                sent, due_s = True, time.monotonic() + flight.patience_s(self._rng)
            elif flight:
                sent = await self._stirred(due_s - time.monotonic())
            else:
                await self._stirred(None)
        await self._say_state(client, "closed")

    async def _stirred(self, seconds: float | None) -> bool:
        """Until something happens (True), or for so long (False)."""
        try:
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        except TimeoutError:
            return False
        self._stir.clear()
        return True

    async def _publish(self, client: _Client) -> None:
        """What is under way, or the last message."""
        self._resend_due = False
        if payload := self._flight.payload():
            await self._put(client, topics.EVENT, payload)

    async def _put(self, client: _Client, leaf: str, payload: bytes) -> None:
        """Returns when the broker has it. MqttError when it does not confirm."""
        try:
            async with asyncio.timeout(self.timing.resend_s):  # aiomqtt's own may swallow a cancellation (3.11)
                await client.publish(self._topic[leaf], payload, 1, leaf == topics.STATE, timeout=math.inf)
                client.hurry()
        except TimeoutError:
            raise aiomqtt.MqttError("the broker does not confirm") from None

    # What the hall says.

    def _take(self, topic: str, payload: bytes) -> None:
        """Each message, where it arrives. A mistake of ours must end the device, not the connection."""
        take = self._takes.get(topic)
        try:
            if take is not None:
                take(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.counts.unreadable += 1  # of a later version, or not ours: ignored
        except Exception as error:
            self._fail(error)

    def _on_ack(self, payload: bytes) -> None:
        ack = _ACK.decode(payload)
        self.skew_ms = ack.now_ms - self._now_ms()
        for entry, result in self._flight.answered(ack):
            if self.observer is not None:
                self.observer(self.device, entry.boot, entry.seq, _TYPE.decode(entry.body).type, result)
        self._stir.set()

    def _sync(self, order: wire.DeviceSync) -> None:
        """At a random moment, so that a hall of devices does not come all at once."""
        self.skew_ms = order.now_ms - self._now_ms()
        delay_s = self._rng.uniform(0, order.within_ms / 1000)
        asyncio.get_running_loop().call_later(delay_s, self._obey)

    def _obey(self) -> None:
        self._birth_due, self._resend_due = True, bool(self._flight)
        self._flight.afresh()
        self._stir.set()


async def _until_lost(client: _Client) -> None:
    """Yields nothing, since `_on_message` takes all; raises MqttError when the connection is lost."""
    async for _ in client.messages:
        pass
