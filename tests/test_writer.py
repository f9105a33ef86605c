"""workers/writer.py: other writers are fenced, a batch is whole or absent, words, letters, snapshots, checkpoints."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.test_journal_suite import opened
from workers import engine
from workers.chain import START, Head, columns
from workers.opening import Options
from workers.ports import Fenced, Letter, Part, Row
from workers.verify import verify
from workers.writer import Batch, Words, write

NOW_MS = 1_795_420_911_000
SMALL = Options(presize=0, mark_every_s=3600)


def rows(first: int, count: int) -> list[Row]:
    return [Row(NOW_MS, 5, 1, f"kiosk-{n % 3}", "boot", n, f"fact {n}".encode()) for n in range(first, first + count)]


def test_another_epoch_in_the_file_fences_every_part(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, 2))])
            other = engine.connect(journal.path, isolation_level=None)
            other.execute("UPDATE meta SET v = v + 1 WHERE k = 'epoch'")
            with pytest.raises(Fenced):
                await journal.save("a", 2, b"state")
            with pytest.raises(Fenced) as fenced:
                await journal.append([Part("a", 2, rows(2, 1)), Part("b", 0, rows(0, 1))])
            assert fenced.value.halls == ("a", "b")
            (epoch,) = other.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()
            assert str(fenced.value) == f"fenced: epoch {epoch} has taken over\nhalls a, b"
            with pytest.raises(Fenced):
                await journal.append([Part("a", 2, rows(2, 1))])  # nothing goes on after that
            assert other.execute("SELECT count(*) FROM journal").fetchone() == (2,)
            other.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("count", [1, 49, 50, 51, 100, 149])
def test_as_many_rows_are_stored_as_a_batch_has_in_their_order(tmp_path: Path, count: int) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, count))])
            assert [row async for _, row in journal.replay("a")] == rows(0, count)
        assert verify(tmp_path) == []

    asyncio.run(scenario())


def test_a_taken_seq_fences(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, 2))])
            other = engine.connect(journal.path, isolation_level=None)
            other.execute("INSERT INTO journal VALUES(3, 1, 3, 0, 1, 1, 0, 0, 0, x'')")
            with pytest.raises(Fenced):
                await journal.append([Part("a", 2, rows(2, 1))])
            assert other.execute("SELECT count(*) FROM journal").fetchone() == (3,)
            other.close()

    asyncio.run(scenario())


class Stopping:
    """A connection whose k-th statement never comes back."""

    def __init__(self, db: engine.Connection, left: int) -> None:
        self.db, self.left = db, left

    @property
    def in_transaction(self) -> bool:
        return self.db.in_transaction

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        self._step(sql)
        return self.db.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        self._step(sql)
        return self.db.executemany(sql, parameters)

    def _step(self, sql: str) -> None:
        if sql != "ROLLBACK":
            self.left -= 1
            if self.left < 0:
                raise InterruptedError(sql)


@pytest.mark.parametrize("statement", range(9))
def test_c4_an_error_at_any_statement_leaves_nothing_of_the_batch(tmp_path: Path, statement: int) -> None:
    async def scenario() -> Path:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, 2))])
            return journal.path

    path = asyncio.run(scenario())
    db = engine.connect(path, isolation_level=None)
    epoch = db.execute("SELECT v FROM meta WHERE k = 'epoch'").fetchone()[0]
    letter = Letter(NOW_MS, "t", "r", b"", b"")
    facts, words, meta = columns([("b", 1, rows(9, 1)[0])]), ((5, "b"),), (("first:5", 3),)
    batch = Batch(Head(3, 3, epoch, NOW_MS), START, facts, [5], [0], [0], words, meta, (letter,))
    with pytest.raises(InterruptedError):
        write(Stopping(db, statement), batch)
    counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("journal", "batch", "letter")]
    assert counts == [2, 1, 0]
    assert not db.in_transaction
    db.close()


def test_letters_are_kept_with_their_batch_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.writer.LETTERS_KEPT", 5)

    async def scenario() -> list[tuple[str, int]]:
        async with opened(tmp_path, SMALL) as journal:
            for n in range(9):
                letter = Letter(NOW_MS, f"jh/v1/a/d/{n}", "syntax", b"digest", b"\xff")
                await journal.append([Part("a", n // 2, rows(n // 2, n % 2), [letter])])
            return await journal._lane.run(lambda db: db.execute("SELECT topic, seq FROM letter").fetchall())

    assert asyncio.run(scenario()) == [(f"jh/v1/a/d/{n}", (n + 1) // 2) for n in range(4, 9)]


def test_words_are_dense_and_stored_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, 6))])
            with pytest.raises(Fenced):
                await journal.append([Part("a", 0, [rows(1, 1)[0]._replace(device="unseen")])])
            await journal.append([Part("a", 6, rows(6, 6)), Part("b", 0, rows(0, 1))])
        async with opened(tmp_path, SMALL) as journal:
            stored = await journal._lane.run(lambda db: db.execute("SELECT id, text FROM word").fetchall())
            assert stored == list(enumerate(["a", "kiosk-0", "kiosk-1", "kiosk-2", "boot", "b"], 1))
            assert Words(["", *(text for _, text in stored)])["b"] == 6

    asyncio.run(scenario())


def test_a_snapshot_brings_the_words_it_needs_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.save("new", 0, b"nothing yet")
            await journal.append([Part("new", 0, rows(0, 1))])
            await asyncio.gather(journal.append([Part("a", 0, rows(0, 1))]), journal.save("b", 0, b"nothing yet"))
            await journal.append([Part("b", 0, rows(0, 1))])
        async with opened(tmp_path, SMALL) as journal:
            assert journal.heads() == {"new": 1, "a": 1, "b": 1}
            assert [hall async for hall in journal.newest("b")] == [(0, b"nothing yet")]
        assert verify(tmp_path) == []

    asyncio.run(scenario())


def test_a_checkpoint_comes_when_the_log_has_grown_and_the_log_is_used_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = Options(presize=0, checkpoint=400_000, checkpoint_idle=50_000)
        async with opened(tmp_path, options) as journal:
            assert not await journal.maybe_checkpoint(idle=True)
            sizes = []
            for n in range(60):
                await journal.append([Part("a", 100 * n, rows(100 * n, 100))])
                await journal.maybe_checkpoint(idle=False)
                sizes.append(journal.stats.wal_bytes)
            assert journal.stats.checkpoints >= 2
            assert max(sizes) < 1_000_000
            checkpoints = journal.stats.checkpoints
            for n in range(60, 65):
                await journal.append([Part("a", 100 * n, rows(100 * n, 100))])
            assert await journal.maybe_checkpoint(idle=True)
            assert journal.stats.checkpoints == checkpoints + 1

    asyncio.run(scenario())


def test_what_a_reader_held_back_is_moved_once_he_has_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, Options(presize=0, checkpoint=50_000, checkpoint_idle=50_000)) as journal:
            await journal.append([Part("a", 0, rows(0, 1))])
            with closing(engine.reader(journal.path)) as db:
                db.execute("BEGIN")
                assert db.execute("SELECT count(*) FROM journal").fetchone() == (1,)
                await journal.append([Part("a", 1, rows(1, 1000))])
                assert await journal.maybe_checkpoint(idle=True), "as far as the reader lets it"
            assert await journal.maybe_checkpoint(idle=True), "the rest"
            assert not await journal.maybe_checkpoint(idle=True), "nothing is left"

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_FSYNC"])
def test_a_checkpoint_is_put_off_by_a_full_disk_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fails(db: engine.Connection) -> tuple[int, int]:
        error = engine.OperationalError("as told")
        error.sqlite_errorname = name
        raise error

    async def scenario() -> bool:
        async with opened(tmp_path, Options(presize=0, checkpoint=0)) as journal:
            monkeypatch.setattr("workers.journal.checkpoint", fails)
            return await journal.maybe_checkpoint(idle=False)

    if name == "SQLITE_FULL":
        assert asyncio.run(scenario()) is False
    else:
        with pytest.raises(engine.OperationalError, match="as told"):
            asyncio.run(scenario())


def test_a_state_behind_the_head_is_good_up_to_the_batch_before_its_next_fact(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            for n in range(3):
                await journal.append([Part("a", n, rows(n, 1))])
            await journal.save("a", 1, b"state")
            assert (await journal.start()).after == 1, "fact 2 stands at the end of batch 2, and is read"

    asyncio.run(scenario())


def test_a_quiet_halls_snapshot_keeps_up_with_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("quiet", 0, rows(0, 3)), Part("busy", 0, rows(0, 3))])
            await journal.save("quiet", 3, b"quiet")
            await journal.append([Part("busy", 3, rows(3, 50))])
            await journal.save("busy", 53, b"busy")
            assert (await journal.start()).after == 6
            assert await journal.refresh("quiet")
            assert (await journal.start()).after == 56
            assert not await journal.refresh("nowhere")
        async with opened(tmp_path, SMALL) as journal:
            assert journal.heads() == {"quiet": 3, "busy": 53}
        assert verify(tmp_path) == []

    asyncio.run(scenario())


def test_after_an_error_that_does_not_pass_nothing_is_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is unknown: only a restart settles it. What was retried before is not."""

    def broken(db: engine.Connection, batch: object) -> None:
        error = engine.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_WRITE"
        raise error

    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            await journal.append([Part("a", 0, rows(0, 1))])
            journal.save_marks({"a": 1})
            with monkeypatch.context() as patch, pytest.raises(engine.OperationalError, match="disk I/O"):
                patch.setattr("workers.journal.write", broken)
                await journal.append([Part("a", 1, rows(1, 1))])
            with pytest.raises(engine.OperationalError, match="disk I/O"):
                await journal.append([Part("b", 0, rows(0, 1))])
            with pytest.raises(engine.OperationalError, match="disk I/O"):
                await journal.save("a", 1, b"state")
            assert journal.stats.retries == {}
        async with opened(tmp_path, SMALL) as journal:
            assert journal.heads() == {"a": 1}

    asyncio.run(scenario())
