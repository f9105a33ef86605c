"""workers/memory_journal.py: a journal without a disk, for tests and the simulation. It passes the same suite.

What it does wrong comes from a seed: a reply that is lost after the commit, a disk that is full for some tries, another
writer that got there first. Several of them over one `Stored` are several writers of one journal.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from workers.chain import Item
from workers.ports import Fenced, Letter, Note, Part, Row
from workers.turns import Turns

SNAPSHOTS_KEPT: Final = 3
BLOCK: Final = 5000


class ReplyLost(Exception):
    """The outcome is unknown: the same parts again, or a restart, settles it."""


@dataclass(slots=True)
class Stored:
    """What survives a crash: rows in seq order, snapshots by hall as (seq, hall_seq, data, good), letters, marks."""

    items: list[Item] = field(default_factory=list)
    snapshots: dict[str, list[tuple[int, int, bytes, bool]]] = field(default_factory=dict)
    letters: list[Letter] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    published: dict[str, int] = field(default_factory=dict)
    epoch: int = 0

    def heads(self) -> dict[str, int]:
        return {hall: n for hall, n, _ in self.items}


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Chances per append. A full disk makes 1 to 3 tries fail and is retried inside."""

    seed: int = 0
    reply_lost: float = 0.0
    full: float = 0.0
    fenced: float = 0.0


class MemoryJournal:
    """`Journal` and `Snapshots` over a `Stored`. Opening one raises the epoch, so an older one is fenced."""

    def __init__(self, stored: Stored, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._random = random.Random(self._faults.seed)  # noqa: S311 - faults must be repeatable, not secret
        self.stored = stored
        stored.epoch += 1
        self.epoch = stored.epoch
        self.retries = 0
        self.on_retry: Callable[[str], None] = lambda error: None
        self.on_recovered: Callable[[], None] = lambda: None
        self._turns = Turns("journal.turns")  # a retried batch is not overtaken
        self._heads = stored.heads()
        self._published: dict[str, int] = {}

    async def append(self, parts: Sequence[Part]) -> None:
        """All parts or none. ReplyLost after the commit, when the seed says so."""
        await self._turns.take(lambda: self._append(parts))

    async def _append(self, parts: Sequence[Part]) -> None:
        await self._room()
        if self._happens(self._faults.fenced):
            self.stored.epoch += 1
        new = self._unseen(parts)
        self._commit(new)
        if new and self._happens(self._faults.reply_lost):
            raise ReplyLost("committed, but the reply was lost")

    async def _room(self) -> None:
        """Wait while the disk is full. Nothing is written meanwhile."""
        if not self._happens(self._faults.full):
            return
        for _ in range(self._random.randint(1, 3)):
            self.retries += 1
            self.on_retry("SQLITE_FULL")
            await asyncio.sleep(0)
        self.on_recovered()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    def _unseen(self, parts: Sequence[Part]) -> list[Part]:
        """The parts to write. Fenced names the halls whose head is another and whose rows are not these."""
        assert len({part.hall for part in parts}) == len(parts), "one part a hall"
        if self.stored.epoch != self.epoch and parts:
            raise Fenced([part.hall for part in parts])
        stale = [part for part in parts if part.expected != self._heads.get(part.hall, 0)]
        foreign = [part.hall for part in stale if not self._holds(part)]
        if foreign:
            raise Fenced(foreign)
        return [part for part in parts if part not in stale]

    def _holds(self, part: Part) -> bool:
        """Are exactly these facts stored at this place?"""
        place = range(part.expected + 1, part.expected + len(part.facts) + 1)
        rows = [row for hall, n, row in self.stored.items if hall == part.hall and n in place]
        return bool(part.facts) and rows == list(part.facts)

    def _commit(self, parts: Sequence[Part]) -> None:
        for hall, expected, facts, letters, notes in parts:
            self.stored.items.extend((hall, n, row) for n, row in enumerate(facts, expected + 1))
            self.stored.letters.extend(letters)
            self.stored.notes.extend(notes)
            self._heads[hall] = expected + len(facts)
        if parts:
            self.stored.published.update(self._published)

    async def replay(self, hall: str, after: int = 0) -> AsyncIterator[tuple[int, Row]]:
        """The facts of one hall, n ascending."""
        for name, n, row in self.stored.items[:]:
            if name == hall and n > after:
                yield n, Row(*row)

    async def replay_all(self, after_seq: int) -> AsyncIterator[list[Item]]:
        """Blocks of up to 5,000 (hall, n, row) behind a seq."""
        durable = self.stored.items[after_seq:]
        for at in range(0, len(durable), BLOCK):
            yield durable[at : at + BLOCK]

    async def save(self, hall: str, hall_seq: int, data: bytes) -> None:
        """Store a whole state and keep the newest three."""
        assert 0 <= hall_seq <= self._heads.get(hall, 0), "a snapshot is never ahead of the journal"
        later = (at for at, (name, n, _) in enumerate(self.stored.items) if name == hall and n == hall_seq + 1)
        seq = next(later, len(self.stored.items))
        others = [row for row in self.stored.snapshots.get(hall, []) if row[1] != hall_seq]
        rows = sorted([*others, (seq, hall_seq, data, True)], key=lambda row: -row[1])
        self.stored.snapshots[hall] = rows[:SNAPSHOTS_KEPT]

    async def newest(self, hall: str) -> AsyncIterator[tuple[int, bytes]]:
        """(hall_seq, data), newest first. Damaged ones are left out."""
        for _, hall_seq, data, good in self.stored.snapshots.get(hall, []):
            if good:
                yield hall_seq, data

    def heads(self) -> dict[str, int]:
        return dict(self._heads)

    def save_marks(self, published: dict[str, int]) -> None:
        """Stored with the next append."""
        self._published.update(published)

    def marks(self) -> dict[str, int]:
        return {**self.stored.published, **self._published}

    async def maybe_checkpoint(self, idle: bool) -> bool:
        return False

    async def close(self) -> None:
        """Marks that waited for an append are stored."""
        self.stored.published.update(self._published)
