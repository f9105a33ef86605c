"""workers/eventloop.py: the event loop: asyncio's own, but its timers ring to the microsecond.

`epoll_wait` counts whole milliseconds, rounded up: a pause of 1 ms, interrupted by a commit that ends, begins its last
part anew as a whole one, and becomes nearly two. A key waits through that pause.
"""

import asyncio
import select
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Precise(selectors.DefaultSelector):
    """The system's selector. Its own descriptor can be waited for, by a call with a finer clock."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the parent's."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def new() -> asyncio.AbstractEventLoop:
    """For `asyncio.Runner`."""
    return asyncio.SelectorEventLoop(Precise())


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with asyncio.Runner(loop_factory=new) as runner:
        return runner.run(main)
