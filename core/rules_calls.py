"""core/rules_calls.py: decide and evolve for calls: next, picked, recall, reported, missed, released, abandoned."""

from core.commands import AbandonTicket, CallNext, CallTicket, MissTicket, RecallTicket, ReleaseTicket, ReportCall
from core.counter import Counter, CounterState
from core.deadlines import Due
from core.fact import Fact
from core.facts_tickets import (
    CallAnnounced,
    CallAnnounceFailed,
    TicketAbandoned,
    TicketCalled,
    TicketEligible,
    TicketMissed,
    TicketRecalled,
    TicketReleased,
)
from core.forecast import note_call
from core.policy import MINUTE_MS
from core.refusals import Refusal
from core.rules_seats import Decision, busy, current, elsewhere, free_counter, own_counter, seat
from core.rules_servings import finish_facts
from core.rules_visits import errand_facts
from core.state import HallState
from core.ticket import State, Ticket
from core.why import Why


def call_next(state: HallState, command: CallNext, at_ms: int, device: str) -> Decision:
    """The counter's next ticket, or why there is none. Reads only. O(classes)."""
    assert state.policy is not None
    ends = state.policy.calling.next_while_serving == "finish"
    counter = free_counter(state, command.counter, device, serving_may_end=ends)
    if isinstance(counter, Refusal):
        return counter
    facts: list[Fact] = []
    if counter.state is CounterState.SERVING:
        facts = finish_facts(state, counter, state.tickets[counter.ticket], at_ms, "done")
        if counter.pause_pending:
            return Refusal.COUNTER_PAUSED
    t = state.t(at_ms)
    serial = state.pool.peek(counter.profile, t)
    if serial is None:
        return _idle_release(state, counter, at_ms, facts)
    why = state.pool.why(counter.profile, t, state.policy.version)
    ticket = state.tickets[state.ticket_of(serial)]
    return [*facts, called_fact(state, counter, ticket, at_ms, why)]


def _idle_release(state: HallState, counter: Counter, at_ms: int, facts: list[Fact]) -> Decision:
    """An early booking, sooner than its time, only since the counter would otherwise stay idle."""
    assert state.policy is not None
    skills = state.pool.skills_of(counter.profile)
    early = [
        ticket
        for ticket in state.tickets.values()
        if ticket.eligible_ms and ticket.state is State.WAITING and ticket.service in skills.primary
        if not busy(state, ticket)
    ]
    if not early:
        return Refusal.NOTHING_ELIGIBLE
    ticket = min(early, key=lambda one: (one.t_eff_ms, one.ticket))
    head = (ticket.cls, state.serial(ticket.ticket), state.t(ticket.t_eff_ms), 0, 1)
    why = Why("idle", state.policy.version, (head,), False, 0)
    released = TicketEligible(ticket.ticket, idle=True)
    return [*facts, released, called_fact(state, counter, ticket, at_ms, why)]


def call_ticket(state: HallState, command: CallTicket, at_ms: int, device: str) -> Decision:
    """A picked call (选呼): outside the ranking, with its reason, by policy only."""
    assert state.policy is not None
    if not state.policy.calling.picking:
        return Refusal.PICKING_FORBIDDEN
    counter = own_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return Refusal.TICKET_UNKNOWN
    counter = free_counter(state, command.counter, device)
    if isinstance(counter, Refusal):
        return counter
    if ticket.state is not State.WAITING:
        return Refusal.WRONG_STATE
    if busy(state, ticket):
        return Refusal.VISIT_BUSY
    skills = state.pool.skills_of(counter.profile)
    if ticket.service not in (*skills.primary, *skills.overflow):
        return Refusal.NOT_SKILLED
    serial, t = state.serial(ticket.ticket), state.t(at_ms)
    facts: list[Fact] = []
    if ticket.eligible:
        why = state.pool.why(counter.profile, t, state.policy.version, picked=serial)
    else:
        why = Why("picked", state.policy.version, ((ticket.cls, serial, state.t(ticket.t_eff_ms), 0, 1),), False, 0)
        facts.append(TicketEligible(ticket.ticket))
    return [*facts, called_fact(state, counter, ticket, at_ms, why, picked=True)]


def called_fact(
    state: HallState, counter: Counter, ticket: Ticket, at_ms: int, why: Why, *, picked: bool = False
) -> TicketCalled:
    """The fact of a call."""
    return TicketCalled(
        call=state.next_call,
        ticket=ticket.ticket,
        number=ticket.number,
        counter=counter.counter,
        staff=counter.staff,
        service=state.services[ticket.service],
        waited_ms=at_ms - ticket.taken_ms,
        why=why,
        picked=picked,
        first=not ticket.calls,
    )


