"""core/evaluation.py: every state against every fact, and the table as the design writes it."""

import itertools
from contextlib import nullcontext

import pytest

from core.evaluation import TRANSITIONS, Evaluation, EvaluationState
from core.fact import Fact
from tests.halls import EXAMPLES, table, written

DESIGN = (
    "opened: EvaluationShown opened, EvaluationSubmitted submitted, EvaluationExpired expired\n"
    "submitted: EvaluationSupplemented submitted, EvaluationAppealed appealed\n"
    "expired: EvaluationDefaulted defaulted\ndefaulted:\n"
    "appealed: EvaluationUpheld upheld, EvaluationExcluded excluded\nupheld:\nexcluded:"
)


@pytest.mark.parametrize(("state", "kind"), list(itertools.product(EvaluationState, EXAMPLES)))
def test_advance_follows_the_table(state: EvaluationState, kind: type[Fact]) -> None:
    evaluation = Evaluation(1, "staff", 1, "si", "hrss", 0, 1, state=state)
    target = TRANSITIONS[state].get(kind)
    with nullcontext() if target else pytest.raises(AssertionError, match=f"{kind.__name__} in {state.name}"):
        evaluation.advance(EXAMPLES[kind])
    assert evaluation.state is (target or state)


def test_the_table_is_the_designs() -> None:
    assert written(TRANSITIONS) == table(DESIGN)
