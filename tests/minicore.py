"""tests/minicore.py: the hall's side of the wire for device tests: one that says what a test tells it, and a real one
without journal and link."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import aiomqtt
import msgspec

from core import commands as c
from core import policy
from core.hall import Hall
from core.state import HallState
from devices import topics, wire
from devices.client import Device
from tests.scripted import until
from workers.desk import Desk
from workers.ports import Outgoing, Row
from workers.speaker import Speaker
from workers.tallies import Tallies

HALL = "h1"
Answer = Callable[[str, list[dict[str, Any]]], list[wire.Result] | None]


def done(device: str, events: list[dict[str, Any]]) -> list[wire.Result]:
    """Everything is done."""
    return [wire.Result(event["seq"], ok=wire.Ok("done")) for event in events]


def silent(device: str, events: list[dict[str, Any]]) -> None:
    """Nothing is answered."""


class Core:
    """`messages`: (device, events) as they came; `states` likewise. `answer` decides what is said."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.answer: Answer = done
        self.messages: list[tuple[str, list[dict[str, Any]]]] = []
        self.states: list[tuple[str, dict[str, Any]]] = []
        self.now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def numbers(self) -> list[list[tuple[str, int]]]:
        """Boot and seq of every event, message by message."""
        return [[(event["boot"], event["seq"]) for event in events] for _, events in self.messages]

    async def listen(self) -> None:
        async for message in self.client.messages:
            _, _, _, device, leaf = message.topic.value.split("/")
            found = msgspec.json.decode(message.payload)
            if leaf == topics.STATE:
                self.states.append((device, found))
                continue
            events = found if isinstance(found, list) else [found]
            self.messages.append((device, events))
            results = self.answer(device, events)
            if results is not None:
                await self.ack(device, events[0]["boot"], results)

    async def ack(self, device: str, boot: str, results: list[wire.Result]) -> None:
        await self.say(device, topics.ACK, wire.encode(wire.Ack(boot, self.now_ms(), results)))

    async def order(self, device: str, ident: int, body: Any, *, lives_ms: int = 30_000) -> None:
        now_ms = self.now_ms()
        await self.say(device, topics.COMMAND, wire.encode(wire.Message(ident, now_ms, now_ms + lives_ms, body)))

    async def show(self, device: str, epoch: int, revision: int, body: Any) -> None:
        payload = msgspec.json.encode({"epoch": epoch, "revision": revision, "sent_ms": 0, "body": body})
        await self.say(device, topics.SCREEN, payload, retain=True)

    async def say(self, device: str, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        await self.client.publish(topics.build(HALL, device, leaf), payload, qos=1, retain=retain, timeout=inf)


@asynccontextmanager
async def core_at(port: int) -> AsyncIterator[Core]:
    """A scripted hall at a broker of version 3.1.1."""
    nodelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with aiomqtt.Client("127.0.0.1", port, identifier="core", socket_options=(nodelay,)) as client:
        await client.subscribe([(f"jh/v1/{HALL}/+/event", 1), (f"jh/v1/{HALL}/+/state", 1)])
        core = Core(client)
        task = asyncio.create_task(core.listen())
        try:
            yield core
        finally:
            task.cancel()
            await asyncio.wait([task])


class RealCore:
    """The hall itself, its answers and its pictures; facts are kept in memory, one commit a message."""

    def __init__(
        self,
        client: aiomqtt.Client,
        rules: policy.Policy,
        now_ms: Callable[[], int],
        state: HallState | None,
        epoch: int,
    ) -> None:
        self.client, self.now_ms = client, now_ms
        self.hall = Hall(state or HallState(rules.hall.id))
        tallies = Tallies()
        self.desk = Desk(self.hall, tallies)
        self.speaker = Speaker(self.hall, epoch, now_ms, lambda: time.monotonic_ns() // 1_000_000)
        self.rows: list[tuple[str, int, Row]] = []
        if state is not None:
            return
        text = policy.document(rules)
        self.desk.ask(c.ChangePolicy(rules.version, policy.digest(rules), text), now_ms())
        for part in rules.devices:
            if part.id not in self.hall.state.devices:
                self.desk.ask(c.RegisterDevice(part.id, part.kind, part.profile, part.counter), now_ms())

    async def listen(self) -> None:
        await self._tell(repaint=True)
        async for message in self.client.messages:
            topic = topics.split(message.topic.value)
            assert topic is not None
            take = self.desk.event if topic.leaf == topics.EVENT else self.desk.status
            take(topic.device, message.topic.value, message.payload, self.now_ms())
            await self._tell()

    async def beat(self) -> None:
        """Pictures that only count people come once a second."""
        while True:
            await asyncio.sleep(0.2)
            self.desk.advance(self.now_ms())
            await self._tell()

    async def _tell(self, *, repaint: bool = False) -> None:
        part = self.desk.part()
        if part is not None:
            self.rows += [(part.hall, part.expected + at, row) for at, row in enumerate(part.facts, 1)]
        effects = self.hall.take_effects()
        out: list[Outgoing] = [
            *self.desk.answers(self.now_ms),
            *self.speaker.messages(effects, repaint=repaint),
        ]
        for one in out:
            await self.client.publish(one.topic, one.payload, qos=1, retain=one.retain, timeout=inf)


@asynccontextmanager
async def real_core_at(
    port: int,
    rules: policy.Policy,
    now_ms: Callable[[], int],
    *,
    state: HallState | None = None,
    rows: list[tuple[str, int, Row]] | None = None,
) -> AsyncIterator[RealCore]:
    """A hall that decides, at a broker of version 3.1.1; with `state` and `rows`, one that goes on."""
    nodelay = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with aiomqtt.Client("127.0.0.1", port, identifier="core", socket_options=(nodelay,)) as client:
        core = RealCore(client, rules, now_ms, state, epoch=1 if state is None else 2)
        core.rows += rows or []
        await client.subscribe([(f"jh/v1/{rules.hall.id}/+/event", 1), (f"jh/v1/{rules.hall.id}/+/state", 1)])
        tasks = [asyncio.create_task(part) for part in (core.listen(), core.beat())]
        try:
            yield core
            assert not any(task.done() for task in tasks), "the hall is still at work"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Waits for it; a failure names the line of the test."""
    async with asyncio.timeout(seconds):
        await until(condition)


async def heard_all(device: Device, core: Core) -> None:
    """All that the device has sent so far has come: what it says now comes after it."""
    mark = f"mark{len(core.states)}"
    device.report((mark,))
    await eventually(lambda: any(state["faults"] == [mark] for _, state in core.states if "faults" in state))
