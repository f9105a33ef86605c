"""workers/engine.py: which SQLite we run on, and how it is opened.

One connection writes and checkpoints; every other is read-only. That keeps the WAL-reset bug of older engines away
(two connections, one of them checkpointing), by inference: an affected engine is warned about, not refused.
"""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiosqlite

from workers.ports import Missing

if TYPE_CHECKING:
    import sqlite3 as driver
else:
    try:  # The extra [engine] bundles a fixed SQLite; the standard library links what the system has.
        from pysqlite3 import dbapi2 as driver
    except ImportError:
        import sqlite3 as driver

Connection = driver.Connection
connect = driver.connect
Error = driver.Error
DatabaseError = driver.DatabaseError
IntegrityError = driver.IntegrityError
OperationalError = driver.OperationalError

Version = tuple[int, int, int]
OLDEST: Final = (3, 37, 0)  # STRICT tables
RESET_BUG: Final = ((3, 7, 0), (3, 51, 3))  # from, fixed in
BACKPORTS: Final = ((3, 44, 6), (3, 50, 7))
T = TypeVar("T")


def sqlite_version() -> Version:
    """The engine in use as three numbers."""
    major, minor, patch = (int(part) for part in driver.sqlite_version.split(".")[:3])
    return major, minor, patch


def affected(version: Version) -> bool:
    """Does this engine have the WAL-reset bug (sqlite.org)? Fixed in 3.51.3, 3.50.7 and 3.44.6."""
    first, fixed = RESET_BUG
    backported = any(version[:2] == fix[:2] and version >= fix for fix in BACKPORTS)
    return first <= version < fixed and not backported


def require(version: Version) -> None:
    """Missing when the engine has no STRICT tables."""
    if version < OLDEST:
        text = ".".join(map(str, version))
        raise Missing(
            f"SQLite {text} is too old\nthe Python in use\ninstall SQLite 3.37 or later, or the extra [engine]"
        )


def error_name(error: BaseException) -> str:
    """SQLITE_FULL and so on; empty for what did not come from SQLite."""
    return str(getattr(error, "sqlite_errorname", "") or "")


def malformed(what: str = "malformed database schema", name: str = "SQLITE_CORRUPT") -> DatabaseError:
    """What the engine would have said of a schema that it cannot even name."""
    error = DatabaseError(what)
    error.sqlite_errorname = name
    return error


def keep_log(path: Path) -> None:
    """DatabaseError for an empty file beside a log that is not: SQLite would delete the log, even of a reader. It is
    never made so: the first page is durable before the log begins."""
    log = path.with_name(path.name + "-wal")
    if path.exists() and not path.stat().st_size and log.exists() and log.stat().st_size:
        raise malformed(f"{path.name} is empty, its log is not", "SQLITE_NOTADB")


def taken(error: IntegrityError) -> bool:
    """Was a key there already? By the message: pysqlite3 gives no extended codes."""
    return str(error).startswith("UNIQUE constraint failed")


class Hand(Connection):
    """A connection whose `commit()` runs the next prepared job.

    aiosqlite calls `commit` in its thread, so a whole transaction costs one hop, through what is public on both sides.
    Jobs are taken in the order of the hops: two callers cannot get each other's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.jobs: deque[Callable[[], None]] = deque()

    def commit(self) -> None:
        self.jobs.popleft()()


class Lane:
    """One connection in a thread of its own. Each `run` is exactly one hop there and back."""

    def __init__(self, connector: Callable[[], Hand]) -> None:
        self._connector = connector
        self._thread = aiosqlite.Connection(self._connect, 64)
        self._hand: Hand | None = None
        self._failure: BaseException | None = None

    def _connect(self) -> Hand:
        """A failure is kept: aiosqlite would not wait for its thread to end, and the loop might be closed before."""
        try:
            self._hand = self._connector()
        except BaseException as error:
            self._failure = error
            self._hand = connect(":memory:", factory=Hand)
        return self._hand

    async def open(self) -> "Lane":
        """Itself, connected; what the connector raised otherwise."""
        await self._thread
        if self._failure is not None:
            await self._thread.close()
            raise self._failure
        return self

    async def run(self, job: Callable[[Connection], T]) -> T:
        """The job's result. Its exception arrives unchanged. A cancelled caller does not stop the job."""
        hand, results = self._hand, list[T]()
        assert hand is not None, "a lane is opened before it runs"
        hand.jobs.append(lambda: results.append(job(hand)))
        await self._thread.commit()
        return results[0]

    async def close(self) -> None:
        """Waits for the jobs that are under way."""
        await self._thread.close()


def writer_pragmas(busy_ms: int) -> dict[str, int | str]:
    """In this order, each with the value that must be read back."""
    return {
        "page_size": 4096,
        "journal_mode": "wal",
        "synchronous": 2,  # FULL. NORMAL loses acknowledged rows in a power cut
        "wal_autocheckpoint": 0,  # own checkpoints, after the acknowledgements
        "journal_size_limit": -1,  # a kept WAL is overwritten, not extended
        "busy_timeout": busy_ms,
        "cache_size": -65536,
        "mmap_size": 0,
        "secure_delete": 0,
        "temp_store": 2,
        "foreign_keys": 0,
    }


def apply(db: Connection, pragmas: dict[str, int | str]) -> None:
    """Set each pragma and read it back. Missing when the engine keeps another value."""
    for name, value in pragmas.items():
        db.execute(f"PRAGMA {name}={value}").fetchall()
        found = db.execute(f"PRAGMA {name}").fetchone()
        if (found[0] if found else 0) != value:
            where = f"PRAGMA {name} is {found and found[0]}, {value} was asked"
            raise Missing(f"SQLite refuses a setting that the journal needs\n{where}\nuse another build of SQLite")


def writer(path: Path, busy_ms: int = 5000) -> Hand:
    """The one connection that writes. Waits `busy_ms` in its own thread for a lock."""
    require(sqlite_version())
    keep_log(path)
    db = connect(path, factory=Hand, isolation_level=None)
    try:
        apply(db, writer_pragmas(busy_ms))
    except BaseException:
        db.close()
        raise
    return db


def reader(path: Path, *, copies: bool = False, torn: bool = False) -> Hand:
    """A connection that cannot write, and so cannot checkpoint. It blocks no commit but pins the WAL: keep it short.

    A file that nobody may write (archived) is read without locks. `copies`: VACUUM INTO writes another file. `torn`:
    one damaged table does not close the others.
    """
    require(sqlite_version())
    keep_log(path)
    frozen = "&immutable=1" if path.exists() and not path.stat().st_mode & 0o222 else ""
    db = connect(f"{path.resolve().as_uri()}?mode=ro{frozen}", factory=Hand, isolation_level=None, uri=True)
    try:
        only = ({"writable_schema": 1} if torn else {}) | ({} if copies else {"query_only": 1})
        apply(db, {**only, "busy_timeout": 5000, "cache_size": -16384, "mmap_size": 0, "temp_store": 2})
    except UnicodeDecodeError as error:  # the engine says which table is damaged, in the damaged table's own bytes
        db.close()
        raise malformed() from error
    except BaseException:
        db.close()
        raise
    return db
