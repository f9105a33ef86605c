"""workers/rotation.py: a month ends, the next begins; killed at every step one of the two goes on, nothing is lost."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_recovery import NOW_MS, change, rows, start
from workers import archive, engine, mark, recovery, rotation
from workers.journal import SqliteJournal
from workers.ports import Fenced, JournalDamaged, Missing, Part
from workers.verify import verify

OLD, NEXT = "journal-2026-11.db", "journal-2026-12.db"


async def filled(journal: SqliteJournal, count: int = 30) -> None:
    """Two halls, each with a state at its head."""
    for n in range(0, count, 10):
        await journal.append([Part("a", n, rows(n, 10)), Part("b", n // 10, rows(n, 1))])
    for hall, n in journal.heads().items():
        await journal.save(hall, n, f"state of {hall}".encode())


def rotated(directory: Path) -> None:
    async def scenario() -> None:
        async with start(directory) as journal:
            await filled(journal)
            assert (await journal.rotate("2026-12")).name == OLD
            await journal.append([Part("a", 30, rows(30, 5))])

    asyncio.run(scenario())


async def rotated_unheard(journal: SqliteJournal) -> None:
    """The last state of hall a holds what nobody has heard when the month ends."""
    await filled(journal)
    await journal.append([Part("a", 30, rows(30, 10))])
    await journal.save("a", 40, b"unheard", heard=False)
    await journal.save("b", 3, b"heard")
    await journal.rotate("2026-12")
    await journal.append([Part("a", 40, rows(40, 2))])


def test_who_is_fenced_begins_no_month(tmp_path: Path) -> None:
    """Its own file of the next month would have a later epoch than the writer that has taken over."""

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            with closing(engine.connect(journal.path)) as db:
                epoch = recovery.raise_epoch(db, NOW_MS)
            with pytest.raises(Fenced, match=f"epoch {epoch}"):
                await journal.rotate("2026-12")

    asyncio.run(scenario())
    assert [path.name for path in recovery.files(tmp_path)] == [OLD]


async def everything(journal: SqliteJournal, after: int = 0) -> list[tuple[str, int]]:
    return [(hall, n) async for block in journal.replay_all(after) for hall, n, _ in block]


def test_seq_chain_words_and_heads_go_on_in_the_next_file(tmp_path: Path) -> None:
    rotated(tmp_path)
    assert verify(tmp_path) == []

    async def again() -> None:
        async with start(tmp_path) as journal:
            assert (journal.path.name, journal.last) == (NEXT, 38)
            assert journal.heads() == {"a": 35, "b": 3} and journal.marks() == {"a": 30, "b": 3}
            begin = await journal.start()
            assert {hall: one.hall_seq for hall, one in begin.snapshots.items()} == {"a": 30, "b": 3}
            assert begin.after == 33
            assert await everything(journal, begin.after) == [("a", n) for n in range(31, 36)]
            whole = await everything(journal)
            assert [n for hall, n in whole if hall == "a"] == list(range(1, 36)), "older months are read where asked"
            assert [n async for n, _ in journal.replay("b")] == [1, 2, 3]
            await journal.append([Part("b", 3, rows(0, 1)), Part("new", 0, rows(0, 1))])
            assert (await journal.start()).after == 33

    asyncio.run(again())
    assert verify(tmp_path) == []


def test_a_state_that_holds_what_nobody_has_heard_takes_the_one_before_along(tmp_path: Path) -> None:
    """A start before it was heard begins in the month before, and says it again."""

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await rotated_unheard(journal)
            begin = await journal.start()
            assert {hall: one.hall_seq for hall, one in begin.snapshots.items()} == {"a": 30, "b": 3}
            assert next(n for hall, n in await everything(journal, begin.after) if hall == "a" and n > 30) == 31
            journal.save_marks({"a": 40})
            await journal.append([Part("a", 42, rows(42, 1))])
            begin = await journal.start()
            assert begin.snapshots["a"].hall_seq == 40 and await everything(journal, begin.after) == [
                ("a", 41),
                ("a", 42),
                ("a", 43),
            ]

    asyncio.run(scenario())
    assert verify(tmp_path) == []


def test_a_hall_that_is_not_stored_at_its_head_holds_the_month_open(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            await journal.append([Part("b", 3, rows(0, 1))])
            with pytest.raises(Missing, match="no state of b at its head"):
                await journal.rotate("2026-12")
            assert sorted(path.name for path in tmp_path.glob("*.db*")) == sorted({OLD, f"{OLD}-wal", f"{OLD}-shm"})
            await journal.append([Part("b", 4, rows(1, 1))])

    asyncio.run(scenario())
    assert verify(tmp_path) == []


def test_what_is_open_moves_on_and_what_has_ended_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            await journal.alone(
                lambda db: db.executescript(
                    "INSERT INTO ticket VALUES(1, 1, 1, 1, 1, 'A1', NULL, NULL, 1, NULL, NULL, NULL, 1);"
                    "INSERT INTO ticket VALUES(5, 5, 1, 1, 1, 'A5', NULL, NULL, 1, NULL, NULL, NULL, 1);"
                    "INSERT INTO ticket VALUES(2, 6, 1, 1, 1, 'A2', NULL, NULL, 1, NULL, NULL, NULL, 1);"
                    "INSERT INTO evaluation VALUES(1, 1, NULL, 1, 1, 1, NULL, 1, NULL, NULL, 1);"
                    "INSERT INTO evaluation VALUES(2, 2, NULL, 1, 1, 1, NULL, 1, NULL, NULL, 1);"
                    "INSERT INTO device VALUES(1, 1, 'kiosk', '', 4, NULL, 1, 1);"
                    f"INSERT INTO note VALUES('young', 1, {NOW_MS}, 'text');"
                    f"INSERT INTO note VALUES('old', 1, {NOW_MS - 181 * 86_400_000}, 'text');"
                    f'INSERT INTO "case" VALUES(1, 1, 9, 1, {NOW_MS - 400 * 86_400_000}, 0, 0, 0, 0, 1);'
                    f'INSERT INTO "case" VALUES(2, 1, 9, 1, {NOW_MS - 900 * 86_400_000}, 0, 0, 0, 0, 1);'
                )
            )
            await journal.rotate("2026-12")
            for table, key, left in (
                ("ticket", "id", [1, 5]), ("evaluation", "id", [1]), ("device", "id", [1]), ("note", "ref", ["young"]),
                ('"case"', "id", [1]), ("journal", "seq", []), ("batch", "last", []),
            ):  # fmt: skip
                found = await journal.alone(lambda db, k=key, t=table: db.execute(f"SELECT {k} FROM {t}").fetchall())
                assert [one for (one,) in found] == left, table

    asyncio.run(scenario())


def on_disk(patch: pytest.MonkeyPatch, steps: list[str]) -> None:
    """Notes what is made durable, and what gets its name, in order: `file x`, `name y`, `directory z`."""
    rename = Path.rename
    for what in ("file", "directory"):
        done = getattr(mark, f"sync_{what}")
        patch.setattr(mark, f"sync_{what}", lambda path, w=what, d=done: (steps.append(f"{w} {path.name}"), d(path)))
    patch.setattr(Path, "rename", lambda path, to: (steps.append(f"name {Path(to).name}"), rename(path, to))[1])


def test_a_month_is_on_disk_before_its_name_and_the_name_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    on_disk(monkeypatch, steps)
    rotation.publish(rotation.create(tmp_path / NEXT, lambda _: None))
    assert steps == [f"file {NEXT}.new", f"name {NEXT}", f"directory {tmp_path.name}"]


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.test_rotation import filled
from tests.test_recovery import rows, start
from workers import engine, mark, opening, recovery, rotation
from workers.ports import Part

where, directory = sys.argv[1], Path(sys.argv[2])

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def killing_after(module, name):
    whole = getattr(module, name)
    def then(*a, **k):
        whole(*a, **k)
        kill()
    setattr(module, name, then)

async def scenario():
    async with start(directory) as journal:
        await filled(journal)
        match where:
            case "before": kill()
            case "creating": recovery.statements = kill
            case "created": killing_after(rotation, "create")
            case "renaming": rotation.publish = kill
            case "renamed": killing_after(rotation, "publish")
            case "epoch": killing_after(recovery, "raise_epoch")
            case "mark": killing_after(mark, "MarkFile")
        rotated = journal.rotate("2026-12")
        await rotated
        await journal.append([Part("a", 30, rows(30, 5))])
        kill()

asyncio.run(scenario())
"""


