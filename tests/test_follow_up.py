"""workers/follow_up.py: how far a case has come, and the rates over their own denominators."""

from core import facts as f
from core import facts_cases as fc
from workers.follow_up import RULES, Lines, rates


def told(*facts: object) -> Lines:
    lines: Lines = {}
    for fact in facts:
        RULES[type(fact)](lines, 20261123, fact)
    return lines


def test_nothing_has_happened() -> None:
    assert rates([]) == {"cases": 0} | dict.fromkeys(
        (
            f"{name}_{part}"
            for name in ("replied", "revisit", "revisit_rectified", "revisit_satisfied", "in_time")
            for part in ("num", "den")
        ),
        0,
    )


def test_a_round_again_is_measured_again() -> None:
    """Verify and reply each round, rectify in the first; one of the five was late."""
    opened = f.CaseOpened(1, "bad_review", real_name=True, verify_due_ms=5, reply_due_ms=9)
    lines = told(
        opened,
        fc.CaseVerified(1, "substantiated", 20),
        fc.CaseOverdue(1, "rectify", 1, 20),
        fc.CaseRectified(1),
        fc.CaseReplied(1),
        fc.CaseRevisited(1, 1, True),
        fc.CaseClosed(1, False),
        fc.CaseReopened(1, "boss", 2, 30, 40),
    )
    assert (lines[1].closed, lines[1].reopened) == (False, True)
    found = rates(lines.values())
    assert (found["in_time_num"], found["in_time_den"]) == (4, 5)
    assert (found["revisit_num"], found["revisit_den"]) == (1, 1)
    assert (found["revisit_satisfied_num"], found["revisit_satisfied_den"]) == (0, 1)


def test_who_was_not_reached_was_not_visited_and_a_complaint_owes_no_reply_rate() -> None:
    lines = told(
        f.CaseOpened(1, "complaint"),
        f.CaseOpened(2, "bad_review"),
        fc.CaseRevisited(2, 0, False),
    )
    found = rates(lines.values())
    assert (found["cases"], found["replied_den"], found["revisit_den"], found["in_time_den"]) == (2, 1, 0, 0)
