"""tests/simulation/disk.py: what survives a crash, and the journal of a process over it.

`append` takes time before the commit and after it: whoever dies before has written nothing, whoever dies after has
written all and told nobody. Full, failing and slow disks come from the plan; a damaged snapshot, too.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from workers.journal import Listener
from workers.memory_journal import MemoryJournal, Stored
from workers.ports import Part, Row

RETRY_S = (0.2, 0.5)


class DiskFailed(OSError):
    """The disk gave an error that is no passing one: the process must stop."""


class Disk:
    """The durable part, and what is wrong with it now."""

    def __init__(self, committed: Callable[[str, int, Row], None], delay_s: Callable[[], float]) -> None:
        self.stored = Stored()
        self.committed, self.delay_s = committed, delay_s
        self.causes: dict[tuple[str, str, int], int] = {}
        self.full_until_s = 0.0
        self.at_append: Callable[[], None] | None = None  # done once, when the next one begins
        self.at_commit: Callable[[], None] | None = None
        self.fails: list[str] = []  # "before" or "after" the commit, of the next appends

    def holds(self, cause: tuple[str, str, int]) -> bool:
        return cause in self.causes

    def damage_newest_snapshot(self, hall: str) -> bool:
        """False when there are not two: with the only one gone a start is refused, and that is right."""
        rows = self.stored.snapshots.get(hall, [])
        good = [at for at, row in enumerate(rows) if row[3]]
        if len(good) < 2:
            return False
        rows[good[0]] = (*rows[good[0]][:3], False)
        return True


class VirtualJournal(MemoryJournal):
    """One process's hold on the disk. `severed`: the process is dead."""

    def __init__(self, disk: Disk, note: Callable[[str], None]) -> None:
        super().__init__(disk.stored)
        self.disk, self.note = disk, note
        self.severed = False
        self.saved: Callable[[int], None] = lambda hall_seq: None
        self.listener = Listener()

    async def append(self, parts: Sequence[Part]) -> None:
        now, self.disk.at_append = self.disk.at_append, None
        if now is not None:
            now()
        await asyncio.sleep(self.disk.delay_s())
        await self._room_now()
        fails = self.disk.fails.pop(0) if self.disk.fails else ""
        if fails == "before":
            raise DiskFailed("nothing was written")
        await super().append(parts)
        await asyncio.sleep(self.disk.delay_s())
        if fails == "after":
            raise DiskFailed("all was written, the reply says that it failed")

    async def _room_now(self) -> None:
        loop, (wait_s, then_s), retried = asyncio.get_running_loop(), RETRY_S, False
        while loop.time() < self.disk.full_until_s:
            self.listener.retry("SQLITE_FULL")
            await asyncio.sleep(wait_s)
            wait_s, retried = then_s, True
        if retried:
            self.listener.recovered()

    def _commit(self, parts: Sequence[Part]) -> None:
        assert not self.severed, "the dead write nothing"
        super()._commit(parts)
        for part in parts:
            for n, row in enumerate(part.facts, part.expected + 1):
                self.disk.committed(part.hall, n, row)
        now, self.disk.at_commit = self.disk.at_commit, None
        if now is not None:
            now()
        if parts:
            self.note("commit " + ", ".join(f"{one.hall} +{len(one.facts)}" for one in parts))

    async def save(self, hall: str, hall_seq: int, data: bytes) -> None:
        await asyncio.sleep(self.disk.delay_s())
        await super().save(hall, hall_seq, data)
        await asyncio.sleep(self.disk.delay_s())
        self.saved(hall_seq)
        self.note(f"snapshot {hall} at {hall_seq}")

    async def start(self) -> Any:
        """The newest good snapshot of each hall and the seq behind which rows are needed."""
        chosen: dict[str, Any] = {}
        skipped: list[str] = []
        after: list[int] = []
        for hall in self.stored.heads():
            for seq, hall_seq, data, good in self.stored.snapshots.get(hall, []):
                if good:
                    chosen[hall] = SimpleNamespace(data=data, hall_seq=hall_seq)
                    after.append(seq)
                    break
                skipped.append(f"snapshot of {hall} at {hall_seq}: crc differs")
            else:
                after.append(0)
        return SimpleNamespace(snapshots=chosen, after=min(after, default=0), skipped=skipped)
