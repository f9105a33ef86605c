"""workers/door.py: how pages reach the loop: commands in, looks at committed state, news out.

A page's command is decided with the next batch and answered after its commit. What is read or drawn is read between a
commit and the next fold: the state is then what the journal holds.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from core import commands as c
from core.effects import Effects
from core.fact import Cause, Fact
from core.refusals import Refusal
from devices import wire
from workers.desk import Desk

WAITING_MAX: Final = 256  # commands and looks that wait for the loop; beyond, the page is told to come again
Found = TypeVar("Found")
Desks = Mapping[str, Desk]


class Busy(Exception):
    """Too much waits already, or the process is about to end."""


class Watcher(Protocol):
    """Who draws pages. Neither call may block."""

    def committed(self, desks: Desks, heard: Mapping[str, Effects]) -> None:
        """Durable now; `heard`: what the facts of each hall mean outside."""

    def stale(self) -> bool:
        """Whether something is to be drawn though nothing has happened."""


class _Asked(NamedTuple):
    decide: Callable[[Desks, int], Any]
    hall: str
    future: "asyncio.Future[Any]"


class Door:
    """What waits for the loop. Bounded: beyond `WAITING_MAX` Busy is raised at once. `wake` has the loop turn."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self.wake = wake
        self.watcher: Watcher | None = None
        self._asked: list[_Asked] = []
        self._looks: list[tuple[Callable[[Desks], Any], asyncio.Future[Any]]] = []
        self._decided: list[tuple[asyncio.Future[Any], Any]] = []
        self._closed = False

    # Pages.

    async def submit(self, hall: str, device: str, payload: bytes) -> wire.Result:
        """One event of a page that is a device: its answer, after the commit."""

        def decide(desks: Desks, at_ms: int) -> wire.Result:
            desk = desks.get(hall)
            if desk is None or not desk.knows(device):
                return wire.Result(0, refused=str(Refusal.DEVICE_UNKNOWN), keep=True)
            found = desk.submit(device, payload, at_ms)
            return wire.Result(0, refused=str(Refusal.BAD_FIELD)) if found is None else found

        return await self._enter(hall, decide)

    async def perform(self, hall: str, cause: Cause, command: c.Command, comment: str = "") -> wire.Result:
        """A command of a person without a device, under a number: its answer, after the commit."""

        def decide(desks: Desks, at_ms: int) -> wire.Result:
            desk = desks.get(hall)
            if desk is None:
                return wire.Result(cause.seq, refused=str(Refusal.WRONG_HALL), keep=True)
            return desk.perform(cause, command, at_ms, comment)

        return await self._enter(hall, decide)

    async def ask(self, hall: str, command: c.Command, comment: str = "") -> list[Fact]:
        """A command of the shell for a person without a device; its facts, after the commit. Empty: no such hall."""

        def decide(desks: Desks, at_ms: int) -> list[Fact]:
            desk = desks.get(hall)
            return [] if desk is None else desk.ask(command, at_ms, comment)

        return await self._enter(hall, decide)

    async def look(self, read: Callable[[Desks], Found]) -> Found:
        """What `read` finds in the committed state. It must not keep what it is given."""
        future: asyncio.Future[Found] = self._future()
        self._looks.append((read, future))
        self.wake()
        return await future

    async def _enter(self, hall: str, decide: Callable[[Desks, int], Found]) -> Found:
        future: asyncio.Future[Found] = self._future()
        self._asked.append(_Asked(decide, hall, future))
        self.wake()
        return await future

    def _future(self) -> "asyncio.Future[Any]":
        if self._closed or len(self._asked) + len(self._looks) >= WAITING_MAX:
            raise Busy
        return asyncio.get_running_loop().create_future()

    # The loop.

    def restless(self) -> bool:
        """Whether the loop should turn though no input has come."""
        return bool(self._asked or self._looks) or (self.watcher is not None and self.watcher.stale())

    def decide(self, desks: Desks, at_ms: int) -> list[str]:
        """Everything that pages asked, in order; the halls it touched. Inside a fold: no await."""
        asked, self._asked = self._asked, []
        for one in asked:
            self._decided.append((one.future, one.decide(desks, at_ms)))
        return [one.hall for one in asked if one.hall in desks]

    def committed(self, desks: Desks, heard: Mapping[str, Effects]) -> None:
        """Answers, looks and pictures. Whoever has gone meanwhile is not missed."""
        decided, self._decided = self._decided, []
        for future, found in decided:
            if not future.done():
                future.set_result(found)
        looks, self._looks = self._looks, []
        for read, future in looks:
            if not future.done():
                future.set_result(read(desks))
        if self.watcher is not None:
            self.watcher.committed(desks, heard)

    def close(self) -> None:
        """The loop has ended: nobody waits for it any more."""
        self._closed = True
        decided = [future for future, _ in self._decided]
        for future in [*(one.future for one in self._asked), *decided, *(future for _, future in self._looks)]:
            future.cancel()
        self._asked, self._looks, self._decided = [], [], []
