"""workers/months.py: a month ends at a quiet moment with every hall stored, and is archived by a child."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.test_fold import a_morning, rows
from tests.test_recovery import start
from tests.test_rotation import NEXT, OLD, rotated
from workers import fold, logs, months, recovery
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.months import Months
from workers.ports import Part
from workers.tallies import Tallies
from workers.verify import verify


class Log:
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, name: str, **_: Any) -> None:
        self.lines.append(name)

    error = info


def at_its_head(journal: SqliteJournal, desk: Desk) -> Callable[[str], Awaitable[None]]:
    """How a hall is stored."""

    async def store(name: str) -> None:
        await journal.save(name, desk.hall.state.n, desk.hall.state.snapshot())

    return store


async def nothing(name: str) -> None:
    """No hall, nothing to store."""


async def a_desk(journal: SqliteJournal) -> Desk:
    """A hall at work, in November."""
    driven = a_morning()
    await journal.append([Part(driven.state.hall, 0, rows(driven))])
    desk = Desk(driven.hall, Tallies())
    desk.touched = journal.views.of(driven.state)
    return desk


def test_it_ends_when_quiet_and_goes_on_in_the_next_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with start(tmp_path) as journal:
            desk, log, quiet = await a_desk(journal), Log(), [False]
            desks, store = {desk.hall.state.hall: desk}, at_its_head(journal, desk)
            end = Months(journal, desks, heard=lambda _: quiet[0], store=store, log=log)
            assert not await end.turn(idle=True), "it is still November"
            desk.hall.state.day = 20261201
            assert not await end.turn(idle=False)
            assert not await end.turn(idle=True), "orders fly"
            quiet[0] = True
            assert await end.turn(idle=True)
            assert journal.path.name == NEXT and not await end.turn(idle=True)
            while logs.ARCHIVED not in log.lines:
                assert logs.ARCHIVE_FAILED not in log.lines
                await asyncio.sleep(0.02)
            await end.close()
            assert log.lines == [logs.MONTH_CLOSED, logs.ARCHIVED]

    asyncio.run(scenario())
    assert [path.name for path in recovery.files(tmp_path)] == [OLD, NEXT]
    assert recovery.files(tmp_path)[0].parent.name == recovery.ARCHIVE
    assert verify(tmp_path) == []

    async def again() -> None:
        async with start(tmp_path) as journal:
            folded = await fold.recover(journal)
            assert folded.facts == 0, "the state at the head is all it takes"

    asyncio.run(again())


def test_a_hall_that_never_rests_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "COMMAND", ("true",))

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            desk, at = await a_desk(journal), [100.0]
            desks, store = {desk.hall.state.hall: desk}, at_its_head(journal, desk)
            end = Months(journal, desks, heard=lambda _: False, store=store, log=Log(), clock=lambda: at[0])
            desk.hall.state.day = 20261201
            assert not await end.turn(idle=False)
            at[0] += months.FORCED_S - 1
            assert not await end.turn(idle=False)
            at[0] += 1
            assert await end.turn(idle=False)
            await end.close()

    asyncio.run(scenario())
    assert verify(tmp_path) == []


@pytest.mark.parametrize("command", ["false", "/nothing/there"], ids=["fails", "cannot be started"])
def test_an_archive_that_fails_is_told_and_the_month_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    rotated(tmp_path)
    monkeypatch.setattr(months, "COMMAND", (command,))

    async def scenario() -> None:
        log = Log()
        async with start(tmp_path) as journal:
            end = Months(journal, {}, heard=lambda _: True, store=nothing, log=log)
            end.archive()
            while not log.lines:
                await asyncio.sleep(0.01)
            await end.close()
        assert log.lines == [logs.ARCHIVE_FAILED]

    asyncio.run(scenario())
    assert (tmp_path / OLD).exists()


def test_a_child_under_way_ends_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rotated(tmp_path)
    monkeypatch.setattr(months, "COMMAND", ("sh", "-c", "exec sleep 60"))

    async def scenario() -> None:
        async with start(tmp_path) as journal:
            end = Months(journal, {}, heard=lambda _: True, store=nothing, log=Log())
            end.archive()
            await asyncio.sleep(0.05)
            await end.close()

    asyncio.run(scenario())
