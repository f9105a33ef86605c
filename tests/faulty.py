"""tests/faulty.py: a machine that misbehaves on command: its clock, its disk, its network, its file systems, its mains.

Clock and disk: a library loaded before all others into the unchanged process (LD_PRELOAD), told by a shared page what
to do. Mains: the same library keeps beside a directory what of it was synced, and nothing else. Network: a relay in a
process of its own, which can be stopped, continued and ended.
"""

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.brokers import held_port, wait_for_port
from workers.broker import LOOPBACK

SHIM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long *told;                      /* clock_ms, sync_ms, sync_errno, no_room, syncs */
static const char *data, *kept;                  /* a directory, and where stands what of it was synced */
static struct { off_t low, high; } dirty[1024];  /* written and not synced, by descriptor */

__attribute__((constructor)) static void begin(void) {
  data = getenv("FAULTY_DATA"), kept = getenv("FAULTY_KEPT");
  const char *name = getenv("FAULTY_CONTROL");
  int fd = name ? open(name, O_RDWR) : -1;
  void *page = fd < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) told = page;
  if (fd >= 0) close(fd);
}

int clock_gettime(clockid_t which, struct timespec *now) {
  int code = syscall(SYS_clock_gettime, which, now);
  if (!code && told && which == CLOCK_REALTIME) now->tv_sec += told[0] / 1000;
  return code;
}

/* Names of a directory count once it is synced, and whose they are: "inode name", a line each. */
static void keep_names(const char *path) {
  char part[4096], names[4096];
  snprintf(part, sizeof part, "%s/names.part", kept), snprintf(names, sizeof names, "%s/names", kept);
  DIR *dir = opendir(path);
  FILE *out = fopen(part, "w");
  for (struct dirent *one; dir && out && (one = readdir(dir));)
    if (one->d_type == DT_REG) fprintf(out, "%lu %s\n", (unsigned long)one->d_ino, one->d_name);
  if (dir) closedir(dir);
  if (out && !fclose(out)) rename(part, names);
}

/* The bytes of a file count once it is synced. Read through the descriptor itself: closing another drops its locks. */
static void keep_bytes(int fd, const struct stat *here) {
  static __thread char block[1 << 16];
  char path[4096];
  struct stat before;
  snprintf(path, sizeof path, "%s/%lu", kept, (unsigned long)here->st_ino);
  int out = open(path, O_WRONLY | O_CREAT, 0600);
  if (out < 0) return;
  off_t at = 0, end = here->st_size;
  if (!fstat(out, &before) && before.st_size && fd < 1024) at = dirty[fd].low, end = dirty[fd].high;
  while (at < end) {
    ssize_t size = pread(fd, block, end - at < sizeof block ? end - at : sizeof block, at);
    if (size <= 0) break;
    syscall(SYS_pwrite64, out, block, size, at);
    at += size;
  }
  if (!ftruncate(out, here->st_size)) close(out);
  if (fd < 1024) dirty[fd].low = dirty[fd].high = 0;
}

static void keep(int fd) {
  char link[64], path[4096];
  struct stat here;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0 || fstat(fd, &here)) return;
  path[size] = 0;
  if (S_ISDIR(here.st_mode) && !strcmp(path, data)) keep_names(path);
  if (S_ISREG(here.st_mode) && !strncmp(path, data, strlen(data))) keep_bytes(fd, &here);
}

static void wrote(int fd, off_t low, off_t high) {
  if (!kept || fd >= 1024) return;
  if (dirty[fd].low == dirty[fd].high || low < dirty[fd].low) dirty[fd].low = low;
  if (high > dirty[fd].high) dirty[fd].high = high;
}

static int synced(long number, int fd) {
  if (told) {
    told[4]++;
    if (told[1]) usleep(told[1] * 1000);
    if (told[2]) { errno = told[2]; return -1; }
  }
  int code = syscall(number, fd);
  if (!code && data && kept) keep(fd);
  return code;
}

int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }
int fsync(int fd) { return synced(SYS_fsync, fd); }

