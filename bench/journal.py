"""bench/journal.py: what durability costs — batches against RAW, hops, loop lag, checkpoints after the acks.

RAW is `executemany` of the same rows by the same driver, with the same pragmas, on the same disk, without thread, chain
or words. Every run has a fresh file with a presized log.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.pairs import PAIRS, SPREAD_MAX_TAIL, Gate, Options, Report, Subject, compare, gate, ratio_of
from core.evaluation import Evaluation
from core.fact import Fact
from core.facts import EvaluationOpened, EvaluationSubmitted
from core.facts_tickets import (
    CallAnnounced,
    ServingFinished,
    ServingStarted,
    TicketCalled,
    TicketPrinted,
    TicketTaken,
)
from core.state import HallState
from core.ticket import Ticket
from core.why import Why
from workers import engine, opening, recovery
from workers.journal import Listener, SqliteJournal
from workers.ports import Part, Row
from workers.writer import INSERT_ROW

HALL: Final = "hall-1"
RATE: Final = 20_000  # facts/s of the paced runs
BATCH_MAX: Final = 1_000
PAYLOAD: Final = bytes(140)
NOW_MS: Final = 1_795_420_911_000
PROBE_S: Final = 0.001
LAG_MAX_MS: Final = 5.0
LAG_OVER_IDLE_MS: Final = 3.0
WAL_MAX_MB: Final = 64.0
TAIL_BATCH: Final = 400  # 22 frames: every 45th commit of autocheckpoint 1000 holds a checkpoint, so its p99 sees them
AUTOCHECKPOINT: Final = "PRAGMA wal_autocheckpoint=1000"


def facts(count: int) -> list[Row]:
    """Prebuilt: 50 devices, 140 bytes each."""
    return [Row(NOW_MS + n, 5, 1, f"kiosk-{n % 50:02}", "4f2a", n, PAYLOAD) for n in range(count)]


def run(options: Options, rest: list[str]) -> Report:
    """Gates G6 to G10."""
    pairs = options.pairs or (2 if options.quick else PAIRS)
    seconds = options.seconds or (0.5 if options.quick else 10.0)
    size = 5_000 if options.quick else 100_000
    gates = [*against_raw(size, pairs), *paced_gates(seconds, pairs, quick=options.quick)]
    gates += pictured_gates(size, pairs)
    return Report("journal", gates, rows=[(f"{size} facts a run, {len(PAYLOAD)} B payload, synchronous FULL",)])


def against_raw(size: int, pairs: int) -> list[Gate]:
    """Throughput: batches of 1,000 and 100 against RAW, 1,000 against a commit a row; and hops counted on the way."""
    hops: list[float] = []
    doubling = pairs >= PAIRS
    some = facts(size)
    large, small = ours(some, 1000, hops), ours(some[: size // 2], 100, hops)
    cpu_ratio = compare(cpu(large), cpu(raw(some, 1000)), pairs=pairs, doubling=doubling)
    gates = [
        gate("journal.batch_1000_vs_raw", compare(large, raw(some, 1000), pairs=pairs, doubling=doubling), 0.80),
        gate(
            "journal.batch_100_vs_raw",
            compare(small, raw(some[: size // 2], 100), pairs=pairs, doubling=doubling),
            0.60,
        ),
        gate(
            "journal.vs_row_commit",
            compare(large, row_commits(some[: size // 100]), pairs=pairs, doubling=doubling),
            40.0,
        ),
        gate("journal.cpu_1000_vs_raw", cpu_ratio, 1.3, at_least=False),
    ]
    most = max(hops)
    return [*gates, Gate("journal.hops_per_commit", most, 1.0, most == 1.0, 0.0, at_least=False)]


def ours(some: list[Row], batch: int, hops: list[float]) -> Subject:
    """Facts/s of the journal. Rows become batches, numbers and seals inside the measured time."""

    async def appended(journal: SqliteJournal) -> float:
        started = time.perf_counter()
        for n in range(0, len(some), batch):
            await journal.append([Part(HALL, n, some[n : n + batch])])
            await journal.maybe_checkpoint(idle=False)
        taken_s = time.perf_counter() - started
        hops.append(journal.stats.append_hops / journal.stats.commits)
        return len(some) / taken_s

    return lambda: in_journal(appended)


def in_journal(scenario: Callable[[SqliteJournal], Awaitable[float]]) -> float:
    """One run on a fresh journal."""

    async def whole(directory: Path) -> float:
        journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS)
        try:
            return await scenario(journal)
        finally:
            await journal.close()

    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(whole(Path(name)))


def raw(some: list[Row], batch: int) -> Subject:
    """Facts/s of RAW; the rows are ready before the clock starts. Checkpoints at the same size."""
    rows = [(seq, 1, seq, r.at_ms, r.kind, r.v, 2, 3, r.dseq, r.payload) for seq, r in enumerate(some, 1)]
    every = opening.Options().checkpoint // (batch * 260) + 1

    def inserted(db: engine.Connection) -> None:
        for turn, n in enumerate(range(0, len(rows), batch), 1):
            db.execute("BEGIN IMMEDIATE")
            db.executemany(INSERT_ROW, rows[n : n + batch])
            db.execute("COMMIT")
            if turn % every == 0:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    return lambda: len(rows) / in_raw(inserted)


def pictured_gates(size: int, pairs: int) -> list[Gate]:
    """The journal with tickets and evaluations: all that a hall writes, against RAW of the rows alone.

    Eight facts a visit, from the number to the rating. The core's own time is left out: its records are ready.
    """
    some, doubling = facts(size), pairs >= PAIRS
    ratio = compare(pictured(some, 1000), raw(some, 1000), pairs=pairs, doubling=doubling)
    cpu_ratio = compare(cpu(pictured(some, 1000)), cpu(raw(some, 1000)), pairs=pairs, doubling=doubling)
    return [
        gate("journal.with_projections_vs_raw", ratio, 0.55),
        gate("journal.with_projections_cpu_vs_raw", cpu_ratio, 1.8, at_least=False),
    ]


def pictured(some: list[Row], batch: int) -> Subject:
    """Facts/s with the rows of tickets and evaluations, coalesced as in service."""
    state = HallState(HALL, services=["tax"])
    state.rules.class_codes.append("ordinary")
    count = len(some) // 8 + 200
    state.tickets = {n: Ticket(n, f"A{n:03}", 0, 0, NOW_MS, NOW_MS, counter=3, called_ms=NOW_MS) for n in range(count)}
    state.evaluations = {n: Evaluation(n, "u1", 3, "tax", "d", NOW_MS, NOW_MS) for n in range(count)}
    told = [touching(n) for n in range(len(some))]

    async def appended(journal: SqliteJournal) -> float:
        touched = journal.views.of(state)
        started = time.perf_counter()
        for n in range(0, len(some), batch):
            for fact in told[n : n + batch]:
                touched.note(fact, NOW_MS)
            await journal.append([Part(HALL, n, some[n : n + batch])])
            await journal.maybe_checkpoint(idle=False)
        await journal.sweep(flush=True)
        return len(some) / (time.perf_counter() - started)

    return lambda: in_journal(appended)


def touching(n: int) -> Fact:
    """The n-th fact of many visits, 25 of them at a time, step by step."""
    visit = n // 200 * 25 + n % 25
    return VISIT[n % 200 // 25](visit)


VISIT: Final[tuple[Callable[[int], Fact], ...]] = (
    lambda one: TicketTaken(one, "A1", 20261124, "tax", "ordinary", NOW_MS, 3),
    TicketPrinted,
    lambda one: TicketCalled(one, one, "A1", 3, "u1", "tax", 5000, Why("score", 1, (), False, 0)),
    CallAnnounced,
    lambda one: ServingStarted(one, one, 3),
    lambda one: ServingFinished(one, one, 3, "u1", "tax", "d", "done", 5000, 5000),
    lambda one: EvaluationOpened(one, NOW_MS, "u1", 3, "tax", "d"),
    lambda one: EvaluationSubmitted(one, 5, "u1", 3, "tax", "d", "device", 900, False),
)


def row_commits(some: list[Row]) -> Subject:
    """Facts/s of the naive way: execute and commit each row."""
    rows = [(seq, 1, seq, r.at_ms, r.kind, r.v, 2, 3, r.dseq, r.payload) for seq, r in enumerate(some, 1)]

    def inserted(db: engine.Connection) -> None:
        for row in rows:
            db.execute(INSERT_ROW, row)

    return lambda: len(rows) / in_raw(inserted)


def in_raw(insert: Callable[[engine.Connection], None]) -> float:
    """Seconds of an insertion into a fresh file with the journal's tables, pragmas and presized log."""
    with tempfile.TemporaryDirectory() as name, closing(engine.writer(Path(name) / "raw.db")) as db:
        recovery.migrate(db, Path(name) / "raw.db")
        opening.presize_wal(db, opening.Options().presize)
        started = time.perf_counter()
        insert(db)
        return time.perf_counter() - started


