"""core/rules_servings.py: start, finish, and what a finish opens. A whole story: tests/test_facts_tickets.py."""

import pytest

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.counter import CounterState
from tests.halls import MIN, kinds, opened

DAY = 1440 * MIN


def test_a_finish_opens_one_rating_for_the_clerk_who_finished() -> None:
    hall = opened()
    hall.take()
    assert hall.serve(1) == f.EvaluationOpened(1, hall.at_ms + 7 * DAY, "staff-1", 1, "si", "hrss", handling_ms=MIN)
    assert hall.state.counters[1].state is CounterState.IDLE


def test_a_start_is_said_once() -> None:
    hall = opened()
    hall.take()
    assert hall.refused(c.StartServing(1)) == "nothing_called"
    hall.call(1)
    assert hall.ask(c.StartServing(1)) == [t.ServingStarted(1, 1, 1)]
    assert hall.refused(c.StartServing(1)) == "wrong_state"


def test_nobody_signs_off_or_pauses_with_somebody_at_the_counter() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    assert hall.refused(c.SignOffStaff(1)) == "counter_busy"
    assert hall.refused(c.PauseCounter(1)) == "counter_busy"


@pytest.mark.parametrize(("outcome", "once"), [("done", True), ("consulted", True), ("declined", False)])
def test_sent_home_is_not_done_at_once(outcome: str, once: bool) -> None:
    hall = opened()
    hall.take(person_ref="a" * 32)
    hall.call(1)
    hall.ask(c.FinishServing(1, outcome))
    assert hall.only(t.VisitClosed) == t.VisitClosed(1, once)


def test_a_finish_without_a_plan_says_nothing_more() -> None:
    hall = opened()
    hall.take()
    hall.serve(1)
    assert kinds(hall.facts) == ["ServingFinished", "EvaluationOpened"]
