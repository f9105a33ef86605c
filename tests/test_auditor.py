"""core/auditor.py: true facts pass, each kind of wrong one is caught, and it knows nothing of the ranking."""

import ast
from pathlib import Path

import msgspec
import pytest

import core.auditor
from core.auditor import Verdict, audit
from core.ranking import ClassRule, RankingPool, Skills
from core.why import Why

MIN = 60_000
GREEN, CARE, ORDINARY, FAST = range(4)
CLASSES = [ClassRule(tier=1, cap=(1, 3)), ClassRule(head_start_ms=15 * MIN), ClassRule(), ClassRule(rate=6)]


def a_fact(*tickets: tuple[int, int], t: int, used: int = 0, skills: Skills | None = None) -> Why:
    """What the pool tells about its choice among (class, T), all of service 1."""
    pool = RankingPool(CLASSES)
    profile = pool.set_profile(1, skills or Skills((1,)))
    for serial, (cls, t_eff) in enumerate(tickets, 1):
        pool.add(serial, 1, cls, t_eff)
    for _ in range(used):
        pool.note_call(profile, True)
    return pool.why(profile, t, 1)


def test_it_does_not_import_the_ranking() -> None:
    tree = ast.parse(Path(core.auditor.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"collections.abc", "typing", "core.why"}


@pytest.mark.parametrize(
    ("why", "t", "verdict"),
    [
        (a_fact((CARE, 12 * MIN), (ORDINARY, 0), t=20 * MIN), 20 * MIN, Verdict(1, False, True)),
        (a_fact((CARE, 16 * MIN), (ORDINARY, 0), t=20 * MIN), 20 * MIN, Verdict(0, False, True)),
        (a_fact((FAST, 5 * MIN), (ORDINARY, 0), t=20 * MIN), 20 * MIN, Verdict(1, False, True)),
        (a_fact((GREEN, 9), (ORDINARY, 0), t=20), 20, Verdict(0, False, True)),
        (a_fact((GREEN, 9), (ORDINARY, 0), t=20, used=1), 20, Verdict(0, False, True)),
        (a_fact((GREEN, 9), t=20, used=1), 20, Verdict(0, False, True)),
        (a_fact((ORDINARY, 0), t=20 * MIN, skills=Skills((2,), (1,), 9, 7)), 20 * MIN, Verdict(0, False, True)),
    ],
)
def test_true_facts_pass(why: Why, t: int, verdict: Verdict) -> None:
    assert audit(why, t, CLASSES) == verdict


def test_a_passed_overflow_head_is_outside_the_claim() -> None:
    why = a_fact((CARE, 12 * MIN), (ORDINARY, 0), t=20 * MIN)
    passed = (*why.heads[1][:3], why.heads[1][3] - 5, 0)
    assert audit(msgspec.structs.replace(why, heads=(why.heads[0], passed)), 20 * MIN, CLASSES).overtaken == 0


def test_passed_too_far_breaks_the_bound_by_one_ms() -> None:
    """A care ticket may pass an ordinary one that came up to 15 minutes before it, not one ms more."""
    t = 40 * MIN
    for later, broken in ((15 * MIN, False), (15 * MIN + 1, True)):
        heads = ((CARE, 2, later, 4 * (15 * MIN + t - later), 1), (ORDINARY, 1, 0, 4 * t, 1))
        verdict = audit(Why("score", 1, heads, False, 0), t, CLASSES)
        assert (verdict.overtaken, verdict.bound_broken, verdict.argmax_ok) == (1, broken, not broken)


def test_the_bound_is_exact_in_units_of_score() -> None:
    slow = [ClassRule(rate=1), ClassRule(rate=1, head_start_ms=5)]
    for t_eff, broken in ((5, False), (6, True)):
        why = Why("score", 1, ((1, 2, t_eff, 14 - t_eff, 1), (0, 1, 0, 9, 1)), False, 0)
        assert audit(why, 9, slow).bound_broken is broken


FACT = a_fact((CARE, 12 * MIN), (ORDINARY, 0), (GREEN, 19 * MIN), t=20 * MIN, used=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": (FACT.heads[1], FACT.heads[0], FACT.heads[2])},
        {"heads": ((*FACT.heads[0][:3], FACT.heads[0][3] + 1, 1), *FACT.heads[1:])},
        {"heads": (FACT.heads[2], FACT.heads[0], FACT.heads[1])},
        {"heads": (*FACT.heads[:2], (*FACT.heads[2][:3], FACT.heads[2][3] + 1, 0))},
        {"rule": "score"},
        {"cap_used": 0},
        {"contested": True},
    ],
)
def test_wrong_facts_are_caught(changes: dict[str, object]) -> None:
    assert audit(FACT, 20 * MIN, CLASSES) == Verdict(1, False, True)
    assert not audit(msgspec.structs.replace(FACT, **changes), 20 * MIN, CLASSES).argmax_ok


def test_a_picked_call_claims_nothing() -> None:
    why = msgspec.structs.replace(FACT, rule="picked", heads=FACT.heads[::-1])
    assert audit(why, 20 * MIN, CLASSES) == Verdict(0, False, True)
    assert audit(Why("idle", 1, (), False, 0), 0, CLASSES) == Verdict(0, False, True)
