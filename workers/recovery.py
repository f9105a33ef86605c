"""workers/recovery.py: from files on disk to a journal that can be trusted. Knows nothing of halls but their rows.

newest month file → pragmas, migrations → mark against the last batch → epoch raised → newest good snapshots →
batches and rows behind the lowest snapshot, each checked against its seal. Damage is never repaired in silence.
The functions run in a connection's own thread.
"""

import calendar
import struct
import time
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

from workers import chain, engine, mark, twice
from workers.chain import Head, Item, Seal
from workers.engine import Connection
from workers.ports import JournalDamaged, Missing

VERSION: Final = 2
BLOCK: Final = 5000
STRANGE: Final = (
    TypeError,
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
)  # a row whose values are of other kinds
MONTHS: Final = "journal-????-??.db"
ARCHIVE: Final = "archive"  # closed months, read-only
ROWS: Final = (
    "SELECT seq, hall, hall_seq, at_ms, kind, v, device, boot, dseq, payload FROM journal WHERE seq > ? ORDER BY seq"
)
BATCHES: Final = "SELECT last, first, epoch, at_ms, crc, chain, short, long FROM batch WHERE last > ? ORDER BY last"
SNAPSHOTS: Final = "SELECT hall_seq, seq, fmt, at_ms, crc, data FROM snapshot WHERE hall = ? ORDER BY hall_seq DESC"


class Newer(Missing):
    """The file was written by a newer program (exit 2)."""


@dataclass(slots=True)
class Tail:
    """Where a journal stands: what its one writer must know to go on."""

    epoch: int
    last: int
    seal: Seal
    heads: dict[str, int]
    texts: list[str]
    published: dict[str, int]
    proj_seq: int = 0


class Snapshot(NamedTuple):
    """One stored state. `seq` is a batch end: no row up to there has a later n of this hall."""

    hall: str
    hall_seq: int
    seq: int
    fmt: int
    at_ms: int
    data: bytes


class Start(NamedTuple):
    """Where to begin the fold: the states, the seq after which rows are needed, and what was skipped."""

    snapshots: dict[str, Snapshot]
    after: int
    skipped: list[str]


def damaged(what: str, where: Path | str) -> JournalDamaged:
    """Three lines: what, where, what to do."""
    return JournalDamaged(f"{what}\n{where}\nrun `jiaohao journal verify`, then restore a backup or salvage")


def newest_file(directory: Path) -> Path | None:
    """The month file in use. An unfinished rotation (`.new`) is not one."""
    return max(directory.glob(MONTHS), default=None)


def files(directory: Path) -> list[Path]:
    """Every month in order. One that is being archived is there twice: the copy counts once its original is gone."""
    found = {path.name: path for path in (directory / ARCHIVE).glob(MONTHS)}
    found.update((path.name, path) for path in directory.glob(MONTHS))
    return [found[name] for name in sorted(found)]


def month(at_ms: int) -> str:
    """The month of a file name, UTC."""
    return time.strftime("%Y-%m", time.gmtime(at_ms / 1000))


def year_ms(year: int) -> int:
    """When a year began, UTC."""
    return calendar.timegm((year, 1, 1, 0, 0, 0)) * 1000


def wal_of(path: Path) -> Path:
    """The write-ahead log beside a file."""
    return path.with_name(path.name + "-wal")


def exists(path: Path) -> bool:
    """Is there a file with something in it?"""
    return path.exists() and path.stat().st_size > 0


def migrate(db: Connection, path: Path) -> None:
    """Forward only, each step in one transaction. What was written by an older release is copied before."""
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if 0 < found < VERSION:
        keep_copy(db, path.with_name(f"{path.stem}.v{found}.bak"))
    for step in range(found + 1, VERSION + 1):
        db.execute("BEGIN IMMEDIATE")
        for statement in statements(step):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={step}")
        db.execute("COMMIT")


