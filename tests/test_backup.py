"""workers/backup.py: a copy is taken while the journal runs and counts only when good; a restore keeps and tells."""

import asyncio
from pathlib import Path

import pytest

from core import record
from core.facts import JournalRestored
from tests.test_recovery import NOW_MS, a_journal, change, rows, start
from tests.test_rotation import NEXT, on_disk, rotated
from workers import backup, engine, mark, owner, recovery
from workers.opening import Options
from workers.ports import JournalDamaged, Missing, Part
from workers.verify import verify

LATER_MS = NOW_MS + 60_000


def facts_of(directory: Path) -> list[tuple[str, int, int]]:
    async def scenario() -> list[tuple[str, int, int]]:
        async with start(directory) as journal:
            return [(hall, n, row[1]) async for block in journal.replay_all(0) for hall, n, row in block]

    return asyncio.run(scenario())


def test_a_running_journal_is_copied_up_to_what_was_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path / "data", Options(presize=0, mark_every_s=0.001)) as journal:
            await journal.append([Part("a", 0, rows(0, 50))])
            done = backup.backup(tmp_path / "data", tmp_path / "copy.db")
            assert (done.last, done.bytes) == (50, (tmp_path / "copy.db").stat().st_size)
            await journal.append([Part("a", 50, rows(50, 1))])

    asyncio.run(scenario())
    assert verify(tmp_path / "data") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data"]


def test_a_later_month_is_copied_under_any_name_and_put_back_under_its_own(tmp_path: Path) -> None:
    rotated(tmp_path / "data")
    assert backup.backup(tmp_path / "data", tmp_path / "copy.db").last == 38
    done = asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "new", LATER_MS))
    assert Path(done.file).name == NEXT and verify(tmp_path / "new") == []


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("UPDATE journal SET payload = x'66' WHERE seq = 75", "batch 71–80: crc differs"),
        ("UPDATE snapshot SET data = x'66'", "snapshot of a at 60: crc differs"),
        ("DELETE FROM journal WHERE seq = 30", "row 30: missing"),
    ],
)
def test_a_damaged_journal_gives_no_copy(tmp_path: Path, statement: str, line: str) -> None:
    change(a_journal(tmp_path / "data"), statement)
    with pytest.raises(JournalDamaged, match=line):
        backup.backup(tmp_path / "data", tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_journal_that_lost_its_end_gives_no_copy(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    change(path, "DELETE FROM journal WHERE seq > 90", "DELETE FROM batch WHERE last > 90")
    with pytest.raises(JournalDamaged, match="journal ends at 90, 100 was acknowledged"):
        backup.backup(tmp_path / "data", tmp_path / "copy.db")


def test_a_restore_keeps_what_it_replaces_and_leaves_a_fact(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")

    async def more() -> int:
        async with start(tmp_path / "data") as journal:
            await journal.append([Part("a", 100, rows(100, 7))])
            return journal.epoch

    epoch = asyncio.run(more())
    path.write_bytes(b"x" * 8192)
    done = asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "data", LATER_MS))
    assert (done.last, done.acknowledged, done.missing) == (100, 107, 7)
    assert (Path(done.replaced) / path.name).read_bytes() == b"x" * 8192
    assert mark.newest(Path(done.replaced) / mark.NAME).seq == 107
    assert verify(tmp_path / "data") == []

    async def after() -> None:
        async with start(tmp_path / "data") as journal:
            assert journal.epoch > epoch
            (found,) = [row async for n, row in journal.replay("a", 100)]
            fact, _, _ = record.decode(found.kind, found.v, found.payload)
            assert fact == JournalRestored("backup", 100, 107)

    asyncio.run(after())


def test_a_restore_puts_later_months_aside_too(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")
    rotated(tmp_path / "other")
    done = asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "other", LATER_MS))
    assert {one.name for one in Path(done.replaced).glob("*.db")} == {path.name, NEXT}
    assert recovery.newest_file(tmp_path / "other") == tmp_path / "other" / path.name
    assert verify(tmp_path / "other") == []


def test_copy_and_restore_are_on_disk_before_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, steps = a_journal(tmp_path / "data").name, list[str]()
    on_disk(monkeypatch, steps)
    backup.backup(tmp_path / "data", tmp_path / "copy.db")
    assert steps == ["file copy.db.part", "name copy.db", f"directory {tmp_path.name}"]
    steps.clear()
    done = backup.replace(tmp_path / "copy.db", tmp_path / "data", LATER_MS)
    named = len(steps) - 1 - steps[::-1].index(f"name {name}")  # the last: the replaced one goes aside under it too
    assert steps.index(f"file {name}.new") < steps.index(f"directory {Path(done.replaced).name}") < named
    assert steps[named + 1 :] == ["directory data"] * 2, "of the name, and of the mark"


def test_a_restore_into_nothing_is_a_journal(tmp_path: Path) -> None:
    a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")
    done = asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "new", LATER_MS))
    assert (done.missing, done.replaced) == (0, "")
    assert facts_of(tmp_path / "new")[:-1] == facts_of(tmp_path / "data")


@pytest.mark.parametrize("step", ["raise_epoch", "put_aside", "publish", "MarkFile"])
def test_a_restore_cut_short_starts_nothing_else_and_can_be_done_again(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before each step: what was there is found, or the old mark refuses; never an empty hall, never a mixture."""
    a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")

    async def more() -> None:
        async with start(tmp_path / "data") as journal:
            await journal.append([Part("a", 100, rows(100, 7))])

    asyncio.run(more())
    where = {"raise_epoch": recovery, "put_aside": backup, "publish": backup.rotation, "MarkFile": mark}[step]

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(where, step, cut)
        backup.replace(tmp_path / "copy.db", tmp_path / "data", LATER_MS)
    if step in ("raise_epoch", "put_aside"):
        assert len(facts_of(tmp_path / "data")) == 107
    else:
        with pytest.raises(JournalDamaged, match="107 was acknowledged"):
            facts_of(tmp_path / "data")
    asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "data", LATER_MS + 1000))
    assert verify(tmp_path / "data") == []
    assert len(facts_of(tmp_path / "data")) == 101


def test_a_damaged_copy_or_a_directory_in_use_changes_nothing(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")
    content = path.read_bytes()
    with pytest.raises(Missing):
        asyncio.run(backup.restore(tmp_path / "nothing.db", tmp_path / "data", LATER_MS))
    held = owner.take(tmp_path / "data")
    with pytest.raises(owner.Taken):
        asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "data", LATER_MS))
    held.release()
    db = engine.connect(tmp_path / "copy.db", isolation_level=None)
    db.execute("UPDATE journal SET dseq = 5 WHERE seq = 7")
    db.close()
    with pytest.raises(JournalDamaged, match="batch 1–10"):
        asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "data", LATER_MS))
    assert path.read_bytes() == content


def test_the_epoch_is_above_the_one_that_was_lost_whatever_the_clock_says(tmp_path: Path) -> None:
    """Else the old mark would go on being the newer one, and refuse the restored journal."""
    a_journal(tmp_path / "data")
    backup.backup(tmp_path / "data", tmp_path / "copy.db")

    async def later() -> int:
        async with start(tmp_path / "data", now_ms=NOW_MS + 86_400_000) as journal:
            await journal.append([Part("a", 100, rows(100, 7))])
            return journal.epoch

    epoch = asyncio.run(later())
    backup.replace(tmp_path / "copy.db", tmp_path / "data", 1000)
    newest = mark.newest(tmp_path / "data" / mark.NAME)
    assert newest is not None and newest.epoch > epoch
    assert verify(tmp_path / "data") == []
