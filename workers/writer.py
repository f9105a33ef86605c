"""workers/writer.py: what happens in the writer's thread, each function one hop. Plain SQL on a plain connection.

`write(db, batch)` needs only execute, executemany and in_transaction, so any driver of SQLite can run it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, Protocol

from workers import chain, recovery, twice
from workers.chain import Columns, Head, Seal
from workers.engine import Connection
from workers.ports import Letter, Row

LETTERS_KEPT: Final = 10_000
SNAPSHOTS_KEPT: Final = 3
FRAME: Final = 4096 + 24
AT_MS, KIND, V, DSEQ, PAYLOAD = map(itemgetter, (0, 1, 2, 5, 6))  # of a Row
assert [Row._fields[at] for at in (0, 1, 2, 5, 6)] == ["at_ms", "kind", "v", "dseq", "payload"]

ROW: Final = "(?,?,?,?,?,?,?,?,?,?)"
COLUMNS: Final = ROW.count("?")
ROWS_AT_ONCE: Final = 50  # in one statement: 1.35 us of CPU a row singly, 0.92 by 50, 0.91 by 100
INSERT_ROW: Final = f"INSERT INTO journal VALUES{ROW}"
INSERT_ROWS: Final = f"INSERT INTO journal VALUES{','.join([ROW] * ROWS_AT_ONCE)}"
INSERT_BATCH: Final = "INSERT INTO batch(last, first, epoch, at_ms, crc, chain) VALUES(?,?,?,?,?,?)"
INSERT_WORD: Final = "INSERT OR IGNORE INTO word VALUES(?,?)"  # a cancelled snapshot may have stored it
INSERT_LETTER: Final = "INSERT INTO letter(at_ms, topic, reason, digest, payload, seq) VALUES(?,?,?,?,?,?)"
INSERT_NOTE: Final = "INSERT OR REPLACE INTO note VALUES(?,?,?,?)"
DROP_LETTERS: Final = "DELETE FROM letter WHERE id <= (SELECT max(id) FROM letter) - ?"
UPSERT_META: Final = "INSERT INTO meta VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v = excluded.v"
RAISE_META: Final = "INSERT INTO meta VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v = max(v, excluded.v)"
INSERT_SNAPSHOT: Final = "INSERT OR REPLACE INTO snapshot VALUES(?,?,?,?,?,?,?)"
DROP_SNAPSHOTS: Final = (
    "DELETE FROM snapshot WHERE hall = ? AND hall_seq NOT IN "
    "(SELECT hall_seq FROM snapshot WHERE hall = ? ORDER BY hall_seq DESC LIMIT ?)"
)
SNAPSHOT_AT: Final = "SELECT seq, fmt, at_ms, data FROM snapshot WHERE hall = ? AND hall_seq = ?"
END_BEFORE: Final = (
    "SELECT max(last) FROM batch WHERE last < (SELECT seq FROM journal WHERE hall = ? AND hall_seq = ? + 1 "
    "ORDER BY seq DESC LIMIT 1)"
)
STORED: Final = (
    "SELECT at_ms, kind, v, (SELECT text FROM word WHERE id = device), (SELECT text FROM word WHERE id = boot), dseq, "
    "payload FROM journal WHERE hall = ? AND hall_seq > ? AND hall_seq <= ? ORDER BY seq DESC LIMIT ?"
)


class Store(Protocol):
    """What `write` needs of a connection. Any driver of SQLite has it."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...


class Words(dict[str, int]):
    """Numbers of words, dense. A new one gets the next number at once and is stored with the next batch."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__((text, number) for number, text in enumerate(texts))
        self.fresh: list[tuple[int, str]] = []

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        self.fresh.append((number, text))
        return number


@dataclass(slots=True)
class Stats:
    """Plain counters, read by whoever shows them. Seconds are of the writer thread's whole hop."""

    commits: int = 0
    facts: int = 0
    bytes: int = 0
    append_hops: int = 0
    other_hops: int = 0
    retries: dict[str, int] = field(default_factory=dict)
    checkpoints: int = 0
    checkpoint_seconds: float = 0.0
    snapshots: int = 0
    marks: int = 0
    wal_bytes: int = 0


