"""tests/simulation/process.py: one life of the dispatcher: the real App with the world of the simulation under it.

Real: App, Dispatcher, Desk, Speaker, Link, inbox, flights, outbox, fold, Clock. Put beneath: time, sockets, disk, web,
signals, randomness. Between the steps of the dispatcher stands a pause each, so that a crash can fall there, too.
"""

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.halls import HALL
from tests.simulation.disk import VirtualJournal
from tests.simulation.loop import Owner
from workers import app, clock, dispatcher, link
from workers.ports import Input, Outgoing
from workers.settings import BrokerSection, InboxSection, JournalSection, Settings

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
        await asyncio.sleep(0)
        await self.outbox.emit(messages)
        await asyncio.sleep(0)


class Life:
    """A process from its start to its end. `world.ended` is told how it ended."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.owner = Owner(f"life {number}", self.die)
        self.journal: VirtualJournal | None = None
        self.over = self.stopping = self.up = False
        plan = world.plan
        chosen = Settings(
            broker=BrokerSection(url="mqtt://broker:1883", receive_maximum=20 if plan.batch_max < 1000 else 1000),
            journal=JournalSection(batch_max=plan.batch_max, snapshot_every=plan.snapshot_every),
            inbox=InboxSection(max=100),
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
            self.world.logged(self, event, more)

    def saved(self, hall_seq: int) -> None:
        """A snapshot that has waited for orders in vain for twice its distance hides them."""
        if not self.app.outbox.heard(HALL):
            assert not self.stopping, "a last snapshot can be left out"
            self.world.hidden = hall_seq

    def sever(self) -> None:
        """Nothing of it reaches anybody any more. What lies in the kernel's buffers may still go out, or not."""
        if self.journal is not None:
            self.journal.severed = True

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
        """SIGTERM; before the process listens for it, that kills."""
        handler = self.owner.signals.get(signal.SIGTERM)
        if handler is None or self.over:
            return self.die()
        self.stopping = True
        self.world.note(f"{self.owner.name} is told to stop")
        return self.world.loop.soon(self.owner, handler)


@contextmanager
def underneath(world: "World") -> Iterator[None]:
    """The modules of the process see this world."""
    loop = world.loop
    times = SimpleNamespace(
        monotonic=loop.time,
        perf_counter=loop.time,
        monotonic_ns=lambda: loop.now_ns,
        time_ns=lambda: world.wall_ms() * 1_000_000,
        time=lambda: world.wall_ms() / 1000,
    )
    real = dispatcher.Dispatcher

    def stepping(halls: Any, *, inbox: Any, outbox: Any, **more: Any) -> Any:
        life = world.lives[loop.owner]
        world.recovered(life)
        steps = Stepping(life, inbox, outbox)
        return real(halls, inbox=steps, outbox=steps, **more)

    async def opened(directory: Any, **more: Any) -> VirtualJournal:
        life = world.lives[loop.owner]
        await asyncio.sleep(world.disk.delay_s())
        life.journal = VirtualJournal(world.disk, world.note)
        life.journal.saved = life.saved
        return life.journal

    rng = Random(f"process {world.plan.seed}")
    replaced: list[tuple[Any, str, Any]] = [
        (app, "time", times),
        (clock, "time", times),
        (dispatcher, "time", times),
        (app, "SqliteJournal", SimpleNamespace(open=opened)),
        (app, "Dispatcher", stepping),
        (app, "Web", StubWeb),
        (app, "metrics", SimpleNamespace(registry=lambda sources: None, Sources=lambda **more: None)),
        (app, "settings", SimpleNamespace(hall_files=lambda where: [world.policy], secret=lambda file, what: None)),
        (app, "version", lambda name: "0"),
        (app, "calm_collector", lambda: None),
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
