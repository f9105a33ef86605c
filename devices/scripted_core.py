"""devices/scripted_core.py: the hall that the conformance kit plays: a broker, a gate, a core that may be rude.

device ─▶ Gate (cuts, shuts, reads the protocol level) ─▶ broker ◀─ Core (writes down, answers as a case wishes)
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiomqtt
import msgspec

from devices import topics
from devices.client import NODELAY

LOOPBACK: Final = "127.0.0.1"
START_S: Final = 10.0
CHUNK: Final = 65_536
_CONNECT: Final = re.compile(rb"\x00\x04MQTT(.)", re.DOTALL)
Json = dict[str, Any]


class Absent(Exception):
    """Something the kit needs is not on this machine."""


class Gate:
    """What stands between the device and the broker: a cable that can be pulled. `levels`: MQTT versions spoken."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._shut = False
        self.levels: list[int] = []
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listening when it returns. OSError: the port is taken."""
        self._server = await asyncio.start_server(self._serve, host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        for one in (writer, back):
            one.get_extra_info("socket").setsockopt(*NODELAY)
        try:
            await asyncio.gather(self._pump(reader, back, True), self._pump(there, writer, False))
        finally:
            self._open -= {writer, back}
            for one in (writer, back):
                one.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, first: bool) -> None:
        with contextlib.suppress(OSError):
            while found := await source.read(CHUNK):
                greeting = _CONNECT.search(found) if first else None
                if greeting is not None:
                    self.levels.append(greeting[1][0])
                first = False
                sink.write(found)
                await sink.drain()
        sink.transport.abort()

    def cut(self) -> None:
        """The cable is pulled and put back: no DISCONNECT reaches the broker."""
        for writer in list(self._open):
            writer.transport.abort()

    def shut(self, shut: bool) -> None:
        """Pulled until it is opened again."""
        self._shut = shut
        if shut:
            self.cut()

    async def stop(self) -> None:
        """Nobody is let in any more."""
        self.shut(True)
        if self._server is not None:
            self._server.close()
            await asyncio.sleep(0)  # connections end in their own turn


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
        self.said: list[Said] = []
        self.sendings: list[Sending] = []
        self._ids = 0

    async def listen(self) -> None:
        """Task: until cancelled, or MqttError."""
        for leaf in topics.UP:
            await self._client.subscribe(topics.build(self._hall, self._device, leaf), qos=1)
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


# The broker.


@contextlib.asynccontextmanager
async def broker(kind: str) -> AsyncIterator[int]:
    """A broker of this machine, on a port of the loopback: `embedded` or `mosquitto`. Absent: it is not here."""
    port, port_v5 = free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "workers.broker", str(port), str(port_v5)]
        if kind == "mosquitto":
            command = [_mosquitto(), "-c", str(_mosquitto_conf(Path(directory), port))]
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere
        )
        try:
            await _listening(process, port)
            yield port
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _mosquitto() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Absent("mosquitto is not installed")
    return found


def _mosquitto_conf(directory: Path, port: int) -> Path:
    path = directory / "mosquitto.conf"
    user = "user root\n" if os.geteuid() == 0 else ""
    path.write_text(f"{user}listener {port} {LOOPBACK}\nallow_anonymous true\nset_tcp_nodelay true\n", "utf-8")
    return path


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while process.returncode is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise Absent(f"the broker does not listen; exit code {process.returncode}")


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])
