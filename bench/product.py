"""bench/product.py: the dispatcher under load, in a process of its own: link, core, journal, with or without outputs.

`python -m bench.product '{"url": ..., "data": ...}'` prints `ready`, and one line of JSON when `count` messages are
settled or a line comes on standard input. What is there already is recovered, as after a crash.
"""

import asyncio
import contextlib
import gc
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from bench.rush import hall_policy
from core import commands as c
from core import policy
from core.hall import Hall
from core.policy import Policy
from core.state import HallState
from workers import eventloop, fold
from workers.clock import Clock, utc_ms
from workers.dispatcher import Dispatcher
from workers.journal import Listener, SqliteJournal
from workers.link import Link
from workers.link_settings import LinkSettings
from workers.outbox import MqttOutbox
from workers.ports import Input, Outgoing
from workers.tallies import Tallies

BEAT_S: Final = 0.05
FLUSH_S: Final = 10.0
COLLECT_AFTER: Final = (50_000, 20, 50)  # as workers.app has it; its module would bring the web along


class Setup(msgspec.Struct, frozen=True):
    """One run. `kind`: `link` receives and acknowledges, `ingest` also folds and stores, `product` also speaks.

    `policies`: a file of [[document], [[hall, service, slot_ms]]] of `bench.runs`, else halls alike. `warm` messages
    come before the clock starts. `count` 0: until told. `mark`: after how many messages the time is noted, and a
    hundredth of them at a time on the way there.
    """

    url: str
    data: str
    kind: str = "product"
    count: int = 0
    warm: int = 0
    mark: int = 0
    halls: int = 8
    counters: int = 12
    services: int = 20
    waiting: int = 0
    policies: str = ""
    receive_max: int = 1000
    batch_max: int = 1000
    pace_s: float = 0.001
    seconds: float = 60.0
    speed: int = 1
    origin_ms: int = 0
    anchor_ms: int = 0


class Done(msgspec.Struct, frozen=True):
    """What one run did. CPU of the whole process, all threads, between the first and the last message."""

    received: int = 0
    facts: int = 0
    commits: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    first_s: float = 0.0
    marked_s: float = 0.0
    settled: list[tuple[float, int]] = []
    core_s: float = 0.0
    commit_s: float = 0.0
    checkpoints: int = 0
    checkpoint_s: float = 0.0
    refused: int = 0
    duplicates: int = 0
    published: dict[str, int] = {}
    replaced: int = 0
    finished: bool = False
    rss_mb: float = 0.0
    rss_peak_mb: float = 0.0
    recovered: int = 0
    digests: dict[str, str] = {}

    @property
    def measured(self) -> bool:
        """Whether there is anything to divide by."""
        return self.received > 0 and self.seconds > 0


class Gate:
    """The link's inbox, watched: when the first message came and when the last was settled."""

    def __init__(self, link: Link, setup: Setup) -> None:
        self._link, self._count, self._warm, self._mark = link, setup.count, setup.warm, setup.mark
        self.marked = 0.0
        self.settled: list[tuple[float, int]] = []  # seconds after the first, messages
        self.seen = 0
        self.received = 0
        self.first = self.last = (0.0, 0.0)
        self.done = asyncio.Event()

    async def batches(self) -> AsyncIterator[Sequence[Input]]:
        """As the link's."""
        async for batch in self._link.batches():
            if batch and not self.first[0] and self.seen >= self._warm:
                self.first = (time.monotonic(), time.process_time())
            yield batch

    async def settle(self, batch: Sequence[Input]) -> None:
        """As the link's."""
        await self._link.settle(batch)
        self.seen += sum(not one.retain for one in batch)
        if batch and self.first[0]:
            self.received = self.seen - self._warm
            self.last = (time.monotonic(), time.process_time())
            if self._mark and not self.marked:
                self._note()
        if self._count and self.seen >= self._count:
            self.done.set()

    def _note(self) -> None:
        """On the way to the mark."""
        reached = self.seen >= self._mark
        if reached or self.seen - (self.settled[-1][1] if self.settled else 0) >= self._mark / 100:
            self.settled.append((self.last[0] - self.first[0], min(self.seen, self._mark)))
        if reached:
            self.marked = self.last[0]


class Deaf(Dispatcher):
    """Says nothing: ingest alone."""

    def _messages(self) -> list[Outgoing]:
        for desk in self._touched.values():
            desk.hall.take_effects()
            desk._answers.clear()  # not even encoded
            desk.answers(self._now_ms)
        self._touched = {}
        return []


