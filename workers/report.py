"""workers/report.py: the lines of a report out of the totals: rates, shrinkage, places, observed against expected.

Nothing is read here but the totals (`workers/counting.py`); a rate keeps its numerator and denominator.
"""

from collections.abc import Iterator, Mapping
from operator import add
from typing import Any, Final, NamedTuple

import msgspec

from core.statistics import (
    RANKED,
    TOO_FEW,
    Levels,
    confidence,
    discoveries,
    poisson_at_least,
    posterior_above,
    rates,
    shown,
    shrunk,
    ties,
    wilson,
)
from workers import follow_up, records
from workers.follow_up import CaseLine
from workers.mix import PPM
from workers.totals import Cell, Key, Totals

ATTENTION: Final = 0.95
GROUPS: Final = {"hall": (0,), "department": (0, 2), "clerk": (0, 2, 3), "service": (0, 4), "day": (0, 1)}
OF_QUEUES: Final = ("taken", "called", "waited_long", "missed", "assisted", "diverted", "early", "cusum")
LEVELS: Final = ("n1", "n2", "n3", "n4", "n5")
COUNTS: Final = (*LEVELS, "bad_num", "bad_den", "satisfaction_num", "satisfaction_den")
CLERK: Final = 3
EVERYBODY: Final[Mapping[str, str]] = {}
NAMES: Final = ("hall", "day", "department", "clerk", "service")


class Period(NamedTuple):
    """Business days `first` to `last`, yyyymmdd."""

    first: int
    last: int


def period(day: str, month: str, first: str = "", last: str = "") -> Period:
    """`2026-11-23`, or `2026-11`, or from one day to another. ValueError when it is none of them."""
    if first and last and not day and not month:
        span = Period(period(first, "").first, period(last, "").last)
        if span.first > span.last:
            raise ValueError(f"{first} lies after {last}")
        return span
    if bool(day) is bool(month) or first or last:
        raise ValueError("give one of --day, --month, and --first with --last")
    digits = (day or month).replace("-", "")
    if not digits.isdecimal() or len(digits) != (8 if day else 6):
        raise ValueError(f"{day or month} is no {'day' if day else 'month'}")
    return Period(int(digits), int(digits)) if day else Period(int(digits) * 100, int(digits) * 100 + 99)


class Line(msgspec.Struct):
    """One row of a report: counts, and every rate as numerator and denominator. `low`, `high`: of the good share.

    `bad_ratio`: bad ratings against those that service, waiting and hour let expect; `worse`: more than chance gives,
    over the lines at most a tenth of them false. `handling_ewma_s`: a clerk's moving handling time at the end.
    """

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
    handling_ewma_s: int = 0
    assisted: int = 0
    diverted: int = 0
    early: int = 0
    early_expected: float = 0.0
    bad_expected: float = 0.0
    bad_ratio: float = 0.0
    worse: bool = False
    cusum: int = 0


class Report(msgspec.Struct):
    """What was asked for, in order."""

    by: str
    lines: list[Line]


def report(
    totals: Totals, span: Period, by: str, *, public: bool = False, only: Mapping[str, str] = EVERYBODY
) -> Report:
    """The lines of a period, grouped. `only`: of this hall, department, clerk, service; "" is all.

    Places are among the clerks of the hall or department asked for; what is usual is that of everybody of a hall and
    service. `public` leaves out cells in which somebody could be recognised.
    """
    where = GROUPS[by]
    wanted = [(NAMES.index(name), value) for name, value in only.items() if value]
    early = [one for one in wanted if one[0] < CLERK or one[0] not in where]
    groups: dict[tuple[str | int, ...], Cell] = {}
    rated: dict[tuple[str | int, ...], dict[str, int]] = {}
    sums: dict[tuple[str, str], list[int]] = {}
    for key, cell in _of(totals, span):
        active = sum(cell.n)
        if active:
            of = sums.setdefault((key[0], key[4]), [0, 0])
            of[0] += active - cell.n[0] - cell.n[1]
            of[1] += active
        if early and not all(key[at] == value for at, value in early):
            continue
        group = tuple([key[at] for at in where])
        groups[group] = _sum(groups.get(group), cell)
        if active:
            services = rated.setdefault(group, {})
            services[key[4]] = services.get(key[4], 0) + active
    good = {group: sum(n * sums[str(group[0]), one][0] / sums[str(group[0]), one][1] for one, n in services.items())
            for group, services in rated.items()}  # fmt: skip
    cases = _cases(totals, span, by, early)
    lines = [
        _line(where, group, cell, good.get(group, 0.0), cases.get(group, [])) for group, cell in sorted(groups.items())
    ]
    if by == "service":
        lines = [line for line in lines if line.service]
    if by in ("hall", "day") and not any(at for at, _ in wanted):
        _cover(totals, span, lines, by)
    if by in ("clerk", "department"):
        lines = [line for line in lines if line.clerk or (by == "department" and line.department)]
        _rank(lines)
    _compare(lines, groups, where)
    lines = [line for line in lines if all(getattr(line, NAMES[at]) in (value, 0, "") for at, value in wanted)]
    if public:
        lines = [_suppressed(line) for line in lines]
    return Report(by, lines)


