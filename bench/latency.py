"""bench/latency.py: from a key to its picture on the screen, in open loop, against a relay that only echoes.

`press` mode: 200 connections, one unacknowledged each, like real keys. The bound of a pair is twice the relay's p99
plus twice the disk's: what broker, loopback and one commit cost whatever is done in between. Then the big hall as it
is, from the moment its door opens: a few presses a second, beside a crowd at the kiosks. Too few for a p99.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

from bench import load, machine, pairs, plan, runs
from bench.generate import Asked, Generated
from bench.pace import NORMAL
from bench.pairs import Gate, Options, Report
from bench.product import Setup
from bench.runs import MOSQUITTO, Wrong
from bench.rush import presses
from bench.scopes import OPENS_MS, SCOPES

HALLS, COUNTERS, CONNECTIONS = 40, 15, 200
RATES: Final = (500, 2_000)
GATED: Final = 2_000
SAMPLES: Final = 10_000  # that a p99 needs; below, no number
SENT: Final = 1.3 * SAMPLES / 0.75  # three messages of four are seen on a screen; only whole visits are played
OPENING: Final = "hall"
OPENING_S: Final = 32.0  # the crowd at the door takes 30
SHARES: Final = (0.5, 0.9, 0.99, 0.999)
LATE_MS, LATE_SHARE = 2.0, 0.2
PAIRS: Final = {500: 1, 2_000: 7}


def quantile_ms(latency_us: list[int], share: float) -> float:
    """Of a run, in ms."""
    ordered = sorted(latency_us)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 if ordered else 0.0


class Pressed(msgspec.Struct):
    """One run: what was seen when, and whether the generator kept its times. `histogram`: of HdrHistogram, in us."""

    samples: int
    unseen: int
    late_ms: float
    quantiles_ms: dict[str, float]
    curve_ms: list[tuple[float, float]]
    cpu_us: float
    finished: bool
    histogram: str = ""
    priority: str = NORMAL  # of the generator, see bench/pace.py

    @property
    def p99_ms(self) -> float:
        """The 99th percentile."""
        return self.quantiles_ms["0.99"]

    @property
    def late(self) -> bool:
        """Whether the generator was the problem."""
        return self.late_ms > LATE_MS or self.late_ms > LATE_SHARE * self.p99_ms

    def said(self) -> str:
        """For people."""
        few = self.samples < SAMPLES
        enough = {share: value for share, value in self.quantiles_ms.items() if not few or float(share) < 0.99}
        shown = ", ".join(f"p{float(share) * 100:g} {value:.2f}" for share, value in enough.items())
        if self.samples < 1_000:
            shown += f", longest {self.curve_ms[-1][1]:.2f}"
        return f"{shown} ms of {self.samples}, unseen {self.unseen}, generator late p99 {self.late_ms:.2f} ms"


def pressed(found: Generated, cpu_us: float) -> Pressed:
    """The figures of a run; quantiles that need more samples than there are stay away."""
    got = found.latency_us
    enough = [share for share in SHARES if share < 0.999 or len(got) >= SAMPLES * 10]
    curve = [(share, quantile_ms(got, share)) for share in (0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)]
    quantiles = {f"{share:g}": quantile_ms(got, share) for share in enough}
    late, whole = found.late_ms_p99, encoded(got)
    return Pressed(len(got), found.unseen, late, quantiles, curve, cpu_us, found.finished, whole, found.priority)


def encoded(latency_us: list[int]) -> str:
    """All of a run, three digits of each, for whoever wants another percentile. Made after the run: it is slow."""
    histogram = HdrHistogram(1, max(2, *latency_us, 2), 3)
    for one in latency_us:
        histogram.record_value(max(1, one))
    return str(histogram.encode().decode())


class Bench:
    """One plan of presses, sent to product and relay by turns. `setup`: the halls that it is for."""

    def __init__(self, made: plan.Plan, file: Path, seconds: float, setup: Setup) -> None:
        self.plan, self.file, self.seconds, self.setup = made, plan.write(made, file), seconds, setup
        self.wrong = Wrong()

    @classmethod
    def presses(
        cls, place: Path, rate: int, seconds: float, seed: int, *, halls: int = HALLS, counters: int = COUNTERS
    ) -> "Bench":
        """At one rate, evenly."""
        timed = presses(halls=halls, counters=counters, rate=rate, seconds=seconds, seed=seed, connections=CONNECTIONS)
        setup = Setup("", "", halls=halls, counters=counters)
        return cls(plan.presses(timed), place / f"plan-{rate}", seconds, setup)

    @classmethod
    def opening(cls, place: Path, seconds: float, seed: int) -> "Bench":
        """The big hall from the opening of its door, second by second."""
        drawn = [load.opening(day, seconds / 60) for day in load.days(SCOPES[OPENING], seed)]
        policies = runs.write_policies(drawn, place / "policies")
        made = plan.since(plan.day(drawn, 1, CONNECTIONS), -1_000_000 * min(day.said[0].at_ms for day in drawn))
        return cls(made, place / "plan-opening", seconds, Setup("", "", policies=str(policies), origin_ms=OPENS_MS))

    def ours(self) -> Pressed:
        """The product: acks, orders, pictures, a durable journal."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            setup = msgspec.structs.replace(
                self.setup,
                url=url,
                data=str(place / "data"),
                count=self.plan.events,
                seconds=self.seconds + 60,
                anchor_ms=time.time_ns() // 1_000_000 if self.setup.origin_ms else 0,
            )
            with runs.dispatcher(setup) as subject, runs.generator(self._asked(url, "pictures")) as keys:
                subject.ready()
                keys.ready()
                keys.tell("0")
                found = runs.generated(keys)
                done = runs.done(subject)
            self.wrong += runs.examine(place / "data", self.plan.causes, done.digests)
        return pressed(found, done.cpu_s / done.received * 1e6)

    def theirs(self) -> Pressed:
        """The relay."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            relay = runs.noop(url, 10**9, "--relay", "--seconds", str(self.seconds + 60))
            with relay as subject, runs.generator(self._asked(url, "echo")) as keys:
                subject.ready()
                keys.ready()
                keys.tell("0")
                found = runs.generated(keys)
                subject.tell("stop")
                done = runs.received(subject)
        return pressed(found, done.cpu_us)

    def _asked(self, url: str, watch: str) -> Asked:
        return Asked(url, str(self.file), unacked=1, seconds=self.seconds + 30, watch=watch, first=True)


class Pair(msgspec.Struct):
    """Ours, the relay and the disk of the same minute."""

    ours: Pressed
    relay: Pressed
    fdatasync_p99_ms: float

    @property
    def bound_ms(self) -> float:
        """What may be needed."""
        return 2 * self.relay.p99_ms + 2 * self.fdatasync_p99_ms


def run(options: Options, rest: list[str]) -> Report:
    """G4."""
    parser = argparse.ArgumentParser(prog="python -m bench latency", allow_abbrev=False)
    parser.add_argument("--rates", type=int, nargs="+", default=list(RATES))
    given = parser.parse_args(rest)
    wrong, found = Wrong(), dict[int, list[Pair]]()
    with runs.workplace() as place:
        for rate in given.rates:
            seconds = options.seconds or (3.0 if options.quick else SENT / rate)
            bench = Bench.presses(place, rate, seconds, options.seed)
            number = options.pairs or (1 if options.quick else PAIRS.get(rate, 2))
            found[rate] = _pairs(bench, f"{rate}/s", number, discard=not options.quick and rate == GATED)
            wrong += bench.wrong
        bench = Bench.opening(place, 3.0 if options.quick else OPENING_S, options.seed)
        door = _pairs(bench, OPENING, 1, discard=False)
        wrong += bench.wrong
    gate = _gate(found.get(GATED, []), options)
    unseen = sum(pair.ours.unseen for some in found.values() for pair in some)
    notes = [f"{unseen} presses were never seen: counted up to the end of their run"] if unseen else []
    rows = [_row(f"{rate}/s", pair) for rate, some in found.items() for pair in some]
    rows += [_row(f"{OPENING}, {bench.seconds:.0f} s from the opening of its door", pair) for pair in door]
    extra: dict[str, Any] = {"pairs": {str(rate): msgspec.to_builtins(some) for rate, some in found.items()}}
    extra["opening"] = msgspec.to_builtins(door)
    return Report("latency", [gate, *runs.correctness("latency", wrong)], extra, rows, notes)


def _pairs(bench: Bench, what: str, number: int, *, discard: bool) -> list[Pair]:
    found = []
    for turn in range(number + discard):
        disk = [machine.fdatasync_p99_us()]
        if turn % 2:
            relay, ours = bench.theirs(), bench.ours()
        else:
            ours, relay = bench.ours(), bench.theirs()
        disk.append(machine.fdatasync_p99_us())
        sys.stderr.write(f"latency {what}, {turn}: ours {ours.said()}; relay {relay.said()}\n")
        found.append(Pair(ours, relay, sum(disk) / len(disk) / 1000))
    return found[discard:]


def _gate(found: list[Pair], options: Options) -> Gate:
    name = "latency.p99_vs_bound"
    fair = [pair for pair in found if options.quick or _fair(pair)]
    if not fair:
        why = "the generator was late, or samples too few, in every run" if found else f"no run at {GATED}/s"
        return pairs.not_run(name, 1.0, why, at_least=False)
    ratio = pairs.ratio_of([(pair.ours.p99_ms, pair.bound_ms) for pair in fair])
    gate = pairs.gate(name, ratio, 1.0, at_least=False, spread_max=pairs.SPREAD_MAX_TAIL)
    void = len(found) - len(fair)
    return msgspec.structs.replace(gate, note=f"{gate.note} {void} pairs void".strip()) if void else gate


def _fair(pair: Pair) -> bool:
    """The generator kept its times, and a p99 has samples enough."""
    return not (pair.ours.late or pair.relay.late) and min(pair.ours.samples, pair.relay.samples) >= SAMPLES


def _row(what: str, pair: Pair) -> tuple[str, ...]:
    void = " VOID, generator late" if pair.ours.late or pair.relay.late else ""
    return (
        what,
        f"ours {pair.ours.said()}{void}",
        f"relay {pair.relay.said()}",
        f"fdatasync p99 {pair.fdatasync_p99_ms:.2f} ms",
        f"bound {pair.bound_ms:.2f} ms",
        f"generator's priority {pair.ours.priority}",
    )
