"""workers/journal.py: the conformance suite of the seam (C1-C12) on every journal, then what only SQLite can do."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from workers import engine
from workers.journal import Listener, SqliteJournal
from workers.memory_journal import MemoryJournal, Stored
from workers.opening import Options
from workers.ports import Fenced, Part, Row
from workers.verify import verify

NOW_MS = 1_795_420_911_000
SMALL = Options(presize=0, mark_every_s=3600, retry_s=(0.0, 0.0), busy_ms=10)
AnyJournal = SqliteJournal | MemoryJournal
Opener = Callable[[], Any]


def a_row(dseq: int, payload: bytes = b"", *, kind: int = 5) -> Row:
    return Row(NOW_MS + dseq, kind, 1, f"kiosk-{dseq % 3}", "boot", dseq, payload or f"fact {dseq}".encode())


def rows(first: int, count: int) -> list[Row]:
    return [a_row(n) for n in range(first, first + count)]


@asynccontextmanager
async def opened(directory: Path, options: Options = SMALL) -> AsyncIterator[SqliteJournal]:
    journal = await SqliteJournal.open(directory, now_ms=lambda: NOW_MS, options=options)
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def in_memory(stored: Stored) -> AsyncIterator[MemoryJournal]:
    journal = MemoryJournal(stored)
    yield journal
    await journal.close()


@pytest.fixture(params=["sqlite", "memory"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Each call is a start of the process on what the one before has left."""
    stored = Stored()
    return (lambda: opened(tmp_path)) if request.param == "sqlite" else (lambda: in_memory(stored))


async def everything(journal: AnyJournal, hall: str, after: int = 0) -> list[tuple[int, Row]]:
    return [item async for item in journal.replay(hall, after)]


async def by_seq(journal: AnyJournal, after: int = 0) -> list[tuple[str, int, Row]]:
    return [item async for block in journal.replay_all(after) for item in block]


# --- conformance: every journal ---


def test_c1_replay_gives_equal_bytes_without_a_gap(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 3)), Part("b", 0, rows(100, 1))])
            await journal.append([Part("a", 3, [Row(1, 254, 7, "", "", 0, b"\x00\xff")])])
            before = await by_seq(journal)
        async with reopen() as journal:
            found = await everything(journal, "a")
            assert found == [*enumerate(rows(0, 3), 1), (4, Row(1, 254, 7, "", "", 0, b"\x00\xff"))]
            assert await by_seq(journal) == before
            assert journal.heads() == {"a": 4, "b": 1}

    asyncio.run(scenario())


@pytest.mark.parametrize("expected", [0, 1, 3, 900, -1])
def test_c2_a_wrong_expected_is_fenced_and_writes_nothing(reopen: Opener, expected: int) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 2))])
            with pytest.raises(Fenced) as fenced:
                await journal.append([Part("b", 0, rows(0, 1)), Part("a", expected, rows(50, 1))])
            assert fenced.value.halls == ("a",)
            assert len(await by_seq(journal)) == 2
            await journal.append([Part("a", 2, rows(2, 1))])

    asyncio.run(scenario())


def test_c3_of_two_that_race_one_wins_and_no_gap_is_left(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            for n in range(1000):
                race = [journal.append([Part("a", n, rows(side * 10_000 + n, 1))]) for side in (0, 1)]
                outcomes = await asyncio.gather(*race, return_exceptions=True)
                assert sorted(type(outcome) for outcome in outcomes if outcome) == [Fenced]
            assert [n for n, _ in await everything(journal, "a")] == list(range(1, 1001))

    asyncio.run(scenario())


def test_c4_a_cancelled_append_is_whole_or_absent(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            n = 0
            for turns in range(12):
                task = asyncio.ensure_future(journal.append([Part("a", n, rows(n, 5))]))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await journal.append([Part("b", turns, rows(turns, 1))])  # waits for what is under way
                head = journal.heads().get("a", 0)
                assert head in (n, n + 5)
                assert len(await everything(journal, "a")) == head
                n = head

    asyncio.run(scenario())


def test_c5_order_is_kept_within_a_hall(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            heads = {"a": 0, "b": 0}
            for turn in range(50):
                parts = [Part(hall, n, rows(n, turn % 3)) for hall, n in heads.items()]
                await journal.append(parts)
                heads = {hall: n + turn % 3 for hall, n in heads.items()}
            for hall in heads:
                assert [row.dseq for _, row in await everything(journal, hall)] == list(range(heads[hall]))

    asyncio.run(scenario())


def test_c6_replay_excludes_after_and_an_unknown_hall_is_empty(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 4))])
            assert [n for n, _ in await everything(journal, "a", 2)] == [3, 4]
            assert await everything(journal, "a", 4) == []
            assert await everything(journal, "nowhere") == []
            assert [n for _, n, _ in await by_seq(journal, 1)] == [2, 3, 4]

    asyncio.run(scenario())


