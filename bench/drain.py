"""bench/drain.py: the broker holds what came during an outage; the dispatcher starts, and keys go on being pressed.

Then the other outage: the hall works, and 300 devices that were cut off come back with 29,000 events (flood.py).

29 k is two hours of a big hall. 200 k and 3.0 M by `--held`; the last needs memory, and a broker that may hold so much.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import flood, pairs, plan, runs
from bench.generate import Asked, Generated
from bench.latency import quantile_ms
from bench.noop import Received
from bench.pairs import Gate, Options, Report
from bench.plan import Plan
from bench.product import Done, Setup
from bench.runs import MOSQUITTO, Wrong
from bench.rush import lanes, presses

HELD: Final = 29_000
QUICK: Final = 4_000
SHIPPED: Final = 200_000  # what the shipped configuration holds
SCOPES: Final = {"county": 2_400, "city": 8_600, "hall": HELD, "province": 3_000_000}  # two hours of each
HALLS: Final = 64
LIVE_RATE, LIVE_S = 5, 4.5
FLOODS: Final = {"spread": 3, "at once": 1}  # the second has no goal


class Drained(msgspec.Struct):
    """One run of ours."""

    rate: float
    seconds: float
    cpu_us: float
    presses: int
    live_p99_s: float
    live_s: list[float]
    backlog: list[tuple[float, int]]  # seconds after the first message, messages still held


class Bench:
    """What is held, and who presses meanwhile."""

    def __init__(self, place: Path, held: int, seed: int, live_s: float) -> None:
        self.held, self.live_s = held, live_s
        load = plan.rush(lanes(HALLS, held, seed, connections=8))
        live = plan.presses(
            presses(halls=1, counters=3, rate=LIVE_RATE, seconds=live_s, seed=seed, connections=8, first=HALLS)
        )
        self.digest = load.digest
        self.causes = {**load.causes, **live.causes}
        self.live = live.timed_events
        self.files = {
            "held": plan.write(load, place / "held"),
            "before": plan.write(Plan(live.before, [], {}, ""), place / "before"),
            "live": plan.write(Plan([], live.timed, {}, ""), place / "live"),
        }
        self.wrong = Wrong()

    def ours(self) -> Drained:
        """Sign on, go away, let it gather, come back."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place, held_max=self._held_max()) as url:
            limit_s = max(600.0, self.held / 2_000)
            setup = Setup(url, str(place / "data"), halls=HALLS + 1, seconds=limit_s, mark=self.held)
            with runs.dispatcher(setup) as subject:
                subject.ready()
                self._send(url, "before")
                subject.tell("stop")
                runs.done(subject)
            self._send(url, "held")
            live = Asked(url, str(self.files["live"]), unacked=1, seconds=self.live_s + 60, watch="pictures")
            with runs.generator(live) as keys:
                keys.ready()
                # It ends when it has everything, however long after the keys have given up waiting.
                whole = msgspec.structs.replace(setup, count=self.held + self.live)
                with runs.dispatcher(whole) as subject:
                    keys.tell("0")
                    pressed = runs.generated(keys)
                    done = runs.done(subject)
            self.wrong += runs.examine(place / "data", self.causes, done.digests)
        found = self._drained(done, pressed)
        sys.stderr.write(f"drain: {found.rate:,.0f}/s\n")
        return found

    def _drained(self, done: Done, pressed: Generated) -> Drained:
        """The presses while the queue was there; each waits behind it. The one that waits longest stands for p99."""
        begin_ms = (done.first_s - pressed.start_s) * 1000
        seen = zip(pressed.latency_us, pressed.due_ms, strict=True)
        meanwhile = [one for one, due in seen if begin_ms <= due <= begin_ms + done.marked_s * 1000]
        seconds = done.marked_s or done.seconds
        return Drained(
            rate=self.held / seconds,
            seconds=seconds,
            cpu_us=done.cpu_s / max(1, done.received) * 1e6,
            presses=len(meanwhile),
            live_p99_s=quantile_ms(meanwhile, 0.99) / 1000,
            live_s=[one / 1e6 for one in meanwhile],
            backlog=[(0.0, self.held), *((at, self.held - settled) for at, settled in done.settled)],
        )

    def theirs(self) -> Received:
        """The no-op receiver with a session of its own."""
        with runs.workplace() as place, runs.broker(MOSQUITTO, place, held_max=self._held_max()) as url:
            with runs.noop(url, 10**9, "--keeps", "--seconds", "600") as subject:
                subject.ready()
                subject.tell("stop")
                runs.received(subject)
            self._send(url, "held")
            with runs.noop(url, self.held, "--keeps", "--seconds", "600") as subject:
                subject.ready()
                return runs.received(subject)

    def _send(self, url: str, what: str) -> None:
        with runs.generator(Asked(url, str(self.files[what]), seconds=600)) as load:
            load.ready()
            load.tell("0")
            runs.generated(load)

    def _held_max(self) -> int:
        return 2 * self.held if self.held > SHIPPED // 2 else 0


