"""core/rules_conduct.py: the ledger through the hall — findings, their withdrawal, warnings, the year's end, review."""

import pytest

from core import commands_cases as cc
from core import facts_cases as fc
from tests.halls import Driven, clock, kinds, opened

ONE = {"C1": "sanction", "C5": "error", "C6": "criticised", "C8": "disobedience", "C9": "unfit"}


def recorded(hall: Driven, kind: str, on_day: int = 20261120, half_days: int = 1) -> list[str]:
    return kinds(hall.ask(cc.RecordConduct("staff-1", kind, on_day, half_days)))


def raised(hall: Driven) -> list[str]:
    return [one.rule for one in hall.facts if isinstance(one, fc.FindingRaised)]


@pytest.mark.parametrize("rule", ONE)
def test_n26_one_is_enough_without_a_warning(rule: str) -> None:
    hall = opened()
    recorded(hall, ONE[rule])
    assert hall.facts[1:] == [fc.FindingRaised(1, rule, "staff-1", 20261120, (1,), 1, 1)]


@pytest.mark.parametrize(("rule", "kind", "limit"), [("C2a", "absent", 10), ("C2b", "late", 30), ("C7", "media", 2)])
def test_n26_the_finding_comes_with_the_last_entry_and_once(rule: str, kind: str, limit: int) -> None:
    hall = opened()
    for count in range(1, limit + 2):
        recorded(hall, kind)
        assert raised(hall) == ([rule] if count == limit else [])
    assert hall.state.findings[1].rule == rule and len(hall.state.findings) == 1


def test_n26_c3_through_the_hall() -> None:
    hall = opened()
    for day in (1, 2, 3):
        recorded(hall, "admonished", 20261100 + day)
    assert raised(hall) == []
    recorded(hall, "noncompliance", 20261102)
    assert raised(hall) == [], "before the third"
    recorded(hall, "noncompliance", 20261104)
    assert hall.only(fc.FindingRaised) == fc.FindingRaised(1, "C3", "staff-1", 20261104, (1, 2, 3, 5), 3, 3)


def test_n26_c4_is_computed_from_cases_by_the_day_of_the_verdict() -> None:
    hall = opened()
    for case in (1, 2):
        hall.ask(cc.OpenCase("complaint", staff="staff-1"))
        hall.ask(cc.AssignCase(case, "boss"))
        hall.ask(cc.VerifyCase(case, "substantiated"))
    assert kinds(hall.facts) == ["CaseVerified", "ConductRecorded", "FindingRaised"]
    assert hall.only(fc.FindingRaised).rule == "C4"
    assert [one.case for one in hall.state.conduct.values()] == [1, 2]


def test_n26_a_void_takes_the_finding_back_and_a_new_entry_raises_another() -> None:
    hall = opened()
    recorded(hall, "media")
    recorded(hall, "media")
    assert kinds(hall.ask(cc.VoidConduct(1))) == ["ConductVoided", "FindingWithdrawn"]
    assert hall.state.findings[1].state.name == "WITHDRAWN"
    assert hall.refused(cc.VoidConduct(1)) == "wrong_state"
    assert hall.refused(cc.VoidConduct(9)) == "entry_unknown"
    assert recorded(hall, "media") == ["ConductRecorded", "FindingRaised"]
    assert hall.only(fc.FindingRaised).evidence == (2, 3)


def test_n26_a_void_that_leaves_the_ground_leaves_the_finding() -> None:
    hall = opened()
    for _ in range(3):
        recorded(hall, "media")
    assert kinds(hall.ask(cc.VoidConduct(1))) == ["ConductVoided"]
    assert kinds(hall.ask(cc.VoidConduct(2))) == ["ConductVoided", "FindingWithdrawn"]


def test_n25_the_year_is_the_calendar_year_of_the_day_it_happened() -> None:
    hall = opened()
    hall.at_ms = clock("2027-01-04 09:00")
    hall.due()
    recorded(hall, "media", 20261231)
    recorded(hall, "media", 20270101)
    assert raised(hall) == []
    recorded(hall, "media", 20261230)
    assert hall.only(fc.FindingRaised).evidence == (3, 1), "an entry of last year, written down this year"
    recorded(hall, "media", 20270102)
    assert hall.only(fc.FindingRaised).day == 20270102


def test_entries_are_of_days_that_have_come() -> None:
    hall = opened()
    assert hall.refused(cc.RecordConduct("staff-1", "late", 20261124)) == "future_day"
    assert hall.refused(cc.RecordConduct("staff-1", "late", 20261131)) == "bad_field"
    assert recorded(hall, "late", 20261123) == ["ConductRecorded"]
    hall.at_ms = clock("2026-11-24 00:30")
    hall.due()
    assert recorded(hall, "late", 20261124) == ["ConductRecorded"], "the calendar day, not the business day"


def test_warnings_at_60_and_80_percent() -> None:
    hall = opened()
    told = []
    for _ in range(10):
        recorded(hall, "absent")
        told += [(one.num, one.percent) for one in hall.facts if isinstance(one, fc.ConductWarned)]
    assert told == [(6, 60), (8, 80)]
    recorded(hall, "complaint")
    assert hall.only(fc.ConductWarned) == fc.ConductWarned("staff-1", "C4", 2026, 1, 2, 80)


def test_nobody_elses_entries_count() -> None:
    hall = opened()
    for staff in ("staff-1", "staff-2"):
        hall.ask(cc.RecordConduct(staff, "media", 20261120))
    assert raised(hall) == []


def test_a_finding_changes_no_count_and_is_reviewed_by_a_person_who_is_no_party() -> None:
    hall = opened()
    hall.ask(cc.RaiseFinding("R9", "staff-1", (1, 2), 0, 7))
    assert hall.only(fc.FindingRaised) == fc.FindingRaised(1, "R9", "staff-1", 20261123, (1, 2), 0, 7)
    assert hall.refused(cc.RaiseFinding("R9", "staff-1")) == "finding_exists"
    assert hall.refused(cc.ReviewFinding(1, "confirmed", "staff-1")) == "reviewer_is_party"
    assert hall.refused(cc.ReviewFinding(2, "confirmed", "boss")) == "finding_unknown"
    assert kinds(hall.ask(cc.ReviewFinding(1, "dismissed", "boss"))) == ["FindingReviewed"]
    assert hall.refused(cc.ReviewFinding(1, "confirmed", "boss")) == "wrong_state"
    assert (hall.state.conduct, hall.state.findings[1].decision) == ({}, "dismissed")


def test_the_ledger_keeps_this_year_and_the_last() -> None:
    hall = opened()
    recorded(hall, "sanction", 20251201)
    recorded(hall, "sanction", 20241201)
    hall.wait(24 * 3_600_000)
    assert [one.on_day for one in hall.state.conduct.values()] == [20251201]
    assert len(hall.state.findings) == 1
    assert hall.state.next_entry == 3
    assert hall.replayed().state.digest() == hall.state.digest()
