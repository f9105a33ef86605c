"""workers/retries.py: the writer's jobs, again and again while disk or lock say no.

full: the ballast goes, the same job at once; then, as when busy, after 0.2 s and each 0.5 s. Other errors propagate.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from workers import engine
from workers.ballast import Ballast
from workers.engine import Connection, Lane

FULL: Final = "SQLITE_FULL"
PASSING: Final = (FULL, "SQLITE_BUSY")


def said(error: str) -> str:
    """In words, what is waited for."""
    return f"journal {'full' if error.startswith(FULL) else 'locked by another process'} ({error})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who wants to hear of commits (seconds, facts), of a retry (error name) and of the end of retrying."""

    commit: Callable[[float, int], None] = lambda seconds, facts: None
    retry: Callable[[str], None] = lambda error: None
    recovered: Callable[[], None] = lambda: None


class Retries:
    """One at a time, by its owner's turn."""

    def __init__(self, lane: Lane, waits_s: tuple[float, float], ballast: Ballast) -> None:
        self.lane, self.ballast = lane, ballast
        self.listener = Listener()
        self.counts: dict[str, int] = {}
        self._waits_s = waits_s
        self._closing = asyncio.Event()
        self._remaking: asyncio.Task[None] | None = None
        self._trying = False

    async def run(self, job: Callable[[Connection], None], count: Callable[[], None]) -> None:
        """Until the disk has room and the lock is free. `count` is called before each try."""
        wait_s, then_s = self._waits_s
        self._trying, retried = True, False
        try:
            while (error := await self._tried(job, count)) is not None:
                self.counts[error] = self.counts.get(error, 0) + 1
                self.listener.retry(error)
                retried = True
                if error == FULL and self.ballast.give():
                    continue
                await self._pause(wait_s)
                wait_s = then_s
        finally:
            self._trying = False
        if retried and self.ballast.held:
            self.listener.recovered()
        elif retried and self._remaking is None:
            self._remaking = asyncio.create_task(self._remake(), name="journal.ballast")

    async def _tried(self, job: Callable[[Connection], None], count: Callable[[], None]) -> str | None:
        """The name of an error that passes; None when the job is done."""
        count()
        try:
            await self.lane.run(job)
        except engine.DatabaseError as error:
            name = engine.error_name(error)
            if not name.startswith(PASSING):
                raise
            return name
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try; closing gives it up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
            raise asyncio.CancelledError("the journal is closed")

    async def _remake(self) -> None:
        """Task `journal.ballast`: when there is room again the ballast is set aside first, then reading goes on."""
        while True:
            await asyncio.sleep(self._waits_s[1])
            if not self._trying and self.ballast.roomy() and await self.lane.run(lambda _: self.ballast.make()):
                break
        self._remaking = None
        self.listener.recovered()

    async def close(self) -> None:
        """A retry is given up; the ballast is made at the next start."""
        self._closing.set()
        if self._remaking is not None:
            self._remaking.cancel()
            with suppress(asyncio.CancelledError):
                await self._remaking
