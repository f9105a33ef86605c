"""tests/simulation/disk.py: the real journal on a real file, its thread replaced by the loop: a hop takes virtual time.

Whoever dies before a hop has written nothing, whoever dies after it has written all and told nobody. What is durable is
read from the file after each hop, not asked of the journal. Full, failing and slow disks come from the plan.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.simulation.loop import Dead, Owner
from workers import engine
from workers.journal import SqliteJournal
from workers.ports import Part, Row

ROWS = (
    "SELECT seq, (SELECT text FROM word WHERE id = hall), hall_seq, at_ms, kind, v, "
    "(SELECT text FROM word WHERE id = device), (SELECT text FROM word WHERE id = boot), dseq, payload "
    "FROM journal WHERE seq > ? ORDER BY seq"
)
DAMAGE = (
    "UPDATE snapshot SET crc = crc + 1 WHERE hall_seq = (SELECT max(hall_seq) FROM snapshot) "
    "AND (SELECT count(*) FROM snapshot) > 1"
)
PAGES_MAX = 1_073_741_823
MEMORY = Path("/dev/shm")


def failure(name: str, text: str) -> sqlite3.OperationalError:
    """An error as the driver raises it."""
    error = engine.driver.OperationalError(text)
    error.sqlite_errorname = name
    return error


class Disk:
    """The directory of the journal, and what is wrong with it now. `committed` hears of each durable row, and whose."""

    def __init__(self, committed: Callable[[Owner, str, int, Row], None], delay_s: Callable[[], float]) -> None:
        self.place = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="simulated-"))
        self.committed, self.delay_s = committed, delay_s
        self.causes: dict[tuple[str, str, int], int] = {}
        self.seq = 0
        self.full_until_s = 0.0
        self.fails: list[str] = []  # "before" or "after" it is written, of the next appends
        self.failing = ""
        self.damaged = 0
        self.at_append: Callable[[], None] | None = None  # done once, when the next one begins
        self.at_commit: Callable[[], None] | None = None
        self._keeper: sqlite3.Connection | None = None

    def holds(self, cause: tuple[str, str, int]) -> bool:
        return cause in self.causes

    def look(self, hand: sqlite3.Connection, owner: Owner) -> bool:
        """Tell what has become durable. Whether anything has."""
        if not self.seq and not hand.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal'").fetchone():
            return False
        found = hand.execute(ROWS, (self.seq,)).fetchall()
        if found:
            self.keep_open()
        for seq, hall, n, at_ms, kind, v, device, boot, dseq, payload in found:
            self.seq = seq
            self.committed(owner, hall, n, Row(at_ms, kind, v, device or "", boot or "", dseq, payload))
        return bool(found)

    def keep_open(self) -> None:
        """As long as somebody has it open, nobody who goes tidies the log away: a killed process tidies nothing."""
        if self._keeper is None:
            path = next(self.place.glob("journal-*.db"), None)
            if path is not None:
                self._keeper = engine.connect(path, isolation_level=None)
                self._keeper.execute("SELECT count(*) FROM sqlite_schema").fetchall()

    def epoch(self) -> int:
        """Whose turn it is, by the file."""
        assert self._keeper is not None, "asked when something was written"
        return int(self._keeper.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()[0])

    def damage_newest_snapshot(self) -> None:
        """Not the only one: with that gone a start is refused, and that is right."""
        if self._keeper is not None and self._keeper.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            self.damaged += self._keeper.execute(DAMAGE).rowcount

    def remove(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
        shutil.rmtree(self.place, ignore_errors=True)


class VirtualLane:
    """What `engine.Lane` becomes: jobs run where they are asked for, with time before and after them."""

    def __init__(self, connector: Callable[[], Any], disk: Disk, owner: Owner) -> None:
        self.connector, self.disk, self.owner = connector, disk, owner
        self.hand: Any = None
        self.writes = self.full = False
        self.free_at_s = 0.0

    async def open(self) -> "VirtualLane":
        if self.owner.dying:
            raise Dead
        await asyncio.sleep(self.disk.delay_s())
        self.hand = self.connector()
        self.owner.lanes.append(self)
        self.writes = not self.hand.execute("PRAGMA query_only").fetchone()[0]
        return self

    async def run(self, job: Callable[[Any], Any]) -> Any:
        """As a thread does: one job after the other, and a caller who no longer waits stops none."""
        if self.hand is None:
            raise Dead
        if not self.writes:
            return job(self.hand)
        loop = asyncio.get_running_loop()
        fails, self.disk.failing = self.disk.failing, ""
        answer: asyncio.Future[Any] = loop.create_future()
        begins_s = max(loop.time(), self.free_at_s) + self.disk.delay_s()
        self.free_at_s = begins_s + self.disk.delay_s()
        loop.call_at(begins_s, self._do, job, fails, answer, self.free_at_s)
        return await answer

    def _do(self, job: Callable[[Any], Any], fails: str, answer: "asyncio.Future[Any]", ends_s: float) -> None:
        """Now it is written; a while later the caller hears of it."""
        loop, disk = asyncio.get_running_loop(), self.disk
        result, error = None, None
        try:
            result = self._done(job, fails)
        except BaseException as raised:
            error = raised
        if fails == "after" and error is None:
            error = failure("SQLITE_IOERR_FSYNC", "disk I/O error")

        def tell() -> None:
            if not answer.done():
                answer.set_result(result) if error is None else answer.set_exception(error)

        loop.call_at(ends_s, tell)
        if self.hand is not None and disk.look(self.hand, self.owner):
            now, disk.at_commit = disk.at_commit, None
            if now is not None:
                now()

    def _done(self, job: Callable[[Any], Any], fails: str) -> Any:
        if self.hand is None:
            raise Dead
        full = asyncio.get_running_loop().time() < self.disk.full_until_s
        if full or self.full:
            self.full = full
            pages = 1 if full else PAGES_MAX  # never below what there is
            self.hand.execute(f"PRAGMA max_page_count={pages}").fetchall()
        if fails == "before":
            raise failure("SQLITE_IOERR_WRITE", "disk I/O error")
        return job(self.hand)

    async def close(self) -> None:
        self.cut()

    def cut(self) -> None:
        """Closed now, whatever anybody says later."""
        hand, self.hand = self.hand, None
        if hand is not None:
            hand.close()


class WatchedJournal(SqliteJournal):
    """The journal; the plan may want to know when an append begins."""

    disk: Disk

    async def append(self, parts: Sequence[Part]) -> None:
        disk = self.disk
        now, disk.at_append = disk.at_append, None
        if now is not None:
            now()
        if disk.fails and any(part.facts for part in parts):
            disk.failing = disk.fails.pop(0)
        await super().append(parts)
