"""bench/latency.py: from a key to its picture on the screen, in open loop, against a relay that only echoes.

`press` mode: 200 connections, one unacknowledged each, like real keys. The bound of a pair is twice the relay's p99
plus twice the disk's: what broker, loopback and one commit cost whatever is done in between.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

from bench import machine, pairs, plan, runs
from bench.generate import Asked, Generated
from bench.pace import NORMAL
from bench.pairs import Gate, Options, Report
from bench.product import Setup
from bench.runs import MOSQUITTO, Wrong
from bench.rush import presses

HALLS, COUNTERS, CONNECTIONS = 40, 15, 200
RATES: Final = (500, 2_000)
GATED: Final = 2_000
SAMPLES: Final = 10_000  # that a p99 needs; below, no number
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
        shown = ", ".join(f"p{float(share) * 100:g} {value:.2f}" for share, value in self.quantiles_ms.items())
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
    """One plan of presses, sent to product and relay by turns."""

    def __init__(
        self, place: Path, rate: int, seconds: float, seed: int, *, halls: int = HALLS, counters: int = COUNTERS
    ) -> None:
        self.halls, self.counters, self.seconds = halls, counters, seconds
        self.plan = plan.presses(
            presses(halls=halls, counters=counters, rate=rate, seconds=seconds, seed=seed, connections=CONNECTIONS)
        )
        self.file = plan.write(self.plan, place / f"plan-{rate}")
        self.wrong = Wrong()

    def ours(self) -> Pressed:
        """The product: acks, orders, pictures, a durable journal."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            setup = Setup(url, str(place / "data"), halls=self.halls, counters=self.counters, seconds=self.seconds + 60)
            with runs.dispatcher(setup) as subject, runs.generator(self._asked(url, "pictures")) as load:
                subject.ready()
                load.ready()
                load.tell("0")
                found = runs.generated(load)
                subject.tell("stop")
                done = runs.done(subject)
            self.wrong += runs.examine(place / "data", self.plan.causes, done.digests)
        return pressed(found, done.cpu_s / done.received * 1e6)

    def theirs(self) -> Pressed:
        """The relay."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
            relay = runs.noop(url, 10**9, "--relay", "--seconds", str(self.seconds + 60))
            with relay as subject, runs.generator(self._asked(url, "echo")) as load:
                subject.ready()
                load.ready()
                load.tell("0")
                found = runs.generated(load)
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
            seconds = options.seconds or (3.0 if options.quick else 1.3 * SAMPLES / (0.75 * rate))
            bench = Bench(place, rate, seconds, options.seed)
            number = options.pairs or (1 if options.quick else PAIRS.get(rate, 2))
            found[rate] = _pairs(bench, rate, number, discard=not options.quick and rate == GATED)
            wrong += bench.wrong
    gate = _gate(found.get(GATED, []), options)
    unseen = sum(pair.ours.unseen for some in found.values() for pair in some)
    notes = [f"{unseen} presses were never seen: counted up to the end of their run"] if unseen else []
    rows = [_row(rate, pair) for rate, some in found.items() for pair in some]
    extra: dict[str, Any] = {"pairs": {str(rate): msgspec.to_builtins(some) for rate, some in found.items()}}
    return Report("latency", [gate, *runs.correctness("latency", wrong)], extra, rows, notes)


def _pairs(bench: Bench, rate: int, number: int, *, discard: bool) -> list[Pair]:
    found = []
    for turn in range(number + discard):
        disk = [machine.fdatasync_p99_us()]
        if turn % 2:
            relay, ours = bench.theirs(), bench.ours()
        else:
            ours, relay = bench.ours(), bench.theirs()
        disk.append(machine.fdatasync_p99_us())
        sys.stderr.write(f"latency {rate}/s, {turn}: ours {ours.said()}; relay {relay.said()}\n")
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


def _row(rate: int, pair: Pair) -> tuple[str, ...]:
    void = " VOID, generator late" if pair.ours.late or pair.relay.late else ""
    return (
        f"{rate}/s",
        f"ours {pair.ours.said()}{void}",
        f"relay p99 {pair.relay.p99_ms:.2f} ms, late {pair.relay.late_ms:.2f} ms",
        f"fdatasync p99 {pair.fdatasync_p99_ms:.2f} ms",
        f"bound {pair.bound_ms:.2f} ms",
        f"generator's priority {pair.ours.priority}",
    )
