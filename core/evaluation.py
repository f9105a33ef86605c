"""core/evaluation.py: the one rating of a serving (评价).

─EvaluationOpened▶ OPENED ─EvaluationSubmitted▶ SUBMITTED
                     └─EvaluationExpired▶ EXPIRED ─EvaluationDefaulted▶ DEFAULTED
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from core.fact import Fact
from core.facts import EvaluationDefaulted, EvaluationExpired, EvaluationShown, EvaluationSubmitted


class EvaluationState(IntEnum):
    """Where a rating is."""

    OPENED = 1
    SUBMITTED = 2
    EXPIRED = 3
    DEFAULTED = 4


TRANSITIONS: Final[dict[EvaluationState, dict[type[Fact], EvaluationState]]] = {
    EvaluationState.OPENED: {
        EvaluationShown: EvaluationState.OPENED,
        EvaluationSubmitted: EvaluationState.SUBMITTED,
        EvaluationExpired: EvaluationState.EXPIRED,
    },
    EvaluationState.SUBMITTED: {},
    EvaluationState.EXPIRED: {EvaluationDefaulted: EvaluationState.DEFAULTED},
    EvaluationState.DEFAULTED: {},
}
assert TRANSITIONS.keys() == set(EvaluationState), "every state has a row"


class Evaluation(Struct, array_like=True, gc=False):
    """The right to rate one serving, copied from its ServingFinished; never from who sits there now. Times UTC ms."""

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

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; the only line that sets `state`."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"evaluation {self.call}: {type(fact).__name__} in {self.state.name}"
        self.state = target
