"""core/forecast.py: the people ahead and the expected wait that a ticket is told, and what teaches the estimate.

Printed, never used to choose. `ahead` is of the ticket's own service; `ahead_pool` of the largest set of services among
the counters that serve it, which feeds the estimate.
"""

from typing import NamedTuple

from core.counter import Counter
from core.facts_tickets import TicketCalled
from core.state import HallState
from core.ticket import Ticket


class Told(NamedTuple):
    """People ahead and, where one can be given, the estimate in seconds (P50, P90)."""

    ahead: int
    ahead_pool: int
    eta_s: int | None
    eta_p90_s: int | None


def foresee(state: HallState, service: int, cls: int, t_eff: int, t: int) -> Told:
    """What a ticket of this service, class and T would be told at `t`."""
    serial = state.serial(state.next_ticket)
    ahead = state.pool.ahead_of(serial, cls, t_eff, state.pool.service_view(service), t)
    return Told(ahead, ahead, None, None)


def note_arrival(state: HallState, ticket: Ticket, at_ms: int) -> None:
    """A ticket was taken."""


def note_call(state: HallState, ticket: Ticket, fact: TicketCalled, at_ms: int) -> None:
    """A ticket was called for the first time."""


def note_completion(state: HallState, counter: Counter, at_ms: int) -> None:
    """A counter is free again."""
