"""core/counter.py: every state against every fact, the table as the design writes it, the pending pause."""

import itertools
from contextlib import nullcontext

import pytest

from core import commands as c
from core.counter import TRANSITIONS, Counter, CounterState
from core.fact import Fact
from tests.halls import EXAMPLES, opened, table, written

DESIGN = (
    "closed: StaffSignedOn idle, CounterSkillsSet closed\n"
    "idle: TicketCalled called, TicketResumed called, CounterPaused paused, StaffSignedOff closed,"
    " CounterSkillsSet idle\n"
    "called: ServingStarted serving, TicketMissed idle, TicketHeld idle, TicketTransferred idle, TicketReleased idle,"
    " TicketAbandoned idle, TicketExpired idle, CounterPaused called, CounterSkillsSet called\n"
    "serving: ServingFinished idle, TicketHeld idle, TicketTransferred idle, TicketExpired idle,"
    " CounterPaused serving, CounterSkillsSet serving\n"
    "paused: CounterResumed idle, StaffSignedOff closed, CounterSkillsSet paused"
)
CASES = list(itertools.product(CounterState, EXAMPLES, [False, True]))


@pytest.mark.parametrize(("state", "kind", "pending"), CASES)
def test_advance_follows_the_table(state: CounterState, kind: type[Fact], pending: bool) -> None:
    counter = Counter(1, 0, state=state, ticket=5, call=6, pause_pending=pending)
    target = TRANSITIONS[state].get(kind)
    with nullcontext() if target else pytest.raises(AssertionError, match=f"{kind.__name__} in {state.name}"):
        counter.advance(EXAMPLES[kind])
    if target is CounterState.IDLE and pending:
        target = CounterState.PAUSED
    assert counter.state is (target or state)
    freed = target in (CounterState.IDLE, CounterState.PAUSED) and TRANSITIONS[state][kind] is CounterState.IDLE
    assert (counter.ticket, counter.call) == ((0, 0) if freed else (5, 6))


def test_the_table_is_the_designs() -> None:
    assert written(TRANSITIONS) == table(DESIGN)


def test_a_day_at_one_counter() -> None:
    hall = opened()
    counter = hall.state.counters[1]
    hall.take()
    hall.take()
    seen = []
    for command in (
        c.CallNext(1),
        c.StartServing(1),
        c.PauseCounter(1, after_current=True),
        c.FinishServing(1),
        c.ResumeCounter(1),
        c.CallNext(1),
        c.MissTicket(1),
        c.PauseCounter(1),
        c.SignOffStaff(1),
    ):
        hall.ask(command)
        seen.append(counter.state.name)
    assert " ".join(seen) == "CALLED SERVING SERVING PAUSED IDLE CALLED IDLE PAUSED CLOSED"


def test_nothing_but_resume_ends_a_pause() -> None:
    hall = opened()
    ticket = hall.take()
    hall.ask(c.PauseCounter(1))
    for command in (c.CallNext(1), c.CallTicket(ticket.ticket, 1), c.ResumeTicket(1), c.PauseCounter(1)):
        assert hall.refused(command) == "counter_paused"
    for command in (c.StartServing(1), c.FinishServing(1), c.RecallTicket(1), c.HoldTicket(1)):
        assert hall.refused(command) == "nothing_called"
    assert hall.state.counters[1].state is CounterState.PAUSED
