"""workers/mark.py: how far we have acknowledged, kept outside the WAL (`acknowledged.mark`).

SQLite drops the rest of a damaged WAL in silence; only a second place can tell. Two slots, 4 KiB apart, are written in
turn, so that a torn write leaves the other. The blind window is the time since the last write: about a second.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

NAME: Final = "acknowledged.mark"
SLOTS: Final = (0, 4096)
LAYOUT: Final = struct.Struct("<4sQQ8sI")
MAGIC: Final = b"JHM1"
assert LAYOUT.size < SLOTS[1] - SLOTS[0], "a slot never touches the sector of the other"


class Mark(NamedTuple):
    """A batch end that was acknowledged, and the first 8 bytes of the chain there."""

    epoch: int
    seq: int
    chain: bytes


def encode(mark: Mark) -> bytes:
    """One slot, closed by a CRC-32."""
    crc = zlib.crc32(LAYOUT.pack(MAGIC, *mark, 0)[:-4])
    return LAYOUT.pack(MAGIC, *mark, crc)


def decode(slot: bytes) -> Mark | None:
    """None for a torn, empty or foreign slot."""
    if len(slot) < LAYOUT.size:
        return None
    magic, epoch, seq, chain, crc = LAYOUT.unpack(slot[: LAYOUT.size])
    intact = magic == MAGIC and crc == zlib.crc32(slot[: LAYOUT.size - 4])
    return Mark(epoch, seq, chain) if intact else None


def slots(path: Path) -> list[Mark | None]:
    """Both slots as they are on disk; all None when there is no file."""
    if not path.exists():
        return [None for _ in SLOTS]
    data = path.read_bytes()
    return [decode(data[at : at + LAYOUT.size]) for at in SLOTS]


def newest(path: Path) -> Mark | None:
    """The later of the intact slots: by epoch, then seq."""
    return max((mark for mark in slots(path) if mark is not None), default=None)


class MarkFile:
    """The open file. Written by one thread."""

    def __init__(self, path: Path, first: Mark) -> None:
        """Both slots get `first`; the file and its name are durable on return."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        self._next = 0
        if os.fstat(self._fd).st_size < 2 * SLOTS[1]:
            os.ftruncate(self._fd, 2 * SLOTS[1])
        for _ in SLOTS:
            self.write(first)
        sync_directory(path.parent)

    def write(self, mark: Mark) -> None:
        """Durable on return. The slot written before stays as it was."""
        os.pwrite(self._fd, encode(mark), SLOTS[self._next])
        os.fdatasync(self._fd)
        self._next = 1 - self._next

    def close(self) -> None:
        os.close(self._fd)


def sync_file(path: Path) -> None:
    """Make the content of a file durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_whole(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Whole and durable before it has its name, which is durable on return. `mode`: less the umask, for a new file."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    sync_file(part)
    part.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
