"""workers/opening.py: the order in which a journal is opened, so that a refused start leaves everything as it was.

lock ─▶ examine, read-only ─▶ writer, migrations ─▶ the WAL on disk and sized ─▶ epoch raised ─▶ mark rewritten.
"""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from workers import engine, mark, owner, recovery, rotation
from workers.ballast import Ballast
from workers.engine import Connection, Lane
from workers.ports import Missing
from workers.writer import FRAME

STRANGE: Final = (*recovery.STRANGE, AttributeError, LookupError)
RETRY_S: Final = (0.2, 0.5)  # the first wait, then each further one


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What tests make small. Bytes of WAL, milliseconds, seconds."""

    retry_s: tuple[float, float] = RETRY_S
    busy_ms: int = 5000
    presize: int = 16 << 20
    checkpoint: int = 16 << 20
    checkpoint_idle: int = 1 << 20
    mark_every_s: float = 1.0
    formats: frozenset[int] = frozenset({1})
    ballast: int = 0
    min_free: int = 0
    comments_days: int = 180


class Opened(NamedTuple):
    """All that a journal holds while it is open."""

    path: Path
    lane: Lane
    tail: recovery.Tail
    held: owner.Owner
    mark_file: mark.MarkFile
    ballast: Ballast


async def begin(directory: Path, now_ms: int, options: Options) -> Opened:
    """Taken, Missing, Newer or JournalDamaged release the lock again."""
    held = owner.take(directory)
    try:
        ballast = set_aside(directory, options)
        rotation.sweep(directory)
        path = recovery.newest_file(directory) or directory / rotation.name_of(recovery.month(now_ms))
        await examine(path)
        return await write_on(path, held, ballast, now_ms, options)
    except engine.DatabaseError as error:
        held.release()
        raise refused(error, directory) from error
    except BaseException:
        held.release()
        raise


def set_aside(directory: Path, options: Options) -> Ballast:
    """The ballast in its place. Missing when the disk has no room for it."""
    ballast = Ballast(directory, options.ballast, options.min_free)
    if not ballast.make():
        left = f"{ballast.free_bytes() >> 20} MB are left, {options.ballast >> 20} MB are set aside first"
        raise Missing(f"disk full (SQLITE_FULL): {left}\n{directory}\nmake room and start again")
    return ballast


async def examine(path: Path) -> None:
    """Refuse what is not what was acknowledged, through a connection that cannot change it.

    A rollback journal beside the file means that its making was cut short: nothing can have been acknowledged yet.
    """
    if not recovery.exists(path):
        recovery.check_mark(None, mark.newest(path.parent / mark.NAME), 0)
    elif not recovery.exists(path.with_name(path.name + "-journal")):
        lane = await Lane(lambda: engine.reader(path)).open()
        try:
            await lane.run(lambda db: look(db, path))
        finally:
            await lane.close()


def look(db: Connection, path: Path) -> None:
    """A value of a kind that was never written is damage as well, wherever it is come upon."""
    try:
        rotation.require_schema(db, path)
        recovery.examine(db, path)
    except STRANGE as error:
        raise recovery.damaged(f"a value of another kind ({error!r})", path) from error
    except engine.OperationalError as error:
        if str(error).startswith("Could not decode"):
            raise recovery.damaged(f"a text that is none ({error})", path) from error
        raise


async def write_on(path: Path, held: owner.Owner, ballast: Ballast, now_ms: int, options: Options) -> Opened:
    """The writer, in its thread, at the end of a file that was found good."""
    lane = await Lane(lambda: engine.writer(path, options.busy_ms)).open()
    try:
        tail, mark_file = await lane.run(lambda db: prepare(db, path, now_ms, options.presize))
    except BaseException:
        await lane.close()
        raise
    return Opened(path, lane, tail, held, mark_file, ballast)


def prepare(db: Connection, path: Path, now_ms: int, presize: int) -> tuple[recovery.Tail, mark.MarkFile]:
    """Migrations, the log on disk, a new epoch, both slots of the mark. In the writer's thread."""
    recovery.migrate(db, path)
    recovery.examine(db, path)
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()  # a log left by a crash is used again from its start
    if recovery.wal_of(path).stat().st_size < presize:
        presize_wal(db, presize)
    recovery.raise_epoch(db, now_ms)
    tail = recovery.tail(db, path)
    return tail, mark.MarkFile(path.parent / mark.NAME, mark.Mark(tail.epoch, tail.last, tail.seal.chain[:8]))


def presize_wal(db: Connection, size: int) -> None:
    """Make the WAL `size` bytes long, so that commits overwrite it and fdatasync need not extend a file.

    The page of filler, written again and again, is all that is unsynced: the rest has been checkpointed before.
    """
    engine.apply(db, {"synchronous": 0})
    try:
        db.execute("INSERT INTO meta VALUES('filler', 0)")
        for _ in range(size // FRAME):
            db.execute("UPDATE meta SET v = v + 1 WHERE k = 'filler'")
        db.execute("DELETE FROM meta WHERE k = 'filler'")
    finally:
        engine.apply(db, {"synchronous": 2})
    db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def unwritable(error: Exception, place: Path | str) -> Missing:
    """What a command could not write, by the system's or the engine's own name of the reason. `place`: where."""
    name = engine.error_name(error) or errno.errorcode.get(getattr(error, "errno", 0) or 0, type(error).__name__)
    if name in ("SQLITE_FULL", "ENOSPC", "EDQUOT"):
        return Missing(f"disk full ({name})\n{place}\nmake room there, or choose another place")
    return Missing(f"cannot be written ({name})\n{place}\nchoose a place that is there and may be written")


def refused(error: engine.DatabaseError, directory: Path) -> Exception:
    """JournalDamaged or Missing when the file or the directory is the cause, the error itself otherwise."""
    name = engine.error_name(error)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT")):
        return recovery.damaged(f"journal unreadable ({name})", directory)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_FULL")):
        return Missing(f"data directory not writable ({name})\n{directory}\ngive the service write access and room")
    return error
