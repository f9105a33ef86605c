"""core/rules_watch.py: what a rating makes suspicious at once: flags R1-R3, R6, R10, R12 of the day; the CUSUM step.

A flag marks: it raises a finding once a day and subject, and changes no rating. The policy says which act (`watch`).
CUSUM on the share of bad ratings, p0 .01 against p1 .03, in whole micro-nats: S = max(0, S + ln 3) after a bad one,
max(0, S - ln(.99/.97)) after another; at 4 a finding, then from 0 again.
"""

from typing import Final

from core.evaluation import Evaluation
from core.fact import Fact
from core.facts import EvaluationRejected, EvaluationSubmitted
from core.facts_cases import FindingRaised
from core.refusals import Refusal
from core.state import HallState
from core.worktime import local_day

BAD_LEVEL: Final = 2
UP: Final = 1_098_612
DOWN: Final = 20_409
ALARM: Final = 4_000_000
EARLY_MS: Final = 30_000
FAST_MS: Final = {"device": 1_000, "pad": 3_000}
LIMITS: Final = {"R1": 2, "R2": 3, "R3": 3, "R6": 3, "R10": 3, "R12": 3}
"""How often a day makes a finding: R1 orphans and R6 doubles of a device, R2 short servings rated of a clerk, R3 quick
answers of a device, R10 ratings of one person for one clerk, R12 bad ratings of one person."""


def cusum_step(score: int, bad: bool) -> int:
    """The next score, before it is compared with the alarm."""
    return max(0, score + UP if bad else score - DOWN)


def _keys(evaluation: Evaluation, level: int, channel: str, latency_ms: int, device: str) -> list[tuple[str, str]]:
    """The (rule, subject) that a rating counts for."""
    found = [("R2", evaluation.staff)] if evaluation.handling_ms < EARLY_MS else []
    if latency_ms < FAST_MS.get(channel, 0) and device:
        found.append(("R3", device))
    if evaluation.person_ref:
        found.append(("R10", f"{evaluation.person_ref}-{evaluation.staff}"))
        if level <= BAD_LEVEL:
            found.append(("R12", evaluation.person_ref))
    return found


def _rejected_keys(fact: EvaluationRejected) -> list[tuple[str, str]]:
    rule = {Refusal.NO_SERVING: "R1", Refusal.ALREADY_RATED: "R6"}.get(fact.reason, "")
    return [(rule, fact.device)] if rule and fact.device else []


def _subjects(evaluation: Evaluation) -> tuple[str, str, str]:
    """Whose share of bad ratings is watched."""
    return f"staff-{evaluation.staff}", f"counter-{evaluation.counter}", f"service-{evaluation.service}"


def rating_findings(state: HallState, evaluation: Evaluation, fact: EvaluationSubmitted, at_ms: int) -> list[Fact]:
    """What becomes a finding with this rating."""
    assert state.policy is not None
    watch = state.policy.evaluation.watch
    if not watch:
        return []
    found = _reached(state, _keys(evaluation, fact.level, fact.channel, fact.latency_ms, fact.device))
    if "CUSUM" in watch:
        bad = fact.level <= BAD_LEVEL
        scores = [(subject, cusum_step(state.cusum.get(subject, 0), bad)) for subject in _subjects(evaluation)]
        found += [("CUSUM", subject, score, ALARM) for subject, score in scores if score >= ALARM]
    return _raise(state, found, (fact.call,), at_ms)


def rejection_findings(state: HallState, fact: EvaluationRejected, at_ms: int) -> list[Fact]:
    """What becomes a finding with this rejection."""
    if state.policy is None or not state.policy.evaluation.watch:
        return []
    return _raise(state, _reached(state, _rejected_keys(fact)), (), at_ms)


def _reached(state: HallState, keys: list[tuple[str, str]]) -> list[tuple[str, str, int, int]]:
    assert state.policy is not None
    watched = [key for key in keys if key[0] in state.policy.evaluation.watch]
    counts = [(rule, subject, state.noted.get(f"{rule}:{subject}", 0) + 1) for rule, subject in watched]
    return [(rule, subject, count, LIMITS[rule]) for rule, subject, count in counts if count == LIMITS[rule]]


def _raise(
    state: HallState, found: list[tuple[str, str, int, int]], evidence: tuple[int, ...], at_ms: int
) -> list[Fact]:
    assert state.policy is not None
    day = local_day(state.policy, at_ms) if found else 0
    return [
        FindingRaised(state.next_finding + i, rule, subject, day, evidence, num, den)
        for i, (rule, subject, num, den) in enumerate(found)
    ]


def note_rating(state: HallState, evaluation: Evaluation, fact: EvaluationSubmitted) -> None:
    """Fold a rating into the counts of the day and the scores."""
    assert state.policy is not None
    watch = state.policy.evaluation.watch
    if not watch:
        return
    _count(state, _keys(evaluation, fact.level, fact.channel, fact.latency_ms, fact.device))
    if "CUSUM" in watch:
        for subject in _subjects(evaluation):
            score = cusum_step(state.cusum.pop(subject, 0), fact.level <= BAD_LEVEL)
            if 0 < score < ALARM:
                state.cusum[subject] = score


def note_rejected(state: HallState, fact: EvaluationRejected) -> None:
    """Fold a rejection into the counts of the day."""
    if state.policy is not None and state.policy.evaluation.watch:
        _count(state, _rejected_keys(fact))


def _count(state: HallState, keys: list[tuple[str, str]]) -> None:
    assert state.policy is not None
    for rule, subject in keys:
        if rule in state.policy.evaluation.watch:
            key = f"{rule}:{subject}"
            state.noted[key] = state.noted.get(key, 0) + 1
