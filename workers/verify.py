"""workers/verify.py: is everything that was acknowledged still there, byte for byte? Read-only, for every night.

SQLite's own check, then each batch against its CRC and the chain, n gapless a hall, snapshots, the mark.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from workers import engine, mark, recovery
from workers.chain import snapshot_crc
from workers.engine import Connection
from workers.ports import JournalDamaged

SNAPSHOT_ROWS: Final = "SELECT hall, hall_seq, seq, fmt, at_ms, crc, data FROM snapshot ORDER BY hall, hall_seq"


def verify(directory: Path) -> list[str]:
    """Every problem found, one line each; empty when all is well. A running journal can be verified."""
    path = recovery.newest_file(directory)
    if path is None or not recovery.exists(path):
        return [f"no journal in {directory}"]
    slots = mark.slots(directory / mark.NAME)  # before the file: a running journal is never behind its mark
    return list(guarded(problems(path, slots)))


def problems(path: Path, slots: Sequence[mark.Mark | None]) -> Iterator[str]:
    """One check after the other on one picture of the file; damage that ends one does not hide the next."""
    with closing(engine.reader(path)) as db:
        db.execute("BEGIN")
        for check in (pages(db), rows(db), snapshots(db), marks(db, slots)):
            yield from guarded(check)


def guarded(found: Iterator[str]) -> Iterator[str]:
    """The problems of one check; damage that ends the check is its last problem."""
    try:
        yield from found
    except JournalDamaged as error:
        yield str(error).splitlines()[0]
    except engine.DatabaseError as error:
        yield f"unreadable ({engine.error_name(error)})"


def pages(db: Connection) -> Iterator[str]:
    """What SQLite itself finds."""
    for (line,) in db.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"integrity check: {line}"


def rows(db: Connection) -> Iterator[str]:
    """Each batch against its seal, and n gapless in each hall. The first bad batch ends it."""
    heads: dict[str, int] = {}
    for items in recovery.batches(db, 0):
        for hall, n, _ in items:
            if n != heads.get(hall, 0) + 1:
                yield f"hall {hall}: {n} follows {heads.get(hall, 0)}"
            heads[hall] = n


def snapshots(db: Connection) -> Iterator[str]:
    """Each snapshot against its CRC; none ahead of the journal."""
    words = recovery.texts(db)
    last = db.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0]
    for number, hall_seq, seq, fmt, at_ms, crc, data in db.execute(SNAPSHOT_ROWS):
        hall = words[number] if number < len(words) else f"word {number}"
        if crc != snapshot_crc(hall, hall_seq, seq, fmt, at_ms, data):
            yield f"snapshot of {hall} at {hall_seq}: crc differs"
        elif seq > last:
            yield f"snapshot of {hall} at {hall_seq}: seq {seq}, the journal ends at {last}"


def marks(db: Connection, slots: Sequence[mark.Mark | None]) -> Iterator[str]:
    """The mark against the batches, and both of its slots."""
    last = db.execute("SELECT coalesce(max(last), 0) FROM batch").fetchone()[0]
    for place, slot in enumerate(slots):
        if slot is None:
            yield f"acknowledged mark: slot {place} damaged"
    recovery.check_mark(db, max((slot for slot in slots if slot), default=None), last)
