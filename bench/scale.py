"""bench/scale.py: CPU an event at a fixed total rate: over halls in one process, over tickets waiting in one hall.

The baseline is the smallest point, in the same pairs. Gates are of durable ingest; the full product is shown beside it.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import pairs, plan, runs
from bench.generate import Asked
from bench.pairs import Gate, Options, Report
from bench.product import Setup
from bench.runs import MOSQUITTO, Wrong
from bench.rush import presses

RATE: Final = 2_000
SECONDS: Final = 4.0
DESKS: Final = 1_000  # that press, so that each gets through a visit in a run
SETTLED: Final = 3_000  # messages a second that are surely folded before the clock starts
HALLS: Final = (1, 10, 100, 1_000)
WAITING: Final = (100, 1_000, 10_000, 100_000)
SMALL: Final = (4, 10)  # counters and services of a hall, when there may be a thousand
USUAL: Final = (12, 20)


class Bench:
    """Runs at one rate."""

    def __init__(self, place: Path, seed: int, seconds: float) -> None:
        self.place, self.seed, self.seconds = place, seed, seconds
        self.wrong = Wrong()
        self.plans: dict[int, tuple[Path, plan.Plan]] = {}

    def halls(self, halls: int, kind: str) -> float:
        """Microseconds of CPU an event with so many halls."""
        return self._run(halls, *SMALL, 0, kind)

    def waiting(self, waiting: int, kind: str) -> float:
        """The same with so many tickets waiting in one hall."""
        return self._run(1, *USUAL, waiting, kind)

    def _run(self, halls: int, counters: int, services: int, waiting: int, kind: str) -> float:
        file, made = self._plan(halls, counters, services)
        before = sum(map(len, made.before))
        asked = Asked("", str(file), seconds=self.seconds + 60, rest_s=0.2 + before / SETTLED)
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            setup = Setup(
                url,
                str(place / "data"),
                kind=kind,
                warm=before,
                count=made.events,
                halls=halls,
                counters=counters,
                services=services,
                waiting=waiting,
                seconds=300,
            )
            with runs.dispatcher(setup) as subject:
                with runs.generator(msgspec.structs.replace(asked, url=url)) as load:
                    subject.ready()
                    load.ready()
                    load.tell("0")
                    sent = runs.generated(load)
                done = runs.done(subject)
            self.wrong += runs.examine(place / "data", made.causes, done.digests)
        self.wrong += Wrong(lost=max(0, sent.sent - done.received))
        found = done.cpu_s / done.received * 1e6
        sys.stderr.write(
            f"{kind}, {halls} halls, {waiting} waiting: {found:.1f} us, {done.received / done.commits:.1f} a commit\n"
        )
        return found

    def _plan(self, halls: int, counters: int, services: int) -> tuple[Path, plan.Plan]:
        key = halls * 100 + counters
        if key not in self.plans:
            made = plan.presses(
                presses(
                    halls=halls,
                    counters=max(1, min(counters, DESKS // halls)),
                    services=services,
                    rate=RATE,
                    seconds=self.seconds,
                    seed=self.seed,
                    connections=32,
                )
            )
            self.plans[key] = plan.write(made, self.place / f"plan-{key}"), made
        return self.plans[key]


def run(options: Options, rest: list[str]) -> Report:
    """G12 and G13."""
    parser = argparse.ArgumentParser(prog="python -m bench scale", allow_abbrev=False)
    parser.add_argument("--halls", type=int, nargs="+", default=[1, 50] if options.quick else list(HALLS))
    parser.add_argument("--waiting", type=int, nargs="+", default=[100, 5_000] if options.quick else list(WAITING))
    given = parser.parse_args(rest)
    number = options.pairs or (1 if options.quick else pairs.PAIRS)
    with runs.workplace() as place:
        bench = Bench(place, options.seed, options.seconds or (1.0 if options.quick else SECONDS))
        halls = _pairs(bench.halls, given.halls, "ingest", number)
        waiting = _pairs(bench.waiting, given.waiting, "ingest", number)
        shown = {
            "halls": _pairs(bench.halls, [given.halls[0], given.halls[-1]], "product", 1),
            "waiting": _pairs(bench.waiting, [given.waiting[0], given.waiting[-1]], "product", 1),
        }
        curves = {
            "halls": _curve(bench.halls, given.halls, halls),
            "waiting": _curve(bench.waiting, given.waiting, waiting),
        }
    gates = [
        _gate("scale.halls_1000_vs_1", halls, given.halls, HALLS, 1.5),
        _gate("scale.waiting_100k_vs_100", waiting, given.waiting, WAITING, 2.0),
        *runs.correctness("scale", bench.wrong),
    ]
    rows = [
        *(
            _row(what, many, ratio)
            for what, many, ratio in (("halls", given.halls, halls), ("waiting", given.waiting, waiting))
        ),
        *(_row(f"{what}, full product", getattr(given, what), ratio) for what, ratio in shown.items()),
        *(
            (f"{what} {one}", f"{cost:.1f} us an event")
            for what, curve in curves.items()
            for one, cost in curve.items()
        ),
    ]
    extra: dict[str, Any] = {"rate": RATE, "curves": {what: list(curve.items()) for what, curve in curves.items()}}
    extra["full_product"] = {what: ratio.raw for what, ratio in shown.items()}
    return Report("scale", gates, extra, rows)


def _pairs(measure: Callable[[int, str], float], points: list[int], kind: str, number: int) -> pairs.Ratio:
    """The last point over the first."""
    found = pairs.repeated(
        lambda: measure(points[-1], kind),
        lambda: measure(points[0], kind),
        number,
        lambda some: [pairs.ratio_of(some)],
        discard=number > 1,
    )
    return pairs.ratio_of(found)


def _curve(measure: Callable[[int, str], float], points: list[int], ends: pairs.Ratio) -> dict[int, float]:
    """Microseconds an event: the ends from the pairs, a run each between them."""
    above, below = (statistics.median(side) for side in zip(*ends.raw, strict=True))
    between = {one: measure(one, "ingest") for one in points[1:-1]}
    return {points[0]: below, **between, points[-1]: above}


def _gate(name: str, ratio: pairs.Ratio, points: list[int], wanted: tuple[int, ...], goal: float) -> Gate:
    """Only over the distance that the gate names."""
    gate = pairs.gate(name, ratio, goal, at_least=False)
    if (points[0], points[-1]) == (wanted[0], wanted[-1]):
        return gate
    return Gate(name, ratio.median, goal, None, ratio.spread, False, f"{points[-1]} against {points[0]}", ratio.raw)


def _row(what: str, points: list[int], ratio: pairs.Ratio) -> tuple[str, ...]:
    above, below = ratio.raw[len(ratio.raw) // 2]
    return (
        f"{what} {points[-1]} against {points[0]}",
        f"{above:.1f} against {below:.1f} us an event",
        f"ratio {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
    )
