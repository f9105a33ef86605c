"""workers/totals.py: what a report is made of, counted fact by fact: cells by hall, day, department, clerk, service.

Incremental: a fact is counted once, in journal order. A rating is counted in the cell of its serving, so that every
numerator stands over its own denominator. Nothing here decides. What is not of one serving is counted beside:
`workers/mix.py` (what is usual for a service), `workers/rhythm.py` (devices by day), `workers/records.py`.
"""

from collections.abc import Callable, Iterator
from math import exp
from typing import Final

import msgspec

from core.fact import Fact
from core.facts import (
    CaseOpened,
    DayClosed,
    DayOpened,
    DeviceRegistered,
    EvaluationDefaulted,
    EvaluationOpened,
    EvaluationRejected,
    EvaluationShown,
    EvaluationSubmitted,
    PolicyChanged,
    StaffSignedOff,
    StaffSignedOn,
)
from core.facts_cases import (
    EvaluationExcluded,
    EvaluationUpheld,
    FindingRaised,
    QueueDiverted,
)
from core.facts_tickets import ServingFinished, TicketCalled, TicketMissed, TicketRecalled, TicketTaken
from core.statistics import smoothed
from workers import follow_up, records, rhythm
from workers.follow_up import CaseLine
from workers.mix import Mix
from workers.records import Record
from workers.rhythm import DayMark

Key = tuple[str, int, str, str, str]  # hall, day, department, clerk, service
PRIVATE: Final = ("qr", "sms", "web", "hotline", "paper")
COUNTER_SIDE: Final = ("device", "pad")
BAD: Final = 2
KEPT_DAYS: Final = 70  # a window of 60 days, and the days to appeal
SLOW_MS: Final = 900_000
WAITS_MS: Final = (300_000, 900_000, 1_800_000)
HOUR_MS: Final = 3_600_000
ASKED: Final = 15  # of each class of waiting, then of who was called again: could be rated, was asked, has rated
AGAIN: Final = 4
LEVEL, WAIT, SHOWN, RECALLED, STRATUM, CELL = 7, 3, 1 << 5, 1 << 6, 7, 16  # bits of a value of `calls`


class Cell(msgspec.Struct, array_like=True):
    """One cell. `n`: active ratings of level 1-5; `private`: good and all of those given away from the counter.

    `early`: servings shorter than the shortest hundredth of the service, `early_ppm` as many as were to be expected;
    `bad_ppm`: bad ratings to be expected; `pace_ms`: the clerk's moving handling time, as of `paced_ms`.
    """

    served: int = 0
    waited_ms: int = 0
    handled_ms: int = 0
    evaluable: int = 0
    shown: int = 0
    n: list[int] = msgspec.field(default_factory=lambda: [0] * 5)
    defaulted: int = 0
    excluded: int = 0
    upheld: int = 0
    late: int = 0
    private: list[int] = msgspec.field(default_factory=lambda: [0, 0])
    taken: int = 0
    called: int = 0
    waited_long: int = 0
    missed: int = 0
    assisted: int = 0
    diverted: int = 0
    early: int = 0
    early_ppm: int = 0
    bad_ppm: int = 0
    paced_ms: int = 0
    pace_ms: int = 0
    cusum: int = 0
    asked: list[int] = msgspec.field(default_factory=lambda: [0] * ASKED)


class HallTotals(msgspec.Struct, array_like=True):
    """One hall. `calls`: of each serving that may still be rated, cell, stratum, whether shown, wait and level.

    `times`: today's ratings of each device, UTC ms; `given`: its levels by day; `marks`: what its rhythm showed on days
    that are closed; `paces`: of each clerk, the moving average of the logarithm of handling times; `zones`: of each
    service, where its people wait (code, seats, people a ticket in ppm).
    """

    day: int = 0
    cells: list[Cell] = []
    keys: list[Key] = []
    calls: dict[int, int] = {}
    days: list[tuple[int, int]] = []
    cases: dict[int, CaseLine] = {}
    channels: dict[str, list[int]] = {}
    rejected: dict[str, int] = {}
    seated: dict[int, tuple[str, int]] = {}
    rostered: list[int] = []
    periods: list[tuple[int, int]] = []
    coverage: dict[int, list[int]] = {}
    services: dict[int, str] = {}
    waits: dict[int, int] = {}
    recalled: dict[int, int] = {}
    day_start_ms: int = 0
    closed: int = 0
    mixes: dict[str, Mix] = {}
    paces: dict[str, float] = {}
    profiles: dict[str, str] = {}
    times: dict[str, list[int]] = {}
    given: dict[str, dict[int, list[int]]] = {}
    marks: list[DayMark] = []
    records: dict[str, Record] = {}
    zones: dict[str, tuple[str, int, int]] = {}


