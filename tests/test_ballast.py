"""workers/ballast.py: allocated for real, given back when the disk is full, made again when there is room."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripted import until
from tests.test_journal_suite import NOW_MS, a_row, rows
from workers import ballast
from workers.ballast import Ballast
from workers.journal import Listener, SqliteJournal
from workers.opening import Options
from workers.ports import Missing, Part
from workers.verify import verify

MB = 1 << 20


def test_its_blocks_are_really_allocated_and_really_given_back(tmp_path: Path) -> None:
    aside = Ballast(tmp_path, MB, 0)
    assert not aside.held and aside.make() and aside.held
    assert (tmp_path / ballast.NAME).stat().st_blocks * 512 >= MB
    assert aside.give() and not aside.held and not aside.give()
    assert list(tmp_path.iterdir()) == []


def test_one_cut_short_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / ballast.NAME).write_bytes(bytes(100))
    aside = Ballast(tmp_path, MB, 0)
    assert not aside.held and aside.make() and aside.held


def test_without_room_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not Ballast(tmp_path, MB, 0).make()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Missing, match="disk full"):
        asyncio.run(SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=Options(ballast=MB)))


def test_room_is_what_would_be_left_with_it_in_its_place(tmp_path: Path) -> None:
    left = [10 * MB]
    aside = Ballast(tmp_path, MB, 10 * MB, lambda _: left[0])
    assert not aside.roomy()
    left[0] = 11 * MB
    assert aside.roomy() and aside.make()
    left[0] = 10 * MB
    assert aside.roomy()


def test_of_size_0_it_does_nothing(tmp_path: Path) -> None:
    aside = Ballast(tmp_path, 0, 0)
    assert aside.held and aside.make() and not aside.give()
    assert list(tmp_path.iterdir()) == []


class Heard:
    """What the journal tells of its retries."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.heard: list[str] = []
        journal.listener = Listener(retry=self.heard.append, recovered=lambda: self.heard.append("recovered"))


class Disk:
    """What the journal is told of the disk, and how many pages the file may have."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal, self.left = journal, 100 * MB
        self.heard: list[str] = []
        journal.listener = Listener(retry=self.heard.append, recovered=lambda: self.heard.append("recovered"))
        journal.ballast._free = lambda _: self.left

    async def limit(self, pages: int = 0) -> None:
        pages = pages or await self.journal._lane.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await self.journal._lane.run(lambda db: db.execute(f"PRAGMA max_page_count={pages}").fetchall())


def test_the_batch_in_hand_commits_and_reading_waits_until_the_ballast_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = Options(presize=0, mark_every_s=3600, retry_s=(0.05, 0.05), ballast=MB, min_free=10 * MB)
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=options)
        disk = Disk(journal)
        await disk.limit()
        disk.left = 0
        append = asyncio.create_task(journal.append([Part("a", 0, rows(0, 500))]))
        while journal.ballast.held:
            await asyncio.sleep(0)
        await disk.limit(100_000)  # what the blocks of the ballast are to the file system
        await append
        assert journal.heads() == {"a": 500}, "acknowledged"
        assert set(disk.heard) == {"SQLITE_FULL"}, "and nothing is read yet"
        await asyncio.sleep(0.15)
        assert not journal.ballast.held and "recovered" not in disk.heard
        disk.left = 12 * MB
        await until(lambda: "recovered" in disk.heard)
        assert journal.ballast.held and disk.heard.count("recovered") == 1
        await journal.append([Part("a", 500, rows(500, 1))])
        await journal.close()

    asyncio.run(scenario())
    assert verify(tmp_path) == []


def test_a_stop_before_there_is_room_ends_and_the_next_start_asks_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = Options(presize=0, mark_every_s=3600, retry_s=(0.0, 0.01), ballast=MB, min_free=10 * MB)
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=options)
        disk = Disk(journal)
        await disk.limit()
        disk.left = 0
        append = asyncio.create_task(journal.append([Part("a", 0, rows(0, 500))]))
        while journal.ballast.held:
            await asyncio.sleep(0)
        await disk.limit(100_000)
        await append
        await journal.close()
        assert "recovered" not in disk.heard
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: NOW_MS, options=options)
        assert journal.ballast.held and journal.heads() == {"a": 500}
        await journal.close()

    asyncio.run(scenario())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB; skipped where nobody may mount one."""
    point = tmp_path / "small"
    point.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(point)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield point
    subprocess.run(["umount", str(point)], check=True)


def test_a_really_full_disk_costs_nothing_acknowledged_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    """ENOSPC from the system itself: the ballast carries the batch in hand, a second one waits for a person."""

    async def scenario() -> None:
        (small_disk / "filler").write_bytes(bytes(4 * MB))
        options = Options(presize=0, mark_every_s=3600, retry_s=(0.02, 0.1), ballast=2 * MB, min_free=MB)
        journal = await SqliteJournal.open(small_disk, now_ms=lambda: NOW_MS, options=options)
        disk = Heard(journal)
        n = 0
        while journal.ballast.held:
            await journal.append([Part("a", n, [a_row(n + i, bytes(2000)) for i in range(100)])])
            n += 100
            assert journal.heads() == {"a": n}
        assert set(disk.heard) == {"SQLITE_FULL"}, "the batch in hand was acknowledged all the same"
        waiting = [asyncio.create_task(journal.append([Part("a", n, rows(n, 1))]))]
        await asyncio.sleep(0.3)
        assert "recovered" not in disk.heard
        (small_disk / "filler").unlink()
        await asyncio.gather(*waiting)
        await until(lambda: "recovered" in disk.heard)
        assert journal.ballast.held and journal.heads() == {"a": n + 1}
        await journal.close()

    asyncio.run(scenario())
    assert verify(small_disk) == []
