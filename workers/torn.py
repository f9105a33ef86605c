"""workers/torn.py: reading a damaged month: under a first page made anew, by ranges, up to where the damage begins.

The first page holds what SQLite must know before all else: the header, and where each table begins. Every file of ours
is made by the same statements in the same order, so its tables begin on the same pages, and a fresh page fits. Where it
does not, nothing false comes of it: rows are proven by their seals, states by their CRC.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from workers import engine, recovery, rotation
from workers.engine import Connection

SIZE: Final = 4096
PAGES: Final = slice(28, 40)  # how many there are, and the free ones: asked of the file itself when 0
LEAST: Final = 16
MOST: Final = 4096
assert MOST % LEAST == 0, "wide ranges fall apart into narrow ones"
Stored = tuple[Any, ...]


class Range(msgspec.Struct, frozen=True):
    """Rows `first`..`last` and what is wrong with them."""

    first: int
    last: int
    why: str


def readings(path: Path, scratch: Path) -> Iterator[Path]:
    """The month as it is; for who has lost something of it, a copy in `scratch` under a fresh first page.

    What stands beside `path` is not touched.
    """
    yield path
    fresh, copy = rotation.create(scratch / "fresh.db", lambda _: None), scratch / path.name
    shutil.copyfile(path, copy)
    if recovery.wal_of(path).exists():
        shutil.copyfile(recovery.wal_of(path), recovery.wal_of(copy))
    put(fresh.read_bytes()[:SIZE], copy)
    yield copy


def put(page: bytes, path: Path) -> None:
    """This page in the place of the first one. How long the file is SQLite then asks of the file, or of its log."""
    made = bytearray(page)
    made[PAGES] = bytes(PAGES.stop - PAGES.start)
    with path.open("r+b") as file:
        file.write(made)


def tolerant(db: Connection, sql: str, values: Stored = ()) -> list[Stored]:
    """The rows up to where the damage begins."""
    found: list[Stored] = []
    try:
        for row in db.execute(sql, values):
            found.append(row)  # noqa: PERF402 - what was read before an error is kept
    except engine.DatabaseError:
        pass
    return found


def ranges(db: Connection, sql: str, first: int, end: int, lost: list[Range]) -> Iterator[Stored]:
    """Rows by wide ranges, where one fails by narrow ones; what is unreadable or not there is added to `lost`."""
    at = first
    while at <= end:
        to = min(end, at - at % MOST + MOST - 1)
        try:
            yield from present(db.execute(sql, (at, to)).fetchall(), at, to, lost)
        except engine.DatabaseError:
            yield from narrow(db, sql, at, to, lost)
        at = to + 1


def narrow(db: Connection, sql: str, first: int, end: int, lost: list[Range]) -> Iterator[Stored]:
    """The same, 16 at a time."""
    at = first
    while at <= end:
        to = min(end, at - at % LEAST + LEAST - 1)
        try:
            yield from present(db.execute(sql, (at, to)).fetchall(), at, to, lost)
        except engine.DatabaseError as error:
            lost.append(Range(at, to, f"unreadable ({engine.error_name(error)})"))
        at = to + 1


def present(rows: list[Stored], first: int, last: int, lost: list[Range]) -> list[Stored]:
    """The rows themselves; holes between them are lost."""
    at = first
    for seq in [*(row[0] for row in rows), last + 1]:
        if seq > at:
            lost.append(Range(at, seq - 1, "missing"))
        at = seq + 1
    return rows


def merged(lost: list[Range]) -> list[Range]:
    """Neighbours with the same cause as one."""
    made: list[Range] = []
    for one in lost:
        if made and made[-1].last + 1 == one.first and made[-1].why == one.why:
            one = Range(made.pop().first, one.last, one.why)
        made.append(one)
    return made
