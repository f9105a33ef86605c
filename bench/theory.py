"""bench/theory.py: queueing theory against the real `RankingPool` — closed forms, and a simulation that calls the pool.

Sources: Erlang C by its recursion; Kleinrock (1964), delay-dependent priorities; Cobham (1954), strict priorities.
Waits are in the unit of 1 / mu. The pool is unit-free: model time goes in as integer millionths of that unit.
"""

from __future__ import annotations  # array[float] is no expression on 3.11

import argparse
import heapq
import math
import random
from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec

from bench.pairs import Gate, Options, Report
from core.ranking import ClassRule, RankingPool, Skills

TICK: Final = 1_000_000  # steps of model time in a unit
ARRIVALS: Final = 900_000
WARM_UP: Final = 0.02  # share of the arrivals that is simulated before the counting starts
TOLERANCE: Final = 0.05
ACCUMULATING, STRICT, FCFS = DISCIPLINES = ("accumulating", "strict", "fcfs")


class Queue(msgspec.Struct, frozen=True):
    """A queueing system: Poisson arrivals of each class, exponential service, n servers, one discipline."""

    lam: tuple[float, ...]
    mu: tuple[float, ...]  # one a class
    rates: tuple[Fraction, ...]  # b of the accumulating discipline
    head_starts: tuple[float, ...]  # in units of time
    servers: int = 1
    discipline: str = ACCUMULATING


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival of M/M/c waits; `load` = lambda / mu in Erlangs, below `servers`."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    rho = load / servers
    return blocked / (1 - rho * (1 - blocked))


def _residual(lam: Sequence[float], mu: Sequence[float], servers: int) -> float | None:
    """W_0: mean time until a server is free for the first in line. None where no closed form is known."""
    if servers == 1:
        return sum(rate / speed**2 for rate, speed in zip(lam, mu, strict=True))  # E[S^2] = 2 / mu^2
    if len(set(mu)) > 1:
        return None
    return erlang_c(servers, sum(lam) / mu[0]) / (servers * mu[0])


def _loads(lam: Sequence[float], mu: Sequence[float], servers: int) -> list[float]:
    return [rate / (servers * speed) for rate, speed in zip(lam, mu, strict=True)]


def kleinrock(
    lam: Sequence[float], rates: Sequence[float | Fraction], mu: Sequence[float], servers: int = 1
) -> list[float] | None:
    """Mean waits under accumulating priority, in the order given. None if unstable or without closed form."""
    rhos = _loads(lam, mu, servers)
    if sum(rhos) >= 1:
        return None
    residual = _residual(lam, mu, servers)
    if residual is None:
        return None
    fcfs = residual / (1 - sum(rhos))
    order = sorted(range(len(lam)), key=lambda i: rates[i])
    waits = [0.0] * len(lam)
    for place, p in enumerate(order):
        lost = sum(rhos[i] * waits[i] * (1 - float(rates[i] / rates[p])) for i in order[:place])
        gained = sum(rhos[i] * (1 - float(rates[p] / rates[i])) for i in order[place + 1 :])
        waits[p] = (fcfs - lost) / (1 - gained)
    return waits


def cobham(lam: Sequence[float], mu: Sequence[float], servers: int = 1) -> list[float] | None:
    """Mean waits under strict priority without interruption, the first class highest. None as in `kleinrock`."""
    rhos = _loads(lam, mu, servers)
    if sum(rhos) >= 1:
        return None
    residual = _residual(lam, mu, servers)
    if residual is None:
        return None
    above = [sum(rhos[:k]) for k in range(len(rhos) + 1)]
    return [residual / ((1 - sigma) * (1 - upto)) for sigma, upto in pairwise(above)]


def closed_form(queue: Queue) -> list[float] | None:
    """The mean wait of each class as theory has it, or None where it has none."""
    if any(queue.head_starts):
        return None
    if queue.discipline == STRICT:
        return cobham(queue.lam, queue.mu, queue.servers)
    rates = queue.rates if queue.discipline == ACCUMULATING else [1] * len(queue.lam)
    return kleinrock(queue.lam, rates, queue.mu, queue.servers)


def class_rules(queue: Queue) -> list[ClassRule]:
    """The discipline in the pool's words: whole rates, head starts in steps, a tier a class when strict."""
    count = len(queue.lam)
    if queue.discipline == STRICT:
        return [ClassRule(rate=1, tier=count - cls) for cls in range(count)]
    if queue.discipline == FCFS:
        return [ClassRule(rate=1)] * count
    scale = math.lcm(*(rate.denominator for rate in queue.rates))
    return [
        ClassRule(rate=int(rate * scale), head_start_ms=round(head * TICK))
        for rate, head in zip(queue.rates, queue.head_starts, strict=True)
    ]


def _exponentials(rng: random.Random, count: int) -> array[float]:
    """Draws of mean exactly 1: matching the first moment keeps the load at its nominal value (less noise, no bias)."""
    draws = array("d", (rng.expovariate(1.0) for _ in range(count)))
    scale = count / math.fsum(draws)
    return array("d", (draw * scale for draw in draws))


