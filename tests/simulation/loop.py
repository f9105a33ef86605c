"""tests/simulation/loop.py: an event loop without a clock and without sockets: time is what the next timer says.

Every callback belongs to a process (an Owner) or to the world around it. A process can be killed before any of its
callbacks, which are the places where its code waits; it can be frozen and thawed. Order is (time, sequence), always.
"""

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

STEP_NS = 1_000  # what one callback takes
NS = 1_000_000_000
BURIAL_STEPS = 2000


class Dead(BaseException):
    """Raised to whoever wants something of the world after its death."""


class Owner:
    """A process as the loop sees it. `doom`: it is killed instead of taking this step."""

    def __init__(self, name: str, on_doom: Callable[[], None]) -> None:
        self.name, self.on_doom = name, on_doom
        self.steps = self.doom = 0
        self.dead = self.dying = self.frozen = False
        self.lanes: list[Any] = []
        self.stash: list[Handle] = []
        self.signals: dict[int, Callable[[], None]] = {}


class Handle:
    """What asyncio expects of a handle and of a timer handle."""

    __slots__ = ("args", "at_ns", "callback", "context", "gone", "owner")

    def __init__(
        self, callback: Callable[..., Any], args: Any, context: Context | None, owner: Owner | None, at_ns: int
    ) -> None:
        self.callback, self.args, self.context, self.owner, self.at_ns = callback, args, context, owner, at_ns
        self.gone = False

    def cancel(self) -> None:
        self.gone = True

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self.at_ns / NS


class VirtualLoop(asyncio.AbstractEventLoop):
    """Only what the program uses. `owner`: whose callback is running; what it schedules is its owner's."""

    def __init__(self) -> None:
        self.now_ns = NS
        self.owner: Owner | None = None
        self.stopped = False
        self.steps = 0
        self.complaints: list[str] = []
        self.dial: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]] | None = None
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[int, int, Handle]] = []
        self._order = 0

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now_ns / NS

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context, self.owner, self.now_ns)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.at(round(when * NS), self.owner, callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.at(self.now_ns + round(delay * NS), self.owner, callback, *args, context=context)

    def create_future(self) -> Any:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> Any:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        dead = self.owner is not None and self.owner.dying
        if not dead and not isinstance(context.get("exception"), Dead):
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:
        assert self.owner is not None and not args
        self.owner.signals[sig] = callback

    async def create_connection(self, factory: Any, *args: Any, **kwargs: Any) -> Any:
        assert self.dial is not None
        return await self.dial(factory)

    # What the world asks.

    def at(self, at_ns: int, owner: Owner | None, callback: Any, *args: Any, context: Context | None = None) -> Handle:
        """A timer of somebody."""
        handle = Handle(callback, args, context, owner, max(at_ns, self.now_ns))
        self._order += 1
        heappush(self._timers, (handle.at_ns, self._order, handle))
        return handle

    def soon(self, owner: Owner | None, callback: Any, *args: Any) -> None:
        """As `call_soon`, in somebody's name."""
        self._ready.append(Handle(callback, args, None, owner, self.now_ns))

    def spawn(self, owner: Owner, main: Coroutine[Any, Any, Any]) -> Any:
        """The first task of a process."""
        before, self.owner = self.owner, owner
        try:
            return self.create_task(main)
        finally:
            self.owner = before

    def run(self, until_ns: int, enough: Callable[[], bool] | None = None) -> None:
        """Until then, or until it is enough (asked at each timer) or stopped."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while not self.stopped:
                handle = self._next(until_ns, enough)
                if handle is None:
                    break
                self._run(handle)
        finally:
            events._set_running_loop(before)

    def _next(self, until_ns: int, enough: Callable[[], bool] | None) -> Handle | None:
        timers = self._timers
        while True:
            if timers and (not self._ready or timers[0][0] <= self.now_ns):
                if timers[0][0] > until_ns or (enough is not None and enough()):
                    self.now_ns = max(self.now_ns, min(until_ns, timers[0][0]))
                    return None
                at_ns, _, handle = heappop(timers)
                self.now_ns = max(self.now_ns, at_ns)
            elif self._ready:
                handle = self._ready.popleft()
            else:
                return None
            if not handle.gone:
                return handle

    def _run(self, handle: Handle) -> None:
        owner = handle.owner
        if owner is not None:
            if owner.dead:
                return
            if owner.frozen:
                owner.stash.append(handle)
                return
            owner.steps += 1
            if owner.steps == owner.doom:
                owner.stash.append(handle)  # to be unwound with the rest
                owner.on_doom()
                return
        self.steps += 1
        self.now_ns += STEP_NS
        self._call(handle)

    def _call(self, handle: Handle) -> None:
        self.owner = handle.owner
        try:
            if handle.context is None:
                handle.callback(*handle.args)
            else:
                handle.context.run(handle.callback, *handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except Dead:
            pass
        except BaseException as error:
            self.complaints.append(f"{handle.callback}: {error!r}")
        finally:
            self.owner = None

    def thaw(self, owner: Owner) -> None:
        """It goes on where it was, and does not know that time has passed."""
        owner.frozen = False
        self._ready.extend(owner.stash)
        owner.stash.clear()

    def _next_of(self, owner: Owner) -> Handle | None:
        """Its next timer, without waiting for it."""
        mine = min((one for one in self._timers if one[2].owner is owner and not one[2].gone), default=None)
        if mine is None:
            return None
        mine[2].gone = True
        return Handle(mine[2].callback, mine[2].args, mine[2].context, owner, mine[0])

    def bury(self, owner: Owner, main: Any) -> None:
        """The process is dead: nothing that it does reaches the world any more. Its coroutines are unwound at once, so
        that nothing is left for the garbage collector."""
        owner.frozen, owner.dying = False, True
        ours = deque(one for one in (*owner.stash, *self._ready) if one.owner is owner)
        owner.stash.clear()
        others = [one for one in self._ready if one.owner is not owner]
        self._ready, self.owner = ours, owner
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            main.cancel()
            for _ in range(BURIAL_STEPS):
                if main.done():
                    break
                handle = self._ready.popleft() if self._ready else self._next_of(owner)
                if handle is None:
                    break
                if not handle.gone:
                    self._call(handle)
                    self.owner = owner
        finally:
            events._set_running_loop(before)
            if not main.done():
                self.complaints.append(f"{owner.name} cannot be unwound: it waits for ever when it is cancelled")
            owner.dead = True
            self.owner = None
            self._ready = deque([*others, *(one for one in self._ready if one.owner is not owner)])
