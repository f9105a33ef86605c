"""core/ticket.py: the life of one ticket (排队号).

─TicketTaken▶ WAITING ─TicketCalled▶ CALLED ─ServingStarted▶ SERVING ─ServingFinished▶ SERVED
                 ▲  ▲                 │ │ └──TicketHeld──▶ HELD ─TicketResumed▶ CALLED
                 │  └─TicketRequeued─ MISSED ◀TicketMissed─┘
                 └─TicketTransferred, TicketReleased─ CALLED, SERVING, HELD
WAITING, HELD, MISSED ─TicketCancelled▶ CANCELLED     CALLED, HELD, MISSED ─TicketAbandoned▶ ABANDONED
every open state ─TicketExpired▶ EXPIRED
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from core.fact import Fact
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
    TicketRequeued,
    TicketResumed,
    TicketTransferred,
)


class State(IntEnum):
    """Where a ticket is. From 1: no state is falsy."""

    WAITING = 1
    CALLED = 2
    SERVING = 3
    HELD = 4
    MISSED = 5
    SERVED = 6
    CANCELLED = 7
    ABANDONED = 8
    EXPIRED = 9


OPEN: Final = (State.WAITING, State.CALLED, State.SERVING, State.HELD, State.MISSED)
AT_COUNTER: Final = (State.CALLED, State.SERVING)

TRANSITIONS: Final[dict[State, dict[type[Fact], State]]] = {
    State.WAITING: {
        TicketCalled: State.CALLED,
        TicketEligible: State.WAITING,
        TicketTransferred: State.WAITING,
        TicketReclassed: State.WAITING,
        TicketCancelled: State.CANCELLED,
        TicketExpired: State.EXPIRED,
    },
    State.CALLED: {
        ServingStarted: State.SERVING,
        TicketRecalled: State.CALLED,
        TicketMissed: State.MISSED,
        TicketHeld: State.HELD,
        TicketTransferred: State.WAITING,
        TicketReleased: State.WAITING,
        TicketAbandoned: State.ABANDONED,
        TicketExpired: State.EXPIRED,
    },
    State.SERVING: {
        ServingFinished: State.SERVED,
        TicketHeld: State.HELD,
        TicketTransferred: State.WAITING,
        TicketExpired: State.EXPIRED,
    },
    State.HELD: {
        TicketResumed: State.CALLED,
        TicketTransferred: State.WAITING,
        TicketAbandoned: State.ABANDONED,
        TicketCancelled: State.CANCELLED,
        TicketExpired: State.EXPIRED,
    },
    State.MISSED: {
        TicketRequeued: State.WAITING,
        TicketAbandoned: State.ABANDONED,
        TicketCancelled: State.CANCELLED,
        TicketExpired: State.EXPIRED,
    },
    State.SERVED: {},
    State.CANCELLED: {},
    State.ABANDONED: {},
    State.EXPIRED: {},
}
assert TRANSITIONS.keys() == set(State), "every state has a row, if an empty one"


class Ticket(Struct, array_like=True, gc=False):
    """One place in a queue. `service`, `cls`: dense indices of the state; times UTC ms, 0: not yet."""

    ticket: int
    number: str
    service: int
    cls: int
    taken_ms: int
    t_eff_ms: int
    state: State = State.WAITING
    eligible: bool = True
    eligible_ms: int = 0
    visit: int = 0
    counter: int = 0
    call: int = 0
    called_ms: int = 0
    started_ms: int = 0
    waited_ms: int = 0
    handling_ms: int = 0
    recalls: int = 0
    last_recall_ms: int = 0
    misses: int = 0
    holds: int = 0
    hops: int = 0
    until_ms: int = 0
    reprints: int = 0
    to_counter: int = 0
    lang: str = ""
    person_ref: str = ""
    told_p50_ms: int = 0
    told_p90_ms: int = 0
    ahead_told: int = 0
    calls: int = 0

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; the only line that sets `state`."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"ticket {self.ticket}: {type(fact).__name__} in {self.state.name}"
        self.state = target
