"""core/forecast.py: the people ahead and the expected wait that a ticket is told, and what teaches the estimate.

Printed, never used to choose. `ahead` is of the ticket's own service; `ahead_pool` of the largest set of services among
the open counters that serve it, which feeds the estimate. One model a set of services, folded from the facts.
"""

from typing import NamedTuple

from core.counter import Counter, CounterState
from core.facts_tickets import TicketCalled
from core.state import HallState
from core.ticket import Ticket
from core.waiting import WaitModel


class Told(NamedTuple):
    """People ahead and, where one can be given, the estimate in seconds (P50, P90)."""

    ahead: int
    ahead_pool: int
    eta_s: int | None
    eta_p90_s: int | None


def foresee(state: HallState, service: int, cls: int, t_eff: int, t: int) -> Told:
    """What a ticket of this service, class and T would be told at `t`."""
    pool, serial = state.pool, state.serial(state.next_ticket)
    ahead = pool.ahead_of(serial, cls, t_eff, pool.service_view(service), t)
    views = state.open_views(service)
    if not views:
        return Told(ahead, ahead, None, None)
    view = max(views, key=pool.length)
    ahead_pool = pool.ahead_of(serial, cls, t_eff, view, t)
    if not ahead_pool and _somebody_free(state, service):
        return Told(ahead, 0, 0, 0)
    model = state.waits.get(view)
    estimate = model.estimate(ahead_pool, cls, False) if model is not None else None
    if estimate is None:
        return Told(ahead, ahead_pool, None, None)
    return Told(ahead, ahead_pool, estimate.p50_ms // 1000, estimate.p90_ms // 1000)


def _somebody_free(state: HallState, service: int) -> bool:
    return any(
        counter.state is CounterState.IDLE and service in state.pool.skills_of(counter.profile).primary
        for counter in state.counters.values()
    )


def model_of(state: HallState, view: int) -> WaitModel:
    """The model of a set of services, made when first needed."""
    model = state.waits.get(view)
    if model is None:
        model = state.waits[view] = WaitModel(state.pool.classes())
    return model


def note_arrival(state: HallState, ticket: Ticket, at_ms: int) -> None:
    """A ticket joined every pool that serves it."""
    for view in state.open_views(ticket.service):
        model = state.waits.get(view) or model_of(state, view)
        if ticket.cls < len(model.arrivals):
            model.arrivals[ticket.cls].note(at_ms)  # as nearly always, without a call in between
        else:
            model.note_arrival(at_ms, ticket.cls)


def note_call(state: HallState, ticket: Ticket, fact: TicketCalled) -> None:
    """A ticket was called for the first time: the estimate learns how it came out."""
    view = state.pool.view_of(state.counters[fact.counter].profile)
    model_of(state, view).note_call(fact.waited_ms, ticket.told_p50_ms, ticket.told_p90_ms, ticket.ahead_told)


def note_skills(state: HallState, before: int, after: int) -> None:
    """A counter moved between two sets of services: how fast each is served is unknown again."""
    if not state.pool.has_view(before):
        state.waits.pop(before, None)
    for view in dict.fromkeys((before, after)):
        model = state.waits.get(view)
        if model is not None:
            model.renew()


def note_completion(state: HallState, counter: Counter, at_ms: int) -> None:
    """A counter is free again."""
    view = state.pool.view_of(counter.profile)
    model_of(state, view).note_completion(at_ms, state.pool.anybody(view))
