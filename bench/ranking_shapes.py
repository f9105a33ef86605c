"""bench/ranking_shapes.py: take, call and people ahead of ours alone, over waiting, services and skill profiles.

Each figure stands over that of the smallest of its kind, in pairs: the lists do grow, and this shows by how much.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from bench import ranking
from bench.pairs import Ratio, compare
from bench.peers import Ours
from core.ranking import Skills

WAITING: Final = (100, 10_000, 100_000)
SERVICES: Final = (1, 50, 500)
PROFILES: Final = (1, 10, 100)
USUAL: Final = (10_000, 50, 10)  # of what does not vary
WHAT: Final = ("take", "call", "ahead")
OPENING: Final = 3 * 60 * 60_000
Shape = tuple[int, int, int]  # waiting, services, profiles


class Hall:
    """So many waiting for so many services, called by so many profiles of up to five services each."""

    def __init__(self, shape: Shape, seed: int) -> None:
        waiting, self.services, profiles = shape
        self.rng, self.t, self.serial = random.Random(seed), OPENING, 0
        own = min(5, self.services)
        skills = [
            Skills(tuple((at * own + one) % self.services for one in range(own))) for at in range(max(1, profiles))
        ]
        self.peer, self.profiles = Ours(ranking.CLASSES, skills), len(skills)
        for service in range(self.services):
            self.peer.pool.add_service(service)
        self.profile_of = {service: at for at, one in enumerate(skills) for service in one.primary}
        self.served = sorted(self.profile_of)  # a ticket for anything else would wait for ever
        for place in range(waiting):
            self.peer.add(*self.ticket(place * OPENING // max(1, waiting)))

    def ticket(self, t_eff: int) -> tuple[int, int, int, int]:
        """Serial, service, class, T: one of the mix."""
        self.serial += 1
        cls = self.rng.choices(range(len(ranking.MIX)), ranking.MIX)[0]
        return self.serial, self.rng.choice(self.served), cls, t_eff

    def costs(self, times: int) -> dict[str, float]:
        """Seconds of one take, people ahead and call: so many are taken, asked for and called in a minute."""
        self.t += 60_000
        taken = [self.ticket(self.t) for _ in range(times)]
        asked = [(serial, self.profile_of[service], self.t) for serial, service, _, _ in taken]
        callers = [(self.rng.randrange(self.profiles), self.t) for _ in range(times)]
        acts: tuple[tuple[str, Callable[..., object], Sequence[tuple[int, ...]]], ...] = (
            ("take", self.peer.add, taken),
            ("ahead", self.peer.ahead, asked),
            ("call", self.peer.call_next, callers),
        )
        return {what: timed(act, some) / times for what, act, some in acts}

    def cost(self, what: str, times: int, rounds: int) -> float:
        """The best of some rounds."""
        return min(self.costs(times)[what] for _ in range(rounds))


def timed(act: Callable[..., object], some: Sequence[tuple[int, ...]]) -> float:
    """Seconds of all."""
    begin = time.perf_counter()
    for one in some:
        act(*one)
    return time.perf_counter() - begin


def shapes() -> dict[str, list[Shape]]:
    """What varies, from the smallest on."""
    waiting, services, profiles = USUAL
    return {
        "waiting": [(one, services, profiles) for one in WAITING],
        "services": [(waiting, one, profiles) for one in SERVICES],
        "profiles": [(waiting, services, one) for one in PROFILES],
    }


def measured(seed: int, *, quick: bool) -> dict[str, list[tuple[str, int, float, float, float]]]:
    """By what varies: (what, size, us, times the smallest, spread)."""
    times, rounds, pairs = (10, 2, 1) if quick else (100, 7, 5)
    found: dict[str, list[tuple[str, int, float, float, float]]] = {}
    for at, (varies, some) in enumerate(shapes().items()):
        if quick:
            some = some[:2]
        halls = [Hall(shape, seed) for shape in some]
        rows = found.setdefault(varies, [])
        for what in WHAT:
            for shape, hall in zip(some, halls, strict=True):
                ratio = over(hall, halls[0], what, (times, rounds, pairs))
                us = statistics.median(above for above, _ in ratio.raw) * 1e6
                rows.append((what, shape[at], us, ratio.median, ratio.spread))
    return found


def over(hall: Hall, smallest: Hall, what: str, effort: tuple[int, int, int]) -> Ratio:
    """One hall over the smallest."""
    times, rounds, pairs = effort
    return compare(
        lambda: hall.cost(what, times, rounds),
        lambda: smallest.cost(what, times, rounds),
        pairs=pairs,
        doubling=False,
    )


def rows(found: dict[str, list[tuple[str, int, float, float, float]]]) -> list[tuple[str, ...]]:
    """For the terminal."""
    return [
        (f"{varies} {size:<7}", f"{what:<6}", f"{us:>8.2f} us", f"{ratio:.2f} of the smallest, spread {spread:.2f}")
        for varies, some in found.items()
        for what, size, us, ratio, spread in some
    ]
