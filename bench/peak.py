"""bench/peak.py: a compressed day of a scope through the real wire: waits, estimates, fairness, latency, CPU, memory.

The baseline is the same day without wire, shell and clock, drawn up by the core alone: what the people would have seen.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import days, load, plan, runs
from bench.generate import Asked, Generated
from bench.latency import Pressed, pressed
from bench.load import Day
from bench.pairs import Gate, Options, Report
from bench.product import Done, Setup
from bench.runs import MOSQUITTO, RECEIVE_MAX, Wrong
from bench.scopes import FACTORS, MIXES, OPENS_MS, SCOPES
from core.policy import MINUTE_MS
from workers import replays

LEAD_S: Final = 5.0  # from starting the dispatcher to the door
CONNECTIONS: Final = 200
SPEEDS: Final = {"tiny": 2_400, "county": 600, "city": 300, "hall": 200, "province-sample": 300}


class Outcome(msgspec.Struct):
    """One compressed day."""

    speed: int
    messages: int
    seconds: float
    cpu_us: float
    cpu_share: float
    rss_peak_mb: float
    facts: int
    published: int
    pressed: Pressed
    summary: days.Summary


def run(options: Options, rest: list[str]) -> Report:
    """One day, or some of it; at ×1 with --speed 1."""
    parser = argparse.ArgumentParser(prog="python -m bench peak", allow_abbrev=False)
    parser.add_argument("--scope", choices=list(SCOPES), default="tiny" if options.quick else "city")
    parser.add_argument("--speed", type=int, default=0, help="hall seconds a second; 0: what suits the scope")
    parser.add_argument("--minutes", type=float, default=0.0, help="only so many after the door opens; 0: all day")
    parser.add_argument("--broker", choices=runs.BROKERS, default=MOSQUITTO)
    parser.add_argument("--mix", choices=list(MIXES), default="usual")
    parser.add_argument("--day", choices=list(FACTORS), default="usual")
    given = parser.parse_args(rest)
    drawn = load.days(SCOPES[given.scope], options.seed, mix=given.mix, factor=FACTORS[given.day])
    if given.minutes:
        drawn = [load.opening(day, given.minutes) for day in drawn]
    speed = given.speed or SPEEDS[given.scope]
    outcome, wrong, digest = _through_the_wire(drawn, speed, given.broker)
    core = days.alone(wait for day in drawn for wait in day.expected.waits)
    gates = [*runs.correctness("peak", wrong), _bound(outcome)]
    extra: dict[str, Any] = {
        "load": {"digest": digest, "scope": given.scope, "mix": given.mix, "day": given.day, "minutes": given.minutes},
        "outcome": msgspec.to_builtins(outcome),
        "core_alone": {"wait_min": core.wait_min, "quarters": core.quarters},
    }
    return Report("peak", gates, extra, _rows(outcome, core.wait_min))


def _bound(outcome: Outcome) -> Gate:
    return runs.zero("peak.overtaken_beyond_bound", int(outcome.summary.fairness["beyond_the_bound"]))


def _through_the_wire(drawn: list[Day], speed: int, broker: str) -> tuple[Outcome, Wrong, str]:
    made = plan.day(drawn, speed, CONNECTIONS)
    start_ms = OPENS_MS + min(day.said[0].at_ms for day in drawn)
    with runs.workplace() as place, runs.broker(broker, place) as url:
        policies = runs.write_policies(drawn, place / "policies")
        file = plan.write(made, place / "plan")
        last_ns = max(one[0] for lane in made.timed for one in lane)
        seconds = last_ns / 1e9 + 60
        with runs.generator(Asked(url, str(file), unacked=8, seconds=seconds, watch="pictures")) as people:
            people.ready()
            begin_ns, wall_ms = time.monotonic_ns() + int(LEAD_S * 1e9), time.time_ns() // 1_000_000
            setup = Setup(
                url,
                str(place / "data"),
                policies=str(policies),
                count=made.events,
                seconds=seconds + 60,
                speed=speed,
                origin_ms=start_ms,
                anchor_ms=wall_ms + int(LEAD_S * 1000),
                receive_max=RECEIVE_MAX[broker],
            )
            with runs.dispatcher(setup) as subject:
                subject.ready()
                people.tell(str(begin_ns))
                sent = runs.generated(people)
                done = runs.done(subject)
        wrong = runs.examine(place / "data", made.causes, done.digests)
        account = asyncio.run(_account(place / "data", drawn))
    return _outcome(speed, sent, done, account), wrong, made.digest


async def _account(data: Path, drawn: list[Day]) -> days.Account:
    account = days.Account()
    head_start_ms = max(part.head_start_min for part in drawn[0].policy.classes) * MINUTE_MS
    readers: dict[str, days.Reader] = {}
    async for name, _, row in replays.rows(data):
        readers.setdefault(name, days.Reader(account, head_start_ms)).read(row)
    return account


def _outcome(speed: int, sent: Generated, done: Done, account: days.Account) -> Outcome:
    return Outcome(
        speed=speed,
        messages=sent.sent,
        seconds=done.seconds,
        cpu_us=done.cpu_s / max(1, done.received) * 1e6,
        cpu_share=done.cpu_s / done.seconds if done.seconds else 0.0,
        rss_peak_mb=done.rss_peak_mb,
        facts=done.facts,
        published=sum(done.published.values()),
        pressed=pressed(sent, 0.0),
        summary=days.summary(account),
    )


def _rows(found: Outcome, core: dict[str, float]) -> list[tuple[str, ...]]:
    summary = found.summary
    told = [(name, f"{value}") for name, value in summary.counts.items()]
    return [
        (f"x{found.speed}: {found.messages} messages in {found.seconds:.0f} s",),
        (
            f"{found.cpu_us:.0f} us CPU an event, {found.cpu_share:.1%} of a core",
            f"RSS at most {found.rss_peak_mb:.0f} MB",
        ),
        ("press to screen", found.pressed.said()),
        ("waits, min", _figures(summary.wait_min), "core alone", _figures(core)),
        ("ratings", _figures(summary.ratings)),
        ("estimates", _figures(summary.eta)),
        ("fairness", _figures(summary.fairness)),
        *told,
        *(
            (at, f"{n} tickets", f"median {mid:.1f}", f"P90 {high:.1f}", f"longest {top:.1f} min")
            for at, n, mid, high, top in summary.quarters
        ),
    ]


def _figures(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())
