"""workers/totals.py: what a report is made of, counted fact by fact: cells by hall, day, department, clerk, service.

Incremental: a fact is counted once, in journal order. A rating is counted in the cell of its serving, so that every
numerator stands over its own denominator. Nothing here decides; floats come in only where a report divides.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from core.fact import Fact
from core.facts import (
    CaseOpened,
    DayClosed,
    DayOpened,
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
    CaseClosed,
    CaseOverdue,
    CaseRectified,
    CaseReopened,
    CaseReplied,
    CaseRevisited,
    CaseVerified,
    EvaluationExcluded,
    EvaluationUpheld,
)
from core.facts_tickets import ServingFinished, TicketCalled, TicketMissed, TicketTaken

Key = tuple[str, int, str, str, str]  # hall, day, department, clerk, service
PRIVATE: Final = ("qr", "sms", "web", "hotline", "paper")
BAD: Final = 2
KEPT_DAYS: Final = 70  # a window of 60 days, and the days to appeal
SLOW_MS: Final = 900_000
WAITS_MS: Final = (300_000, 900_000, 1_800_000)
CELL, SHOWN, WAIT, LEVEL = 6, 1 << 5, 3, 7  # bits of a value of `calls`


class Cell(msgspec.Struct, array_like=True):
    """One cell. `n`: active ratings of level 1-5; `private`: good and all of those given away from the counter."""

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


class CaseLine(msgspec.Struct, array_like=True):
    """How far a follow-up has come. `stages`: begun; `late`: said to be overdue."""

    kind: str
    day: int
    department: str
    staff: str
    real_name: bool
    verdict: str = ""
    rectified: bool = False
    replied: bool = False
    revisited: bool = False
    satisfaction: int = 0
    reopened: bool = False
    closed: bool = False
    stages: int = 0
    late: int = 0


class HallTotals(msgspec.Struct, array_like=True):
    """One hall. `calls`: of each serving that may still be rated, its cell, whether it was shown, its wait, its level.

    `asked`: of a clerk, by how long people had waited: asked and not asked to rate, in turn.
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
    gaps: dict[str, list[int]] = {}
    services: dict[int, str] = {}
    waits: dict[int, int] = {}
    asked: dict[str, list[int]] = {}


class Totals(msgspec.Struct, array_like=True):
    """All halls, up to and with journal row `seq`, which was stamped `at_ms`."""

    seq: int = 0
    at_ms: int = 0
    halls: dict[str, HallTotals] = {}


