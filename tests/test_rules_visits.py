"""core/rules_visits.py: one errand of one person, its plan and its end."""

import pytest

from core import commands as c
from core import facts_tickets as t
from tests.halls import MIN, kinds, opened

ANNA, BEN = "a" * 32, "b" * 32


def test_a_plan_goes_on_when_a_step_is_finished_with_the_time_of_the_start() -> None:
    hall = opened()
    first = hall.take("si", plan=("tax", "id"), person_ref=ANNA)
    start = first.t_eff_ms
    others = hall.take("tax")
    hall.wait(10 * MIN)
    hall.serve(1)
    step = hall.only(t.TicketTaken)
    assert (step.service, step.origin, step.t_eff_ms, step.visit) == ("tax", "step", start, 1)
    assert hall.call(2).ticket == step.ticket
    hall.ask(c.FinishServing(2))
    assert hall.only(t.TicketTaken).service == "id"
    hall.serve(3)
    assert hall.only(t.VisitClosed) == t.VisitClosed(1, once_done=True)
    assert hall.state.visits == {} and others.state.name == "WAITING"


def test_somebody_sent_home_is_given_no_further_ticket() -> None:
    hall = opened()
    hall.take("si", plan=("tax",), person_ref=ANNA)
    hall.call(1)
    hall.ask(c.FinishServing(1, "need_material"))
    assert kinds(hall.facts)[-2:] == ["EvaluationOpened", "VisitClosed"]
    assert not hall.only(t.VisitClosed).once_done


@pytest.mark.parametrize(
    "ways",
    [
        (c.CancelTicket(1),),
        (c.CallNext(1), c.AbandonTicket(1)),
        (c.CallNext(1), c.MissTicket(1), c.CancelTicket(1)),
        (c.CallNext(1), c.HoldTicket(1), c.AbandonTicket(ticket=1)),
    ],
)
def test_whoever_gives_up_a_step_gets_no_ticket_for_the_next(ways: tuple[c.Command, ...]) -> None:
    hall = opened()
    hall.take("si", plan=("tax",), person_ref=ANNA)
    for command in ways:
        hall.ask(command)
    assert hall.facts[-1] == t.VisitClosed(1, once_done=False)
    assert len(hall.state.tickets) == 1


def test_a_missed_step_that_is_not_answered_ends_the_visit() -> None:
    hall = opened()
    hall.take("si", plan=("tax",), person_ref=ANNA)
    hall.call(1)
    hall.ask(c.MissTicket(1))
    assert kinds(hall.wait(30 * MIN)) == ["TicketAbandoned", "VisitClosed"]


def test_tickets_of_one_person_are_one_visit_that_ends_with_the_last() -> None:
    hall = opened()
    hall.take("si", person_ref=ANNA)
    hall.take("tax", person_ref=ANNA)
    hall.take("tax", person_ref=BEN)
    hall.serve(1)
    assert kinds(hall.facts) == ["ServingFinished", "EvaluationOpened"]
    hall.serve(2)
    assert hall.only(t.VisitClosed).visit == 1
    assert list(hall.state.visits) == [2]


def test_a_visit_is_joined_by_its_number_but_not_by_a_stranger() -> None:
    hall = opened()
    hall.take("si", person_ref=ANNA)
    hall.take("tax", visit=1)
    assert hall.state.visits[1].tickets == [1, 2]
    hall.at_ms += 2000
    assert hall.refused(c.TakeTicket("id", visit=1, person_ref=BEN)) == "visit_unknown"
    assert hall.refused(c.TakeTicket("id", visit=2)) == "visit_unknown"
    hall.ask(c.CancelTicket(1))
    hall.ask(c.CancelTicket(2))
    assert hall.refused(c.TakeTicket("id", visit=1)) == "visit_closed"


def test_a_ticket_without_a_person_stands_alone() -> None:
    hall = opened()
    assert (hall.take().visit, hall.state.visits) == (0, {})


def test_the_visit_of_today_is_not_the_visit_of_yesterday() -> None:
    hall = opened()
    hall.take("si", person_ref=ANNA)
    hall.wait(1440 * MIN)
    assert hall.take("si", person_ref=ANNA).visit == 2
    assert hall.refused(c.TakeTicket("tax", visit=1)) == "visit_closed"
