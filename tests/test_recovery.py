"""workers/recovery.py and a start: what is good goes on, what is not is refused with its first bad row."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from workers import engine, mark, recovery
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import JournalDamaged, Missing, Part, Row
from workers.recovery import Newer
from workers.verify import verify, verify_file

NOW_MS = 1_795_420_911_000
SMALL = Options(presize=0, mark_every_s=3600)


def rows(first: int, count: int) -> list[Row]:
    return [
        Row(NOW_MS, 5 + n % 2 * 130, 1, "kiosk", "boot", n, f"fact {n}".encode()) for n in range(first, first + count)
    ]


@asynccontextmanager
async def start(directory: Path, options: Options = SMALL, now_ms: int = NOW_MS) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(directory, now_ms=lambda: now_ms, options=options)
    try:
        yield journal
    finally:
        await journal.close()


def a_journal(directory: Path, batches: int = 10, size: int = 10) -> Path:
    """`batches` batches of `size` facts of hall a, and a snapshot after the first half."""

    async def scenario() -> Path:
        async with start(directory) as journal:
            for n in range(batches):
                await journal.append([Part("a", n * size, rows(n * size, size))])
                if n == batches // 2:
                    await journal.save("a", (n + 1) * size, b"half")
        return journal.path

    return asyncio.run(scenario())


def change(path: Path, *statements: str) -> None:
    """What nobody should do to a journal."""
    db = engine.connect(path, isolation_level=None)
    for statement in statements:
        assert db.execute(statement).rowcount != 0, statement
    db.close()


def refused(directory: Path, error: type[Exception] = JournalDamaged) -> str:
    """The first line with which a start or a replay behind the snapshot is refused."""

    async def scenario() -> None:
        async with start(directory) as journal:
            begin = await journal.start()
            async for _ in journal.replay_all(begin.after):
                pass

    with pytest.raises(error) as raised:
        asyncio.run(scenario())
    lines = str(raised.value).splitlines()
    assert len(lines) == 3, "what, where, what to do"
    return lines[0]


def test_recovery_gives_the_snapshot_and_the_rows_behind_it_in_blocks(tmp_path: Path) -> None:
    a_journal(tmp_path, batches=120, size=100)

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            begin = await journal.start()
            assert {hall: (s.hall_seq, s.data) for hall, s in begin.snapshots.items()} == {"a": (6100, b"half")}
            assert begin.after == 6100
            blocks = [block async for block in journal.replay_all(begin.after)]
            assert [len(block) for block in blocks] == [5000, 900]
            assert [(hall, n) for block in blocks for hall, n, _ in block] == [("a", n) for n in range(6101, 12_001)]
            assert blocks[0][0][2] == rows(6100, 1)[0]

    asyncio.run(scenario())


def test_a_hall_without_a_snapshot_is_read_from_its_first_row(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await journal.append([Part("a", 0, rows(0, 5))])
            await journal.append([Part("b", 0, rows(0, 5))])
            await journal.append([Part("a", 5, rows(5, 5))])
            await journal.save("a", 10, b"state")
            assert (await journal.start()).after == 5
        async with start(tmp_path) as journal:
            assert journal.heads() == {"a": 10, "b": 5}

    asyncio.run(scenario())


def test_each_start_raises_the_epoch(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        epochs = []
        for now_ms in (NOW_MS, NOW_MS, NOW_MS - 10_000_000, NOW_MS + 60_000):
            async with start(tmp_path, now_ms=now_ms) as journal:
                epochs.append(journal.epoch)
        return epochs

    first = NOW_MS // 1000
    assert asyncio.run(scenario()) == [first, first + 1, first + 2, first + 60]


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("UPDATE journal SET payload = x'66' WHERE seq = 75", "batch 71–80: crc differs"),
        ("UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 75", "batch 71–80: crc differs"),
        ("UPDATE batch SET crc = crc + 1 WHERE last = 80", "batch 71–80: crc differs"),
        ("UPDATE batch SET at_ms = 0 WHERE last = 80", "batch 71–80: crc differs"),
        ("UPDATE batch SET chain = zeroblob(32) WHERE last = 80", "batch 71–80: chain differs"),
        ("DELETE FROM journal WHERE seq = 75", "row 75: missing"),
        ("DELETE FROM batch WHERE last = 80", "batch 81–90: 70 is the end before it, 20 rows follow"),
        ("UPDATE batch SET first = 72 WHERE last = 80", "batch 72–80: 70 is the end before it, 10 rows follow"),
        ("DELETE FROM journal WHERE seq = 100", "batch ends at 100, rows at 99"),
        ("INSERT INTO journal VALUES(101, 1, 101, 0, 5, 1, 0, 0, 0, x'')", "batch ends at 100, rows at 101"),
        ("UPDATE word SET text = 'hall-x' WHERE text = 'a'", "batch 61–70: crc differs"),
    ],
)
def test_damage_behind_the_snapshot_is_refused_by_its_first_bad_batch(
    tmp_path: Path, statement: str, line: str
) -> None:
    path = a_journal(tmp_path)
    if "word" in statement:
        change(path, "DELETE FROM snapshot")
        line = "batch 1–10: crc differs"
    change(path, statement)
    assert refused(tmp_path) == line


def test_a_flipped_bit_on_disk_is_refused_though_sqlite_finds_nothing(tmp_path: Path) -> None:
    path = a_journal(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(b"fact 77") + 6] ^= 1
    path.write_bytes(content)
    db = engine.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    assert refused(tmp_path) == "batch 71–80: crc differs"


def test_an_unreadable_page_is_refused(tmp_path: Path) -> None:
    path = a_journal(tmp_path, batches=60, size=100)
    content = bytearray(path.read_bytes())
    at = content.index(b"fact 5500") // 4096 * 4096
    content[at : at + 64] = bytes(64)
    path.write_bytes(content)
    assert "unreadable (SQLITE_CORRUPT" in refused(tmp_path)


def cut_the_log(directory: Path, write: Callable[[Path], None]) -> None:
    """Take a copy of a running journal, with its mark, and let `write` harm the copied log."""

    async def scenario() -> None:
        async with start(directory / "running", Options(presize=0, mark_every_s=0.001)) as journal:
            for n in range(20):
                await journal.append([Part("a", n * 10, rows(n * 10, 10))])
            while journal.stats.marks == 0 or mark.newest(journal.path.parent / mark.NAME).seq < 200:
                await asyncio.sleep(0.001)
            (directory / "copy").mkdir()
            for name in (journal.path.name, journal.path.name + "-wal", mark.NAME):
                (directory / "copy" / name).write_bytes((directory / "running" / name).read_bytes())
        write(directory / "copy" / (journal.path.name + "-wal"))

    asyncio.run(scenario())


def test_a_damaged_log_is_told_by_the_mark_and_kept_as_it_is(tmp_path: Path) -> None:
    def flip(log: Path) -> None:
        content = bytearray(log.read_bytes())
        content[content.index(b"fact 105") + 3] ^= 1
        log.write_bytes(content)

    cut_the_log(tmp_path, flip)
    log = next((tmp_path / "copy").glob("*-wal"))
    before = log.read_bytes()
    assert refused(tmp_path / "copy") == "journal ends at 100, 200 was acknowledged"
    assert log.read_bytes() == before


def test_a_missing_log_is_told_by_the_mark(tmp_path: Path) -> None:
    cut_the_log(tmp_path, Path.unlink)
    assert refused(tmp_path / "copy") == "journal ends at 0, 200 was acknowledged"


def test_a_missing_file_is_told_by_the_mark(tmp_path: Path) -> None:
    a_journal(tmp_path).unlink()
    assert refused(tmp_path) == "journal ends at 0, 100 was acknowledged"
    assert not list(tmp_path.glob("*.db"))


def test_another_journal_of_the_same_length_is_not_the_one_acknowledged(tmp_path: Path) -> None:
    ours, theirs = a_journal(tmp_path / "ours"), a_journal(tmp_path / "theirs", batches=5, size=20)
    ours.write_bytes(theirs.read_bytes())
    assert refused(tmp_path / "ours") == "batch ending at 100: not the one that was acknowledged"


def test_a_journal_without_its_mark_is_refused(tmp_path: Path) -> None:
    a_journal(tmp_path)
    (tmp_path / mark.NAME).unlink()
    assert refused(tmp_path) == "journal ends at 100, no acknowledged mark beside it"


def test_a_bad_snapshot_is_skipped_for_the_one_before_and_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            for n in range(3):
                await journal.append([Part("a", n, rows(n, 1))])
                await journal.save("a", n + 1, f"state {n + 1}".encode())
            change(journal.path, "UPDATE snapshot SET data = x'00' WHERE hall_seq = 3")
            assert [found async for found in journal.newest("a")] == [(2, b"state 2"), (1, b"state 1")]
            begin = await journal.start()
            assert (begin.snapshots["a"].hall_seq, begin.after) == (2, 2)
            assert begin.skipped == ["snapshot of a at 3: crc differs"]
            await journal.save("a", 3, b"later", fmt=9)
            assert (await journal.start()).skipped == ["snapshot of a at 3: format 9 is not known"]

    asyncio.run(scenario())


def test_a_start_begins_with_no_state_whose_orders_nobody_has_heard(tmp_path: Path) -> None:
    """With an older one, or with the hall's first fact; once the published mark has come so far, with the newest."""

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            for n in (0, 10, 20):
                await journal.append([Part("a", n, rows(n, 10))])
                await journal.save("a", n + 10, f"at {n + 10}".encode(), heard=n == 10)
                begin = await journal.start()
                newest = {"a": 20} if n else {}
                assert {hall: one.hall_seq for hall, one in begin.snapshots.items()} == newest
                assert begin.after == newest.get("a", 0)
            for mark_at, expected in ((29, 20), (30, 30)):
                journal.save_marks({"a": mark_at})
                await journal.append([Part("a", journal.heads()["a"], rows(30, 1))])
                assert (await journal.start()).snapshots["a"].hall_seq == expected
            journal.save_marks({"a": 3})
            assert journal.marks() == {"a": 30}, "a mark never goes back"

    asyncio.run(scenario())


