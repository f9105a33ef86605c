"""core/evaluation.py: the one rating of a serving (评价).

─EvaluationOpened▶ OPENED ─EvaluationSubmitted▶ SUBMITTED ─EvaluationAppealed▶ APPEALED ─EvaluationUpheld▶ UPHELD
                     │                                                     └─EvaluationExcluded▶ EXCLUDED
                     └─EvaluationExpired▶ EXPIRED ─EvaluationDefaulted▶ DEFAULTED
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from core.fact import Fact
from core.facts import EvaluationDefaulted, EvaluationExpired, EvaluationShown, EvaluationSubmitted
from core.facts_cases import EvaluationAppealed, EvaluationExcluded, EvaluationSupplemented, EvaluationUpheld


class EvaluationState(IntEnum):
    """Where a rating is."""

    OPENED = 1
    SUBMITTED = 2
    EXPIRED = 3
    DEFAULTED = 4
    APPEALED = 5
    UPHELD = 6
    EXCLUDED = 7


TRANSITIONS: Final[dict[EvaluationState, dict[type[Fact], EvaluationState]]] = {
    EvaluationState.OPENED: {
        EvaluationShown: EvaluationState.OPENED,
        EvaluationSubmitted: EvaluationState.SUBMITTED,
        EvaluationExpired: EvaluationState.EXPIRED,
    },
    EvaluationState.SUBMITTED: {
        EvaluationSupplemented: EvaluationState.SUBMITTED,
        EvaluationAppealed: EvaluationState.APPEALED,
    },
    EvaluationState.EXPIRED: {EvaluationDefaulted: EvaluationState.DEFAULTED},
    EvaluationState.DEFAULTED: {},
    EvaluationState.APPEALED: {
        EvaluationUpheld: EvaluationState.UPHELD,
        EvaluationExcluded: EvaluationState.EXCLUDED,
    },
    EvaluationState.UPHELD: {},
    EvaluationState.EXCLUDED: {},
}
assert TRANSITIONS.keys() == set(EvaluationState), "every state has a row"


class Evaluation(Struct, array_like=True, gc=False):
    """The right to rate one serving, copied from its ServingFinished; never from who sits there now. Times UTC ms.

    `by`: who has appealed. Kept while the window or the time to appeal runs, or an appeal is undecided.
    """

    call: int
    staff: str
    counter: int
    service: str
    department: str
    opened_ms: int
    due_ms: int
    state: EvaluationState = EvaluationState.OPENED
    level: int = 0
    shown_ms: int = 0
    case: int = 0
    appeal_due_ms: int = 0
    supplemented: bool = False
    person_ref: str = ""
    handling_ms: int = 0
    by: str = ""

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; the only line that sets `state`."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"evaluation {self.call}: {type(fact).__name__} in {self.state.name}"
        self.state = target

    def kept(self, at_ms: int) -> bool:
        """Whether something may still happen to it."""
        undecided = self.state in (EvaluationState.OPENED, EvaluationState.APPEALED)
        return undecided or self.due_ms > at_ms or self.appeal_due_ms > at_ms
