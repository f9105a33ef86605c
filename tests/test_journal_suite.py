"""The conformance suite of the journal's seam (C1-C12), on every journal; C4 in the midst of a batch: `test_writer`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from workers.journal import SqliteJournal
from workers.memory_journal import Faults, MemoryJournal, Stored
from workers.opening import Options
from workers.ports import Fenced, Part, Row

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
    return [(name, n, Row(*row)) async for block in journal.replay_all(after) for name, n, row in block]


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


async def room(journal: AnyJournal, left: bool) -> None:
    """No room on its disk any more, or room again. The one in memory finds some by itself after a few tries."""
    if isinstance(journal, MemoryJournal):
        journal._faults = Faults(full=0.0 if left else 1.0)
        return
    pages = await journal._lane.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
    most = 1 << 20 if left else pages
    await journal._lane.run(lambda db: db.execute(f"PRAGMA max_page_count={most}").fetchall())


def retries(journal: AnyJournal) -> int:
    """How often it has tried again."""
    return journal.retries if isinstance(journal, MemoryJournal) else journal.stats.retries.get("SQLITE_FULL", 0)


def test_c8_while_there_is_no_room_the_same_parts_are_tried_again_and_none_overtakes(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 1))])
            await room(journal, False)
            parts = [Part("a", 1, [a_row(n, bytes(4000)) for n in range(1, 101)]), Part("a", 101, rows(101, 1))]
            appends = [asyncio.create_task(journal.append([part])) for part in parts]
            while not retries(journal):
                await asyncio.sleep(0)
            await room(journal, True)
            await asyncio.gather(*appends)
            assert journal.heads() == {"a": 102}
            assert [row.dseq for _, row in await everything(journal, "a")] == list(range(102))

    asyncio.run(scenario())


@pytest.mark.parametrize(("count", "size"), [(10_000, 20), (3, 16 * 1024)])
def test_c9_many_facts_and_long_ones(reopen: Opener, count: int, size: int) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            facts = [a_row(n, n.to_bytes(4, "big") * (size // 4)) for n in range(count)]
            await journal.append([Part("a", 0, facts)])
            assert [row for _, row in await everything(journal, "a")] == facts

    asyncio.run(scenario())


def test_c10_replay_sees_only_what_is_durable_and_all_of_it(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            for n in range(0, 50, 5):
                append = asyncio.ensure_future(journal.append([Part("a", n, rows(n, 5))]))
                while not append.done():
                    await asyncio.sleep(0)
                    assert len(await everything(journal, "a")) in (n, n + 5)
                    assert journal.heads().get("a", 0) in (n, n + 5)
                assert len(await everything(journal, "a")) == n + 5

    asyncio.run(scenario())


def test_c11_a_bad_snapshot_is_left_out(reopen: Opener) -> None:
    async def scenario() -> None:
        async with reopen() as journal:
            await journal.append([Part("a", 0, rows(0, 9))])
            for n in (2, 4, 9):
                await journal.save("a", n, f"state {n}".encode())
            if isinstance(journal, MemoryJournal):
                kept = journal.stored.snapshots["a"]
                kept[0] = (*kept[0][:3], False)
            else:
                sql = "UPDATE snapshot SET data = x'00' WHERE hall_seq = 9"
                await journal.alone(lambda db: db.execute(sql).rowcount)
            assert [one async for one in journal.newest("a")] == [(4, b"state 4"), (2, b"state 2")]

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
