"""core/rules_cases.py: follow-up from opening to the end, its clocks, and who may not handle it."""

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as fc
from core.hall import Hall
from core.state import restored
from tests.halls import MIN, POLICY, Driven, changed, clock, kinds, opened

DAY = 1440 * MIN
CLOSE = 17 * 60 + 30


def bad(**parts: object) -> Driven:
    """A rating of level 1 for staff-1, at a quarter to nine on Monday."""
    hall = opened(**parts)
    hall.take()
    hall.serve(1)
    hall.at_ms = clock("2026-11-23 08:45")
    hall.ask(c.SubmitEvaluation(1, 1))
    return hall


def through(hall: Driven, *steps: c.Command) -> None:
    for step in steps:
        facts = hall.ask(step)
        assert not isinstance(facts[0], f.Refused), (step, facts)


def overdue(facts: list[object]) -> list[tuple[str, int]]:
    return [(one.stage, one.round) for one in facts if isinstance(one, fc.CaseOverdue)]


FAULTY = (cc.AssignCase(1, "boss"), cc.VerifyCase(1, "substantiated", True), cc.RectifyCase(1), cc.ReplyCase(1))
EXPLAINED = (cc.AssignCase(1, "boss"), cc.VerifyCase(1, "no_basis"), cc.ReplyCase(1))


@pytest.mark.parametrize("steps", [FAULTY, EXPLAINED])
def test_a_bad_rating_is_followed_up_to_the_end(steps: tuple[c.Command, ...]) -> None:
    hall = bad()
    through(hall, *steps)
    assert hall.refused(cc.CloseCase(1)) == "revisit_due"
    through(hall, cc.RevisitCase(1, 3), cc.CloseCase(1))
    assert hall.facts == [fc.CaseClosed(1, True)]


@pytest.mark.parametrize(
    ("policy", "real_name", "owed"),
    [("national", True, True), ("national", False, False), ("liaoning", False, True), ("sichuan", False, True)],
)
def test_a_return_visit_is_owed_where_the_place_says_so(policy: str, real_name: bool, owed: bool) -> None:
    hall = opened(cases={"preset": policy})
    hall.take()
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(1, 2, real_name=real_name))
    assert (hall.only(f.CaseOpened).revisit, hall.only(f.CaseOpened).real_name) == (owed, real_name)
    through(hall, *EXPLAINED)
    assert kinds(hall.ask(cc.CloseCase(1))) == (["Refused"] if owed else ["CaseClosed"])


def test_nobody_reached_is_a_visit_without_an_answer() -> None:
    hall = bad()
    through(hall, *EXPLAINED)
    assert hall.refused(cc.RevisitCase(1, 0, True)) == hall.refused(cc.RevisitCase(1, 2, False)) == "bad_field"
    through(hall, cc.RevisitCase(1, 0, False), cc.CloseCase(1))


@pytest.mark.parametrize(
    ("preset", "dues"),
    [
        ("national", ("2026-11-24 17:30", "")),
        ("dezhou", ("2026-11-24 17:30", "2026-11-30 17:30")),
        ("sichuan", ("2026-11-24 17:30", "2026-12-14 17:30")),
        ("city7", ("", "2026-12-01 00:00")),
    ],
)
def test_clocks_run_from_the_opening(preset: str, dues: tuple[str, str]) -> None:
    case = bad(cases={"preset": preset}).only(f.CaseOpened)
    assert (case.verify_due_ms, case.reply_due_ms) == tuple(clock(due) if due else 0 for due in dues)


@pytest.mark.parametrize(
    ("preset", "complex_", "due"),
    [
        ("national", False, "2026-11-23 12:45"),
        ("national", True, "2026-12-14 17:30"),
        ("liaoning", False, "2026-11-23 12:45"),
        ("liaoning", True, "2026-12-14 17:30"),
        *((preset, complex_, "") for preset in ("dezhou", "sichuan", "city7") for complex_ in (False, True)),
    ],
)
@pytest.mark.parametrize("verdict", ["substantiated", "accepted"])
def test_what_is_clear_is_put_right_at_once_and_what_is_complex_has_a_limit(
    preset: str, complex_: bool, due: str, verdict: str
) -> None:
    hall = bad(cases={"preset": preset})
    through(hall, cc.AssignCase(1, "boss"), cc.VerifyCase(1, verdict, complex_))
    assert hall.only(fc.CaseVerified) == fc.CaseVerified(1, verdict, clock(due) if due else 0, complex_)


