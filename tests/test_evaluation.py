"""core/evaluation.py: every state against every fact, and the table as the design writes it."""

from core.evaluation import TRANSITIONS, Evaluation
from tests.halls import off_the_table, table, written

DESIGN = (
    "opened: EvaluationShown opened, EvaluationSubmitted submitted, EvaluationExpired expired\n"
    "submitted: EvaluationSupplemented submitted, EvaluationAppealed appealed\n"
    "expired: EvaluationDefaulted defaulted\ndefaulted:\n"
    "appealed: EvaluationUpheld upheld, EvaluationExcluded excluded\nupheld:\nexcluded:"
)


def test_advance_follows_the_table() -> None:
    made = lambda state: Evaluation(1, "staff", 1, "si", "hrss", 0, 1, state=state)  # noqa: E731 - named by its one use
    assert off_the_table(TRANSITIONS, made) == []


def test_the_table_is_the_designs() -> None:
    assert written(TRANSITIONS) == table(DESIGN)
