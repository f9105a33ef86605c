"""core/counter.py: the states of one counter (窗口).

CLOSED ─StaffSignedOn▶ IDLE ─TicketCalled, TicketResumed▶ CALLED ─ServingStarted▶ SERVING ─ServingFinished▶ IDLE
IDLE ─CounterPaused▶ PAUSED ─CounterResumed▶ IDLE; a pause asked for during a serving is `pending` until its end
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from core.fact import Fact
from core.facts import CounterPaused, CounterResumed, CounterSkillsSet, StaffSignedOff, StaffSignedOn
from core.facts_tickets import (
    ServingFinished,
    ServingStarted,
    TicketAbandoned,
    TicketCalled,
    TicketExpired,
    TicketHeld,
    TicketMissed,
    TicketReleased,
    TicketResumed,
    TicketTransferred,
)
from core.why import Why


class CounterState(IntEnum):
    """What a counter does. There is no rating state: a rating blocks nothing."""

    CLOSED = 1
    IDLE = 2
    CALLED = 3
    SERVING = 4
    PAUSED = 5


TRANSITIONS: Final[dict[CounterState, dict[type[Fact], CounterState]]] = {
    CounterState.CLOSED: {StaffSignedOn: CounterState.IDLE, CounterSkillsSet: CounterState.CLOSED},
    CounterState.IDLE: {
        TicketCalled: CounterState.CALLED,
        TicketResumed: CounterState.CALLED,
        CounterPaused: CounterState.PAUSED,
        StaffSignedOff: CounterState.CLOSED,
        CounterSkillsSet: CounterState.IDLE,
    },
    CounterState.CALLED: {
        ServingStarted: CounterState.SERVING,
        TicketMissed: CounterState.IDLE,
        TicketHeld: CounterState.IDLE,
        TicketTransferred: CounterState.IDLE,
        TicketReleased: CounterState.IDLE,
        TicketAbandoned: CounterState.IDLE,
        TicketExpired: CounterState.IDLE,
        CounterPaused: CounterState.CALLED,
        CounterSkillsSet: CounterState.CALLED,
    },
    CounterState.SERVING: {
        ServingFinished: CounterState.IDLE,
        TicketHeld: CounterState.IDLE,
        TicketTransferred: CounterState.IDLE,
        TicketExpired: CounterState.IDLE,
        CounterPaused: CounterState.SERVING,
        CounterSkillsSet: CounterState.SERVING,
    },
    CounterState.PAUSED: {
        CounterResumed: CounterState.IDLE,
        StaffSignedOff: CounterState.CLOSED,
        CounterSkillsSet: CounterState.PAUSED,
    },
}
assert TRANSITIONS.keys() == set(CounterState), "every state has a row"


class Counter(Struct, array_like=True):
    """One counter. `ticket`, `call`: what is called or served; `last_*`: the last finished serving."""

    counter: int
    profile: int
    zone: str = ""
    state: CounterState = CounterState.CLOSED
    staff: str = ""
    ticket: int = 0
    call: int = 0
    pause_pending: bool = False
    last_call: int = 0
    last_finished_ms: int = 0
    why: Why | None = None
    newest_call: int = 0
    closed_ms: int = 0
    uncovered: bool = False

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; a pending pause takes effect when the counter would fall idle."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"counter {self.counter}: {type(fact).__name__} in {self.state.name}"
        if target is CounterState.IDLE:
            self.ticket = self.call = 0
            if self.pause_pending:
                target, self.pause_pending = CounterState.PAUSED, False
        self.state = target
