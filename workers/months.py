"""workers/months.py: when a month ends. At an idle moment after the cut-over of day 1, forced after ten minutes.

every hall stored at its head ─▶ the journal goes on in the next file ─▶ a child archives the closed one
a day has ended, or a start ─▶ a child erases what is too old in the archive ─▶ the facts that say so are appended here
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from workers import erasure, logs, recovery, rotation
from workers.clock import monotonic_s, utc_ms
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.notes import DAY_MS
from workers.settings import RetentionSection

FORCED_S: Final = 600.0
COMMAND: Final = (sys.executable, "-m", "workers.cli", "journal", "archive")
ERASE: Final = (sys.executable, "-m", "workers.cli", "journal", "erase", "--json", "--beside")


class Months:
    """Asked between batches, after the acknowledgements. `heard`: nothing of a hall flies any more; `store`: its
    state at its head."""

    def __init__(
        self,
        journal: SqliteJournal,
        desks: Mapping[str, Desk],
        *,
        heard: Callable[[str], bool],
        store: Callable[[str], Awaitable[None]],
        log: Any,
        retention: RetentionSection | None = None,
        now_ms: Callable[[], int] = utc_ms,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._journal, self._desks, self._heard, self._store = journal, desks, heard, store
        self._retention, self._now_ms = retention or RetentionSection(), now_ms
        self._log, self._clock = log, clock
        self._wanted_at = 0.0
        self._day = 0
        self._owing = False
        self._child: asyncio.Task[None] | None = None
        self.erase_failures = 0

    async def turn(self, idle: bool) -> bool:
        """Whether a month ended."""
        month = rotation.wanted(self._journal.path.name, [desk.hall.state.day for desk in self._desks.values()])
        if not month:
            self._wanted_at = 0.0
            return False
        self._wanted_at = self._wanted_at or self._clock()
        quiet = idle and all(map(self._heard, self._desks))
        if not quiet and self._clock() - self._wanted_at < FORCED_S:
            return False
        for name in self._desks:
            await self._store(name)
        closed = await self._journal.rotate(month)
        self._log.info(logs.MONTH_CLOSED, file=closed.name, next=self._journal.path.name)
        self.archive()
        return True

    async def age(self) -> bool:
        """One step of what is too old, between batches: the child, once a business day; then its facts. Whether it was
        one. A failure waits for the next day, or start."""
        if self._busy():
            return False
        if self._owing:
            return await self._tell()
        day = max((desk.hall.state.day for desk in self._desks.values()), default=0)
        if not day or day == self._day:
            return False
        self._day, directory = day, self._journal.path.parent
        months = [path.name for path in recovery.files(directory)[:-1]]
        limit = self._limit(min(self._retention.rows_days, self._retention.aggregates_days))
        if not closed_of(directory) and not any(name <= rotation.name_of(limit[:7]) for name in months):
            return False
        self._child = asyncio.create_task(self._night(directory), name="erase")
        return True

    def _limit(self, days: int) -> str:
        """The day so many days ago, 2026-11-30, UTC."""
        return time.strftime("%Y-%m-%d", time.gmtime((self._now_ms() - days * DAY_MS) / 1000))

    async def _night(self, directory: Path) -> None:
        if closed_of(directory):
            await self._archive(directory)
        await self._erase(directory)

    async def _tell(self) -> bool:
        """What was erased beside us goes on record, and into our states behind it."""
        parts = await erasure.tell(self._journal, self._now_ms())
        self._owing = parts is None  # somebody erases by hand just now
        for part in parts or ():
            desk = self._desks.get(part.hall)
            if desk is not None:
                desk.follow(part)
                desk.tallies.durable([part])
        return bool(parts)

    def archive(self) -> None:
        """Start the child, if there is a closed month and none runs."""
        directory = self._journal.path.parent
        if closed_of(directory) and not self._busy():
            self._child = asyncio.create_task(self._archive(directory), name="archive")

    def _busy(self) -> bool:
        return self._child is not None and not self._child.done()

    async def _archive(self, directory: Path) -> None:
        """Its failure is told, and tried again the next day: the closed file stays where it is."""
        _, wrong = await outcome(*COMMAND, str(directory))
        if wrong:
            self._log.error(logs.ARCHIVE_FAILED, error=wrong)
        else:
            self._log.info(logs.ARCHIVED, directory=str(directory / recovery.ARCHIVE))

    async def _erase(self, directory: Path) -> None:
        """Only what archived months hold, whole: nothing that a start reads, nothing that is written just now."""
        rows, totals = self._limit(self._retention.rows_days), self._limit(self._retention.aggregates_days)
        said, wrong = await outcome(*ERASE, str(directory), "--before", rows, "--totals-before", totals)
        try:
            done = msgspec.json.decode(said, type=erasure.Erased)
        except msgspec.MsgspecError:
            self.erase_failures += 1
            self._log.error(logs.ERASE_FAILED, error=wrong)
            return
        self._owing = all(one.done for one in erasure.owed(directory))  # else a start looks what was cut short
        facts = sum(one.facts for one in done.months)
        if facts or done.days:
            self._log.info(logs.ERASED, months=[one.month for one in done.months], facts=facts, days=done.days)

    async def close(self) -> None:
        """A child is stopped; what it left is made anew."""
        if self._child is not None:
            self._child.cancel()
            with suppress(asyncio.CancelledError):
                await self._child


def closed_of(directory: Path) -> list[Path]:
    """Closed months that wait for the archive."""
    return sorted(directory.glob(recovery.MONTHS))[:-1]


async def outcome(*command: str) -> tuple[bytes, str]:
    """What a child said, and what went wrong, "" if nothing did. Stopped with the task that waits for it."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except OSError as error:  # no process, no memory, no file left
        return b"", str(error)
    try:
        said, wrong = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    return (b"", logs.trouble(wrong) or f"exit code {child.returncode}") if child.returncode else (said, "")
