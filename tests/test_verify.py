"""workers/verify.py: every single-byte change planted in journal, batch, snapshot, word and mark is found."""

import asyncio
import random
import shutil
from collections.abc import Iterable
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from workers import archive, engine, mark, recovery
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import JournalDamaged, Part, Row
from workers.verify import verify

NOW_MS = 1_795_420_911_000
SMALL = Options(presize=0, mark_every_s=3600)


def fill(directory: Path) -> Path:
    async def scenario() -> Path:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS, options=SMALL)
        for n in range(4):
            facts = [Row(NOW_MS, 5 + i * 125, 1, "kiosk", "boot", n, b"a payload of 26 bytes here") for i in range(2)]
            await journal.append([Part("a", 2 * n, facts), Part("b", n, facts[:1])])
            await journal.save("a", 2 * n + 2, b"the state of hall a")
        await journal.close()
        return journal.path

    return asyncio.run(scenario())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal that nobody has touched, closed."""
    directory = tmp_path_factory.mktemp("whole")
    fill(directory)
    return directory


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def plant(directory: Path, statement: str) -> None:
    db = engine.connect(next(directory.glob("*.db")), isolation_level=None)
    assert db.execute(statement).rowcount == 1, statement
    db.close()


def test_an_untouched_journal_has_no_problem_even_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=SMALL)
        assert verify(tmp_path) == []
        await journal.append([Part("a", 0, [Row(1, 5, 1, "d", "b", 1, b"x")])])
        assert verify(tmp_path) == []
        await journal.close()

    asyncio.run(scenario())
    assert verify(tmp_path) == []
    fill(tmp_path / "other")
    assert verify(tmp_path / "other") == []


NUMBERS = {
    "journal": ("hall", "hall_seq", "at_ms", "kind", "v", "device", "boot", "dseq"),
    "batch": ("first", "epoch", "at_ms", "crc", "last"),
    "snapshot": ("hall", "hall_seq", "seq", "fmt", "at_ms", "crc"),
}
KEYS = {"journal": "seq = 5", "batch": "last = 6", "snapshot": "hall_seq = 8"}


@pytest.mark.parametrize(("table", "column"), [(table, column) for table in NUMBERS for column in NUMBERS[table]])
@pytest.mark.parametrize("bit", [1, 2, 128])
def test_a_flipped_bit_in_a_number_is_found(copy: Path, table: str, column: str, bit: int) -> None:
    if column == "kind" and bit == 128:
        bit = 64  # 133 and 5 are both kinds: the class changes too; others would break the CHECK
    flipped = f"({column} | {bit}) - ({column} & {bit})"
    plant(copy, f"UPDATE {table} SET {column} = {flipped} WHERE {KEYS[table]}")
    assert verify(copy)


@pytest.mark.parametrize(
    ("table", "column", "size"), [("journal", "payload", 26), ("batch", "chain", 32), ("snapshot", "data", 19)]
)
def test_every_byte_of_a_blob_is_covered(copy: Path, table: str, column: str, size: int) -> None:
    path = next(copy.glob("*.db"))
    db = engine.connect(path, isolation_level=None)
    (before,) = db.execute(f"SELECT {column} FROM {table} WHERE {KEYS[table]}").fetchone()
    assert len(before) == size
    for place in range(size):
        changed = bytearray(before)
        changed[place] ^= 1 << place % 8
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {KEYS[table]}", (bytes(changed),))
        assert verify(copy), f"byte {place}"
    db.execute(f"UPDATE {table} SET {column} = ? WHERE {KEYS[table]}", (before,))
    db.close()
    assert verify(copy) == []


def cells(path: Path, table: str) -> list[range]:
    """Where each row of a table lies in the file: length, key, header and values, as SQLite wrote them."""
    with closing(engine.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    content, page = path.read_bytes(), (root - 1) * 4096
    assert content[page] == 13, "small enough for one leaf"
    found = []
    for at in range(int.from_bytes(content[page + 3 : page + 5], "big")):
        start = page + int.from_bytes(content[page + 8 + 2 * at : page + 10 + 2 * at], "big")
        assert content[start] < 128 and content[start + 1] < 128, "lengths and keys of one byte"
        found.append(range(start, start + 2 + content[start]))
    return found


def contents(path: Path) -> list[list[tuple[object, ...]]]:
    """What anybody reads out of the file."""
    with closing(engine.connect(path)) as db:
        return [db.execute(f"SELECT * FROM {table}").fetchall() for table in NUMBERS]


def flipped_and_verified(directory: Path, row: range, bits: Iterable[int]) -> None:
    """One bit after the other, each alone: each is found. SQLite writes two things that it never reads, the kind of a
    key column and a second way to write nothing: where they change every value is the same as before."""
    path = next(directory.glob("*.db"))
    whole, before, unread = path.read_bytes(), contents(path), 0
    for place, bit in product(row, bits):
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        if not verify(directory):
            assert contents(path) == before, f"byte {place}, bit {bit}"
            unread += 1
    assert unread <= 2
    path.write_bytes(whole)
    assert verify(directory) == []


@pytest.mark.parametrize("table", list(NUMBERS))
def test_every_byte_of_a_row_on_disk_is_covered(copy: Path, table: str) -> None:
    rows = cells(next(copy.glob("*.db")), table)
    assert len(rows) >= 3
    flipped_and_verified(copy, rows[1], [0, 5])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("table", list(NUMBERS))
def test_every_bit_of_every_row_on_disk_is_covered(copy: Path, table: str) -> None:
    for row in cells(next(copy.glob("*.db")), table):
        flipped_and_verified(copy, row, range(8))


def read(path: Path) -> dict[str, list[tuple[object, ...]]] | str:
    """All that anybody may read out of the file, or why nobody can."""
    try:
        with closing(engine.connect(path)) as db:
            return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    except (engine.DatabaseError, UnicodeDecodeError) as error:
        return repr(error)


TABLES = (*NUMBERS, "word", "meta")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("half", [0, 1])
def test_no_byte_of_a_whole_file_changes_unfound_what_is_read(copy: Path, half: int) -> None:
    """Pages, schema, indexes, words and notes: each byte with one bit changed, but in the middle of free space."""
    path = next(copy.glob("*.db"))
    whole, before, chance = path.read_bytes(), read(path), random.Random(half)
    assert isinstance(before, dict)
    used = [at for at in range(len(whole)) if any(whole[max(0, at - 8) : at + 9])]
    for at in used[half::2]:
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        if not verify(copy):
            now = read(path)
            assert isinstance(now, dict), f"byte {at}: {now}"
            assert all(now[table] == before[table] for table in TABLES[:-1]), f"byte {at}"
            assert sorted(now["meta"]) == sorted(before["meta"]), f"byte {at}"
        for left in copy.glob("*.db-*"):
            left.unlink()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE batch SET short = x'00' WHERE last = 6", "batch 4–6: rows of an erased class are left"),
        ("UPDATE batch SET long = x'00' WHERE last = 6", "batch 4–6: rows of an erased class are left"),
        ("DELETE FROM journal WHERE seq = 5", "row 5: missing"),
        ("DELETE FROM batch WHERE last = 12", "row 10: no batch holds it"),
        ("UPDATE word SET text = 'kiosl' WHERE text = 'kiosk'", "batch 1–3: crc differs"),
        ("UPDATE snapshot SET data = x'' WHERE hall_seq = 8", "snapshot of a at 8: crc differs"),
        ("UPDATE meta SET v = 'sha257' WHERE k = 'hash'", "hash 'sha257' is not known"),
        ("UPDATE meta SET v = 1 WHERE k = 'epoch'", f"epoch 1, though {NOW_MS // 1000} has written"),
        ("UPDATE meta SET v = 13 WHERE k = 'proj_seq'", "pictures up to 13, the journal ends at 12"),
        ("UPDATE meta SET v = 2 WHERE k = 'first:1'", "hall a: row 2 is not its first"),
        ("UPDATE meta SET v = 9 WHERE k = 'published:1'", "hall a: published up to 9, the last is 8"),
        ("UPDATE meta SET v = 7 WHERE k = 'published:1'", "published:1 is 7, and 8 where it is kept again"),
        ("UPDATE meta SET v = 1 WHERE k = 'twice:proj_seq'", "proj_seq is 0, and 1 where it is kept again"),
        ("UPDATE meta SET k = 'months' WHERE k = 'twice:epoch'", "nothing is called 'months' here"),
        ("INSERT INTO meta VALUES('erased', 1)", "0 rows are not there, 1 were erased"),
        ("INSERT INTO meta VALUES('month', '2026-12')", "month '2026-12', though the file is journal-2026-11.db"),
    ],
)
def test_the_first_bad_place_is_named(copy: Path, statement: str, problem: str) -> None:
    plant(copy, statement)
    assert problem in verify(copy)


@pytest.mark.parametrize(("was", "now"), [(b"kind BETWEEN 1", b"kind BETWEEN 0"), (b"(kind B", b"(kinf B")])
def test_a_table_that_is_not_as_it_was_made_is_found_and_not_started_with(copy: Path, was: bytes, now: bytes) -> None:
    """SQLite reads on with another constraint, or with one that names no column."""
    path = next(copy.glob("*.db"))
    path.write_bytes(path.read_bytes().replace(was, now, 1))
    assert "table journal is not as it was made" in verify(copy)

    async def start() -> None:
        await SqliteJournal.open(copy, now_ms=lambda: NOW_MS, options=SMALL)

    with pytest.raises(JournalDamaged, match="table journal is not as it was made"):
        asyncio.run(start())


def test_a_month_that_ends_between_two_looks_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that is archived while the months before it are read."""
    slots, files = mark.slots, recovery.files

    async def scenario() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=SMALL)
        await journal.append([Part("a", 0, [Row(1, 5, 1, "d", "b", 1, b"x")])])
        await journal.save("a", 1, b"state")
        loop = asyncio.get_running_loop()

        async def next_month() -> None:
            await journal.rotate("2026-12")
            await journal.append([Part("a", 1, [Row(1, 5, 1, "d", "b", 2, b"x")])])
            await journal._mark()

        def ends(path: Path) -> list[mark.Mark | None]:
            monkeypatch.setattr(mark, "slots", slots)
            asyncio.run_coroutine_threadsafe(next_month(), loop).result()
            return slots(path)

        def archived(directory: Path) -> list[Path]:
            found = files(directory)
            archive.archive(directory)
            return found

        monkeypatch.setattr(mark, "slots", ends)
        assert await asyncio.to_thread(verify, tmp_path) == []
        monkeypatch.setattr(recovery, "files", archived)
        assert await asyncio.to_thread(verify, tmp_path) == []
        assert (tmp_path / recovery.ARCHIVE / "journal-2026-11.db").exists()
        await journal.close()

    asyncio.run(scenario())


