"""workers/report.py: reports as read models: the journal is read, never written, and what was counted is kept beside.

Short read-only statements, so that no commit waits and no checkpoint is held up. The totals lie in `DIR/report/`; the
next report counts only what came since. They can be thrown away: the journal makes them anew.
"""

import gc
import os
from collections.abc import Callable
from contextlib import closing, suppress
from operator import add
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from core import record
from core.facts import KIND_OF
from core.statistics import RANKED, Levels, confidence, posterior_above, rates, shown, shrunk, ties, wilson
from workers import engine, recovery
from workers.ports import JournalDamaged, Missing
from workers.totals import RULES, CaseLine, Cell, Counter, Key, Totals

T = TypeVar("T")
PAGE: Final = 50_000
SATISFIED: Final = 2
ATTENTION: Final = 0.95
FORMAT: Final = 1
KINDS: Final = tuple(KIND_OF[kind] for kind in RULES)
PAGE_OF: Final = (
    "SELECT j.seq, w.text, j.at_ms, j.kind, j.v, j.payload FROM journal j JOIN word w ON w.id = j.hall"  # noqa: S608 - numbers of our own table
    f" WHERE j.seq > ? AND j.seq <= ? AND j.kind IN ({', '.join(map(str, KINDS))}) ORDER BY j.seq"
)
GROUPS: Final = {"hall": (0,), "department": (0, 2), "clerk": (0, 2, 3), "service": (0, 4), "day": (0, 1)}
OF_QUEUES: Final = ("taken", "called", "waited_long", "missed")
NAMES: Final = ("hall", "day", "department", "clerk", "service")


class Period(NamedTuple):
    """Business days `first` to `last`, yyyymmdd."""

    first: int
    last: int


def period(day: str, month: str) -> Period:
    """`2026-11-23` or `2026-11`. ValueError when it is neither."""
    if bool(day) is bool(month):
        raise ValueError("give one of --day and --month")
    digits = (day or month).replace("-", "")
    if not digits.isdecimal() or len(digits) != (8 if day else 6):
        raise ValueError(f"{day or month} is no {'day' if day else 'month'}")
    return Period(int(digits), int(digits)) if day else Period(int(digits) * 100, int(digits) * 100 + 99)


# Counting.


def kept(data: Path) -> Path:
    """Where the totals lie."""
    return data / "report" / f"totals-{FORMAT}.mp"


def update(data: Path, *, fresh: bool = False) -> Totals:
    """The totals up to now: what was kept, and what came since. Blocking: for a process or thread of its own."""
    files = recovery.files(data)
    if not files:
        raise Missing(f"no journal in {data}")
    totals = Totals() if fresh else _load(data, files)
    before, counter = totals.seq, Counter(totals)
    for path in files:
        _count(path, counter)
    if totals.seq != before:
        _save(data, totals)
    return totals


def _load(data: Path, files: list[Path]) -> Totals:
    """What was kept, if the journal still goes on from there: a restored copy begins anew."""
    try:
        totals = _quietly(lambda: msgspec.msgpack.decode(kept(data).read_bytes(), type=Totals))
    except (OSError, msgspec.MsgspecError):
        return Totals()
    for path in files:
        with closing(engine.reader(path)) as db:
            row = db.execute("SELECT at_ms FROM journal WHERE seq = ?", (totals.seq,)).fetchone()
            if row is not None:
                return totals if row[0] == totals.at_ms else Totals()
    return Totals()


def _quietly(job: Callable[[], T]) -> T:
    """Without the collector walking over a million young objects that all stay."""
    gc.disable()
    try:
        return job()
    finally:
        gc.enable()


def _save(data: Path, totals: Totals) -> None:
    """Kept where the directory can be written; a report needs no more than to read."""
    path = kept(data)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(msgspec.msgpack.encode(totals))
        part.replace(path)


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


# Rows.


