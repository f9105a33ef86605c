"""bench/ingest.py: durable events a second and CPU an event against a receiver that does nothing, same codec.

`link`: receive, decode, acknowledge. `ingest`: link, core, journal, PUBACK, no outputs. `loop`: the full product
against a relay that says two things an event.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import pairs, plan, runs
from bench.generate import Asked
from bench.pairs import Options, Report
from bench.plan import Plan
from bench.product import Setup
from bench.runs import IOTCORE, MOSQUITTO, RECEIVE_MAX, Wrong
from bench.rush import lanes

HALLS: Final = 64
COUNT: Final = 120_000  # two seconds and more of ours on a machine where all of this takes three minutes
QUICK: Final = 4_000
A_SECOND: Final = 50_000  # messages that a run of --seconds 1 has
BATCHES: Final = (1000, 500, 250)  # with 1000 = receive_max the broker idles while a batch is folded


class Run(msgspec.Struct):
    """One run of a receiver."""

    received: int
    seconds: float
    cpu_s: float
    finished: bool
    facts: int = 0
    commits: int = 0
    core_s: float = 0.0
    commit_s: float = 0.0
    published: int = 0
    around_s: float = 0.0  # CPU of broker and generator

    @property
    def per_second(self) -> float:
        """Messages a second."""
        return self.received / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a message."""
        return self.cpu_s / self.received * 1e6

    @property
    def around_us(self) -> float:
        """Microseconds of CPU a message that broker and generator take beside the receiver."""
        return self.around_s / self.received * 1e6

    def said(self) -> str:
        """For people."""
        commits = f", {self.received / self.commits:.0f} a commit" if self.commits else ""
        spoke = f", {self.published / self.received:.2f} published" if self.published else ""
        return f"{self.per_second:,.0f}/s {self.cpu_us:.1f} us{commits}{spoke}{'' if self.finished else ' UNFINISHED'}"


class Bench:
    """One load, written once, sent to every subject."""

    def __init__(self, place: Path, count: int, seed: int, halls: int = HALLS) -> None:
        self.halls, self.count = halls, count
        self.plan: Plan = plan.rush(lanes(halls, count, seed))
        self.file = plan.write(self.plan, place / "plan")
        self.wrong = Wrong()

    def ours(self, broker: str, kind: str, batch_max: int) -> Run:
        """The product, or a part of it."""
        spent: list[float] = []
        with runs.workplace() as place, runs.broker(broker, place, spent=spent) as url:
            setup = Setup(
                url,
                str(place / "data"),
                kind=kind,
                count=self.count,
                halls=self.halls,
                receive_max=RECEIVE_MAX[broker],
                batch_max=batch_max,
            )
            with runs.generator(self._asked(url)) as load, runs.dispatcher(setup) as subject:
                load.ready()
                subject.ready()
                load.tell("0")
                found = runs.done(subject)
                spent.append(runs.generated(load).cpu_s)
            self.wrong += Wrong(lost=max(0, self.count - found.received))
            if kind != "link":
                self.wrong += runs.examine(place / "data", self.plan.causes, found.digests)
        spoke = sum(found.published.values())
        return Run(
            found.received,
            found.seconds,
            found.cpu_s,
            found.finished,
            found.facts,
            found.commits,
            found.core_s,
            found.commit_s,
            spoke,
            sum(spent),
        )

    def theirs(self, broker: str, relay: bool, module: str = "bench.noop") -> Run:
        """The baseline, or the same in another client's words."""
        spent: list[float] = []
        with runs.workplace() as place, runs.broker(broker, place, spent=spent) as url:
            more = ["--relay"] if relay else []
            subject_ = runs.noop(url, self.count, *more, receive_max=RECEIVE_MAX[broker], module=module)
            with runs.generator(self._asked(url)) as load, subject_ as subject:
                load.ready()
                subject.ready()
                load.tell("0")
                found = runs.received(subject)
                spent.append(runs.generated(load).cpu_s)
        said = found.published
        return Run(found.received, found.seconds, found.cpu_s, found.finished, published=said, around_s=sum(spent))

    def _asked(self, url: str) -> Asked:
        return Asked(url, str(self.file))


def interleaved(
    bench: Bench, options: Options, broker: str, kind: str, batch_max: int, number: int
) -> list[tuple[Run, Run]]:
    """Pairs of (ours, theirs), the first thrown away; they double once if they differ too much."""

    def told(run: Run, who: str) -> Run:
        sys.stderr.write(f"{kind} {broker} batch {batch_max}: {who} {run.said()}\n")
        return run

    return pairs.repeated(
        lambda: told(bench.ours(broker, kind, batch_max), "ours"),
        lambda: told(bench.theirs(broker, kind == "product"), "baseline"),
        number,
        _ratios,
    )


def link(options: Options, rest: list[str]) -> Report:
    """The link alone: what states, inbox and batches cost above the bare receiver."""
    return _suite(options, rest, "link", "link", "noop")


def ingest(options: Options, rest: list[str]) -> Report:
    """G1 and G3: durable ingest against the no-op receiver, also through the embedded broker."""
    return _suite(options, rest, "ingest", "ingest", "noop")


def loop(options: Options, rest: list[str]) -> Report:
    """G2: the full product against the relay."""
    return _suite(options, rest, "loop", "product", "relay")


