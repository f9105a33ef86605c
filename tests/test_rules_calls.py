"""core/rules_calls.py: next, picked, recalled, reported, missed, released, abandoned."""

import pytest

from core import commands as c
from core import facts_tickets as t
from core.counter import CounterState
from core.policy import CounterPart
from core.ticket import State
from tests.halls import MIN, Driven, changed, kinds, opened


def eight_counters() -> Driven:
    counters = tuple(CounterPart(no, ("si", "tax", "id")) for no in range(1, 9))
    hall = Driven(changed(counters=counters))
    hall.sign_on(*range(1, 9))
    return hall


def test_f1_eight_counters_never_call_one_ticket_twice() -> None:
    hall = eight_counters()
    for _ in range(20):
        hall.take("tax")
    called: list[int] = []
    for _ in range(3):
        for counter in range(1, 9):
            facts = hall.ask(c.CallNext(counter))
            called += [fact.ticket for fact in facts if isinstance(fact, t.TicketCalled)]
        for counter in range(1, 9):
            hall.ask(c.FinishServing(counter))
    assert called == list(range(1, 21))


def test_f18_skills_are_pairs_of_service_and_counter() -> None:
    """Counter 3 does identity cards only; that (si, 1) and (id, 3) exist does not make (si, 3)."""
    hall = opened()
    ticket = hall.take("si")
    assert hall.refused(c.CallNext(3)) == "nothing_eligible"
    assert hall.refused(c.CallTicket(ticket.ticket, 3)) == "not_skilled"
    assert hall.call(1).ticket == ticket.ticket


def test_f19_green_goes_first_but_at_most_one_of_three_calls() -> None:
    hall = opened()
    for _ in range(4):
        hall.take("tax")
    for _ in range(4):
        hall.take("tax", cls="green")
    green = []
    for _ in range(8):
        called = hall.call(2)
        green.append(called.ticket > 4)
        hall.ask(c.FinishServing(2))
    assert green == [True, False, False, True, False, False, True, True]


def test_f16_a_second_announcement_does_not_overwrite_the_first() -> None:
    hall = opened()
    hall.take()
    hall.take("tax")
    hall.hall.take_effects()
    hall.call(1)
    hall.call(2)
    said = [(order.call, order.number, order.counter) for order in hall.hall.take_effects().orders]
    assert said == [(1, "A001", 1), (2, "B001", 2)]
    assert hall.ask(c.ReportCall(1, "w1", "voice")) == [t.CallAnnounced(1, "w1", "voice")]
    assert hall.ask(c.ReportCall(2, "w1", "voice")) == [t.CallAnnounced(2, "w1", "voice")]
    assert hall.ask(c.ReportCall(1, "w1", "screen", ok=False)) == [t.CallAnnounceFailed(1, "w1", "screen")]


def test_a_report_of_a_call_that_never_was_or_is_over() -> None:
    hall = opened()
    hall.take()
    hall.serve(1)
    assert hall.refused(c.ReportCall(0)) == "call_unknown"
    assert hall.refused(c.ReportCall(2)) == "call_unknown"
    assert hall.refused(c.ReportCall(1)) == "call_over"


def test_next_finishes_the_serving_and_the_device_hears_of_the_call() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.send("caller-1", c.CallNext())
    hall.send("caller-1", c.StartServing())
    answer = hall.send("caller-1", c.CallNext())
    assert kinds(hall.facts) == ["ServingFinished", "EvaluationOpened", "TicketCalled"]
    assert (answer.call, answer.number) == (2, "A002")


def test_next_hears_of_the_call_even_when_a_step_of_a_plan_is_taken_before_it() -> None:
    hall = opened()
    hall.take(plan=("tax",), person_ref="a" * 32)
    hall.take()
    hall.send("caller-1", c.CallNext())
    hall.send("caller-1", c.StartServing())
    answer = hall.send("caller-1", c.CallNext())
    assert kinds(hall.facts) == ["ServingFinished", "EvaluationOpened", "TicketTaken", "TicketCalled"]
    assert answer.number == "A002"
    assert hall.state.tickets[3].number == "B001"


def test_next_while_called_is_refused_since_missed_or_served_would_be_a_guess() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.call(1)
    assert hall.refused(c.CallNext(1)) == "counter_busy"


def test_next_while_serving_is_refused_where_the_policy_says_so() -> None:
    hall = opened(calling={"next_while_serving": "refuse"})
    hall.take()
    hall.take()
    hall.call(1)
    hall.ask(c.StartServing(1))
    assert hall.refused(c.CallNext(1)) == "counter_busy"


def test_next_with_nobody_waiting_finishes_nothing() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.ask(c.StartServing(1))
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"
    assert hall.state.counters[1].state is CounterState.SERVING


def test_next_with_a_pause_asked_for_is_refused() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.call(1)
    hall.ask(c.StartServing(1))
    hall.ask(c.PauseCounter(1, after_current=True))
    assert hall.refused(c.CallNext(1)) == "counter_paused"


