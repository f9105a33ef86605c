"""workers/web/casework.py: the work list: overdue first, then by the next due time; closed ones last."""

from core import commands as c
from core import commands_cases as cc
from tests.halls import MIN, Driven, opened
from workers.web import casework

DAY = 24 * 60 * MIN


def with_cases() -> Driven:
    """A bad rating and two complaints."""
    driven = opened()
    driven.take()
    driven.serve(1)
    driven.ask(c.SubmitEvaluation(call=1, level=1, channel="pad"))
    driven.ask(cc.OpenCase("complaint", source="desk", counter=2))
    driven.ask(cc.OpenCase("complaint", source="desk"))
    return driven


def test_a_bad_rating_is_a_case_with_its_clock() -> None:
    driven = with_cases()
    desk = casework.desk(driven.state)
    assert desk.open == 3 and {line.case for line in desk.cases} == {1, 2, 3}
    bad = next(line for line in desk.cases if line.case == 1)
    assert (bad.kind, bad.state, bad.level, bad.counter, bad.staff) == ("bad_review", "opened", 1, 1, "staff-1")
    assert bad.clocks and bad.clocks[0].stage == "verify" and bad.clocks[0].due_ms > driven.at_ms
    assert bad.service == {"zh": "si", "en": "si"}


def test_overdue_comes_first_and_closed_last() -> None:
    driven = with_cases()
    driven.ask(cc.AssignCase(3, "h-1"))
    driven.ask(cc.VerifyCase(3, "no_basis"))
    driven.ask(cc.ReplyCase(3, "doc-1"))
    driven.wait(3 * DAY)
    desk = casework.desk(driven.state)
    assert desk.cases[0].overdue and desk.cases[-1].case == 3
    driven.ask(cc.RevisitCase(3, 3))
    driven.ask(cc.CloseCase(3))
    desk = casework.desk(driven.state)
    assert desk.open == 2 and desk.cases[-1].state == "closed" and desk.cases[-1].clocks == []
