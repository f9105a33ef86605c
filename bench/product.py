"""bench/product.py: the dispatcher under load, in a process of its own: link, core, journal, with or without outputs.

Prints `ready`, then one JSON line when `count` messages are settled. `python -m bench.product --url ... --data ...`.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bench.load import hall_policy
from core import policy
from core.commands import ChangePolicy
from core.hall import Hall
from core.state import HallState
from workers.app import calm_collector
from workers.dispatcher import Dispatcher
from workers.journal import SqliteJournal
from workers.link import Link
from workers.link_settings import LinkSettings
from workers.outbox import MqttOutbox
from workers.ports import Input, Outgoing
from workers.tallies import Tallies

BEAT_S: Final = 0.05


class Done(msgspec.Struct, frozen=True):
    """What one run did. CPU of the whole process, all threads, between the first and the last message."""

    received: int
    facts: int
    commits: int
    seconds: float
    cpu_s: float
    core_s: float
    refused: int
    duplicates: int
    published: int
    finished: bool
    digests: dict[str, str]


class Gate:
    """The link's inbox, watched: when the first message came and when the last was settled."""

    def __init__(self, link: Link, count: int) -> None:
        self._link, self._count = link, count
        self.received = 0
        self.first = self.last = (0.0, 0.0)
        self.done = asyncio.Event()

    async def batches(self) -> AsyncIterator[Sequence[Input]]:
        """As the link's."""
        async for batch in self._link.batches():
            if batch and not self.received:
                self.first = (time.monotonic(), time.process_time())
            yield batch

    async def settle(self, batch: Sequence[Input]) -> None:
        """As the link's."""
        await self._link.settle(batch)
        self.received += sum(not one.retain for one in batch)
        if self.received >= self._count and not self.done.is_set():
            self.last = (time.monotonic(), time.process_time())
            self.done.set()


class Deaf(Dispatcher):
    """Says nothing: ingest alone."""

    def _messages(self) -> list[Outgoing]:
        for desk in self._touched.values():
            desk.hall.take_effects()
            desk.answers(self._now_ms)
        self._touched = {}
        return []


async def run(given: argparse.Namespace) -> Done:
    """Wire, wait for the load, report."""
    directory = Path(given.data)
    journal = await SqliteJournal.open(directory, now_ms=_now_ms)
    link = Link(
        LinkSettings(
            url=given.url,
            client_id="bench",
            receive_max=given.receive_max,
            batch_max=given.batch_max,
            inbox_max=4096,
            pace_s=given.pace,
        ),
        now_ms=_now_ms,
        random=Random(1),
        on_live=lambda _: (sys.stdout.write("ready\n"), sys.stdout.flush(), None)[2],
    )
    tallies, gate, outbox = Tallies(), Gate(link, given.count), MqttOutbox(link)
    halls = [Hall(HallState(f"h{at}")) for at in range(given.halls)]

    async def upkeep(idle: bool) -> None:
        await journal.maybe_checkpoint(idle)

    kind = Dispatcher if given.outputs else Deaf
    dispatcher = kind(
        halls,
        inbox=gate,
        journal=journal,
        outbox=outbox,
        upkeep=upkeep,
        now_ms=_now_ms,
        epoch=journal.epoch,
        tallies=tallies,
    )
    _load(dispatcher, given.halls)
    calm_collector()
    await _until_done(dispatcher, link, gate, given.seconds)
    if given.outputs:
        await outbox.flush(10.0)
        gate.last = (time.monotonic(), time.process_time())
    await link.drain()
    outbox.close()
    found = _report(gate, journal, tallies, outbox, halls, given)
    await journal.close()
    return found


def _load(dispatcher: Dispatcher, halls: int) -> None:
    for at in range(halls):
        one = hall_policy(f"h{at}")
        dispatcher.ask(one.hall.id, ChangePolicy(1, policy.digest(one), policy.document(one)))


async def _until_done(dispatcher: Dispatcher, link: Link, gate: Gate, seconds: float) -> None:
    running = [asyncio.create_task(one) for one in (link.run(), dispatcher.serve())]
    link.nudge()
    try:
        async with asyncio.timeout(seconds):
            while not gate.done.is_set() and not any(task.done() for task in running):
                await asyncio.sleep(BEAT_S)
                if dispatcher.restless():
                    link.nudge()
    except TimeoutError:
        gate.last = (time.monotonic(), time.process_time())


def _report(
    gate: Gate,
    journal: SqliteJournal,
    tallies: Tallies,
    outbox: MqttOutbox,
    halls: list[Hall],
    given: argparse.Namespace,
) -> Done:
    return Done(
        received=gate.received,
        facts=journal.stats.facts,
        commits=journal.stats.commits,
        seconds=gate.last[0] - gate.first[0],
        cpu_s=gate.last[1] - gate.first[1],
        core_s=tallies.core_seconds,
        refused=sum(tallies.refused.values()),
        duplicates=tallies.duplicates,
        published=sum(outbox.stats.published.values()),
        finished=gate.done.is_set(),
        digests={hall.state.hall: hall.state.digest() for hall in halls[:8]},
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: Sequence[str]) -> None:
    """One process, one run."""
    parser = argparse.ArgumentParser(prog="python -m bench.product")
    parser.add_argument("--url", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--halls", type=int, default=8)
    parser.add_argument("--receive-max", type=int, default=1000)
    parser.add_argument("--batch-max", type=int, default=1000)
    parser.add_argument("--pace", type=float, default=0.001)
    parser.add_argument("--outputs", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    result = asyncio.run(run(parser.parse_args(arguments)))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
