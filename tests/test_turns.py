"""workers/turns.py: nothing overtakes, nothing is torn, and who gives up in time has asked for nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from workers.turns import Turns


def job(log: list[str], name: str, steps: int = 3) -> Callable[[], Awaitable[str]]:
    """A job that gives the loop away in its midst."""

    async def act() -> str:
        log.append(f"{name} begins")
        for _ in range(steps):
            await asyncio.sleep(0)
        log.append(f"{name} ends")
        return name

    return act


def test_jobs_are_done_one_after_the_other_in_the_order_of_their_asking() -> None:
    async def scenario() -> None:
        turns, log = Turns("test"), list[str]()
        found = await asyncio.gather(*(turns.take(job(log, name, steps)) for name, steps in (("a", 5), ("b", 0))))
        assert found == ["a", "b"] and log == ["a begins", "a ends", "b begins", "b ends"]
        assert await turns.take(job(log, "c")) == "c"

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", range(12))
def test_a_job_whose_caller_gives_up_is_whole_or_never_begun(steps: int) -> None:
    async def scenario() -> None:
        turns, log = Turns("test"), list[str]()
        first = asyncio.create_task(turns.take(job(log, "first")))
        second = asyncio.create_task(turns.take(job(log, "second")))
        for _ in range(steps):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert await turns.take(job(log, "third")) == "third", "it comes after whatever was under way"
        whole = ["second begins", "second ends"] if "second begins" in log else []
        assert log == ["first begins", "first ends", *whole, "third begins", "third ends"]
        assert await first == "first"

    asyncio.run(scenario())


def test_an_error_is_its_caller_s_alone() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise OSError("as told")

    async def giving_up() -> None:
        raise asyncio.CancelledError

    async def scenario() -> None:
        turns, log = Turns("test"), list[str]()
        bad, given_up, good = await asyncio.gather(
            turns.take(failing), turns.take(giving_up), turns.take(job(log, "good")), return_exceptions=True
        )
        assert isinstance(bad, OSError) and isinstance(given_up, asyncio.CancelledError) and good == "good"
        unheard = asyncio.create_task(turns.take(failing))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        unheard.cancel()
        assert await turns.take(job(log, "next")) == "next"

    asyncio.run(scenario())


def test_the_end_of_the_loop_ends_the_job() -> None:
    async def scenario() -> None:
        turns = Turns("test")
        task = asyncio.create_task(turns.take(asyncio.Event().wait))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        working = turns._working
        assert working is not None and working.get_name() == "test"
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert working.cancelled()

    asyncio.run(scenario())
