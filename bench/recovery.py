"""bench/recovery.py: how fast a journal is read, checked and decoded, against bare `fetchmany` of the same rows."""

import asyncio
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from bench.pairs import PAIRS, Options, Report, Subject, compare, gate
from workers import engine, recovery
from workers.journal import SqliteJournal
from workers.ports import Part, Row

HALL: Final = "hall-1"
BATCH: Final = 1_000
NOW_MS: Final = 1_795_420_911_000


class Taken(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stand-in for a fact of the hall: seven fields."""

    ticket: int
    service: str
    number: str
    priority: int
    kiosk: str
    party: int
    waiting: int


decode: Final = msgspec.msgpack.Decoder(Taken).decode


def run(options: Options, rest: list[str]) -> Report:
    """Gate G11: facts/s read, checked against the chain, decoded and folded / rows/s of bare fetchmany."""
    count = 20_000 if options.quick else 1_000_000
    pairs = options.pairs or (2 if options.quick else PAIRS)
    with tempfile.TemporaryDirectory() as name:
        path = asyncio.run(build(Path(name), count))
        ratio = compare(replayed(Path(name), count), fetched(path, count), pairs=pairs)
    held = gate("recovery.rate_vs_fetchmany", ratio, 0.25)
    return Report("recovery", [held], rows=[(f"{count} facts without a snapshot, batches of {BATCH}",)])


async def build(directory: Path, count: int) -> Path:
    """A closed journal of `count` facts of one hall."""
    encode = msgspec.msgpack.Encoder().encode
    journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        rows = [Row(NOW_MS + n, 5, 1, f"kiosk-{n % 50}", "4f2a", n, encode(a_fact(n))) for n in numbers]
        await journal.append([Part(HALL, first, rows)])
        await journal.maybe_checkpoint(idle=False)
    await journal.close()
    return journal.path


def a_fact(n: int) -> Taken:
    return Taken(n, f"service-{n % 20}", f"A{n % 1000:03}", n * 1000, f"kiosk-{n % 50}", 1, n % 300)


def replayed(directory: Path, count: int) -> Subject:
    """Facts/s from the first block to the last, opening excluded."""

    async def scenario() -> float:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        state: dict[int, Taken] = {}
        started, last = time.perf_counter(), 0
        async for block in journal.replay_all(0):
            for _, n, row in block:
                fact = decode(row.payload)
                state[fact.ticket % 50_000] = fact
                last = n
        taken_s = time.perf_counter() - started
        await journal.close()
        assert last == count, "every fact was read"
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
