"""workers/notes.py: what people wrote (留言), beside the chain under the refs of facts: read for a case, gone in time.

A note is written in the transaction of its fact (`workers/writer.py`) and moves on with the month while it is young
enough (`workers/rotation.py`); archived months hold none (`workers/archive.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from workers import engine
from workers.engine import Connection
from workers.journal import SqliteJournal

DAY_MS: Final = 86_400_000
EVERY_MS: Final = 6 * 3_600_000


class Notes:
    """The notes of one journal. Readers have a connection of their own; it is open only while they read."""

    def __init__(self, journal: SqliteJournal, days: int, now_ms: Callable[[], int]) -> None:
        self._journal, self._days, self._now_ms = journal, days, now_ms
        self._due_ms = 0

    async def read(self, hall: str, refs: Sequence[str]) -> dict[str, str]:
        """Text by ref, of this hall alone; what is gone is not there."""
        return await asyncio.to_thread(found, self._journal.path, hall, refs)

    async def turn(self) -> bool:
        """Some times a day: what is too old goes. Whether it was time."""
        now_ms = self._now_ms()
        if now_ms < self._due_ms:
            return False
        self._due_ms, before_ms = now_ms + EVERY_MS, now_ms - self._days * DAY_MS
        await self._journal.alone(lambda db: drop(db, before_ms))
        return True


def found(path: Path, hall: str, refs: Sequence[str]) -> dict[str, str]:
    """Text by ref; a ref of another hall finds nothing, whoever wrote it into a case."""
    sql = "SELECT ref, text FROM note WHERE ref = ? AND hall = (SELECT id FROM word WHERE text = ?)"
    with closing(engine.reader(path)) as db:
        rows = (db.execute(sql, (ref, hall)).fetchone() for ref in refs)
        return {row[0]: row[1] for row in rows if row}


def older(path: Path, before_ms: int) -> int:
    """How many notes are older."""
    with closing(engine.reader(path)) as db:
        return int(db.execute("SELECT count(*) FROM note WHERE at_ms < ?", (before_ms,)).fetchone()[0])


def drop(db: Connection, before_ms: int | None = None) -> int:
    """Older notes, or all of them: their pages are overwritten, here and in what the WAL had of them."""
    db.execute("PRAGMA secure_delete=ON").fetchall()
    try:
        clause, values = ("", ()) if before_ms is None else (" WHERE at_ms < ?", (before_ms,))
        count = db.execute(f"DELETE FROM note{clause}", values).rowcount  # noqa: S608 - our own clause
        return int(count)
    finally:
        db.execute("PRAGMA secure_delete=OFF").fetchall()
