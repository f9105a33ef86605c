"""tests/simulation/devices.py: devices after the words of the wire page: boot, seq, an outbox, one message under way.

Nothing here is shared with the reference client. An event leaves the outbox on the hall's `ack`, never on PUBACK; it is
sent again after a reconnect, on `device.sync` and after a while without an answer. `window` > 1: a device that does not
keep to one message at a time, as vendors' do; what it sends may then be resent in another order.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

import msgspec

from core.commands import Command
from devices.wire import Rate
from tests.simulation.loop import NS, VirtualLoop
from tests.simulation.network import Broker

RESEND_S, RESEND_MAX_S = 30.0, 600.0
JSON = msgspec.json.Encoder()


@dataclass(frozen=True)
class Event:
    """One thing that happened at a device."""

    boot: str
    seq: int
    body: dict[str, Any]
    sendings: int = 0
    proven: bool = True  # the counter behind it is known to be the newest


@dataclass(frozen=True)
class Answer:
    """What the hall said to an event, as the device accepted it."""

    device: str
    boot: str
    seq: int
    body: dict[str, Any]
    result: dict[str, Any]


class Watcher(Protocol):
    """Who is told what a device experiences."""

    def note(self, text: str) -> None: ...
    def sends(self, device: str, payload: bytes) -> None: ...
    def heard(self, answer: Answer) -> None: ...


class Agent:
    """One device. `screen`, `order`: bodies of the newest picture and of the last one-shot order."""

    def __init__(
        self, name: str, kind: str, hall: str, loop: VirtualLoop, broker: Broker, rng: Random, watcher: Watcher
    ) -> None:
        self.name, self.kind, self.hall = name, kind, hall
        self.loop, self.broker, self.rng, self.watcher = loop, broker, rng, watcher
        self.window = 1
        self.lives = 0
        self.boot, self.seq, self.link = self._new_boot(), 0, 0
        self.outbox: list[Event] = []
        self.under_way: dict[tuple[str, int], float] = {}  # key -> when it was sent last
        self.recalled = False
        self.image: tuple[str, int, int, list[Event]] | None = None
        self.on = self.connected = False
        self.connection = 0
        self.attempts = 0
        self.last_ns = [0, 0]
        self.order_of_screen = (0, 0)
        self.screen: dict[str, Any] = {}
        self.known_tickets: list[int] = []
        self.known_calls: list[int] = []
        self.at_taken: Callable[[], None] | None = None  # done once, when the broker has taken the next event
        self.on_order: Callable[[dict[str, Any]], None] = lambda body: None

    def _new_boot(self) -> str:
        self.lives += 1
        return f"{self.name}-b{self.lives}"

    # Power and network.

    def start(self) -> None:
        if not self.on:
            self.on = True
            self._connect()

    def _connect(self) -> None:
        if not self.on or self.connected:
            return
        if not self.broker.up:
            self._later(self.rng.uniform(0.2, 3.0), self._connect)
            return
        self.connected, self.link = True, self.link + 1
        self.connection += 1
        self.last_ns = [0, 0]
        self.broker.devices[self.name] = self
        shown = self.broker.retained.get(self._topic("screen"))
        if shown is not None:
            self.arrives(self._topic("screen"), shown)
        self._birth()
        self.under_way.clear()
        self.attempts = min(self.attempts, 1)
        self.pump()

    def lose(self, *, back_s: float, spoken: bool = False) -> None:
        """The connection breaks; what is under way may have arrived or not. The broker says the will."""
        if not self.connected:
            return
        self.connected = False
        self.connection += 1
        self.broker.devices.pop(self.name, None)
        will = json.dumps({"state": "closed" if spoken else "lost", "boot": self.boot, "link": self.link})
        self._later(self.rng.uniform(0.01, 2.0), self.broker.takes, self._topic("state"), will.encode(), True)
        self._later(back_s, self._connect)

    def reboot(self, storage: str, back_s: float) -> None:
        """`kept`: as it was. `none`: nothing is. `image`: as it was when the image was made, if there is one."""
        self.lose(back_s=back_s)
        self.on = False
        if storage == "none":
            self.boot, self.seq, self.link, self.outbox, self.recalled = self._new_boot(), 0, 0, [], False
        elif storage == "kept":
            self.recalled = True
        elif self.image is not None:
            self.boot, self.seq, self.link, outbox = self.image
            self.outbox, self.recalled = [replace(one, sendings=0) for one in outbox], True
        self.screen, self.order_of_screen = {}, (0, 0)
        self.loop.at(self.loop.now_ns + round(back_s * NS), None, self.start)

    def keep_image(self) -> None:
        """What a technician would put back later."""
        self.image = (self.boot, self.seq, self.link, list(self.outbox))

    # Speaking.

    def press(self, command: Command | Rate) -> None:
        """Something happened."""
        if not self.on:
            return
        body = json.loads(JSON.encode(command))
        self.seq += 1
        self.outbox.append(Event(self.boot, self.seq, body, proven=not self.recalled))
        self.watcher.note(f"{self.name} {self.boot}/{self.seq} {body}")
        self.pump()

    def pump(self) -> None:
        """Send what may be under way and is not."""
        if not self.connected:
            return
        waiting = [one for one in self.outbox if (one.boot, one.seq) not in self.under_way]
        if self.window == 1:
            if not self.under_way and waiting:
                self._send([one for one in waiting if one.boot == waiting[0].boot][:4])
            return
        for one in waiting[: self.window - len(self.under_way)]:
            self._send([one])

    def _send(self, events: list[Event]) -> None:
        sent = []
        for event in events:
            key = (event.boot, event.seq)
            self.under_way[key] = self.loop.time()
            at = next(i for i, one in enumerate(self.outbox) if (one.boot, one.seq) == key)
            self.outbox[at] = replace(event, sendings=event.sendings + 1)
            sent.append({"boot": event.boot, "seq": event.seq, "sent_ms": 0, "body": event.body})
        payload = json.dumps(sent if len(sent) > 1 else sent[0]).encode()
        self.watcher.sends(self.name, payload)
        self.say("event", payload)
        self.attempts += 1
        wait_s = min(RESEND_MAX_S, RESEND_S * 2 ** (self.attempts - 1)) * self.rng.uniform(0.8, 1.2)
        keys = [(one.boot, one.seq) for one in events]
        self._later(wait_s, self._patience_over, keys, self.connection)

    def _patience_over(self, keys: list[tuple[str, int]], connection: int) -> None:
        if connection == self.connection and any(key in self.under_way for key in keys):
            for key in keys:
                self.under_way.pop(key, None)
            self.pump()

    def resend(self) -> None:
        """Everything that is under way, once more; where several are, in another order."""
        keys = list(self.under_way)
        self.under_way.clear()
        if self.window > 1 and self.rng.random() < 0.5:
            newest = [one for one in self.outbox if (one.boot, one.seq) in keys][-1:]
            if newest and self.connected:
                self._send(newest)
        self.pump()

    def say(self, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        """To the broker, in order, if the connection lives until then."""
        loop, connection = self.loop, self.connection

        def arrive() -> None:
            if self.broker.up and connection == self.connection:
                self.broker.takes(self._topic(leaf), payload, retain)
                now = self.at_taken
                if now is not None and leaf == "event":
                    self.at_taken = None
                    now()

        self.last_ns[0] = max(self.last_ns[0], loop.now_ns + self.broker.delay_ns())
        loop.at(self.last_ns[0], None, arrive)

    def _birth(self) -> None:
        birth = {"state": "ready", "boot": self.boot, "link": self.link, "fw": "1", "faults": []}
        self.say("state", json.dumps(birth).encode(), retain=True)

    # Hearing.

    def arrives(self, topic: str, payload: bytes) -> None:
        """The broker has something for us: later, in order, sometimes twice."""
        loop, connection = self.loop, self.connection

        def take() -> None:
            if connection == self.connection:
                getattr(self, f"_{topic.rpartition('/')[2]}")(json.loads(payload))

        for _ in range(2 if self.rng.random() < 0.02 else 1):
            self.last_ns[1] = max(self.last_ns[1], loop.now_ns + self.broker.delay_ns())
            loop.at(self.last_ns[1], None, take)

    def _screen(self, said: dict[str, Any]) -> None:
        order = (said["epoch"], said["revision"])
        if order > self.order_of_screen:
            self.order_of_screen, self.screen = order, said["body"]

    def _command(self, said: dict[str, Any]) -> None:
        body = said["body"]
        if body["type"] == "device.sync":
            self._later(self.rng.uniform(0, body["within_ms"] / 1000), self._obey, self.connection)
        else:
            self.on_order(body)

    def _obey(self, connection: int) -> None:
        if connection == self.connection and self.connected:
            self.attempts = min(self.attempts, 1)
            self._birth()
            self.resend()

    def _ack(self, said: dict[str, Any]) -> None:
        lost: list[Event] = []
        for result in said["results"]:
            key = (said["boot"], result["seq"])
            event = next((one for one in self.outbox if (one.boot, one.seq) == key), None)
            if event is None or result.get("keep"):
                continue
            if self._counter_is_lost(event, result):
                lost.append(event)
                continue
            self.recalled = self.recalled and result.get("again", False)
            self.outbox.remove(event)
            self.under_way.pop(key, None)
            self._learn(result.get("ok") or {})
            self.watcher.heard(Answer(self.name, event.boot, event.seq, event.body, result))
        if lost:
            self._redraw(lost)
        if not self.under_way:
            self.attempts = 0
        self.pump()

    def _counter_is_lost(self, event: Event, result: dict[str, Any]) -> bool:
        if result.get("refused") in ("seq_reused", "boot_retired"):
            return True
        return bool(result.get("again")) and self.recalled and event.sendings <= 1

    def _redraw(self, lost: list[Event]) -> None:
        """The same events under a new boot."""
        self.boot, self.seq, self.link, self.recalled = self._new_boot(), 0, 0, False
        moved: list[Event] = []
        for event in self.outbox:
            if event in lost or not event.sendings:
                self.under_way.pop((event.boot, event.seq), None)
                self.seq += 1
                event = Event(self.boot, self.seq, event.body)
            moved.append(event)
        self.outbox = moved
        self.watcher.note(f"{self.name} draws {self.boot}")

    def _learn(self, ok: dict[str, Any]) -> None:
        if ok.get("ticket"):
            self.known_tickets.append(ok["ticket"])
        if ok.get("call"):
            self.known_calls.append(ok["call"])

    def _topic(self, leaf: str) -> str:
        return f"jh/v1/{self.hall}/{self.name}/{leaf}"

    def _later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        self.loop.at(self.loop.now_ns + round(seconds * NS), None, callback, *args)