@pytest.mark.parametrize(
    ("where", "file", "last"),
    [
        ("before", OLD, 33),
        ("creating", OLD, 33),
        ("created", OLD, 33),
        ("renaming", OLD, 33),
        ("renamed", NEXT, 33),
        ("epoch", NEXT, 33),
        ("mark", NEXT, 33),
        ("after", NEXT, 38),
    ],
)
def test_killed_at_each_step_the_rename_decides(tmp_path: Path, where: str, file: str, last: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    child = subprocess.run([sys.executable, "-c", CHILD, where, str(tmp_path)], env=environment, check=False)
    assert child.returncode == -signal.SIGKILL

    async def again() -> None:
        async with start(tmp_path) as journal:
            assert (journal.path.name, journal.last) == (file, last)
            assert not list(tmp_path.glob("*.new*"))
            assert journal.heads() == {"a": last - 3, "b": 3}
            assert len(await everything(journal)) == last
            if file == OLD:
                await journal.rotate("2026-12")
            await journal.append([Part("a", last - 3, rows(last, 1))])

    asyncio.run(again())
    assert verify(tmp_path) == []
    assert [month.file for month in archive.archive(tmp_path).months] == [OLD]
    assert verify(tmp_path) == []


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda d: change(d / OLD, "DELETE FROM batch WHERE last > 22"), "begins after 33"),
        (lambda d: change(d / NEXT, "UPDATE meta SET v = zeroblob(32) WHERE k = 'prev_chain'"), "begins after 33"),
        (lambda d: change(d / NEXT, "UPDATE meta SET v = 32 WHERE k = 'prev_seq'"), "begins after 32|batch 34"),
    ],
)
def test_a_month_that_does_not_follow_the_one_before_is_refused(
    tmp_path: Path, harm: Callable[[Path], None], line: str
) -> None:
    rotated(tmp_path)
    harm(tmp_path)
    assert verify(tmp_path) != []

    async def again() -> None:
        async with start(tmp_path) as journal:
            await everything(journal, (await journal.start()).after)

    with pytest.raises(JournalDamaged, match=line):
        asyncio.run(again())


