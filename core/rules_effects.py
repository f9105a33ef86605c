"""core/rules_effects.py: react — which pictures and orders follow from a fact. Pure; nothing is sent here."""

from collections.abc import Callable
from typing import Final

from core.effects import Effects, Print, Say
from core.fact import Cause, Fact
from core.facts import (
    CounterPaused,
    CounterResumed,
    CounterSkillsSet,
    DayClosed,
    DayOpened,
    EvaluationOpened,
    EvaluationSubmitted,
    PolicyChanged,
    StaffSignedOff,
    StaffSignedOn,
)
from core.facts_tickets import (
    ServingFinished,
    ServingStarted,
    TicketAbandoned,
    TicketCalled,
    TicketCancelled,
    TicketEligible,
    TicketExpired,
    TicketHeld,
    TicketMissed,
    TicketRecalled,
    TicketReclassed,
    TicketReleased,
    TicketReprinted,
    TicketRequeued,
    TicketResumed,
    TicketTaken,
    TicketTransferred,
)
from core.state import HallState

React = Callable[[HallState, Fact, Effects, Cause | None], None]


def _waiting(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    """Only the number of people changed."""
    effects.waiting = True


def _say(state: HallState, call: int, ticket: int, number: str, counter: int, effects: Effects) -> None:
    lang = state.tickets[ticket].lang or "zh"
    zone = state.counters[counter].zone
    effects.orders.append(Say(state.n, state.at_ms, call, number, counter, zone, lang))


def _called(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    """The counter's screens, the board, the voice."""
    assert isinstance(fact, TicketCalled | TicketResumed)
    effects.counters[fact.counter] = None
    effects.board = effects.waiting = True
    _say(state, fact.call, fact.ticket, fact.number, fact.counter, effects)


def _recalled(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    assert isinstance(fact, TicketRecalled)
    effects.counters[fact.counter] = None
    effects.board = True
    number = state.tickets[fact.ticket].number
    _say(state, fact.call, fact.ticket, number, fact.counter, effects)


def _at_counter(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    """The pictures of one counter."""
    counter: int = getattr(fact, "counter", 0)
    effects.counters[counter] = None


def _left(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    """A counter fell free, and the number of people may have changed."""
    counter: int = getattr(fact, "counter", 0)
    if counter:
        effects.counters[counter] = None
    effects.waiting = effects.board = True


def _rated(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    assert isinstance(fact, EvaluationSubmitted)
    counter = state.counters.get(fact.counter)
    if counter is not None and counter.last_call == fact.call:
        effects.counters[fact.counter] = None


def _everything(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    effects.all_screens(list(state.counters))


def _reprint(state: HallState, fact: Fact, effects: Effects, cause: Cause | None) -> None:
    assert isinstance(fact, TicketReprinted)
    if cause is not None:
        effects.orders.append(Print(state.n, state.at_ms, cause.device, fact.ticket))


REACT: Final[dict[type[Fact], React]] = {
    TicketTaken: _waiting,
    TicketCancelled: _waiting,
    TicketReclassed: _waiting,
    TicketRequeued: _waiting,
    TicketEligible: _waiting,
    TicketCalled: _called,
    TicketResumed: _called,
    TicketRecalled: _recalled,
    TicketReprinted: _reprint,
    TicketMissed: _left,
    TicketReleased: _left,
    TicketAbandoned: _left,
    TicketHeld: _left,
    TicketTransferred: _left,
    TicketExpired: _left,
    ServingStarted: _at_counter,
    ServingFinished: _left,
    EvaluationOpened: _at_counter,
    EvaluationSubmitted: _rated,
    StaffSignedOn: _at_counter,
    StaffSignedOff: _at_counter,
    CounterPaused: _at_counter,
    CounterResumed: _at_counter,
    CounterSkillsSet: _at_counter,
    PolicyChanged: _everything,
    DayOpened: _everything,
    DayClosed: _everything,
}
"""Facts that are not here change no picture and give no order."""