def keep_copy(db: Connection, to: Path) -> None:
    """A whole copy under another name, durable before its name is there. One cut short is made anew."""
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    db.execute("VACUUM INTO ?", (str(part),))
    mark.sync_file(part)
    part.rename(to)
    mark.sync_directory(to.parent)


def statements(step: int) -> list[str]:
    """The statements of one migration."""
    files = [f for f in resources.files("workers").joinpath("sql").iterdir() if f.name.startswith(f"{step:04}_")]
    assert len(files) == 1, f"one file for migration {step}"
    return [text for text in files[0].read_text("utf-8").split(";\n") if text.strip()]


def texts(db: Connection) -> list[str]:
    """Words by number; 0 is the empty one."""
    rows = db.execute("SELECT id, text FROM word ORDER BY id").fetchall()
    if any(number != place for place, (number, _) in enumerate(rows, 1)):
        raise damaged("word numbers are not dense", "table word")
    return ["", *(text for _, text in rows)]


def meta(db: Connection, prefix: str) -> dict[str, Any]:
    """The entries whose key begins with `prefix`, which is cut off."""
    rows = db.execute("SELECT k, v FROM meta WHERE substr(k, 1, ?) = ?", (len(prefix), prefix)).fetchall()
    return {key[len(prefix) :]: value for key, value in rows}


class Origin(NamedTuple):
    """Where a file begins: after this seq, with this seal of the file before."""

    seq: int
    seal: Seal


BEGINNING: Final = Origin(0, chain.START)


def origin(db: Connection) -> Origin:
    """Files of version 1 begin a journal."""
    found = meta(db, "prev_")
    return Origin(int(found["seq"]), Seal(int(found["crc"]), bytes(found["chain"]))) if found else BEGINNING


def end(db: Connection) -> Origin:
    """Where the next file must begin. By the batches alone: rows may be erased."""
    batch = db.execute("SELECT last, crc, chain FROM batch ORDER BY last DESC LIMIT 1").fetchone()
    return Origin(batch[0], Seal(*batch[1:])) if batch else origin(db)


def sealed_at(db: Connection, seq: int) -> Seal | None:
    """The seal at a batch end, or where the file begins."""
    found = db.execute("SELECT crc, chain FROM batch WHERE last = ?", (seq,)).fetchone()
    first = origin(db)
    return Seal(*found) if found else first.seal if seq == first.seq else None


def tail(db: Connection, path: Path) -> Tail:
    """Where the file ends. JournalDamaged when the last row and the last batch disagree."""
    words = texts(db)
    last, seal = end(db)
    row = db.execute("SELECT max(seq) FROM journal").fetchone()[0] or origin(db).seq
    if row != last:
        raise damaged(f"batch ends at {last}, rows at {row}", path)
    said = meta(db, "")
    epoch, drawn = twice.lower(said, "epoch")[""], twice.lower(said, "proj_seq").get("", 0)
    marks = {words[number]: n for number, n in published(db).items()}
    return Tail(epoch, last, seal, heads(db, words), words, marks, drawn)


def heads(db: Connection, words: list[str]) -> dict[str, int]:
    """The last n of each hall: its newest snapshot, then the rows behind the lowest one."""
    newest = dict(db.execute("SELECT hall, max(hall_seq) FROM snapshot GROUP BY hall").fetchall())
    newest.update(
        db.execute("SELECT hall, max(hall_seq) FROM journal WHERE seq > ? GROUP BY hall", (lowest(db),)).fetchall()
    )
    return {words[hall]: int(n) for hall, n in newest.items()}


def lowest(db: Connection) -> int:
    """The seq up to which every hall has a snapshot; a hall without one counts from before its first row."""
    newest = dict(db.execute("SELECT hall, max(seq) FROM snapshot GROUP BY hall").fetchall())
    first = {int(hall): int(seq) - 1 for hall, seq in meta(db, "first:").items()}
    return min({**first, **newest}.values(), default=origin(db).seq)


