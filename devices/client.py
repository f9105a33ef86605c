"""devices/client.py: the reference client of a device. Nothing but `30-wire`; the only file that knows aiomqtt.

`async with Device(url, hall="h1", device="caller-03") as d: result = await d.send(CallNext())`. A command enters the
outbox before it is sent and leaves it when the hall's `ack` has come; one message is unacknowledged at a time.

connect ─▶ subscribe ─▶ birth ─▶ oldest message ─▶ PUBACK ─▶ ack ─▶ next       lost, silent or `device.sync`: once more
"""

import asyncio
import logging
import math
import socket
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, Final, Self, cast
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
from aiomqtt.client import TLSParameters
from msgspec import Struct

from core.commands import Command
from devices import topics, wire
from devices.outbox import Entry, Key, MemoryOutbox

NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # without it the 99th percentile is 77 ms, with it 4 ms
REMEMBERED: Final = 64  # commands by (id, type)
COMMANDS_MAX: Final = 64  # not yet taken by `commands()`; beyond, the oldest goes: its time is nearly over
OVERHEAD: Final = 160  # bytes of an event around its body, at most
LOST_COUNTER: Final = ("seq_reused", "boot_retired")
DISCARD: Final = Random()  # noqa: S311 - spreads retries, guards nothing


class Timing(Struct, frozen=True):
    """Real seconds. A test shortens them, a device keeps them."""

    resend_s: float = 30.0
    resend_max_s: float = 600.0
    spread: float = 0.2
    keep_s: float = 60.0
    backoff_s: float = 0.2
    backoff_max_s: float = 10.0
    settled_s: float = 30.0  # a connection that lived so long starts the back-off anew
    connect_s: float = 5.0
    keepalive_s: int = 30


PATIENT: Final = Timing()


class Shown(Struct, frozen=True):
    """A picture as it came: `body` its very bytes."""

    epoch: int
    revision: int
    sent_ms: int
    body: msgspec.Raw

    @property
    def order(self) -> tuple[int, int]:
        """Newer is larger."""
        return self.epoch, self.revision


class Counts(Struct):
    """What happened to one device since it was switched on."""

    connections: int = 0
    messages: int = 0
    resent: int = 0
    answered: int = 0
    again: int = 0
    kept: int = 0
    new_boots: int = 0
    faults: int = 0
    unreadable: int = 0
    repeated: int = 0
    too_late: int = 0
    overflowed: int = 0
    screens: int = 0
    old_screens: int = 0


class SwitchedOff(ConnectionError):
    """The device ended before the hall had answered. What is in a kept outbox will still be sent."""


class _Sent(Struct, frozen=True):
    boot: str
    seq: int
    sent_ms: int
    age_ms: int
    body: msgspec.Raw


class _Type(Struct, frozen=True):
    type: str = ""


_QUIET: Final = logging.getLogger("devices.client")  # what happens to a connection stands in Counts
_QUIET.setLevel(logging.CRITICAL)
Observer = Callable[[str, str, int, str, wire.Result], None]
"""device, boot, seq, type of the command, what the hall answered: called once an event."""

_JSON: Final = msgspec.json.Encoder()
_ACK: Final = msgspec.json.Decoder(wire.Ack)
_MESSAGE: Final = msgspec.json.Decoder(wire.Message)
_SHOWN: Final = msgspec.json.Decoder(Shown)
_TYPE: Final = msgspec.json.Decoder(_Type)


def wall_ms() -> int:
    """UTC ms of this machine."""
    return time.time_ns() // 1_000_000