@pytest.mark.parametrize("verdict", ["unsubstantiated", "no_basis"])
def test_what_is_explained_has_nothing_to_be_put_right(verdict: str) -> None:
    hall = bad()
    through(hall, cc.AssignCase(1, "boss"), cc.VerifyCase(1, verdict, True))
    assert hall.only(fc.CaseVerified) == fc.CaseVerified(1, verdict)


CHINA = {
    "periods": ("08:30-12:00", "14:00-17:30"),
    "off": ("2026-10-01/2026-10-07", "2027-01-01/2027-01-03"),
    "work": ("2026-10-10", "2027-01-09"),
}


@pytest.mark.parametrize(
    ("at", "verify", "at_once", "limit"),
    [
        ("2026-09-30 16:00", "2026-10-08 17:30", "2026-10-08 11:00", "2026-10-27 17:30"),  # 10-10, a Saturday, counts
        ("2026-10-09 16:00", "2026-10-10 17:30", "2026-10-10 11:00", "2026-10-29 17:30"),
        (
            "2026-12-31 16:30",
            "2027-01-04 17:30",
            "2027-01-04 11:30",
            "2027-01-21 17:30",
        ),  # the year's end; 01-09 counts
        ("2026-12-31 11:00", "2027-01-04 17:30", "2026-12-31 17:00", "2027-01-21 17:30"),
    ],
)
def test_clocks_run_over_holidays_make_up_days_and_the_years_end(
    at: str, verify: str, at_once: str, limit: str
) -> None:
    for complex_, due in ((False, at_once), (True, limit)):
        hall = Driven(changed(calendar=CHINA), clock(at) - 10 * MIN)
        hall.sign_on()
        hall.take()
        hall.serve(1)
        hall.at_ms = clock(at)
        hall.ask(c.SubmitEvaluation(hall.state.next_call - 1, 1))
        assert hall.only(f.CaseOpened).verify_due_ms == clock(verify)
        through(hall, cc.AssignCase(1, "boss"), cc.VerifyCase(1, "substantiated", complex_))
        assert hall.only(fc.CaseVerified).rectify_due_ms == clock(due)
        assert overdue(hall.wait(clock(due) - hall.at_ms - 1)) == []
        assert overdue(hall.wait(1)) == [("rectify", 1)]
        assert overdue(hall.wait(40 * DAY)) == []


def test_overdue_is_said_once_a_stage_and_round_never_early() -> None:
    hall = bad()
    due = clock("2026-11-24 17:30")
    hall.at_ms = due - 1
    assert overdue(hall.due()) == []
    assert fc.CaseOverdue(1, "verify", 1, due) in hall.wait(1)
    assert overdue(hall.wait(9 * DAY)) == []
    through(hall, *FAULTY[:2])
    assert hall.only(fc.CaseVerified).rectify_due_ms == clock("2026-12-24 17:30")
    assert overdue(hall.wait(30 * DAY)) == [("rectify", 1)]
    through(hall, *FAULTY[2:], cc.RevisitCase(1, 1), cc.CloseCase(1))
    assert not hall.only(fc.CaseClosed).in_time
    through(hall, cc.ReopenCase(1, "boss-2"))
    assert overdue(hall.wait(9 * DAY)) == [("verify", 2)]


def test_what_is_done_in_time_is_not_overdue() -> None:
    hall = bad(cases={"preset": "dezhou"})
    hall.at_ms = clock("2026-11-24 17:29")
    through(hall, *EXPLAINED)
    assert overdue(hall.wait(30 * DAY)) == []


def test_clocks_survive_a_restart_and_a_policy_change() -> None:
    hall = bad()
    hall.change(changed(POLICY, version=5, cases={"preset": "city7"}, calendar={"off": ("2026-11-24",)}))
    hall.hall = Hall(restored(hall.state.snapshot()))
    hall.at_ms = clock("2026-11-24 17:30")
    assert overdue(hall.due()) == [("verify", 1)]


def test_a_stage_is_extended_once_and_only_to_later() -> None:
    hall = bad()
    through(hall, *FAULTY[:2])
    due = hall.state.cases[1].rectify_due_ms
    assert hall.refused(cc.ExtendCase(1, "reply", due + 1)) == "wrong_state"
    assert hall.refused(cc.ExtendCase(1, "rectify", due)) == "bad_field"
    through(hall, cc.ExtendCase(1, "rectify", due + DAY))
    assert hall.refused(cc.ExtendCase(1, "rectify", due + 2 * DAY)) == "extend_limit"
    hall.at_ms = due + DAY - 1
    assert overdue(hall.due()) == []
    assert overdue(hall.wait(1)) == [("rectify", 1)]
    assert hall.refused(cc.ExtendCase(1, "rectify", due + 9 * DAY)) == "wrong_state"