def run(options: Options, rest: list[str]) -> Report:
    """G5."""
    parser = argparse.ArgumentParser(prog="python -m bench drain", allow_abbrev=False)
    parser.add_argument("--held", type=int, default=0)
    parser.add_argument("--scope", choices=list(SCOPES), default="hall")
    given = parser.parse_args(rest)
    held = given.held or (QUICK if options.quick else SCOPES[given.scope])
    number = options.pairs or (1 if options.quick or held > SHIPPED else pairs.PAIRS)
    live_s = options.seconds or (3.0 if options.quick else max(LIVE_S, held / 10_000))
    with runs.workplace() as place:
        bench = Bench(place, held, options.seed, live_s)
        found = pairs.repeated(bench.ours, bench.theirs, number, _rates, discard=number > 1)
    ours = [mine for mine, _ in found]
    floods, wrong = _floods(options, min(held, HELD))
    gates = [
        pairs.gate("drain.rate_vs_noop", _rates(found)[0], 0.80),
        _live(ours),
        _beside_quiet(floods["spread"]),
        *runs.correctness("drain", bench.wrong + wrong),
    ]
    extra: dict[str, Any] = {
        "floods": {how: msgspec.to_builtins(found) for how, found in floods.items()},
        "load": {"digest": bench.digest, "held": held},
        "runs": [msgspec.to_builtins(pair) for pair in found],
    }
    rows = [_row(pair) for pair in found]
    rows += [(f"flood, {how}", one.said(), "") for how, found in floods.items() for one in found]
    return Report("drain", gates, extra, rows, _labels(held))


def _rates(found: list[tuple[Drained, Received]]) -> list[pairs.Ratio]:
    return [pairs.ratio_of([(mine.rate, other.per_second) for mine, other in found])]


def _floods(options: Options, events: int) -> tuple[dict[str, list[flood.Flooded]], Wrong]:
    """As devices come back, and all of them in the same instant."""
    quiet_s, spread_s = (2.0, 2.0) if options.quick else (flood.SPREAD_S, flood.SPREAD_S)
    found: dict[str, list[flood.Flooded]] = {}
    wrong = Wrong()
    with runs.workplace() as place:
        for how, spread in (("spread", spread_s), ("at once", 0.0)):
            (place / how).mkdir()
            bench = flood.Bench(place / how, events, options.seed, quiet_s, spread)
            found[how] = [bench.run() for _ in range(1 if options.quick else FLOODS[how])]
            wrong += bench.wrong
            sys.stderr.write(f"flood, {how}: {found[how][-1].said()}\n")
    return found, wrong


def _beside_quiet(found: list[flood.Flooded]) -> Gate:
    """Presses while the flood lasts against presses before it, of the same run."""
    ratio = pairs.ratio_of([one.ratio for one in found])
    return pairs.gate("drain.live_p99_vs_quiet", ratio, 3.0, at_least=False, spread_max=0.5)


def _live(ours: list[Drained]) -> Gate:
    """Seconds; the goal is a choice, not a ratio."""
    name, goal = "drain.live_p99_s", 1.0
    if not all(one.presses for one in ours):
        return pairs.not_run(name, goal, "nothing was pressed while the queue was there", at_least=False)
    return pairs.gate(
        name, pairs.ratio_of([(one.live_p99_s, 1.0) for one in ours]), goal, at_least=False, spread_max=0.5
    )


def _labels(held: int) -> list[str]:
    label = {True: "stands in for 3.0 M", False: ""}[held == SHIPPED]
    return [
        f"{held} held {label}".strip(),
        "a live press waits behind everything the broker holds: one queue, one order",
    ]


def _row(pair: tuple[Drained, Received]) -> tuple[str, ...]:
    mine, other = pair
    return (
        f"ours {mine.rate:,.0f}/s in {mine.seconds:.2f} s, {mine.cpu_us:.1f} us",
        f"no-op {other.per_second:,.0f}/s",
        f"{mine.presses} live presses, slowest {max(mine.live_s, default=0.0):.2f} s",
    )
