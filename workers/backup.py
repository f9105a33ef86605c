"""workers/backup.py: a copy of the month in use, verified before it counts, and the way back from one.

A restore keeps what it replaces, writes a mark for what it has, raises the epoch and leaves a fact in every hall:
a loss that a person accepts is on record.
"""

import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from core import record
from core.facts import JournalRestored
from workers import engine, mark, opening, owner, recovery, rotation
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import Missing, Part, Row
from workers.verify import digest_of, pinned, verify_file

PART: Final = ".part"
WRITING: Final = ("SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR_WRITE")  # what is read is open


class Copied(msgspec.Struct):
    """The document of `journal backup --json`."""

    v: int
    file: str
    last: int
    bytes: int
    sha256: str


class Restored(msgspec.Struct):
    """The document of `journal restore --json`. `acknowledged`: the last seq that the old mark knew."""

    v: int
    file: str
    last: int
    acknowledged: int
    missing: int
    replaced: str


def backup(directory: Path, to: Path) -> Copied:
    """Copy the newest month while it is in use; nothing has the name `to` before it is verified. JournalDamaged."""
    path, slots = pinned(directory)
    if path is None or not recovery.exists(path):
        raise Missing(f"no journal in {directory}")
    acknowledged = max((slot.seq for slot in slots if slot is not None), default=0)
    part = to.with_name(to.name + PART)
    part.unlink(missing_ok=True)
    try:
        with closing(engine.reader(path, copies=True)) as db:
            copy_into(db, part, to)
        last = good_end(part, path)
        if last < acknowledged:
            raise recovery.damaged(f"journal ends at {last}, {acknowledged} was acknowledged", path)
        mark.sync_file(part)
        part.rename(to)
    finally:
        part.unlink(missing_ok=True)
    mark.sync_directory(to.parent)
    return Copied(1, str(to), last, to.stat().st_size, digest_of(to))


def copy_into(db: engine.Connection, part: Path, to: Path) -> None:
    """All pages. Missing when it is the copy's place that has no room, or is none."""
    try:
        db.execute("VACUUM INTO ?", (str(part),))
    except engine.DatabaseError as error:
        if engine.error_name(error).startswith(WRITING):
            raise opening.unwritable(error, to) from error
        raise


def good_end(copy: Path, source: Path) -> int:
    """The last seq of a copy in which nothing is wrong. JournalDamaged names the first problem."""
    problems = verify_file(copy)
    if problems:
        raise recovery.damaged(problems[0], source)
    with closing(engine.reader(copy)) as db:
        return recovery.end(db).seq


async def restore(copy: Path, directory: Path, now_ms: int) -> Restored:
    """Put a verified copy in the journal's place. Taken while a process owns the directory; JournalDamaged."""
    done = replace(copy, directory, now_ms)
    await tell(directory, JournalRestored("backup", done.last, done.acknowledged), now_ms)
    return done


def replace(copy: Path, directory: Path, now_ms: int) -> Restored:
    """As `restore`, but nothing is told yet. Nothing is touched before the copy is found good."""
    if not copy.is_file():
        raise Missing(f"no file {copy}")
    last = good_end(copy, copy)
    held = owner.take(directory)
    try:
        before = mark.newest(directory / mark.NAME)
        path, replaced = place(copy, directory, now_ms, before)
    finally:
        held.release()
    acknowledged = before.seq if before is not None else last
    return Restored(1, str(path), last, acknowledged, max(0, acknowledged - last), str(replaced or ""))


def place(copy: Path, directory: Path, now_ms: int, before: mark.Mark | None) -> tuple[Path, Path | None]:
    """The new file under its name, the replaced ones aside. Cut short, the old mark still refuses every start."""
    with closing(engine.reader(copy)) as db:
        month = month_of(db, now_ms)
    rotation.sweep(directory)
    new = directory / (rotation.name_of(month) + rotation.NEW)
    shutil.copyfile(copy, new)
    new.chmod(0o640)
    with closing(engine.connect(new, isolation_level=None)) as db:
        least = before.epoch if before is not None else 0
        epoch = recovery.raise_epoch(db, max(now_ms, (least + 1) * 1000))
        end = recovery.end(db)
    mark.sync_file(new)
    aside = put_aside(directory, rotation.name_of(month), now_ms)
    path = rotation.publish(new)
    mark.MarkFile(directory / mark.NAME, mark.Mark(epoch, end.seq, end.seal.chain[:8])).close()
    return path, aside


def month_of(db: engine.Connection, now_ms: int) -> str:
    """The month whose file it is: said by the file, else that of its first batch."""
    said = recovery.meta(db, "month").get("")
    first = db.execute("SELECT at_ms FROM batch ORDER BY last LIMIT 1").fetchone()
    return str(said) if said else recovery.month(first[0] if first else now_ms)


def put_aside(directory: Path, name: str, now_ms: int) -> Path | None:
    """This month and later ones, with their logs, into a directory of their own; a copy of the mark. None: nothing."""
    wanted = [path for place in (directory, directory / recovery.ARCHIVE) for path in sorted(place.glob("journal-*"))]
    later = [path for path in wanted if path.name[: len(name)] >= name and not path.name.endswith(rotation.NEW)]
    if not later:
        return None
    aside = directory / time.strftime("replaced-%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000))
    aside.mkdir()
    if (directory / mark.NAME).exists():
        shutil.copyfile(directory / mark.NAME, aside / mark.NAME)
    for path in later:
        path.rename(aside / path.name)
    mark.sync_directory(aside)
    return aside


async def tell(directory: Path, fact: JournalRestored, now_ms: int) -> None:
    """The same fact in every hall of a journal that nobody runs."""
    kind, v, payload = record.encode(fact)
    journal = await SqliteJournal.open(directory, now_ms=lambda: now_ms, options=Options(presize=0))
    try:
        row = Row(now_ms, kind, v, "", "", 0, payload)
        await journal.append([Part(hall, n, [row]) for hall, n in sorted(journal.heads().items())])
    finally:
        await journal.close()
