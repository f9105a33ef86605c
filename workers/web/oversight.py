"""workers/web/oversight.py: what a supervisor looks after: appeals (申诉), findings (研判), conduct (行为).

Read from committed state. Staff numbers only; what somebody wrote stays elsewhere, under its number.
"""

from typing import Final

from msgspec import Struct

from core.evaluation import Evaluation, EvaluationState
from core.policy import Names
from core.state import HallState
from workers.web.drawings import names

SHOWN_MAX: Final = 100
BAD: Final = 2  # of this level and below a rating may have to be explained
ASKED: Final = (EvaluationState.SUBMITTED, EvaluationState.APPEALED, EvaluationState.UPHELD, EvaluationState.EXCLUDED)


class Appeal(Struct, frozen=True):
    """A rating that may be, is or was objected to. `due_ms`: until when it may be."""

    call: int
    counter: int
    staff: str
    service: Names
    level: int
    state: str
    by: str
    due_ms: int


class Found(Struct, frozen=True):
    """A finding; `decision` empty until a person has looked."""

    finding: int
    rule: str
    subject: str
    day: int
    state: str
    decision: str


class Entry(Struct, frozen=True):
    """A line of the ledger."""

    entry: int
    staff: str
    kind: str
    on_day: int
    half_days: int
    case: int
    void: bool


class Oversight(Struct, frozen=True):
    """All three, at most 100 each: what is to be decided first, then the newest."""

    appeals: list[Appeal]
    findings: list[Found]
    conduct: list[Entry]


def oversight(state: HallState) -> Oversight:
    """O(ratings and findings kept, entries)."""
    return Oversight(appeals(state), findings(state), conduct(state))


def appeals(state: HallState) -> list[Appeal]:
    """Undecided first, then those that may still come, then decided ones."""
    found = [one for one in state.evaluations.values() if one.state in ASKED and 0 < one.level <= BAD]
    order = (EvaluationState.APPEALED, EvaluationState.SUBMITTED)
    found.sort(key=lambda one: (order.index(one.state) if one.state in order else len(order), -one.call))
    return [_appeal(state, one) for one in found[:SHOWN_MAX]]


def _appeal(state: HallState, one: Evaluation) -> Appeal:
    part = state.rules.services.get(one.service)
    return Appeal(
        call=one.call,
        counter=one.counter,
        staff=one.staff,
        service=names(part[1].name if part is not None else {}, one.service),
        level=one.level,
        state=one.state.name.lower(),
        by=one.by,
        due_ms=one.appeal_due_ms,
    )


def findings(state: HallState) -> list[Found]:
    """Those nobody has reviewed first."""
    found = sorted(state.findings.values(), key=lambda one: (one.state, -one.finding))
    return [
        Found(one.finding, one.rule, one.subject, one.day, one.state.name.lower(), one.decision)
        for one in found[:SHOWN_MAX]
    ]


def conduct(state: HallState) -> list[Entry]:
    """Newest first."""
    found = sorted(state.conduct.values(), key=lambda one: -one.entry)[:SHOWN_MAX]
    return [Entry(one.entry, one.staff, one.kind, one.on_day, one.half_days, one.case, one.void) for one in found]
