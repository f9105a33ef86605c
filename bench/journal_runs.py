"""bench/journal_runs.py: one run on a fresh journal, or on a bare file with the journal's tables and pragmas."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from workers import engine, opening, recovery
from workers.journal import SqliteJournal
from workers.ports import Row

HALL: Final = "hall-1"
PAYLOAD: Final = bytes(140)
NOW_MS: Final = 1_795_420_911_000


def facts(count: int) -> list[Row]:
    """Prebuilt: 50 devices, 140 bytes each."""
    return [Row(NOW_MS + n, 5, 1, f"kiosk-{n % 50:02}", "4f2a", n, PAYLOAD) for n in range(count)]


def in_journal(scenario: Callable[[SqliteJournal], Awaitable[float]]) -> float:
    """One run on a fresh journal."""

    async def whole(directory: Path) -> float:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        try:
            return await scenario(journal)
        finally:
            await journal.close()

    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(whole(Path(name)))


def in_raw(insert: Callable[[engine.Connection], None]) -> float:
    """Seconds of an insertion into a fresh file with the journal's tables, pragmas and presized log."""
    with tempfile.TemporaryDirectory() as name, closing(engine.writer(Path(name) / "raw.db")) as db:
        recovery.migrate(db, Path(name) / "raw.db")
        opening.presize_wal(db, opening.Options().presize)
        started = time.perf_counter()
        insert(db)
        return time.perf_counter() - started