class Totals(msgspec.Struct, array_like=True):
    """All halls, up to and with journal row `seq`, which was stamped `at_ms`; days before `since` are forgotten."""

    seq: int = 0
    at_ms: int = 0
    halls: dict[str, HallTotals] = {}
    since: int = 0


def forget(totals: Totals) -> int:
    """What days before `since` counted goes. How many days, over all halls."""
    return sum(_forget(hall, totals.since) for hall in totals.halls.values())


def _forget(hall: HallTotals, since: int) -> int:
    """Every day has a cell. Servings, which may still be rated, keep the number of theirs, as it is now."""
    days = {key[1] for key in hall.keys if key[1] < since}
    if days:
        left = [at for at, key in enumerate(hall.keys) if key[1] >= since]
        place = {at: number for number, at in enumerate(left)}
        hall.cells, hall.keys = [hall.cells[at] for at in left], [hall.keys[at] for at in left]
        calls = [(call, divmod(known, 1 << CELL)) for call, known in hall.calls.items()]
        hall.calls = {call: place[at] << CELL | rest for call, (at, rest) in calls if at in place}
        hall.cases = {case: line for case, line in hall.cases.items() if line.day >= since}
        hall.coverage = {day: times for day, times in hall.coverage.items() if day >= since}
        hall.records = {name: one for name, one in hall.records.items() if one.day >= since}
        rhythm.forget(hall.marks, hall.given, since)
    return len(days)


def _today(hall: HallTotals) -> Iterator[tuple[int, Key]]:
    """Only those of today are looked for by their key, and they are the last."""
    for at in range(len(hall.keys) - 1, -1, -1):
        if hall.keys[at][1] != hall.day:
            return
        yield at, hall.keys[at]


