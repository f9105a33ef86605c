"""core/cases.py: every state against every fact, the table as the design writes it, the clocks of each preset."""

import msgspec
import pytest

from core.cases import PRESETS, RUNNING, STAGES, TRANSITIONS, Case, CaseState, clocks_of
from core.facts_cases import CaseVerified
from core.policy_parts import CasesPart
from tests.halls import EXAMPLES, off_the_table, table, written

DESIGN = """
opened: CaseAssigned assigned, EvaluationAppealed in_review
assigned: CaseVerified rectifying, EvaluationAppealed in_review
in_review: EvaluationUpheld assigned, EvaluationExcluded explaining
rectifying: CaseRectified rectified
explaining: CaseReplied replied
rectified: CaseReplied replied
replied: CaseRevisited revisited, CaseClosed closed
revisited: CaseClosed closed
closed: CaseReopened assigned
"""


def a_case(state: CaseState) -> Case:
    return Case(1, "bad_review", 1, 1, "staff-1", "si", 0, state, "", False, 1, 10, 20, 30)


def test_advance_follows_the_table() -> None:
    """A complaint that is found right leads on by its verdict, the one word that the table leaves open."""
    right = msgspec.structs.replace(EXAMPLES[CaseVerified], verdict="substantiated")
    verdict = {CaseVerified: CaseState.RECTIFYING}
    chosen = {state: {**row, **(verdict if CaseVerified in row else {})} for state, row in TRANSITIONS.items()}
    assert off_the_table(chosen, a_case, {**EXAMPLES, CaseVerified: right}) == []


def test_the_table_is_the_designs() -> None:
    mine = {
        state: {k: v for k, v in row.items() if k not in ("CaseOverdue", "CaseExtended")}
        for state, row in written(TRANSITIONS).items()
    }
    assert mine == table(DESIGN)
    clocks = {state: "CaseOverdue" in row and "CaseExtended" in row for state, row in written(TRANSITIONS).items()}
    assert [state for state, kept in clocks.items() if not kept] == ["closed"]


@pytest.mark.parametrize(
    ("verdict", "target"),
    [
        ("substantiated", "RECTIFYING"),
        ("accepted", "RECTIFYING"),
        ("unsubstantiated", "EXPLAINING"),
        ("no_basis", "EXPLAINING"),
    ],
)
def test_the_verdict_says_where_it_goes(verdict: str, target: str) -> None:
    case = a_case(CaseState.ASSIGNED)
    case.advance(CaseVerified(1, verdict))
    assert case.state.name == target


@pytest.mark.parametrize("state", CaseState)
def test_a_stage_is_due_while_it_is_to_be_done_and_once_a_round(state: CaseState) -> None:
    case = a_case(state)
    dues = dict(zip(STAGES, (10, 20, 30), strict=True))
    assert {stage: case.due_of(stage) for stage in STAGES} == {
        stage: due if state in RUNNING[stage] else 0 for stage, due in dues.items()
    }
    case.overdue = STAGES
    assert [case.due_of(stage) for stage in STAGES] == [0, 0, 0]


def test_presets_and_kinds() -> None:
    assert {name: tuple(clocks) for name, clocks in PRESETS.items()} == {
        "national": ("1wd", "15wd", "", "real_name", "4wh"),
        "liaoning": ("1wd", "15wd", "", "all", "4wh"),
        "dezhou": ("1wd", "", "5wd", "real_name", ""),
        "sichuan": ("1wd", "", "15wd", "all", ""),
        "city7": ("", "", "7d", "all", ""),
    }
    part = CasesPart(preset="dezhou")
    assert clocks_of(part, "bad_review") == PRESETS["dezhou"]
    assert clocks_of(part, "complaint").reply == "5wd"
    assert clocks_of(CasesPart(), "complaint").reply == "15wd"
    assert tuple(clocks_of(part, "assist")) == ("1wd", "", "5wd", "", "")
    assert tuple(clocks_of(part, "inspection")) == ("1wd", "15wd", "", "", "")
    assert clocks_of(CasesPart(), "inspection").to_rectify(complex_=False) == "15wd", "an inspection sets a limit"
    assert [PRESETS["national"].to_rectify(complex_=one) for one in (False, True)] == ["4wh", "15wd"]
