"""workers/erasure.py: short-lived facts of archived months are deleted as a class; long-lived ones and the chain stay.

Per batch the SHA-256 of the class takes the place of its rows, so every link can still be followed. The month is
written anew beside itself and takes its own place by a rename; it no longer replays, its states stay. Pictures of short
lived facts, letters and notes go with them. What they counted for reports is on the disk before. The newest month, from
which a start begins, is never touched; the facts that say so are appended there by its owner: by us where nobody runs,
else by the process, at night or at its next start.
Long-lived facts (audit) go by no time limit, their month is kept; only by their number, with their class in their
batch, and not before `audit_days`, unless it is a person's data.
"""

import calendar
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from core import record
from core.facts import JournalErased
from workers import archive, chain, counting, engine, mark, notes, owner, recovery
from workers.engine import Connection
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import Missing, Part, Row
from workers.verify import ROWS_OF

OWED: Final = "erased.json"
NEWEST: Final = (
    "SELECT payload FROM journal WHERE hall = (SELECT id FROM word WHERE text = ?) ORDER BY seq DESC LIMIT ?"
)
LAST: Final = (  # the time of a hall: of its newest row, or of its states where the month has none yet
    "SELECT max(ifnull((SELECT at_ms FROM journal WHERE hall = w.id ORDER BY seq DESC LIMIT 1), 0),"
    " ifnull((SELECT max(at_ms) FROM snapshot WHERE hall = w.id), 0)) FROM word w WHERE text = ?"
)
SHORT: Final = f"kind < {chain.LONG_FROM}"
SHORT_OF: Final = f"{ROWS_OF} AND {SHORT}".replace(" ORDER BY seq", "") + " ORDER BY seq"
COUNTED: Final = f"SELECT hall, count(*) FROM journal WHERE {SHORT} GROUP BY hall"  # noqa: S608 - our own condition
MORE_ERASED: Final = "INSERT INTO meta VALUES('erased', ?) ON CONFLICT(k) DO UPDATE SET v = v + ?"
DROPPED: Final = (
    f"DELETE FROM journal WHERE {SHORT}",  # noqa: S608 - our own condition
    "DELETE FROM ticket",
    "DELETE FROM evaluation",
    "DELETE FROM device",
    "DELETE FROM letter",
    "DELETE FROM note",
)


class Month(msgspec.Struct):
    """What was, or would be, taken out of one month."""

    month: str
    facts: int
    batches: int
    halls: dict[str, int]


class Owed(msgspec.Struct):
    """An erasure that the journal in use does not know of yet. `day`: UTC ms; `row`: instead of a day; `done`: nobody
    has to look whether it was cut short."""

    before: str
    day: int
    months: list[Month]
    row: int = 0
    done: bool = False


class Erased(msgspec.Struct):
    """The document of `journal erase --json`. `told`: it is on record; else it will be at the next start.

    `kept`: months that are old enough, but a start may still have to read them; `days`: so many days, over all halls,
    were forgotten in the totals of reports.
    """

    v: int
    before: str
    dry_run: bool
    months: list[Month]
    notes: int = 0
    told: bool = True
    kept: list[str] = []
    days: int = 0


def day_ms(text: str) -> int | None:
    """When a day begins, UTC ms; None when it is no day."""
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%d")) * 1000
    except ValueError:
        return None


