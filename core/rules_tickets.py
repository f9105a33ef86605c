"""core/rules_tickets.py: decide and evolve for a ticket away from counters: take, print, cancel, return.

`decide` rules read and return facts or a Refusal; `evolve` rules write and never ask. Guards stand in the order
envelope, permission, existence, state, limits.
"""

from core.commands import CancelTicket, ReclassTicket, ReportPrint, ReprintTicket, RequeueTicket, TakeTicket
from core.deadlines import Due
from core.fact import Fact
from core.facts_tickets import (
    TicketCancelled,
    TicketEligible,
    TicketPrinted,
    TicketPrintFailed,
    TicketReclassed,
    TicketReprinted,
    TicketRequeued,
    TicketTaken,
)
from core.forecast import note_arrival
from core.policy import ServicePart
from core.refusals import Refusal
from core.rules_seats import Decision
from core.rules_visits import errand_facts, exhausted, has_open, next_number, taken_fact, visit_of
from core.state import HallState
from core.ticket import OPEN, State, Ticket

ORDINARY = "ordinary"
BOOKED = "booked"


def take(state: HallState, command: TakeTicket, at_ms: int, device: str) -> Decision:
    """A number for a service, or why there is none."""
    if command.number and not _own_number(state, command.number, device):
        return Refusal.FORBIDDEN
    found = state.rules.services.get(command.service)
    if found is None or (command.plan and any(step not in state.rules.services for step in command.plan)):
        return Refusal.SERVICE_UNKNOWN
    service, part = found
    if command.cls not in state.rules.classes:
        return Refusal.CLASS_UNKNOWN
    visit, opened = visit_of(state, command)
    if isinstance(visit, Refusal):
        return visit
    no = _not_now(state, command, service, at_ms, device) or _limit(state, command, service, part, at_ms, device)
    if no is not None:
        return no
    happened_ms = max(state.day_start_ms, min(command.happened_ms or at_ms, at_ms)) if command.number else 0
    taken = taken_fact(
        state,
        part,
        command.cls,
        at_ms,
        number=command.number or next_number(state, part.prefix),
        t_eff_ms=happened_ms or at_ms,
        visit=visit,
        origin="kiosk" if device else "web",
        command=command,
        happened_ms=happened_ms,
    )
    return [*opened, taken]


def _own_number(state: HallState, number: str, device: str) -> bool:
    """Whether a number printed while a kiosk was cut off is of its own prefix: a longer one is another's."""
    known = state.devices.get(device)
    own = known.offline_prefix if known is not None else ""
    return bool(own) and number.startswith(own) and number[len(own) :].isdecimal() and number.isascii()


def _not_now(state: HallState, command: TakeTicket, service: int, at_ms: int, device: str) -> Refusal | None:
    """Opening hours, one open ticket a person and service; neither undoes a slip that is in somebody's hand."""
    if not state.day_is_open or not (command.number or open_at(state, at_ms) or _round_the_clock(state, device)):
        return Refusal.HALL_CLOSED
    taken = not command.number and has_open(state, command.person_ref, service)
    return Refusal.OPEN_TICKET_EXISTS if taken else None


def _round_the_clock(state: HallState, device: str) -> bool:
    """Whether this is a terminal that gives numbers at any hour."""
    assert state.policy is not None
    known = state.devices.get(device)
    return state.policy.tickets.self_service == "always" and known is not None and known.kind == "self_service"


def open_at(state: HallState, at_ms: int) -> bool:
    """Whether numbers are given at this time: from some minutes before a period to its end."""
    assert state.policy is not None
    early_ms = state.policy.tickets.take_early_min * 60_000
    return any(start - early_ms <= at_ms < end for start, end in state.periods)


def _limit(
    state: HallState, command: TakeTicket, service: int, part: ServicePart, at_ms: int, device: str
) -> Refusal | None:
    """Classes of the service, the double press, quota, numbers."""
    assert state.policy is not None
    if not _allowed(part, command.cls):
        return Refusal.CLASS_NOT_ALLOWED
    known = state.devices.get(device)
    again = known is not None and not command.number and known.last_service == service
    if again and known is not None and at_ms - known.last_take_ms < state.policy.tickets.press_gap_ms:
        return Refusal.PRESSED_TWICE
    if part.quota_day and not command.number and state.taken_of.get(service, 0) >= part.quota_day:
        return Refusal.QUOTA_FULL
    if command.number:
        return Refusal.NUMBER_TAKEN if command.number in state.printed else None
    return Refusal.NUMBERS_EXHAUSTED if exhausted(state, part.prefix) else None


def _allowed(part: ServicePart, cls: str) -> bool:
    """Whether a service takes this class when asked: booked comes through check-in only."""
    return cls != BOOKED and (not part.classes or cls in part.classes)


