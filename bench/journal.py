"""bench/journal.py: what durability costs — batches against RAW, hops, loop lag, checkpoints after the acks.

RAW is `executemany` of the same rows by the same driver, with the same pragmas, on the same disk, without thread, chain
or words. Every run has a fresh file with a presized log.
"""

import time
from collections.abc import Callable
from typing import Final

from bench.journal_paced import paced_gates
from bench.journal_runs import HALL, NOW_MS, PAYLOAD, facts, in_journal, in_raw
from bench.pairs import PAIRS, Gate, Options, Report, Subject, compare, gate, ratio_of
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
from workers import engine, opening, writer
from workers.journal import SqliteJournal
from workers.ports import Part, Row
from workers.writer import FRAME, INSERT_ROW


def run(options: Options, rest: list[str]) -> Report:
    """Gates G6 to G10, and what the journal's page promises beside them."""
    pairs = options.pairs or (2 if options.quick else PAIRS)
    seconds = options.seconds or (0.5 if options.quick else 4.0)
    size = 5_000 if options.quick else 100_000
    gates = [*against_raw(size, pairs), *paced_gates(seconds, pairs, quick=options.quick)]
    gates += [*pictured_gates(size, pairs), *size_gates(size)]
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


def cpu(subject: Subject) -> Subject:
    """CPU seconds of a subject's whole run, opening included, all threads."""

    def measured() -> float:
        before = time.process_time()
        subject()
        return time.process_time() - before

    return measured


def size_gates(size: int) -> list[Gate]:
    """Bytes of a fact at rest over its payload and integers; bytes in the log, by 400, over the row."""
    some, found = facts(size), list[float]()

    async def scenario(journal: SqliteJournal) -> float:
        for n in range(0, size, 400):
            await journal.append([Part(HALL, n, some[n : n + 400])])
        frames, _ = await journal._lane.run(writer.checkpoint)
        found.extend((frames * FRAME, journal.path.stat().st_size))
        return 1.0

    in_journal(scenario)
    log, file = found
    row = len(PAYLOAD) + sum(map(stored_bytes, (size, 1, size, NOW_MS, 5, 1, 2, 3, size)))
    at_rest, logged = ratio_of([(file / size, row)]), ratio_of([(log / size, row)])
    return [
        gate("journal.disk_vs_row", at_rest, 1.2, at_least=False),
        gate("journal.wal_vs_row", logged, 4.0, at_least=False),
    ]


def stored_bytes(number: int) -> int:
    """Of an integer in a record of SQLite: 0 for 0 and 1, else 1, 2, 3, 4, 6 or 8."""
    need = (number.bit_length() + 8) // 8
    return 0 if number in (0, 1) else next(size for size in (1, 2, 3, 4, 6, 8) if size >= need)
