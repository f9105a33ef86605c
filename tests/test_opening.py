"""workers/opening.py: the log is sized before the first append, the lock is given back when a start is refused."""

import asyncio
from pathlib import Path

import pytest

from tests.test_journal_suite import opened
from workers import engine, mark, opening, owner, recovery
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import JournalDamaged, Missing, Part, Row

NOW_MS = 1_795_420_911_000
SMALL = Options(presize=0, mark_every_s=3600)


def rows(first: int, count: int) -> list[Row]:
    return [Row(NOW_MS, 5, 1, f"kiosk-{n % 3}", "boot", n, f"fact {n}".encode()) for n in range(first, first + count)]


def test_a_presized_log_is_there_before_the_first_append(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, Options(presize=1 << 20)) as journal:
            size = journal.path.with_name(journal.path.name + "-wal").stat().st_size
            pages = await journal._lane.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
            assert await journal._lane.run(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
            await journal.append([Part("a", 0, rows(0, 100))])
            assert journal.path.with_name(journal.path.name + "-wal").stat().st_size == size > (1 << 20)
            assert pages < 40  # the filler is not in the file

    asyncio.run(scenario())


def test_a_refused_start_gives_the_lock_back_and_ends_its_threads(tmp_path: Path) -> None:
    (tmp_path / "journal-2026-11.db").write_bytes(b"x" * 8192)
    with pytest.raises(JournalDamaged):
        asyncio.run(SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS))
    owner.take(tmp_path).release()


def test_an_empty_log_is_sized_again_only_when_it_is_short(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = Options(presize=300_000)
        async with opened(tmp_path, options) as journal:
            await journal.append([Part("a", 0, rows(0, 10))])
            held = engine.connect(journal.path)  # keeps the log when the journal closes
            held.execute("SELECT count(*) FROM journal").fetchone()
            path = journal.path
        size = recovery.wal_of(path).stat().st_size
        async with opened(tmp_path, options) as journal:
            assert recovery.wal_of(path).stat().st_size == size
            assert journal.heads() == {"a": 10}
        held.close()

    asyncio.run(scenario())


def test_the_mark_is_there_before_the_first_append(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, SMALL) as journal:
            assert mark.slots(tmp_path / mark.NAME) == [mark.Mark(journal.epoch, 0, bytes(8))] * 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_READONLY_DIRECTORY", Missing),
        ("SQLITE_CANTOPEN", Missing),
        ("SQLITE_CORRUPT", JournalDamaged),
        ("SQLITE_IOERR_READ", engine.OperationalError),
    ],
)
def test_what_the_engine_refuses_is_told_by_its_cause(name: str, kind: type[Exception]) -> None:
    error = engine.OperationalError("told by its name")
    error.sqlite_errorname = name
    found = opening.refused(error, Path("data"))
    assert type(found) is kind
    assert kind is engine.OperationalError or f"({name})" in str(found).splitlines()[0]
