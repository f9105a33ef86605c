"""workers/counting.py: the totals of a journal that is only read; what was counted is kept beside it.

Short read-only statements, so that no commit waits and no checkpoint is held up. The totals lie in `DIR/report/`; who
asks next counts only what came since, and keeps it when it is much. They can be thrown away: they are made anew from
the journal, behind what erased months counted, which lies beside these in `DIR/archive/` and nowhere else.
"""

import gc
import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from core import record
from core.facts import KIND_OF
from workers import engine, mark, recovery
from workers.ports import JournalDamaged, Missing
from workers.totals import COUNTED, Counter, Totals, forget

T = TypeVar("T")
PAGE: Final = 50_000
FORMAT: Final = 2
BASE: Final = "totals.mp"  # of any format: erased months cannot be counted again, so fields are only added, at the end
WORTH: Final = 50_000  # rows counted, before megabytes are written anew: the disk is the journal's
KINDS: Final = tuple(sorted(KIND_OF[kind] for kind in COUNTED))
PAGE_OF: Final = (
    "SELECT j.seq, w.text, j.at_ms, j.kind, j.v, j.payload FROM journal j JOIN word w ON w.id = j.hall"  # noqa: S608 - numbers of our own table
    f" WHERE j.seq > ? AND j.seq <= ? AND j.kind IN ({', '.join(map(str, KINDS))}) ORDER BY j.seq"
)


def kept(data: Path) -> Path:
    """Where the totals lie."""
    return data / "report" / f"totals-{FORMAT}.mp"


def base(data: Path) -> Totals:
    """What erased months counted, and from which day on days are kept. JournalDamaged when it cannot be read."""
    path = data / recovery.ARCHIVE / BASE
    if not path.exists():
        return Totals()
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Totals)
    except msgspec.MsgspecError as error:
        raise recovery.damaged(f"what erased months counted cannot be read ({error})", path) from error


def keep(data: Path, months: list[Path], since: int, *, dry_run: bool = False) -> int:
    """Before `months` are erased: what they count is on the disk. Days before `since` (yyyymmdd) are forgotten; how
    many, over all halls. A crash in between costs nothing: what is kept for reports is cut when it is read next."""
    whole, found = update(data), base(data)
    seq, whole.since = found.seq, max(found.since, since)
    days = forget(whole)
    if dry_run:
        return days
    counter = Counter(found)
    for path in months:
        _count(path, counter)
    found.since = whole.since
    if forget(found) or days or found.seq > seq:
        path = data / recovery.ARCHIVE / BASE
        path.parent.mkdir(exist_ok=True)
        mark.write_whole(path, msgspec.msgpack.encode(found))
        _save(data, whole)
    return days


def update(data: Path, *, fresh: bool = False) -> Totals:
    """The totals up to now: what was kept, and what came since. Blocking: for a process or thread of its own."""
    files = recovery.files(data)
    if not files:
        raise Missing(f"no journal in {data}")
    begun = base(data)
    known = None if fresh else _load(data, files, begun)
    totals = known or begun
    before, counter = totals.seq, Counter(totals)
    for path in files:
        _count(path, counter)
    totals.since = begun.since
    if forget(totals) or known is None or totals.seq - before >= WORTH:
        _save(data, totals)
    return totals


def _load(data: Path, files: list[Path], begun: Totals) -> Totals | None:
    """What was kept, if the journal still goes on from there: a restored copy begins anew."""
    try:
        totals = _quietly(lambda: msgspec.msgpack.decode(kept(data).read_bytes(), type=Totals))
    except (OSError, msgspec.MsgspecError):
        return None
    for path in files if totals.seq >= begun.seq else ():
        with closing(engine.reader(path)) as db:
            row = db.execute("SELECT at_ms FROM journal WHERE seq = ?", (totals.seq,)).fetchone()
            if row is not None:
                return totals if row[0] == totals.at_ms else None
    return None


def _quietly(job: Callable[[], T]) -> T:
    """Without the collector walking over a million young objects that all stay."""
    gc.disable()
    try:
        return job()
    finally:
        gc.freeze()
        gc.enable()


def _save(data: Path, totals: Totals) -> None:
    """Kept where the directory can be written; a report needs no more than to read."""
    path = kept(data)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        for left in path.parent.glob("totals-*.*"):  # of a child that was killed while it wrote
            if left.suffix[1:].isdigit() and not _runs(int(left.suffix[1:])):
                left.unlink(missing_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(msgspec.msgpack.encode(totals))
        part.replace(path)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _count(path: Path, counter: Counter) -> None:
    """The rows of a month behind what is counted, page by page."""
    totals = counter.totals
    with closing(engine.reader(path)) as db:
        last = db.execute("SELECT seq, at_ms FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
        first = db.execute("SELECT min(seq) FROM journal").fetchone()[0]
        if last is None or last[0] <= totals.seq:
            return
        seq = max(totals.seq, first - 1)
        while seq < last[0]:
            end = min(seq + PAGE, last[0])
            for at, hall, at_ms, kind, v, payload in db.execute(PAGE_OF, (seq, end)):
                try:
                    fact = record.decode(kind, v, payload)[0]
                except msgspec.MsgspecError as error:
                    raise JournalDamaged(f"row {at} cannot be read: {error}") from error
                counter.note(hall, fact, at_ms)
            seq = end
        totals.seq, totals.at_ms = last
