"""core/rules_counters.py: decide and evolve for who sits at a counter, pauses, and what it serves."""

from core import rules_staff
from core.commands import PauseCounter, ResumeCounter, SetSkills, SignOffStaff, SignOnStaff
from core.counter import CounterState
from core.deadlines import Due
from core.facts import CounterPaused, CounterResumed, CounterSkillsSet, StaffSignedOff, StaffSignedOn
from core.forecast import note_skills
from core.policy import MINUTE_MS
from core.ranking import Skills
from core.refusals import Refusal
from core.rules_seats import Decision, own_counter
from core.state import HallState


def sign_on(state: HallState, command: SignOnStaff, at_ms: int, device: str) -> Decision:
    """A clerk sits down where nobody sits; nobody sits at two counters."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is not CounterState.CLOSED:
        return Refusal.COUNTER_TAKEN
    if any(other.staff == command.staff for other in state.counters.values()):
        return Refusal.STAFF_ELSEWHERE
    if not rules_staff.may_sign_on(state, command.staff):
        return Refusal.NOT_POSTED
    signed = StaffSignedOn(counter.counter, command.staff, command.substitute_for)
    return [signed, *rules_staff.arrival_facts(state, command.staff, counter.counter, at_ms)]


def sign_off(state: HallState, command: SignOffStaff, at_ms: int, device: str) -> Decision:
    """The clerk leaves; not with somebody at the counter."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is CounterState.CLOSED:
        return Refusal.NOT_SIGNED_ON
    if counter.ticket:
        return Refusal.COUNTER_BUSY
    return [StaffSignedOff(counter.counter, counter.staff)]


def pause(state: HallState, command: PauseCounter, at_ms: int, device: str) -> Decision:
    """No calls for a while; with somebody at the counter only after that."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is CounterState.CLOSED:
        return Refusal.NOT_SIGNED_ON
    if counter.state is CounterState.PAUSED or counter.pause_pending:
        return Refusal.COUNTER_PAUSED
    if counter.ticket and not command.after_current:
        return Refusal.COUNTER_BUSY
    return [CounterPaused(counter.counter, command.why, pending=bool(counter.ticket))]


def resume(state: HallState, command: ResumeCounter, at_ms: int, device: str) -> Decision:
    """Calls again. A pause that is only pending cannot be taken back."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is not CounterState.PAUSED:
        return Refusal.NOT_PAUSED
    return [CounterResumed(counter.counter)]


def set_skills(state: HallState, command: SetSkills, at_ms: int, device: str) -> Decision:
    """What the counter serves from now on."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    known = state.rules.services
    if not command.primary or any(code not in known for code in (*command.primary, *command.overflow)):
        return Refusal.SERVICE_UNKNOWN
    overflow = tuple(code for code in command.overflow if code not in command.primary)
    return [CounterSkillsSet(counter.counter, command.primary, overflow, command.theta_min * MINUTE_MS)]


def signed_on(state: HallState, fact: StaffSignedOn, at_ms: int) -> None:
    """Fold a sign-on."""
    counter = state.counters[fact.counter]
    counter.advance(fact)
    counter.staff = fact.staff
    state.views_open = {}
    rules_staff.met(state, fact.staff)


def signed_off(state: HallState, fact: StaffSignedOff, at_ms: int) -> None:
    """Fold a sign-off."""
    counter = state.counters[fact.counter]
    counter.advance(fact)
    counter.staff = ""
    counter.closed_ms = at_ms
    state.views_open = {}
    due_ms = state.uncovered_due(counter)
    if due_ms:
        state.deadlines.add(due_ms, Due.UNCOVERED, counter.counter)


def paused(state: HallState, fact: CounterPaused, at_ms: int) -> None:
    """Fold a pause, or the wish for one."""
    counter = state.counters[fact.counter]
    counter.advance(fact)
    counter.pause_pending = fact.pending


def resumed(state: HallState, fact: CounterResumed, at_ms: int) -> None:
    """Fold the end of a pause."""
    state.counters[fact.counter].advance(fact)


def skills_set(state: HallState, fact: CounterSkillsSet, at_ms: int) -> None:
    """Fold new skills: the ranking keeps one view a distinct set."""
    counter = state.counters[fact.counter]
    counter.advance(fact)
    index = state.rules.services
    skills = Skills(
        primary=tuple(index[code][0] for code in fact.primary),
        overflow=tuple(index[code][0] for code in fact.overflow),
        theta_ms=fact.theta_ms,
    )
    before = state.pool.view_of(counter.profile)
    counter.profile = state.pool.set_profile(fact.counter, skills)
    state.views_open = {}
    note_skills(state, before, state.pool.view_of(counter.profile))
