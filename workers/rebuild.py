"""workers/rebuild.py: the pictures of the month in use made anew from facts alone, by who owns the journal."""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec

from core.hall import Hall
from core.state import HallState
from workers import fold, reading, recovery, twice
from workers.engine import Connection
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.verify import ERASED
from workers.views import WIPE, Views


class Rebuilt(msgspec.Struct):
    """The document of `journal rebuild --json`."""

    v: int
    rows: int


async def rebuild(directory: Path, now_ms: Callable[[], int]) -> int:
    """Rows written. Facts are folded from the first one on: JournalDamaged where some were erased."""
    journal = await SqliteJournal.open(directory, now_ms=now_ms, options=Options(presize=0))
    try:
        for path in recovery.files(directory):  # nothing is wiped that could not be made again
            if await reading.once(path, lambda db: db.execute(ERASED).fetchone()[0]):
                raise recovery.damaged(f"{path.name}: facts were erased, pictures cannot be made anew", directory)
        begins = (await reading.once(journal.path, recovery.origin)).seq
        await journal.alone(wipe)
        journal.views = Views(0)
        halls, seq = dict[str, Hall](), 0
        async with aclosing(journal.replay_all(0)) as found:
            async for block in found:
                for name, n, row in block:
                    if seq == begins:  # the older months have their own tables
                        for hall in halls.values():
                            journal.views.of(hall.state).everything()
                    hall = halls.setdefault(name, Hall(HallState(name)))
                    fact, seq = fold.apply(hall, n, row), seq + 1
                    if seq > begins:
                        journal.views.of(hall.state).note(fact, row[0])
                await journal.sweep(flush=True)
        return journal.views.rows
    finally:
        await journal.close()


def wipe(db: Connection) -> None:
    """No picture is left. In the writer's thread."""
    db.execute("BEGIN IMMEDIATE")
    for statement in WIPE:
        db.execute(statement)
    twice.put(db, {"proj_seq": 0})
    db.execute("COMMIT")
