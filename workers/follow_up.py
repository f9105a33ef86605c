"""workers/follow_up.py: how far each case has come, fact by fact, and the published rates of follow-up.

A case is counted on the day on which it was opened; what happens to it later changes its line.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from core.fact import Fact
from core.facts import CaseOpened
from core.facts_cases import (
    CaseClosed,
    CaseOverdue,
    CaseRectified,
    CaseReopened,
    CaseReplied,
    CaseRevisited,
    CaseVerified,
)

SATISFIED: Final = 2
SHARES: Final = ("replied", "revisit", "revisit_rectified", "revisit_satisfied", "in_time")


class CaseLine(msgspec.Struct, array_like=True):
    """How far a follow-up has come. `stages`: begun; `late`: said to be overdue."""

    kind: str
    day: int
    department: str
    staff: str
    real_name: bool
    verdict: str = ""
    rectified: bool = False
    replied: bool = False
    revisited: bool = False
    satisfaction: int = 0
    reopened: bool = False
    closed: bool = False
    stages: int = 0
    late: int = 0


Lines = dict[int, CaseLine]


def opened(lines: Lines, day: int, fact: CaseOpened) -> None:
    """A line begins on business day `day` (yyyymmdd); each clock that starts is a stage."""
    line = CaseLine(fact.kind, day, fact.department, fact.staff, fact.real_name)
    line.stages = (fact.verify_due_ms > 0) + (fact.reply_due_ms > 0)
    lines[fact.case] = line


def verified(lines: Lines, day: int, fact: CaseVerified) -> None:
    """A verdict; a clock to rectify is a stage more."""
    line = lines[fact.case]
    line.verdict = fact.verdict
    line.stages += fact.rectify_due_ms > 0


def reopened(lines: Lines, day: int, fact: CaseReopened) -> None:
    """Begun anew: its clocks are stages again."""
    line = lines[fact.case]
    line.reopened, line.closed = True, False
    line.stages += (fact.verify_due_ms > 0) + (fact.reply_due_ms > 0)


def overdue(lines: Lines, day: int, fact: CaseOverdue) -> None:
    """A stage was late."""
    lines[fact.case].late += 1


def rectified(lines: Lines, day: int, fact: CaseRectified) -> None:
    """Put right."""
    lines[fact.case].rectified = True


def replied(lines: Lines, day: int, fact: CaseReplied) -> None:
    """The person has an answer."""
    lines[fact.case].replied = True


def revisited(lines: Lines, day: int, fact: CaseRevisited) -> None:
    """A call back (回访); `satisfaction` 1 to 3, 0: nobody was reached."""
    line = lines[fact.case]
    line.revisited, line.satisfaction = fact.reached, fact.satisfaction


def closed(lines: Lines, day: int, fact: CaseClosed) -> None:
    """Done with."""
    lines[fact.case].closed = True


RULES: Final[dict[type[Fact], Callable[..., None]]] = {
    CaseOpened: opened,
    CaseVerified: verified,
    CaseReopened: reopened,
    CaseOverdue: overdue,
    CaseRectified: rectified,
    CaseReplied: replied,
    CaseRevisited: revisited,
    CaseClosed: closed,
}


def rates(found: Iterable[CaseLine]) -> dict[str, Any]:
    """Replied, revisited, put right, satisfied with it, in time: each as `_num` and `_den`; `cases`: how many."""
    cases = list(found)
    bad = [case for case in cases if case.kind == "bad_review"]
    owed = [case for case in bad if case.real_name]
    seen = [case for case in cases if case.revisited]
    found_true = [case for case in seen if case.verdict == "substantiated"]
    put_right = [case for case in seen if case.rectified]
    stages = sum(case.stages for case in cases)
    shares = {
        "replied": (sum(case.replied for case in bad), len(bad)),
        "revisit": (sum(case.revisited for case in owed), len(owed)),
        "revisit_rectified": (sum(case.rectified for case in found_true), len(found_true)),
        "revisit_satisfied": (sum(case.satisfaction >= SATISFIED for case in put_right), len(put_right)),
        "in_time": (stages - sum(case.late for case in cases), stages),
    }
    told = {f"{name}_{part}": share[at] for name, share in shares.items() for at, part in enumerate(("num", "den"))}
    return {"cases": len(cases), **told}
