"""devices/scripted_core.py: the hall that the conformance kit plays, as one device sees it; it may be rude.

device ─▶ Gate (cuts, shuts, reads the protocol level) ─▶ broker ◀─ Core (writes down, answers as a case wishes)
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

import aiomqtt
import msgspec

from devices import topics
from devices.client import NODELAY
from devices.gate import LOOPBACK

Json = dict[str, Any]

SUBSCRIBED_S: Final = 10.0


class Said(NamedTuple):
    """One message of the device. `leaf`: event or state; `value`: as JSON, None if it is none."""

    at_s: float
    leaf: str
    payload: bytes
    value: Any


class Sending(NamedTuple):
    """One event in one message. The same event, resent, is another sending with the same key and body."""

    at_s: float
    key: tuple[str, int]
    body: Json
    age_ms: int


def granted(event: Sending) -> Json:
    """What a friendly hall says."""
    _, seq = event.key
    if event.body.get("type") == "ticket.take":
        return {"ok": {"type": "ticket", "ticket": seq, "number": f"A{seq % 1000:03}", "ahead": 0, "eta_s": 60}}
    if event.body.get("type") in ("ticket.call_next", "ticket.call", "ticket.resume"):
        return {"ok": {"type": "called", "ticket": seq, "number": f"A{seq % 1000:03}", "call": seq, "counter": 1}}
    return {"ok": {"type": "done"}}


def silent(event: Sending) -> None:
    """PUBACK comes from the broker; the hall says nothing."""


Answer = Callable[[Sending], Json | None]


class Core:
    """The hall, as one device sees it. `answer` decides what it hears; everything that it says is kept."""

    def __init__(self, client: aiomqtt.Client, hall: str, device: str) -> None:
        self._client, self._hall, self._device = client, hall, device
        self._news = asyncio.Condition()
        self.answer: Answer = granted
        self.clock_ms = 0
        """How far the hall's clock is ahead of ours."""
        self.over = False
        self.listening = asyncio.Event()
        self.said: list[Said] = []
        self.sendings: list[Sending] = []
        self._ids = 0

    async def listen(self) -> None:
        """Task: until cancelled, or MqttError."""
        for leaf in topics.UP:
            await self._client.subscribe(topics.build(self._hall, self._device, leaf), qos=1)
        self.listening.set()
        async for message in self._client.messages:
            if not message.retain:  # else of before
                await self._hear(str(message.topic).rpartition("/")[2], bytes(message.payload or b""))
            if self.over:  # aiomqtt may swallow a cancellation inside `publish`
                return

    async def _hear(self, leaf: str, payload: bytes) -> None:
        at_s = time.monotonic()
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            value = None
        self.said.append(Said(at_s, leaf, payload, value))
        events = _events(at_s, value) if leaf == topics.EVENT else []
        self.sendings += events
        await self._answer_all(events)
        async with self._news:
            self._news.notify_all()

    async def _answer_all(self, events: list[Sending]) -> None:
        for event in events:
            result = self.answer(event)
            if result is not None:
                await self.tell(topics.ACK, self.ack(event, **result))

    def now_ms(self) -> int:
        """The hall's clock."""
        return time.time_ns() // 1_000_000 + self.clock_ms

    def ack(self, event: Sending, **result: Any) -> Json:
        """An `ack` of one event."""
        boot, seq = event.key
        return {"boot": boot, "now_ms": self.now_ms(), "results": [{"seq": seq, **result}]}

    async def tell(self, leaf: str, message: Json | bytes, *, retain: bool = False) -> None:
        """Something to the device."""
        payload = message if isinstance(message, bytes) else msgspec.json.encode(message)
        await self._client.publish(topics.build(self._hall, self._device, leaf), payload, qos=1, retain=retain)

    async def order(self, body: Json, *, lives_ms: int = 30_000, order: int = 0) -> int:
        """A one-shot order; its id. `lives_ms` negative: too late already."""
        self._ids = order or self._ids + 1
        now_ms = self.now_ms()
        await self.tell(
            topics.COMMAND, {"id": self._ids, "sent_ms": now_ms, "until_ms": now_ms + lives_ms, "body": body}
        )
        return self._ids

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Whether it held within so long."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            return holds()
        return True

    def states(self) -> list[Json]:
        """What it said of its own state; an empty payload is `lost`."""
        return [one.value if isinstance(one.value, dict) else {"state": "lost"} for one in self._of(topics.STATE)]

    def births(self) -> list[Json]:
        """The states that begin a connection, and repetitions of them."""
        return [one for one in self.states() if one.get("state") in ("ready", "degraded")]

    def _of(self, leaf: str) -> list[Said]:
        return [one for one in self.said if one.leaf == leaf]

    def seen(self) -> list[tuple[str, int]]:
        """Every event by first sight, in order."""
        return list(dict.fromkeys(one.key for one in self.sendings))


def _events(at_s: float, value: Any) -> list[Sending]:
    """What can be read of a message; what cannot is noticed by the case that looks at everything said."""
    found: list[Sending] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and isinstance(one.get("boot"), str) and isinstance(one.get("seq"), int):
            body, age_ms = one.get("body"), one.get("age_ms", 0)
            known = body if isinstance(body, dict) else {}
            found.append(Sending(at_s, (one["boot"], one["seq"]), known, age_ms if isinstance(age_ms, int) else 0))
    return found


@contextlib.asynccontextmanager
async def connected(port: int, hall: str, device: str) -> AsyncIterator[Core]:
    """A core at the broker, listening when it is given."""
    version = aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client(LOOPBACK, port, protocol=version, socket_options=(NODELAY,)) as client:
        core = Core(client, hall, device)
        task = asyncio.create_task(core.listen(), name="scripted core")
        try:
            async with asyncio.timeout(SUBSCRIBED_S):
                await core.listening.wait()
            yield core
        finally:
            core.over = True
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def retained_state(port: int, hall: str, device: str, seconds: float) -> tuple[int, Any] | None:
    """What the broker keeps of the device's state: its QoS and value. None: nothing."""
    async with aiomqtt.Client(LOOPBACK, port, protocol=aiomqtt.ProtocolVersion.V311) as client:
        await client.subscribe(topics.build(hall, device, topics.STATE), qos=1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for message in client.messages:
                    if message.retain and isinstance(message.payload, bytes):
                        with contextlib.suppress(msgspec.MsgspecError):
                            return message.qos, msgspec.json.decode(message.payload)
                        return message.qos, None
    return None
