"""workers/journal.py: facts made durable in SQLite. One thread hop and one transaction a batch, `synchronous=FULL`.

append: heads compared in memory ─▶ rows built on the loop ─▶ one hop: BEGIN IMMEDIATE, epoch, rows, seal, COMMIT
full or busy: the same batch again, nothing overtakes it ─▶ heads advance only now.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from workers import engine, mark, opening, owner, reading, recovery, rotation, twice
from workers.ballast import Ballast
from workers.chain import Columns, Head, Item
from workers.engine import Connection
from workers.opening import Opened, Options
from workers.ports import Fenced, Part, Row
from workers.retries import PASSING, Retries
from workers.retries import Listener as Listener  # its users know the journal, not how it retries
from workers.turns import Turns
from workers.views import Views
from workers.writer import (
    FRAME,
    PAYLOAD,
    STORED,
    Batch,
    Foreign,
    Stats,
    Words,
    checkpoint,
    raise_snapshot,
    store_snapshot,
    write,
)

T = TypeVar("T")


class SqliteJournal:
    """The `Journal` and `Snapshots` of one machine. One at a time a directory; made by `open`."""

    def __init__(self, opened: Opened, now_ms: Callable[[], int], options: Options) -> None:
        self.path, self._lane, tail, held, self._mark_file, ballast = opened
        self._owner: owner.Owner | None = held
        self.epoch, self.stats = tail.epoch, Stats()
        self._now_ms, self._options = now_ms, options
        self._last, self._seal, self._heads = tail.last, tail.seal, tail.heads
        self._words, self._published = Words(tail.texts), tail.published
        self.views = Views(tail.proj_seq)
        self._unsaved: dict[str, int] = {}
        self._turns = Turns("journal.turns")  # one transaction after the other, also while one is retried
        self._failed: BaseException | None = None
        self._grown = 0
        self._marked = tail.last
        self.stats.wal_bytes = recovery.wal_of(self.path).stat().st_size
        self._retries = Retries(self._lane, options.retry_s, ballast)
        self.stats.retries = self._retries.counts
        self._marking = asyncio.create_task(self._mark_each(), name="journal.mark")

    @classmethod
    async def open(
        cls, directory: Path, *, now_ms: Callable[[], int], options: Options | None = None
    ) -> "SqliteJournal":
        """Lock, examine, then write. Taken, Missing, Newer or JournalDamaged; then what is there was not changed."""
        options = options or Options()
        return cls(await opening.begin(directory, now_ms(), options), now_ms, options)

    @property
    def listener(self) -> Listener:
        """Who hears of commits and retries."""
        return self._retries.listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        self._retries.listener = listener

    @property
    def ballast(self) -> Ballast:
        """Room set aside, and what is left beside it."""
        return self._retries.ballast

    async def close(self) -> None:
        """What is under way ends first; a retry is given up. Idempotent."""
        held, self._owner = self._owner, None
        if held is None:
            return
        try:
            await self._stop()
        finally:
            await self._lane.close()
            self._mark_file.close()
            held.release()

    # --- append ---

    async def append(self, parts: Sequence[Part]) -> None:
        """Durable on return: all parts or none. Fenced, nothing written. A part stored before, byte for byte, is done.

        A cancelled caller leaves a commit that has begun to its end: nothing is torn, memory follows.
        """
        await self._in_turn(lambda: self._append(parts))

    async def _in_turn(self, job: Callable[[], Awaitable[T]]) -> T:
        """Nothing overtakes. After a failure nothing is written any more."""

        async def sound() -> T:
            self._refuse_after_failure()
            return await job()

        return await self._turns.take(sound)

    def _refuse_after_failure(self) -> None:
        """After an error that does not pass nothing is written any more: its outcome is unknown."""
        if self._failed is not None:
            raise self._failed

    async def _append(self, parts: Sequence[Part]) -> None:
        parts = await self._unseen(parts)
        batch = self._batch(parts)
        if not (batch.numbers or batch.letters or batch.views):
            return
        await self._commit(batch, parts)

    async def _commit(self, batch: Batch, parts: Sequence[Part]) -> None:
        try:
            await self._write(batch, [part.hall for part in parts])
        except BaseException as error:  # also when it is given up: what memory holds is not all on disk
            self._failed = error
            raise
        self._advance(batch, parts)

    async def _unseen(self, parts: Sequence[Part]) -> Sequence[Part]:
        """The parts to write. Fenced names the halls whose head is another and whose rows are not these."""
        heads = self._heads
        assert len({part.hall for part in parts}) == len(parts), "one part a hall"
        stale = [part for part in parts if part.expected != heads.get(part.hall, 0)]
        foreign = [part.hall for part in stale if not await self._stored(part)]
        if foreign:
            raise Fenced(foreign)
        return [part for part in parts if part not in stale] if stale else parts

    async def _stored(self, part: Part) -> bool:
        """Are exactly these facts in the journal at this place? The reply to an append can have been lost."""
        end = part.expected + len(part.facts)
        if not part.facts or part.expected < 0 or end > self._heads.get(part.hall, 0):
            return False
        place = (self._words[part.hall], part.expected, end, len(part.facts))
        rows = await self._other(lambda db: db.execute(STORED, place).fetchall())
        return [Row(at, kind, v, device or "", boot or "", *rest) for at, kind, v, device, boot, *rest in rows] == list(
            reversed(part.facts)
        )

    def _batch(self, parts: Sequence[Part], *, flush: bool = False) -> Batch:
        """Columns with their numbers, ready for the writer. On the loop: about 0.1 µs a fact."""
        ids, facts, numbers = self._words, Columns([], [], []), list[int]()
        kept = {f"published:{ids[hall]}": n for hall, n in self._unsaved.items()}
        meta = list[tuple[str, int]]()
        for hall, n, rows, *_ in parts:
            if n == 0 and rows:
                meta.append((f"first:{ids[hall]}", self._last + len(numbers) + 1))
            facts.halls.extend(repeat(hall, len(rows)))
            facts.ns.extend(range(n + 1, n + 1 + len(rows)))
            facts.rows.extend(rows)
            numbers.extend(repeat(ids[hall], len(rows)))
        devices, boots = [ids[row[3]] for row in facts.rows], [ids[row[4]] for row in facts.rows]
        head = Head(self._last + 1, self._last + len(numbers), self.epoch, self._now_ms())
        letters = tuple(letter for part in parts for letter in part.letters)
        notes = tuple((ref, ids[part.hall], at_ms, text) for part in parts for ref, at_ms, text in part.notes)
        pictures, watermark = self.views.take(ids, head.last, len(numbers), now=flush)
        if watermark:
            kept["proj_seq"] = watermark
        meta += twice.stored(kept).items()
        words = tuple(ids.fresh)
        return Batch(head, self._seal, facts, numbers, devices, boots, words, tuple(meta), letters, pictures, notes)

    async def _write(self, batch: Batch, halls: Sequence[str]) -> None:
        """Fenced when another writer was there; the engine's error when it is not a passing one."""
        started = time.perf_counter()
        try:
            await self._again(lambda db: write(db, batch), counted=True)
        except Foreign as error:
            raise Fenced(halls, str(error)) from error
        except engine.IntegrityError as error:
            if engine.taken(error):
                raise Fenced(halls) from error
            raise
        self.listener.commit(time.perf_counter() - started, len(batch.numbers))

    async def _again(self, job: Callable[[Connection], None], *, counted: bool = False) -> None:
        """Run a job until the disk has room and the lock is free. Any other error propagates."""
        await self._retries.run(job, lambda: self._count(counted))

    def _count(self, appending: bool) -> None:
        if appending:
            self.stats.append_hops += 1
        else:
            self.stats.other_hops += 1

    async def alone(self, job: Callable[[Connection], T]) -> T:
        """A job of upkeep in the writer's thread, between two batches."""
        return await self._in_turn(lambda: self._other(job))

    async def _other(self, job: Callable[[Connection], T]) -> T:
        self._count(False)
        return await self._lane.run(job)

    def _advance(self, batch: Batch, parts: Sequence[Part]) -> None:
        """Memory follows the disk, never the other way round."""
        self._heads.update((part.hall, part.expected + len(part.facts)) for part in parts if part.facts)
        if batch.seal is not None:
            self._last, self._seal = batch.head.last, batch.seal
        del self._words.fresh[: len(batch.words)]
        saved = dict(batch.meta)
        self._unsaved = {h: n for h, n in self._unsaved.items() if saved.get(f"published:{self._words[h]}") != n}
        count, size = len(batch.numbers), sum(map(len, map(PAYLOAD, batch.facts.rows)))
        self.stats.commits += 1
        self.stats.facts += count
        self.stats.bytes += size
        self._grown += FRAME * (4 + (size + 40 * count) // 3800)

    # --- reading ---

    async def replay(self, hall: str, after: int = 0) -> AsyncIterator[tuple[int, Row]]:
        """The facts of one hall, n ascending. Only what is durable: another connection reads."""
        async with aclosing(self.replay_all(0)) as found:
            async for block in found:
                for name, n, row in block:
                    if name == hall and n > after:
                        yield n, Row(*row)

    def replay_all(self, after_seq: int) -> AsyncGenerator[list[Item], None]:
        """Blocks of up to 5,000 (hall, n, row) behind a seq, each batch checked first. JournalDamaged."""
        return reading.blocks(self.path.parent, after_seq)

    def heads(self) -> dict[str, int]:
        """The last n of each hall."""
        return dict(self._heads)

    @property
    def last(self) -> int:
        """The seq of the last durable fact."""
        return self._last

    async def start(self) -> recovery.Start:
        """Where the fold begins: the newest good snapshots and the seq behind which rows are needed."""
        return await self._other(lambda db: recovery.start(db, self._options.formats))

    # --- published marks: written with the next batch, so they cost no commit of their own ---

    def save_marks(self, published: dict[str, int]) -> None:
        """Effects up to these n have been heard outside. Lost marks only mean that effects are repeated."""
        risen = {hall: n for hall, n in published.items() if n > self._published.get(hall, -1)}
        self._published.update(risen)
        self._unsaved.update(risen)

    def marks(self) -> dict[str, int]:
        return dict(self._published)

    # --- pictures and snapshots ---

    async def sweep(self, *, flush: bool = False) -> None:
        """Write rows that are out of date, by batches of their own: when it is time, or all of them at once."""
        while self.views.behind if flush else self.views.due():
            await self._in_turn(lambda: self._commit(self._batch((), flush=flush), ()))

    async def save(self, hall: str, hall_seq: int, data: bytes, *, fmt: int = 1, heard: bool = True) -> None:
        """Store a whole state and keep the newest three. Full and busy are retried like a batch.

        Rows of what it holds are written before: after a crash only facts behind it are noted again. `heard`: so were
        all effects of what it holds; else a start begins with it only when the published mark has reached it.
        """
        await self.sweep(flush=True)
        await self._in_turn(lambda: self._save(hall, hall_seq, data, fmt, heard))

    async def _save(self, hall: str, hall_seq: int, data: bytes, fmt: int, heard: bool) -> None:
        head, number = self._heads.get(hall, 0), self._words[hall]
        assert 0 <= hall_seq <= head, f"snapshot of {hall} at {hall_seq}, the journal ends at {head}"
        seq = self._last if hall_seq == head else -1
        made = recovery.Snapshot(hall, hall_seq, seq, fmt, self._now_ms(), data)
        fresh = tuple(self._words.fresh)
        published = hall_seq if heard else 0
        try:
            await self._again(lambda db: store_snapshot(db, self.epoch, number, made, fresh, published))
        except Foreign as error:
            raise Fenced([hall], str(error)) from error
        del self._words.fresh[: len(fresh)]
        if published >= self._published.get(hall, 0):
            self._published[hall] = published
            self._unsaved.pop(hall, None)
        self.stats.snapshots += 1

    async def refresh(self, hall: str) -> bool:
        """Let the newest snapshot of a hall without news count up to now, so that it does not lengthen recovery."""
        number, head, last = self._words.get(hall, -1), self._heads.get(hall, 0), self._last
        return await self.alone(lambda db: raise_snapshot(db, hall, number, head, last))

    def newest(self, hall: str) -> AsyncIterator[tuple[int, bytes]]:
        """(hall_seq, data), newest first. Damaged ones and unknown formats are left out."""
        number = self._words.get(hall, -1)
        return reading.states(self.path, hall, number, self._options.formats)

    # --- months ---

    async def rotate(self, month: str) -> Path:
        """Go on in the file of a later month; the closed one. Every hall must be stored at its head, else Missing.

        Until the rename nothing has happened; an error behind it stops the journal, and the next start goes on there.
        """
        await self.sweep(flush=True)
        return await self._in_turn(lambda: self._rotate(month))

    async def _rotate(self, month: str) -> Path:
        await self._mark()  # the new file knows the seal where it begins, and none before
        closed, now_ms, days = self.path, self._now_ms(), self._options.comments_days
        new = await self._other(lambda db: rotation.begin(db, closed, month, now_ms, days, self.epoch))
        try:
            await self._switch(rotation.publish(new))
        except BaseException as error:
            self._failed = error
            raise
        return closed

    async def _switch(self, path: Path) -> None:
        """The writer to another file. It is examined like at a start, and its epoch raised."""
        assert self._owner is not None, "a journal that is open has its lock"
        before, mark_before = self._lane, self._mark_file
        self.path, self._lane, tail, _, self._mark_file, _ = await opening.write_on(
            path, self._owner, self.ballast, self._now_ms(), self._options
        )
        self.epoch, self._retries.lane, self._grown = tail.epoch, self._lane, 0
        mark_before.close()
        await before.close()

    # --- upkeep: after the acknowledgements, in hops of their own ---

    async def maybe_checkpoint(self, idle: bool) -> bool:
        """PASSIVE when the WAL has grown by 16 MB, or by 1 MB and nothing waits. On a full disk: again next time."""
        if self._grown < (self._options.checkpoint_idle if idle else self._options.checkpoint):
            return False
        started = time.perf_counter()
        try:
            frames, moved = await self._other(checkpoint)
        except engine.DatabaseError as error:
            if not engine.error_name(error).startswith(PASSING):
                raise
            return False
        self._grown = max(0, frames - moved) * FRAME
        self.stats.checkpoints += 1
        self.stats.checkpoint_seconds += time.perf_counter() - started
        self.stats.wal_bytes = recovery.wal_of(self.path).stat().st_size
        return True

    async def _mark_each(self) -> None:
        """Task `journal.mark`. Its failure fails the next append."""
        try:
            while True:
                await asyncio.sleep(self._options.mark_every_s)
                await self._mark()
        except Exception as error:  # a disk that refuses the mark is as bad as one that refuses a batch
            self._failed = error

    async def _mark(self) -> None:
        if self._marked != self._last:
            point = self._mark_now()
            await self._other(lambda _: self._mark_file.write(point))
            self._marked = point.seq
            self.stats.marks += 1

    def _mark_now(self) -> mark.Mark:
        return mark.Mark(self.epoch, self._last, self._seal.chain[:8])

    async def _stop(self) -> None:
        """End the tasks; store what was only kept in memory, unless the journal has failed."""
        await self._retries.close()
        self._marking.cancel()
        with suppress(asyncio.CancelledError):
            await self._marking
        await self._turns.take(self._leave)

    async def _leave(self) -> None:
        """The published marks that no batch took along, and the last mark. A start can do without: no room, or another
        writer that has taken over, must not hide why the process ends."""
        if self._failed is not None:
            return
        try:
            while self._unsaved or self.views.behind:
                await self._at_once(self._batch((), flush=True))
        except Foreign:
            return
        except engine.DatabaseError as error:
            if not engine.error_name(error).startswith(PASSING):
                raise
        await self._mark()

    async def _at_once(self, batch: Batch) -> None:
        await self._other(lambda db: write(db, batch))
        self._advance(batch, ())
