"""bench/ratings.py: a million ratings over 5,000 clerks: the first count, a month's reports, beside a live dispatcher.

The month is drawn up as facts of halls of its own (their states stand at the head, so that the process starts at once);
in the same journal `jiaohao serve` runs a hall under presses, like real keys. Reports are processes of their own.
Baseline: the same presses and the same loop without a report beside it.
"""

import argparse
import asyncio
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bench import pairs, plan, runs
from bench.generate import Asked
from bench.latency import quantile_ms
from bench.pairs import Gate, Options, Report
from bench.runs import MOSQUITTO
from bench.rush import hall_policy, presses
from core import facts as f
from core import facts_tickets as t
from core import policy, record
from core.fact import Fact
from core.state import HallState
from core.why import Why
from devices.kit_broker import free_port
from workers.broker import LOOPBACK
from workers.clock import utc_ms
from workers.journal import SqliteJournal
from workers.ports import Part, Row

HALLS, CLERKS, DAYS, RATINGS = 50, 5_000, 22, 1_000_000
QUICK: Final = 4_000
MONTH: Final = "2020-01"  # any: the live hall has the day of today
MIDNIGHT_MS: Final = 1_577_808_000_000  # 2020-01-01 in Shanghai
DAY_MS: Final = 86_400_000
OPEN_MS, CLOSE_MS = 9 * 3_600_000, 17 * 3_600_000
ROWS_A_COMMIT: Final = 5_000
RATE: Final = 50  # presses a second: ten of the hall's own in a rush
COUNTERS: Final = 12
SECONDS: Final = 15.0
PAIRS: Final = 5
LEVELS: Final = (*[5] * 90, *[4] * 6, 3, 3, 2, 1)
WHY: Final = Why("score", 1, (), False, 0)
LAG: Final = re.compile(r'^jiaohao_loop_lag_seconds_(?:bucket\{le="([^"]+)"\}|(sum|count)) (\S+)$', re.MULTILINE)


# The month.