def test_a_full_disk_before_the_rename_leaves_the_old_month_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise engine.OperationalError("database or disk is full")

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            with monkeypatch.context() as patch, pytest.raises(engine.OperationalError):
                patch.setattr(rotation, "put_rows", full)
                await journal.rotate("2026-12")
            await journal.append([Part("a", 30, rows(30, 5))])
            await journal.save("a", 35, b"later")
            await journal.rotate("2026-12")
            assert await everything(journal, 33) == [("a", n) for n in range(31, 36)]

    asyncio.run(scenario())
    assert verify(tmp_path) == []


def test_after_the_rename_an_error_ends_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start goes on in the new file: nothing may be added to the old one."""

    async def fails(*_: object) -> None:
        raise OSError("as told")

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            with monkeypatch.context() as patch, pytest.raises(OSError, match="as told"):
                patch.setattr("workers.opening.write_on", fails)
                await journal.rotate("2026-12")
            with pytest.raises(OSError, match="as told"):
                await journal.append([Part("a", 30, rows(30, 1))])
        async with start(tmp_path) as journal:
            assert journal.path.name == NEXT
            await journal.append([Part("a", 30, rows(30, 1))])

    asyncio.run(scenario())
    assert verify(tmp_path) == []


def test_the_writer_is_in_the_new_file_with_all_its_settings(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal)
            epoch = journal.epoch
            await journal.rotate("2026-12")
            assert journal.epoch > epoch
            assert await journal.alone(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
            assert mark.newest(tmp_path / mark.NAME).seq == 33
            await journal.append([Part("a", 30, rows(30, 5))])
            assert await journal.maybe_checkpoint(idle=False) is False

    asyncio.run(scenario())
    with closing(engine.reader(tmp_path / OLD)) as db:
        assert recovery.end(db).seq == 33


@pytest.mark.parametrize(
    ("name", "days", "month"),
    [
        (OLD, [20261130, 20261201], ""),
        (OLD, [20261201, 20261202, 0], "2026-12"),
        (OLD, [20270102], "2027-01"),
        (NEXT, [20261231], ""),
        (OLD, [], ""),
        (OLD, [0], ""),
    ],
)
def test_a_month_ends_when_the_last_hall_has_left_it(name: str, days: list[int], month: str) -> None:
    assert rotation.wanted(name, days) == month


def test_the_mark_is_brought_up_before_the_file_that_knows_no_older_seal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            await filled(journal, 20)
            await journal._mark()
            await journal.append([Part("a", 20, rows(20, 10))])
            await journal.save("a", 30, b"state of a")
            await journal.rotate("2026-12")
            assert mark.newest(tmp_path / mark.NAME).seq == 32

    asyncio.run(scenario())
    assert verify(tmp_path) == []
