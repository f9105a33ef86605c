"""core/ticket.py: every state against every fact, and the table as the design writes it, walked by hand."""

from core import commands as c
from core.ticket import AT_COUNTER, OPEN, TRANSITIONS, State, Ticket
from tests.halls import MIN, off_the_table, opened, table, written

DESIGN = (
    "waiting: TicketCalled called, TicketEligible waiting, TicketTransferred waiting, TicketReclassed waiting,"
    " TicketCancelled cancelled, TicketExpired expired\n"
    "called: ServingStarted serving, TicketRecalled called, TicketMissed missed, TicketHeld held,"
    " TicketTransferred waiting, TicketReleased waiting, TicketAbandoned abandoned, TicketExpired expired\n"
    "serving: ServingFinished served, TicketHeld held, TicketTransferred waiting, TicketExpired expired\n"
    "held: TicketResumed called, TicketTransferred waiting, TicketAbandoned abandoned, TicketCancelled cancelled,"
    " TicketExpired expired\n"
    "missed: TicketRequeued waiting, TicketAbandoned abandoned, TicketCancelled cancelled, TicketExpired expired\n"
    "served:\ncancelled:\nabandoned:\nexpired:"
)


def test_advance_follows_the_table() -> None:
    assert off_the_table(TRANSITIONS, lambda state: Ticket(1, "A001", 0, 0, 0, 0, state=state)) == []


def test_the_table_is_the_designs() -> None:
    assert written(TRANSITIONS) == table(DESIGN)


def test_open_states_are_those_with_a_way_on() -> None:
    assert set(OPEN) == {state for state in State if TRANSITIONS[state]}
    assert AT_COUNTER == (State.CALLED, State.SERVING)


def test_a_long_life_of_one_ticket() -> None:
    """Taken, called, missed, back, called, released, called, held, resumed, transferred, called, served, ended."""
    hall = opened()
    ticket = hall.take("si")
    seen = [ticket.state.name]

    def step(*commands: c.Command) -> None:
        for command in commands:
            hall.ask(command)
        seen.append(ticket.state.name)

    step(c.CallNext(1))
    step(c.MissTicket(1))
    step(c.RequeueTicket(1))
    step(c.CallNext(1))
    step(c.ReleaseTicket(1))
    step(c.CallNext(1), c.StartServing(1))
    step(c.HoldTicket(1))
    step(c.ResumeTicket(1))
    step(c.TransferTicket("tax", counter=1))
    step(c.CallNext(2), c.StartServing(2))
    hall.at_ms += MIN
    step(c.FinishServing(2))
    assert " ".join(seen) == ("WAITING CALLED MISSED WAITING CALLED WAITING SERVING HELD CALLED WAITING SERVING SERVED")
    for command in (c.CancelTicket(1), c.RequeueTicket(1), c.ReclassTicket(1, "care"), c.AbandonTicket(ticket=1)):
        assert hall.refused(command) == "wrong_state"
