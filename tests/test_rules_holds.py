"""core/rules_holds.py: set aside, called back, sent on."""

import pytest

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.state import restored
from core.ticket import State
from tests.halls import MIN, Driven, kinds, opened


def with_holds(count: int) -> Driven:
    hall = opened()
    for _ in range(count):
        hall.take()
        hall.call(1)
        hall.ask(c.HoldTicket(1))
    return hall


def test_f13_holds_survive_a_restart() -> None:
    hall = with_holds(3)
    assert hall.state.held == {1: [1, 2, 3]}
    assert hall.replayed().state.held == restored(hall.state.snapshot()).held == hall.state.held
    again = restored(hall.state.snapshot())
    assert again.next_due_ms() == hall.state.next_due_ms()


def test_f14_three_may_be_held_at_once_and_each_is_called_back() -> None:
    hall = with_holds(3)
    hall.take()
    hall.call(1)
    assert hall.refused(c.HoldTicket(1)) == "hold_limit"
    hall.ask(c.FinishServing(1))
    for ticket in (2, 1, 3):
        hall.ask(c.ResumeTicket(1, ticket))
        assert hall.only(t.TicketResumed).ticket == ticket
        hall.ask(c.FinishServing(1))
    assert hall.state.held == {}


def test_without_a_number_the_oldest_is_called_back() -> None:
    hall = with_holds(2)
    hall.ask(c.ResumeTicket(1))
    assert hall.only(t.TicketResumed).ticket == 1


def test_a_hold_belongs_to_its_counter_and_ends_by_itself() -> None:
    hall = with_holds(1)
    assert hall.refused(c.ResumeTicket(2, 1)) == "held_elsewhere"
    assert hall.refused(c.ResumeTicket(2)) == "nothing_eligible"
    assert hall.wait(120 * MIN - 1) == []
    assert hall.wait(1) == [t.TicketAbandoned(1, 0, "hold_over")]
    assert hall.state.held == {}
    assert hall.refused(c.ResumeTicket(1, 1)) == "wrong_state"


def test_f7_a_transfer_keeps_its_time_twice_then_starts_anew_and_ends_after_four() -> None:
    hall = opened()
    ticket = hall.take("si")
    t_eff = ticket.t_eff_ms
    seen = []
    for service in ("tax", "id", "si", "tax"):
        hall.wait(MIN)
        (fact,) = hall.ask(c.TransferTicket(service, ticket=1))
        assert isinstance(fact, t.TicketTransferred)
        seen.append((fact.hops, fact.t_eff_ms - t_eff))
    start = hall.at_ms - t_eff
    assert seen == [(1, 0), (2, 0), (3, start - MIN), (4, start)]
    assert hall.refused(c.TransferTicket("si", ticket=1)) == "transfer_limit"


def test_a_held_one_whose_person_is_at_another_counter_is_not_called_back() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.call(1)
    hall.ask(c.HoldTicket(1))
    hall.take("tax", person_ref="a" * 32)
    hall.call(2)
    assert hall.refused(c.ResumeTicket(1)) == "visit_busy"
    hall.ask(c.FinishServing(2))
    hall.ask(c.ResumeTicket(1))
    assert hall.only(t.TicketResumed).ticket == 1


@pytest.mark.parametrize("away", [c.HoldTicket(1), c.TransferTicket("tax", counter=1)])
def test_the_handling_before_a_hold_or_a_transfer_counts(away: c.Command) -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.ask(c.StartServing(1))
    hall.at_ms += 5 * MIN
    hall.ask(away)
    hall.ask(c.ResumeTicket(1) if isinstance(away, c.HoldTicket) else c.CallNext(2))
    at = 1 if isinstance(away, c.HoldTicket) else 2
    hall.ask(c.StartServing(at))
    hall.at_ms += 3 * MIN
    hall.ask(c.FinishServing(at))
    assert hall.only(t.ServingFinished).handling_ms == 8 * MIN


def test_f7_a_transferred_ticket_does_not_jump_ahead_of_older_ones() -> None:
    hall = opened()
    older = hall.take("tax")
    moved = hall.take("si")
    younger = hall.take("tax")
    hall.call(1)
    hall.ask(c.TransferTicket("tax", counter=1))
    order = []
    for _ in range(3):
        order.append(hall.call(2).ticket)
        hall.ask(c.FinishServing(2))
    assert order == [older.ticket, moved.ticket, younger.ticket]


@pytest.mark.parametrize("state", ["waiting", "called", "serving", "held"])
def test_a_transfer_frees_the_counter_from_every_state(state: str) -> None:
    hall = opened()
    ticket = hall.take("si")
    steps = {"waiting": [], "called": [c.CallNext(1)], "serving": [c.CallNext(1), c.StartServing(1)]}
    for step in steps.get(state, [c.CallNext(1), c.HoldTicket(1)]):
        hall.ask(step)
    (fact,) = hall.ask(c.TransferTicket("id", ticket=1))
    assert fact.counter == (1 if state in ("called", "serving") else 0)
    assert (ticket.state, hall.state.counters[1].ticket, hall.state.held) == (State.WAITING, 0, {})
    assert hall.call(3).ticket == 1
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"


def test_a_call_that_was_transferred_away_is_not_rated() -> None:
    hall = opened()
    hall.take("si")
    hall.call(1)
    hall.ask(c.StartServing(1))
    hall.ask(c.TransferTicket("id", counter=1))
    assert hall.state.evaluations == {}
    assert hall.refused(c.SubmitEvaluation(1, 5)) == "no_serving"


def test_a_transfer_to_nowhere_or_to_the_same_service_is_refused() -> None:
    hall = opened()
    hall.take("si")
    assert hall.refused(c.TransferTicket("si", ticket=1)) == "same_target"
    assert hall.refused(c.TransferTicket("none", ticket=1)) == "service_unknown"
    assert hall.refused(c.TransferTicket("tax", ticket=1, to_counter=9)) == "counter_unknown"
    hall.call(1)
    hall.ask(c.MissTicket(1))
    assert hall.refused(c.TransferTicket("tax", ticket=1)) == "wrong_state"


def test_a_transfer_gives_nobody_two_open_tickets_for_one_service() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.take("tax", person_ref="a" * 32)
    assert hall.refused(c.TransferTicket("tax", ticket=1)) == "open_ticket_exists"
    assert kinds(hall.ask(c.TransferTicket("id", ticket=1))) == ["TicketTransferred"]


@pytest.mark.parametrize("state", ["called", "serving", "held", "waiting", "missed"])
def test_a_keypad_names_no_ticket_that_another_counter_has(state: str) -> None:
    hall = opened()
    hall.take()
    steps = {"called": [], "serving": [c.StartServing(1)], "held": [c.HoldTicket(1)], "missed": [c.MissTicket(1)]}
    for step in [c.CallNext(1), *steps[state]] if state in steps else []:
        hall.ask(step)
    for command in (c.AbandonTicket(ticket=1), c.TransferTicket("tax", 1)):
        (fact,) = hall.hall.decide(command, hall.at_ms, "caller-2")
        forbidden = isinstance(fact, f.Refused) and fact.reason == "forbidden"
        assert forbidden is (state not in ("waiting", "missed")), command
        (own,) = hall.hall.decide(command, hall.at_ms, "caller-1")
        assert not (isinstance(own, f.Refused) and own.reason == "forbidden")
