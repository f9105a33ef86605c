"""core/rules_staff.py: postings, rotation, return on a reviewed finding, empty counters."""

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts_cases as fc
from core.hall import Hall
from core.state import restored
from tests.halls import MIN, Driven, changed, clock, kinds, opened

DAY = 1440 * MIN


def posted(first: int = 20240101, letter: str = "letter-1") -> Driven:
    hall = opened()
    hall.ask(cc.PostStaff("u1", "hrss", first, letter))
    return hall


def rules(hall: Driven) -> list[str]:
    return [one.rule for one in hall.facts if isinstance(one, fc.FindingRaised)]


@pytest.mark.parametrize(("letter", "found"), [("letter-1", []), ("", ["no_letter"])])
def test_n24_a_posting_without_a_letter_is_a_finding(letter: str, found: list[str]) -> None:
    hall = posted(letter=letter)
    assert kinds(hall.facts)[0] == "StaffPosted" and rules(hall) == found
    hall.ask(cc.RotateStaff("u1", 20261130, "u2", letter))
    assert rules(hall) == found


@pytest.mark.parametrize(("last", "found"), [(20251231, ["posting_short"]), (20260101, []), (20260102, [])])
def test_n23_two_years_at_least(last: int, found: list[str]) -> None:
    hall = posted(20240101)
    hall.ask(cc.RotateStaff("u1", last, "u2", "letter-2"))
    assert rules(hall) == found
    if found:
        assert (hall.only(fc.FindingRaised).num, hall.only(fc.FindingRaised).den) == (23, 24)


@pytest.mark.parametrize(("first_day", "found"), [("2026-11-24", []), ("2026-11-25", ["handover_gap"])])
def test_n24_the_successor_comes_before_the_predecessor_goes(first_day: str, found: list[str]) -> None:
    hall = posted()
    hall.ask(cc.RotateStaff("u1", 20261124, "u2", "letter-2"))
    hall.ask(c.SignOffStaff(1))
    hall.at_ms = clock(f"{first_day} 09:00")
    hall.ask(c.SignOnStaff("u2", 1))
    assert rules(hall) == found
    hall.ask(c.SignOffStaff(1))
    hall.at_ms += 9 * DAY
    hall.ask(c.SignOnStaff("u2", 1))
    assert rules(hall) == [], "only the first time"


def test_n24_nobody_to_follow_is_a_gap() -> None:
    hall = posted()
    hall.ask(cc.RotateStaff("u1", 20261124, letter_ref="letter-2"))
    assert rules(hall) == ["handover_gap"]


def test_what_is_no_posting_is_not_rotated() -> None:
    hall = posted()
    assert hall.refused(cc.PostStaff("u1", "tax", 20261101)) == "posted_already"
    assert hall.refused(cc.PostStaff("u9", "tax", 20261332)) == "bad_field"
    assert hall.refused(cc.RotateStaff("u9", 20261124)) == "not_posted"
    for day, successor in ((20231231, "u2"), (20261124, "u1"), (20261199, "u2")):
        assert hall.refused(cc.RotateStaff("u1", day, successor)) == "bad_field"
    assert hall.refused(cc.ReturnStaff("u9", 1)) == "not_posted"


def test_after_the_last_day_nobody_signs_on_and_may_be_posted_again() -> None:
    hall = posted()
    hall.ask(cc.RotateStaff("u1", 20261123, "u2", "letter-2"))
    hall.ask(c.SignOffStaff(1))
    assert kinds(hall.ask(c.SignOnStaff("u1", 1))) == ["StaffSignedOn"]
    hall.ask(c.SignOffStaff(1))
    hall.wait(DAY)
    assert hall.refused(c.SignOnStaff("u1", 1)) == "not_posted"
    hall.ask(cc.PostStaff("u1", "tax", 20261124, "letter-3"))
    assert kinds(hall.ask(c.SignOnStaff("u1", 1))) == ["StaffSignedOn"]


