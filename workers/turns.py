"""workers/turns.py: jobs one after the other, each to its end, whether or not somebody still waits for it.

take ─▶ row ─▶ one task, while there are jobs ─▶ the answer. Who gives up before its job began takes it out of the row.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """First come, first served. The row is as long as there are callers that wait: each has one job in it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._row: deque[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def take(self, job: Callable[[], Awaitable[T]]) -> T:
        """What the job returns or raises. A job must not take a turn itself. About 30 µs."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._row.append((job, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name=self._name)
        return await answer

    async def _work(self) -> None:
        try:
            while self._row:
                job, answer = self._row.popleft()
                if not answer.done():
                    await self._do(job, answer)
        finally:
            self._working = None

    async def _do(self, job: Callable[[], Awaitable[Any]], answer: "asyncio.Future[Any]") -> None:
        try:
            result = await job()
        except asyncio.CancelledError:
            answer.cancel()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the loop ends; else the job has given up
        except BaseException as error:
            if answer.done():
                return  # nobody waits: the job has noted what matters
            answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)
