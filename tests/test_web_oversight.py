"""workers/web/oversight.py: what is to be decided comes first, and stays when it was."""

from core import commands as c
from core import commands_cases as cc
from tests.halls import Driven, opened
from workers.web.oversight import SHOWN_MAX, oversight


def rated(*levels: int) -> Driven:
    """A served visitor each."""
    driven = opened()
    for call, level in enumerate(levels, 1):
        driven.take()
        driven.serve(1)
        driven.ask(c.SubmitEvaluation(call=call, level=level, channel="pad"))
    return driven


def test_bad_ratings_may_be_appealed_and_the_undecided_stand_first() -> None:
    driven = rated(1, 5, 2, 1)
    driven.ask(cc.AppealEvaluation(1, "staff-1"))
    driven.ask(cc.AppealEvaluation(3, "staff-1"))
    driven.ask(cc.DecideAppeal(3, "upheld", "boss-7"))
    found = oversight(driven.state).appeals
    assert [(one.call, one.state) for one in found] == [(1, "appealed"), (4, "submitted"), (3, "upheld")]
    assert (found[0].by, found[0].level, found[0].counter, found[0].staff) == ("staff-1", 1, 1, "staff-1")
    assert found[1].due_ms > driven.at_ms


def test_findings_that_nobody_reviewed_stand_first() -> None:
    driven = opened()
    for subject in ("service-si", "service-tax"):
        driven.ask(cc.RaiseFinding("R9", subject))
    driven.ask(cc.ReviewFinding(2, "dismissed", "boss-7"))
    found = oversight(driven.state).findings
    assert [(one.finding, one.state, one.decision) for one in found] == [
        (1, "raised", ""),
        (2, "reviewed", "dismissed"),
    ]
    assert found[0].subject == "service-si" and found[0].day == driven.state.day


def test_the_ledger_is_shown_newest_first_and_no_longer_than_can_be_read() -> None:
    driven = opened()
    for _ in range(SHOWN_MAX + 5):
        driven.ask(cc.RecordConduct("staff-1", "late", driven.state.day))
    driven.ask(cc.VoidConduct(SHOWN_MAX + 5, "doc-1"))
    found = oversight(driven.state).conduct
    assert len(found) == SHOWN_MAX and found[0].void and not found[1].void
    assert (found[0].entry, found[0].kind, found[0].staff) == (SHOWN_MAX + 5, "late", "staff-1")