class Mute:
    """The link alone: receives, decodes in `bench.noop`'s way, acknowledges."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def serve(self) -> None:
        """Until the inbox ends."""
        from devices import wire

        async for batch in self._gate.batches():
            for one in batch:
                wire.decode(one.payload, "noop")
            await self._gate.settle(batch)

    def restless(self) -> bool:
        """Nothing waits."""
        return False


class Process:
    """One dispatcher process, wired as the application wires it."""

    def __init__(self, setup: Setup, journal: SqliteJournal, halls: dict[str, Hall]) -> None:
        self.setup, self.journal = setup, journal
        now_ms = hall_clock(setup)
        self.tallies = Tallies()
        self.commit_s = 0.0
        self.stopping = asyncio.Event()
        self.live = self.told = False
        settings = LinkSettings(
            url=setup.url,
            client_id="bench",
            receive_max=setup.receive_max,
            batch_max=setup.batch_max,
            inbox_max=4096,
            pace_s=setup.pace_s,
        )
        self.link = Link(settings, now_ms=now_ms, random=Random(1), on_live=self._live)
        self.gate, self.outbox = Gate(self.link, setup), MqttOutbox(self.link)
        self.halls = halls
        kind = Dispatcher if setup.kind == "product" else Deaf
        self.dispatcher = kind(
            list(halls.values()),
            inbox=self.gate,
            journal=journal,
            outbox=self.outbox,
            upkeep=self._upkeep,
            now_ms=now_ms,
            epoch=journal.epoch,
            tallies=self.tallies,
        )
        journal.listener = Listener(commit=self._committed)

    def _live(self, session: bool) -> None:
        self.live = True

    def _committed(self, seconds: float, facts: int) -> None:
        self.commit_s += seconds

    async def _upkeep(self, idle: bool) -> None:
        self.journal.save_marks(self.outbox.marks())
        await self.journal.maybe_checkpoint(idle)

    def load(self, policies: list[Policy], bookings: Sequence[Sequence[Any]]) -> None:
        """What the hall files and the booking site would have asked; tickets that wait already."""
        for one in policies:
            if self.halls[one.hall.id].state.policy is None:
                self.dispatcher.ask(one.hall.id, c.ChangePolicy(1, policy.digest(one), policy.document(one)))
                for at in range(self.setup.waiting):
                    service = one.services[at % len(one.services)].code
                    self.dispatcher.ask(one.hall.id, c.TakeTicket(service))
        for hall, service, slot_ms in bookings:
            if self.halls[hall].state.next_booking == 1:
                self.dispatcher.ask(hall, c.MakeBooking(service, slot_ms))

    async def run(self) -> None:
        """Until the count is reached, the time is over, or somebody says so."""
        subject = Mute(self.gate) if self.setup.kind == "link" else self.dispatcher
        running = [asyncio.create_task(one) for one in (self.link.run(), subject.serve())]
        with contextlib.suppress(OSError, ValueError):  # no standard input to hear from
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self.stopping.set)
        self.link.nudge()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.setup.seconds):
                while not (self.gate.done.is_set() or self.stopping.is_set() or any(one.done() for one in running)):
                    await asyncio.sleep(BEAT_S)
                    self._say_ready()
                    if subject.restless():
                        self.link.nudge()
        if self.setup.kind == "product":
            await self.outbox.flush(FLUSH_S)
            if self.setup.count:  # what is said belongs to the work
                self.gate.last = (time.monotonic(), time.process_time())
        await self.link.drain()
        self.outbox.close()
        for task in running:
            task.cancel()
        for found in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(found, Exception):
                raise found

    def _say_ready(self) -> None:
        """Live, and what was asked beforehand is folded."""
        if self.live and not self.told and not self.dispatcher._asked:
            self.told = True
            print("ready", flush=True)

    def report(self, recovered: int) -> Done:
        """After the run."""
        gate, stats = self.gate, self.journal.stats
        return Done(
            received=gate.received,
            facts=stats.facts,
            commits=stats.commits,
            seconds=gate.last[0] - gate.first[0],
            cpu_s=gate.last[1] - gate.first[1],
            first_s=gate.first[0],
            marked_s=gate.marked - gate.first[0] if gate.marked else 0.0,
            settled=gate.settled,
            core_s=self.tallies.core_seconds,
            commit_s=self.commit_s,
            checkpoints=stats.checkpoints,
            checkpoint_s=stats.checkpoint_seconds,
            refused=sum(self.tallies.refused.values()),
            duplicates=self.tallies.duplicates,
            published=self.outbox.stats.published,
            replaced=self.outbox.stats.replaced,
            finished=gate.done.is_set() or self.stopping.is_set(),
            rss_mb=rss_mb(),
            rss_peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            recovered=recovered,
            digests={name: hall.state.digest() for name, hall in self.halls.items()},
        )


def hall_clock(setup: Setup) -> Callable[[], int]:
    """UTC ms of the hall. At its own speed the product knows only the real day; here it may be another one."""
    if setup.speed != 1 or not setup.origin_ms:
        return Clock(setup.speed, setup.origin_ms, setup.anchor_ms).now_ms
    apart_ms = setup.origin_ms - setup.anchor_ms
    return lambda: utc_ms() + apart_ms


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def run(setup: Setup) -> Done:
    """Open, recover, serve, report."""
    journal = await SqliteJournal.open(Path(setup.data), now_ms=lambda: time.time_ns() // 1_000_000)
    try:
        gc.set_threshold(*COLLECT_AFTER)
        folded = await fold.recover(journal)
        policies, bookings = _policies(setup)
        names = [one.hall.id for one in policies]
        halls = {name: folded.halls.get(name) or Hall(HallState(name)) for name in names}
        process = Process(setup, journal, halls)
        if setup.kind != "link":
            process.load(policies, bookings)
        gc.collect()
        gc.freeze()
        await process.run()
        return process.report(folded.facts)
    finally:
        await journal.close()


def _policies(setup: Setup) -> tuple[list[Policy], list[list[Any]]]:
    if not setup.policies:
        return [hall_policy(f"h{at}", setup.counters, setup.services) for at in range(setup.halls)], []
    documents, bookings = msgspec.json.decode(Path(setup.policies).read_bytes())
    return [policy.from_document(one) for one in documents], bookings


def main(arguments: Sequence[str]) -> None:
    """One process, one run."""
    result = eventloop.run(run(msgspec.json.decode(arguments[0], type=Setup)))
    print(msgspec.json.encode(result).decode(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
