"""tests/simulation: the whole dispatcher under a virtual clock, network, broker and disk; and what it must find."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulate import explained, failing
from tests.simulation import world
from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.plan import Fault, Plan, Press, generate, shrink
from tests.simulation.world import World, digest, simulate

FAST, SLOW = 25, 1000
EASY = ("settled before the append", "a bare high-water mark", "what is due happens twice")
WITHIN = 20


def test_every_invariant_holds_in_some_runs() -> None:
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


# One short morning, with a kill at each place where the process waits: from its start over each commit to its end.

NEVER = 1 << 30
MORNING = (
    *(Press(2.0 + at / 5, "caller-1", "work", 0, 0) for at in range(5)),
    Press(2.1, "kiosk-1", "take", 0, 0),
    Press(3.0, "ev-1", "rate", 3, 0),
    Press(3.1, "kiosk-1", "take", 1, 0),
)


def killed(step: int, after_s: float = 0.0, stop_s: float = 4.0, first: tuple[Fault, ...] = ()) -> Plan:
    """A morning whose process is killed instead of a step, and stopped once everything has been pressed."""
    faults = (*first, Fault(after_s, "crash", step, 1.0), Fault(stop_s, "stop", 0, 1.0))
    return Plan(7, policy=0, window=1, batch_max=1000, snapshot_every=5, presses=MORNING, faults=faults)


def failing_steps(plan: Callable[[int], Plan], lives: int) -> dict[int, list[str]]:
    """What is wrong by the step at which the last of so many lives was killed: each of its steps is tried."""
    never = World(plan(NEVER))
    assert never.run().failures == []
    steps = list(never.lives.values())[lives - 1].owner.steps
    assert steps > 100, "it started, served and stopped"
    found = {}
    for step in range(1, steps + 1):
        outcome = simulate(plan(step))
        there = any(f"life {lives} is killed at step" in line for line in outcome.trace)
        assert there or step > steps - 5, "the last ones come when it has ended"
        if outcome.failures:
            found[step] = outcome.failures
    return found


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after a morning is left out."""
    monkeypatch.setattr(world, "LENGTH_S", 6.0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("short")
def test_killed_at_every_step_of_its_life_every_invariant_holds() -> None:
    assert failing_steps(killed, 1) == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("short")
def test_killed_again_at_every_step_of_the_next_one_every_invariant_holds() -> None:
    """From its first step on: recovery, the orders said again, what devices send again."""
    first = (Fault(2.62, "crash", 1, 0.0),)
    trace = simulate(killed(NEVER, 30.0, 20.0, first)).trace
    begins_s = next(float(line.split()[0]) for line in trace if line.endswith("life 2 starts")) - 1.0
    assert failing_steps(lambda step: killed(step, begins_s + 1e-4, begins_s + 1.5, first), 2) == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("short")
def test_some_step_finds_a_planted_mistake() -> None:
    (mutant,) = (one for one in MUTANTS if one.name == EASY[0])
    with planted(mutant):
        assert any(simulate(killed(step)).failures for step in range(1, 500))


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