@dataclass(slots=True)
class Batch:
    """One transaction, ready to be written, and written again when the disk was full."""

    head: Head
    before: Seal
    facts: Columns
    numbers: list[int] = field(default_factory=list)  # of halls, devices and boots, fact by fact
    devices: list[int] = field(default_factory=list)
    boots: list[int] = field(default_factory=list)
    words: tuple[tuple[int, str], ...] = ()
    meta: tuple[tuple[str, int], ...] = ()
    letters: tuple[Letter, ...] = ()
    views: list[tuple[str, list[tuple[Any, ...]]]] = field(default_factory=list)
    notes: tuple[tuple[str, int, int, str], ...] = ()
    seal: Seal | None = None

    def stored(self) -> Iterator[tuple[Any, ...]]:
        """Rows as they are inserted, made one by one in C: a list of them would wake the garbage collector."""
        seqs, (_, ns, rows) = range(self.head.first, self.head.last + 1), self.facts
        at_ms, kind, v, dseq, payload = (map(field_of, rows) for field_of in (AT_MS, KIND, V, DSEQ, PAYLOAD))
        return zip(seqs, self.numbers, ns, at_ms, kind, v, self.devices, self.boots, dseq, payload, strict=True)


class Foreign(Exception):
    """Another epoch is stored, which the message names. Turned into Fenced where the halls are known."""


def write(db: Store, batch: Batch) -> None:
    """One batch, durable on return, or nothing of it. In the writer's thread."""
    try:
        db.execute("BEGIN IMMEDIATE")
        fill(db, batch)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back by itself
            db.execute("ROLLBACK")
        raise


def check_epoch(db: Store, ours: int) -> None:
    """Foreign when a later start has raised it."""
    epoch = next(iter(db.execute("SELECT v FROM meta WHERE k = 'epoch'")))[0]
    if epoch != ours:
        raise Foreign(f"epoch {epoch}")


def fill(db: Store, batch: Batch) -> None:
    """Everything between BEGIN and COMMIT."""
    head = batch.head
    check_epoch(db, head.epoch)
    if batch.words:
        db.executemany(INSERT_WORD, batch.words)
    if batch.facts.rows:
        if batch.seal is None:
            batch.seal = chain.seal(batch.before, head, batch.facts)
        insert(db, batch.stored(), len(batch.facts.rows))
        db.execute(INSERT_BATCH, (head.last, head.first, head.epoch, head.at_ms, *batch.seal))
    for sql, pictures in batch.views:
        db.executemany(sql, pictures)
    if batch.meta:
        db.executemany(UPSERT_META, batch.meta)
    if batch.letters:
        db.executemany(INSERT_LETTER, [(*letter, head.last) for letter in batch.letters])
        db.execute(DROP_LETTERS, (LETTERS_KEPT,))
    if batch.notes:
        db.executemany(INSERT_NOTE, batch.notes)


def insert(db: Store, rows: Iterator[tuple[Any, ...]], count: int) -> None:
    """`count` rows in order: many in a statement while there are many, the rest one by one."""
    values = itertools.chain.from_iterable(rows)
    wide = (tuple(itertools.islice(values, COLUMNS * ROWS_AT_ONCE)) for _ in range(count // ROWS_AT_ONCE))
    db.executemany(INSERT_ROWS, wide)
    db.executemany(INSERT_ROW, rows)


def store_snapshot(
    db: Connection,
    epoch: int,
    number: int,
    made: recovery.Snapshot,
    fresh: Sequence[tuple[int, str]],
    published: int = 0,
) -> None:
    """One snapshot row; three are kept. A seq below 0 is looked up: the state is not the newest. The published mark is
    raised to `published`."""
    try:
        db.execute("BEGIN IMMEDIATE")
        check_epoch(db, epoch)
        db.executemany(INSERT_WORD, fresh)
        hall, hall_seq, seq, fmt, at_ms, data = made
        if seq < 0:
            seq = db.execute(END_BEFORE, (number, hall_seq)).fetchone()[0] or 0
        crc = chain.snapshot_crc(hall, hall_seq, seq, fmt, at_ms, data)
        db.execute(INSERT_SNAPSHOT, (number, hall_seq, seq, fmt, at_ms, crc, data))
        db.execute(DROP_SNAPSHOTS, (number, number, SNAPSHOTS_KEPT))
        db.executemany(RAISE_META, twice.stored({f"published:{number}": published}).items())
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def raise_snapshot(db: Connection, hall: str, number: int, head: int, last: int) -> bool:
    """The snapshot at the hall's head is good up to `last` as well. False when there is none at the head."""
    found = db.execute(SNAPSHOT_AT, (number, head)).fetchone()
    if found is None:
        return False
    seq, fmt, at_ms, data = found
    if seq == last:
        return True
    crc = chain.snapshot_crc(hall, head, last, fmt, at_ms, data)
    db.execute("UPDATE snapshot SET seq = ?, crc = ? WHERE hall = ? AND hall_seq = ?", (last, crc, number, head))
    return True


def checkpoint(db: Connection) -> tuple[int, int]:
    """PASSIVE: frames in the WAL, frames moved. Blocks nobody, and is not blocked."""
    _, frames, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return frames, moved
