"""bench/recovery.py: from a journal back to a hall: read, checked, decoded and folded by the rules, against bare rows.

The journal is what devices of a hall in a rush leave behind. A snapshot of 50,000 waiting is made and read beside it.
"""

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from bench.pairs import PAIRS, Gate, Options, Report, Subject, compare, gate, ratio_of
from bench.product import COLLECT_AFTER
from bench.rush import Rush, hall_policy
from core import commands as c
from core import policy
from core.hall import Hall
from core.state import HallState, restored
from workers import engine, fold, recovery
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.tallies import Tallies

HALL: Final = "hall-1"
BATCH: Final = 1_000
STEP_MS: Final = 50
NOW_MS: Final = 1_795_420_911_000
WAITING: Final = 50_000
TAIL: Final = 200_000  # facts between two snapshots
SNAPSHOT_MAX_MS: Final = 100.0
TIMES: Final = 9


def run(options: Options, rest: list[str]) -> Report:
    """Gate G11: facts/s read, checked against the chain, decoded and folded / rows/s of bare fetchmany."""
    count, waiting, after = (20_000, 2_000, 5_000) if options.quick else (1_000_000, WAITING, TAIL)
    pairs = options.pairs or (2 if options.quick else PAIRS)
    with tempfile.TemporaryDirectory() as name:
        path, facts, _ = asyncio.run(build(Path(name), count, options.seed))
        gc.set_threshold(*COLLECT_AFTER)  # as the process has it, for both sides
        gc.collect()
        gc.freeze()
        ratio = compare(recovered(Path(name), facts), fetched(path, facts), pairs=pairs)
        checked = compare(read(Path(name), facts), fetched(path, facts), pairs=min(pairs, 3))
    with tempfile.TemporaryDirectory() as name:
        _, facts, state = asyncio.run(build(Path(name), after, options.seed, waiting=waiting))
        ready_s = statistics.median(asyncio.run(start(Path(name)))[1] for _ in range(3))
    rows = [
        (f"{count} facts without a snapshot, batches of {BATCH}", f"{ratio.raw[0][0]:,.0f} facts/s"),
        ("read and checked only, against fetchmany", f"{checked.median:.2f}"),
        (f"{after} facts after a snapshot with {waiting} waiting", f"ready after {ready_s:.2f} s"),
    ]
    return Report("recovery", [gate("recovery.rate_vs_fetchmany", ratio, 0.25), *snapshots(state)], rows=rows)


async def build(directory: Path, count: int, seed: int, *, waiting: int = 0) -> tuple[Path, int, HallState]:
    """A closed journal of one hall with `count` facts, after a snapshot with so many `waiting`, if any."""
    journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
    desk, rules = Desk(Hall(HallState(HALL)), Tallies()), hall_policy(HALL)
    desk.touched = journal.views.of(desk.hall.state)
    state, rush = desk.hall.state, Rush(HALL, seed)
    desk.ask(c.ChangePolicy(1, policy.digest(rules), policy.document(rules)), NOW_MS)

    async def store(messages: Iterable[tuple[str, bytes]]) -> None:
        at_ms = state.at_ms + STEP_MS
        for topic, payload in messages:
            desk.event(topic.split("/")[3], topic, payload, at_ms)
        part = desk.part()
        desk.answers(lambda: at_ms)
        desk.hall.take_effects()
        assert part is not None
        await journal.append([part])
        await journal.maybe_checkpoint(idle=False)

    while len(state.tickets) < waiting:
        await store([rush.take(turn % rush.counters + 1) for turn in range(BATCH)])
    if waiting:
        await journal.save(HALL, state.n, state.snapshot())
    before, endless = state.n, rush.messages(count)
    while state.n - before < count:
        await store(islice(endless, BATCH))
    journal.save_marks({HALL: state.n})
    facts = state.n
    await journal.close()
    return journal.path, facts, state


async def start(directory: Path) -> tuple[int, float]:
    """Facts folded, and seconds, from opening to a hall that could go on."""
    started = time.perf_counter()
    journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
    found = await fold.recover(journal)
    taken_s = time.perf_counter() - started
    await journal.close()
    return found.facts, taken_s


def recovered(directory: Path, count: int) -> Subject:
    """Facts/s from the first block to the last, opening excluded."""

    async def scenario() -> float:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        started = time.perf_counter()
        found = await fold.recover(journal)
        taken_s = time.perf_counter() - started
        await journal.close()
        assert found.facts == count, "every fact was folded"
        return count / taken_s

    return lambda: asyncio.run(scenario())


def read(directory: Path, count: int) -> Subject:
    """Facts/s of the same without decoding and folding."""

    async def scenario() -> float:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        started, seen = time.perf_counter(), 0
        async for block in journal.replay_all(0):
            seen += len(block)
        taken_s = time.perf_counter() - started
        await journal.close()
        assert seen == count, "every fact was read"
        return count / taken_s

    return lambda: asyncio.run(scenario())


def fetched(path: Path, count: int) -> Subject:
    """Rows/s of the driver alone."""

    def measured() -> float:
        with closing(engine.reader(path)) as db:
            started, seen = time.perf_counter(), 0
            cursor = db.execute(recovery.ROWS, (0,))
            while page := cursor.fetchmany(recovery.BLOCK):
                seen += len(page)
            taken_s = time.perf_counter() - started
        assert seen == count, "every row was read"
        return count / taken_s

    return measured


def snapshots(state: HallState) -> list[Gate]:
    """A hall's whole state as bytes and back, in ms: the loop stands still meanwhile."""
    data = state.snapshot()
    made = ratio_of([(millis(state.snapshot), 1.0) for _ in range(TIMES)])
    back = ratio_of([(millis(lambda: restored(data)), 1.0) for _ in range(TIMES)])
    return [
        gate("recovery.snapshot_encode_ms", made, SNAPSHOT_MAX_MS, at_least=False),
        gate("recovery.snapshot_decode_ms", back, SNAPSHOT_MAX_MS, at_least=False),
    ]


def millis(job: Callable[[], object]) -> float:
    """What one call takes; to throw away what it gives is not part of it."""
    started = time.perf_counter()
    given = job()
    taken_s = time.perf_counter() - started
    del given
    return taken_s * 1000
