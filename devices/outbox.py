"""devices/outbox.py: what a device has said and the hall has not yet answered. In order; kept over restarts if on disk.

An event gets its (boot, seq) on entering and leaves when the hall has answered it, never when the broker has it.
A boot names one life of seq. It comes from the system's randomness, never from a seed: a second run with the same seed
would else speak with the numbers of the first, and be taken for it.
"""

import secrets
import sqlite3
from pathlib import Path
from typing import Final

from msgspec import Struct

LIMIT: Final = 10_000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS life (one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, seq INTEGER NOT NULL,
  link INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS event (boot TEXT NOT NULL, seq INTEGER NOT NULL, place INTEGER NOT NULL, body BLOB NOT NULL,
  born_ms INTEGER NOT NULL, PRIMARY KEY (boot, seq)) STRICT;
CREATE TABLE IF NOT EXISTS own (one INTEGER PRIMARY KEY CHECK (one = 1), drawn INTEGER NOT NULL) STRICT;
"""

Key = tuple[str, int]


class OutboxFull(Exception):
    """The hall has not answered for so long that nothing more is taken: the person must be told."""


class Entry(Struct, frozen=True, gc=False):
    """One event. `place` orders the outbox over boots; `born_ms` by the device's wall clock."""

    boot: str
    seq: int
    place: int
    body: bytes
    born_ms: int

    @property
    def key(self) -> Key:
        return self.boot, self.seq


def new_boot() -> str:
    """8 characters of the wire's alphabet, 48 bits."""
    return secrets.token_urlsafe(6)


class MemoryOutbox:
    """For a device without storage: a new boot at each start. Bounded: at LIMIT `put` raises OutboxFull."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.boot = new_boot()
        self.recalled = False
        """Whether the boot was read back from storage: only then can the counter behind it be an old one."""
        self._limit = limit
        self._seq = self._link = self._place = self._drawn = 0
        self._entries: dict[Key, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, body: bytes, born_ms: int) -> Entry:
        """The event with its number. OutboxFull at the limit."""
        if len(self._entries) >= self._limit:
            raise OutboxFull(f"{self._limit} events wait for an answer")
        entry = Entry(self.boot, self._seq + 1, self._place + 1, body, born_ms)
        self._stored(entry)
        self._seq, self._place = entry.seq, entry.place
        self._entries[entry.key] = entry
        return entry

    @property
    def newest(self) -> Key:
        """Of the event that was put last, in this life of the counter."""
        return self.boot, self._seq

    def draw(self, limit: int) -> int:
        """The next number of the device's own range, 1 to `limit`, then from the start again. Kept, like all here."""
        self._drawn = self._drawn % limit + 1
        self._drew()
        return self._drawn

    def get(self, key: Key) -> Entry | None:
        """The event, if it still waits."""
        return self._entries.get(key)

    def entries(self) -> list[Entry]:
        """All that waits, oldest first."""
        return list(self._entries.values())

    def first(self, count: int) -> list[Entry]:
        """The oldest that wait, at most `count`, all of one boot: an `ack` speaks of one boot."""
        found: list[Entry] = []
        for entry in self._entries.values():
            if len(found) >= count or (found and entry.boot != found[0].boot):
                break
            found.append(entry)
        return found

    def settle(self, keys: list[Key]) -> None:
        """The hall has answered these."""
        for key in keys:
            self._entries.pop(key, None)
        self._settled(keys)

    def redraw(self, entries: list[Entry]) -> list[Entry]:
        """The counter is lost: a new boot, and these events under it, each in its place."""
        self.boot, self.recalled, self._seq, self._link = new_boot(), False, 0, 0
        renamed: dict[Key, Entry] = {}
        for entry in entries:
            self._seq += 1
            renamed[entry.key] = Entry(self.boot, self._seq, entry.place, entry.body, entry.born_ms)
        kept = [renamed.get(key, entry) for key, entry in self._entries.items()]
        self._entries = {entry.key: entry for entry in kept}
        self._redrawn(entries, list(renamed.values()))
        return list(renamed.values())

    def connected(self) -> int:
        """The number of this connection within the boot, for birth and will."""
        self._link += 1
        self._linked()
        return self._link

    def close(self) -> None:
        """Nothing to do in memory."""

    def _stored(self, entry: Entry) -> None: ...
    def _settled(self, keys: list[Key]) -> None: ...
    def _redrawn(self, old: list[Entry], new: list[Entry]) -> None: ...
    def _linked(self) -> None: ...
    def _drew(self) -> None: ...


class SqliteOutbox(MemoryOutbox):
    """The same on disk: synced before `put` returns (blocking: one fdatasync). One process at a time holds the file."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        super().__init__(limit)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        run = self._db.execute
        run("PRAGMA locking_mode=EXCLUSIVE")  # a second process would draw the same numbers
        run("PRAGMA journal_mode=WAL").fetchall()
        run("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)
        kept = run("SELECT boot, seq, link FROM life").fetchone()
        if kept is None:
            run("INSERT INTO life VALUES (1, ?, 0, 0)", (self.boot,))
        else:
            self.boot, self._seq, self._link = kept
            self.recalled = True
        drawn = run("SELECT drawn FROM own").fetchone()
        self._drawn = drawn[0] if drawn is not None else 0
        for row in run("SELECT boot, seq, place, body, born_ms FROM event ORDER BY place"):
            entry = Entry(*row)
            self._entries[entry.key] = entry
            self._place = entry.place

    def _stored(self, entry: Entry) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", _row(entry))
            self._db.execute("UPDATE life SET seq = ?", (entry.seq,))

    def _settled(self, keys: list[Key]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM event WHERE boot = ? AND seq = ?", keys)

    def _redrawn(self, old: list[Entry], new: list[Entry]) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM event WHERE boot = ? AND seq = ?", [entry.key for entry in old])
            self._db.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", [_row(entry) for entry in new])
            self._db.execute("UPDATE life SET boot = ?, seq = ?, link = 0", (self.boot, self._seq))

    def _linked(self) -> None:
        self._db.execute("UPDATE life SET link = ?", (self._link,))

    def _drew(self) -> None:
        self._db.execute("INSERT OR REPLACE INTO own VALUES (1, ?)", (self._drawn,))

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()


def _row(entry: Entry) -> tuple[str, int, int, bytes, int]:
    return entry.boot, entry.seq, entry.place, entry.body, entry.born_ms
