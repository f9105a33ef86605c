"""workers/nightly.py: each day that has closed is scanned by a child of low priority; what it marks becomes a finding.

a day ends, or a start ─▶ child: the journal read only, the totals counted on ─▶ marks ─▶ RaiseFinding, as any command
The last 30 days are looked at. What a hall knows already is not raised again, so a restart doubles nothing. A person
decides; no rating changes.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from core import commands as c
from core.conduct import FindingState
from core.state import HallState
from workers import logs
from workers.clock import monotonic_s, utc_s
from workers.desk import Desk
from workers.months import outcome
from workers.scans import OF_A_DAY, Marked

COMMAND: Final = (sys.executable, "-m", "workers.cli", "report")
WINDOW_DAYS: Final = 30


class Halls(Protocol):
    """Who decides: the dispatcher."""

    desks: dict[str, Desk]

    def ask(self, hall: str, command: c.Command) -> None: ...


class Marks(msgspec.Struct):
    """What the child says."""

    first: int
    lines: list[Marked]


class Nightly:
    """Asked by the clock. `after_s`: how long after a start or a day's end; 0: never."""

    def __init__(
        self,
        directory: Path,
        halls: Halls,
        log: Any,
        after_s: float,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._directory, self._halls, self._log, self._clock = directory, halls, log, clock
        self._after_s = after_s
        self._look_at = clock() + after_s if after_s else float("inf")
        self._day = 0
        self._task: asyncio.Task[None] | None = None
        self.scanned_s = 0.0  # unix time of the last that went well
        self.failures = 0

    def turn(self) -> None:
        """Start the child where a day has ended since the last one, one at a time. A failure waits for the next day."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + self._after_s
        day = max((desk.hall.state.day for desk in self._halls.desks.values()), default=0)
        if day and day != self._day and (self._task is None or self._task.done()):
            self._day = day
            self._task = asyncio.create_task(self._scan(day), name="nightly")

    async def _scan(self, day: int) -> None:
        last = date(day // 10000, day // 100 % 100, day % 100) - timedelta(1)
        span = ("--first", str(last - timedelta(WINDOW_DAYS - 1)), "--last", str(last))
        said, wrong = await outcome(*COMMAND, str(self._directory), "--by", "flags", "--format", "json", *span)
        try:
            self._raise(msgspec.json.decode(said, type=Marks))
        except msgspec.MsgspecError:
            self._failed(wrong)

    def _failed(self, error: str) -> None:
        self.failures += 1
        self._log.error(logs.SCAN_FAILED, error=error)

    def _raise(self, marks: Marks) -> None:
        raised = 0
        for one in marks.lines:
            desk = self._halls.desks.get(one.hall)
            if desk is not None and not known(desk.hall.state, one, marks.first):
                self._halls.ask(one.hall, one.finding())
                raised += 1
        self.scanned_s = utc_s()
        self._log.info(logs.SCANNED, marks=len(marks.lines), raised=raised)

    async def close(self) -> None:
        """A child is stopped; the next start looks again."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task


def known(state: HallState, mark: Marked, first: int) -> bool:
    """Whether a person has this before them, or had it when these ratings were there already.

    A mark of one day is over with that day; one of the whole window comes again when a month has passed.
    """
    since = mark.day if mark.rule in OF_A_DAY else first
    return any(
        one.state is FindingState.RAISED or one.day > since
        for one in state.findings.values()
        if (one.rule, one.subject) == (mark.rule, mark.subject)
    )
