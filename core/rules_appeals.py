"""core/rules_appeals.py: decide and evolve for what may happen to a rating later: supplement, appeal, probe.

An excluded rating stays in the journal and is counted apart; the case that it opened goes on as an explanation.
"""

from core.cases import CaseState
from core.commands_cases import AppealEvaluation, DecideAppeal, ProbeEvaluation, SupplementEvaluation
from core.evaluation import Evaluation, EvaluationState
from core.facts_cases import (
    EvaluationAppealed,
    EvaluationExcluded,
    EvaluationProbed,
    EvaluationSupplemented,
    EvaluationUpheld,
)
from core.refusals import Refusal
from core.rules_ratings import knows_set, level_of
from core.rules_seats import Decision
from core.state import HallState

IN_TIME_FOR_REVIEW = (CaseState.OPENED, CaseState.ASSIGNED)
PAGE = "web"


def supplement(state: HallState, command: SupplementEvaluation, at_ms: int, device: str) -> Decision:
    """Reasons, once, while the window runs; never another level."""
    assert state.policy is not None
    if command.proof == "bad":
        return Refusal.BAD_TOKEN
    if not state.policy.evaluation.supplement:
        return Refusal.FORBIDDEN
    evaluation = _known(state, command.call)
    if isinstance(evaluation, Refusal):
        return evaluation
    if evaluation.state is not EvaluationState.SUBMITTED:
        return Refusal.WRONG_STATE
    if evaluation.supplemented:
        return Refusal.ALREADY_RATED
    if at_ms >= evaluation.due_ms:
        return Refusal.WINDOW_OVER
    if command.option_set and not knows_set(state, command.option_set, evaluation):
        return Refusal.OPTION_SET_UNKNOWN
    return [EvaluationSupplemented(command.call, command.options, command.option_set, command.comment_ref)]


def _known(state: HallState, call: int) -> Evaluation | Refusal:
    evaluation = state.evaluations.get(call)
    if evaluation is not None:
        return evaluation
    return Refusal.WINDOW_OVER if 0 < call <= state.forgotten_call else Refusal.NO_SERVING


def appeal(state: HallState, command: AppealEvaluation, at_ms: int, device: str) -> Decision:
    """In time, once, and while a case of it has not been judged yet."""
    evaluation = state.evaluations.get(command.call)
    if evaluation is None:
        return Refusal.APPEAL_OVER if 0 < command.call <= state.forgotten_call else Refusal.CALL_UNKNOWN
    if evaluation.state is not EvaluationState.SUBMITTED:
        return Refusal.WRONG_STATE
    case = state.cases.get(evaluation.case)
    if evaluation.case and (case is None or case.state not in IN_TIME_FOR_REVIEW):
        return Refusal.WRONG_STATE
    if at_ms >= evaluation.appeal_due_ms:
        return Refusal.APPEAL_OVER
    return [EvaluationAppealed(command.call, command.by, command.ground, command.text_ref)]


def decide_appeal(state: HallState, command: DecideAppeal, at_ms: int, device: str) -> Decision:
    """By somebody who is neither rated nor has appealed; excluded only as mistaken or malicious."""
    evaluation = state.evaluations.get(command.call)
    if evaluation is None:
        return Refusal.CALL_UNKNOWN
    if evaluation.state is not EvaluationState.APPEALED:
        return Refusal.WRONG_STATE
    if command.reviewer in (evaluation.staff, evaluation.by):
        return Refusal.REVIEWER_IS_PARTY
    if command.decision == "upheld":
        return [EvaluationUpheld(command.call, command.reviewer)]
    return [EvaluationExcluded(command.call, command.decision, command.reviewer)]


def probe(state: HallState, command: ProbeEvaluation, at_ms: int, device: str) -> Decision:
    """Whether this profile could give this level now, by the very map that ratings use; the web form says levels."""
    known = state.rules.profiles.get(command.profile)
    if known is None and command.profile != PAGE:
        return Refusal.PROFILE_MISMATCH
    if known is not None and command.level not in known.levels.values():
        return Refusal.LEVEL_NOT_EXPRESSIBLE
    level = level_of(state, command.level, command.key, command.profile)
    return [EvaluationProbed(command.profile, command.level, level == command.level, command.device)]


def supplemented(state: HallState, fact: EvaluationSupplemented, at_ms: int) -> None:
    """Fold reasons added."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.supplemented = True
    case = state.cases.get(evaluation.case)
    if case is not None and fact.comment_ref:
        case.texts = (*case.texts, fact.comment_ref)


def appealed(state: HallState, fact: EvaluationAppealed, at_ms: int) -> None:
    """Fold an appeal: the case waits for it, its clocks do not."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    evaluation.by = fact.by
    _step_case(state, evaluation, fact)


def decided(state: HallState, fact: EvaluationUpheld | EvaluationExcluded, at_ms: int) -> None:
    """Fold the decision."""
    evaluation = state.evaluations[fact.call]
    evaluation.advance(fact)
    _step_case(state, evaluation, fact)


def _step_case(
    state: HallState, evaluation: Evaluation, fact: EvaluationAppealed | EvaluationUpheld | EvaluationExcluded
) -> None:
    if evaluation.case:
        state.cases[evaluation.case].advance(fact)


def probed(state: HallState, fact: EvaluationProbed, at_ms: int) -> None:
    """Fold when a level of a profile could last be given; nothing is counted."""
    if fact.ok:
        state.probes[f"{fact.profile}:{fact.level}"] = at_ms