def test_n25_somebody_is_returned_only_on_a_finding_that_a_person_has_confirmed() -> None:
    hall = posted()
    assert hall.refused(cc.ReturnStaff("u1", 1)) == "finding_unknown"
    hall.ask(cc.RecordConduct("u1", "sanction", 20261120))
    hall.ask(cc.RecordConduct("u3", "sanction", 20261120))
    assert hall.refused(cc.ReturnStaff("u1", 1)) == "finding_unreviewed"
    hall.ask(cc.ReviewFinding(2, "confirmed", "boss"))
    assert hall.refused(cc.ReturnStaff("u1", 2)) == "finding_unreviewed", "another's finding"
    hall.ask(cc.ReviewFinding(1, "confirmed", "boss"))
    assert hall.ask(cc.ReturnStaff("u1", 1)) == [fc.StaffReturned("u1", 1, 20261123)]
    assert hall.refused(cc.ReturnStaff("u1", 1)) == "not_posted"
    hall.ask(c.SignOffStaff(1))
    assert hall.refused(c.SignOnStaff("u1", 1)) == "not_posted"


def test_n25_a_dismissed_or_withdrawn_finding_returns_nobody() -> None:
    hall = posted()
    hall.ask(cc.RecordConduct("u1", "sanction", 20261120))
    hall.ask(cc.ReviewFinding(1, "dismissed", "boss"))
    assert hall.refused(cc.ReturnStaff("u1", 1)) == "finding_unreviewed"
    hall.ask(cc.RecordConduct("u1", "error", 20261120))
    hall.ask(cc.ReviewFinding(2, "confirmed", "boss"))
    hall.ask(cc.VoidConduct(2))
    assert hall.refused(cc.ReturnStaff("u1", 2)) == "finding_unreviewed"


# Coverage.

WATCHED = {"conduct": {"uncovered_min": 15}}


def uncovered(facts: list[object]) -> list[int]:
    return [one.counter for one in facts if isinstance(one, fc.CounterUncovered)]


def test_n22_a_counter_that_nobody_sits_at_is_said_to_be_empty_in_working_time() -> None:
    hall = opened(**WATCHED)
    hall.ask(c.SignOffStaff(1))
    assert uncovered(hall.wait(15 * MIN - 1)) == []
    hall.hall = Hall(restored(hall.state.snapshot()))
    assert hall.wait(1) == [fc.CounterUncovered(1, hall.at_ms - 15 * MIN)]
    assert uncovered(hall.wait(60 * MIN)) == []
    facts = hall.ask(c.SignOnStaff("u7", 1, "staff-1"))
    assert kinds(facts) == ["StaffSignedOn", "CounterCovered"] and facts[0].substitute_for == "staff-1"
    hall.ask(c.SignOffStaff(1))
    assert uncovered(hall.wait(15 * MIN)) == [1]


def test_n22_at_night_nobody_is_missed_and_each_morning_begins_anew() -> None:
    hall = opened(**WATCHED)
    hall.at_ms = clock("2026-11-23 17:20")
    hall.ask(c.SignOffStaff(1))
    assert uncovered(hall.wait(11 * 60 * MIN)) == []
    hall.at_ms = clock("2026-11-24 08:44")
    assert uncovered(hall.due()) == []
    assert uncovered(hall.wait(MIN)) == [1]
    hall.at_ms = clock("2026-11-25 08:45")
    assert uncovered(hall.due()) == [1]
    found = [uncovered(hall.wait(DAY)) for _ in ("Thursday", "Friday", "Saturday", "Sunday", "Monday")]
    assert found == [[1], [1], [], [], [1]]


def test_n22_a_counter_off_the_roster_is_not_missed_and_without_a_limit_none_is() -> None:
    hall = opened()
    hall.ask(c.SignOffStaff(1))
    assert uncovered(hall.wait(6 * 60 * MIN)) == []
    one, two, three = hall.policy.counters
    part = {"no": one.no, "primary": one.primary, "rostered": False}
    hall.change(changed(counters=(type(one)(**part), two, three), **WATCHED))
    assert uncovered(hall.wait(60 * MIN)) == []
    hall.change(changed(hall.state.policy or hall.policy, counters=(one, two, three), **WATCHED))
    assert uncovered(hall.wait(0)) == [1], "empty for long when the rule came"