class Counter:
    """Counts facts into totals; finds a cell by its key."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self._cells = {key: at for hall in totals.halls.values() for at, key in _today(hall)}

    def note(self, hall: str, fact: Fact, at_ms: int) -> None:
        """One fact; what no report tells is passed over."""
        kind = type(fact)
        if kind not in COUNTED:
            return
        totals = self.totals.halls.get(hall)
        if totals is None:
            totals = self.totals.halls[hall] = HallTotals()
        if kind in RULES:
            RULES[kind](self, hall, totals, fact, at_ms)
        # Of a case whose day is forgotten nothing is counted any more.
        if kind in follow_up.RULES and (kind is CaseOpened or getattr(fact, "case", 0) in totals.cases):
            follow_up.RULES[kind](totals.cases, totals.day, fact)
        if kind in records.RULES:
            records.RULES[kind](totals.records, totals.day, at_ms, fact)

    def cell(self, hall: str, totals: HallTotals, department: str, staff: str, service: str) -> int:
        """The number of today's cell, made when first needed."""
        key = (hall, totals.day, department, staff, service)
        at = self._cells.get(key)
        if at is None:
            at = self._cells[key] = len(totals.cells)
            totals.cells.append(Cell())
            totals.keys.append(key)
        return at

    def _of(self, hall: str, totals: HallTotals, service: str) -> Cell:
        """What belongs to a service and to no clerk."""
        return totals.cells[self.cell(hall, totals, "", "", service)]

    def day_opened(self, hall: str, totals: HallTotals, fact: DayOpened, at_ms: int) -> None:
        """A new day: servings that can no longer be rated or appealed are forgotten."""
        if fact.day not in totals.coverage:
            totals.coverage[fact.day] = [0, len(totals.rostered) * sum(end - begin for begin, end in fact.periods)]
        totals.day, totals.periods, totals.day_start_ms = fact.day, list(fact.periods), fact.day_start_ms
        totals.recalled = {}
        for mix in totals.mixes.values():
            mix.settle()
        self.cell(hall, totals, "", "", "")  # a day on which nobody came has its line
        if not totals.days or totals.days[-1][0] != fact.day:
            totals.days.append((fact.day, max(totals.calls, default=0)))
            totals.services = {}
        if len(totals.days) > KEPT_DAYS:
            oldest = totals.days.pop(0)[1]
            for call in [call for call in totals.calls if call <= oldest]:
                del totals.calls[call]
            rhythm.forget(totals.marks, totals.given, totals.days[0][0])

    def taken(self, hall: str, totals: HallTotals, fact: TicketTaken, at_ms: int) -> None:
        totals.services[fact.ticket] = fact.service
        cell = self._of(hall, totals, fact.service)
        cell.taken += 1
        cell.assisted += fact.origin == "guide" or bool(fact.assisted_by)

    def diverted(self, hall: str, totals: HallTotals, fact: QueueDiverted, at_ms: int) -> None:
        self._of(hall, totals, fact.from_service).diverted += fact.count

    def called(self, hall: str, totals: HallTotals, fact: TicketCalled, at_ms: int) -> None:
        totals.services[fact.ticket] = fact.service
        if fact.first:
            cell = self._of(hall, totals, fact.service)
            cell.called += 1
            cell.waited_long += fact.waited_ms > SLOW_MS
            if fact.service in totals.zones:
                records.waited(totals.records, totals.day, at_ms, fact.waited_ms, totals.zones[fact.service])

    def missed(self, hall: str, totals: HallTotals, fact: TicketMissed, at_ms: int) -> None:
        self._of(hall, totals, totals.services.get(fact.ticket, "")).missed += 1

    def recalled(self, hall: str, totals: HallTotals, fact: TicketRecalled, at_ms: int) -> None:
        totals.recalled[fact.call] = RECALLED

    def finished(self, hall: str, totals: HallTotals, fact: ServingFinished, at_ms: int) -> None:
        """A serving, against what is usual for its service until yesterday."""
        cell = totals.cells[self.cell(hall, totals, fact.department, fact.staff, fact.service)]
        cell.served += 1
        cell.waited_ms += fact.waited_ms
        cell.handled_ms += fact.handling_ms
        mix = totals.mixes.get(fact.service)
        if mix is None:
            mix = totals.mixes[fact.service] = Mix()
        cell.early += fact.handling_ms < mix.early_ms
        cell.early_ppm += mix.early_ppm
        hour = min(23, max(0, (at_ms - totals.day_start_ms) // HOUR_MS))
        stratum = mix.serve(fact.waited_ms, fact.handling_ms) * 24 + hour
        wait = sum(fact.waited_ms >= limit for limit in WAITS_MS)
        totals.waits[fact.call] = stratum << STRATUM | totals.recalled.pop(fact.call, 0) | wait << WAIT
        pace = totals.paces[fact.staff] = smoothed(totals.paces.get(fact.staff), fact.handling_ms)
        cell.paced_ms, cell.pace_ms = at_ms, round(exp(pace))

    def opened(self, hall: str, totals: HallTotals, fact: EvaluationOpened, at_ms: int) -> None:
        at = self.cell(hall, totals, fact.department, fact.staff, fact.service)
        totals.cells[at].evaluable += 1
        call = totals.calls[fact.call] = at << CELL | totals.waits.pop(fact.call, 0)
        _ask(totals.cells[at], call, 0)

    def shown(self, hall: str, totals: HallTotals, fact: EvaluationShown, at_ms: int) -> None:
        call = totals.calls.get(fact.call)
        if call is not None and not call & SHOWN:
            totals.calls[fact.call] = call | SHOWN
            cell = totals.cells[call >> CELL]
            cell.shown += 1
            _ask(cell, call, 1)

    def submitted(self, hall: str, totals: HallTotals, fact: EvaluationSubmitted, at_ms: int) -> None:
        """One rating; where its opening was erased, in the cell of today."""
        known = totals.calls.get(fact.call)
        if known is None:
            known = self.cell(hall, totals, fact.department, fact.staff, fact.service) << CELL
        cell = totals.cells[known >> CELL]
        cell.n[fact.level - 1] += 1
        cell.late += fact.late
        _ask(cell, known, 2)
        mix = totals.mixes.get(fact.service)
        if mix is not None:
            cell.bad_ppm += mix.rate(known >> STRATUM & 511, fact.level <= BAD)
        totals.calls[fact.call] = known | fact.level
        totals.channels.setdefault(fact.channel, [0] * 5)[fact.level - 1] += 1
        if fact.channel in PRIVATE:
            cell.private[0] += fact.level > BAD
            cell.private[1] += 1
        elif fact.device:
            days = totals.given.setdefault(fact.device, {})
            days.setdefault(totals.day, [0] * 5)[fact.level - 1] += 1
            if fact.channel in COUNTER_SIDE:
                totals.times.setdefault(fact.device, []).append(at_ms)

    def found(self, hall: str, totals: HallTotals, fact: FindingRaised, at_ms: int) -> None:
        """A clerk's run of bad ratings, counted with the rating that completed it."""
        call = totals.calls.get(fact.evidence[0]) if fact.evidence else None
        if call is not None and fact.rule == "CUSUM" and fact.subject.startswith("staff-"):
            totals.cells[call >> CELL].cusum += 1

    def rejected(self, hall: str, totals: HallTotals, fact: EvaluationRejected, at_ms: int) -> None:
        key = f"{fact.reason}:{fact.level}"
        totals.rejected[key] = totals.rejected.get(key, 0) + 1

    def defaulted(self, hall: str, totals: HallTotals, fact: EvaluationDefaulted, at_ms: int) -> None:
        at = totals.calls.get(fact.call)
        if at is not None:
            totals.cells[at >> CELL].defaulted += 1

    def excluded(self, hall: str, totals: HallTotals, fact: EvaluationExcluded, at_ms: int) -> None:
        """Out of the active ratings, counted apart."""
        at = totals.calls.get(fact.call)
        if at is not None and at & LEVEL:
            cell = totals.cells[at >> CELL]
            cell.n[(at & LEVEL) - 1] -= 1
            cell.excluded += 1
            mix = totals.mixes.get(totals.keys[at >> CELL][4])
            if mix is not None:
                cell.bad_ppm -= mix.take_back(at >> STRATUM & 511, at & LEVEL <= BAD)

    def upheld(self, hall: str, totals: HallTotals, fact: EvaluationUpheld, at_ms: int) -> None:
        at = totals.calls.get(fact.call)
        if at is not None:
            totals.cells[at >> CELL].upheld += 1

    # Who sat where.

    def signed_on(self, hall: str, totals: HallTotals, fact: StaffSignedOn, at_ms: int) -> None:
        totals.seated[fact.counter] = (fact.staff, at_ms)

    def day_closed(self, hall: str, totals: HallTotals, fact: DayClosed, at_ms: int) -> None:
        """The rhythms of the day are looked at; who sits on overnight has sat until now."""
        totals.marks += rhythm.of_day(fact.day, totals.times, totals.periods)
        totals.times, totals.closed = {}, fact.day
        for counter, (staff, since_ms) in totals.seated.items():
            self._seated(totals, counter, since_ms, at_ms)
            totals.seated[counter] = (staff, at_ms)

    def policy_changed(self, hall: str, totals: HallTotals, fact: PolicyChanged, at_ms: int) -> None:
        """Which counters are to be staffed, from the next day on; where people wait."""
        zones = {zone.code: (zone.code, zone.seats, zone.party_ppm) for zone in fact.policy.zones}
        totals.zones = {part.code: zones[part.zone] for part in fact.policy.services if part.zone in zones}
        totals.rostered = [part.no for part in fact.policy.counters if part.rostered]
        totals.profiles.update({part.id: part.profile for part in fact.policy.devices})

    def registered(self, hall: str, totals: HallTotals, fact: DeviceRegistered, at_ms: int) -> None:
        totals.profiles[fact.device] = fact.profile

    def _seated(self, totals: HallTotals, counter: int, since_ms: int, at_ms: int) -> None:
        """Staffed time inside opening periods, of a counter that is on the roster (窗口在岗率)."""
        if counter in totals.rostered and totals.day in totals.coverage:
            inside = [max(0, min(end, at_ms) - max(begin, since_ms)) for begin, end in totals.periods]
            totals.coverage[totals.day][0] += sum(inside)

    def signed_off(self, hall: str, totals: HallTotals, fact: StaffSignedOff, at_ms: int) -> None:
        _, since_ms = totals.seated.pop(fact.counter, (fact.staff, at_ms))
        self._seated(totals, fact.counter, since_ms, at_ms)


def _ask(cell: Cell, call: int, column: int) -> None:
    """One more that could be rated, was asked, or has rated: by how long they waited, and of those called again."""
    cell.asked[(call >> WAIT & 3) * 3 + column] += 1
    if call & RECALLED:
        cell.asked[AGAIN * 3 + column] += 1


RULES: Final[dict[type[Fact], Callable[..., None]]] = {
    DayOpened: Counter.day_opened,
    TicketTaken: Counter.taken,
    TicketCalled: Counter.called,
    TicketMissed: Counter.missed,
    TicketRecalled: Counter.recalled,
    QueueDiverted: Counter.diverted,
    ServingFinished: Counter.finished,
    EvaluationOpened: Counter.opened,
    EvaluationShown: Counter.shown,
    EvaluationSubmitted: Counter.submitted,
    EvaluationRejected: Counter.rejected,
    EvaluationDefaulted: Counter.defaulted,
    EvaluationExcluded: Counter.excluded,
    EvaluationUpheld: Counter.upheld,
    StaffSignedOn: Counter.signed_on,
    StaffSignedOff: Counter.signed_off,
    DayClosed: Counter.day_closed,
    PolicyChanged: Counter.policy_changed,
    DeviceRegistered: Counter.registered,
    FindingRaised: Counter.found,
}
COUNTED: Final = frozenset({*RULES, *follow_up.RULES, *records.RULES})
