"""workers/ballast.py: room set aside, so that the batch in hand still fits when the disk is full.

HELD ─the disk is full─▶ FREED: that batch commits, nothing new is read ─`min_free` is back─▶ HELD: reading goes on
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from workers import mark

NAME: Final = "ballast"


def free_bytes(directory: Path) -> int:
    """What an ordinary process may still write there."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


class Ballast:
    """A file of allocated blocks. Of size 0 it is always held and does nothing."""

    def __init__(self, directory: Path, size: int, min_free: int, free: Callable[[Path], int] = free_bytes) -> None:
        self.size, self._min_free, self._free = size, min_free, free
        self._path = directory / NAME

    @property
    def held(self) -> bool:
        """Is it whole?"""
        return not self.size or (self._path.exists() and self._path.stat().st_size == self.size)

    def free_bytes(self) -> int:
        """What is left beside it."""
        return self._free(self._path.parent)

    def roomy(self) -> bool:
        """Would `min_free` be left with the ballast in its place?"""
        return self.free_bytes() >= self._min_free + (0 if self.held else self.size)

    def make(self) -> bool:
        """Allocated and durable on return; False, and nothing left, when there is no room. Idempotent."""
        if self.held:
            return True
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.size)
                os.fsync(file.fileno())
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
        mark.sync_directory(self._path.parent)
        return True

    def give(self) -> bool:
        """Give the room back to the disk. False when there was none to give."""
        if not self.size or not self._path.exists():
            return False
        self._path.unlink()
        return True