def visit(rng: Random, hall: int, call: int, at_ms: int, device: str) -> Iterator[tuple[int, Fact]]:
    """One person: taken, called, served, asked, rated. Clerk, counter and device belong together."""
    clerk = rng.randrange(CLERKS // HALLS)
    service = f"s{(clerk + rng.randrange(3)) % 10}"
    wait_ms, handling_ms = rng.randrange(30 * 60_000), 60_000 + rng.randrange(10 * 60_000)
    staff, department = f"u{hall}-{clerk}", f"d{clerk % 8}"
    yield at_ms, t.TicketTaken(call, f"A{call % 1000:03}", 0, service, "ordinary", at_ms, 3)
    called_ms = at_ms + wait_ms
    yield called_ms, t.TicketCalled(call, call, f"A{call % 1000:03}", clerk, staff, service, wait_ms, WHY)
    end_ms = called_ms + handling_ms
    yield end_ms, t.ServingFinished(call, call, clerk, staff, service, department, "done", handling_ms, wait_ms)
    yield end_ms, f.EvaluationOpened(call, end_ms + DAY_MS, staff, clerk, service, department)
    yield end_ms + 500, f.EvaluationShown(call)
    level, latency_ms = rng.choice(LEVELS), 2_000 + rng.randrange(20_000)
    yield (
        end_ms + latency_ms,
        f.EvaluationSubmitted(
            *(call, level, staff, clerk, service, department, "device", latency_ms, False), device=f"{device}{clerk}"
        ),
    )


def days(seed: int, ratings: int) -> Iterator[tuple[str, list[tuple[int, Fact]]]]:
    """By day and hall, ascending: the facts of a day. Deterministic."""
    share = max(1, ratings // (HALLS * DAYS))
    calls = [0] * HALLS
    for day in range(DAYS):
        start_ms = MIDNIGHT_MS + day * DAY_MS
        opened = f.DayOpened(20200101 + day, start_ms, start_ms + DAY_MS, ((start_ms + OPEN_MS, start_ms + CLOSE_MS),))
        for hall in range(HALLS):
            rng = Random(f"{seed}/{day}/{hall}")
            found: list[tuple[int, Fact]] = []
            for _ in range(share):
                calls[hall] += 1
                at_ms = start_ms + OPEN_MS + rng.randrange(CLOSE_MS - OPEN_MS - 45 * 60_000)
                found += visit(rng, hall, calls[hall], at_ms, "ev-")
            found.sort(key=lambda one: one[0])
            closed = f.DayClosed(20200101 + day, share, share, 0, 0, 0)
            yield f"month-{hall}", [(start_ms, opened), *found, (start_ms + DAY_MS - 1, closed)]


async def build(directory: Path, seed: int, ratings: int) -> int:
    """The journal; how many facts."""
    journal = await SqliteJournal.open(directory, now_ms=utc_ms)
    heads: dict[str, int] = {}
    for hall, found in days(seed, ratings):
        rows = [Row(at_ms, *record.encode(fact)[:2], "", "", 0, record.encode(fact)[2]) for at_ms, fact in found]
        for first in range(0, len(rows), ROWS_A_COMMIT):
            some = rows[first : first + ROWS_A_COMMIT]
            await journal.append([Part(hall, heads.get(hall, 0), some)])
            heads[hall] = heads.get(hall, 0) + len(some)
        await journal.maybe_checkpoint(idle=False)
    for hall, head in heads.items():
        state = HallState(hall)
        state.n = head
        await journal.save(hall, head, state.snapshot())
    await journal.close()
    return sum(heads.values())


# The process, and what runs beside it.


class Window(msgspec.Struct):
    """A stretch of presses: what their screens took, how late the loop was. ms."""

    presses: int
    p50_ms: float
    p99_ms: float
    lag_ms: float
    lag_over_10ms: float


@contextmanager
def served(place: Path, url: str) -> Iterator[str]:
    """`jiaohao serve` over the month's journal, with one hall of its own; the address of its pages."""
    (place / "halls").mkdir()
    (place / "halls" / "h0.json").write_text(policy.document(hall_policy("h0", counters=COUNTERS)), "utf-8")
    page = f"{LOOPBACK}:{free_port()}"
    command = [sys.executable, "-m", "workers.cli", "serve", "--data", str(place / "data"), "--broker", url]
    command += ["--halls", str(place / "halls"), "--listen", page, "--log", "json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                if process.poll() is not None or 'check="broker"} 1.0' in _page(page):
                    break
                time.sleep(0.1)
            assert process.poll() is None, "the process has ended"
            yield page
        finally:
            process.terminate()


def _page(page: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{page}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def lag(page: str) -> dict[str, float]:
    """The loop's lateness so far: by upper limit, `sum`, `count`."""
    return {limit or name: float(value) for limit, name, value in LAG.findall(_page(page))}


def reported(data: Path, by: str, *more: str) -> float:
    """One report by its command, start of the process included; seconds."""
    command = [sys.executable, "-m", "workers.cli", "report", str(data), "--month", MONTH, "--by", by, *more]
    started = time.perf_counter()
    subprocess.run([*command, "--format", "csv", "--out", str(data / "report.csv")], check=True)
    return time.perf_counter() - started


class Bench:
    """One journal, one process; stretches of presses with and without reports beside them."""

    def __init__(self, place: Path, url: str, page: str, seconds: float, seed: int) -> None:
        self.place, self.url, self.page, self.seconds, self.seed = place, url, page, seconds, seed
        self.times: dict[str, list[float]] = {"clerk": [], "hall": []}
        self.turn = 0

    def window(self, *, reports: bool) -> Window:
        """Presses for some seconds; with `reports`, one after the other beside them."""
        self.turn += 1
        made = presses(
            halls=1,
            counters=COUNTERS,
            rate=RATE,
            seconds=self.seconds,
            seed=self.seed,
            connections=20,
            boot=f"round-{self.turn}",
        )
        file = plan.write(plan.presses(made), self.place / "plan")
        asked = Asked(self.url, str(file), unacked=1, seconds=self.seconds + 30, watch="pictures")
        with runs.generator(asked) as load:
            load.ready()
            before, end = lag(self.page), time.monotonic() + self.seconds
            load.tell("0")
            while reports and time.monotonic() < end:
                for by, times in self.times.items():
                    times.append(reported(self.place / "data", by))
            found = runs.generated(load)
        after = lag(self.page)
        told = {name: after[name] - before[name] for name in ("sum", "count", "0.01")}
        count = max(1.0, told["count"])
        return Window(
            len(found.latency_us),
            quantile_ms(found.latency_us, 0.5),
            quantile_ms(found.latency_us, 0.99),
            told["sum"] / count * 1000,
            1 - told["0.01"] / count,
        )


def run(options: Options, rest: list[str]) -> Report:
    """The loop beside reports against the loop alone; the times of reports."""
    parser = argparse.ArgumentParser(prog="python -m bench ratings", allow_abbrev=False)
    parser.add_argument("--ratings", type=int, default=QUICK if options.quick else RATINGS)
    given = parser.parse_args(rest)
    seconds, number = options.seconds or (2.0 if options.quick else SECONDS), options.pairs or PAIRS
    quiet, busy = list[Window](), list[Window]()
    with runs.workplace() as place, runs.broker(MOSQUITTO, place) as url:
        started = time.perf_counter()
        facts = asyncio.run(build(place / "data", options.seed, given.ratings))
        sys.stderr.write(f"{facts:,} facts written in {time.perf_counter() - started:.1f} s\n")
        with served(place, url) as page:
            bench = Bench(place, url, page, seconds, options.seed)
            first_s = reported(place / "data", "clerk")
            flags_s = reported(place / "data", "flags")
            for turn in range(1 if options.quick else number):
                for reports in (turn % 2 == 0, turn % 2 == 1):
                    (busy if reports else quiet).append(bench.window(reports=reports))
                sys.stderr.write(f"ratings {turn}: alone {quiet[-1]}\n  beside reports {busy[-1]}\n")
        kept_mb = sum(path.stat().st_size for path in (place / "data" / "report").glob("*.mp")) / 2**20
        shutil.rmtree(place / "data")
    rows = [
        (f"{given.ratings:,} ratings, {CLERKS:,} clerks, {facts:,} facts; {RATE} presses/s meanwhile",),
        (f"first count and month by clerk {first_s:.2f} s, kept totals {kept_mb:.0f} MB, flags {flags_s:.2f} s",),
        tuple(f"month by {by} {statistics.median(times):.2f} s ({len(times)})" for by, times in bench.times.items()),
        ("alone", *map(_said, quiet)),
        ("beside reports", *map(_said, busy)),
    ]
    extra = {"first_s": first_s, "flags_s": flags_s, "reports_s": bench.times, "kept_mb": kept_mb}
    extra |= {"alone": msgspec.to_builtins(quiet), "beside": msgspec.to_builtins(busy)}
    return Report("ratings", _gates(bench, quiet, busy), extra, rows)


def _said(one: Window) -> str:
    late = f"loop late {one.lag_ms:.2f} ms, {one.lag_over_10ms:.2%} over 10"
    return f"screen p50 {one.p50_ms:.1f} p99 {one.p99_ms:.1f}, {late}"


def _gates(bench: Bench, quiet: list[Window], busy: list[Window]) -> list[Gate]:
    """Reported, with goals of the second kind: interactive is two seconds; the loop must not notice."""
    lags = pairs.ratio_of([(one.lag_ms, max(0.01, other.lag_ms)) for one, other in zip(busy, quiet, strict=True)])
    screens = pairs.ratio_of([(one.p99_ms, max(0.01, other.p99_ms)) for one, other in zip(busy, quiet, strict=True)])
    return [
        pairs.gate("ratings.loop_lag_vs_alone", lags, 2.0, at_least=False, spread_max=pairs.SPREAD_MAX_TAIL),
        pairs.gate("ratings.screen_p99_vs_alone", screens, 2.0, at_least=False, spread_max=pairs.SPREAD_MAX_TAIL),
    ]
