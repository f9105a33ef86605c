"""bench/journal_paced.py: 20,000 facts/s with natural group commit: loop lag, acknowledgements, checkpoints, log."""

import asyncio
import statistics
import time
from typing import Final

from bench import machine
from bench.journal_runs import HALL, facts, in_journal, in_raw
from bench.pairs import SPREAD_MAX_TAIL, Gate, Subject, compare, gate, ratio_of
from workers import engine, recovery
from workers.journal import Listener, SqliteJournal
from workers.ports import Part
from workers.writer import INSERT_ROW

RATE: Final = 20_000  # facts/s of the paced runs
BATCH_MAX: Final = 1_000
PROBE_S: Final = 0.001
LAG_MAX_MS: Final = 5.0
LAG_OVER_IDLE_MS: Final = 3.0
WAL_MAX_MB: Final = 64.0
ACK_MAX_MS: Final = 25.0
SYNC_RATE, SYNC_BATCH = 50_000, 5_000  # a hundredth of the probes must meet a write, or a p99 shows none
TAIL_BATCH: Final = 400  # 22 frames: every 45th commit of autocheckpoint 1000 holds a checkpoint, so its p99 sees them
AUTOCHECKPOINT: Final = "PRAGMA wal_autocheckpoint=1000"


class Paced:
    """What a paced run saw."""

    def __init__(self) -> None:
        self.commits_s: list[float] = []
        self.acks_s: list[float] = []  # of the oldest fact of each batch, from when it was due
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
    sync = compare(
        lags(seconds, SYNC_RATE), sync_lags(seconds), pairs=min(pairs, 3), spread_max=SPREAD_MAX_TAIL, doubling=False
    )
    less = gate("journal.loop_lag_vs_sync", sync, 0.5, at_least=False, spread_max=SPREAD_MAX_TAIL)
    return [lag_gate(lag_ratio.raw), less, ack_gate(seconds, min(pairs, 3)), ratio, wal]


def ack_gate(seconds: float, pairs: int) -> Gate:
    """The p99 of an acknowledgement over what is allowed: 25 ms, or three times the disk's own p99 if that is more."""
    raw = []
    for _ in range(pairs):
        allowed_ms = max(ACK_MAX_MS, 3 * machine.fdatasync_p99_us() / 1000)
        raw.append((p99(paced(seconds).acks_s) * 1000, allowed_ms))
    return gate("journal.ack_p99_vs_bound", ratio_of(raw), 1.0, at_least=False, spread_max=SPREAD_MAX_TAIL)


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


def lags(seconds: float, rate: int = RATE) -> Subject:
    return lambda: p99(paced(seconds, rate=rate).lags_ms)


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


def paced(seconds: float, *, rate: int = RATE, batch: int = 1, autocheckpoint: bool = False) -> Paced:
    """Append at `rate` facts/s: whatever has become due while the last commit ran, at least `batch`, at most 1,000.

    A quick disk commits a few facts at a time, hundreds of times a second: of those commits so few hold a checkpoint
    that a p99 shows the machine and no checkpoint at all. Larger batches make it show what it is asked for.
    """
    seen = Paced()

    async def scenario(journal: SqliteJournal) -> float:
        journal.listener = Listener(commit=lambda taken_s, _: seen.commits_s.append(taken_s))
        if autocheckpoint:
            await journal._lane.run(lambda db: db.execute(AUTOCHECKPOINT).fetchall())
        probe = asyncio.create_task(probe_lag(seen.lags_ms))
        await feed(journal, (seconds, rate, batch), seen.acks_s, checkpoints=not autocheckpoint)
        probe.cancel()
        seen.wal_mb = recovery.wal_of(journal.path).stat().st_size / 1e6
        return 1.0

    in_journal(scenario)
    return seen


async def feed(journal: SqliteJournal, pace: tuple[float, int, int], acks_s: list[float], *, checkpoints: bool) -> None:
    """The dispatcher's rhythm without a dispatcher."""
    stock, (seconds, rate, batch) = facts(BATCH_MAX), pace
    started, n, total = time.perf_counter(), 0, int(seconds * rate)
    while n < total:
        due = min(int((time.perf_counter() - started) * rate), total) - n
        if due < min(batch, total - n):
            await asyncio.sleep(PROBE_S)
            continue
        await journal.append([Part(HALL, n, stock[: min(due, BATCH_MAX)])])
        acks_s.append(time.perf_counter() - started - n / rate)
        n += min(due, BATCH_MAX)
        if checkpoints:
            await journal.maybe_checkpoint(idle=False)


def sync_lags(seconds: float) -> Subject:
    """The lag of a loop that writes by itself: the same facts, 5,000 at a time."""

    def measured() -> float:
        seen: list[float] = []

        def inserted(db: engine.Connection) -> None:
            asyncio.run(written(db))

        async def written(db: engine.Connection) -> None:
            probe = asyncio.create_task(probe_lag(seen))
            rows = [(1, 1, r.at_ms, r.kind, r.v, 2, 3, r.dseq, r.payload) for r in facts(SYNC_BATCH)]
            for n in range(0, int(seconds * SYNC_RATE), SYNC_BATCH):
                await asyncio.sleep(SYNC_BATCH / SYNC_RATE)
                db.execute("BEGIN IMMEDIATE")
                db.executemany(INSERT_ROW, [(n + at, *row) for at, row in enumerate(rows, 1)])
                db.execute("COMMIT")
            probe.cancel()

        in_raw(inserted)
        return p99(seen)

    return measured


async def probe_lag(seen_ms: list[float]) -> None:
    """How late a timer of 1 ms is. Runs until it is cancelled."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(PROBE_S)
        seen_ms.append((time.perf_counter() - before - PROBE_S) * 1000)


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
