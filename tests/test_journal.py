"""workers/journal.py: what only SQLite can do: one hop, disk full, locks, other writers, kills. Else: the suite."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.test_journal_suite import a_row, by_seq, everything, opened, rows
from workers import engine, mark
from workers.journal import Listener
from workers.opening import Options
from workers.ports import Part
from workers.verify import verify


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


def test_upkeep_does_not_overtake_a_batch_that_is_being_retried(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as journal:
            done, tried, thrice = list[str](), list[str](), asyncio.Event()

            def retry(error: str) -> None:
                tried.append(error)
                if len(tried) == 3:
                    thrice.set()

            journal.listener = Listener(retry=retry, commit=lambda *_: done.append("commit"))
            other = engine.connect(journal.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            append = asyncio.create_task(journal.append([Part("a", 0, rows(0, 2))]))
            upkeep = asyncio.create_task(journal.alone(lambda _: done.append("upkeep")))
            await thrice.wait()
            other.close()
            await asyncio.gather(append, upkeep)
            assert done == ["commit", "upkeep"]

    asyncio.run(scenario())


def test_one_fact_moves_the_mark_and_a_disk_that_refuses_it_ends_the_writing(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = Options(presize=0, mark_every_s=0.001)
        async with opened(tmp_path, options) as journal:
            await journal.append([Part("a", 0, rows(0, 1))])
            async with asyncio.timeout(5):
                while journal.stats.marks == 0:
                    await asyncio.sleep(0.001)
            known = mark.newest(tmp_path / mark.NAME)
            assert known is not None and known.seq == 1
            os.close(journal._mark_file._fd)
            await journal.append([Part("a", 1, rows(1, 1))])
            await asyncio.wait([journal._marking])
            with pytest.raises(OSError, match="Bad file descriptor"):
                await journal.append([Part("a", 2, rows(2, 1))])
            journal._mark_file._fd = os.open(tmp_path, os.O_RDONLY)  # something to close

    asyncio.run(scenario())
