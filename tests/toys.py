"""tests/toys.py: small devices for the conformance kit: one that is right, and the same with one fault at a time.

Written against the wire alone, without devices/client.py, so that the kit is tried by another hand, too.
"""

import asyncio
import json
import secrets
import time
from contextlib import suppress
from typing import Any

import aiomqtt

from devices.client import NODELAY

PHONE = "13812345678"

FAULTS = {
    "no will": "C01",
    "event before birth": "C01",
    "birth not retained": "C01",
    "link not counted": "C01",
    "seq leaps": "C02",
    "many in flight": "C03",
    "forgets on puback": "C04",
    "never resends": "C04",
    "forgets on a cut": "C05",
    "changes the body": "C05",
    "seq restarts under the same boot": "C06",
    "keeps its boot whatever it hears": "C07",
    "draws a new boot whenever it hears `again`": "C07",
    "retries a refusal": "C08",
    "drops what it should keep": "C09",
    "keeps too short": "C09",
    "dies of what it does not know": "C10",
    "shows the older": "C11",
    "prints twice": "C12",
    "prints late": "C13",
    "believes its own clock": "C13",
    "prints no numbers of its own": "C14",
    "replaces nothing": "C14",
    "age is nought": "C15",
    "too large": "C16",
    "a field of another type": "C16",
    "names a phone": "C17",
    "deaf to sync": "C18",
    "speaks 5 alone": "C19",
    "says what it may not": "C20",
}
KEEP_S, RESEND_S, TAKE_S = 1.0, 0.8, 0.35