def test_recalls_have_a_gap_and_a_limit() -> None:
    hall = opened()
    hall.take()
    assert hall.refused(c.RecallTicket(1)) == "nothing_called"
    hall.call(1)
    assert hall.refused(c.RecallTicket(1)) == "recall_too_soon"
    hall.at_ms += 20_000
    assert hall.ask(c.RecallTicket(1)) == [t.TicketRecalled(1, 1, 1, 1)]
    hall.at_ms += 19_999
    assert hall.refused(c.RecallTicket(1)) == "recall_too_soon"
    hall.at_ms += 1
    hall.ask(c.RecallTicket(1))
    hall.at_ms += 60_000
    assert hall.refused(c.RecallTicket(1)) == "recall_limit"
    hall.ask(c.StartServing(1))
    assert hall.refused(c.RecallTicket(1)) == "nothing_called"


def test_each_call_has_its_own_recalls() -> None:
    hall = opened(calling={"max_recalls": 1})
    hall.take()
    for call in (1, 2):
        hall.call(1)
        hall.at_ms += 20_000
        assert hall.ask(c.RecallTicket(1)) == [t.TicketRecalled(call, 1, 1, 1)]
        hall.ask(c.MissTicket(1))
        hall.ask(c.RequeueTicket(1))


def test_a_picked_call_says_so_and_is_not_in_the_ring() -> None:
    hall = opened()
    hall.take()
    green = hall.take(cls="green")
    hall.ask(c.CallTicket(green.ticket, 1, "asked_for"))
    called = hall.only(t.TicketCalled)
    assert (called.picked, called.why.rule, called.why.contested) == (True, "picked", False)
    assert not any(any(ring) for ring in hall.state.pool.rings().values())
    assert opened(calling={"picking": False}).refused(c.CallTicket(1, 1)) == "picking_forbidden"


def test_a_picked_call_does_not_make_room_for_the_next_green_one() -> None:
    """One contested green of three ranked calls: a picked one in between is none of the three."""
    hall = opened()
    ordinary = [hall.take("tax").ticket for _ in range(4)]
    green = [hall.take("tax", cls="green").ticket for _ in range(2)]
    order = []
    for picked in (0, ordinary[3], 0, 0, 0):
        order.append(hall.ask(c.CallTicket(picked, 2))[-1].ticket if picked else hall.call(2).ticket)
        hall.ask(c.FinishServing(2))
    assert order == [green[0], ordinary[3], ordinary[0], ordinary[1], green[1]]


def test_a_released_ticket_waits_where_it_was() -> None:
    hall = opened()
    first = hall.take()
    hall.take()
    hall.call(1)
    assert hall.ask(c.ReleaseTicket(1, "wrong_key")) == [t.TicketReleased(1, 1, 1, "wrong_key")]
    assert hall.call(2).ticket == first.ticket


def test_overflow_counts_after_ten_minutes_or_when_nobody_else_waits() -> None:
    hall = opened()
    hall.take("tax")
    hall.at_ms += 5 * MIN
    hall.take("si")
    assert hall.call(1).number == "A001"
    hall.ask(c.FinishServing(1))
    hall.take("si")
    hall.wait(5 * MIN)
    called = hall.call(1)
    assert (called.number, called.why.rule) == ("B001", "overflow")


def test_nobody_arrives_and_the_clock_misses_the_ticket() -> None:
    hall = opened(calling={"start": "explicit", "arrive_timeout_s": 60})
    ticket = hall.take()
    hall.call(1)
    assert hall.wait(59_999) == []
    (missed,) = hall.wait(1)
    assert isinstance(missed, t.TicketMissed) and missed.timeout
    assert (ticket.state, hall.state.counters[1].state) == (State.MISSED, CounterState.IDLE)


def test_who_starts_in_time_is_not_missed() -> None:
    hall = opened(calling={"start": "explicit", "arrive_timeout_s": 60})
    hall.take()
    hall.call(1)
    assert hall.refused(c.FinishServing(1)) == "wrong_state"
    hall.ask(c.StartServing(1))
    assert hall.wait(3600_000) == []


@pytest.mark.parametrize("state", ["called", "held", "missed"])
def test_whoever_leaves_is_gone_from_wherever_he_was(state: str) -> None:
    hall = opened()
    ticket = hall.take()
    hall.call(1)
    if state != "called":
        hall.ask({"held": c.HoldTicket(1), "missed": c.MissTicket(1)}[state])
    (fact,) = hall.ask(c.AbandonTicket(ticket=1, why="left"))
    assert fact == t.TicketAbandoned(1, 1 if state == "called" else 0, "left")
    assert hall.state.counters[1].state is CounterState.IDLE
    assert (ticket.state, hall.state.held, hall.state.tally.abandoned) == (State.ABANDONED, {}, 1)


def test_the_board_remembers_the_last_twelve_calls_of_the_day() -> None:
    hall = opened(tickets={"press_gap_ms": 0})
    for _ in range(14):
        hall.take("tax")
        hall.serve(2)
    assert [call for call, _, _ in hall.state.last_calls] == list(range(3, 15))
    hall.ask(c.CloseDay())
    assert hall.state.last_calls == []
