"""tests/simulation: the whole dispatcher under a virtual clock, network, broker and disk; and what it must find."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulate import explained, failing
from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.plan import Fault, generate, shrink
from tests.simulation.world import digest, simulate

FAST, SLOW = 50, 1000
EASY = ("settled before the append", "a bare high-water mark", "what is due happens twice")
WITHIN = 20


def test_every_invariant_holds_in_fifty_runs() -> None:
    facts, lives, failed = failing(1, FAST)
    assert failed == [], "\n".join(explained(simulate(generate(failed[0]))))
    assert facts > 50 * FAST and lives > FAST, "the halls were at work, and were killed"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_invariant_holds_in_a_thousand_runs() -> None:
    _, _, failed = failing(FAST + 1, SLOW - FAST)
    assert failed == [], "\n".join(explained(simulate(generate(failed[0]))))


def test_a_seed_replays_byte_for_byte() -> None:
    for seed in (3, 10):
        first, second = simulate(generate(seed)), simulate(generate(seed))
        assert first.trace == second.trace and first.facts > 20


def test_a_seed_replays_in_another_process_with_other_hashes() -> None:
    program = (
        "from tests.simulation.plan import generate\n"
        "from tests.simulation.world import digest, simulate\n"
        "print(*(digest(simulate(generate(seed)).trace) for seed in (3, 10)))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hashes in ("1", "2")
    ]
    assert told[0] == told[1] == [str(digest(simulate(generate(seed)).trace)) for seed in (3, 10)]


def found_at(mutant: Mutant, seeds: int) -> int:
    """The first seed that finds a planted mistake; 0 if none does."""
    with planted(mutant):
        return next((seed for seed in range(1, seeds + 1) if simulate(generate(seed)).failures), 0)


@pytest.mark.parametrize("name", EASY)
def test_a_planted_mistake_is_found_soon(name: str) -> None:
    (mutant,) = (one for one in MUTANTS if one.name == name)
    assert found_at(mutant, WITHIN)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_planted_mistake_is_found_within_a_thousand_runs(mutant: Mutant) -> None:
    seed = found_at(mutant, SLOW)
    print(f"{mutant.name}: seed {seed}")
    assert seed


def test_each_planted_mistake_still_fits_and_leaves_no_trace() -> None:
    before = simulate(generate(3)).trace
    for mutant in MUTANTS:
        with planted(mutant):
            pass
    assert simulate(generate(3)).trace == before


def test_a_failing_plan_is_made_small() -> None:
    """What has nothing to do with the failure is left out."""
    plan = generate(3)
    needed = Fault(100.0, "stop", 0, 1.0)
    plan = replace(plan, faults=tuple(sorted((*plan.faults, needed))))
    smaller = shrink(plan, lambda one: needed in one.faults and len(one.presses) >= 3)
    assert smaller.faults == (needed,) and len(smaller.presses) == 3
    assert set(smaller.presses) <= set(plan.presses)


def test_a_failure_is_told_with_its_seed_and_a_small_trace() -> None:
    (mutant,) = (one for one in MUTANTS if one.name == EASY[0])
    with planted(mutant):
        outcome = simulate(generate(1))
        told = list(explained(outcome))
    assert told[0].startswith("seed 1: settled ") and "FAILED" in "\n".join(told)
    assert len(told) < len(outcome.trace) + len(outcome.plan.presses)