class _Inlet(asyncio.Queue[aiomqtt.Message]):
    """Hands every message on where it arrives: no task, no queue, nothing to overflow."""

    def __init__(self, take: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._take = take

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._take(item)


class Device:
    """One device. Works without a broker, too: commands then wait in the outbox."""

    def __init__(
        self,
        url: str,
        *,
        hall: str,
        device: str,
        profile: str = "",
        now_ms: Callable[[], int] = wall_ms,
        outbox: MemoryOutbox | None = None,
        rng: Random = DISCARD,
        timing: Timing = PATIENT,
        firmware: str = "",
        v5: bool = False,
        tls: TLSParameters | None = None,
        observer: Observer | None = None,
        on_screen: Callable[[Shown], None] | None = None,
    ) -> None:
        self.hall, self.device, self.profile, self.firmware = hall, device, profile, firmware
        self.outbox = outbox if outbox is not None else MemoryOutbox()
        self.timing = timing
        self.counts = Counts()
        self.screen: Shown | None = None
        self.skew_ms = 0
        """The hall's clock minus ours, by the last `ack` or `device.sync`."""
        self.online = asyncio.Event()
        self.faults: tuple[str, ...] = ()
        self._url, self._v5, self._tls = urlsplit(url), v5, tls
        self._now_ms, self._rng = now_ms, rng
        self._observer, self._on_screen = observer, on_screen
        self._topic = {leaf: topics.build(hall, device, leaf) for leaf in _LEAVES}
        self._leaf = {topic: leaf for leaf, topic in self._topic.items()}
        self._client: aiomqtt.Client | None = None
        self._link = (self.outbox.boot, 0)
        self._task: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._closing = asyncio.Event()
        self._stir = asyncio.Event()
        self._flight: dict[Key, Entry] = {}
        self._last: list[Entry] = []
        self._sendings: dict[Key, int] = {entry.key: 1 for entry in self.outbox.entries()}  # by an earlier life
        self._born: dict[Key, float] = {}
        self._waiting: dict[Key, asyncio.Future[wire.Result]] = {}
        self._proven = not self.outbox.recalled
        self._attempt = 0
        self._hold_until = 0.0
        self._birth_due = self._resend_due = False
        self._done: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._commands: asyncio.Queue[wire.Message] = asyncio.Queue(COMMANDS_MAX)
        self._watchers: list[asyncio.Future[Shown]] = []

    # What a device does.

    def post(self, command: Command | wire.Rate) -> "asyncio.Future[wire.Result]":
        """Into the outbox, synced; the future is the hall's answer. OutboxFull, ValueError (above 16 KiB)."""
        body = _JSON.encode(command)
        if len(body) + OVERHEAD > wire.MAX_PAYLOAD:
            raise ValueError(f"a command of {len(body)} bytes does not fit the wire")
        entry = self.outbox.put(body, self._now_ms())
        self._born[entry.key] = time.monotonic()
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(_heard_of)
        self._waiting[entry.key] = future
        self._stir.set()
        return future

    async def send(self, command: Command | wire.Rate) -> wire.Result:
        """`post`, and wait for the answer. Cancelled: the event stays in the outbox. SwitchedOff: the device ended."""
        return await self.post(command)

    async def commands(self) -> AsyncIterator[wire.Message]:
        """One-shot orders, each once, none after its time. Ends with the device."""
        while not self._closing.is_set():
            message = await self._next_command()
            if message is None:
                return
            if self._now_ms() + self.skew_ms > message.until_ms:
                self.counts.too_late += 1
            else:
                yield message

    async def next_screen(self) -> Shown:
        """The next picture that is newer than the one held now. SwitchedOff: the device ended."""
        future: asyncio.Future[Shown] = asyncio.get_running_loop().create_future()
        self._watchers.append(future)
        return await future

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
        client, self._client = self._client, None
        if client is not None:
            plug = client._client.socket()  # aiomqtt has no public way to lose a connection
            if isinstance(plug, socket.socket):
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

    def idle(self) -> bool:
        """Whether everything said is answered."""
        return not len(self.outbox)

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
        unheard: list[asyncio.Future[Any]] = [*self._waiting.values(), *self._watchers]
        for future in unheard:
            if not future.done():
                future.set_exception(over)
                future.exception()
        self._waiting.clear()
        self._watchers.clear()

    # One connection after the other.

    async def _live(self) -> None:
        failures = 0
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except (aiomqtt.MqttError, OSError):
                pass
                pass
            except Exception as error:
                self._fail(error)
            finally:
                self._client = None
                self.online.clear()
            failures = 0 if time.monotonic() - began >= self.timing.settled_s else failures + 1
            limit = min(self.timing.backoff_max_s, self.timing.backoff_s * 2.0 ** min(failures, 20))
            await self._pause(self._rng.uniform(0, limit))

    async def _pause(self, seconds: float) -> None:
        """So long, or until the device is switched off."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    def _new_client(self) -> aiomqtt.Client:
        self._link = (self.outbox.boot, self.outbox.connected())
        will = aiomqtt.Will(self._topic[topics.STATE], wire.encode(self._state("lost")), 1, True)
        url, tls = self._url, self._tls
        if url.scheme == "mqtts" and tls is None:
            tls = TLSParameters()
        return aiomqtt.Client(
            url.hostname or "localhost",
            url.port or (8883 if tls else 1883),
            username=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            identifier=f"{self.hall}.{self.device}",  # a slash is refused by rumqttd, which then stops listening
            logger=_QUIET,
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Inlet, self._take)),
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
            await _abandon(client)
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

    async def _greet(self, client: aiomqtt.Client) -> None:
        """Subscriptions first, so that nothing said to us is missed; birth before the first event."""
        wanted = [(self._topic[leaf], 1) for leaf in (topics.ACK, topics.COMMAND, topics.SCREEN)]
        granted = await client.subscribe(wanted)
        if any((code if isinstance(code, int) else code.value) >= 0x80 for code in granted):
            raise aiomqtt.MqttError("a subscription was refused")
        self.counts.connections += 1
        await self._say_state(client, "ready")
        self._client, self._attempt, self._resend_due = client, 0, False
        self.online.set()

    def _state(self, state: str) -> wire.State:
        boot, link = self._link
        if state == "lost":
            return wire.State(state, boot, link)
        return wire.State(state, boot, link, self.firmware, self.profile, self.faults)

    async def _say_state(self, client: aiomqtt.Client, state: str) -> None:
        self._birth_due = False
        if state == "ready" and self.faults:
            state = "degraded"
        await client.publish(self._topic[topics.STATE], wire.encode(self._state(state)), qos=1, retain=True)

    # One message after the other.

    async def _pump(self, client: aiomqtt.Client) -> None:
        """Sends the oldest message until it is answered, then the next. Ends when the device is switched off."""
        fresh = False  # after a connect the message in flight is sent again
        while not self._closing.is_set():
            if self._birth_due:
                await self._say_state(client, "ready")
            held_s = self._hold_until - time.monotonic()
            if not self._flight and held_s <= 0:
                self._take_off()
                fresh = False
            if self._resend_due and not self._flight and self._last:
                await self._publish(client, self._last)
            if not self._flight or held_s > 0:
                await self._stirred(held_s if held_s > 0 else None)
            elif not fresh or self._resend_due:
                fresh = await self._publish(client, list(self._flight.values()))
            else:
                fresh = await self._stirred(self._patience_s())
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

    def _patience_s(self) -> float:
        """How long an answer is waited for: doubling, spread, so that a hall of devices does not shout in chorus."""
        times = self.timing
        wait_s = min(times.resend_max_s, times.resend_s * 2.0 ** min(self._attempt - 1, 20))
        return wait_s * self._rng.uniform(1 - times.spread, 1 + times.spread)

    def _take_off(self) -> None:
        """The next message: the oldest events, at most 64 and 16 KiB."""
        size = 2
        for entry in self.outbox.first(wire.MAX_BATCH):
            size += len(entry.body) + OVERHEAD
            if size > wire.MAX_PAYLOAD and self._flight:
                break
            self._flight[entry.key] = entry
        self._attempt = 0

    async def _publish(self, client: aiomqtt.Client, events: list[Entry]) -> bool:
        """One event as it is, several as an array. True when the broker has it."""
        now_ms, self._last = self._now_ms(), events
        sent = [_Sent(one.boot, one.seq, now_ms, self._age_ms(one, now_ms), msgspec.Raw(one.body)) for one in events]
        for key in self._flight:
            self._sendings[key] = self._sendings.get(key, 0) + 1
        self._attempt += 1
        self._resend_due = False
        self.counts.messages += 1
        self.counts.resent += self._attempt > 1
        payload = _JSON.encode(sent[0] if len(sent) == 1 else sent)
        try:
            async with asyncio.timeout(self.timing.resend_s):
                await client.publish(self._topic[topics.EVENT], payload, qos=1, timeout=math.inf)
        except TimeoutError:
            raise aiomqtt.MqttError("the broker does not confirm") from None
        return True

    def _age_ms(self, entry: Entry, now_ms: int) -> int:
        """By the monotonic clock where that goes back far enough, else by the wall clock."""
        born = self._born.get(entry.key)
        if born is None or self._now_ms is not wall_ms:
            return max(0, now_ms - entry.born_ms)
        return int((time.monotonic() - born) * 1000)

    # What the hall says.

    def _take(self, message: aiomqtt.Message) -> None:
        """Called by aiomqtt for each message. A mistake of ours must end the device, not the connection."""
        try:
            leaf = self._leaf.get(message.topic.value)
            if leaf == topics.SCREEN:
                self._on_picture(_SHOWN.decode(message.payload))
            elif leaf == topics.ACK:
                self._on_ack(_ACK.decode(message.payload))
            elif leaf == topics.COMMAND:
                self._on_command(message.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.counts.unreadable += 1  # of a later version, or not ours: ignored
        except Exception as error:
            self._fail(error)

    def _on_ack(self, ack: wire.Ack) -> None:
        self.skew_ms = ack.now_ms - self._now_ms()
        self.counts.faults += bool(ack.fault)
        lost: list[Entry] = []
        settled: list[tuple[Entry, wire.Result]] = []
        for result in ack.results:
            entry = self.outbox.get((ack.boot, result.seq))
            if entry is None:
                continue  # the answer to a resend, after the first answer
            if result.keep:
                self.counts.kept += 1
                self._hold_until = time.monotonic() + self.timing.keep_s
            elif self._lost_counter(entry, result):
                lost.append(entry)
            else:
                settled.append((entry, result))
        if settled:
            self._settle(settled)
        if lost:
            self._new_boot(lost)
        self._stir.set()

    def _lost_counter(self, entry: Entry, result: wire.Result) -> bool:
        """Whether the hall has heard this number before from somebody else: from us, before our storage was put back.

        `again` proves it only for a boot that was read back from storage and not yet answered afresh: the hall may
        answer `again` to our only sending, when it stopped between its commit and its answer and was sent the event
        once more by the broker. To draw a new boot then would do twice what was asked once.
        """
        if result.refused in LOST_COUNTER:
            return True
        return result.again and not self._proven and self._sendings.get(entry.key, 0) <= 1

    def _settle(self, settled: list[tuple[Entry, wire.Result]]) -> None:
        self.outbox.settle([entry.key for entry, _ in settled])
        for entry, result in settled:
            self.counts.answered += 1
            self.counts.again += result.again
            self._proven = self._proven or not result.again
            for table in (self._flight, self._sendings, self._born):
                table.pop(entry.key, None)
            if self._observer is not None:
                kind = _TYPE.decode(entry.body).type
                self._observer(self.device, entry.boot, entry.seq, kind, result)
            future = self._waiting.pop(entry.key, None)
            if future is not None and not future.done():
                future.set_result(result)

    def _new_boot(self, lost: list[Entry]) -> None:
        """Under a new boot goes what the hall has refused to know, and what was never sent."""
        old = {entry.key for entry in lost}
        moved = [entry for entry in self.outbox.entries() if entry.key in old or entry.key not in self._sendings]
        for before, after in zip(moved, self.outbox.redraw(moved), strict=True):
            self._flight.pop(before.key, None)
            self._sendings.pop(before.key, None)
            if before.key in self._born:
                self._born[after.key] = self._born.pop(before.key)
            if before.key in self._waiting:
                self._waiting[after.key] = self._waiting.pop(before.key)
        self._proven = True
        self.counts.new_boots += 1

    def _on_picture(self, shown: Shown) -> None:
        if self.screen is not None and shown.order <= self.screen.order:
            self.counts.old_screens += 1
            return
        self.screen = shown
        self.counts.screens += 1
        watchers, self._watchers = self._watchers, []
        for future in watchers:
            if not future.done():
                future.set_result(shown)
        if self._on_screen is not None:
            self._on_screen(shown)

    def _on_command(self, payload: bytes) -> None:
        message = _MESSAGE.decode(payload)
        if isinstance(message.body, wire.DeviceSync):
            # Not deduplicated: its id is the hall's position, which a restart of an idle hall does not move.
            self._sync(message.body)
            return
        key = (message.id, str(message.body.__struct_config__.tag))
        if key in self._done:
            self.counts.repeated += 1
            return
        self._done[key] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        if self._commands.full():
            self._commands.get_nowait()
            self.counts.overflowed += 1
        self._commands.put_nowait(message)

    def _sync(self, order: wire.DeviceSync) -> None:
        """At a random moment, so that a hall of devices does not come all at once."""
        self.skew_ms = order.now_ms - self._now_ms()
        delay_s = self._rng.uniform(0, order.within_ms / 1000)
        asyncio.get_running_loop().call_later(delay_s, self._obey)

    def _obey(self) -> None:
        self._birth_due, self._attempt = True, 0
        self.resend()

    async def _next_command(self) -> wire.Message | None:
        """The next order; None when the device ends."""
        getter = asyncio.ensure_future(self._commands.get())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({getter, closing}, return_when=asyncio.FIRST_COMPLETED)
            return getter.result() if getter.done() else None
        finally:
            getter.cancel()
            closing.cancel()


_LEAVES: Final = (topics.EVENT, topics.ACK, topics.COMMAND, topics.STATE, topics.SCREEN)


async def _until_lost(client: aiomqtt.Client) -> None:
    """Yields nothing, since the inlet takes all; raises MqttError when the connection is lost."""
    async for _ in client.messages:
        pass


async def _abandon(client: aiomqtt.Client) -> None:
    """A connection that was never granted may have left a socket."""
    with suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)


def _heard_of(future: "asyncio.Future[Any]") -> None:
    """Nobody need wait for an answer: one that never comes is no unretrieved exception."""
    if not future.cancelled():
        future.exception()