class Counter:
    """Counts facts into totals; finds a cell by its key."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self._cells = {key: at for hall in totals.halls.values() for at, key in enumerate(hall.keys)}

    def note(self, hall: str, fact: Fact, at_ms: int) -> None:
        """One fact; what no report tells is passed over."""
        rule = RULES.get(type(fact))
        if rule is not None:
            totals = self.totals.halls.get(hall)
            if totals is None:
                totals = self.totals.halls[hall] = HallTotals()
            rule(self, hall, totals, fact, at_ms)

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
        totals.day, totals.periods = fact.day, list(fact.periods)
        self.cell(hall, totals, "", "", "")  # a day on which nobody came has its line
        if not totals.days or totals.days[-1][0] != fact.day:
            totals.days.append((fact.day, max(totals.calls, default=0)))
            totals.services = {}
        if len(totals.days) > KEPT_DAYS:
            oldest = totals.days.pop(0)[1]
            for call in [call for call in totals.calls if call <= oldest]:
                del totals.calls[call]

    def taken(self, hall: str, totals: HallTotals, fact: TicketTaken, at_ms: int) -> None:
        totals.services[fact.ticket] = fact.service
        self._of(hall, totals, fact.service).taken += 1

    def called(self, hall: str, totals: HallTotals, fact: TicketCalled, at_ms: int) -> None:
        totals.services[fact.ticket] = fact.service
        if fact.first:
            cell = self._of(hall, totals, fact.service)
            cell.called += 1
            cell.waited_long += fact.waited_ms > SLOW_MS

    def missed(self, hall: str, totals: HallTotals, fact: TicketMissed, at_ms: int) -> None:
        self._of(hall, totals, totals.services.get(fact.ticket, "")).missed += 1

    def finished(self, hall: str, totals: HallTotals, fact: ServingFinished, at_ms: int) -> None:
        cell = totals.cells[self.cell(hall, totals, fact.department, fact.staff, fact.service)]
        cell.served += 1
        cell.waited_ms += fact.waited_ms
        cell.handled_ms += fact.handling_ms
        totals.waits[fact.call] = sum(fact.waited_ms >= limit for limit in WAITS_MS)

    def opened(self, hall: str, totals: HallTotals, fact: EvaluationOpened, at_ms: int) -> None:
        at = self.cell(hall, totals, fact.department, fact.staff, fact.service)
        totals.cells[at].evaluable += 1
        wait = totals.waits.pop(fact.call, 0)
        totals.calls[fact.call] = at << CELL | wait << WAIT
        totals.asked.setdefault(fact.staff, [0] * 8)[wait * 2 + 1] += 1

    def shown(self, hall: str, totals: HallTotals, fact: EvaluationShown, at_ms: int) -> None:
        at = totals.calls.get(fact.call)
        if at is not None and not at & SHOWN:
            totals.calls[fact.call] = at | SHOWN
            totals.cells[at >> CELL].shown += 1
            asked, wait = totals.asked[totals.keys[at >> CELL][3]], at >> WAIT & 3
            asked[wait * 2] += 1
            asked[wait * 2 + 1] -= 1

    def submitted(self, hall: str, totals: HallTotals, fact: EvaluationSubmitted, at_ms: int) -> None:
        """One rating; where its opening was erased, in the cell of today."""
        known = totals.calls.get(fact.call)
        if known is None:
            known = self.cell(hall, totals, fact.department, fact.staff, fact.service) << CELL
        at = known >> CELL
        cell = totals.cells[at]
        cell.n[fact.level - 1] += 1
        cell.late += fact.late
        totals.calls[fact.call] = known | fact.level
        totals.channels.setdefault(fact.channel, [0] * 5)[fact.level - 1] += 1
        if fact.channel in PRIVATE:
            cell.private[0] += fact.level > BAD
            cell.private[1] += 1
        elif fact.device:
            times = totals.gaps.setdefault(fact.device, [])
            times.append(at_ms)
            if len(times) > 62:
                del times[:31]

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

    def upheld(self, hall: str, totals: HallTotals, fact: EvaluationUpheld, at_ms: int) -> None:
        at = totals.calls.get(fact.call)
        if at is not None:
            totals.cells[at >> CELL].upheld += 1

    # Follow-up.

    def case_opened(self, hall: str, totals: HallTotals, fact: CaseOpened, at_ms: int) -> None:
        line = CaseLine(fact.kind, totals.day, fact.department, fact.staff, fact.real_name)
        line.stages = (fact.verify_due_ms > 0) + (fact.reply_due_ms > 0)
        totals.cases[fact.case] = line

    def case_verified(self, hall: str, totals: HallTotals, fact: CaseVerified, at_ms: int) -> None:
        line = totals.cases[fact.case]
        line.verdict = fact.verdict
        line.stages += fact.rectify_due_ms > 0

    def case_reopened(self, hall: str, totals: HallTotals, fact: CaseReopened, at_ms: int) -> None:
        line = totals.cases[fact.case]
        line.reopened, line.closed = True, False
        line.stages += (fact.verify_due_ms > 0) + (fact.reply_due_ms > 0)

    def case_overdue(self, hall: str, totals: HallTotals, fact: CaseOverdue, at_ms: int) -> None:
        totals.cases[fact.case].late += 1

    def case_rectified(self, hall: str, totals: HallTotals, fact: CaseRectified, at_ms: int) -> None:
        totals.cases[fact.case].rectified = True

    def case_replied(self, hall: str, totals: HallTotals, fact: CaseReplied, at_ms: int) -> None:
        totals.cases[fact.case].replied = True

    def case_revisited(self, hall: str, totals: HallTotals, fact: CaseRevisited, at_ms: int) -> None:
        line = totals.cases[fact.case]
        line.revisited, line.satisfaction = fact.reached, fact.satisfaction

    def case_closed(self, hall: str, totals: HallTotals, fact: CaseClosed, at_ms: int) -> None:
        totals.cases[fact.case].closed = True

    # Who sat where.

    def signed_on(self, hall: str, totals: HallTotals, fact: StaffSignedOn, at_ms: int) -> None:
        totals.seated[fact.counter] = (fact.staff, at_ms)

    def day_closed(self, hall: str, totals: HallTotals, fact: DayClosed, at_ms: int) -> None:
        """Who sits on overnight has sat until now."""
        for counter, (staff, since_ms) in totals.seated.items():
            self._seated(totals, counter, since_ms, at_ms)
            totals.seated[counter] = (staff, at_ms)

    def policy_changed(self, hall: str, totals: HallTotals, fact: PolicyChanged, at_ms: int) -> None:
        """Which counters are to be staffed: from the next day on."""
        totals.rostered = [part.no for part in fact.policy.counters if part.rostered]

    def _seated(self, totals: HallTotals, counter: int, since_ms: int, at_ms: int) -> None:
        """Staffed time inside opening periods, of a counter that is on the roster (窗口在岗率)."""
        if counter in totals.rostered and totals.day in totals.coverage:
            inside = [max(0, min(end, at_ms) - max(begin, since_ms)) for begin, end in totals.periods]
            totals.coverage[totals.day][0] += sum(inside)

    def signed_off(self, hall: str, totals: HallTotals, fact: StaffSignedOff, at_ms: int) -> None:
        _, since_ms = totals.seated.pop(fact.counter, (fact.staff, at_ms))
        self._seated(totals, fact.counter, since_ms, at_ms)


RULES: Final[dict[type[Fact], Callable[..., None]]] = {
    DayOpened: Counter.day_opened,
    TicketTaken: Counter.taken,
    TicketCalled: Counter.called,
    TicketMissed: Counter.missed,
    ServingFinished: Counter.finished,
    EvaluationOpened: Counter.opened,
    EvaluationShown: Counter.shown,
    EvaluationSubmitted: Counter.submitted,
    EvaluationRejected: Counter.rejected,
    EvaluationDefaulted: Counter.defaulted,
    EvaluationExcluded: Counter.excluded,
    EvaluationUpheld: Counter.upheld,
    CaseOpened: Counter.case_opened,
    CaseVerified: Counter.case_verified,
    CaseReopened: Counter.case_reopened,
    CaseOverdue: Counter.case_overdue,
    CaseRectified: Counter.case_rectified,
    CaseReplied: Counter.case_replied,
    CaseRevisited: Counter.case_revisited,
    CaseClosed: Counter.case_closed,
    StaffSignedOn: Counter.signed_on,
    StaffSignedOff: Counter.signed_off,
    DayClosed: Counter.day_closed,
    PolicyChanged: Counter.policy_changed,
}