def examine(db: Connection, path: Path) -> None:
    """Refuse a file that is newer than the program, or not what was acknowledged. Writes nothing."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise Newer(f"journal version {version}: newer program needed\n{path}\ninstall the release that wrote it")
    last = tail(db, path).last if version else 0
    check_mark(db, mark.newest(path.parent / mark.NAME), last)
    check_before(db, path)


def check_before(db: Connection, path: Path) -> None:
    """JournalDamaged when the month before is there and does not end where this one begins."""
    before = next((older for older in reversed(files(path.parent)) if older.name < path.name), None)
    if before is None:
        return
    with closing(engine.reader(before)) as other:
        there, here = end(other), origin(db)
    if there != here:
        raise damaged(f"begins after {here.seq}, {before.name} ends at {there.seq}: not the same chain", path)


def check_mark(db: Connection | None, newest: mark.Mark | None, last: int) -> None:
    """JournalDamaged when the file is older or other than what was acknowledged."""
    path = mark.NAME
    if newest is None:
        if last:
            raise damaged(f"journal ends at {last}, no acknowledged mark beside it", path)
        return
    if newest.seq > last:
        raise damaged(f"journal ends at {last}, {newest.seq} was acknowledged", path)
    if db is not None and newest.seq and chain_at(db, newest.seq) != newest.chain:
        raise damaged(f"batch ending at {newest.seq}: not the one that was acknowledged", path)


def chain_at(db: Connection, seq: int) -> bytes:
    """The first 8 bytes of the chain at a batch end; empty when no batch ends there."""
    found = sealed_at(db, seq)
    return found.chain[:8] if found else b""


def raise_epoch(db: Connection, now_ms: int) -> int:
    """A new epoch, above the stored one and any before a restore: UTC seconds. Writers under an older one are out."""
    db.execute("BEGIN IMMEDIATE")
    stored = twice.lower(meta(db, ""), "epoch")[""]
    written = db.execute("SELECT epoch FROM batch ORDER BY last DESC LIMIT 1").fetchone() or (0,)
    epoch = max(stored + 1, int(written[0]) + 1, now_ms // 1000)
    twice.put(db, {"epoch": epoch})
    db.execute("COMMIT")
    return epoch


def good_snapshots(
    db: Connection, hall: str, number: int, known: Container[int], skipped: list[str]
) -> Iterator[Snapshot]:
    """The snapshots of a hall that can be used, newest first. What is left out is named in `skipped`."""
    for hall_seq, seq, fmt, at_ms, crc, data in db.execute(SNAPSHOTS, (number,)):
        if crc != chain.snapshot_crc(hall, hall_seq, seq, fmt, at_ms, data):
            skipped.append(f"snapshot of {hall} at {hall_seq}: crc differs")
        elif fmt not in known:
            skipped.append(f"snapshot of {hall} at {hall_seq}: format {fmt} is not known")
        else:
            yield Snapshot(hall, hall_seq, seq, fmt, at_ms, data)


def usable(found: Iterator[Snapshot], mark: int) -> Snapshot | None:
    """The newest of which every effect was heard, by the published mark: what lies behind it is never said again. The
    oldest where there is none such."""
    oldest = None
    for one in found:
        if one.hall_seq <= mark:
            return one
        oldest = one
    return oldest


def published(db: Connection) -> dict[int, int]:
    """The published marks by number of hall."""
    return {int(key): n for key, n in twice.lower(meta(db, ""), "published:").items()}


def start(db: Connection, known: Container[int]) -> Start:
    """The newest good snapshot of each hall that holds nothing unheard; where all do, the hall's first fact, if it is
    here. JournalDamaged when a hall has some, but no good one."""
    words, chosen, skipped, marks = texts(db), dict[str, Snapshot](), list[str](), published(db)
    first = {words[int(key)]: int(seq) - 1 for key, seq in meta(db, "first:").items()}
    for (number,) in db.execute("SELECT DISTINCT hall FROM snapshot ORDER BY hall").fetchall():
        hall = words[number]
        best = usable(good_snapshots(db, hall, number, known, skipped), marks.get(number, 0))
        if best is None:
            raise damaged(f"no good snapshot of {hall}: {'; '.join(skipped)}", "table snapshot")
        if best.hall_seq <= marks.get(number, 0) or hall not in first:
            chosen[hall] = best
    after = min({**first, **{hall: best.seq for hall, best in chosen.items()}}.values(), default=origin(db).seq)
    return Start(chosen, after, skipped)


class Rows:
    """The journal's rows behind a seq, read by pages, as items. JournalDamaged for a hole or an unreadable page."""

    def __init__(self, db: Connection, after: int) -> None:
        self._cursor = db.execute(ROWS, (after,))
        self._texts = texts(db)
        self._seq = after  # of the last row read
        self._waiting: list[Item] = []
        self._at = 0

    def take(self, count: int) -> list[Item]:
        """The next items, fewer at the end."""
        while len(self._waiting) - self._at < count and (page := self._page()):
            self._waiting, self._at = self._waiting[self._at :] + page, 0
        self._at += count
        return self._waiting[self._at - count : self._at]

    def _page(self) -> list[Item]:
        try:
            page = self._cursor.fetchmany(BLOCK)
        except engine.DatabaseError as error:
            span = f"rows {self._seq + 1}–{self._seq + BLOCK}"
            raise damaged(f"{span} unreadable ({engine.error_name(error)})", "table journal") from error
        if page and page[-1][0] != self._seq + len(page):
            hole = next(at for at, row in enumerate(page, self._seq + 1) if row[0] != at)
            raise damaged(f"row {hole}: missing", "table journal")
        self._seq += len(page)
        words = self._texts
        try:
            return [
                (words[hall], n, (at_ms, kind, v, words[device], words[boot], dseq, payload))
                for _, hall, n, at_ms, kind, v, device, boot, dseq, payload in page
            ]
        except IndexError as error:
            raise damaged(f"rows up to {self._seq}: a word is missing", "table word") from error


