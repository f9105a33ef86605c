"""core/rules_holds.py: decide and evolve for a ticket set aside, called back, or sent on to another service."""

from core.commands import HoldTicket, ResumeTicket, TransferTicket
from core.deadlines import Due
from core.facts_tickets import TicketHeld, TicketResumed, TicketTransferred
from core.policy import MINUTE_MS
from core.refusals import Refusal
from core.rules_seats import Decision, busy, current, elsewhere, free_counter, own_counter, seat
from core.rules_visits import has_open
from core.state import HallState
from core.ticket import State, Ticket


def hold(state: HallState, command: HoldTicket, at_ms: int, device: str) -> Decision:
    """Set the current ticket aside."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    assert state.policy is not None
    returns = state.policy.returns
    if len(state.held.get(counter.counter, ())) >= returns.holds:
        return Refusal.HOLD_LIMIT
    until_ms = at_ms + returns.hold_max_min * MINUTE_MS
    return [TicketHeld(ticket.ticket, ticket.call, counter.counter, ticket.holds + 1, until_ms, command.why)]


def held(state: HallState, fact: TicketHeld, at_ms: int) -> None:
    """Fold a hold; the handling so far is kept."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    state.counters[fact.counter].advance(fact)
    ticket.handling_ms += at_ms - ticket.started_ms if ticket.started_ms else 0
    ticket.started_ms = 0
    ticket.holds = fact.holds
    ticket.until_ms = fact.until_ms
    state.deadlines.add(fact.until_ms, Due.HOLD_OVER, fact.ticket)
    state.held.setdefault(fact.counter, []).append(fact.ticket)
    state.leave(ticket)


def resume(state: HallState, command: ResumeTicket, at_ms: int, device: str) -> Decision:
    """Call a held ticket back to where it was held."""
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if command.ticket and command.ticket not in state.tickets:
        return Refusal.TICKET_UNKNOWN
    counter = free_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    here = state.held.get(counter.counter, [])
    if not command.ticket and not here:
        return Refusal.NOTHING_ELIGIBLE
    ticket = state.tickets[command.ticket or here[0]]
    if ticket.state is not State.HELD:
        return Refusal.WRONG_STATE
    if ticket.counter != counter.counter:
        return Refusal.HELD_ELSEWHERE
    if busy(state, ticket):
        return Refusal.VISIT_BUSY
    return [
        TicketResumed(
            call=state.next_call,
            ticket=ticket.ticket,
            number=ticket.number,
            counter=counter.counter,
            staff=counter.staff,
            service=state.services[ticket.service],
            waited_ms=ticket.waited_ms,
        )
    ]


def resumed(state: HallState, fact: TicketResumed, at_ms: int) -> None:
    """Fold a resumption."""
    ticket, counter = state.tickets[fact.ticket], state.counters[fact.counter]
    state.unhold(ticket)
    ticket.advance(fact)
    counter.advance(fact)
    seat(state, counter, ticket, fact.call, at_ms)
    counter.why = None


def transfer(state: HallState, command: TransferTicket, at_ms: int, device: str) -> Decision:
    """On to another service: the ticket named, or the current one of the counter."""
    counter = None if command.ticket else own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if command.ticket and command.ticket not in state.tickets:
        return Refusal.TICKET_UNKNOWN
    if command.ticket and elsewhere(state, state.tickets[command.ticket], device):
        return Refusal.FORBIDDEN
    if command.to_service not in state.rules.services:
        return Refusal.SERVICE_UNKNOWN
    if command.to_counter and command.to_counter not in state.counters:
        return Refusal.COUNTER_UNKNOWN
    found = state.tickets[command.ticket] if counter is None else current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    ticket = found if isinstance(found, Ticket) else found[1]
    if ticket.state not in (State.WAITING, State.CALLED, State.SERVING, State.HELD):
        return Refusal.WRONG_STATE
    if state.services[ticket.service] == command.to_service:
        return Refusal.SAME_TARGET
    hop = hop_fact(state, ticket, command.to_service, at_ms, to_counter=command.to_counter, why=command.why)
    return hop if isinstance(hop, Refusal) else [hop]


def hop_fact(
    state: HallState,
    ticket: Ticket,
    service: str,
    at_ms: int,
    *,
    to_counter: int = 0,
    why: str = "",
    diverted: bool = False,
) -> TicketTransferred | Refusal:
    """On to another service. Seniority is kept for the first hops, then the ticket starts anew."""
    assert state.policy is not None
    if has_open(state, ticket.person_ref, state.rules.services[service][0]):
        return Refusal.OPEN_TICKET_EXISTS
    hops = ticket.hops + 1
    if hops > state.policy.returns.max_hops:
        return Refusal.TRANSFER_LIMIT
    keeps = hops <= state.policy.returns.senior_hops
    return TicketTransferred(
        ticket=ticket.ticket,
        counter=ticket.counter if ticket.state in (State.CALLED, State.SERVING) else 0,
        service=service,
        t_eff_ms=ticket.t_eff_ms if keeps else max(at_ms, ticket.t_eff_ms),
        hops=hops,
        to_counter=to_counter,
        why=why,
        diverted=diverted,
    )


def transferred(state: HallState, fact: TicketTransferred, at_ms: int) -> None:
    """Fold a transfer: new service, new lists."""
    ticket = state.tickets[fact.ticket]
    if ticket.state is State.HELD:
        state.unhold(ticket)
    if ticket.state is State.WAITING:
        state.withdraw(ticket)
    ticket.advance(fact)
    if fact.counter:
        state.counters[fact.counter].advance(fact)
        ticket.handling_ms += at_ms - ticket.started_ms if ticket.started_ms else 0
        ticket.started_ms = 0
        state.leave(ticket)
    ticket.service = state.rules.services[fact.service][0]
    ticket.t_eff_ms, ticket.hops, ticket.to_counter = fact.t_eff_ms, fact.hops, fact.to_counter
    state.admit(ticket)
