"""tests/simulation/process.py: one life of the dispatcher: the real App with the world of the simulation under it.

Real: App, Dispatcher, Desk, Speaker, Link, inbox, flights, outbox, SqliteJournal, fold, Clock. Put beneath: time,
sockets, threads, web, signals, the lock of the directory, randomness. Between the steps of the dispatcher stands a
pause each, so that a crash can fall there, too.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.simulation.disk import VirtualLane, WatchedJournal
from tests.simulation.loop import Owner
from workers import app, dispatcher, engine, link, owner, settings
from workers.opening import Options
from workers.ports import Input, Outgoing
from workers.settings import BrokerSection, InboxSection, JournalSection, ReportSection, Settings

if TYPE_CHECKING:
    from tests.simulation.world import World


class Log:
    """Log lines become lines of the trace."""

    def __init__(self, life: "Life") -> None:
        self.life = life

    def _line(self, event: str, **more: Any) -> None:
        self.life.logged(event, more)

    info = warning = error = _line


class StubWeb:
    """Nobody looks."""

    url = ""

    def __init__(self, *args: Any, **more: Any) -> None:
        pass

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Stepping:
    """Inbox and outbox with a pause before and after each step, watched from outside."""

    def __init__(self, life: "Life", inbox: Any, outbox: Any) -> None:
        self.life, self.inbox, self.outbox = life, inbox, outbox

    def batches(self) -> Any:
        return self.inbox.batches()

    async def settle(self, batch: Sequence[Input]) -> None:
        self.life.world.settles(batch)
        await asyncio.sleep(0)
        await self.inbox.settle(batch)
        await asyncio.sleep(0)

    async def emit(self, messages: Sequence[Outgoing]) -> None:
        if self.life is self.life.world.life:  # else the broker has thrown it off
            self.life.world.emits(messages)
            if any(one.n for one in messages):
                self.life.world.says()
        await asyncio.sleep(0)
        await self.outbox.emit(messages)
        await asyncio.sleep(0)


class Life:
    """A process from its start to its end. `world.ended` is told how it ended."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.owner = Owner(f"life {number}", self.die)
        self.over = self.stopping = self.up = self.recovered = False
        plan = world.plan
        chosen = Settings(
            broker=BrokerSection(url="mqtt://broker:1883", receive_maximum=20 if plan.batch_max < 1000 else 1000),
            journal=JournalSection(
                dir=str(world.disk.place), batch_max=plan.batch_max, snapshot_every=plan.snapshot_every
            ),
            inbox=InboxSection(max=100),
            report=ReportSection(scan_after_s=0),  # a child has real time
        )
        self.app = app.App(chosen, Log(self))
        self.main = world.loop.spawn(self.owner, self._main())

    async def _main(self) -> None:
        try:
            await self.app.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if not self.over:
            self.over = True
            self.sever()
            self.world.ended(self, error)

    def logged(self, event: str, more: dict[str, Any]) -> None:
        if not self.over:
            more.pop("data", None)  # another place each time
            self.world.logged(self, event, more)

    def sever(self) -> None:
        """Nothing of it reaches anybody any more. What lies in the kernel's buffers may still go out, or not."""
        for lane in self.owner.lanes:
            lane.cut()

    def die(self) -> None:
        """SIGKILL."""
        if self.over:
            return
        self.over = True
        self.world.note(f"{self.owner.name} is killed at step {self.owner.steps}")
        self.sever()
        self.world.cut_of(self)
        self.world.loop.bury(self.owner, self.main)
        self.world.killed(self)

    def terminate(self) -> None:
        """SIGTERM; before the process listens for it, and a second time, that kills."""
        handler = self.owner.signals.get(signal.SIGTERM)
        if handler is None or self.over or self.stopping:
            return self.die()
        self.stopping = True
        self.world.note(f"{self.owner.name} is told to stop")
        return self.world.loop.soon(self.owner, handler)


class Free:
    """The lock of a directory; who may run is settled by the world."""

    def release(self) -> None: ...


def clocks(world: "World") -> ModuleType:
    """The module `time` with this world's clocks."""
    found, loop = ModuleType("time"), world.loop
    vars(found).update(vars(time))
    found.monotonic = found.perf_counter = loop.time  # type: ignore[attr-defined]  # a module of our own
    found.monotonic_ns = lambda: loop.now_ns  # type: ignore[attr-defined]  # as above
    found.clock_gettime_ns = lambda which: loop.now_ns  # type: ignore[attr-defined]  # as above
    found.time_ns = lambda: world.wall_ms() * 1_000_000  # type: ignore[attr-defined]  # as above
    found.time = lambda: world.wall_ms() / 1000  # type: ignore[attr-defined]  # as above
    return found


def changed(module: ModuleType, **more: Any) -> ModuleType:
    """A module with other things in it."""
    found = ModuleType(module.__name__)
    vars(found).update({**vars(module), **more})
    return found


@contextmanager
def underneath(world: "World") -> Iterator[None]:
    """The modules of the process see this world."""
    loop, real = world.loop, dispatcher.Dispatcher

    def stepping(halls: Any, *, inbox: Any, outbox: Any, **more: Any) -> Any:
        life = world.lives[loop.owner]
        world.recovered(life)
        steps = Stepping(life, inbox, outbox)
        return real(halls, inbox=steps, outbox=steps, **more)

    async def opened(directory: Any, *, now_ms: Any, options: Options) -> WatchedJournal:
        small = replace(options, presize=0, checkpoint=200_000, checkpoint_idle=60_000, ballast=0, min_free=0)
        found = await WatchedJournal.open(world.disk.place, now_ms=now_ms, options=small)
        assert isinstance(found, WatchedJournal)
        found.disk = world.disk
        return found

    def lane(connector: Any) -> VirtualLane:
        assert loop.owner is not None
        return VirtualLane(connector, world.disk, loop.owner)

    rng = Random(f"process {world.plan.seed}")
    ours = [one for name, one in sys.modules.items() if name.startswith("workers.")]
    times, real_lane = clocks(world), engine.Lane
    replaced: list[tuple[Any, str, Any]] = [
        *((one, "time", times) for one in ours if getattr(one, "time", None) is time),
        *((one, "Lane", lane) for one in ours if getattr(one, "Lane", None) is real_lane),
        (owner, "take", lambda *args, **more: Free()),
        (app, "SqliteJournal", SimpleNamespace(open=opened)),
        (app, "Dispatcher", stepping),
        (app, "Web", StubWeb),
        (app, "collector", changed(app.collector, registry=lambda sources, **more: None)),
        (app, "settings", changed(settings, hall_files=lambda where: [world.policy])),
        (app, "version", lambda name: "0"),
        (app, "key_of", lambda path: b"k" * 32),
        (app, "spare_the_collector", lambda: None),
        (app, "Random", lambda: Random(rng.random())),
        (app, "BEAT_S", 1.0),
        (link, "secrets", SimpleNamespace(token_hex=lambda size: f"{rng.getrandbits(8 * size):0{2 * size}x}")),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    try:
        for module, name, value in replaced:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