def cpu(subject: Subject) -> Subject:
    """CPU seconds of a subject's whole run, opening included, all threads."""

    def measured() -> float:
        before = time.process_time()
        subject()
        return time.process_time() - before

    return measured


# --- paced runs: 20,000 facts/s, natural group commit ---


class Paced:
    """What a paced run saw."""

    def __init__(self) -> None:
        self.commits_s: list[float] = []
        self.lags_ms: list[float] = []
        self.wal_mb = 0.0


def paced_gates(seconds: float, pairs: int, *, quick: bool) -> list[Gate]:
    """Loop lag against an idle loop, own checkpoints against autocheckpoint 1000, the log's size after a minute."""
    lag, idle = lags(seconds), idle_lags(seconds)
    lag_ratio = compare(lag, idle, pairs=min(pairs, 5), spread_max=SPREAD_MAX_TAIL, doubling=False)
    tail = compare(
        lambda: p99(paced(seconds, batch=TAIL_BATCH).commits_s),
        lambda: p99(paced(seconds, batch=TAIL_BATCH, autocheckpoint=True).commits_s),
        pairs=min(pairs, 5),
        spread_max=SPREAD_MAX_TAIL,
        doubling=not quick,
    )
    minute = paced(seconds if quick else 60.0)
    wal = Gate("journal.wal_mb", minute.wal_mb, WAL_MAX_MB, minute.wal_mb <= WAL_MAX_MB, 0.0, at_least=False)
    ratio = gate("journal.checkpoint_p99_ratio", tail, 0.7, at_least=False, spread_max=SPREAD_MAX_TAIL)
    return [lag_gate(lag_ratio.raw), ratio, wal]