def _classes(rng: random.Random, lam: Sequence[float], count: int) -> array[int]:
    """Classes of the arrivals in random order, each with its nominal number."""
    total, cut, placed = sum(lam), 0.0, 0
    classes = array("l")
    for cls, rate in enumerate(lam):
        cut += rate
        upto = count if cls == len(lam) - 1 else round(count * cut / total)
        classes.extend([cls] * (upto - placed))
        placed = upto
    rng.shuffle(classes)
    return classes


def simulate(queue: Queue, arrivals: int, seed: int) -> list[float]:
    """Mean wait of each class over `arrivals` customers, every one added to and called by a `RankingPool`."""
    rng = random.Random(seed)
    warm = int(arrivals * WARM_UP)
    count = warm + arrivals
    classes = _classes(rng, queue.lam, count)
    gaps = _exponentials(rng, count)
    works = _exponentials(rng, count)
    pool = RankingPool(class_rules(queue))
    profile = pool.set_profile(1, Skills((0,)))
    gap_steps = TICK / sum(queue.lam)
    work_steps = [TICK / speed for speed in queue.mu]
    came = array("q", bytes(8 * (count + 1)))
    waited, served = [0] * len(queue.lam), [0] * len(queue.lam)
    busy: list[int] = []  # moments at which a server will be free
    now = 0.0

    def start(t: int) -> None:
        """A server is free at `t`: the pool says who is next."""
        serial = pool.call_next(profile, t)
        if serial is None:
            return
        cls = classes[serial - 1]
        heapq.heappush(busy, t + round(works[serial - 1] * work_steps[cls]))
        if serial > warm:
            waited[cls] += t - came[serial]
            served[cls] += 1

    for serial in range(1, count + 1):
        now += gaps[serial - 1] * gap_steps
        t = round(now)
        while busy and busy[0] <= t:
            start(heapq.heappop(busy))
        came[serial] = t
        pool.add(serial, 0, classes[serial - 1], t)
        if len(busy) < queue.servers:
            start(t)
    while busy:
        start(heapq.heappop(busy))
    return [total / max(1, many) / TICK for total, many in zip(waited, served, strict=True)]


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(Fraction(part)) for part in text.split(","))


def _fractions(text: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(part) for part in text.split(","))


def parse(rest: list[str]) -> tuple[Queue, int]:
    """The queue and the number of arrivals from the suite's own arguments. SystemExit 2 if they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m bench theory", allow_abbrev=False)
    parser.add_argument("--lam", type=_numbers, default=(0.3, 0.3, 0.3), help="arrival rates, comma between")
    parser.add_argument("--b", type=_fractions, help="rates of ageing, also 0.5 or 1/3; default all 1")
    parser.add_argument("--mu", type=_numbers, default=(1.0,), help="service rate, one or one a class")
    parser.add_argument("--head-start", type=_numbers, help="head starts in units of time; default none")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--discipline", choices=DISCIPLINES, default=ACCUMULATING)
    parser.add_argument("--arrivals", type=int, default=ARRIVALS)
    got = parser.parse_args(rest)
    count = len(got.lam)
    mu = got.mu * count if len(got.mu) == 1 else got.mu
    rates = got.b or (Fraction(1),) * count
    heads = got.head_start or (0.0,) * count
    if not len(mu) == len(rates) == len(heads) == count:
        parser.error("--lam, --b, --head-start and --mu (unless one) must have the same length")
    if min(*got.lam, *mu, *rates) <= 0 or got.servers < 1 or got.arrivals < 1:
        parser.error("rates, servers and arrivals must be positive")
    if sum(_loads(got.lam, mu, got.servers)) >= 1:
        parser.error("the load is 1 or more: the queue grows without end")
    return Queue(got.lam, mu, rates, heads, got.servers, got.discipline), got.arrivals


def run(options: Options, rest: list[str]) -> Report:
    """The suite: one queue, simulated and, where theory reaches, calculated."""
    queue, arrivals = parse(rest)
    if options.quick:
        arrivals = min(arrivals, 60_000)
    waits = simulate(queue, arrivals, options.seed)
    form = closed_form(queue)
    gates = []
    if form is not None and not options.quick:
        worst = max(abs(wait - exact) / exact for wait, exact in zip(waits, form, strict=True))
        gates.append(Gate("theory.error_vs_closed_form", worst, TOLERANCE, worst <= TOLERANCE, None, at_least=False))
    rows = [
        (
            f"class {cls}",
            f"lambda {queue.lam[cls]:g}",
            f"simulated {wait:.5f}",
            f"theory {form[cls]:.5f}" if form else "-",
        )
        for cls, wait in enumerate(waits)
    ]
    extra = {"mean_wait": waits, "closed_form": form, "arrivals": arrivals, "discipline": queue.discipline}
    return Report("theory", gates, extra, rows)
