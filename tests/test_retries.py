"""workers/retries.py: what passes is tried again in the same place, what does not propagates, nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from workers import engine
from workers.ballast import Ballast
from workers.engine import Connection, Lane
from workers.retries import Listener, Retries, said

Job = Callable[[Connection], None]


def failing(*names: str) -> tuple[Job, list[str]]:
    """A job that fails once with each name, then is done."""
    left, done = list(names), list[str]()

    def job(db: Connection) -> None:
        if left:
            error = engine.OperationalError("as told")
            error.sqlite_errorname = left.pop(0)
            raise error
        done.append("done")

    return job, done


def scenario(
    directory: Path,
    act: Callable[[Retries], Awaitable[None]],
    size: int = 0,
    waits_s: tuple[float, float] = (0.0, 0.0),
) -> list[str]:
    """What was heard."""
    heard: list[str] = []

    async def run() -> None:
        lane = await Lane(lambda: engine.writer(directory / "x.db")).open()
        aside = Ballast(directory, size, 0)
        aside.make()
        retries = Retries(lane, waits_s, aside)
        retries.listener = Listener(retry=heard.append, recovered=lambda: heard.append("recovered"))
        try:
            await act(retries)
        finally:
            await retries.close()
            await lane.close()

    asyncio.run(run())
    return heard


def test_full_and_busy_pass_and_are_counted(tmp_path: Path) -> None:
    job, done = failing("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_BUSY_SNAPSHOT")
    tries: list[int] = []

    async def act(retries: Retries) -> None:
        await retries.run(job, lambda: tries.append(1))
        assert retries.counts == {"SQLITE_BUSY": 1, "SQLITE_FULL": 1, "SQLITE_BUSY_SNAPSHOT": 1}

    assert scenario(tmp_path, act) == ["SQLITE_BUSY", "SQLITE_FULL", "SQLITE_BUSY_SNAPSHOT", "recovered"]
    assert (done, len(tries)) == (["done"], 4)


def test_a_job_that_is_done_at_once_is_no_recovery(tmp_path: Path) -> None:
    assert scenario(tmp_path, lambda retries: retries.run(failing()[0], lambda: None)) == []


def test_an_error_of_the_disk_itself_is_not_tried_again(tmp_path: Path) -> None:
    job, done = failing("SQLITE_IOERR_WRITE")
    with pytest.raises(engine.OperationalError):
        scenario(tmp_path, lambda retries: retries.run(job, lambda: None))
    assert done == []


def test_only_the_first_full_has_a_ballast_to_give(tmp_path: Path) -> None:
    job, done = failing("SQLITE_FULL", "SQLITE_FULL", "SQLITE_FULL")

    async def act(retries: Retries) -> None:
        await retries.run(job, lambda: None)
        assert done == ["done"] and not retries.ballast.held
        while not retries.ballast.held:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    assert scenario(tmp_path, act, 4096) == ["SQLITE_FULL"] * 3 + ["recovered"]


def test_busy_costs_no_ballast(tmp_path: Path) -> None:
    job, _ = failing("SQLITE_BUSY")

    async def act(retries: Retries) -> None:
        await retries.run(job, lambda: None)
        assert retries.ballast.held

    assert scenario(tmp_path, act, 4096) == ["SQLITE_BUSY", "recovered"]


def test_the_first_wait_is_one_and_each_further_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = failing(*["SQLITE_BUSY"] * 3)
    waited: list[float] = []

    async def pause(_: Retries, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(Retries, "_pause", pause)
    scenario(tmp_path, lambda retries: retries.run(job, lambda: None), waits_s=(0.2, 0.5))
    assert waited == [0.2, 0.5, 0.5]


def test_the_ballast_comes_back_when_there_is_room_beside_it_and_no_sooner(tmp_path: Path) -> None:
    free = [0]

    async def act(retries: Retries) -> None:
        retries.ballast._free = lambda _: free[0]
        await retries.run(failing("SQLITE_FULL")[0], lambda: None)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not retries.ballast.held
        free[0] = 4096
        async with asyncio.timeout(5):
            while not retries.ballast.held:
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    assert scenario(tmp_path, act, 4096) == ["SQLITE_FULL", "recovered"]


def test_the_ballast_takes_no_room_from_a_batch_that_is_tried(tmp_path: Path) -> None:
    held: list[bool] = []

    async def act(retries: Retries) -> None:
        await retries.run(failing("SQLITE_FULL")[0], lambda: None)
        await retries.run(failing(*["SQLITE_FULL"] * 5)[0], lambda: held.append(retries.ballast.held))

    heard = scenario(tmp_path, act, 4096, waits_s=(0.01, 0.0))
    assert held == [False] * 6 and heard == ["SQLITE_FULL"] * 6


def test_closing_gives_a_retry_up(tmp_path: Path) -> None:
    job, done = failing("SQLITE_BUSY", "SQLITE_BUSY")

    async def act(retries: Retries) -> None:
        waiting = asyncio.ensure_future(retries.run(job, lambda: None))
        while not retries.counts:
            await asyncio.sleep(0)
        await retries.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert scenario(tmp_path, act, waits_s=(60.0, 60.0)) == ["SQLITE_BUSY"] and done == []


def test_what_is_waited_for_is_said_in_words() -> None:
    assert said("SQLITE_FULL") == "journal full (SQLITE_FULL)"
    assert said("SQLITE_BUSY_SNAPSHOT") == "journal locked by another process (SQLITE_BUSY_SNAPSHOT)"