def ticket_taken(state: HallState, fact: TicketTaken, at_ms: int) -> None:
    """Fold a take: the ticket waits."""
    service = state.rules.services[fact.service][0]
    ticket = Ticket(
        ticket=fact.ticket,
        number=fact.number,
        service=service,
        cls=state.rules.classes[fact.cls],
        taken_ms=fact.happened_ms or at_ms,
        t_eff_ms=fact.t_eff_ms,
        eligible_ms=fact.eligible_ms,
        visit=fact.visit,
        lang=fact.lang,
        person_ref=fact.person_ref,
        told_p50_ms=(fact.eta_s or 0) * 1000,
        told_p90_ms=(fact.eta_p90_s or 0) * 1000,
        ahead_told=fact.ahead_pool,
    )
    state.tickets[fact.ticket] = ticket
    state.next_ticket = fact.ticket + 1
    state.tally.taken += 1
    state.taken_of[service] = state.taken_of.get(service, 0) + 1
    if fact.offline:
        state.printed[fact.number] = fact.ticket
    else:
        prefix = fact.number.rstrip("0123456789")
        state.numbers[prefix] = int(fact.number[len(prefix) :])
    if fact.visit:
        visit = state.visits[fact.visit]
        visit.tickets.append(fact.ticket)
        if fact.origin == "step":
            del visit.plan[: visit.plan.index(fact.service) + 1]
    if fact.eligible_ms:
        state.deadlines.add(fact.eligible_ms, Due.ELIGIBLE, fact.ticket)
    if state.rules.alerts:
        state.told_s[service] = fact.eta_s or 0
    state.admit(ticket)
    note_arrival(state, ticket, at_ms)


def report_print(state: HallState, command: ReportPrint, at_ms: int, device: str) -> Decision:
    """The slip came out, or not; by policy a failed one cancels the ticket."""
    if command.ticket not in state.tickets:
        return Refusal.TICKET_UNKNOWN
    if command.ok:
        return [TicketPrinted(command.ticket)]
    assert state.policy is not None
    facts: list[Fact] = [TicketPrintFailed(command.ticket, command.fault)]
    waits = state.tickets[command.ticket].state is State.WAITING
    if waits and state.policy.tickets.on_print_failed == "cancel":
        facts.append(TicketCancelled(command.ticket, "print_failed"))
        facts += errand_facts(state, state.tickets[command.ticket], at_ms)
    return facts


def reprint(state: HallState, command: ReprintTicket, at_ms: int, device: str) -> Decision:
    """The slip once more."""
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return Refusal.TICKET_UNKNOWN
    if ticket.state not in OPEN:
        return Refusal.WRONG_STATE
    assert state.policy is not None
    if ticket.reprints >= state.policy.tickets.reprints:
        return Refusal.REPRINT_LIMIT
    return [TicketReprinted(ticket.ticket, ticket.reprints + 1)]


def cancel(state: HallState, command: CancelTicket, at_ms: int, device: str) -> Decision:
    """The place is given up; never while it is at a counter."""
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return Refusal.TICKET_UNKNOWN
    if ticket.state not in (State.WAITING, State.HELD, State.MISSED):
        return Refusal.WRONG_STATE
    return [TicketCancelled(ticket.ticket, command.why), *errand_facts(state, ticket, at_ms)]


def reclass(state: HallState, command: ReclassTicket, at_ms: int, device: str) -> Decision:
    """Another class; T and number stay."""
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return Refusal.TICKET_UNKNOWN
    if command.cls not in state.rules.classes:
        return Refusal.CLASS_UNKNOWN
    if ticket.state is not State.WAITING:
        return Refusal.WRONG_STATE
    if not _allowed(state.rules.services[state.services[ticket.service]][1], command.cls):
        return Refusal.CLASS_NOT_ALLOWED
    return [TicketReclassed(ticket.ticket, command.cls, command.why)]


def requeue(state: HallState, command: RequeueTicket, at_ms: int, device: str) -> Decision:
    """Back after a missed call: behind the N-th now waiting for the service."""
    ticket = state.tickets.get(command.ticket)
    if ticket is None:
        return Refusal.TICKET_UNKNOWN
    if ticket.state is not State.MISSED:
        return Refusal.WRONG_STATE
    assert state.policy is not None
    after = state.policy.returns.after
    if ticket.misses > len(after):
        return Refusal.REQUEUE_LIMIT
    if at_ms >= ticket.until_ms:
        return Refusal.RETURN_OVER
    t_eff = state.pool.reentry_t(
        ticket.service, ticket.cls, state.t(ticket.t_eff_ms), state.t(at_ms), after[ticket.misses - 1]
    )
    return [TicketRequeued(ticket.ticket, t_eff + state.day_start_ms, ticket.misses)]


def printed(state: HallState, fact: TicketPrinted | TicketPrintFailed, at_ms: int) -> None:
    """A slip changes no ticket."""


def reprinted(state: HallState, fact: TicketReprinted, at_ms: int) -> None:
    """Fold a reprint."""
    state.tickets[fact.ticket].reprints = fact.times


def cancelled(state: HallState, fact: TicketCancelled, at_ms: int) -> None:
    """Fold a cancellation."""
    ticket = state.tickets[fact.ticket]
    if ticket.state is State.HELD:
        state.unhold(ticket)
    ticket.advance(fact)
    state.tally.cancelled += 1
    state.end(ticket)


def reclassed(state: HallState, fact: TicketReclassed, at_ms: int) -> None:
    """Fold a change of class: another list, same key."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    state.withdraw(ticket)
    ticket.cls = state.rules.classes[fact.cls]
    state.admit(ticket)


def requeued(state: HallState, fact: TicketRequeued, at_ms: int) -> None:
    """Fold a return."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    ticket.t_eff_ms = fact.t_eff_ms
    ticket.until_ms = 0
    state.admit(ticket)


def eligible(state: HallState, fact: TicketEligible, at_ms: int) -> None:
    """Fold the release of an early booking."""
    ticket = state.tickets[fact.ticket]
    ticket.advance(fact)
    ticket.eligible_ms = 0
    state.admit(ticket)
