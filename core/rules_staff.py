"""core/rules_staff.py: decide and evolve for postings (派驻), rotation, return, and counters that nobody sits at."""

from core.commands_cases import PostStaff, ReturnStaff, RotateStaff
from core.conduct import FindingState, Posting, months_between
from core.deadlines import Due
from core.fact import Fact
from core.facts_cases import (
    CounterCovered,
    CounterUncovered,
    FindingRaised,
    StaffPosted,
    StaffReturned,
    StaffRotated,
)
from core.policy import MINUTE_MS
from core.refusals import Refusal
from core.rules_seats import Decision
from core.state import HallState
from core.worktime import is_day, local_day


def post(state: HallState, command: PostStaff, at_ms: int, device: str) -> Decision:
    """A department sends somebody. Without a letter it is a finding, not a refusal."""
    if not is_day(command.day):
        return Refusal.BAD_FIELD
    known = state.postings.get(command.staff)
    if known is not None and not known.over(command.day):
        return Refusal.POSTED_ALREADY
    facts: list[Fact] = [StaffPosted(command.staff, command.department, command.day, command.letter_ref)]
    return [*facts, *_marks(state, command.staff, at_ms, [] if command.letter_ref else [("no_letter", 0, 0)])]


def rotate(state: HallState, command: RotateStaff, at_ms: int, device: str) -> Decision:
    """The posting ends. Too short, without a letter, or with nobody to follow: findings for a person."""
    posting = state.postings.get(command.staff)
    if posting is None or posting.over(state.day):
        return Refusal.NOT_POSTED
    if not is_day(command.day) or command.day < posting.first or command.successor == command.staff:
        return Refusal.BAD_FIELD
    assert state.policy is not None
    least = state.policy.conduct.min_posting_months
    served = months_between(posting.first, command.day)
    marks = [("posting_short", served, least)] if served < least else []
    marks += [] if command.letter_ref else [("no_letter", 0, 0)]
    marks += [] if command.successor else [("handover_gap", 0, 0)]
    rotated = StaffRotated(command.staff, command.day, command.successor, command.letter_ref)
    return [rotated, *_marks(state, command.staff, at_ms, marks)]


def _marks(state: HallState, subject: str, at_ms: int, marks: list[tuple[str, int, int]]) -> list[Fact]:
    assert state.policy is not None
    day = local_day(state.policy, at_ms)
    first = state.next_finding
    return [FindingRaised(first + i, rule, subject, day, (), num, den) for i, (rule, num, den) in enumerate(marks)]


def send_back(state: HallState, command: ReturnStaff, at_ms: int, device: str) -> Decision:
    """Returned to the department: only on a finding about this clerk that a person has confirmed."""
    posting = state.postings.get(command.staff)
    if posting is None or posting.returned:
        return Refusal.NOT_POSTED
    finding = state.findings.get(command.finding)
    if finding is None:
        return Refusal.FINDING_UNKNOWN
    confirmed = finding.state is FindingState.REVIEWED and finding.decision == "confirmed"
    if not confirmed or finding.subject != command.staff:
        return Refusal.FINDING_UNREVIEWED
    assert state.policy is not None
    return [StaffReturned(command.staff, command.finding, local_day(state.policy, at_ms))]


def may_sign_on(state: HallState, staff: str) -> bool:
    """Not after the last day of a posting, nor after a return; who was never posted here may."""
    posting = state.postings.get(staff)
    return posting is None or not posting.over(state.day)


def arrival_facts(state: HallState, staff: str, counter: int, at_ms: int) -> list[Fact]:
    """What a sign-on means beside itself: the counter is covered; a successor who came too late."""
    facts: list[Fact] = [CounterCovered(counter)] if state.counters[counter].uncovered else []
    left = [one.last for one in state.postings.values() if one.successor == staff and not one.met]
    late = [last for last in left if state.day > last]
    return [*facts, *_marks(state, staff, at_ms, [("handover_gap", state.day, max(late))] if late else [])]


def posted(state: HallState, fact: StaffPosted, at_ms: int) -> None:
    """Fold a posting."""
    state.postings[fact.staff] = Posting(fact.staff, fact.department, fact.day)


def rotated(state: HallState, fact: StaffRotated, at_ms: int) -> None:
    """Fold a last day."""
    posting = state.postings[fact.staff]
    posting.last, posting.successor = fact.day, fact.successor


def returned(state: HallState, fact: StaffReturned, at_ms: int) -> None:
    """Fold a return."""
    state.postings[fact.staff].returned = True


def met(state: HallState, staff: str) -> None:
    """A successor has signed on for the first time since."""
    for one in state.postings.values():
        if one.successor == staff:
            one.met = True


# Coverage.


def watch_counters(state: HallState) -> None:
    """When each empty counter will have been empty too long, by the periods of now."""
    for counter in state.counters.values():
        due_ms = state.uncovered_due(counter)
        if due_ms:
            state.deadlines.add(due_ms, Due.UNCOVERED, counter.counter)


def uncovered_facts(state: HallState, counter: int, due_ms: int) -> list[Fact]:
    """What time brings: nobody has come."""
    assert state.policy is not None
    return [CounterUncovered(counter, due_ms - state.policy.conduct.uncovered_min * MINUTE_MS)]


def uncovered(state: HallState, fact: CounterUncovered, at_ms: int) -> None:
    """Fold an empty counter."""
    state.counters[fact.counter].uncovered = True


def covered(state: HallState, fact: CounterCovered, at_ms: int) -> None:
    """Fold its end."""
    state.counters[fact.counter].uncovered = False