def _gates(name: str, broker: str, rate: pairs.Ratio, cpu: pairs.Ratio) -> list[pairs.Gate]:
    """The link is no gate: it is what the others stand on. The loop's CPU is shown, not judged."""
    if name == "ingest" and broker == IOTCORE:
        return [pairs.gate("ingest.iotcore_durable_vs_noop", rate, 0.35)]
    if name == "ingest":
        cost = pairs.gate("ingest.cpu_vs_noop", cpu, 3.0, at_least=False)
        return [pairs.gate("ingest.durable_vs_noop", rate, 0.90), cost]
    if name == "loop" and broker == MOSQUITTO:
        return [pairs.gate("loop.full_vs_relay", rate, 0.80)]
    return []


def _suite(options: Options, rest: list[str], name: str, kind: str, baseline: str) -> Report:
    parser = argparse.ArgumentParser(prog=f"python -m bench {name}", allow_abbrev=False)
    usual = QUICK if options.quick else COUNT
    parser.add_argument("--count", type=int, default=int(options.seconds * A_SECOND) or usual)
    parser.add_argument("--batch-max", type=int, default=1000)
    parser.add_argument("--broker", choices=runs.BROKERS, default=MOSQUITTO)
    given = parser.parse_args(rest)
    main = (given.broker, min(given.batch_max, RECEIVE_MAX[given.broker]))
    number = options.pairs or (1 if options.quick else pairs.PAIRS)
    with runs.workplace() as place:
        bench = Bench(place, given.count, options.seed)
        taken = {main: interleaved(bench, options, given.broker, kind, main[1], number)}
        context = bench.theirs(given.broker, relay=False, module="bench.noop_aiomqtt") if name == "link" else None
        if name == "ingest" and given.broker == MOSQUITTO:
            few = 1 if options.quick else 2
            for batch in BATCHES:
                if batch != given.batch_max:
                    taken[MOSQUITTO, batch] = interleaved(bench, options, MOSQUITTO, kind, batch, few)
            taken[IOTCORE, 100] = interleaved(bench, options, IOTCORE, kind, 100, max(1, min(number, 4)))
    gates = _gates(name, given.broker, *_ratios(taken[main]))
    if (IOTCORE, 100) in taken and given.broker == MOSQUITTO:
        gates += _gates(name, IOTCORE, *_ratios(taken[IOTCORE, 100]))
    unfinished = sum(not run.finished for found in taken.values() for pair in found for run in pair)
    gates += [*runs.correctness(name, bench.wrong), runs.zero(f"{name}.unfinished", unfinished)]
    extra: dict[str, Any] = {
        "load": {"digest": bench.plan.digest, "messages": given.count, "halls": HALLS},
        "runs": {f"{key[0]}, batch_max {key[1]}": msgspec.to_builtins(value) for key, value in taken.items()},
        "wrong": msgspec.to_builtins(bench.wrong),
        "shown": _shown(name, taken[main]),
    }
    rows = [_row(key, found, baseline) for key, found in taken.items()]
    if context:
        extra["aiomqtt"] = msgspec.to_builtins(context)
        rows.append((f"aiomqtt, for context: {context.said()}",))
    rows += [
        (f"{one['name']} {one['value']:.2f} (shown, not judged), spread {one['spread']:.2f}",) for one in extra["shown"]
    ]
    return Report(name, gates, extra, rows, [_ceiling(taken[main])])


def _shown(name: str, found: list[tuple[Run, Run]]) -> list[dict[str, Any]]:
    """Ratios without a goal; the gates have theirs."""
    rate, cpu = _ratios(found)
    told = {
        "loop": {"loop.cpu_vs_relay": cpu},
        "link": {"link.rate_vs_noop": rate, "link.cpu_vs_noop": cpu},
    }.get(name, {})
    return [{"name": one, "value": ratio.median, "spread": ratio.spread} for one, ratio in told.items()]


def _ceiling(found: list[tuple[Run, Run]]) -> str:
    """What the cores give if nothing ever waits for anything: no way of doing things at the same time gets beyond."""
    cores = os.cpu_count() or 1
    rates = [cores / (mine.cpu_us + mine.around_us) * 1e6 for mine, _ in found]
    at = statistics.median(rate / other.per_second for rate, (_, other) in zip(rates, found, strict=True))
    mine = found[len(found) // 2][0]
    return (
        f"{cores} cores: ours {mine.cpu_us:.1f} us a message, broker and generator {mine.around_us:.1f}; with every "
        f"core busy all the time that is {statistics.median(rates):,.0f}/s, {at:.2f} of the baseline"
    )


def _ratios(found: list[tuple[Run, Run]]) -> tuple[pairs.Ratio, pairs.Ratio]:
    return (
        pairs.ratio_of([(mine.per_second, other.per_second) for mine, other in found]),
        pairs.ratio_of([(mine.cpu_us, other.cpu_us) for mine, other in found]),
    )


def _row(key: tuple[str, int], found: list[tuple[Run, Run]], baseline: str) -> tuple[str, ...]:
    rate, cpu = _ratios(found)
    mine, other = found[len(found) // 2]
    return (
        f"{key[0]} batch_max {key[1]:<5}",
        f"rate ratio {rate.median:.2f} ({rate.low:.2f} to {rate.high:.2f})",
        f"CPU ratio {cpu.median:.2f}",
        f"ours {mine.said()}",
        f"{baseline} {other.said()}",
    )
