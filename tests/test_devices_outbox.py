"""devices/outbox.py: numbers, order, what is left after a restart."""

import sqlite3
from pathlib import Path

import pytest

from devices.outbox import MemoryOutbox, OutboxFull, SqliteOutbox


def test_numbers_start_at_one_and_are_never_reused() -> None:
    outbox = MemoryOutbox()
    assert [outbox.put(b"{}", 5).seq for _ in range(3)] == [1, 2, 3]
    outbox.settle([(outbox.boot, 3)])
    assert outbox.put(b"{}", 5).seq == 4


def test_memory_draws_a_new_boot_at_each_start() -> None:
    assert len({MemoryOutbox().boot for _ in range(50)}) == 50
    assert not MemoryOutbox().recalled


def test_an_outbox_is_bounded() -> None:
    outbox = MemoryOutbox(limit=2)
    outbox.put(b"{}", 0)
    first = outbox.put(b"{}", 0)
    with pytest.raises(OutboxFull):
        outbox.put(b"{}", 0)
    outbox.settle([first.key])
    assert outbox.put(b"{}", 0).seq == 3, "a refused event takes no number"


def test_disk_keeps_boot_numbers_events_and_link_over_a_restart(tmp_path: Path) -> None:
    first = SqliteOutbox(tmp_path / "outbox.db")
    kept = [first.put(f'{{"at":{at}}}'.encode(), 1000 + at) for at in range(3)]
    first.settle([kept[1].key])
    assert first.connected() == 1
    first.close()
    second = SqliteOutbox(tmp_path / "outbox.db")
    assert second.recalled
    assert second.boot == first.boot
    assert second.entries() == [kept[0], kept[2]]
    assert second.put(b"{}", 0).seq == 4
    assert second.connected() == 2
    second.close()


def test_an_event_is_on_disk_when_put_returns(tmp_path: Path) -> None:
    """The first is never closed, as in a power cut; what another reader finds then is what was synced."""
    first = SqliteOutbox(tmp_path / "outbox.db")
    entry = first.put(b"{}", 7)
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"outbox.db{suffix}").read_bytes())
    copy = SqliteOutbox(tmp_path / "copy.db")
    assert copy.entries() == [entry]
    assert copy.put(b"{}", 8).seq == 2
    assert copy._db.execute("PRAGMA synchronous").fetchone() == (2,)
    copy.close()
    first.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    first = SqliteOutbox(tmp_path / "outbox.db")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        SqliteOutbox(tmp_path / "outbox.db")
    first.close()


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_redrawn_event_keeps_its_place(on_disk: bool, tmp_path: Path) -> None:
    outbox = SqliteOutbox(tmp_path / "outbox.db") if on_disk else MemoryOutbox()
    entries = [outbox.put(f"{at}".encode(), at) for at in range(4)]
    old = outbox.boot
    renamed = outbox.redraw([entries[1], entries[3]])
    assert outbox.boot != old
    assert [(one.boot, one.seq, one.body) for one in renamed] == [(outbox.boot, 1, b"1"), (outbox.boot, 2, b"3")]
    assert [entry.body for entry in outbox.entries()] == [b"0", b"1", b"2", b"3"]
    assert outbox.put(b"4", 4).seq == 3
    expected = [(entry.boot, entry.seq, entry.body) for entry in outbox.entries()]
    outbox.close()
    if on_disk:
        again = SqliteOutbox(tmp_path / "outbox.db")
        assert [(entry.boot, entry.seq, entry.body) for entry in again.entries()] == expected
        assert again.boot == outbox.boot
        again.close()


def test_a_message_holds_events_of_one_boot() -> None:
    outbox = MemoryOutbox()
    entries = [outbox.put(b"{}", 0) for _ in range(3)]
    outbox.redraw([entries[2]])
    assert [entry.key for entry in outbox.first(64)] == [entries[0].key, entries[1].key]
    outbox.settle([entries[0].key, entries[1].key])
    assert [entry.key for entry in outbox.first(64)] == [(outbox.boot, 1)]


def test_own_numbers_go_round_and_on_over_a_restart(tmp_path: Path) -> None:
    for outbox in (MemoryOutbox(), SqliteOutbox(tmp_path / "outbox.db")):
        assert [outbox.draw(3) for _ in range(5)] == [1, 2, 3, 1, 2]
        outbox.close()
    again = SqliteOutbox(tmp_path / "outbox.db")
    assert again.draw(3) == 3
    again.close()