async def erase(
    directory: Path,
    before: str,
    day: int,
    now_ms: int,
    *,
    since: int = 0,
    beside: bool = False,
    dry_run: bool = False,
) -> Erased:
    """Every archived month whose last fact is older than `day`, and what people wrote before it in the newest one; what
    reports counted of days before `since` (yyyymmdd). `beside`: for the process that runs here, which looks after what
    people wrote.

    A month that a start may have to read waits. Beside a running process only closed files are touched; it writes what
    it is owed. What is cut short, or fails, is done by the next call.
    """
    old = [path for path in months(directory) if ended(path).at_ms < day]
    newest = recovery.newest_file(directory)
    old_notes = notes.older(newest, day) if newest is not None and not beside else 0
    paths = [path for path in old if newest is not None and ended(path).seq <= begun(newest)]
    kept = [month_of(path) for path in old if path not in paths]
    if dry_run:
        days = counting.keep(directory, [], since, dry_run=True) if since else 0
        found = [month for path in paths if (month := counted(path)).facts]
        return Erased(1, before, True, found, old_notes, kept=kept, days=days)
    held = owner.take(directory, archive.LOCK, what="archive")
    try:
        done = [month for path in paths if (month := ready(path)).facts]
        days = counting.keep(directory, paths if done else [], since) if done or since else 0
        if done or old_notes:
            owe(directory, Owed(before, 0 if beside else day, done))
        for path in paths:
            erased(path)
        looked_at(directory)
    finally:
        held.release()
    on_record = not owed(directory) if beside else await told(directory, now_ms)
    return Erased(1, before, False, done, old_notes, on_record, kept, days)


async def erase_row(directory: Path, seq: int, now_ms: int, *, audit_days: int, dry_run: bool = False) -> Erased:
    """The class of one row in its batch, short or long: for what should never have been stored.

    Missing: the row is there no more, or not yet in an archived month that no start reads; or it is long-lived, and
    younger than `audit_days`.
    """
    newest = recovery.newest_file(directory)
    behind = [path for path in months(directory) if newest is not None and ended(path).seq <= begun(newest)]
    path = next((path for path in behind if holds(path, seq)), None)
    if path is None:
        where = f"row {seq} is in no archived month that a start can do without\n{directory}"
        raise Missing(f"{where}\nlook for it with `jiaohao journal export`; a month in use must end first")
    with closing(engine.reader(path)) as db:
        of = classed(db, seq)
        words = recovery.texts(db)
    if of.column == "long" and now_ms - max(row[3] for row in of.rows) < audit_days * notes.DAY_MS:
        raise Missing(f"row {seq} is long-lived, kept for audit\n{path}\nwait {audit_days} days or say --personal-data")
    month = Month(month_of(path), len(of.rows), 1, dict(Counter(words[row[1]] for row in of.rows)))
    if dry_run:
        return Erased(1, "", True, [month])
    held = owner.take(directory, archive.LOCK, what="archive")
    try:
        archive.settle(path)
        archive.require_good(path, path)
        owe(directory, Owed("", 0, [month], seq))
        rewritten(path, month.facts, lambda db: take_out_class(db, of))
        looked_at(directory)
    finally:
        held.release()
    return Erased(1, "", False, [month], told=await told(directory, now_ms))


class Classed(NamedTuple):
    """The rows of one class in one batch, and the column that gets their digest."""

    column: str
    last: int
    rows: list[tuple[Any, ...]]


def classed(db: Connection, seq: int) -> Classed:
    """All that goes with a row."""
    last, first = db.execute("SELECT last, first FROM batch WHERE last >= ? ORDER BY last LIMIT 1", (seq,)).fetchone()
    rows = db.execute(ROWS_OF, (first, last)).fetchall()
    long = {row[0]: row[4] >= chain.LONG_FROM for row in rows}
    return Classed("long" if long[seq] else "short", last, [row for row in rows if long[row[0]] == long[seq]])


def take_out_class(db: Connection, of: Classed) -> None:
    """Its digest into the batch, then the rows."""
    found = digest(recovery.texts(db), of.rows, of.column)
    db.execute(f'UPDATE batch SET "{of.column}" = ? WHERE last = ?', (found, of.last))  # noqa: S608 - our own column
    db.executemany("DELETE FROM journal WHERE seq = ?", [(row[0],) for row in of.rows])


def holds(path: Path, seq: int) -> bool:
    """Is the row in the month?"""
    with closing(engine.reader(path)) as db:
        return db.execute("SELECT 1 FROM journal WHERE seq = ?", (seq,)).fetchone() is not None


