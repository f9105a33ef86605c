"""core/rules_counters.py: who sits where, pauses, skills."""

from core import commands as c
from core import facts as f
from core.counter import CounterState
from tests.halls import Driven, kinds, opened


def test_nobody_sits_at_two_counters_and_two_do_not_sit_at_one() -> None:
    hall = Driven()
    hall.ask(c.SignOnStaff("staff-1", 1, "staff-7"))
    assert hall.facts == [f.StaffSignedOn(1, "staff-1", "staff-7")]
    assert hall.refused(c.SignOnStaff("staff-2", 1)) == "counter_taken"
    assert hall.refused(c.SignOnStaff("staff-1", 2)) == "staff_elsewhere"
    hall.ask(c.SignOffStaff(1))
    assert hall.facts == [f.StaffSignedOff(1, "staff-1")]
    assert kinds(hall.ask(c.SignOnStaff("staff-1", 2))) == ["StaffSignedOn"]


def test_f10_any_key_but_resume_leaves_a_pause() -> None:
    hall = opened()
    hall.take()
    hall.ask(c.PauseCounter(1, "lunch"))
    assert hall.facts == [f.CounterPaused(1, "lunch", pending=False)]
    assert hall.refused(c.CallNext(1)) == "counter_paused"
    assert hall.ask(c.ResumeCounter(1)) == [f.CounterResumed(1)]
    assert hall.call(1).number == "A001"


def test_a_pause_after_the_current_serving_begins_when_it_ends() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    assert hall.ask(c.PauseCounter(1, after_current=True)) == [f.CounterPaused(1, pending=True)]
    assert hall.refused(c.PauseCounter(1, after_current=True)) == "counter_paused"
    assert hall.refused(c.ResumeCounter(1)) == "not_paused"
    hall.ask(c.FinishServing(1))
    assert hall.state.counters[1].state is CounterState.PAUSED
    hall.ask(c.ResumeCounter(1))
    hall.take()
    hall.call(1)
    hall.ask(c.FinishServing(1))
    assert hall.state.counters[1].state is CounterState.IDLE


def test_a_day_that_ends_leaves_a_pause_a_pause() -> None:
    hall = opened()
    hall.take()
    hall.call(1)
    hall.ask(c.PauseCounter(1, after_current=True))
    hall.ask(c.CloseDay())
    assert hall.state.counters[1].state is CounterState.PAUSED


def test_skills_act_from_the_next_call_on() -> None:
    hall = opened()
    hall.take("id")
    assert hall.refused(c.CallNext(1)) == "nothing_eligible"
    hall.ask(c.SetSkills(("id", "tax"), ("tax", "si"), 1, 5))
    assert hall.facts == [f.CounterSkillsSet(1, ("id", "tax"), ("si",), 300_000)]
    assert hall.call(1).number == "C001"


def test_an_overflow_set_by_hand_waits_its_minutes_too() -> None:
    hall = opened()
    hall.ask(c.SetSkills(("si",), ("id",), 1, 5))
    overflow = hall.take("id")
    hall.take("si")
    hall.take("si")
    assert hall.call(1).service == "si"
    hall.ask(c.FinishServing(1))
    hall.at_ms = overflow.t_eff_ms + 300_000 - 1
    assert hall.call(1).service == "si"
    hall.ask(c.FinishServing(1))
    hall.take("si")
    assert hall.call(1).ticket == overflow.ticket


def test_skills_name_services_and_at_least_one() -> None:
    hall = opened()
    assert hall.refused(c.SetSkills((), (), 1)) == "service_unknown"
    assert hall.refused(c.SetSkills(("si",), ("none",), 1)) == "service_unknown"
    assert hall.refused(c.SetSkills(("si",), (), 9)) == "counter_unknown"


def test_a_closed_counter_does_nothing_but_open() -> None:
    hall = Driven()
    for command in (c.SignOffStaff(1), c.PauseCounter(1), c.CallNext(1), c.StartServing(1), c.HoldTicket(1)):
        assert hall.refused(command) == "not_signed_on"
    assert hall.refused(c.ResumeCounter(1)) == "not_paused"
