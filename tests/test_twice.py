"""workers/twice.py: whatever one bit makes of a number in `meta`, no call stays unsaid and no picture unmade."""

import asyncio
from pathlib import Path

import pytest

from tests.test_recovery import NOW_MS, SMALL, change, rows, start
from workers import backup, recovery, twice
from workers.ports import Part
from workers.verify import verify


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """A hundred facts of hall a; states at 30, 60 and 90; up to 40 everything was heard."""

    async def scenario() -> Path:
        async with start(tmp_path) as journal:
            for n in range(0, 100, 10):
                await journal.append([Part("a", n, rows(n, 10))])
                if n in (20, 50, 80):
                    await journal.save("a", n + 10, b"state", heard=False)
            journal.save_marks({"a": 40})
        return journal.path

    return asyncio.run(scenario())


def begun(path: Path, now_ms: int = NOW_MS) -> tuple[dict[str, int], int, int, int]:
    """Marks, the state that a start begins with, the watermark of the pictures, the epoch."""

    async def scenario() -> tuple[dict[str, int], int, int, int]:
        async with start(path.parent, SMALL, now_ms) as journal:
            found = await journal.start()
            state = found.snapshots["a"].hall_seq if "a" in found.snapshots else 0
            return journal.marks(), state, journal.views.proj_seq, journal.epoch

    return asyncio.run(scenario())


def test_every_number_is_there_twice_and_well(heard: Path) -> None:
    assert verify(heard.parent) == []
    assert begun(heard)[:3] == ({"a": 40}, 30, 100)


@pytest.mark.parametrize("key", ["published:1", "twice:published:1"])
@pytest.mark.parametrize("bit", range(6))
def test_a_bit_of_a_mark_never_leaves_a_call_unsaid(heard: Path, key: str, bit: int) -> None:
    """At most it is said again. Else a start began with the state at 60 or 90, which holds what nobody has heard."""
    change(heard, f"UPDATE meta SET v = (v | {1 << bit}) - (v & {1 << bit}) WHERE k = '{key}'")
    assert verify(heard.parent)
    marks, state, *_ = begun(heard)
    assert marks["a"] <= 40 and state <= 40


@pytest.mark.parametrize("key", ["proj_seq", "twice:proj_seq"])
def test_a_watermark_too_high_leaves_no_picture_unmade(heard: Path, key: str) -> None:
    change(heard, "UPDATE meta SET v = 80 WHERE k LIKE '%proj_seq'", f"UPDATE meta SET v = 96 WHERE k = '{key}'")
    assert "proj_seq is" in verify(heard.parent)[0]
    assert begun(heard)[2] == 80


@pytest.mark.parametrize("key", ["epoch", "twice:epoch"])
@pytest.mark.parametrize("bit", range(63))
def test_an_epoch_is_above_every_one_that_has_written_and_never_leaps(heard: Path, key: str, bit: int) -> None:
    """Also where the clock is behind: screens would not believe an older one, and nothing ends a leap."""
    change(heard, f"UPDATE meta SET v = (v | {1 << bit}) - (v & {1 << bit}) WHERE k = '{key}'")
    written = NOW_MS // 1000
    assert begun(heard, now_ms=1000)[3] == written + 1


def test_a_file_of_before_has_them_once_and_is_gone_on_in(heard: Path) -> None:
    change(heard, "DELETE FROM meta WHERE k LIKE 'twice:%'")
    assert verify(heard.parent) == []
    assert begun(heard)[:2] == ({"a": 40}, 30)
    change(heard, "UPDATE meta SET v = 90 WHERE k = 'published:1'")
    assert begun(heard)[:2] == ({"a": 40}, 30), "from its first start on it has them twice"


def test_each_way_of_going_on_keeps_them_twice(heard: Path, tmp_path: Path) -> None:
    change(heard, "UPDATE meta SET v = 7 WHERE k LIKE '%proj_seq'")  # nothing that is pictured has happened since

    async def month() -> None:
        async with start(heard.parent) as journal:
            await journal.save("a", 100, b"state", heard=False)
            await journal.rotate("2026-12")

    asyncio.run(month())
    backup.backup(heard.parent, tmp_path / "copy.db")
    restored = asyncio.run(backup.restore(tmp_path / "copy.db", tmp_path / "other", NOW_MS))
    for path in (recovery.newest_file(heard.parent), Path(restored.file)):
        assert path is not None
        change(path, "UPDATE meta SET v = 100 WHERE k = 'published:1'")
        assert begun(path)[:3] == ({"a": 40}, 60, 100), "the oldest state there is"


def test_the_lower_of_two_counts() -> None:
    assert twice.lower({"n:1": 5, "twice:n:1": 4, "n:2": 3, "m": 9}, "n:") == {"1": 4, "2": 3}
    assert twice.lower(twice.stored({"epoch": 7}), "epoch") == {"": 7}
    assert twice.lower({"twice:n": 4}, "n") == {}
