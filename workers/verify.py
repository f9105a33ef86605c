"""workers/verify.py: is everything that was acknowledged still there, byte for byte? Read-only, for every night.

Every month in order: SQLite's own check, where the file begins, each batch against its CRC and the chain, n gapless a
hall, snapshots, manifests of what is archived; for the newest the mark. Erased batches are held by the chain alone.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from workers import chain, engine, mark, recovery, rotation, twice
from workers.chain import Head, Item, snapshot_crc
from workers.engine import Connection
from workers.ports import JournalDamaged
from workers.recovery import Origin

SNAPSHOT_ROWS: Final = "SELECT hall, hall_seq, seq, fmt, at_ms, crc, data FROM snapshot ORDER BY hall, hall_seq"
STRANGE: Final = (*recovery.STRANGE, AttributeError, LookupError)
KEY: Final = re.compile(  # what may be noted; filler: the log was being sized when the power went
    r"hash|month|erased|filler|prev_(seq|crc|chain)|first:\d+|(twice:)?(epoch|proj_seq|published:\d+)"
)
ERASED: Final = "SELECT count(*) FROM batch WHERE short IS NOT NULL OR long IS NOT NULL"
ROWS_OF: Final = recovery.ROWS.replace("seq > ?", "seq BETWEEN ? AND ?")


@dataclass(slots=True)
class Walked:
    """What is carried from one month to the next."""

    before: Origin | None = None
    heads: dict[str, int] = field(default_factory=dict)


class Verified(msgspec.Struct):
    """The document of `journal verify --json`."""

    v: int
    ok: bool
    files: list[str]
    problems: list[str]


def examined(directory: Path) -> Verified:
    """All files and every problem."""
    problems = verify(directory)
    return Verified(1, not problems, [path.name for path in recovery.files(directory)], problems)


def verify(directory: Path) -> list[str]:
    """Every problem found, one line each; empty when all is well. A running journal can be verified."""
    newest, slots = pinned(directory)
    if newest is None or not recovery.exists(newest):
        return [f"no journal in {directory}"]
    walked, found = Walked(), list[str]()
    for path in recovery.files(directory):
        if not path.exists():  # archived meanwhile
            path = directory / recovery.ARCHIVE / path.name
        said = list(guarded(problems(path, walked, slots if path == newest else None)))
        found += said if path == newest else [f"{path.name}: {line}" for line in said]
    return found


def pinned(directory: Path) -> tuple[Path | None, list[mark.Mark | None]]:
    """The month in use and the slots of the mark, of one moment: a month may end between two looks.

    The mark first, then the file's content: a running journal is never behind its mark.
    """
    while True:
        newest, slots = recovery.newest_file(directory), mark.slots(directory / mark.NAME)
        if newest == recovery.newest_file(directory):
            return newest, slots


def verify_file(path: Path) -> list[str]:
    """One file by itself: a backup, a closed month."""
    return list(guarded(problems(path, Walked(), None)))


def problems(path: Path, walked: Walked, slots: Sequence[mark.Mark | None] | None) -> Iterator[str]:
    """One check after the other on one picture of the file; damage that ends one does not hide the next."""
    with closing(engine.reader(path)) as db:
        db.execute("BEGIN")
        checks = [manifest_of(db, path), pages(db), made(db, path), begins(db, walked), rows(db, walked)]
        checks += [snapshots(db), notes_of(db, path)]
        for check in checks if slots is None else [*checks, marks(db, slots)]:
            yield from guarded(check)


def guarded(found: Iterator[str]) -> Iterator[str]:
    """The problems of one check; damage that ends the check is its last problem."""
    try:
        yield from found
    except JournalDamaged as error:
        yield str(error).splitlines()[0]
    except engine.DatabaseError as error:
        yield f"unreadable ({engine.error_name(error)})"
    except STRANGE as error:
        yield f"a value of another kind ({error!r})"


def pages(db: Connection) -> Iterator[str]:
    """What SQLite itself finds."""
    for (line,) in db.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"integrity check: {line}"


def made(db: Connection, path: Path) -> Iterator[str]:
    """The tables themselves. SQLite reads on where only a constraint has become another one."""
    rotation.require_schema(db, path)
    yield from ()


def notes_of(db: Connection, path: Path) -> Iterator[str]:
    """What the file notes of itself, as far as the rest of it can tell."""
    said, words, end = recovery.meta(db, ""), recovery.texts(db), recovery.end(db).seq
    if said.get("hash") != "sha256":
        yield f"hash {said.get('hash')!r} is not known"
    if path.match(recovery.MONTHS) and said.get("month", path.stem[8:15]) != path.stem[8:15]:  # a copy has any name
        yield f"month {said['month']!r}, though the file is {path.name}"
    epochs = db.execute("SELECT coalesce(max(epoch), 0) FROM batch").fetchone()[0]
    if said["epoch"] < epochs:
        yield f"epoch {said['epoch']}, though {epochs} has written"
    if not 0 <= said["proj_seq"] <= end:
        yield f"pictures up to {said['proj_seq']}, the journal ends at {end}"
    left, span = db.execute("SELECT count(*) FROM journal").fetchone()[0], end - recovery.origin(db).seq
    if said.get("erased", 0) != span - left:
        yield f"{span - left} rows are not there, {said.get('erased', 0)} were erased"
    for key, n in recovery.meta(db, twice.AGAIN).items():
        if said.get(key) != n:
            yield f"{key} is {said.get(key)}, and {n} where it is kept again"
    yield from (f"nothing is called {key!r} here" for key in said if not KEY.fullmatch(key))
    for key, seq in recovery.meta(db, "first:").items():
        first = db.execute("SELECT hall, hall_seq FROM journal WHERE seq = ?", (seq,)).fetchone()
        if first != (int(key), 1) and not said.get("erased"):
            yield f"hall {words[int(key)]}: row {seq} is not its first"
    heads = recovery.heads(db, words)
    for key, n in recovery.meta(db, "published:").items():
        last = heads.get(words[int(key)], 0)
        if not 0 <= n <= last:
            yield f"hall {words[int(key)]}: published up to {n}, the last is {last}"


def begins(db: Connection, walked: Walked) -> Iterator[str]:
    """Where the month before ended, if that is there."""
    here, there = recovery.origin(db), walked.before
    walked.before = recovery.end(db)
    if there is not None and here != there:
        yield f"begins after {here.seq}, the file before ends at {there.seq}: not the same chain"


def rows(db: Connection, walked: Walked) -> Iterator[str]:
    """Each batch against its seal, and n gapless in each hall. The first bad batch ends it."""
    erased, heads = db.execute(ERASED).fetchone()[0], walked.heads
    anywhere = recovery.origin(db).seq > 0  # the months before may be gone
    for items in kept_batches(db) if erased else recovery.batches(db, recovery.origin(db).seq):
        for hall, n, _ in items:
            before = heads.get(hall, n - 1 if anywhere else 0)
            if n <= before or (n > before + 1 and not erased):
                yield f"hall {hall}: {n} follows {before}"
            heads[hall] = n
    if erased:
        heads.clear()  # where erased rows ended is not known any more


def kept_batches(db: Connection) -> Iterator[list[Item]]:
    """The rows left of each batch where some were erased. The CRC of a whole batch is checked, the chain of each."""
    seq, seal = recovery.origin(db)
    words = recovery.texts(db)
    for last, first, epoch, at_ms, crc, link, short, long in db.execute(recovery.BATCHES, (seq,)).fetchall():
        name, head = f"batch {first}–{last}", Head(first, last, epoch, at_ms)
        numbered = db.execute(ROWS_OF, (first, last)).fetchall()
        items = [
            (words[hall], n, (at, k, v, words[d], words[b], *rest)) for _, hall, n, at, k, v, d, b, *rest in numbered
        ]
        if first != seq + 1:
            raise recovery.damaged(f"{name}: {seq} is the end before it", "table batch")
        if short is None and long is None:
            if [row[0] for row in numbered] != list(range(first, last + 1)):
                raise recovery.damaged(
                    f"{name}: {len(items)} rows are left, nothing says some were erased", "table batch"
                )
            whole = chain.seal(seal, head, chain.columns(items))
            good, linked = whole.crc == crc, whole.chain == link
        else:
            seqs = [row[0] for row in numbered]
            good, linked = True, chain.link(seal.chain, head, *digests(name, seqs, items, short, long)) == link
        if not (good and linked):
            raise recovery.damaged(f"{name}: {'chain' if good else 'crc'} differs", "table batch")
        seq, seal = last, chain.Seal(crc, bytes(link))
        yield items


def digests(
    name: str, seqs: list[int], items: list[Item], short: bytes | None, long: bytes | None
) -> tuple[bytes, bytes]:
    """SHA-256 of each class: the stored one where the class was erased, else of the rows."""
    kept = chain.digests(seqs, chain.columns(items))
    gone = [short is not None, long is not None]
    if any(gone[chain.KIND(row) >= chain.LONG_FROM] for _, _, row in items):
        raise recovery.damaged(f"{name}: rows of an erased class are left", "table journal")
    return (short if short is not None else kept[0], long if long is not None else kept[1])


def snapshots(db: Connection) -> Iterator[str]:
    """Each snapshot against its CRC; none ahead of the journal."""
    words, last = recovery.texts(db), recovery.end(db).seq
    for number, hall_seq, seq, fmt, at_ms, crc, data in db.execute(SNAPSHOT_ROWS):
        hall = words[number] if number < len(words) else f"word {number}"
        if crc != snapshot_crc(hall, hall_seq, seq, fmt, at_ms, data):
            yield f"snapshot of {hall} at {hall_seq}: crc differs"
        elif seq > last:
            yield f"snapshot of {hall} at {hall_seq}: seq {seq}, the journal ends at {last}"


def marks(db: Connection, slots: Sequence[mark.Mark | None]) -> Iterator[str]:
    """The mark against the batches, and both of its slots."""
    for place, slot in enumerate(slots):
        if slot is None:
            yield f"acknowledged mark: slot {place} damaged"
    recovery.check_mark(db, max((slot for slot in slots if slot), default=None), recovery.end(db).seq)


def manifest_of(db: Connection, path: Path) -> Iterator[str]:
    """An archived month against its manifest."""
    if path.parent.name != recovery.ARCHIVE or path.suffix != ".db":
        return
    try:
        told: dict[str, Any] = json.loads(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        yield "no manifest beside it"
        return
    part = path.with_name(path.name + ".part")  # erased, and cut short just before it took the name
    if told.get("sha256") != digest_of(path):
        if not part.exists() or told.get("sha256") != digest_of(part):
            yield "not the file of its manifest (sha256 differs)"
        return
    end = recovery.end(db)
    is_so = {
        "file": path.name,
        "first": recovery.origin(db).seq + 1,
        "last": end.seq,
        "chain": end.seal.chain.hex(),
        "bytes": path.stat().st_size,
        "erased": recovery.meta(db, "erased").get("", 0),
    }
    yield from (f"manifest: {name} differs" for name, value in is_so.items() if told.get(name) != value)


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, sha256).hexdigest()