def test_c7_the_same_part_again_is_done_and_another_is_fenced(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            part = Part("a", 0, rows(0, 3))
            await journal.append([part])
            await journal.append([Part("a", 3, rows(3, 3))])
            await journal.append([part, Part("b", 0, rows(0, 1))])  # a: there already; b: written
            assert journal.heads() == {"a": 6, "b": 1}
            other = [*rows(0, 2), a_row(2, b"other bytes")]
            with pytest.raises(Fenced):
                await journal.append([Part("a", 0, other)])
            assert len(await by_seq(journal)) == 7

    asyncio.run(scenario())


@pytest.mark.parametrize(("count", "size"), [(10_000, 20), (3, 16 * 1024)])
def test_c9_many_facts_and_long_ones(reopen: Opener, count: int, size: int) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            facts = [a_row(n, n.to_bytes(4, "big") * (size // 4)) for n in range(count)]
            await journal.append([Part("a", 0, facts)])
            assert [row for _, row in await everything(journal, "a")] == facts

    asyncio.run(scenario())


def test_c11_three_snapshots_are_kept_newest_first(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 9))])
            for n in (2, 9, 4, 6):
                await journal.save("a", n, f"state {n}".encode())
            found = [snapshot async for snapshot in journal.newest("a")]
            assert found == [(9, b"state 9"), (6, b"state 6"), (4, b"state 4")]
            assert [snapshot async for snapshot in journal.newest("b")] == []

    asyncio.run(scenario())


def test_c12_snapshot_and_tail_are_the_fold(reopen: Opener) -> None:
    def fold(state: bytes, row: Row) -> bytes:
        return sha256(state + row.payload).digest()

    async def scenario() -> None:
        async with reopen() as journal:
            state = b""
            for n in range(30):
                await journal.append([Part("a", n, [a_row(n)]), Part("b", n, [a_row(-n)])])
                state = fold(state, a_row(n))
                if n % 7 == 3:
                    await journal.save("a", n + 1, state)
            hall_seq, rebuilt = await anext(journal.newest("a"))
            for _, row in await everything(journal, "a", hall_seq):
                rebuilt = fold(rebuilt, row)
            assert rebuilt == state

    asyncio.run(scenario())


def test_published_marks_travel_with_the_next_batch_and_survive(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 2))])
            journal.save_marks({"a": 1})
            await journal.append([Part("a", 2, rows(2, 1))])
            journal.save_marks({"a": 2})
        async with reopen() as journal:
            assert journal.marks() == {"a": 2}

    asyncio.run(scenario())


# --- only SQLite: one hop, disk full, locks, other writers, kills ---


def test_c8_a_full_disk_is_retried_with_the_same_batch_and_nothing_overtakes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            heard, full = [], asyncio.Event()
            journal.listener = Listener(
                retry=lambda error: (heard.append(error), full.set()), recovered=lambda: heard.append("recovered")
            )
            await journal.append([Part("a", 0, rows(0, 1))])
            pages = await journal._lane.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
            await journal._lane.run(lambda db: db.execute(f"PRAGMA max_page_count={pages}").fetchall())
            large = asyncio.create_task(journal.append([Part("a", 1, [a_row(n, bytes(4000)) for n in range(500)])]))
            small = asyncio.create_task(journal.append([Part("a", 501, rows(501, 1))]))
            await full.wait()
            assert len(await everything(journal, "a")) == 1  # C10: what is not durable is not seen
            assert not small.done()
            await journal._lane.run(lambda db: db.execute("PRAGMA max_page_count=100000").fetchall())
            await asyncio.gather(large, small)
            assert heard[0] == "SQLITE_FULL"
            assert heard[-1] == "recovered"
            assert journal.stats.retries["SQLITE_FULL"] == len(heard) - 1
            assert [row.dseq for _, row in await everything(journal, "a")][-2:] == [499, 501]
            assert journal.heads() == {"a": 502}
        assert verify(tmp_path) == []

    asyncio.run(scenario())


