"""core/rules_servings.py: decide and evolve for the act of service (办理)."""

from core.commands import FinishServing, StartServing
from core.counter import Counter, CounterState
from core.fact import Fact
from core.facts import EvaluationOpened
from core.facts_tickets import ServingFinished, ServingStarted
from core.forecast import note_completion
from core.policy import DAY_MS
from core.refusals import Refusal
from core.rules_seats import Decision, current
from core.rules_visits import errand_facts
from core.state import HallState
from core.ticket import Ticket

SENT_HOME = ("need_material", "declined")


def start(state: HallState, command: StartServing, at_ms: int, device: str) -> Decision:
    """The person has come."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    if counter.state is not CounterState.CALLED:
        return Refusal.WRONG_STATE
    return [ServingStarted(ticket.call, ticket.ticket, counter.counter)]


def finish(state: HallState, command: FinishServing, at_ms: int, device: str) -> Decision:
    """Done. Without a start, the finish implies it, where the policy says so."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    assert state.policy is not None
    if counter.state is CounterState.CALLED and state.policy.calling.start == "explicit":
        return Refusal.WRONG_STATE
    return finish_facts(state, counter, ticket, at_ms, command.outcome, command.project_ref)


def finish_facts(
    state: HallState, counter: Counter, ticket: Ticket, at_ms: int, outcome: str, project_ref: str = ""
) -> list[Fact]:
    """The end of a serving, the right to rate it, and the next step of the errand."""
    assert state.policy is not None
    implied = counter.state is CounterState.CALLED
    service = state.services[ticket.service]
    found = state.rules.services.get(service)
    begun_ms = ticket.called_ms if implied else ticket.started_ms
    facts: list[Fact] = [ServingStarted(ticket.call, ticket.ticket, counter.counter, True)] if implied else []
    finished = ServingFinished(
        call=ticket.call,
        ticket=ticket.ticket,
        counter=counter.counter,
        staff=counter.staff,
        service=service,
        department=found[1].department if found else "",
        outcome=outcome,
        handling_ms=ticket.handling_ms + at_ms - begun_ms,
        waited_ms=ticket.waited_ms,
        visit=ticket.visit,
        implied=implied,
        project_ref=project_ref,
    )
    due_ms = at_ms + state.policy.evaluation.window_days * DAY_MS
    department = finished.department
    opened = EvaluationOpened(
        ticket.call,
        due_ms,
        counter.staff,
        counter.counter,
        service,
        department,
        _person(state, ticket),
        finished.handling_ms,
    )
    facts += [finished, opened]
    return facts + errand_facts(state, ticket, at_ms, done=outcome not in SENT_HOME) if ticket.visit else facts


def _person(state: HallState, ticket: Ticket) -> str:
    """Whose errand it is, where that is known."""
    visit = state.visits.get(ticket.visit)
    return ticket.person_ref or (visit.person_ref if visit is not None else "")


def started(state: HallState, fact: ServingStarted, at_ms: int) -> None:
    """Fold a start; an implied one began with the call."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    state.counters[fact.counter].advance(fact)
    ticket.started_ms = ticket.called_ms if fact.implied else at_ms
    ticket.until_ms = 0


def finished(state: HallState, fact: ServingFinished, at_ms: int) -> None:
    """Fold a finish."""
    ticket, counter = state.tickets[fact.ticket], state.counters[fact.counter]
    ticket.advance(fact)
    counter.advance(fact)
    ticket.handling_ms = fact.handling_ms
    counter.last_call, counter.last_finished_ms = fact.call, at_ms
    state.tally.served += 1
    state.leave(ticket)
    if fact.visit and fact.visit in state.visits:
        visit = state.visits[fact.visit]
        visit.sent_home = visit.sent_home or fact.outcome in SENT_HOME
    note_completion(state, counter, at_ms)
    state.end(ticket)
