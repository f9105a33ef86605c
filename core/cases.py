"""core/cases.py: the follow-up of a bad rating, a complaint, assisted service or an inspection (工单), and its clocks.

OPENED ─CaseAssigned▶ ASSIGNED ─CaseVerified▶ RECTIFYING ─CaseRectified▶ RECTIFIED ─CaseReplied▶ REPLIED
   └─EvaluationAppealed▶ IN_REVIEW         └─▶ EXPLAINING ─CaseReplied▶ REPLIED ─CaseRevisited▶ REVISITED
         ─EvaluationUpheld▶ ASSIGNED   ─EvaluationExcluded▶ EXPLAINING   REPLIED, REVISITED ─CaseClosed▶ CLOSED
CLOSED ─CaseReopened▶ ASSIGNED, once; CaseOverdue and CaseExtended keep any open state
"""

from enum import IntEnum
from typing import Final, NamedTuple

from msgspec import Struct

from core.fact import Fact
from core.facts_cases import (
    CaseAssigned,
    CaseClosed,
    CaseExtended,
    CaseOverdue,
    CaseRectified,
    CaseReopened,
    CaseReplied,
    CaseRevisited,
    CaseVerified,
    EvaluationAppealed,
    EvaluationExcluded,
    EvaluationUpheld,
)
from core.policy_parts import CasesPart


class CaseState(IntEnum):
    """Where a case is."""

    OPENED = 1
    ASSIGNED = 2
    IN_REVIEW = 3
    RECTIFYING = 4
    EXPLAINING = 5
    RECTIFIED = 6
    REPLIED = 7
    REVISITED = 8
    CLOSED = 9


_S = CaseState
_OPEN: Final[dict[type[Fact], None]] = {CaseOverdue: None, CaseExtended: None}


def _row(state: CaseState, steps: dict[type[Fact], CaseState]) -> dict[type[Fact], CaseState]:
    """An open state: its steps, and the facts of clocks that keep it."""
    return {**dict.fromkeys(_OPEN, state), **steps}


TRANSITIONS: Final[dict[CaseState, dict[type[Fact], CaseState]]] = {
    _S.OPENED: _row(_S.OPENED, {CaseAssigned: _S.ASSIGNED, EvaluationAppealed: _S.IN_REVIEW}),
    _S.ASSIGNED: _row(
        _S.ASSIGNED,
        {CaseVerified: _S.RECTIFYING, EvaluationAppealed: _S.IN_REVIEW},  # or EXPLAINING, by the verdict
    ),
    _S.IN_REVIEW: _row(_S.IN_REVIEW, {EvaluationUpheld: _S.ASSIGNED, EvaluationExcluded: _S.EXPLAINING}),
    _S.RECTIFYING: _row(_S.RECTIFYING, {CaseRectified: _S.RECTIFIED}),
    _S.EXPLAINING: _row(_S.EXPLAINING, {CaseReplied: _S.REPLIED}),
    _S.RECTIFIED: _row(_S.RECTIFIED, {CaseReplied: _S.REPLIED}),
    _S.REPLIED: _row(_S.REPLIED, {CaseRevisited: _S.REVISITED, CaseClosed: _S.CLOSED}),
    _S.REVISITED: _row(_S.REVISITED, {CaseClosed: _S.CLOSED}),
    _S.CLOSED: {CaseReopened: _S.ASSIGNED},
}
assert TRANSITIONS.keys() == set(CaseState), "every state has a row"

TO_RECTIFY: Final = ("substantiated", "accepted")
VERIFY, RECTIFY, REPLY = STAGES = ("verify", "rectify", "reply")
RUNNING: Final[dict[str, tuple[CaseState, ...]]] = {
    VERIFY: (_S.OPENED, _S.ASSIGNED, _S.IN_REVIEW),
    RECTIFY: (_S.RECTIFYING,),
    REPLY: (_S.OPENED, _S.ASSIGNED, _S.IN_REVIEW, _S.RECTIFYING, _S.EXPLAINING, _S.RECTIFIED),
}
"""The states in which a stage is still to be done."""
assert tuple(RUNNING) == STAGES


class Clocks(NamedTuple):
    """Durations of the stages, empty: no clock of its own. `revisit`: owed to nobody, real names, or all.

    `rectify`: where it is complex; `at_once`: where it is not, empty: the same. "At once" in figures is our choice.
    """

    verify: str = ""
    rectify: str = ""
    reply: str = ""
    revisit: str = ""
    at_once: str = ""

    def to_rectify(self, *, complex_: bool) -> str:
        """How long it may take to put right."""
        return self.rectify if complex_ else self.at_once or self.rectify


AT_ONCE: Final = "4wh"
PRESETS: Final[dict[str, Clocks]] = {
    "national": Clocks("1wd", "15wd", "", "real_name", AT_ONCE),
    "liaoning": Clocks("1wd", "15wd", "", "all", AT_ONCE),
    "dezhou": Clocks("1wd", "", "5wd", "real_name"),
    "sichuan": Clocks("1wd", "", "15wd", "all"),
    "city7": Clocks("", "", "7d", "all"),
}


def clocks_of(part: CasesPart, kind: str) -> Clocks:
    """The clocks of a kind of case under a policy."""
    preset = PRESETS[part.preset]
    if kind == "assist":
        return Clocks(preset.verify, "", part.assist_reply, "")
    if kind == "complaint":
        return preset._replace(reply=preset.reply or part.complaint_reply)
    if kind == "inspection":
        return Clocks(preset.verify, preset.rectify or "15wd", "", "")
    return preset


class Case(Struct, array_like=True, gc=False):
    """One follow-up. Times UTC ms, 0: none. `staff`: the person concerned, who never handles it. `texts`: where what
    was written about it stands; the words themselves are not here."""

    case: int
    kind: str
    call: int
    counter: int
    staff: str
    service: str
    opened_ms: int
    state: CaseState = CaseState.OPENED
    handler: str = ""
    revisit: bool = False
    round: int = 1
    verify_due_ms: int = 0
    rectify_due_ms: int = 0
    reply_due_ms: int = 0
    overdue: tuple[str, ...] = ()
    late: bool = False
    extensions: int = 0
    closed_ms: int = 0
    texts: tuple[str, ...] = ()

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; a verdict without a fault leads to an explanation."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"case {self.case}: {type(fact).__name__} in {self.state.name}"
        if isinstance(fact, CaseVerified) and fact.verdict not in TO_RECTIFY:
            target = CaseState.EXPLAINING
        self.state = target

    def due_of(self, stage: str) -> int:
        """When a stage must be done, 0: it has no clock, is done, or was said to be overdue in this round."""
        if stage in self.overdue or self.state not in RUNNING[stage]:
            return 0
        return {VERIFY: self.verify_due_ms, RECTIFY: self.rectify_due_ms, REPLY: self.reply_due_ms}[stage]
