"""workers/counting.py: counted once, from a journal that is only read; what is kept is thrown away when it is wrong."""

import asyncio
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from core.record import decode
from tests.halls import HALL
from tests.test_replays import change, rows, stored
from tests.test_report import lively
from workers import counting
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Missing, Part
from workers.recovery import newest_file
from workers.totals import Counter, Totals


def test_little_is_counted_again_rather_than_written(tmp_path: Path) -> None:
    """The disk is the journal's: megabytes are not written for a few rows."""
    stored(tmp_path, lively())
    counting.update(tmp_path)
    kept = counting.kept(tmp_path).read_bytes()
    columns = "hall, hall_seq, at_ms, kind, v, device, boot, dseq, payload"
    change(tmp_path, f"INSERT INTO journal SELECT seq + 1000, {columns} FROM journal WHERE kind = 26 LIMIT 1")
    assert counting.update(tmp_path).seq > 1000 and counting.kept(tmp_path).read_bytes() == kept


def test_the_next_report_counts_only_what_came_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "WORTH", 1)
    hall = lively()
    lines = rows(hall)

    async def append(first: int, last: int) -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: hall.at_ms)
        await journal.append([Part(HALL, first, lines[first:last])])
        await journal.close()

    for first, last in ((0, 10), (10, 11), (11, 40), (40, len(lines))):
        asyncio.run(append(first, last))
        totals = counting.update(tmp_path)
        assert totals == counting.update(tmp_path, fresh=True)
        assert totals.seq == last
    assert counting.kept(tmp_path).exists()
    whole = Counter(Totals())
    for line_ in hall.journal:
        whole.note(HALL, decode(line_.kind, line_.v, line_.payload)[0], line_.at_ms)
    assert whole.totals.halls == totals.halls


def test_totals_of_another_journal_or_none_begin_anew(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    fresh = counting.update(tmp_path)
    path = counting.kept(tmp_path)
    for wrong in (
        b"nothing",
        msgspec.msgpack.encode(Totals(fresh.seq, 1)),
        msgspec.msgpack.encode(Totals(99_999, fresh.at_ms)),
    ):
        path.write_bytes(wrong)
        assert counting.update(tmp_path) == fresh


def test_a_directory_that_cannot_be_written_is_reported_on(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    (tmp_path / "report").write_text("a file where the directory would be")
    assert counting.update(tmp_path).seq > 0


def test_what_a_killed_child_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    place = counting.kept(tmp_path).parent
    place.mkdir()
    for pid in (ended.pid, os.getppid()):
        (place / f"totals-{counting.FORMAT}.{pid}").touch()
    counting.update(tmp_path)
    assert {one.name for one in place.iterdir()} == {
        counting.kept(tmp_path).name,
        f"totals-{counting.FORMAT}.{os.getppid()}",
    }


def test_nothing_is_written_to_the_journal(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    path = newest_file(tmp_path)
    assert path is not None
    before = path.read_bytes()
    counting.update(tmp_path)
    assert path.read_bytes() == before


def test_no_journal_and_a_damaged_row(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        counting.update(tmp_path)
    stored(tmp_path, lively())
    change(tmp_path, "UPDATE journal SET payload = x'c1' WHERE kind = 26")
    with pytest.raises(JournalDamaged, match="row "):
        counting.update(tmp_path)