def _of(totals: Totals, span: Period) -> Iterator[tuple[Key, Cell]]:
    """Every cell of a period."""
    for found in totals.halls.values():
        for key, cell in zip(found.keys, found.cells, strict=True):
            if span.first <= key[1] <= span.last:
                yield key, cell


def _sum(known: Cell | None, cell: Cell) -> Cell:
    """Written out: a report by clerk adds half a million cells. What belongs to no clerk stands in cells of its own."""
    if known is None:
        known = Cell()
    if cell.evaluable or cell.served:
        known.served += cell.served
        known.waited_ms += cell.waited_ms
        known.handled_ms += cell.handled_ms
        known.evaluable += cell.evaluable
        known.shown += cell.shown
        known.early += cell.early
        known.early_ppm += cell.early_ppm
        if cell.paced_ms > known.paced_ms:
            known.paced_ms, known.pace_ms = cell.paced_ms, cell.pace_ms
    else:
        known.taken += cell.taken
        known.called += cell.called
        known.waited_long += cell.waited_long
        known.missed += cell.missed
        known.assisted += cell.assisted
        known.diverted += cell.diverted
    known.n = list(map(add, known.n, cell.n))
    known.bad_ppm += cell.bad_ppm
    known.defaulted += cell.defaulted
    known.excluded += cell.excluded
    known.upheld += cell.upheld
    known.late += cell.late
    known.cusum += cell.cusum
    return known


def _cases(
    totals: Totals, span: Period, by: str, wanted: list[tuple[int, str]]
) -> dict[tuple[str | int, ...], list[CaseLine]]:
    found: dict[tuple[str | int, ...], list[CaseLine]] = {}
    if by == "service":
        return found
    for name, one in totals.halls.items():
        for case in one.cases.values():
            key: Key = (name, case.day, case.department, case.staff, "")
            if span.first <= case.day <= span.last and all(key[at] == value for at, value in wanted):
                found.setdefault(tuple(key[at] for at in GROUPS[by]), []).append(case)
    return found


def _line(
    where: tuple[int, ...], group: tuple[str | int, ...], cell: Cell, usual: float, cases: list[CaseLine]
) -> Line:
    names: dict[str, Any] = {NAMES[at]: value for at, value in zip(where, group, strict=True)}
    n1, n2, n3, n4, n5 = cell.n
    found = rates(Levels((n1, n2, n3, n4, n5), cell.evaluable, cell.defaulted))
    good, active = found["good"]
    low, high = wilson(good, active)
    prior = usual / active if active else 1.0
    told = follow_up.rates(cases)
    told["attention"] = n1 + n2 > 0 and posterior_above(n1 + n2, active, 2 * (1 - prior), 1 - prior) > ATTENTION
    told |= dict(zip(LEVELS, cell.n, strict=True))
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
        handling_ewma_s=cell.pace_ms // 1000 if CLERK in where else 0,
        early_expected=round(cell.early_ppm / PPM, 2),
        bad_expected=round(cell.bad_ppm / PPM, 2),
        bad_ratio=round((n1 + n2) * PPM / cell.bad_ppm, 2) if cell.bad_ppm > 0 else 0.0,
    )