/* A full disk takes what fits into what is there, and no more. */
static int too_much(int fd, off_t end) {
  struct stat here;
  return told && told[3] && !fstat(fd, &here) && S_ISREG(here.st_mode) && end > here.st_size;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  if (too_much(fd, at + size)) { errno = ENOSPC; return -1; }
  wrote(fd, at, at + size);
  return syscall(SYS_pwrite64, fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at) { return pwrite(fd, bytes, size, at); }

ssize_t write(int fd, const void *bytes, size_t size) {
  off_t at = lseek(fd, 0, SEEK_CUR);
  if (too_much(fd, at + size)) { errno = ENOSPC; return -1; }
  if (at >= 0) wrote(fd, at, at + size);
  return syscall(SYS_write, fd, bytes, size);
}
"""
RELAY = Path(__file__).with_name("relay.py")
PLACES = ("clock_ms", "sync_ms", "sync_errno", "no_room", "syncs")


class Machine:
    """What a process started within `preloaded()` finds beneath it. Values act at once."""

    def __init__(self, directory: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("no C compiler, or not Linux: clock and disk cannot be made to misbehave")
        source, self.library, self.control = directory / "shim.c", directory / "shim.so", directory / "control"
        source.write_text(SHIM)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.control.write_bytes(bytes(4096))
        self._file = self.control.open("r+b")
        self._page = mmap(self._file.fileno(), 4096)

    def set(self, **values: int) -> None:
        """`clock_ms`: so much is the clock ahead; `sync_ms`, `sync_errno`: of each sync; `no_room`: no file grows."""
        for name, value in values.items():
            struct.pack_into("l", self._page, 8 * PLACES.index(name), value)

    @property
    def syncs(self) -> int:
        """How many there were."""
        found: int = struct.unpack_from("l", self._page, 8 * PLACES.index("syncs"))[0]
        return found

    @contextmanager
    def preloaded(self, mains: "Mains | None" = None) -> Iterator[None]:
        """Processes begun here run on it."""
        mine = {"LD_PRELOAD": str(self.library), "FAULTY_CONTROL": str(self.control)}
        if mains is not None:
            mine |= {"FAULTY_DATA": str(mains.data), "FAULTY_KEPT": str(mains.kept)}
        before = {name: os.environ.get(name) for name in mine}
        os.environ.update(mine)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def close(self) -> None:
        self._page.close()
        self._file.close()


SECTOR = 512


def survivors(synced: bytes, now: bytes, chance: random.Random, share: float) -> bytes:
    """What a disk has of a file: each sector written since the last sync is there or is not, whatever came before it.
    `share`: how many are, 0 to 1."""
    made = bytearray(synced)
    for at in range(0, len(now) if share else 0, SECTOR):
        new = now[at : at + SECTOR]
        if new != synced[at : at + SECTOR] and chance.random() < share:
            made.extend(bytes(max(0, at - len(made))))  # what was to come before is a hole
            made[at : at + len(new)] = new
    return bytes(made)


class Mains:
    """The power of one directory's disk. `kept`: each file as it was at its last sync, by inode, and `names`."""

    def __init__(self, data: Path, kept: Path) -> None:
        self.data, self.kept = data.resolve(), kept.resolve()
        self.kept.mkdir(parents=True)

    def cut(self, to: Path, chance: random.Random, share: float) -> None:
        """What a machine that is switched on again finds, into `to`. Who wrote it must have ended. Of names and sectors
        that were not synced this share."""
        to.mkdir(parents=True)
        now = {str(path.stat().st_ino): path for path in sorted(self.data.iterdir()) if path.is_file()}
        names = {path.name: inode for inode, path in now.items() if chance.random() < share}
        listed = self.kept / "names"
        for line in listed.read_text().splitlines() if listed.exists() else ():
            inode, _, name = line.partition(" ")
            names[name] = inode
        for name, inode in names.items():
            file = self.kept / inode
            synced = file.read_bytes() if file.exists() else b""
            written = now[inode].read_bytes() if inode in now else synced
            (to / name).write_bytes(survivors(synced, written, chance, share))
            if inode in now:
                shutil.copymode(now[inode], to / name)


class Relay:
    """Between the dispatcher and its broker. `freeze`: nothing passes and nobody is told. `cut`: both ends are told."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, held_port(self)
        self.url = f"mqtt://{LOOPBACK}:{self.port}"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-S", RELAY, str(self.port), str(self.target)])
        wait_for_port(process, self.port)
        return process

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def cut(self) -> None:
        """In the midst of whatever is said."""
        self.process.kill()
        self.process.wait(10)

    def mend(self) -> None:
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.cut()


@contextmanager
def small_disk(directory: Path, megabytes: int, *, read_only: bool = False) -> Iterator[Path]:
    """A file system of its own size. Skips where it may not be mounted."""
    directory.mkdir(parents=True, exist_ok=True)
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("a file system can only be mounted by root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", directory], capture_output=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        if read_only:
            subprocess.run([mount, "-o", "remount,ro", directory], check=True)
        yield directory
    finally:
        subprocess.run([umount, "-l", directory], check=True)
