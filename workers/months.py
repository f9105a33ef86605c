"""workers/months.py: when a month ends. At an idle moment after the cut-over of day 1, forced after ten minutes.

every hall stored at its head ─▶ the journal goes on in the next file ─▶ a child archives the closed one
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from workers import logs, recovery, rotation
from workers.clock import monotonic_s
from workers.desk import Desk
from workers.journal import SqliteJournal

FORCED_S: Final = 600.0
COMMAND: Final = (sys.executable, "-m", "workers.cli", "journal", "archive")


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
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._journal, self._desks, self._heard, self._store = journal, desks, heard, store
        self._log, self._clock = log, clock
        self._wanted_at = 0.0
        self._archiving: asyncio.Task[None] | None = None

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

    def archive(self) -> None:
        """Start the child, if there is a closed month and none runs."""
        directory = self._journal.path.parent
        if len(list(directory.glob(recovery.MONTHS))) > 1 and (self._archiving is None or self._archiving.done()):
            self._archiving = asyncio.create_task(self._archive(directory), name="archive")

    async def _archive(self, directory: Path) -> None:
        """Its failure is told, and tried again with the next month or start: the closed file stays where it is."""
        try:
            child = await asyncio.create_subprocess_exec(
                *COMMAND, str(directory), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:  # no process, no memory, no file left
            self._log.error(logs.ARCHIVE_FAILED, error=str(error))
            return
        try:
            _, said = await child.communicate()
        except asyncio.CancelledError:
            child.kill()
            await child.wait()
            raise
        if child.returncode:
            self._log.error(logs.ARCHIVE_FAILED, error=logs.trouble(said))
        else:
            self._log.info(logs.ARCHIVED, directory=str(directory / recovery.ARCHIVE))

    async def close(self) -> None:
        """A child is stopped; what it left is made anew."""
        if self._archiving is not None:
            self._archiving.cancel()
            with suppress(asyncio.CancelledError):
                await self._archiving
