"""core/rules_visits.py: the errand (办事) that tickets belong to, and the fact that every kind of take shares."""

from core.commands import TakeTicket
from core.fact import Fact
from core.facts_tickets import TicketTaken, VisitClosed, VisitOpened
from core.forecast import foresee
from core.policy import ServicePart
from core.refusals import Refusal
from core.state import HallState
from core.ticket import Ticket
from core.visit import Visit


def visit_of(state: HallState, command: TakeTicket) -> tuple[int | Refusal, list[Fact]]:
    """The visit a take belongs to, and the fact that opens it. 0: the ticket stands alone. Nobody joins another's."""
    if command.visit:
        joined = state.visits.get(command.visit)
        if joined is None:
            return Refusal.VISIT_CLOSED if command.visit < state.next_visit else Refusal.VISIT_UNKNOWN, []
        stranger = command.person_ref and command.person_ref != joined.person_ref
        return Refusal.VISIT_UNKNOWN if stranger else command.visit, []
    if not command.person_ref and not command.plan:
        return 0, []
    return errand_of(state, command.person_ref, command.plan)


def errand_of(state: HallState, person_ref: str, plan: tuple[str, ...] = ()) -> tuple[int, list[Fact]]:
    """The errand a person is on already, or a new one with the fact that opens it."""
    known = state.visit_of_person.get(person_ref, 0) if person_ref else 0
    if known:
        return known, []
    return state.next_visit, [VisitOpened(visit=state.next_visit, person_ref=person_ref, plan=plan)]


def has_open(state: HallState, person_ref: str, service: int) -> bool:
    """Whether this person has an open ticket for the service already and may have one only."""
    assert state.policy is not None
    if not person_ref or not state.policy.tickets.one_open_per_person:
        return False
    visit = state.visits.get(state.visit_of_person.get(person_ref, 0))
    return visit is not None and any(state.tickets[ticket].service == service for ticket in visit.tickets)


def exhausted(state: HallState, prefix: str) -> bool:
    """Whether every number of a prefix is given out today."""
    assert state.policy is not None
    return len(str(state.numbers.get(prefix, 0) + 1)) > state.policy.tickets.digits


def next_number(state: HallState, prefix: str) -> str:
    """The next number of a prefix today, `A012`."""
    assert state.policy is not None
    return f"{prefix}{state.numbers.get(prefix, 0) + 1:0{state.policy.tickets.digits}d}"


def taken_fact(
    state: HallState,
    part: ServicePart,
    cls: str,
    at_ms: int,
    *,
    number: str,
    t_eff_ms: int,
    visit: int = 0,
    origin: str = "kiosk",
    eligible_ms: int = 0,
    booking: int = 0,
    command: TakeTicket | None = None,
    happened_ms: int = 0,
    person_ref: str = "",
) -> TicketTaken:
    """The fact of a take: the people ahead and the estimate are told once and stand in it."""
    service, klass, t = state.rules.services[part.code][0], state.rules.classes[cls], state.t(at_ms)
    told = foresee(state, service, klass, state.t(t_eff_ms), t)
    return TicketTaken(
        ticket=state.next_ticket,
        number=number,
        day=state.day,
        service=part.code,
        cls=cls,
        t_eff_ms=t_eff_ms,
        ahead=told.ahead,
        eta_s=told.eta_s,
        eta_p90_s=told.eta_p90_s,
        visit=visit,
        eligible_ms=eligible_ms,
        origin=origin,
        person_ref=command.person_ref if command else person_ref,
        assisted_by=command.assisted_by if command else "",
        lang=command.lang if command else "",
        party=command.party if command else 1,
        booking=booking,
        happened_ms=happened_ms,
        offline=bool(command and command.number),
        ahead_pool=told.ahead_pool,
    )


def visit_opened(state: HallState, fact: VisitOpened, at_ms: int) -> None:
    """Fold the opening of an errand."""
    state.visits[fact.visit] = Visit(fact.visit, at_ms, fact.person_ref, plan=list(fact.plan))
    if fact.person_ref:
        state.visit_of_person[fact.person_ref] = fact.visit
    state.next_visit = fact.visit + 1


def errand_facts(state: HallState, ticket: Ticket, at_ms: int, *, done: bool = False) -> list[Fact]:
    """What the end of `ticket` means for its visit: the next step of the plan if this one is `done`, or its close."""
    visit = state.visits.get(ticket.visit)
    if visit is None or visit.tickets != [ticket.ticket]:
        return []
    steps = [code for code in visit.plan if code in state.rules.services]
    if not steps or not done:
        return [VisitClosed(visit.visit, once_done=done and not visit.sent_home)]
    part = state.rules.services[steps[0]][1]
    number = next_number(state, part.prefix)
    cls = state.rules.class_codes[ticket.cls]
    step = taken_fact(
        state, part, cls, at_ms, number=number, t_eff_ms=visit.started_ms, visit=visit.visit, origin="step"
    )
    return [step]


def visit_closed(state: HallState, fact: VisitClosed, at_ms: int) -> None:
    """Fold the end of an errand."""
    visit = state.visits.pop(fact.visit)
    state.visit_of_person.pop(visit.person_ref, None)
