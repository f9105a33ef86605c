"""workers/web/casework.py: the work list of the case desk (工单台): who has to do what by when.

Read from committed state. Of a person concerned only the staff number, to tell a handler from a party.
"""

from typing import Final

from msgspec import Struct

from core.cases import RUNNING, STAGES, Case, CaseState
from core.policy import Names
from core.state import HallState
from workers.web.drawings import names
from workers.web.oversight import Oversight, oversight

SHOWN_MAX: Final = 200
NEVER_MS: Final = 2**53


class Clock(Struct, frozen=True):
    """A stage still to be done, and by when (UTC ms)."""

    stage: str
    due_ms: int


class Line(Struct, frozen=True):
    """A case. `level` 0: no rating, or none any more. `texts`: how many things were written about it."""

    case: int
    kind: str
    state: str
    counter: int
    staff: str
    service: Names
    level: int
    handler: str
    round: int
    revisit: bool
    opened_ms: int
    clocks: list[Clock]
    overdue: tuple[str, ...]
    texts: int


class Desk(Struct, frozen=True):
    """The case desk: open cases by the next due time, then those closed, newest first."""

    hall: str
    open: int
    cases: list[Line]
    over: Oversight


def desk(state: HallState) -> Desk:
    """The work list. O(cases kept)."""
    open_, closed = list[Case](), list[Case]()
    for case in state.cases.values():
        (closed if case.state is CaseState.CLOSED else open_).append(case)
    open_.sort(key=lambda case: (not case.overdue, _next_ms(case), case.case))
    closed.sort(key=lambda case: -case.closed_ms)
    lines = [_line(state, case) for case in [*open_, *closed][:SHOWN_MAX]]
    return Desk(state.hall, len(open_), lines, oversight(state))


def _next_ms(case: Case) -> int:
    return min((clock.due_ms for clock in _clocks(case)), default=NEVER_MS)


def _clocks(case: Case) -> list[Clock]:
    """Every stage that runs and has a clock, overdue or not."""
    due = {"verify": case.verify_due_ms, "rectify": case.rectify_due_ms, "reply": case.reply_due_ms}
    return [Clock(stage, due[stage]) for stage in STAGES if case.state in RUNNING[stage] and due[stage]]


def _line(state: HallState, case: Case) -> Line:
    rating = state.evaluations.get(case.call)
    part = state.rules.services.get(case.service)
    return Line(
        case=case.case,
        kind=case.kind,
        state=case.state.name.lower(),
        counter=case.counter,
        staff=case.staff,
        service=names(part[1].name if part is not None else {}, case.service),
        level=rating.level if rating is not None else 0,
        handler=case.handler,
        round=case.round,
        revisit=case.revisit,
        opened_ms=case.opened_ms,
        clocks=_clocks(case),
        overdue=case.overdue,
        texts=len(case.texts),
    )