def test_n_is_gapless_even_when_the_seals_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that skips an n makes good seals; only counting finds it."""
    monkeypatch.setattr(SqliteJournal, "_unseen", lambda self, parts: asyncio.sleep(0, parts))

    async def scenario() -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=SMALL)
        await journal.append([Part("a", 0, [Row(1, 5, 1, "d", "b", 1, b"x")])])
        await journal.append([Part("a", 2, [Row(1, 5, 1, "d", "b", 1, b"x")])])
        await journal.close()

    asyncio.run(scenario())
    assert verify(tmp_path) == ["hall a: 3 follows 1"]


@pytest.mark.parametrize("slot", [0, 1])
def test_a_damaged_slot_of_the_mark_is_found(copy: Path, slot: int) -> None:
    path = copy / mark.NAME
    content = bytearray(path.read_bytes())
    content[mark.SLOTS[slot] + 9] ^= 4
    path.write_bytes(content)
    assert f"acknowledged mark: slot {slot} damaged" in verify(copy)


def test_a_mark_ahead_of_the_journal_is_found(copy: Path) -> None:
    mark.MarkFile(copy / mark.NAME, mark.Mark(1 << 40, 99, bytes(8))).close()
    assert verify(copy) == ["journal ends at 12, 99 was acknowledged"]


def test_the_newer_slot_of_the_mark_counts(copy: Path) -> None:
    known = mark.newest(copy / mark.NAME)
    assert known is not None
    written = mark.MarkFile(copy / mark.NAME, known)
    written.write(known._replace(seq=99))
    written.close()
    assert verify(copy) == ["journal ends at 12, 99 was acknowledged"]


def test_bytes_changed_in_the_file_are_found(copy: Path) -> None:
    path = next(copy.glob("*.db"))
    content = path.read_bytes()
    for text in (b"a payload of 26 bytes here", b"the state of hall a"):
        changed = bytearray(content)
        changed[content.index(text) + 4] ^= 32
        path.write_bytes(changed)
        assert verify(copy)
    path.write_bytes(content[:-4096])
    assert verify(copy)


def test_an_empty_directory_is_a_problem(tmp_path: Path) -> None:
    assert verify(tmp_path) == [f"no journal in {tmp_path}"]