def ready(path: Path) -> Month:
    """What is to be taken out of a month. JournalDamaged when it is not whole."""
    archive.settle(path)
    month = counted(path)
    if month.facts:
        archive.require_good(path, path)
    return month


def months(directory: Path) -> list[Path]:
    """The archived months, oldest first. Missing when there is no journal at all."""
    if recovery.newest_file(directory) is None:
        raise Missing(f"no journal in {directory}")
    return [path for path in recovery.files(directory) if path.parent.name == recovery.ARCHIVE]


class End(NamedTuple):
    """When the last batch of a month was written, and its last seq."""

    at_ms: int
    seq: int


def ended(path: Path) -> End:
    """Where a month ends."""
    with closing(engine.reader(path)) as db:
        at_ms = int(db.execute("SELECT coalesce(max(at_ms), 0) FROM batch").fetchone()[0])
        return End(at_ms, recovery.end(db).seq)


def begun(newest: Path) -> int:
    """The seq behind which a start may have to read: that of the oldest state that is kept."""
    with closing(engine.reader(newest)) as db:
        oldest = db.execute("SELECT min(seq) FROM snapshot").fetchone()[0]
        return recovery.origin(db).seq if oldest is None else int(oldest)


def month_of(path: Path) -> str:
    """2026-11, of its file."""
    return path.stem.removeprefix("journal-")


def counted(path: Path) -> Month:
    """Short-lived facts that are still there, by hall."""
    with closing(engine.reader(path)) as db:
        words, halls = recovery.texts(db), Counter[str]()
        for hall, count in db.execute(COUNTED):
            halls[words[hall]] += count
        batches = db.execute("SELECT count(*) FROM batch WHERE short IS NULL").fetchone()[0]
    return Month(month_of(path), halls.total(), batches if halls else 0, dict(halls))


def erased(path: Path) -> Month:
    """The month without its short-lived facts, in the place of the one with them; untouched if it is damaged."""
    month = ready(path)
    if month.facts:
        rewritten(path, month.facts, take_out)
    return month


