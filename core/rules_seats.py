"""core/rules_seats.py: which counter is meant, whether it can take a ticket, and how a ticket comes to sit at it."""

from core.counter import Counter, CounterState
from core.deadlines import Due
from core.fact import Fact
from core.refusals import Refusal
from core.state import HallState
from core.ticket import AT_COUNTER, State, Ticket

Decision = list[Fact] | Refusal
LAST_CALLS = 12


def own_counter(state: HallState, no: int, device: str) -> Counter | Refusal:
    """The counter meant: the number, or the device's own. A device of one counter speaks for no other."""
    known = state.devices.get(device)
    own = known.counter if known is not None else 0
    if no and own and no != own:
        return Refusal.FORBIDDEN
    return state.counters.get(no or own) or Refusal.COUNTER_UNKNOWN


def elsewhere(state: HallState, ticket: Ticket, device: str) -> bool:
    """Whether the ticket is at, or held at, another counter than the one whose device asks."""
    known = state.devices.get(device)
    own = known.counter if known is not None else 0
    return bool(own) and ticket.state in (*AT_COUNTER, State.HELD) and ticket.counter != own


def free_counter(state: HallState, no: int, device: str, *, serving_may_end: bool = False) -> Counter | Refusal:
    """The counter meant, if it can take a ticket now."""
    counter = own_counter(state, no, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is CounterState.IDLE or (serving_may_end and counter.state is CounterState.SERVING):
        return counter
    return _BUSY[counter.state]


_BUSY = {
    CounterState.CLOSED: Refusal.NOT_SIGNED_ON,
    CounterState.PAUSED: Refusal.COUNTER_PAUSED,
    CounterState.CALLED: Refusal.COUNTER_BUSY,
    CounterState.SERVING: Refusal.COUNTER_BUSY,
}


def current(state: HallState, no: int, device: str) -> tuple[Counter, Ticket] | Refusal:
    """The counter meant and the ticket that is at it."""
    counter = own_counter(state, no, device)
    if isinstance(counter, Refusal):
        return counter
    if counter.state is CounterState.CLOSED:
        return Refusal.NOT_SIGNED_ON
    if not counter.ticket:
        return Refusal.NOTHING_CALLED
    return counter, state.tickets[counter.ticket]


def busy(state: HallState, ticket: Ticket) -> bool:
    visit = state.visits.get(ticket.visit)
    return visit is not None and bool(visit.busy)


def seat(state: HallState, counter: Counter, ticket: Ticket, call: int, at_ms: int) -> None:
    """The ticket is at the counter under this call; the rest of its visit steps back."""
    assert state.policy is not None
    counter.ticket, counter.call, counter.newest_call = ticket.ticket, call, call
    ticket.counter, ticket.call, ticket.called_ms, ticket.recalls = counter.counter, call, at_ms, 0
    ticket.last_recall_ms = at_ms
    ticket.calls += 1
    timeout_s = state.policy.calling.arrive_timeout_s
    ticket.until_ms = at_ms + timeout_s * 1000 if timeout_s else 0
    if timeout_s:
        state.deadlines.add(ticket.until_ms, Due.NO_ARRIVAL, ticket.ticket)
    state.calls[call] = ticket.ticket
    state.next_call = call + 1
    last = state.last_calls
    last.append((call, ticket.number, counter.counter))
    if len(last) > LAST_CALLS:
        del last[0]
    state.occupy(ticket)
