"""workers/torn.py: with its first page gone a month is read to its last row, and what is beside it stays."""

import asyncio
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_recovery import NOW_MS, a_journal, rows, start
from tests.test_rotation import rotated
from tests.test_salvage import heads, lines
from workers import archive, backup, engine, recovery, rotation, salvage
from workers.ports import JournalDamaged, Part
from workers.verify import verify

PAGE = 4096


def noise(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def with_root_elsewhere(content: bytes) -> bytes:
    """A bit of the number of the page where the rows begin."""
    at = content.index(b"tablejournaljournal") + len("tablejournaljournal")
    assert content[at] == 2
    return content[:at] + b"\x03" + content[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda content: bytes(PAGE) + content[PAGE:],
    "noise": lambda content: noise(PAGE) + content[PAGE:],
    "no header": lambda content: bytes(100) + content[100:],
    "half of it": lambda content: content[:2048] + bytes(2048) + content[PAGE:],
    "another name": lambda content: content.replace(b"CREATE TABLE batch", b"CREATE TABLE catch", 1),
    "another root": with_root_elsewhere,
    "another page size": lambda content: content[:16] + b"\x20\x00" + content[18:],
    "room kept free": lambda content: content[:20] + b"\x40" + content[21:],
    "another encoding": lambda content: content[:59] + b"\x02" + content[60:],
    "another length": lambda content: content[:28] + bytes(3) + b"\x09" + content[32:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_without_its_first_page_a_month_loses_nothing(tmp_path: Path, damage: str) -> None:
    path = a_journal(tmp_path / "data", batches=50, size=100)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    before = path.read_bytes()
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert (done.rows, done.lost_rows, done.lost, done.kept_first, done.kept_last) == (5000, 0, [], 1, 5000)
    assert lines(tmp_path / "new") == list(range(1, 5001))
    assert verify(tmp_path / "new") == [] and heads(tmp_path / "new") == {"a": 5001}
    assert path.read_bytes() == before, "what was damaged is kept as it is"
    assert not [one for one in (tmp_path / "new").iterdir() if one.is_dir()], "nothing else is left"


def killed(directory: Path) -> Path:
    """Half of the facts moved into the file, half in the log, as a process leaves them that is killed; with a page of
    filler at the log's end, where no first page is any more."""

    async def scenario() -> Path:
        async with start(directory / "running") as journal:
            for n in range(0, 2000, 100):
                await journal.append([Part("a", n, rows(n, 100))])
                if n == 1000:
                    await journal.maybe_checkpoint(idle=True)
            await journal._mark()
            shutil.copytree(journal.path.parent, directory / "data")
            return directory / "data" / journal.path.name

    return asyncio.run(scenario())


@pytest.mark.parametrize("content", [b"", noise(PAGE)])
def test_what_is_in_the_log_alone_is_read_as_well(tmp_path: Path, content: bytes) -> None:
    path = killed(tmp_path)
    assert recovery.wal_of(path).stat().st_size > 20 * PAGE
    path.write_bytes(content + path.read_bytes()[PAGE:] if content else b"")
    log = recovery.wal_of(path).read_bytes()
    done = asyncio.run(salvage.salvage(path.parent, tmp_path / "new", NOW_MS))
    assert (done.rows, done.lost_rows, done.kept_last) == (2000, 0, 2000)
    assert verify(tmp_path / "new") == [] and heads(tmp_path / "new") == {"a": 2001}
    assert recovery.wal_of(path).read_bytes() == log


def test_a_log_beside_an_empty_file_is_deleted_by_nobody_who_looks(tmp_path: Path) -> None:
    """SQLite itself would, even through a connection that may only read; with it all that is left of the month."""
    path = killed(tmp_path)
    path.write_bytes(b"")
    for look in (engine.reader, engine.writer):
        with pytest.raises(engine.DatabaseError, match="its log is not"):
            look(path)
    (path.parent / "acknowledged.mark").unlink()
    with pytest.raises(JournalDamaged, match="journal unreadable"):
        heads(path.parent)
    assert recovery.wal_of(path).exists()


def tables(path: Path) -> set[tuple[object, ...]]:
    with closing(engine.reader(path)) as db:
        return set(db.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema").fetchall())


def test_every_way_a_month_is_made_puts_its_tables_on_the_same_pages(tmp_path: Path) -> None:
    """Begun, gone on in, archived, copied: else a fresh first page would not fit."""
    rotated(tmp_path / "data")
    archive.archive(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")
    fresh = rotation.create(tmp_path / "fresh.db", lambda _: None)
    months = recovery.files(tmp_path / "data")
    assert len(months) == 2 and months[0].parent.name == recovery.ARCHIVE
    for path in (*months, tmp_path / "copy.db", a_journal(tmp_path / "other")):
        assert tables(path) == tables(fresh), path


def test_a_fresh_page_that_does_not_fit_makes_no_false_row(tmp_path: Path) -> None:
    """A month whose tables begin elsewhere, as a later version might: what is not sealed is not gone on with."""
    path = a_journal(tmp_path / "data")
    with closing(engine.connect(path, isolation_level=None)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'batch'").fetchone()
        for statement in (
            "ALTER TABLE batch RENAME TO old",
            sql,
            "INSERT INTO batch SELECT * FROM old",
            "DROP TABLE old",
        ):
            db.execute(statement)
    content = path.read_bytes()
    done = asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "whole", NOW_MS))
    assert (done.kept_last, done.lost) == (100, []), "with its own first page nothing is lost"
    path.write_bytes(bytes(PAGE) + content[PAGE:])
    with pytest.raises(JournalDamaged, match="no run of whole batches"):
        asyncio.run(salvage.salvage(tmp_path / "data", tmp_path / "new", NOW_MS))
    assert lines(tmp_path / "new") == list(range(1, 101)), "the rows are where they were"