class Line(msgspec.Struct):
    """One row of a report: counts, and every rate as numerator and denominator. `low`, `high`: of the good share."""

    hall: str = ""
    day: int = 0
    department: str = ""
    clerk: str = ""
    service: str = ""
    served: int = 0
    wait_s: int = 0
    handling_s: int = 0
    evaluable: int = 0
    shown: int = 0
    n5: int = 0
    n4: int = 0
    n3: int = 0
    n2: int = 0
    n1: int = 0
    defaulted: int = 0
    excluded: int = 0
    late: int = 0
    rated_num: int = 0
    rated_den: int = 0
    good_num: int = 0
    good_den: int = 0
    bad_num: int = 0
    bad_den: int = 0
    satisfaction_num: int = 0
    satisfaction_den: int = 0
    good_low: float = 0.0
    good_high: float = 1.0
    good_shown: float = 0.0
    sample: str = ""
    rank: int = 0
    taken: int = 0
    called: int = 0
    waited_long: int = 0
    missed: int = 0
    cases: int = 0
    revisit_num: int = 0
    revisit_den: int = 0
    in_time_num: int = 0
    in_time_den: int = 0
    covered_num: int = 0
    covered_den: int = 0
    good_with_defaults_num: int = 0
    good_with_defaults_den: int = 0
    replied_num: int = 0
    replied_den: int = 0
    revisit_rectified_num: int = 0
    revisit_rectified_den: int = 0
    revisit_satisfied_num: int = 0
    revisit_satisfied_den: int = 0
    appeal_num: int = 0
    appeal_den: int = 0
    attention: bool = False


class Report(msgspec.Struct):
    """The document of `report --format json`."""

    v: int
    first: int
    last: int
    by: str
    seq: int
    lines: list[Line]


def report(totals: Totals, span: Period, by: str, *, hall: str = "", public: bool = False) -> Report:
    """The lines of a period, grouped; `public` leaves out cells in which somebody could be recognised."""
    groups: dict[tuple[str | int, ...], Cell] = {}
    where = GROUPS[by]
    for name, found in totals.halls.items():
        for key, cell in zip(found.keys, found.cells, strict=True):
            if span.first <= key[1] <= span.last and hall in ("", name):
                group = tuple(key[at] for at in where)
                groups[group] = _sum(groups.get(group), cell)
    cases = _cases(totals, span, by, hall)
    prior = _prior(groups.values())
    lines = [_line(where, group, cell, prior, cases.get(group, [])) for group, cell in sorted(groups.items())]
    if by == "service":
        lines = [line for line in lines if line.service]
    if by in ("hall", "day"):
        _cover(totals, span, lines, by)
    if by in ("clerk", "department"):
        lines = [line for line in lines if line.clerk or (by == "department" and line.department)]
        _rank(lines)
    if public:
        lines = [_suppressed(line) for line in lines]
    return Report(1, span.first, span.last, by, totals.seq, lines)


def _sum(known: Cell | None, cell: Cell) -> Cell:
    """Written out: a report by clerk adds a hundred thousand cells."""
    if known is None:
        known = Cell()
    known.served += cell.served
    known.waited_ms += cell.waited_ms
    known.handled_ms += cell.handled_ms
    known.evaluable += cell.evaluable
    known.shown += cell.shown
    known.defaulted += cell.defaulted
    known.excluded += cell.excluded
    known.upheld += cell.upheld
    known.late += cell.late
    known.taken += cell.taken
    known.called += cell.called
    known.waited_long += cell.waited_long
    known.missed += cell.missed
    known.n = list(map(add, known.n, cell.n))
    known.private = list(map(add, known.private, cell.private))
    return known


def _prior(cells: Any) -> float:
    """The good share of all of them together."""
    totals = [sum(column) for column in zip(*(cell.n for cell in cells), strict=True)] or [0] * 5
    return sum(totals[2:]) / sum(totals) if sum(totals) else 1.0


def _cases(totals: Totals, span: Period, by: str, hall: str) -> dict[tuple[str | int, ...], list[CaseLine]]:
    found: dict[tuple[str | int, ...], list[CaseLine]] = {}
    if by == "service":
        return found
    for name, one in totals.halls.items():
        for case in one.cases.values():
            if span.first <= case.day <= span.last and hall in ("", name):
                key: Key = (name, case.day, case.department, case.staff, "")
                found.setdefault(tuple(key[at] for at in GROUPS[by]), []).append(case)
    return found