def _compare(lines: list[Line], groups: dict[tuple[str | int, ...], Cell], where: tuple[int, ...]) -> None:
    """Who has more bad ratings than the same work brings others, false discoveries controlled. Not of a few ratings."""
    lines = [line for line in lines if line.good_den >= TOO_FEW]
    cells = [groups[tuple(getattr(line, NAMES[at]) for at in where)] for line in lines]
    bad = [cell.n[0] + cell.n[1] for cell in cells]
    chances = [poisson_at_least(num, max(1, cell.bad_ppm) / PPM) for num, cell in zip(bad, cells, strict=True)]
    for line, worse in zip(lines, discoveries(chances) if chances else [], strict=True):
        line.worse = worse


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


def _small(told: "Line | ProfileLine") -> dict[str, int]:
    """The counts of ratings to hide, as -1. One level alone would be the total less the others: all go."""
    levels = {name: getattr(told, name) for name in LEVELS}
    hidden = [name for name, count in {**levels, "bad_num": told.bad_num}.items() if shown(count) is None]
    return dict.fromkeys((*LEVELS, "satisfaction_num", *hidden), -1) if hidden else {}


def _suppressed(line: Line) -> Line:
    """Small counts of ratings become -1, and with them what they could be worked out from: the good, the expected,
    marks that compare, and follow-up, for each bad rating opens a case."""
    hidden = _small(line)
    if not hidden:
        return line
    hidden |= dict.fromkeys(("good_num", "good_with_defaults_num", "cases"), -1)
    hidden |= {f"{name}_{part}": -1 for name in follow_up.SHARES for part in ("num", "den")}
    line = msgspec.structs.replace(line, **hidden, good_low=0.0, good_high=1.0, good_shown=0.0)
    return msgspec.structs.replace(line, attention=False, bad_expected=0.0, bad_ratio=0.0, worse=False, cusum=0)


def on_record(totals: Totals, span: Period, *, hall: str = "") -> list[records.RecordLine]:
    """What is on record beside the queues: zones, facilities, volunteers, diversions, help, inspections."""
    found: list[records.RecordLine] = []
    for name, one in totals.halls.items():
        if hall in ("", name):
            days = [entry for entry in one.records.values() if span.first <= entry.day <= span.last]
            found += records.lines(name, days)
    return found


def stars(found: Report) -> list[Line]:
    """The service-star list (服务明星): who has enough ratings, by place; ties share one."""
    return sorted((line for line in found.lines if line.rank), key=lambda line: (line.rank, -line.good_low, line.clerk))


class ProfileLine(msgspec.Struct):
    """Ratings by what a device can say: mean levels are compared inside one profile only. "": no profile is known."""

    hall: str
    profile: str
    n5: int
    n4: int
    n3: int
    n2: int
    n1: int
    bad_num: int
    bad_den: int
    satisfaction_num: int
    satisfaction_den: int


def by_profile(totals: Totals, span: Period, *, hall: str = "", public: bool = False) -> list[ProfileLine]:
    """Levels given at devices, by hall and profile. `public` hides small counts, and all those of few devices: one
    device is one clerk."""
    sums: dict[tuple[str, str], list[int]] = {}
    devices: dict[tuple[str, str], set[str]] = {}
    for name, one in totals.halls.items():
        for device, days in one.given.items() if hall in ("", name) else ():
            of = name, one.profiles.get(device, "")
            for day, n in days.items():
                if span.first <= day <= span.last:
                    sums[of] = list(map(add, sums.get(of) or [0] * 5, n))
                    devices.setdefault(of, set()).add(device)
    found = {of: _profile_line(*of, (n[0], n[1], n[2], n[3], n[4])) for of, n in sorted(sums.items())}
    if not public:
        return list(found.values())
    return [
        msgspec.structs.replace(one, **(_small(one) if shown(len(devices[of])) else dict.fromkeys(COUNTS, -1)))
        for of, one in found.items()
    ]


def _profile_line(hall: str, profile: str, n: tuple[int, int, int, int, int]) -> ProfileLine:
    n1, n2, n3, n4, n5 = n
    bad, satisfaction = rates(Levels(n))["bad"], rates(Levels(n))["satisfaction"]
    return ProfileLine(hall, profile, n5, n4, n3, n2, n1, bad.num, bad.den, satisfaction.num, satisfaction.den)
