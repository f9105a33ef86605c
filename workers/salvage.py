"""workers/salvage.py: what can still be read of damaged months, by ranges of 16 rows, into a journal that starts.

The newest month: `salvaged-….jsonl` gets every row that can be read, `lost.json` names the others. The new journal has
one run of whole batches: the newest that begins no later than a good state of every hall. What lies behind its end is
in the lines only. Older months: the good ones that lead up to that run are copied, of all others lines are written.
Nothing is repaired: a loss that a person accepts becomes a fact.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from core.facts import JournalRestored
from workers import backup, chain, engine, export, mark, recovery, rotation
from workers.chain import Head, Item, Seal
from workers.engine import Connection
from workers.ports import Missing, Row
from workers.verify import verify_file
from workers.writer import INSERT_ROW

NOTED: Final = int | str | bytes
ROW: Final = (int,) * 9 + (bytes,)
SEALED: Final = (int,) * 5 + (bytes,)
STATE: Final = (int,) * 6 + (bytes,)
MOST_BEHIND: Final = 1 << 28  # further than that no month reaches: the number itself is damaged
LEAST: Final = 16
MOST: Final = 4096
assert MOST % LEAST == 0, "wide ranges fall apart into narrow ones"
BATCH: Final = "SELECT last, first, epoch, at_ms, crc, chain, short, long FROM batch WHERE last BETWEEN ? AND ?"
ROWS: Final = recovery.ROWS.replace("seq > ?", "seq BETWEEN ? AND ?")
Stored = tuple[Any, ...]


class Range(msgspec.Struct, frozen=True):
    """Rows `first`..`last` and what is wrong with them."""

    first: int
    last: int
    why: str


class Salvaged(msgspec.Struct):
    """The document of `journal salvage --json`. The journal in `to` holds `kept_first`..`kept_last`."""

    v: int
    to: str
    rows: int
    lost_rows: int
    kept_first: int
    kept_last: int
    acknowledged: int
    lost: list[Range]
    copied: list[str] = []
    lines: list[str] = []


class Known(dict[int, str]):
    """Words by number; empty for a number that no word has."""

    def __missing__(self, number: int) -> str:
        return ""


class Found(NamedTuple):
    """Everything that could be read, by key."""

    words: list[str]
    meta: dict[str, Any]
    rows: dict[int, Stored]
    batches: dict[int, Stored]
    snapshots: list[Stored]
    lost: list[Range]
    end: int


async def salvage(directory: Path, to: Path, now_ms: int) -> Salvaged:
    """Read what is left of all months. JournalDamaged when no state can be gone on from; the lines are there."""
    done = extract(directory, to, now_ms)
    await backup.tell(to, JournalRestored("salvage", done.kept_last, done.acknowledged), now_ms)
    return done


def extract(directory: Path, to: Path, now_ms: int) -> Salvaged:
    """As `salvage`, but nothing is told yet."""
    path = recovery.newest_file(directory)
    if path is None:
        raise Missing(f"no journal in {directory}")
    if to.exists() and any(to.iterdir()):
        raise Missing(f"{to} is not empty")
    to.mkdir(parents=True, exist_ok=True)
    known = mark.newest(directory / mark.NAME)
    *older, _ = recovery.files(directory)
    found, good, lost = examined(path, to, known.seq if known else 0)
    said, places = Salvaged(1, str(to), 0, 0, 0, 0, known.seq if known else 0, []), list[Path]()
    for month in older:
        if verify_file(month):
            lost = take_lines(month, to, said) + lost
            places = []  # what lies before a gap cannot lead up to anything
        else:
            places.append(month)
    write_lost(to, lost)
    start, last, states = best_run(found, good, path)
    rebuild(to / path.name, found, good, start, last, states)
    settle(to / path.name, known, now_ms)
    leading = places if start == begins(found.meta).seq else []
    for month in older:
        if month in leading:
            copy(month, directory, to, said)
        elif not verify_file(month):
            take_lines(month, to, said)
    return msgspec.structs.replace(
        said,
        rows=said.rows + len(found.rows),
        lost_rows=said.lost_rows + lost_rows(found),
        kept_first=start + 1,
        kept_last=last,
        acknowledged=known.seq if known else last,
        lost=lost,
        lines=[*said.lines, path.name],
    )


def examined(path: Path, to: Path, acknowledged: int) -> tuple[Found, dict[int, Stored], list[Range]]:
    """What is left of a month, its whole batches, and what is lost; its lines are written."""
    with closing(engine.reader(path, torn=True)) as db:
        found = read(db, acknowledged)
    good, lost = whole_batches(found)
    write_lines(to / f"{path.stem.replace('journal', 'salvaged')}.jsonl", found)
    return found, good, lost


def take_lines(path: Path, to: Path, said: Salvaged) -> list[Range]:
    """Of an older month, whole or not, that cannot be gone on from; what is lost of it."""
    try:
        found, _, lost = examined(path, to, 0)
    except engine.DatabaseError as error:
        return [Range(0, 0, f"{path.name}: unreadable ({engine.error_name(error)})")]
    said.rows += len(found.rows)
    said.lost_rows += lost_rows(found)
    said.lines.append(path.name)
    return lost


def lost_rows(found: Found) -> int:
    """How many could not be read, or are not there."""
    return sum(one.last - one.first + 1 for one in found.lost)


def copy(path: Path, directory: Path, to: Path, said: Salvaged) -> None:
    """A good month, with its manifest where it has one, in the same place of the new directory."""
    place = to / path.relative_to(directory)
    place.parent.mkdir(exist_ok=True)
    with closing(engine.reader(path)) as db:
        rows = int(db.execute("SELECT count(*) FROM journal").fetchone()[0])
    for file in (path, path.with_suffix(".json"), recovery.wal_of(path)):
        if file.exists():
            shutil.copy2(file, place.with_name(file.name))
    said.rows += rows
    said.copied.append(path.name)


def read(db: Connection, acknowledged: int) -> Found:
    """All tables, as far as they can be read."""
    meta: dict[str, Any] = {k: v for k, v in tolerant(db, "SELECT k, v FROM meta") if fits((k, v), (str, NOTED))}
    lost: list[Range] = []
    ends = [
        row[0] for table in ("max(seq) FROM journal", "max(last) FROM batch") for row in tolerant(db, f"SELECT {table}")
    ]
    first = begins(meta).seq
    end = min(max(acknowledged, *(int(one or 0) for one in ends), 0), max(acknowledged, first) + MOST_BEHIND)
    rows = {row[0]: row for row in ranges(db, ROWS, first + 1, end, lost) if fits(row, ROW, lost)}
    batches = {row[0]: row for row in ranges(db, BATCH, first + 1, end, []) if fits(row[:6], SEALED)}
    keys = tolerant(db, "SELECT hall, hall_seq FROM snapshot ORDER BY hall, hall_seq DESC")
    states = [
        row
        for key in keys
        for row in tolerant(db, "SELECT * FROM snapshot WHERE hall = ? AND hall_seq = ?", key)
        if fits(row, STATE)
    ]
    told = [row for row in tolerant(db, "SELECT id, text FROM word") if fits(row, (int, str))]
    words: dict[int, str] = {number: text for number, text in told if number < len(told) + MOST}
    texts = [words.get(n, f"word-{n}" if n else "") for n in range(max(words, default=0) + 1)]
    return Found(texts, meta, rows, batches, states, lost, end)


def fits(row: Stored, kinds: tuple[Any, ...], lost: list[Range] | None = None) -> bool:
    """Whether each value is of its kind; a row that has another one is added to `lost`."""
    good = all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
    if not good and lost is not None:
        lost.append(Range(row[0], row[0], "a value of another kind"))
    return good


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


def whole_batches(found: Found) -> tuple[dict[int, Stored], list[Range]]:
    """Batches by `first` of which every row is as it was sealed, and everything that is lost or doubtful."""
    good, doubtful = dict[int, Stored](), list[Range]()
    seals = {last: Seal(row[4], bytes(row[5])) for last, row in found.batches.items()}
    seals[begins(found.meta).seq] = begins(found.meta).seal
    for last, first, epoch, at_ms, crc, link, *_ in sorted(found.batches.values()):
        items = [item(found, found.rows[seq]) for seq in range(first, last + 1) if seq in found.rows]
        before = seals.get(first - 1)
        if before is None or len(items) != last - first + 1:
            continue
        if chain.seal(before, Head(first, last, epoch, at_ms), chain.columns(items)) == Seal(crc, bytes(link)):
            good[first] = found.batches[last]
        else:
            doubtful.append(Range(first, last, "readable, but not as they were sealed"))
    return good, sorted([*found.lost, *doubtful], key=lambda one: one.first)


def begins(meta: dict[str, Any]) -> recovery.Origin:
    """Where the damaged file begins."""
    said: Stored = tuple(meta.get(key) for key in ("prev_seq", "prev_crc", "prev_chain"))
    return recovery.Origin(said[0], Seal(*said[1:])) if fits(said, (int, int, bytes)) else recovery.BEGINNING


def noted(meta: dict[str, Any], what: str) -> dict[int, int]:
    """Numbers by hall, of the keys that begin so."""
    found = {key.removeprefix(what): value for key, value in meta.items() if key.startswith(what)}
    return {int(key): value for key, value in found.items() if key.isdecimal() and isinstance(value, int)}


def item(found: Found, row: Stored) -> Item:
    """A row with its words."""
    words = found.words
    _, hall, n, at_ms, kind, v, device, boot, dseq, payload = row
    if not 0 <= min(hall, device, boot) <= max(hall, device, boot) < len(words):
        return "", n, Row(at_ms, kind, v, "", "", dseq, payload)
    return words[hall], n, Row(at_ms, kind, v, words[device], words[boot], dseq, payload)


def write_lines(to: Path, found: Found) -> None:
    """Every row that was read, doubtful or not."""
    words = Known(enumerate(found.words))
    with export.lines(to) as take:
        take([export.line(words, row) for row in found.rows.values()])


def write_lost(to: Path, lost: list[Range]) -> None:
    """What is lost or doubtful, of all months."""
    (to / "lost.json").write_bytes(msgspec.json.format(msgspec.json.encode(lost)) + b"\n")


def best_run(found: Found, good: dict[int, Stored], path: Path) -> tuple[int, int, list[Stored]]:
    """(start, last, snapshots): the newest run of good batches on which every hall has a state to begin from."""
    states = [state for state in found.snapshots if intact(found, state)]
    begun = {hall: seq - 1 for hall, seq in noted(found.meta, "first:").items()}
    for start, last in runs(found, good):
        chosen = [state for state in states if start <= state[2] <= last]
        halls = {state[0] for state in chosen} | {hall for hall, seq in begun.items() if seq >= start}
        needed = {state[0] for state in states} | {row[1] for row in found.rows.values() if row[0] <= last}
        if needed <= halls and (needed or last):
            return start, last, chosen
    raise recovery.damaged("no run of whole batches behind a good state of every hall", path)


def runs(found: Found, good: dict[int, Stored]) -> Iterator[tuple[int, int]]:
    """(start, last) of unbroken runs of batches, the newest first; a lone state counts as an empty run at its seq."""
    starts, spans, begin = sorted(good), list[tuple[int, int]](), None
    last = 0
    for first in starts:
        if begin is None or first != last + 1:
            begin = first - 1
            spans.append((begin, 0))
        last = good[first][0]
        spans[-1] = (begin, last)
    first_seq = begins(found.meta).seq
    yield from sorted([*spans, (first_seq, first_seq)], key=lambda span: span[1], reverse=True)


def intact(found: Found, state: Stored) -> bool:
    """Is this snapshot as it was stored?"""
    hall, hall_seq, seq, fmt, at_ms, crc, data = state
    return 0 <= hall < len(found.words) and int(crc) == chain.snapshot_crc(
        found.words[hall], hall_seq, seq, fmt, at_ms, data
    )


def rebuild(path: Path, found: Found, good: dict[int, Stored], start: int, last: int, states: list[Stored]) -> None:
    """A journal of just this run, with the seals it had."""
    before = begins(found.meta) if start == begins(found.meta).seq else recovery.Origin(
        start, Seal(found.batches[start][4], bytes(found.batches[start][5]))
    )  # fmt: skip

    heads = {state[0]: state[1] for state in sorted(states)}
    heads |= {row[1]: row[2] for seq, row in sorted(found.rows.items()) if start < seq <= last}

    def fill(db: Connection) -> None:
        rotation.put_words(db, found.words)
        kept: dict[str, Any] = {key: found.meta[key] for key in ("month",) if key in found.meta}
        kept["epoch"] = max((batch[2] for batch in good.values()), default=0)
        kept |= {f"first:{hall}": seq for hall, seq in noted(found.meta, "first:").items() if start < seq <= last}
        # What comes in the place of lost facts has not been heard.
        heard = {hall: min(n, heads.get(hall, 0)) for hall, n in noted(found.meta, "published:").items()}
        kept |= {f"published:{hall}": n for hall, n in heard.items()}
        ends = {"prev_seq": before.seq, "prev_crc": before.seal.crc, "prev_chain": before.seal.chain}
        rotation.put_meta(db, {**kept, **ends, "proj_seq": before.seq})
        for first, batch in sorted(good.items()):
            if start < first <= last:
                rotation.put_rows(db, "batch", [batch])
                db.executemany(INSERT_ROW, [found.rows[seq] for seq in range(first, batch[0] + 1)])
        rotation.put_rows(db, "snapshot", states)

    rotation.publish(rotation.create(path, fill))


def settle(path: Path, known: mark.Mark | None, now_ms: int) -> None:
    """An epoch above any before, and a mark for what is there."""
    with closing(engine.connect(path, isolation_level=None)) as db:
        epoch = recovery.raise_epoch(db, max(now_ms, ((known.epoch if known else 0) + 1) * 1000))
        end = recovery.end(db)
    mark.MarkFile(path.parent / mark.NAME, mark.Mark(epoch, end.seq, end.seal.chain[:8])).close()
