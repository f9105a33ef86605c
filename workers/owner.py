"""workers/owner.py: one process owns a directory, and one a hall. Taken before anything is opened or subscribed.

A flock goes with the process, also after kill -9. It needs a local file system: network ones are refused.
"""

import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Final

from workers.ports import Acquired, Lost, Missing

NAME: Final = "jiaohao.lock"
MOUNTS: Final = Path("/proc/self/mounts")
NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"})


class Taken(Missing):
    """Another process owns it (exit 4)."""


class Owner:
    """A held lock. The file stays when it is released: removing it would let two processes lock two files."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take(directory: Path, name: str = NAME, *, what: str = "data directory") -> Owner:
    """The lock, at once. Taken when somebody holds it, Missing when the directory cannot be written."""
    refuse_network(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(directory / name, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        why = f"{directory}: {error.strerror}\ngive the service write access, or name another directory"
        raise Missing(f"{what} not writable (SQLITE_READONLY_DIRECTORY)\n{why}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise Taken(f"{what} in use by process {pid}\n{directory}\nstop that process, or name another one") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return Owner(fd)


class FlockOwner:
    """The `Ownership` of one machine: all halls at once, and never lost. `directory` is shared by all its dispatchers;
    None where one alone serves every hall: then the lock of its data directory is enough. One descriptor a hall."""

    def __init__(self, directory: Path | None, halls: Sequence[str]) -> None:
        self._directory, self._halls = directory, tuple(halls)
        self._held: list[Owner] = []

    async def changes(self) -> AsyncIterator[Acquired | Lost]:
        """Taken when another process has one of them; then we have none."""
        try:
            if self._directory is not None:
                for hall in self._halls:
                    self._held.append(take(self._directory, f"hall-{hall}.lock", what=f"hall {hall}"))
        except BaseException:
            self.release()
            raise
        for hall in self._halls:
            yield Acquired(hall)

    def release(self) -> None:
        """Idempotent."""
        held, self._held = self._held, []
        for one in held:
            one.release()


def refuse_network(directory: Path) -> None:
    """Missing on nfs, cifs and the like: neither flock nor the WAL is safe there."""
    kind = file_system(directory.resolve(), MOUNTS.read_text().splitlines() if MOUNTS.exists() else ())
    if kind in NETWORK:
        raise Missing(f"data directory on a network file system ({kind})\n{directory}\nput it on a local disk")


def file_system(path: Path, mounts: Iterable[str]) -> str:
    """The type of the file system that holds `path`, from lines of /proc/self/mounts. Empty when unknown."""
    kind, longest = "", -1
    for line in mounts:
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= longest:
            kind, longest = found, len(point)
    return kind