def test_c8_a_lock_held_by_another_process_is_waited_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            busy = asyncio.Event()
            journal.listener = Listener(retry=lambda error: busy.set())
            other = engine.connect(journal.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            append = asyncio.create_task(journal.append([Part("a", 0, rows(0, 2))]))
            await busy.wait()
            other.execute("ROLLBACK")
            other.close()
            await append
            assert set(journal.stats.retries) == {"SQLITE_BUSY"}
            assert len(await everything(journal, "a")) == 2

    asyncio.run(scenario())


def test_g8_one_thread_hop_a_commit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            hops = 0
            enqueue = journal._lane._thread._tx.put_nowait

            class Counted:
                def put_nowait(self, job: Any) -> None:
                    nonlocal hops
                    hops += 1
                    enqueue(job)

            queue, journal._lane._thread._tx = journal._lane._thread._tx, Counted()
            for n in range(20):
                await journal.append([Part("a", n, [a_row(n)]), Part(f"hall-{n}", 0, rows(0, 3))])
            assert hops == journal.stats.append_hops == journal.stats.commits == 20
            assert journal.stats.facts == 80
            journal._lane._thread._tx = queue

    asyncio.run(scenario())


CHILD = """
import asyncio, sys
from pathlib import Path
from workers.journal import Listener, SqliteJournal
from workers.opening import Options
from workers.ports import Part, Row

async def main(directory):
    options = Options(presize=0, mark_every_s=0.005, checkpoint=100_000)
    journal = await SqliteJournal.open(directory, now_ms=lambda: 1_795_420_911_000, options=options)
    print(journal.heads().get("a", 0), flush=True)
    while True:
        n = journal.heads().get("a", 0)
        facts = [Row(n + i, 5 + 130 * (i % 2), 1, f"d{n % 50}", "b", n + i, b"x" * 200) for i in range(1 + n % 40)]
        await journal.append([Part("a", n, facts), Part("b", journal.heads().get("b", 0), facts[:1])])
        print(journal.heads()["a"], flush=True)
        await journal.maybe_checkpoint(idle=False)
        if n % 5 == 0:
            await journal.save("a", journal.heads()["a"], b"s" * 3000)

asyncio.run(main(Path(sys.argv[1])))
"""


def killed(directory: Path, acknowledgements: int, pause_s: float) -> int:
    """Run a writer, kill it some time after that many acknowledgements, return the last acknowledged n."""
    command = [sys.executable, "-c", CHILD, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}) as child:
        assert child.stdout is not None
        for _ in range(acknowledgements):
            child.stdout.readline()
        try:
            child.wait(pause_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        seen = child.stdout.read().split()
        assert child.wait() == -signal.SIGKILL
        return int(seen[-1]) if seen else 0


def check_after_kill(directory: Path, acknowledged: int) -> None:
    async def scenario() -> None:
        async with opened(directory) as journal:
            assert journal.heads().get("a", 0) >= acknowledged
            found = await by_seq(journal)
            assert [n for hall, n, _ in found if hall == "a"] == list(range(1, journal.heads()["a"] + 1))
            whole = {n for hall, n, row in found if hall == "a" and row.dseq == n - 1}
            assert len(whole) == journal.heads()["a"]

    asyncio.run(scenario())
    assert verify(directory) == []


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_loses_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    for _ in range(kills):
        acknowledged = killed(tmp_path, chance.randint(1, 60), chance.random() / 20)
        check_after_kill(tmp_path, acknowledged)


def test_close_gives_up_a_retry(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, Options(presize=0, retry_s=(60.0, 60.0), busy_ms=0)) as journal:
            busy = asyncio.Event()
            journal.listener = Listener(retry=lambda error: busy.set())
            other = engine.connect(journal.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            append = asyncio.create_task(journal.append([Part("a", 0, rows(0, 2))]))
            await busy.wait()
            other.close()
            await journal.close()
            with pytest.raises(asyncio.CancelledError):
                await append

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change", ["UPDATE meta SET v = v + 1 WHERE k = 'epoch'", "PRAGMA max_page_count=1"], ids=["taken over", "full"]
)
def test_what_is_left_to_store_at_the_end_hides_no_reason_why_it_ends(tmp_path: Path, change: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            await journal.append([Part("a", 0, rows(0, 1))])
            journal.save_marks({"a": 1} | {f"hall-{n}": n for n in range(2000)})
            await journal._other(lambda db: db.execute(change).fetchall())

    asyncio.run(scenario())
