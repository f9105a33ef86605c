"""core/counter.py: every state against every fact, the table as the design writes it, the pending pause."""

import pytest

from core import commands as c
from core.counter import TRANSITIONS, Counter, CounterState
from tests.halls import EXAMPLES, off_the_table, opened, table, written

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
IDLE, PAUSED = CounterState.IDLE, CounterState.PAUSED


def a_counter(state: CounterState, pending: bool = False) -> Counter:
    return Counter(1, 0, state=state, ticket=5, call=6, pause_pending=pending)


def test_advance_follows_the_table() -> None:
    assert off_the_table(TRANSITIONS, a_counter) == []


def test_a_pause_that_was_asked_for_comes_where_the_table_says_idle() -> None:
    paused = {
        state: {kind: PAUSED if target is IDLE else target for kind, target in row.items()}
        for state, row in TRANSITIONS.items()
    }
    assert off_the_table(paused, lambda state: a_counter(state, pending=True)) == []


@pytest.mark.parametrize("pending", [False, True])
def test_what_leads_to_idle_frees_the_counter_and_nothing_else_does(pending: bool) -> None:
    for state, row in TRANSITIONS.items():
        for kind, target in row.items():
            counter = a_counter(state, pending)
            counter.advance(EXAMPLES[kind])
            assert (counter.ticket, counter.call) == ((0, 0) if target is IDLE else (5, 6)), (state, kind)


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
