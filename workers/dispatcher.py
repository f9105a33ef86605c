"""workers/dispatcher.py: the loop from bytes to durable fact. Its order is the promise.

decide and fold what gathered ─▶ append, durable ─▶ PUBACK, in order ─▶ answers, orders, screens ─▶ upkeep
A failure between fold and the end of append ends the process: memory is ahead of disk, and replay settles it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from core import commands as c
from core.effects import Effects
from core.hall import Hall
from core.refusals import Refusal
from core.state import HallState
from devices import topics
from workers.clock import monotonic_s
from workers.desk import Desk
from workers.door import Door
from workers.ports import Inbox, Input, Journal, Outbox, Outgoing, Part
from workers.proofs import Proofs
from workers.speaker import Speaker
from workers.tallies import Tallies

ROUTES_MAX: Final = 100_000
SWEEP_MS: Final = 50
FLOOD: Final = 200  # messages a second of one topic; above it they are counted, and handled all the same
SECOND_MS: Final = 1000


class Upkeep(Protocol):
    """What the store wants between two batches, after the acknowledgements."""

    async def __call__(self, idle: bool) -> None: ...


class Route:
    """Where a topic leads; remembered, since topics come again and again."""

    __slots__ = ("count", "desk", "device", "leaf", "since_ms")

    def __init__(self, desk: Desk | None, device: str, leaf: str) -> None:
        self.desk, self.device, self.leaf = desk, device, leaf
        self.count = self.since_ms = 0  # messages of this second

    def flooded(self, at_ms: int) -> bool:
        """One more; whether it is one too many."""
        if not 0 <= at_ms - self.since_ms < SECOND_MS:
            self.since_ms, self.count = at_ms, 0
        self.count += 1
        return self.count > FLOOD


class Dispatcher:
    """All halls of a process behind one inbox. Nothing is heard outside before it is durable."""

    def __init__(
        self,
        halls: Sequence[Hall],
        *,
        inbox: Inbox,
        journal: Journal,
        outbox: Outbox,
        upkeep: Callable[[bool], Awaitable[None]],
        now_ms: Callable[[], int],
        epoch: int,
        tallies: Tallies,
        door: Door | None = None,
        proofs: Proofs | None = None,
        speed: int = 1,
    ) -> None:
        self.door = door or Door()
        self._inbox, self._journal, self._outbox, self._upkeep = inbox, journal, outbox, upkeep
        self._now_ms, self._speed = now_ms, speed
        self.tallies = tallies
        self.desks = {hall.state.hall: Desk(hall, tallies, proofs) for hall in halls}
        self._speakers = {hall.state.hall: Speaker(hall, epoch, now_ms, _real_ms, proofs) for hall in halls}
        self._routes: dict[str, Route] = {}
        self._touched: dict[str, Desk] = {}
        self._nowhere = Desk(Hall(HallState("_core")), tallies)
        self._asked: list[tuple[str, c.Command]] = []
        self._repaint = self._sync = False
        self._sweeps, self._swept_ms = True, 0
        self.moved_at = monotonic_s()

    # What others may ask of the loop. It is woken by the inbox's nudge.

    def repaint(self, *, sync: bool) -> None:
        """Every screen again; with `sync`, devices are told to resend."""
        self._repaint = True
        self._sync = self._sync or sync

    def ask(self, hall: str, command: c.Command) -> None:
        """A command of the shell, decided with the next batch."""
        self._asked.append((hall, command))

    def restless(self) -> bool:
        """Whether something waits for no input: a deadline, a picture, a request."""
        now_ms = self._now_ms()
        return (
            bool(self._asked or self._repaint)
            or self.door.restless()
            or any(
                self._speakers[name].stale or desk.hall.state.deadlines.first_ms() <= now_ms
                for name, desk in self.desks.items()
            )
        )

    # The loop.

    async def serve(self) -> None:
        """Task `dispatcher`: until the inbox ends."""
        try:
            await self._serve()
        finally:
            self.door.close()

    async def _serve(self) -> None:
        async for batch in self._inbox.batches():
            started = time.perf_counter()
            parts, told = self.fold(batch)
            self.tallies.core_seconds += time.perf_counter() - started
            if parts:
                await self._journal.append(parts)
                self.tallies.durable(parts)
            messages = [*told, *self._messages()]
            await self._inbox.settle(batch)
            if batch:
                self.tallies.acknowledge.observe(time.perf_counter() - started, len(batch))
            if messages:
                await self._outbox.emit(messages)
            await self._upkeep(not batch)
            self.moved_at = monotonic_s()

    def fold(self, batch: Sequence[Input]) -> tuple[list[Part], list[Outgoing]]:
        """Decide and evolve a whole batch. No await inside. The second list is for devices of no hall of ours."""
        told: list[Outgoing] = []
        touched, unusual = self._touched, self.tallies.unusual
        self._sweep(batch)
        self._commands()  # first: at a first start they bring the policy that says which devices are ours
        for one in batch:
            route = self._routes.get(one.topic) or self._route(one.topic)
            desk = route.desk
            unusual["flood"] += route.flooded(one.at_ms)
            if desk is None:
                told += self._astray(route, one)
                continue
            touched[desk.hall.state.hall] = desk
            if route.leaf == topics.EVENT:
                unusual["retained"] += one.retain
                if desk.knows(route.device):
                    desk.event(route.device, one.topic, one.payload, one.at_ms)
                else:
                    told += desk.stranger(
                        route.device, Refusal.DEVICE_UNKNOWN, one.topic, one.payload, desk.advance(one.at_ms)
                    )
            else:
                self._status(desk, route, one)
        self.tallies.messages += len(batch)
        self._shell()
        parts = [part for desk in touched.values() if (part := desk.part()) is not None]
        letters = self._nowhere.part()
        if letters is not None:
            parts.append(letters)
        return parts, told

    def _status(self, desk: Desk, route: Route, one: Input) -> None:
        if desk.knows(route.device):
            desk.status(route.device, one.topic, one.payload, one.at_ms)
        else:
            desk.tallies.reject("identity")

    def _commands(self) -> None:
        """What the shell asked."""
        asked, self._asked = self._asked, []
        for name, command in asked:
            self._touched[name] = desk = self.desks[name]
            desk.ask(command, self._now_ms())

    def _shell(self) -> None:
        """What people asked through the door, and what time has brought to halls that heard nothing."""
        now_ms = self._now_ms()
        for name in self.door.decide(self.desks, now_ms):
            self._touched[name] = self.desks[name]
        if self._sweeps:
            for name, desk in self.desks.items():
                if desk.hall.state.deadlines.first_ms() <= now_ms:
                    self._touched[name] = desk
                    desk.advance(now_ms)

    def _sweep(self, batch: Sequence[Input]) -> None:
        """Whether this turn looks at every hall, not only at those that were spoken to: a thousand cost time."""
        now_ms = _real_ms()
        self._sweeps = not batch or self._repaint or now_ms - self._swept_ms >= SWEEP_MS
        if self._sweeps:
            self._swept_ms = now_ms

    def _route(self, topic: str) -> Route:
        parts = topics.split(topic)
        if parts is None:
            return Route(None, "", "")
        route = Route(self.desks.get(parts.hall), parts.device, parts.leaf)
        if len(self._routes) < ROUTES_MAX:
            self._routes[topic] = route
        return route

    def _astray(self, route: Route, one: Input) -> list[Outgoing]:
        """No hall of ours: a letter, and `keep` for a device that can hear it. The link's own probe is neither."""
        if route.leaf == topics.EVENT:
            self.tallies.wrong_hall += 1
            return self._nowhere.stranger(route.device, Refusal.WRONG_HALL, one.topic, one.payload, one.at_ms)
        if route.leaf:
            self.tallies.reject("identity")
        elif one.topic != topics.PROBE:
            self._nowhere.astray(one.topic, one.payload, one.at_ms)
        return []

    def _pressed(self, desk: Desk) -> dict[int, float]:
        """Counter -> when its call was received, on the loop's clock."""
        if not desk.pressed:
            return {}
        pressed, desk.pressed = desk.pressed, {}
        now_ms, now_s = self._now_ms(), asyncio.get_running_loop().time()
        return {counter: now_s - max(0, now_ms - at_ms) / 1000 / self._speed for counter, at_ms in pressed.items()}

    def _messages(self) -> list[Outgoing]:
        """Drawn after the commit, before the next fold: the state is what the journal holds."""
        repaint, sync, self._repaint, self._sync = self._repaint, self._sync, False, False
        found: list[Outgoing] = []
        touched, self._touched = self._touched, {}
        for desk in touched.values():
            found += desk.answers(self._now_ms)
        heard: dict[str, Effects] = {}
        for name, desk in self.desks.items() if self._sweeps else touched.items():
            speaker = self._speakers[name]
            if name in touched or repaint or speaker.stale:
                heard[name] = desk.hall.take_effects()
                found += speaker.messages(heard[name], repaint=repaint, pressed=self._pressed(desk))
            if sync:
                found += speaker.sync()
        self.door.committed(self.desks, heard)
        return found


def _real_ms() -> int:
    return int(monotonic_s() * 1000)
