"""workers/salvage.py: what can still be read of damaged months, by ranges of 16 rows, into a journal that starts.

The newest month: `salvaged-….jsonl` gets every row that can be read, `lost.json` names the others. The new journal has
one run of whole batches: the newest that begins no later than a good state of every hall. What lies behind its end is
in the lines only. Older months: the good ones that lead up to that run are copied, of all others lines are written.
Nothing is repaired: a loss that a person accepts becomes a fact.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import msgspec

from core.facts import JournalRestored
from workers import backup, chain, engine, export, mark, recovery, rotation, torn, twice
from workers.chain import Head, Item, Seal
from workers.engine import Connection
from workers.ports import JournalDamaged, Missing, Row
from workers.torn import Range, Stored, merged, ranges, tolerant
from workers.verify import verify_file
from workers.writer import INSERT_ROW

NOTED: Final = int | str | bytes
ROW: Final = (int,) * 9 + (bytes,)
SEALED: Final = (int,) * 5 + (bytes,)
STATE: Final = (int,) * 6 + (bytes,)
MOST_BEHIND: Final = 1 << 28  # further than that no month reaches: the number itself is damaged
BATCH: Final = "SELECT last, first, epoch, at_ms, crc, chain, short, long FROM batch WHERE last BETWEEN ? AND ?"
ROWS: Final = recovery.ROWS.replace("seq > ?", "seq BETWEEN ? AND ?")


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
    notes: list[Stored]
    lost: list[Range]
    origin: recovery.Origin


class Run(NamedTuple):
    """Whole batches behind row `start`, up to `last`, and the states to begin from."""

    start: int
    last: int
    states: list[Stored]


class Reading(NamedTuple):
    """What was found, its whole batches by `first`, what is lost or doubtful, and what can be gone on from."""

    found: Found
    good: dict[int, Stored]
    lost: list[Range]
    run: Run | None

    def worth(self) -> tuple[int, int, int]:
        """Of two readings of a month the one with more is taken."""
        return self.run.last if self.run else -1, len(self.good), len(self.found.rows)

    def whole(self) -> bool:
        """Is there nothing that another reading could find?"""
        first = self.found.origin.seq
        everything = first, max(self.found.rows, default=first)
        return not self.lost and self.run is not None and self.run[:2] == everything


async def salvage(directory: Path, to: Path, now_ms: int) -> Salvaged:
    """Read what is left of all months. JournalDamaged when no state can be gone on from; the lines are there."""
    done = extract(directory, to, now_ms)
    await backup.tell(to, JournalRestored("salvage", done.kept_last, done.acknowledged), now_ms)
    return done


def extract(directory: Path, to: Path, now_ms: int) -> Salvaged:
    """As `salvage`, but nothing is told yet. The newest month first: the newest that can be gone on from is gone on in,
    and the good ones that lead up to it are copied."""
    newest = recovery.newest_file(directory)
    if newest is None:
        raise Missing(f"no journal in {directory}")
    if to.exists() and any(to.iterdir()):
        raise Missing(f"{to} is not empty\n{to}\nname a new directory")
    to.mkdir(parents=True, exist_ok=True)
    known = mark.newest(directory / mark.NAME)
    months, upto = recovery.files(directory), known.seq if known else 0
    said, going, leads = Salvaged(1, str(to), 0, 0, 0, 0, upto, []), None, True
    while months:
        month = months.pop()
        wrong = going is None or bool(verify_file(month))
        if not wrong and leads:
            upto = copy(month, directory, to, said)
            continue
        found, good, lost, run = examined(month, to, upto, end_of(months[-1]) if months else recovery.BEGINNING)
        said.rows, said.lines, upto = said.rows + len(found.rows), [month.name, *said.lines], found.origin.seq
        if wrong:
            said.lost_rows += lost_rows(found)
            said.lost = lost + said.lost
        if going is None and run is not None:
            going, leads = to / month.name, run.start == found.origin.seq
            rebuild(going, found, good, run)
            said.kept_first, said.kept_last = run.start + 1, run.last
        else:
            leads = False  # what lies before a gap cannot lead up to anything
    write_lost(to, said.lost)
    if going is None:
        left = f"its lines are in {to}: restore a backup, or begin anew in an empty directory"
        raise JournalDamaged(f"no run of whole batches behind a good state of every hall\n{newest}\n{left}")
    settle(going, known, now_ms)  # without a mark nothing starts from what was cut short
    said.acknowledged = said.acknowledged or said.kept_last
    return said


def end_of(path: Path) -> recovery.Origin:
    """Where a month ends, as far as its last batch can be read."""
    try:
        with closing(engine.reader(path, torn=True)) as db:
            return recovery.end(db)
    except (engine.DatabaseError, *recovery.STRANGE):
        return recovery.BEGINNING


def examined(path: Path, to: Path, upto: int, before: recovery.Origin) -> Reading:
    """What is left of a month; its lines are written. `upto`, `before`: where the next month begins and the last one
    ends."""
    unread = [Range(before.seq + 1, max(upto, before.seq + 1), "unreadable")]
    best = Reading(Found([], {}, {}, {}, [], [], unread, before), {}, unread, None)
    with TemporaryDirectory(dir=to) as scratch:
        for place in torn.readings(path, Path(scratch)):
            with suppress(engine.DatabaseError), closing(engine.reader(place, torn=True)) as db:
                best = max(best, understood(read(db, upto, before)), key=Reading.worth)
            if best.whole():
                break
    write_lines(to / f"{path.stem.replace('journal', 'salvaged')}.jsonl", best.found)
    return best


def understood(found: Found) -> Reading:
    """What of it can be gone on from."""
    good, lost = whole_batches(found)
    return Reading(found, good, lost, best_run(found, good))


def lost_rows(found: Found) -> int:
    """How many could not be read, or are not there."""
    return sum(one.last - one.first + 1 for one in found.lost)


def copy(path: Path, directory: Path, to: Path, said: Salvaged) -> int:
    """A good month, with its manifest where it has one, in the same place of the new directory. Where it begins."""
    place = to / path.relative_to(directory)
    place.parent.mkdir(exist_ok=True)
    with closing(engine.reader(path)) as db:
        rows, begin = int(db.execute("SELECT count(*) FROM journal").fetchone()[0]), recovery.origin(db).seq
    for file in (path, path.with_suffix(".json"), recovery.wal_of(path)):
        if file.exists():
            shutil.copy2(file, place.with_name(file.name))
    said.rows += rows
    said.copied.insert(0, path.name)
    return begin


def read(db: Connection, upto: int, before: recovery.Origin) -> Found:
    """All tables, as far as they can be read. Rows `before`..`upto` should be there."""
    meta: dict[str, Any] = {k: v for k, v in tolerant(db, "SELECT k, v FROM meta") if fits((k, v), (str, NOTED))}
    lost: list[Range] = []
    ends = [
        row[0] for table in ("max(seq) FROM journal", "max(last) FROM batch") for row in tolerant(db, f"SELECT {table}")
    ]
    origin = begins(meta, before)
    first = origin.seq
    end = min(max(upto, *(int(one or 0) for one in ends), 0), max(upto, first) + MOST_BEHIND)
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
    words: dict[int, str] = {number: text for number, text in told if number < len(told) + torn.MOST}
    texts = [words.get(n, f"word-{n}" if n else "") for n in range(max(words, default=0) + 1)]
    notes = {row[0]: row for row in tolerant(db, "SELECT * FROM note") if fits(row, (str, int, int, str))}
    return Found(texts, meta, rows, batches, states, list(notes.values()), merged(lost), origin)


def fits(row: Stored, kinds: tuple[Any, ...], lost: list[Range] | None = None) -> bool:
    """Whether each value is of its kind; a row that has another one is added to `lost`."""
    good = all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
    if not good and lost is not None:
        lost.append(Range(row[0], row[0], "a value of another kind"))
    return good


def whole_batches(found: Found) -> tuple[dict[int, Stored], list[Range]]:
    """Batches by `first` of which every row is as it was sealed, and everything that is lost or doubtful."""
    good, doubtful = dict[int, Stored](), list[Range]()
    seals = {last: Seal(row[4], bytes(row[5])) for last, row in found.batches.items()}
    seals[found.origin.seq] = found.origin.seal
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


def begins(meta: dict[str, Any], before: recovery.Origin) -> recovery.Origin:
    """Where the damaged file begins: where it says, else where the one before ends."""
    said: Stored = tuple(meta.get(key) for key in ("prev_seq", "prev_crc", "prev_chain"))
    return recovery.Origin(said[0], Seal(*said[1:])) if fits(said, (int, int, bytes)) else before


def noted(meta: dict[str, Any], what: str) -> dict[int, int]:
    """Numbers by hall, of the keys that begin so."""
    whole = {key: value for key, value in meta.items() if isinstance(value, int)}
    return {int(key): value for key, value in twice.lower(whole, what).items() if key.isdecimal()}


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


def best_run(found: Found, good: dict[int, Stored]) -> Run | None:
    """The newest run of good batches on which every hall has a state to begin from."""
    states = [state for state in found.snapshots if intact(found, state)]
    begun = {hall: seq - 1 for hall, seq in noted(found.meta, "first:").items()}
    known = {state[0] for state in states} | begun.keys() | noted(found.meta, "published:").keys()
    sealed = {
        found.rows[seq][1]: seq for first in sorted(good, reverse=True) for seq in range(first, good[first][0] + 1)
    }
    for start, last in runs(found, good):
        chosen = [state for state in states if start <= state[2] <= last]
        halls = {state[0] for state in chosen} | {hall for hall, seq in begun.items() if seq >= start}
        needed = known | {hall for hall, seq in sealed.items() if seq <= last}
        needed -= {hall for hall, seq in begun.items() if seq >= last}
        if needed and needed <= halls:
            return Run(start, last, chosen)
    return None


def runs(found: Found, good: dict[int, Stored]) -> Iterator[tuple[int, int]]:
    """(start, last) of unbroken runs of batches, the newest first; a lone state counts as an empty run at its seq."""
    spans, begin, last = list[tuple[int, int]](), -1, -1
    for first in sorted(good):
        if first != last + 1:
            begin = first - 1
            spans.append((begin, 0))
        last = good[first][0]
        spans[-1] = (begin, last)
    lone = {state[2] for state in found.snapshots} & (found.batches.keys() | {found.origin.seq})
    yield from sorted([*spans, *((seq, seq) for seq in lone)], key=lambda span: (-span[1], span[0]))


def intact(found: Found, state: Stored) -> bool:
    """Is this snapshot as it was stored?"""
    hall, hall_seq, seq, fmt, at_ms, crc, data = state
    return 0 <= hall < len(found.words) and int(crc) == chain.snapshot_crc(
        found.words[hall], hall_seq, seq, fmt, at_ms, data
    )


def rebuild(path: Path, found: Found, good: dict[int, Stored], run: Run) -> None:
    """A journal of just this run, with the seals it had."""
    start, last, states = run
    before = found.origin
    if start != before.seq:
        before = recovery.Origin(start, Seal(found.batches[start][4], bytes(found.batches[start][5])))
    heads = {state[0]: state[1] for state in sorted(states)}
    heads |= {row[1]: row[2] for seq, row in sorted(found.rows.items()) if start < seq <= last}

    def fill(db: Connection) -> None:
        rotation.put_words(db, found.words)
        kept: dict[str, Any] = {key: found.meta[key] for key in ("month",) if key in found.meta}
        counts = {"epoch": max((batch[2] for batch in good.values()), default=0), "proj_seq": before.seq}
        kept |= {f"first:{hall}": seq for hall, seq in noted(found.meta, "first:").items() if start < seq <= last}
        # What comes in the place of lost facts has not been heard.
        heard = {hall: min(n, heads.get(hall, 0)) for hall, n in noted(found.meta, "published:").items()}
        kept |= twice.stored({**counts, **{f"published:{hall}": n for hall, n in heard.items()}})
        ends = {"prev_seq": before.seq, "prev_crc": before.seal.crc, "prev_chain": before.seal.chain}
        rotation.put_meta(db, {**kept, **ends})
        for first, batch in sorted(good.items()):
            if start < first <= last:
                rotation.put_rows(db, "batch", [batch])
                db.executemany(INSERT_ROW, [found.rows[seq] for seq in range(first, batch[0] + 1)])
        rotation.put_rows(db, "snapshot", states)
        rotation.put_rows(db, "note", found.notes)

    rotation.publish(rotation.create(path, fill))


def settle(path: Path, known: mark.Mark | None, now_ms: int) -> None:
    """An epoch above any before, and a mark for what is there."""
    with closing(engine.connect(path, isolation_level=None)) as db:
        epoch = recovery.raise_epoch(db, max(now_ms, ((known.epoch if known else 0) + 1) * 1000))
        end = recovery.end(db)
    mark.MarkFile(path.parent / mark.NAME, mark.Mark(epoch, end.seq, end.seal.chain[:8])).close()
