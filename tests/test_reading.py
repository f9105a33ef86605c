"""workers/reading.py: facts over all the months it takes, and no more of them."""

import asyncio
from pathlib import Path

from tests.test_recovery import a_journal
from workers import reading, recovery


def test_one_month_is_read_from_any_seq(tmp_path: Path) -> None:
    path = a_journal(tmp_path)

    async def scenario() -> None:
        for after in (0, 1, 35, 99, 100):
            found = [n for block in [one async for one in reading.blocks(tmp_path, after)] for _, n, _ in block]
            assert found == list(range(after + 1, 101))
        assert (await reading.once(path, recovery.origin)) == recovery.BEGINNING
        assert [n async for n, _ in reading.states(path, "a", 1, {1})] == [60]
        assert [one async for one in reading.states(path, "a", 1, {2})] == []

    asyncio.run(scenario())