def ticket_called(state: HallState, fact: TicketCalled, at_ms: int) -> None:
    """Fold a call. Decide has chosen."""
    ticket, counter = state.tickets[fact.ticket], state.counters[fact.counter]
    if not fact.picked and fact.why.rule != "idle":
        state.pool.note_call(counter.profile, fact.why.contested)
    ticket.advance(fact)
    counter.advance(fact)
    state.withdraw(ticket)
    seat(state, counter, ticket, fact.call, at_ms)
    counter.why = fact.why
    if fact.first:
        ticket.waited_ms = fact.waited_ms
        note_call(state, ticket, fact)


def recall(state: HallState, command: RecallTicket, at_ms: int, device: str) -> Decision:
    """Announce the called ticket again."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    if counter.state is not CounterState.CALLED:
        return Refusal.NOTHING_CALLED
    assert state.policy is not None
    if ticket.recalls >= state.policy.calling.max_recalls:
        return Refusal.RECALL_LIMIT
    if at_ms - ticket.last_recall_ms < state.policy.calling.recall_gap_s * 1000:
        return Refusal.RECALL_TOO_SOON
    return [TicketRecalled(ticket.call, ticket.ticket, counter.counter, ticket.recalls + 1)]


def recalled(state: HallState, fact: TicketRecalled, at_ms: int) -> None:
    """Fold a recall."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    ticket.recalls = fact.recalls
    ticket.last_recall_ms = at_ms


def report_call(state: HallState, command: ReportCall, at_ms: int, device: str) -> Decision:
    """Shown or spoken, or not."""
    if not 0 < command.call < state.next_call:
        return Refusal.CALL_UNKNOWN
    if command.call not in state.calls:
        return Refusal.CALL_OVER
    kind = CallAnnounced if command.ok else CallAnnounceFailed
    return [kind(command.call, command.zone, command.medium)]


def announced(state: HallState, fact: CallAnnounced | CallAnnounceFailed, at_ms: int) -> None:
    """An announcement changes no table."""


def miss(state: HallState, command: MissTicket, at_ms: int, device: str) -> Decision:
    """Nobody came."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    if counter.state is not CounterState.CALLED:
        return Refusal.WRONG_STATE
    return [missed_fact(state, ticket, at_ms)]


def missed_fact(state: HallState, ticket: Ticket, at_ms: int, *, timeout: bool = False) -> TicketMissed:
    """The fact of a miss: the last one allows no return, so its time is over at once."""
    assert state.policy is not None
    returns, times = state.policy.returns, ticket.misses + 1
    stay_ms = returns.return_min * MINUTE_MS if times <= len(returns.after) else 0
    return TicketMissed(ticket.call, ticket.ticket, ticket.counter, times, at_ms + stay_ms, timeout)


def missed(state: HallState, fact: TicketMissed, at_ms: int) -> None:
    """Fold a miss."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    state.counters[fact.counter].advance(fact)
    ticket.misses = fact.times
    ticket.until_ms = fact.return_until_ms
    state.deadlines.add(fact.return_until_ms, Due.RETURN_OVER, fact.ticket)
    state.leave(ticket)


def release(state: HallState, command: ReleaseTicket, at_ms: int, device: str) -> Decision:
    """Undo a call."""
    found = current(state, command.counter, device)
    if isinstance(found, Refusal):
        return found
    counter, ticket = found
    if counter.state is not CounterState.CALLED:
        return Refusal.WRONG_STATE
    return [TicketReleased(ticket.call, ticket.ticket, counter.counter, command.why)]


def released(state: HallState, fact: TicketReleased, at_ms: int) -> None:
    """Fold a release: where it was."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    state.counters[fact.counter].advance(fact)
    state.leave(ticket)
    state.admit(ticket)


def abandon(state: HallState, command: AbandonTicket, at_ms: int, device: str) -> Decision:
    """Left for good: the ticket named, or the one called at the counter."""
    if command.ticket:
        ticket = state.tickets.get(command.ticket)
        if ticket is None:
            return Refusal.TICKET_UNKNOWN
        if elsewhere(state, ticket, device):
            return Refusal.FORBIDDEN
    else:
        found = current(state, command.counter, device)
        if isinstance(found, Refusal):
            return found
        ticket = found[1]
    if ticket.state not in (State.CALLED, State.HELD, State.MISSED):
        return Refusal.WRONG_STATE
    at = ticket.counter if ticket.state is State.CALLED else 0
    return [TicketAbandoned(ticket.ticket, at, command.why), *errand_facts(state, ticket, at_ms)]


def abandoned(state: HallState, fact: TicketAbandoned, at_ms: int) -> None:
    """Fold an abandonment, at a counter or away from one."""
    ticket = state.tickets[fact.ticket]
    if ticket.state is State.HELD:
        state.unhold(ticket)
    ticket.advance(fact)
    if fact.counter:
        state.counters[fact.counter].advance(fact)
        state.leave(ticket)
    state.tally.abandoned += 1
    state.end(ticket)
