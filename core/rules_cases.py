"""core/rules_cases.py: decide and evolve for follow-up (工单): open, handle, answer, revisit, close, and its clocks."""

from core.cases import RECTIFY, REPLY, TO_RECTIFY, TRANSITIONS, VERIFY, Case, CaseState, Clocks, clocks_of
from core.commands_cases import (
    AssignCase,
    CloseCase,
    ExtendCase,
    OpenCase,
    RectifyCase,
    ReopenCase,
    ReplyCase,
    RevisitCase,
    VerifyCase,
)
from core.deadlines import STAGE_DUE, Due
from core.fact import Fact
from core.facts import CaseOpened
from core.facts_cases import (
    CaseAssigned,
    CaseClosed,
    CaseExtended,
    CaseOverdue,
    CaseRectified,
    CaseReopened,
    CaseReplied,
    CaseRevisited,
    CaseVerified,
)
from core.policy import DAY_MS
from core.refusals import Refusal
from core.rules_conduct import complaint_facts
from core.rules_seats import Decision
from core.state import HallState

ROUNDS = 2


def open_case(state: HallState, command: OpenCase, at_ms: int, device: str) -> Decision:
    """A complaint from the desk, the hotline or the box; assisted service taken on."""
    if command.service and command.service not in state.rules.services:
        return Refusal.SERVICE_UNKNOWN
    if command.counter and command.counter not in state.counters:
        return Refusal.COUNTER_UNKNOWN
    if of_a_comment(state, command.text_ref):
        return Refusal.BAD_FIELD
    return [
        opened_fact(
            state,
            command.kind,
            at_ms,
            counter=command.counter,
            staff=command.staff,
            service=command.service,
            source=command.source,
            text_ref=command.text_ref,
            real_name=command.real_name,
        )
    ]


def of_a_comment(state: HallState, ref: str) -> bool:
    """Whether a ref has the form `HALL-N` of a comment (留言): a case has it from its rating, not from outside."""
    hall, _, n = ref.rpartition("-")
    return hall == state.hall and n.isdecimal()


def opened_fact(
    state: HallState,
    kind: str,
    at_ms: int,
    *,
    call: int = 0,
    counter: int = 0,
    staff: str = "",
    service: str = "",
    source: str = "",
    text_ref: str = "",
    real_name: bool = False,
    department: str = "",
) -> CaseOpened:
    """The fact of an opening, with the due times of the policy of now."""
    clocks = _clocks(state, kind)
    found = state.rules.services.get(service)
    if not department and found:
        department = found[1].department
    return CaseOpened(
        case=state.next_case,
        kind=kind,
        call=call,
        counter=counter,
        staff=staff,
        service=service,
        source=source,
        department=department,
        text_ref=text_ref,
        real_name=real_name,
        verify_due_ms=state.due_ms(at_ms, clocks.verify),
        reply_due_ms=state.due_ms(at_ms, clocks.reply),
        revisit=clocks.revisit == "all" or (clocks.revisit == "real_name" and real_name),
    )


def _clocks(state: HallState, kind: str) -> Clocks:
    assert state.policy is not None
    return clocks_of(state.policy.cases, kind)


def _step(state: HallState, case: int, kind: type[Fact]) -> Case | Refusal:
    """The case, if this fact may follow in its state."""
    found = state.cases.get(case)
    if found is None:
        return Refusal.CASE_UNKNOWN
    return found if kind in TRANSITIONS[found.state] else Refusal.WRONG_STATE


def assign(state: HallState, command: AssignCase, at_ms: int, device: str) -> Decision:
    """Somebody handles it, never the person concerned."""
    case = _step(state, command.case, CaseAssigned)
    if isinstance(case, Refusal):
        return case
    if command.handler == case.staff:
        return Refusal.HANDLER_IS_PARTY
    return [CaseAssigned(case.case, command.handler)]


def verify(state: HallState, command: VerifyCase, at_ms: int, device: str) -> Decision:
    """What was found. A complaint found true against a named clerk is an entry of the ledger in the same decision."""
    case = _step(state, command.case, CaseVerified)
    if isinstance(case, Refusal):
        return case
    wrong = command.verdict in TO_RECTIFY
    rectify = _clocks(state, case.kind).to_rectify(complex_=command.complex) if wrong else ""
    facts: list[Fact] = [
        CaseVerified(case.case, command.verdict, state.due_ms(at_ms, rectify), command.complex and wrong)
    ]
    assert state.policy is not None
    counted = case.kind == "complaint" or (
        case.kind == "bad_review" and state.policy.cases.bad_review_counts_as_complaint
    )
    if counted and case.staff and command.verdict == "substantiated":
        facts += complaint_facts(state, case, at_ms)
    return facts


def rectify(state: HallState, command: RectifyCase, at_ms: int, device: str) -> Decision:
    """Put right."""
    case = _step(state, command.case, CaseRectified)
    return case if isinstance(case, Refusal) else [CaseRectified(case.case, command.action_ref)]


def reply(state: HallState, command: ReplyCase, at_ms: int, device: str) -> Decision:
    """Answered."""
    case = _step(state, command.case, CaseReplied)
    return case if isinstance(case, Refusal) else [CaseReplied(case.case, command.text_ref)]


def revisit(state: HallState, command: RevisitCase, at_ms: int, device: str) -> Decision:
    """Asked how it was handled; whoever was not reached says nothing."""
    case = _step(state, command.case, CaseRevisited)
    if isinstance(case, Refusal):
        return case
    if command.reached is not bool(command.satisfaction):
        return Refusal.BAD_FIELD
    return [CaseRevisited(case.case, command.satisfaction, command.reached)]


