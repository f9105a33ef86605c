"""core/rules_ratings.py: decide and evolve for ratings: bound to the serving, one accepted, rejected ones facts."""

from core.commands import ReportShown, SubmitEvaluation
from core.deadlines import Due
from core.device import Device
from core.evaluation import Evaluation, EvaluationState
from core.fact import Fact
from core.facts import (
    CaseOpened,
    EvaluationDefaulted,
    EvaluationExpired,
    EvaluationOpened,
    EvaluationRejected,
    EvaluationShown,
    EvaluationSubmitted,
)
from core.refusals import Refusal
from core.rules_seats import Decision
from core.state import HallState

BAD_LEVEL = 2
AT_THE_COUNTER = ("device", "pad")


def submit(state: HallState, command: SubmitEvaluation, at_ms: int, device: str) -> Decision:
    """A rating: counted, or rejected with a reason. A level of 2 or below opens a case in the same decision."""
    known = state.devices.get(device)
    channel = command.channel or "device"
    call = command.call or _last_call(state, known, at_ms)
    level = _level(state, command, known)
    reason = level if isinstance(level, Refusal) else _rejection(state, command, call, level, at_ms)
    if reason is not None:
        shown = 0 if isinstance(level, Refusal) else level
        return [EvaluationRejected(reason, shown, channel, device, max(call, 0), command.key)]
    assert not isinstance(level, Refusal)
    evaluation = state.evaluations[call]
    counter = state.counters.get(evaluation.counter)
    moved_on = counter is None or counter.newest_call > call
    facts: list[Fact] = [
        EvaluationSubmitted(
            call=call,
            level=level,
            staff=evaluation.staff,
            counter=evaluation.counter,
            service=evaluation.service,
            department=evaluation.department,
            channel=channel,
            latency_ms=at_ms - (evaluation.shown_ms or evaluation.opened_ms),
            late=moved_on or channel not in AT_THE_COUNTER,
            options=command.options,
            option_set=command.option_set,
            comment_ref=command.comment_ref,
            device=device,
        )
    ]
    if level <= BAD_LEVEL:
        facts.append(_case(state, evaluation))
    return facts


def _case(state: HallState, evaluation: Evaluation) -> CaseOpened:
    return CaseOpened(
        case=state.next_case,
        kind="bad_review",
        call=evaluation.call,
        counter=evaluation.counter,
        staff=evaluation.staff,
        service=evaluation.service,
    )


NO_CALL = -1
PROMPT_OVER = -2


def _last_call(state: HallState, device: Device | None, at_ms: int) -> int:
    """A press without a call id: the counter's last finished serving, for a while after it."""
    counter = state.counters.get(device.counter) if device is not None else None
    if counter is None or not counter.last_call:
        return NO_CALL
    assert state.policy is not None
    window_ms = state.policy.evaluation.keypad_window_s * 1000
    return counter.last_call if at_ms - counter.last_finished_ms <= window_ms else PROMPT_OVER


def _level(state: HallState, command: SubmitEvaluation, device: Device | None) -> int | Refusal:
    """The level 1-5: said, or by the key map of the device's profile."""
    if command.key < 0:
        return command.level if 1 <= command.level <= 5 else Refusal.LEVEL_UNKNOWN
    profile = state.rules.profiles.get(device.profile) if device is not None else None
    if profile is None:
        return Refusal.LEVEL_UNKNOWN
    if command.key in profile.ignore:
        return Refusal.DEFAULT_KEY
    return profile.levels.get(str(command.key), Refusal.LEVEL_UNKNOWN)


def _rejection(state: HallState, command: SubmitEvaluation, call: int, level: int, at_ms: int) -> Refusal | None:
    if command.proof == "bad":
        return Refusal.BAD_TOKEN
    if call == PROMPT_OVER:
        return Refusal.PROMPT_OVER
    evaluation = state.evaluations.get(call)
    if evaluation is None:
        return Refusal.WINDOW_OVER if 0 < call <= state.forgotten_call else Refusal.NO_SERVING
    if evaluation.state is EvaluationState.SUBMITTED:
        return Refusal.ALREADY_RATED
    if evaluation.state is not EvaluationState.OPENED or at_ms >= evaluation.due_ms:
        return Refusal.WINDOW_OVER
    return None


def report_shown(state: HallState, command: ReportShown, at_ms: int, device: str) -> Decision:
    """The evaluator has asked."""
    evaluation = state.evaluations.get(command.call)
    if evaluation is None:
        return Refusal.CALL_UNKNOWN
    if evaluation.state is not EvaluationState.OPENED:
        return Refusal.WRONG_STATE
    return [EvaluationShown(command.call)]


def opened(state: HallState, fact: EvaluationOpened, at_ms: int) -> None:
    """Fold the opening."""
    state.evaluations[fact.call] = Evaluation(
        fact.call, fact.staff, fact.counter, fact.service, fact.department, at_ms, fact.due_ms
    )
    state.deadlines.add(fact.due_ms, Due.EVALUATION_OVER, fact.call)


def shown(state: HallState, fact: EvaluationShown, at_ms: int) -> None:
    """Fold the asking."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.shown_ms = at_ms


def submitted(state: HallState, fact: EvaluationSubmitted, at_ms: int) -> None:
    """Fold the one rating."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.level = fact.level


def rejected(state: HallState, fact: EvaluationRejected, at_ms: int) -> None:
    """A rejected rating changes no table; it is kept in the journal."""


def expired(state: HallState, fact: EvaluationExpired, at_ms: int) -> None:
    """Fold the end of the window."""
    state.evaluations[fact.call].advance(fact)


def defaulted(state: HallState, fact: EvaluationDefaulted, at_ms: int) -> None:
    """Fold a default; it is no rating."""
    state.evaluations[fact.call].advance(fact)


def case_opened(state: HallState, fact: CaseOpened, at_ms: int) -> None:
    """Fold the opening of a follow-up."""
    state.next_case = fact.case + 1
