"""Faults seen in deployed systems: each has a test named by its id, beside its rule or here."""

import re
from pathlib import Path

import pytest

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.hall import Hall
from core.state import restored
from devices.privacy import personal
from tests.halls import MIN, opened


def test_each_fault_has_a_test_named_by_it() -> None:
    text = "".join(path.read_text() for path in Path("tests").glob("test_*.py"))
    assert {int(number) for number in re.findall(r"def test_f(\d+)_", text)} == set(range(1, 21))


@pytest.mark.parametrize("minutes", [6, 59, 60, 65, 125])
def test_f8_a_serving_of_65_minutes_is_not_one_of_5(minutes: int) -> None:
    hall = opened()
    hall.take()
    hall.serve(1, minutes * MIN)
    assert hall.only(t.ServingFinished).handling_ms == minutes * MIN
    assert hall.only(f.EvaluationOpened).handling_ms == minutes * MIN


@pytest.mark.parametrize("then", ["call", "restart", "sign_off", "day"])
def test_f3_a_rating_after_the_next_call_goes_to_the_clerk_who_served(then: str) -> None:
    """From the keypad within its window, from a page until the window of days ends."""
    hall = opened()
    hall.take("tax")
    hall.take("tax")
    hall.serve(2)
    if then == "call":
        hall.call(2)
    elif then == "restart":
        hall.hall = Hall(restored(hall.state.snapshot()))
    elif then == "sign_off":
        hall.ask(c.SignOffStaff(2))
        hall.ask(c.SignOnStaff("staff-9", 2))
    else:
        hall.wait(1440 * MIN)
    rate = c.SubmitEvaluation(1, 4, channel="sms") if then == "day" else c.SubmitEvaluation(key=0)
    hall.send("ev-2", rate)
    rating = hall.only(f.EvaluationSubmitted)
    assert (rating.call, rating.staff, rating.level) == (1, "staff-2", 4 if then == "day" else 2)
    assert rating.late is (then in ("call", "day"))


def test_f4_every_rating_of_every_profile_has_its_clerk() -> None:
    for device, counter, service, command in (
        ("ev-1", 1, "si", c.SubmitEvaluation(level=1)),
        ("ev-2", 2, "tax", c.SubmitEvaluation(key=0)),
    ):
        hall = opened()
        hall.take(service)
        hall.serve(counter)
        hall.send(device, command)
        assert hall.only(f.EvaluationSubmitted).staff == hall.only(f.CaseOpened).staff == f"staff-{counter}"


@pytest.mark.parametrize("second", [1, 2, 5])
def test_f5_a_rating_stored_twice_is_one_rating_one_rejection_and_one_case(second: int) -> None:
    """Whether the level is the same or not, from another channel, after a restart: the first stands."""
    hall = opened()
    hall.take()
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(1, 2))
    hall.hall = Hall(restored(hall.state.snapshot()))
    (again,) = hall.ask(c.SubmitEvaluation(1, second, channel="qr"))
    assert isinstance(again, f.EvaluationRejected) and again.reason == "already_rated"
    assert (hall.state.evaluations[1].level, list(hall.state.cases)) == (2, [1])


def test_f20_no_id_is_read_from_a_clock_and_no_fact_carries_a_person() -> None:
    """Two halls at other times give the same ids; what they wrote has no identity or phone number in it."""
    ids = []
    for shift in (0, 987_654_321):
        hall = opened()
        hall.at_ms += shift // 1_000_000 * 1000
        hall.take()
        hall.serve(1)
        hall.ask(c.SubmitEvaluation(1, 1))
        ids.append((hall.only(f.EvaluationSubmitted).call, hall.only(f.CaseOpened).case, hall.state.next_ticket))
        assert not any(personal(line.payload.decode("latin-1")) for line in hall.journal)
    assert ids[0] == ids[1] == (1, 1, 2)