def test_a_saved_state_raises_the_mark_and_no_older_one_waits_to_lower_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await journal.append([Part("a", 0, rows(0, 10))])
            journal.save_marks({"a": 4})
            await journal.save("a", 10, b"heard")
            await journal.append([Part("a", 10, rows(10, 1))])
        async with start(tmp_path) as journal:
            assert journal.marks() == {"a": 10} and (await journal.start()).after == 10

    asyncio.run(scenario())


def test_no_good_snapshot_at_all_is_refused(tmp_path: Path) -> None:
    change(a_journal(tmp_path), "UPDATE snapshot SET hall_seq = hall_seq - 1")
    assert refused(tmp_path) == "no good snapshot of a: snapshot of a at 59: crc differs"


def test_a_newer_file_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = a_journal(tmp_path)
    change(path, f"PRAGMA user_version={recovery.VERSION + 1}")
    before = path.read_bytes()
    assert refused(tmp_path, Newer) == f"journal version {recovery.VERSION + 1}: newer program needed"
    assert path.read_bytes() == before


def test_a_start_cut_short_before_the_first_table_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "journal-2026-11.db").touch()
    (tmp_path / "journal-2026-12.db.new").write_bytes(b"an unfinished rotation")

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            assert journal.path.name == "journal-2026-11.db"
            await journal.append([Part("a", 0, rows(0, 1))])

    asyncio.run(scenario())


