"""tests/simulate.py: `make simulate SEEDS=1000` or `SEED=7`: runs of the simulation; one that fails is made small.

Prints the failing seed, what is wrong, and the smallest plan found that still fails, with its trace. Exit 1 then.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.plan import generate, shrink
from tests.simulation.world import Outcome, simulate

PIECE = 25


def failing(first: int, count: int) -> tuple[int, int, list[int]]:
    """Facts, lives and failing seeds of some runs; ends with the first failure."""
    facts = lives = 0
    for seed in range(first, first + count):
        outcome = simulate(generate(seed))
        facts, lives = facts + outcome.facts, lives + outcome.lives
        if outcome.failures:
            return facts, lives, [seed]
    return facts, lives, []


def explained(outcome: Outcome, *, whole: bool = False) -> Iterator[str]:
    """What was wrong and how it came to it, as small as it gets."""
    plan = outcome.plan if whole else shrink(outcome.plan, lambda one: bool(simulate(one).failures))
    smallest = simulate(plan)
    yield f"seed {plan.seed}: {'; '.join(smallest.failures)}"
    yield f"policy {plan.policy}, window {plan.window}, batch_max {plan.batch_max}, snapshots {plan.snapshot_every}"
    before = outcome.plan
    yield f"{len(plan.faults)} of {len(before.faults)} faults, {len(plan.presses)} of {len(before.presses)} presses:"
    yield from (f"  {one}" for one in (*plan.faults, *plan.presses))
    yield from smallest.trace


def many(seeds: int, first: int, jobs: int) -> int:
    """So many runs. 1 when one failed."""
    began = time.perf_counter()
    facts = lives = done = 0
    with ProcessPoolExecutor(jobs) as pool:
        starts = range(first, first + seeds, PIECE)
        counts = [min(PIECE, first + seeds - start) for start in starts]
        for some_facts, some_lives, failed in pool.map(failing, starts, counts):
            facts, lives, done = facts + some_facts, lives + some_lives, done + PIECE
            if failed:
                pool.shutdown(cancel_futures=True)
                print(f"seed {failed[0]} fails; again: make simulate SEED={failed[0]}", flush=True)
                print("\n".join(explained(simulate(generate(failed[0])))))
                return 1
    seconds = time.perf_counter() - began
    print(f"{seeds} seeds from {first}: every invariant held; {facts} facts, {lives} lives of the process, ", end="")
    print(f"{seeds / seconds:.0f} seeds a second")
    return 0


def one(seed: int) -> int:
    """One run with its trace; made small when it fails."""
    outcome = simulate(generate(seed))
    if outcome.failures:
        print("\n".join(explained(outcome)))
        return 1
    print("\n".join(outcome.trace))
    print(f"seed {seed}: every invariant held; {outcome.facts} facts, {outcome.lives} lives of the process")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one, with its trace")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if asked.seed is not None:
        return one(asked.seed)
    return many(asked.seeds, asked.first, asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