def test_the_person_concerned_never_handles_it_nor_does_the_same_person_twice() -> None:
    hall = bad()
    assert hall.refused(cc.AssignCase(1, "staff-1")) == "handler_is_party"
    through(hall, *EXPLAINED, cc.RevisitCase(1, 1), cc.CloseCase(1))
    for handler in ("staff-1", "boss"):
        assert hall.refused(cc.ReopenCase(1, handler)) == "handler_is_party"
    through(hall, cc.ReopenCase(1, "boss-2"), *EXPLAINED[1:], cc.RevisitCase(1, 2), cc.CloseCase(1))
    assert hall.refused(cc.ReopenCase(1, "boss-3")) == "reopen_limit"


def test_reopening_ends_to_the_ms_and_the_case_is_then_forgotten() -> None:
    for late, answer in ((0, "CaseReopened"), (1, "Refused")):
        hall = bad()
        through(hall, *EXPLAINED, cc.RevisitCase(1, 1), cc.CloseCase(1))
        hall.at_ms += 15 * DAY + late
        hall.due()
        assert kinds(hall.ask(cc.ReopenCase(1, "boss-2"))) == [answer]
    hall.wait(2 * DAY)
    assert hall.refused(cc.ReopenCase(1, "boss-2")) == "case_unknown"
    assert hall.state.cases == {} and hall.state.next_case == 2


@pytest.mark.parametrize("kind", ["complaint", "assist"])
def test_what_people_bring_is_a_case_with_a_reply_owed(kind: str) -> None:
    hall = opened()
    hall.ask(cc.OpenCase(kind, "hotline", "staff-2", 2, "tax", "t-9", True))
    case = hall.only(f.CaseOpened)
    assert (case.kind, case.source, case.department, case.text_ref) == (kind, "hotline", "tax", "t-9")
    assert case.reply_due_ms == clock("2026-12-14 17:30" if kind == "complaint" else "2026-11-30 17:30")
    assert hall.refused(cc.OpenCase(kind, service="none")) == "service_unknown"
    assert hall.refused(cc.OpenCase(kind, counter=99)) == "counter_unknown"


def test_nobody_opens_a_case_on_the_comment_of_a_rating() -> None:
    hall = opened()
    ref = f"{hall.state.hall}-55"
    for command in (cc.OpenCase("complaint", text_ref=ref), cc.RecordInspection("x", 2, text_ref=ref)):
        assert hall.refused(command) == "bad_field"
    assert not hall.state.cases


@pytest.mark.parametrize(
    "step", [*FAULTY, cc.RevisitCase(1), cc.CloseCase(1), cc.ReopenCase(1, "x"), cc.ExtendCase(1, "reply", 1)]
)
def test_a_case_that_is_not_there_is_not_handled(step: c.Command) -> None:
    assert opened().refused(step) == "case_unknown"


@pytest.mark.parametrize(
    ("kind", "counts", "verdict", "entries"),
    [
        ("complaint", False, "substantiated", 1),
        ("complaint", False, "unsubstantiated", 0),
        ("assist", False, "substantiated", 0),
        ("bad_review", False, "substantiated", 0),
        ("bad_review", True, "substantiated", 1),
    ],
)
def test_a_complaint_found_true_is_an_entry_of_the_ledger(kind: str, counts: bool, verdict: str, entries: int) -> None:
    policy: dict[str, object] = {"cases": {"bad_review_counts_as_complaint": counts}}
    hall = bad(**policy) if kind == "bad_review" else opened(**policy)
    if kind != "bad_review":
        hall.ask(cc.OpenCase(kind, staff="staff-1"))
    through(hall, cc.AssignCase(1, "boss"))
    hall.at_ms = clock("2026-11-25 09:00")
    facts = hall.ask(cc.VerifyCase(1, verdict))
    found = [one for one in facts if isinstance(one, fc.ConductRecorded)]
    assert found == [fc.ConductRecorded(1, "staff-1", "complaint", 20261125, 1, 1)][:entries]


def test_a_reopened_complaint_counts_once() -> None:
    hall = opened()
    hall.ask(cc.OpenCase("complaint", staff="staff-1"))
    through(hall, *FAULTY, cc.RevisitCase(1, 1), cc.CloseCase(1), cc.ReopenCase(1, "boss-2"))
    assert kinds(hall.ask(cc.VerifyCase(1, "substantiated"))) == ["CaseVerified"]