def lag_gate(raw_ms: list[tuple[float, float]]) -> Gate:
    """The p99 under load, in ms: at most 5, and at most 3 above the idle loop of its pair."""
    under_load = ratio_of([(load, 1.0) for load, _ in raw_ms])
    over_idle = statistics.median(load - idle for load, idle in raw_ms)
    ok = under_load.median <= LAG_MAX_MS and over_idle <= LAG_OVER_IDLE_MS
    settled = None if under_load.spread > SPREAD_MAX_TAIL else ok
    note = f"{over_idle:.2f} ms above idle, at most {LAG_OVER_IDLE_MS:g}"
    return Gate(
        "journal.loop_lag_p99_ms", under_load.median, LAG_MAX_MS, settled, under_load.spread, False, note, raw_ms
    )


def lags(seconds: float) -> Subject:
    return lambda: p99(paced(seconds).lags_ms)


def idle_lags(seconds: float) -> Subject:
    """The same probe on a loop that does nothing else."""

    def measured() -> float:
        seen: list[float] = []

        async def idle() -> None:
            probe = asyncio.create_task(probe_lag(seen))
            await asyncio.sleep(seconds)
            probe.cancel()

        asyncio.run(idle())
        return p99(seen)

    return measured


def paced(seconds: float, *, batch: int = 1, autocheckpoint: bool = False) -> Paced:
    """Append at 20,000 facts/s: whatever has become due while the last commit ran, at least `batch`, at most 1,000.

    A quick disk commits a few facts at a time, hundreds of times a second: of those commits so few hold a checkpoint
    that a p99 shows the machine and no checkpoint at all. Larger batches make it show what it is asked for.
    """
    seen = Paced()

    async def scenario(journal: SqliteJournal) -> float:
        journal.listener = Listener(commit=lambda taken_s, _: seen.commits_s.append(taken_s))
        if autocheckpoint:
            await journal._lane.run(lambda db: db.execute(AUTOCHECKPOINT).fetchall())
        probe = asyncio.create_task(probe_lag(seen.lags_ms))
        await feed(journal, seconds, batch, checkpoints=not autocheckpoint)
        probe.cancel()
        seen.wal_mb = recovery.wal_of(journal.path).stat().st_size / 1e6
        return 1.0

    in_journal(scenario)
    return seen


async def feed(journal: SqliteJournal, seconds: float, batch: int, *, checkpoints: bool) -> None:
    """The dispatcher's rhythm without a dispatcher."""
    stock = facts(BATCH_MAX)
    started, n, total = time.perf_counter(), 0, int(seconds * RATE)
    while n < total:
        due = min(int((time.perf_counter() - started) * RATE), total) - n
        if due < min(batch, total - n):
            await asyncio.sleep(PROBE_S)
            continue
        await journal.append([Part(HALL, n, stock[: min(due, BATCH_MAX)])])
        n += min(due, BATCH_MAX)
        if checkpoints:
            await journal.maybe_checkpoint(idle=False)


async def probe_lag(seen_ms: list[float]) -> None:
    """How late a timer of 1 ms is. Runs until it is cancelled."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(PROBE_S)
        seen_ms.append((time.perf_counter() - before - PROBE_S) * 1000)


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