def rewritten(path: Path, facts: int, take: Callable[[Connection], None]) -> None:
    """A month without what `take` takes out of it, so many facts, in the place of the one with them."""
    part = path.with_name(path.name + ".part")
    for left in part.parent.glob(f"{part.name}*"):  # with its rollback journal, which would be played back into ours
        left.unlink()
    try:
        shutil.copyfile(path, part)
        with closing(engine.connect(part, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            take(db)
            db.execute(MORE_ERASED, (facts, facts))
            db.execute("COMMIT")
            db.execute("VACUUM")  # nothing of the rows is left in free pages
    except (OSError, engine.Error):
        part.unlink(missing_ok=True)  # on a full disk the room is needed
        raise
    archive.require_good(part, path)
    archive.put(part, path, archive.read_manifest(path).erased + facts)


def take_out(db: Connection) -> None:
    """The digest of each batch's short class into its row, then the class, and everything that pictures it."""
    words = recovery.texts(db)
    for last, first in db.execute("SELECT last, first FROM batch WHERE short IS NULL ORDER BY last").fetchall():
        rows = db.execute(SHORT_OF, (first, last)).fetchall()
        db.execute("UPDATE batch SET short = ? WHERE last = ?", (digest(words, rows), last))
    for statement in DROPPED:
        db.execute(statement)


def digest(words: list[str], rows: list[tuple[Any, ...]], column: str = "short") -> bytes:
    """SHA-256 of a class as the chain took it."""
    items = [(words[hall], n, Row(at, k, v, words[d], words[b], *rest)) for _, hall, n, at, k, v, d, b, *rest in rows]
    return chain.digests([row[0] for row in rows], chain.columns(items))[column == "long"]


# --- what the journal in use is told: a fact in each hall concerned, and its old notes go ---


def owed(directory: Path) -> list[Owed]:
    """Erasures that are not yet on record."""
    file = directory / OWED
    return msgspec.json.decode(file.read_bytes(), type=list[Owed]) if file.exists() else []


def owe(directory: Path, one: Owed) -> None:
    """Noted before anything is erased: whatever is cut short, no month is erased without a fact that says so."""
    again = {month.month for month in one.months}
    before = [
        two if two.row or one.row else replace(two, months=[m for m in two.months if m.month not in again])
        for two in owed(directory)
        if not one.row or two.row != one.row
    ]
    note(directory, [*[two for two in before if two.months or two.day > one.day], one])


def looked_at(directory: Path) -> None:
    """What was noted, and not erased because it was cut short, does not count."""
    found = owed(directory)
    gone = [replace(one, months=[m for m in one.months if is_gone(directory, m, one)], done=True) for one in found]
    if found != gone:
        note(directory, [one for one in gone if one.months or one.day])


def note(directory: Path, found: list[Owed]) -> None:
    """Whole or not at all."""
    mark.write_whole(directory / OWED, msgspec.json.encode(found))


async def told(directory: Path, now_ms: int) -> bool:
    """At once where nobody runs. False: the process that does is told at night, or when it starts next."""
    if not owed(directory):
        return True
    try:
        journal = await SqliteJournal.open(directory, now_ms=lambda: now_ms, options=Options(presize=0))
    except owner.Taken:
        return False
    try:
        return await tell(journal, now_ms) is not None
    finally:
        await journal.close()


async def tell(journal: SqliteJournal, now_ms: int) -> list[Part] | None:
    """Before the fold of a start, or between two batches: what was appended. A second time, because the first was cut
    short, adds nothing. None: somebody erases just now, and what he owes is told later.
    """
    directory = journal.path.parent
    if not owed(directory):
        return []
    try:
        held = owner.take(directory, archive.LOCK, what="archive")
    except owner.Taken:
        return None
    try:
        return await _tell(journal, now_ms)
    finally:
        held.release()


async def _tell(journal: SqliteJournal, now_ms: int) -> list[Part]:
    directory = journal.path.parent
    found = owed(directory)
    await journal.alone(lambda db: notes.drop(db, max(one.day for one in found)))
    parts = [Part(hall, n, await rows_for(journal, found, hall, now_ms)) for hall, n in sorted(journal.heads().items())]
    parts = [part for part in parts if part.facts]
    await journal.append(parts)
    (directory / OWED).unlink()
    return parts


async def rows_for(journal: SqliteJournal, found: list[Owed], hall: str, now_ms: int) -> list[Row]:
    """The facts for a hall, without those that are its newest already; its time does not run back for them."""
    directory = journal.path.parent
    facts = [record.encode(fact) for one in found if (fact := fact_of(directory, one, hall)) is not None]
    if not facts:
        return []
    newest = await journal.alone(lambda db: db.execute(NEWEST, (hall, len(facts))).fetchall())
    at_ms = max(now_ms, await journal.alone(lambda db: int(db.execute(LAST, (hall,)).fetchone()[0])))
    return [Row(at_ms, kind, v, "", "", 0, payload) for kind, v, payload in facts if (payload,) not in newest]


def fact_of(directory: Path, one: Owed, hall: str) -> JournalErased | None:
    """None where nothing of the hall was erased; a month that was only noted, and then not erased, does not count. One
    that was moved away since counts as it was noted."""
    of = [month for month in one.months if month.halls.get(hall)]
    gone = [month for month in of if is_gone(directory, month, one)]
    count = sum(month.halls[hall] for month in gone)
    return JournalErased(one.before, count, tuple(month.month for month in gone), one.row) if gone else None


def is_gone(directory: Path, month: Month, one: Owed) -> bool:
    """Whether a month is without what was to be taken out of it, a row or short-lived facts, or is there no more."""
    path = directory / recovery.ARCHIVE / f"journal-{month.month}.db"
    return one.done or not path.exists() or not (holds(path, one.row) if one.row else counted(path).facts)