class Toy:
    """A device and the hands at it. `fault`: one of FAULTS, or none."""

    def __init__(self, port: int, profile: str = "kiosk", fault: str = "", prefix: str = "") -> None:
        self.port, self.profile, self.fault, self.prefix = port, profile, fault, prefix
        assert not fault or fault in FAULTS
        self.boot, self.seq, self.link, self.printed = "", 0, 0, 0
        self.outbox: list[dict[str, Any]] = []
        self.skew_ms, self.hold_until_s, self.due_s = 0, 0.0, 0.0
        self.done: list[int] = []
        self.newest, self.screen = (-1, -1), ""
        self.stir = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    # Hands.

    async def press(self) -> bool:
        body: dict[str, Any] = {"type": "ticket.call_next"} if self.profile == "caller" else {"type": "ticket.take"}
        if self.fault == "says what it may not":
            body = {"type": "staff.sign_off"}
        if body["type"] == "ticket.take":
            body["service"] = 3 if self.fault == "a field of another type" else "si"
        if self.fault == "too large":
            body["assisted_by"] = "x" * 17_000
        if self.fault == "names a phone":
            body["assisted_by"] = PHONE
        if self.prefix and not self.connected and self.fault != "prints no numbers of its own":
            body |= {"number": self.own_number()}
        self.put(body)
        return True

    async def power(self) -> bool:
        await self.off()
        if self.fault == "seq restarts under the same boot":
            self.seq, self.outbox = 0, []
        self.on()
        return True

    async def shown(self) -> str | None:
        return self.screen

    # Life.

    def on(self) -> None:
        self.boot = self.boot or secrets.token_urlsafe(6)
        self.ended = False
        self.task = asyncio.create_task(self.live())

    async def off(self) -> None:
        assert self.task is not None
        self.ended = True  # a cancellation that meets an error in a task group is lost
        self.task.cancel()
        await asyncio.wait([self.task])

    async def __aenter__(self) -> "Toy":
        self.connected = False
        self.on()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.off()

    def own_number(self) -> str:
        self.printed += 1
        return f"{self.prefix}{self.printed:03}"

    def put(self, body: dict[str, Any]) -> None:
        self.seq += 2 if self.fault == "seq leaps" else 1
        entry = {"boot": self.boot, "seq": self.seq, "body": body, "born_s": time.monotonic(), "sent": 0}
        self.outbox.append(entry)
        self.stir.set()

    async def live(self) -> None:
        while not self.ended:
            try:
                await self.session()
            except* aiomqtt.MqttError:
                pass
            self.connected = False
            if self.fault == "forgets on a cut":
                self.outbox.clear()
            await asyncio.sleep(0.05)

    def state(self, state: str) -> str:
        return json.dumps({"state": state, "boot": self.boot, "link": self.link, "profile": self.profile})

    async def session(self) -> None:
        self.link += self.fault != "link not counted" or not self.link
        self.due_s, topic = 0.0, f"jh/v1/h1/{self.profile}-1"
        will = aiomqtt.Will(f"{topic}/state", self.state("lost"), 1, True)
        level = aiomqtt.ProtocolVersion.V5 if self.fault == "speaks 5 alone" else aiomqtt.ProtocolVersion.V311
        how: dict[str, Any] = {"will": None if self.fault == "no will" else will, "protocol": level, "timeout": 1}
        async with aiomqtt.Client("127.0.0.1", self.port, socket_options=(NODELAY,), **how) as client:
            await client.subscribe([(f"{topic}/{leaf}", 1) for leaf in ("ack", "command", "screen")])
            if self.fault == "event before birth" and self.outbox:
                await self.send(client, topic)
            await client.publish(f"{topic}/state", self.state("ready"), 1, self.fault != "birth not retained")
            self.connected = True
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self.pump(client, topic))
                try:
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        await self.hear(client, str(message.topic).rpartition("/")[2], message.payload)
                finally:
                    self.connected = False  # aiomqtt may swallow a cancellation inside `publish`
                    pump.cancel()

    # What it says.

    async def pump(self, client: aiomqtt.Client, topic: str) -> None:
        while self.connected:
            self.stir.clear()
            now_s = time.monotonic()
            if self.outbox and now_s >= max(self.due_s, self.hold_until_s):
                await self.send(client, topic)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self.stir.wait()

    async def send(self, client: aiomqtt.Client, topic: str) -> None:
        many = self.fault == "many in flight"
        for entry in self.outbox if many else self.outbox[:1]:
            if entry["sent"] and self.fault == "changes the body":
                entry["body"] = entry["body"] | {"party": 2}
            age_ms = 0 if self.fault == "age is nought" else int((time.monotonic() - entry["born_s"]) * 1000)
            event = {name: entry[name] for name in ("boot", "seq", "body")} | {"age_ms": age_ms}
            entry["sent"] += 1
            await client.publish(f"{topic}/event", json.dumps(event), 1)
            if self.prefix and entry["body"]["type"] == "ticket.take" and "number" not in entry["body"]:
                asyncio.get_running_loop().call_later(TAKE_S, self.give_up, entry)
        self.due_s = time.monotonic() + (1000 if self.fault == "never resends" else RESEND_S)
        if self.fault == "forgets on puback":
            self.outbox.pop(0)

    def give_up(self, entry: dict[str, Any]) -> None:
        """No answer for so long: the slip comes from the kiosk's own numbers, and says which take it replaces."""
        if entry in self.outbox and not entry.get("replaced"):
            entry["replaced"] = True
            replaces = {} if self.fault == "replaces nothing" else {"replaces": entry["seq"]}
            self.put({"type": "ticket.take", "service": "si", "number": self.own_number(), **replaces})

    # What it hears.

    async def hear(self, client: aiomqtt.Client, leaf: str, payload: bytes) -> None:
        try:
            value = json.loads(payload)
            assert isinstance(value, dict)
            await getattr(self, f"on_{leaf}")(client, value)
        except (ValueError, AssertionError, KeyError, TypeError):
            if self.fault == "dies of what it does not know":
                raise aiomqtt.MqttError("what is this") from None

    async def on_ack(self, client: aiomqtt.Client, ack: dict[str, Any]) -> None:
        self.skew_ms = ack["now_ms"] - time.time_ns() // 1_000_000
        for result in ack["results"]:
            found = [e for e in self.outbox if (e["boot"], e["seq"]) == (ack["boot"], result["seq"])]
            if not found:
                continue
            entry, refused = found[0], result.get("refused")
            if result.get("keep") and self.fault != "drops what it should keep":
                self.hold_until_s = time.monotonic() + (0.1 if self.fault == "keeps too short" else KEEP_S)
                self.due_s = 0.0
            elif (refused == "seq_reused" and self.fault != "keeps its boot whatever it hears") or (
                result.get("again") and self.fault == "draws a new boot whenever it hears `again`"
            ):
                self.outbox.remove(entry)
                self.boot, self.seq, self.link = secrets.token_urlsafe(6), 0, 0
                self.put(entry["body"])
                self.due_s = 0.0
            elif not (refused and self.fault == "retries a refusal"):
                self.outbox.remove(entry)
                self.due_s = 0.0
        self.stir.set()

    async def on_command(self, client: aiomqtt.Client, order: dict[str, Any]) -> None:
        body = order["body"]
        if body["type"] == "device.sync":
            if self.fault != "deaf to sync":
                await client.publish(f"jh/v1/h1/{self.profile}-1/state", self.state("ready"), 1, True)
                self.due_s = 0.0
                self.stir.set()
            return
        if body["type"] != "kiosk.print" or (order["id"] in self.done and self.fault != "prints twice"):
            return
        self.done.append(order["id"])
        now_ms = time.time_ns() // 1_000_000 + (0 if self.fault == "believes its own clock" else self.skew_ms)
        if now_ms <= order["until_ms"] or self.fault == "prints late":
            self.put({"type": "ticket.report_print", "ticket": body["ticket"]})

    async def on_screen(self, client: aiomqtt.Client, screen: dict[str, Any]) -> None:
        order = (screen["epoch"], screen["revision"])
        if order > self.newest or self.fault == "shows the older":
            self.newest, self.screen = order, screen["body"].get("number", "")
