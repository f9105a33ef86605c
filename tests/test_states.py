"""workers/states.py: whole states are stored in time, one hall a turn, and none hides what nobody has heard."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from core import commands as c
from core.hall import Hall
from core.state import HallState
from tests.halls import HALL, Driven, opened
from tests.test_fold import rows
from tests.test_recovery import start
from workers import fold
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.ports import Part
from workers.states import HOUR_S, States
from workers.tallies import Tallies

QUIET = "quiet"


class Scene:
    """Two halls over one journal: one at work, one that has closed."""

    def __init__(self, journal: SqliteJournal, every: int) -> None:
        self.journal, self.driven, self.heard = journal, opened(), True
        quiet = opened()
        quiet.state.hall = QUIET
        self.halls = {HALL: self.driven, QUIET: quiet}
        self.tallies = Tallies()
        self.desks = {name: Desk(one.hall, self.tallies) for name, one in self.halls.items()}
        self.stored = dict.fromkeys(self.halls, 0)
        self.states = States(journal, self.desks, heard=lambda _: self.heard, every=every, tallies=self.tallies)

    async def commit(self, name: str = HALL) -> None:
        driven, n = self.halls[name], self.stored[name]
        facts = rows(driven)[n:]
        await self.journal.append([Part(name, n, facts)])
        self.desks[name].since_snapshot += len(facts)
        self.stored[name] = n + len(facts)

    async def snapshots(self, name: str = HALL) -> list[int]:
        return [n async for n, _ in self.journal.newest(name)]


def played(directory: Path, act: Callable[[Scene], Awaitable[None]], every: int = 10_000) -> None:
    async def scenario() -> None:
        async with start(directory) as journal:
            scene = Scene(journal, every)
            for name in scene.halls:
                await scene.commit(name)
            await act(scene)

    asyncio.run(scenario())


def folded(directory: Path) -> fold.Folded:
    async def scenario() -> fold.Folded:
        async with start(directory) as journal:
            return await fold.recover(journal)

    return asyncio.run(scenario())


def a_call(driven: Driven) -> int:
    """The fact of a call that is to be spoken."""
    driven.take()
    driven.call()
    return driven.state.n


def test_many_facts_make_a_hall_due_and_nothing_else_does(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        before = scene.stored[HALL]
        await scene.states.turn()
        assert await scene.snapshots() == []
        while scene.desks[HALL].since_snapshot < before + 5:
            scene.driven.take()
            await scene.commit()
        await scene.states.turn()
        assert await scene.snapshots() == [scene.stored[HALL]] and scene.desks[HALL].since_snapshot == 0
        assert (await scene.snapshots(QUIET), scene.tallies.snapshots) == ([], 1)

    played(tmp_path, act, every=len(opened().journal) + 5)


def test_each_hour_every_hall_is_looked_at_one_a_turn_and_one_without_news_only_counts_further(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.states.hour_at -= HOUR_S + 1
        for _ in scene.halls:
            await scene.states.turn()
        assert (await scene.snapshots(), await scene.snapshots(QUIET)) == ([scene.stored[HALL]], [scene.stored[QUIET]])
        scene.driven.take()
        await scene.commit()
        for _ in range(4):
            await scene.states.turn()
        assert scene.tallies.snapshots == 2, "not before the next hour"
        begins = (await scene.journal.start()).after
        scene.states.hour_at -= HOUR_S + 1
        for _ in scene.halls:
            await scene.states.turn()
        assert scene.tallies.snapshots == 3, "only the hall that had news"
        assert (await scene.journal.start()).after == scene.journal.last > begins

    played(tmp_path, act)
    assert folded(tmp_path).facts == 0


def test_a_day_s_end_makes_its_hall_due(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.states.turn()
        assert await scene.snapshots() == [], "an open day is no reason"
        scene.driven.ask(c.CloseDay())
        await scene.commit()
        await scene.states.turn()
        assert await scene.snapshots() == [scene.stored[HALL]] and await scene.snapshots(QUIET) == []

    played(tmp_path, act)


def test_a_state_that_holds_unheard_orders_is_begun_with_only_after_they_were_heard(tmp_path: Path) -> None:
    said: list[int] = []

    async def act(scene: Scene) -> None:
        await scene.states.store(HALL)
        said.append(a_call(scene.driven))
        await scene.commit()
        scene.heard = False
        await scene.states.store(HALL)
        assert len(await scene.snapshots()) == 2

    played(tmp_path, act)
    (order,) = folded(tmp_path).halls[HALL].take_effects().orders
    assert order.n == said[0], "killed before it was heard, it is said again"

    async def heard_since(scene: Scene) -> None:
        await act(scene)
        scene.heard = True
        await scene.states.turn()
        await scene.commit(QUIET)

    played(tmp_path / "heard", heard_since)
    found = folded(tmp_path / "heard")
    assert found.halls[HALL].take_effects().orders == [] and found.halls[HALL].state.n == said[0]


def test_a_hall_that_never_had_a_fact_is_not_stored(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.desks["new"] = Desk(Hall(HallState("new")), scene.tallies)
        await scene.states.store("new")
        assert await scene.snapshots("new") == []

    played(tmp_path, act)
