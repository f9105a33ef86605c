"""tests/ports_memory.py: inbox, outbox and ownership without broker or files: a second one at each seam."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from workers.ports import Acquired, Input, Lost, Outgoing


@dataclass
class MemoryInbox:
    """What `put` brings comes in batches of at most `most`. `confirmed`: what the source need not send again."""

    most: int = 3
    confirmed: list[Input] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rows: asyncio.Queue[Input] = asyncio.Queue(1000)  # full: the source waits

    def put(self, one: Input) -> None:
        self._rows.put_nowait(one)

    async def batches(self) -> AsyncIterator[Sequence[Input]]:
        while True:
            batch = [await self._rows.get()]
            while len(batch) < self.most and not self._rows.empty():
                batch.append(self._rows.get_nowait())
            yield batch

    async def settle(self, batch: Sequence[Input]) -> None:
        self.confirmed += batch


@dataclass
class MemoryOutbox:
    """`heard` by topic and in order."""

    heard: list[Outgoing] = field(default_factory=list)

    async def emit(self, messages: Sequence[Outgoing]) -> None:
        self.heard += messages


class MemoryLeases:
    """Halls by lease, as in a centre: whoever asks first has it, until it gives it back or it is taken away."""

    def __init__(self, holders: dict[str, "MemoryLeases"], halls: Sequence[str]) -> None:
        self._holders, self._halls = holders, tuple(halls)
        self._mine: set[str] = set()

    async def changes(self) -> AsyncIterator[Acquired | Lost]:
        while True:
            for hall in self._halls:
                holder = self._holders.setdefault(hall, self)
                if holder is self and hall not in self._mine:
                    self._mine.add(hall)
                    yield Acquired(hall)
                elif holder is not self and hall in self._mine:
                    self._mine.remove(hall)
                    yield Lost(hall)
            await asyncio.sleep(0)

    def release(self) -> None:
        for hall in self._mine:
            del self._holders[hall]
        self._mine.clear()