def _line(
    where: tuple[int, ...], group: tuple[str | int, ...], cell: Cell, prior: float, cases: list[CaseLine]
) -> Line:
    names: dict[str, Any] = {NAMES[at]: value for at, value in zip(where, group, strict=True)}
    n1, n2, n3, n4, n5 = cell.n
    found = rates(Levels((n1, n2, n3, n4, n5), cell.evaluable, cell.defaulted))
    good, active = found["good"]
    low, high = wilson(good, active)
    told = _followed(cases)
    told["attention"] = posterior_above(n1 + n2, active, 2 * (1 - prior), 1 - prior) > ATTENTION
    told |= dict(zip(("n1", "n2", "n3", "n4", "n5"), cell.n, strict=True))
    for name in ("rated", "good", "bad", "satisfaction", "good_with_defaults"):
        told[f"{name}_num"], told[f"{name}_den"] = found[name]
    for name in ("served", "evaluable", "shown", "defaulted", "excluded", "late", *OF_QUEUES):
        told[name] = getattr(cell, name)
    return Line(
        **names,
        **told,
        wait_s=cell.waited_ms // max(1, cell.served) // 1000,
        handling_s=cell.handled_ms // max(1, cell.served) // 1000,
        good_low=round(low, 4),
        good_high=round(high, 4),
        good_shown=round(shrunk(good, active, prior), 4),
        sample=confidence(active),
        appeal_num=cell.excluded,
        appeal_den=cell.excluded + cell.upheld,
    )


def _followed(cases: list[CaseLine]) -> dict[str, Any]:
    """The rates of follow-up: replied, revisited, put right, satisfied with it, in time."""
    bad = [case for case in cases if case.kind == "bad_review"]
    owed = [case for case in bad if case.real_name]
    seen = [case for case in cases if case.revisited]
    found_true = [case for case in seen if case.verdict == "substantiated"]
    put_right = [case for case in seen if case.rectified]
    stages = sum(case.stages for case in cases)
    shares = {
        "replied": (sum(case.replied for case in bad), len(bad)),
        "revisit": (sum(case.revisited for case in owed), len(owed)),
        "revisit_rectified": (sum(case.rectified for case in found_true), len(found_true)),
        "revisit_satisfied": (sum(case.satisfaction >= SATISFIED for case in put_right), len(put_right)),
        "in_time": (stages - sum(case.late for case in cases), stages),
    }
    told = {f"{name}_{part}": share[at] for name, share in shares.items() for at, part in enumerate(("num", "den"))}
    return {"cases": len(cases), **told}


def _cover(totals: Totals, span: Period, lines: list[Line], by: str) -> None:
    """Staffed and rostered counter seconds in opening hours."""
    for line in lines:
        for day, (staffed_ms, rostered_ms) in totals.halls[line.hall].coverage.items():
            if span.first <= day <= span.last and (by == "hall" or day == line.day):
                line.covered_num += staffed_ms // 1000
                line.covered_den += rostered_ms // 1000


def _rank(lines: list[Line]) -> None:
    """Award places for those with enough ratings; overlapping intervals share one."""
    enough = {f"{at}": line for at, line in enumerate(lines) if line.good_den >= RANKED}
    for one in ties((name, line.good_num, line.good_den) for name, line in enough.items()):
        enough[one.subject].rank = one.rank


def _suppressed(line: Line) -> Line:
    """Small counts of ratings become -1, and with them what they could be worked out from."""
    levels = {name: getattr(line, name) for name in ("n1", "n2", "n3", "n4", "n5", "bad_num")}
    if all(shown(count) is not None for count in levels.values()):
        return line
    hidden = {name: -1 for name, count in levels.items() if shown(count) is None}
    return msgspec.structs.replace(line, **hidden, good_num=-1, satisfaction_num=-1, good_low=0.0, good_high=1.0)
