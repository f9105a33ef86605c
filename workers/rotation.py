"""workers/rotation.py: a month file ends, the next begins. The rename decides after a crash.

all halls stored in the old file ─▶ `….db.new`: schema, words, meta, states, what is still open ─▶ synced ─▶ renamed
The new file says where the old one ended (`prev_*`); the old one is archived later, by another process.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Final

from workers import chain, engine, mark, recovery, twice
from workers.engine import Connection
from workers.ports import Fenced, Missing

NEW: Final = ".new"
SCHEMA: Final = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
FORMATS: Final = range(1 << 16)  # whatever can be read by its owner
SNAPSHOT_AT_HEAD: Final = (
    "SELECT hall, hall_seq, seq, fmt, at_ms, crc, data FROM snapshot WHERE (hall, hall_seq) IN "
    "(SELECT hall, max(hall_seq) FROM snapshot GROUP BY hall)"
)
MOVED_ON: Final = {  # what is still open or of use, by table; all columns
    "ticket": "SELECT * FROM ticket WHERE state <= 5",
    "evaluation": "SELECT * FROM evaluation WHERE state = 1",
    "device": "SELECT * FROM device",
    "note": "SELECT * FROM note WHERE at_ms >= :notes_ms",
    "case": 'SELECT * FROM "case" WHERE opened_ms >= :cases_ms',
    "conduct": "SELECT * FROM conduct WHERE on_day >= :conduct_day",
}
LEFT_BEHIND: Final = ("first:", "month", "prev_")
DAY_MS: Final = 86_400_000


def name_of(month: str) -> str:
    """The file of a month such as 2026-11."""
    return f"journal-{month}.db"


def create(path: Path, fill: Callable[[Connection], None]) -> Path:
    """A whole file of the newest schema, durable, under a name that no start takes for a journal."""
    new = path.with_name(path.name + NEW)
    sweep(path.parent)
    with closing(engine.connect(new, isolation_level=None)) as db:
        engine.apply(db, {"page_size": 4096, "synchronous": 2, "secure_delete": 0})
        db.execute("BEGIN IMMEDIATE")
        for step in range(1, recovery.VERSION + 1):
            for statement in recovery.statements(step):
                db.execute(statement)
        fill(db)
        db.execute(f"PRAGMA user_version={recovery.VERSION}")
        db.execute("COMMIT")
    mark.sync_file(new)
    return new


@cache
def schema(version: int) -> frozenset[tuple[str, ...]]:
    """(type, name, table, statement) of everything that a file of a version is made of."""
    with closing(engine.connect(":memory:")) as db:
        for step in range(1, version + 1):
            for statement in recovery.statements(step):
                db.execute(statement)
        return frozenset(db.execute(SCHEMA).fetchall())


def require_schema(db: Connection, path: Path) -> None:
    """JournalDamaged names a table that is not as it was made: statements would mean something else, or nothing."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if 1 <= version <= recovery.VERSION:
        wrong = schema(version) - set(db.execute(SCHEMA).fetchall())
        if wrong:
            raise recovery.damaged(f"table {min(wrong)[2]} is not as it was made", path)


def publish(new: Path) -> Path:
    """Give the file its name, for good. From here on it is the journal."""
    path = new.with_name(new.name.removesuffix(NEW))
    new.rename(path)
    mark.sync_directory(path.parent)
    return path


def sweep(directory: Path) -> None:
    """What a rotation that was cut short has left is no journal."""
    for left in directory.glob(f"{recovery.MONTHS}{NEW}*"):
        left.unlink()


def put_meta(db: Connection, values: Mapping[str, Any]) -> None:
    """Each key once."""
    db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", values.items())


def put_words(db: Connection, texts: Iterable[str]) -> None:
    """The numbers stay what they were: 0 is the empty word and never stored."""
    db.executemany("INSERT INTO word VALUES(?,?)", [(n, text) for n, text in enumerate(texts) if n])


def put_rows(db: Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Rows of all columns."""
    for row in rows:
        db.execute(f'INSERT INTO "{table}" VALUES({",".join("?" * len(row))})', row)


def begin(db: Connection, path: Path, month: str, now_ms: int, comments_days: int, epoch: int) -> Path:
    """The file of the next month beside `path`, not yet under its name. In the writer's thread, nothing else writes.

    Fenced when another writer was there: a later epoch in a file of its own would make the elder the younger. Missing
    when a hall has no state at its head: its facts would be out of reach.
    """
    tail = recovery.tail(db, path)
    if tail.epoch != epoch:
        raise Fenced(sorted(tail.heads), f"epoch {tail.epoch}")
    stored = {tail.texts[row[0]]: row for row in db.execute(SNAPSHOT_AT_HEAD).fetchall()}
    behind = [hall for hall, n in tail.heads.items() if hall not in stored or stored[hall][1] != n]
    if behind:
        raise Missing(f"no state of {', '.join(behind)} at its head\n{path}\nstore every hall before the month ends")

    def fill(new: Connection) -> None:
        put_words(new, tail.texts)
        old = recovery.meta(db, "")
        put_meta(new, {key: value for key, value in old.items() if not key.startswith(LEFT_BEHIND)})
        put_meta(new, {"prev_seq": tail.last, "prev_crc": tail.seal.crc, "prev_chain": tail.seal.chain})
        put_meta(new, {"month": month, **twice.stored({"proj_seq": tail.last})})
        for hall, (number, n, _, fmt, at_ms, _, data) in stored.items():
            crc = chain.snapshot_crc(hall, n, tail.last, fmt, at_ms, data)
            put_rows(new, "snapshot", [(number, n, tail.last, fmt, at_ms, crc, data)])
            put_rows(new, "snapshot", unheard(db, hall, number, n, tail.published.get(hall, 0)))
        for table, sql in MOVED_ON.items():
            put_rows(new, table, db.execute(sql, since(now_ms, comments_days)).fetchall())

    return create(path.with_name(name_of(month)), fill)


def unheard(db: Connection, hall: str, number: int, n: int, mark: int) -> list[tuple[Any, ...]]:
    """Where the state at the head holds what nobody has heard yet: the one a start needs until they have."""
    found = recovery.usable(recovery.good_snapshots(db, hall, number, FORMATS, []), mark)
    if found is None or found.hall_seq == n:
        return []
    return [(number, *found[1:5], chain.snapshot_crc(*found), found.data)]


def since(now_ms: int, comments_days: int) -> dict[str, int]:
    """From when on notes, cases and conduct move along: notes so many days, the others this year and the last."""
    year = int(recovery.month(now_ms)[:4]) - 1
    return {
        "notes_ms": now_ms - comments_days * DAY_MS,
        "cases_ms": recovery.year_ms(year),
        "conduct_day": year * 10_000,
    }


def wanted(name: str, days: Iterable[int]) -> str:
    """The month to go on in, once every hall's business day is in a later one than the file's. Empty: not yet."""
    open_days = [day for day in days if day]
    if not open_days:
        return ""
    month = f"{min(open_days) // 10_000}-{min(open_days) // 100 % 100:02}"
    return month if name_of(month) > name else ""