def verified(db: Connection, after: int) -> Iterator[list[Item]]:
    """Rows behind `after` in seq order, in blocks of up to 5,000; a larger batch comes alone.

    No row is given before its whole batch is checked. JournalDamaged names the first bad batch.
    """
    found = db.execute("SELECT max(last) FROM batch WHERE last <= ?", (after,)).fetchone()[0]
    boundary = origin(db).seq if found is None else int(found)
    skip, ready = max(0, after - boundary), list[Item]()
    for items in batches(db, boundary):
        if ready and len(ready) + len(items) > BLOCK:
            yield ready
            ready = []
        ready += items[skip:]
        skip = max(0, skip - len(items))
    if ready:
        yield ready


def batches(db: Connection, boundary: int) -> Iterator[list[Item]]:
    """The checked rows of each batch behind a batch end."""
    try:
        yield from _batches(db, boundary)
    except STRANGE as error:
        raise damaged(f"a value of another kind ({error})", "tables journal, batch") from error


def _batches(db: Connection, boundary: int) -> Iterator[list[Item]]:
    sealed, seq, rows = sealed_at(db, boundary), boundary, Rows(db, boundary)
    assert sealed is not None, f"no batch ends at {boundary}"
    seal = sealed
    for last, first, epoch, at_ms, crc, link, short, long in db.execute(BATCHES, (boundary,)):
        name, items = f"batch {first}–{last}", rows.take(last - seq)
        if short is not None or long is not None:
            raise damaged(f"{name}: erased, cannot be replayed", "table batch")
        if first != seq + 1 or len(items) != last - seq:
            raise damaged(f"{name}: {seq} is the end before it, {len(items)} rows follow", "table batch")
        seal, seq = chain.seal(seal, Head(first, last, epoch, at_ms), chain.columns(items)), last
        if seal.crc != crc:
            raise damaged(f"{name}: crc differs", "table batch")
        if seal.chain != link:
            raise damaged(f"{name}: chain differs", "table batch")
        yield items
    if rows.take(1):
        raise damaged(f"row {seq + 1}: no batch holds it", "table journal")