def test_a_file_that_is_no_database_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "journal-2026-11.db").write_bytes(b"x" * 8192)

    async def scenario() -> None:
        with pytest.raises(JournalDamaged, match=r"unreadable \(SQLITE_NOTADB\)"):
            await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS)

    asyncio.run(scenario())


def test_a_data_directory_inside_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file", Missing).startswith("data directory not writable")


def test_months_are_utc() -> None:
    assert recovery.month(1_795_420_911_000) == "2026-11"
    assert recovery.month(1_796_083_199_999) == "2026-11"
    assert recovery.month(1_796_083_200_000) == "2026-12"


# --- migrations: a dump of every released version ---

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"


def released(directory: Path, version: int) -> Path:
    """A file as that release left it, with its mark."""
    path = directory / "journal-2026-11.db"
    db = engine.connect(path, isolation_level=None)
    db.executescript((GOLDEN / f"journal-v{version}.sql").read_text("utf-8"))
    end = recovery.end(db)
    db.close()
    mark.MarkFile(directory / mark.NAME, mark.Mark(1, end.seq, end.seal.chain[:8])).close()
    return path


@pytest.mark.parametrize("version", range(1, recovery.VERSION))
def test_every_released_version_is_copied_migrated_and_goes_on(tmp_path: Path, version: int) -> None:
    path = released(tmp_path, version)
    assert verify(tmp_path) == [], "closed months are read as they are"

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            heads = journal.heads()
            assert heads == {"a": 8, "b": 4}
            await journal.append([Part("a", 8, rows(8, 1))])

    asyncio.run(scenario())
    assert verify(tmp_path) == []
    (tmp_path / "fresh").mkdir()
    fresh = a_journal(tmp_path / "fresh")
    with closing(engine.reader(path)) as old, closing(engine.reader(fresh)) as new:
        assert old.execute(SCHEMA).fetchall() == new.execute(SCHEMA).fetchall()
        assert old.execute("PRAGMA user_version").fetchone() == (recovery.VERSION,)
        assert recovery.origin(old) == recovery.origin(new) == recovery.BEGINNING
    copy = tmp_path / f"journal-2026-11.v{version}.bak"
    with closing(engine.reader(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    assert verify_file(copy) == []


def test_a_fresh_file_and_a_migrated_one_need_no_copy(tmp_path: Path) -> None:
    a_journal(tmp_path)
    a_journal(tmp_path / "second", batches=1)
    assert not list(tmp_path.rglob("*.bak*"))


def test_a_migration_cut_short_leaves_the_version_and_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = released(tmp_path, 1)
    with monkeypatch.context() as patch, pytest.raises(engine.OperationalError):
        patch.setattr(recovery, "statements", lambda step: ["INSERT INTO meta VALUES ('prev_seq', 0)", "no SQL"])
        asyncio.run(SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=SMALL))
    with closing(engine.reader(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM meta WHERE k = 'prev_seq'").fetchone() == (0,)
    assert (tmp_path / "journal-2026-11.v1.bak").exists()

    async def again() -> None:
        async with start(tmp_path) as journal:
            assert journal.heads() == {"a": 8, "b": 4}

    asyncio.run(again())
