"""core/rules_ratings.py: decide and evolve for ratings: bound to the serving, one accepted, rejected ones facts.

What a rating makes suspicious at once (R1-R3, R6, R10, R12 and the CUSUM step) is in `core/rules_watch.py`; what may
happen to it later in `core/rules_appeals.py`.
"""

from core.commands import ReportShown, SubmitEvaluation
from core.deadlines import Due
from core.device import Device
from core.evaluation import Evaluation, EvaluationState
from core.fact import Fact
from core.facts import (
    EvaluationDefaulted,
    EvaluationExpired,
    EvaluationOpened,
    EvaluationRejected,
    EvaluationShown,
    EvaluationSubmitted,
)
from core.policy import option_sets
from core.refusals import Refusal
from core.rules_cases import opened_fact
from core.rules_seats import Decision
from core.rules_watch import note_rating, note_rejected, rating_findings, rejection_findings
from core.state import HallState

BAD_LEVEL = 2
AT_THE_COUNTER = ("device", "pad")


def submit(state: HallState, command: SubmitEvaluation, at_ms: int, device: str) -> Decision:
    """A rating: counted, or rejected with a reason. A level of 2 or below opens a case in the same decision."""
    known = state.devices.get(device)
    channel = command.channel or ("kiosk" if known is not None and known.kind == "self_service" else "device")
    call = command.call or _last_call(state, known, at_ms)
    level = level_of(state, command.level, command.key, known.profile if known is not None else "")
    reason = level if isinstance(level, Refusal) else _rejection(state, command, call, level, at_ms)
    if reason is not None:
        shown = 0 if isinstance(level, Refusal) else level
        rejected = EvaluationRejected(reason, shown, channel, device, max(call, 0), command.key)
        return [rejected, *rejection_findings(state, rejected, at_ms)]
    assert not isinstance(level, Refusal)
    evaluation = state.evaluations[call]
    rating = _submitted(state, command, evaluation, level, channel, device, at_ms)
    facts: list[Fact] = [rating]
    if level <= BAD_LEVEL:
        facts.append(
            opened_fact(
                state,
                "bad_review",
                at_ms,
                call=call,
                counter=evaluation.counter,
                staff=evaluation.staff,
                service=evaluation.service,
                source=channel,
                text_ref=command.comment_ref,
                real_name=command.real_name,
                department=evaluation.department,
            )
        )
    return [*facts, *rating_findings(state, evaluation, rating, at_ms)]


def _submitted(
    state: HallState,
    command: SubmitEvaluation,
    evaluation: Evaluation,
    level: int,
    channel: str,
    device: str,
    at_ms: int,
) -> EvaluationSubmitted:
    """The fact of a rating that counts."""
    assert state.policy is not None
    counter = state.counters.get(evaluation.counter)
    moved_on = counter is None or counter.newest_call > evaluation.call
    return EvaluationSubmitted(
        call=evaluation.call,
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
        appeal_due_ms=state.due_ms(at_ms, state.policy.evaluation.appeal),
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


def level_of(state: HallState, level: int, key: int, profile: str) -> int | Refusal:
    """The level 1-5: said, or by the key map of the device's profile."""
    if key < 0:
        return level if 1 <= level <= 5 else Refusal.LEVEL_UNKNOWN
    known = state.rules.profiles.get(profile)
    if known is None:
        return Refusal.LEVEL_UNKNOWN
    if key in known.ignore:
        return Refusal.DEFAULT_KEY
    return known.levels.get(str(key), Refusal.LEVEL_UNKNOWN)


def _rejection(state: HallState, command: SubmitEvaluation, call: int, level: int, at_ms: int) -> Refusal | None:
    if command.proof == "bad":
        return Refusal.BAD_TOKEN
    if call == PROMPT_OVER:
        return Refusal.PROMPT_OVER
    evaluation = state.evaluations.get(call)
    if evaluation is None:
        return Refusal.WINDOW_OVER if 0 < call <= state.forgotten_call else Refusal.NO_SERVING
    if evaluation.level:
        return Refusal.ALREADY_RATED
    if evaluation.state is not EvaluationState.OPENED or at_ms >= evaluation.due_ms:
        return Refusal.WINDOW_OVER
    if command.option_set and not knows_set(state, command.option_set, evaluation):
        return Refusal.OPTION_SET_UNKNOWN
    return None


def knows_set(state: HallState, option_set: str, evaluation: Evaluation) -> bool:
    """Whether these reasons may be given: a set of now, or one that was shown when the serving could be rated."""
    assert state.policy is not None
    shown = state.retired_sets.get(option_set, 0) >= evaluation.opened_ms
    return option_set in option_sets(state.policy) or shown


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
        fact.call,
        fact.staff,
        fact.counter,
        fact.service,
        fact.department,
        at_ms,
        fact.due_ms,
        person_ref=fact.person_ref,
        handling_ms=fact.handling_ms,
    )
    state.deadlines.add(fact.due_ms, Due.EVALUATION_OVER, fact.call)


def shown(state: HallState, fact: EvaluationShown, at_ms: int) -> None:
    """Fold the asking."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.shown_ms = at_ms


def submitted(state: HallState, fact: EvaluationSubmitted, at_ms: int) -> None:
    """Fold the one rating; when a level was last given is seen from outside."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.level, evaluation.appeal_due_ms = fact.level, fact.appeal_due_ms
    state.level_ms[fact.level] = at_ms
    note_rating(state, evaluation, fact)


def rejected(state: HallState, fact: EvaluationRejected, at_ms: int) -> None:
    """A rejected rating is kept in the journal; how often, today, may be a finding."""
    note_rejected(state, fact)


def expired(state: HallState, fact: EvaluationExpired, at_ms: int) -> None:
    """Fold the end of the window."""
    state.evaluations[fact.call].advance(fact)


def defaulted(state: HallState, fact: EvaluationDefaulted, at_ms: int) -> None:
    """Fold a default; it is no rating."""
    state.evaluations[fact.call].advance(fact)