def close(state: HallState, command: CloseCase, at_ms: int, device: str) -> Decision:
    """Done; not while a return visit is owed."""
    case = _step(state, command.case, CaseClosed)
    if isinstance(case, Refusal):
        return case
    if case.revisit and case.state is not CaseState.REVISITED:
        return Refusal.REVISIT_DUE
    return [CaseClosed(case.case, not case.late, command.why)]


def reopen(state: HallState, command: ReopenCase, at_ms: int, device: str) -> Decision:
    """Once more, by somebody else, with clocks from now."""
    case = _step(state, command.case, CaseReopened)
    if isinstance(case, Refusal):
        return case
    assert state.policy is not None
    if case.round >= ROUNDS or at_ms > case.closed_ms + state.policy.cases.reopen_days * DAY_MS:
        return Refusal.REOPEN_LIMIT
    if command.handler in (case.staff, case.handler):
        return Refusal.HANDLER_IS_PARTY
    clocks = _clocks(state, case.kind)
    verify_ms, reply_ms = state.due_ms(at_ms, clocks.verify), state.due_ms(at_ms, clocks.reply)
    return [CaseReopened(case.case, command.handler, case.round + 1, verify_ms, reply_ms, command.why)]


def extend(state: HallState, command: ExtendCase, at_ms: int, device: str) -> Decision:
    """More time for a stage that is running and has a clock; later than it was."""
    case = _step(state, command.case, CaseExtended)
    if isinstance(case, Refusal):
        return case
    due = case.due_of(command.stage)
    if not due:
        return Refusal.WRONG_STATE
    if command.to_ms <= due:
        return Refusal.BAD_FIELD
    assert state.policy is not None
    if case.extensions >= state.policy.cases.extensions:
        return Refusal.EXTEND_LIMIT
    return [CaseExtended(case.case, command.stage, command.to_ms, command.why)]


def overdue_facts(state: HallState, stage: str, case: int) -> list[Fact]:
    """What time brings: a stage was not done in time."""
    found = state.cases[case]
    return [CaseOverdue(case, stage, found.round, found.due_of(stage))]


def opened(state: HallState, fact: CaseOpened, at_ms: int) -> None:
    """Fold an opening; a rating knows its case."""
    case = Case(fact.case, fact.kind, fact.call, fact.counter, fact.staff, fact.service, at_ms, revisit=fact.revisit)
    case.verify_due_ms, case.reply_due_ms = fact.verify_due_ms, fact.reply_due_ms
    case.texts = (fact.text_ref,) if fact.text_ref else ()
    state.cases[fact.case] = case
    state.next_case = fact.case + 1
    if fact.call in state.evaluations:
        state.evaluations[fact.call].case = fact.case
    _wind(state, case)


def _wind(state: HallState, case: Case) -> None:
    """Every clock of the case that runs."""
    for stage, due in STAGE_DUE.items():
        if case.due_of(stage):
            state.deadlines.add(case.due_of(stage), due, case.case)


def assigned(state: HallState, fact: CaseAssigned, at_ms: int) -> None:
    """Fold a handler."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.handler = fact.handler


def verified(state: HallState, fact: CaseVerified, at_ms: int) -> None:
    """Fold a verdict; the clock to rectify begins."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.rectify_due_ms = fact.rectify_due_ms
    if case.due_of(RECTIFY):
        state.deadlines.add(fact.rectify_due_ms, Due.CASE_RECTIFY, fact.case)


def moved(state: HallState, fact: CaseRectified | CaseReplied | CaseRevisited, at_ms: int) -> None:
    """Fold a step that the table alone describes."""
    state.cases[fact.case].advance(fact)


def closed(state: HallState, fact: CaseClosed, at_ms: int) -> None:
    """Fold the end of a round."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.closed_ms = at_ms


def reopened(state: HallState, fact: CaseReopened, at_ms: int) -> None:
    """Fold another round: clocks anew."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.handler, case.round, case.overdue, case.closed_ms = fact.handler, fact.round, (), 0
    case.verify_due_ms, case.rectify_due_ms, case.reply_due_ms = fact.verify_due_ms, 0, fact.reply_due_ms
    _wind(state, case)


def extended(state: HallState, fact: CaseExtended, at_ms: int) -> None:
    """Fold an extension."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.extensions += 1
    if fact.stage == RECTIFY:
        case.rectify_due_ms = fact.to_ms
    else:
        assert fact.stage == REPLY, f"{fact.stage} is not extended"
        case.reply_due_ms = fact.to_ms
    _wind(state, case)


def overdue(state: HallState, fact: CaseOverdue, at_ms: int) -> None:
    """Fold a missed due time: once a stage and round."""
    case = state.cases[fact.case]
    case.advance(fact)
    case.overdue = (*case.overdue, fact.stage)
    case.late = True


def forget(state: HallState, at_ms: int) -> None:
    """At the day's end: cases that were closed and can no longer be reopened go."""
    assert state.policy is not None
    keep_ms = state.policy.cases.reopen_days * DAY_MS
    over = [one.case for one in state.cases.values() if one.closed_ms and one.closed_ms + keep_ms < at_ms]
    for case in over:
        del state.cases[case]


assert tuple(STAGE_DUE) == (VERIFY, RECTIFY, REPLY)
