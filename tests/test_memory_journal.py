"""workers/memory_journal.py: its faults come from a seed. The conformance suite is in test_journal_suite.py."""

import asyncio

import pytest

from workers.memory_journal import Faults, MemoryJournal, ReplyLost, Stored
from workers.ports import Fenced, Part, Row


def facts(n: int, count: int = 1) -> list[Row]:
    return [Row(0, 5, 1, "d", "b", n + i, b"x") for i in range(count)]


async def outcomes(faults: Faults, appends: int = 60) -> list[str]:
    """What each append came to; after a lost reply the same part is sent again."""
    journal, found = MemoryJournal(Stored(), faults), []
    for n in range(appends):
        try:
            await journal.append([Part("a", n, facts(n))])
            found.append("done")
        except ReplyLost:
            found.append("lost")
        except Fenced:
            return [*found, "fenced"]
    assert [row.dseq for _, _, row in journal.stored.items] == list(range(appends))
    return [*found, f"retries {journal.retries}"]


def test_the_same_seed_gives_the_same_faults_and_nothing_is_lost_or_doubled() -> None:
    faults = Faults(seed=3, reply_lost=0.2, full=0.2)
    first, again = asyncio.run(outcomes(faults)), asyncio.run(outcomes(faults))
    assert first == again
    assert {"done", "lost"} < set(first)
    assert first[-1] != "retries 0"
    assert asyncio.run(outcomes(Faults(seed=4, reply_lost=0.2, full=0.2))) != first


def test_a_lost_reply_is_settled_by_the_same_part_again() -> None:
    async def scenario() -> None:
        journal = MemoryJournal(Stored(), Faults(reply_lost=1.0))
        with pytest.raises(ReplyLost):
            await journal.append([Part("a", 0, facts(0, 3))])
        await journal.append([Part("a", 0, facts(0, 3))])
        with pytest.raises(Fenced):
            await journal.append([Part("a", 0, facts(7, 3))])
        assert journal.heads() == {"a": 3}

    asyncio.run(scenario())


def test_a_full_disk_lets_nothing_overtake() -> None:
    async def scenario() -> None:
        heard: list[str] = []
        journal = MemoryJournal(Stored(), Faults(full=1.0))
        journal.on_retry, journal.on_recovered = heard.append, lambda: heard.append("recovered")
        await asyncio.gather(*(journal.append([Part("a", n, facts(n))]) for n in range(5)))
        assert journal.heads() == {"a": 5}
        assert heard.count("recovered") == 5
        assert heard.count("SQLITE_FULL") == journal.retries >= 5

    asyncio.run(scenario())


def test_the_older_of_two_writers_is_fenced() -> None:
    async def scenario() -> None:
        stored = Stored()
        zombie, owner = MemoryJournal(stored), MemoryJournal(stored)
        await owner.append([Part("a", 0, facts(0))])
        with pytest.raises(Fenced):
            await zombie.append([Part("a", 0, facts(1)), Part("b", 0, facts(0))])
        assert len(stored.items) == 1

    asyncio.run(scenario())
    assert asyncio.run(outcomes(Faults(seed=1, fenced=0.1)))[-1] == "fenced"


def test_what_is_stored_survives_and_a_damaged_snapshot_is_skipped() -> None:
    async def scenario() -> None:
        stored = Stored()
        journal = MemoryJournal(stored)
        await journal.append([Part("a", 0, facts(0, 4))])
        await journal.save("a", 2, b"two")
        await journal.save("a", 4, b"four")
        seq, hall_seq, data, _ = stored.snapshots["a"][0]
        stored.snapshots["a"][0] = (seq, hall_seq, data, False)
        again = MemoryJournal(stored)
        assert [found async for found in again.newest("a")] == [(2, b"two")]
        assert [n async for n, _ in again.replay("a", 2)] == [3, 4]
        assert again.heads() == {"a": 4}
        assert not await again.maybe_checkpoint(idle=True)

    asyncio.run(scenario())
