"""workers/reading.py: facts and states out of the files, by read-only connections in threads of their own."""

from collections.abc import AsyncGenerator, Callable, Container, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from workers import engine, recovery
from workers.chain import Item
from workers.engine import Connection, Lane

T = TypeVar("T")


async def blocks(directory: Path, after_seq: int) -> AsyncGenerator[list[Item], None]:
    """Blocks of up to 5,000 (hall, n, row) behind a seq, over all months it takes, each batch checked first.

    Only what is durable. JournalDamaged, also where facts were erased.
    """
    for path in await reaching(recovery.files(directory), after_seq):
        lane = await Lane(partial(engine.reader, path)).open()
        try:  # one generator, not two in each other: who stops half-way ends the thread
            found = await lane.run(partial(recovery.verified, after=after_seq))
            while block := await lane.run(partial(_next, found)):
                yield block
        finally:
            await lane.close()


def _next(found: Iterator[list[Item]], _: Connection) -> list[Item] | None:
    return next(found, None)


async def reaching(paths: list[Path], after_seq: int) -> list[Path]:
    """The last files of these that hold what is behind a seq."""
    for at in range(len(paths) - 1, 0, -1):
        if (await once(paths[at], recovery.origin)).seq <= after_seq:
            return paths[at:]
    return paths


async def once(path: Path, job: Callable[[Connection], T]) -> T:
    """One look into a file."""
    lane = await Lane(lambda: engine.reader(path)).open()
    try:
        return await lane.run(job)
    finally:
        await lane.close()


async def states(path: Path, hall: str, number: int, known: Container[int]) -> AsyncGenerator[tuple[int, bytes], None]:
    """(hall_seq, data) of the good snapshots of a hall, newest first."""
    lane = await Lane(lambda: engine.reader(path)).open()
    try:
        found = await lane.run(lambda db: recovery.good_snapshots(db, hall, number, known, []))
        while (good := await lane.run(lambda db: next(found, None))) is not None:
            yield good.hall_seq, good.data
    finally:
        await lane.close()
