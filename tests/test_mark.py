"""workers/mark.py: two slots in turn; a torn one leaves the other; every flipped bit is seen."""

import os
from pathlib import Path

import pytest

from workers import mark
from workers.mark import Mark, MarkFile

FIRST = Mark(7, 0, bytes(8))


def test_slots_are_written_in_turn_and_the_newest_counts(tmp_path: Path) -> None:
    path = tmp_path / mark.NAME
    file = MarkFile(path, FIRST)
    assert mark.slots(path) == [FIRST, FIRST]
    for seq in (100, 200, 300):
        file.write(Mark(7, seq, b"chain---"))
        assert mark.newest(path) == Mark(7, seq, b"chain---")
    assert sorted(slot.seq for slot in mark.slots(path) if slot) == [200, 300]
    file.close()


def test_a_later_epoch_counts_more_than_a_larger_seq(tmp_path: Path) -> None:
    file = MarkFile(tmp_path / mark.NAME, Mark(7, 900, bytes(8)))
    file.write(Mark(8, 100, bytes(8)))
    assert mark.newest(tmp_path / mark.NAME) == Mark(8, 100, bytes(8))
    file.close()


def test_a_torn_slot_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / mark.NAME
    file = MarkFile(path, FIRST)
    file.write(Mark(7, 100, b"chain-a-"))
    file.write(Mark(7, 200, b"chain-b-"))
    torn = mark.SLOTS[1]
    with path.open("r+b") as raw:
        raw.seek(torn + 10)
        raw.write(b"torn")
    assert mark.newest(path) == Mark(7, 100, b"chain-a-")
    file.close()


@pytest.mark.parametrize("place", range(mark.LAYOUT.size))
def test_every_byte_of_a_slot_is_covered(place: int) -> None:
    slot = bytearray(mark.encode(Mark(7, 100, b"chain---")))
    slot[place] ^= 1
    assert mark.decode(bytes(slot)) is None


def test_no_file_and_a_short_one_hold_no_mark(tmp_path: Path) -> None:
    assert mark.newest(tmp_path / mark.NAME) is None
    (tmp_path / mark.NAME).write_bytes(b"short")
    assert mark.newest(tmp_path / mark.NAME) is None


def test_each_write_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    file = MarkFile(tmp_path / mark.NAME, FIRST)
    file.write(Mark(7, 1, bytes(8)))
    assert len(synced) == 3
    file.close()
