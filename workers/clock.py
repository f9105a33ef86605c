"""workers/clock.py: where time comes from. UTC milliseconds, stamped once where an input is read.

A simulated day runs at `speed`: hall time = origin + (now - anchor) * speed; with an anchor it goes on after a restart.
A clock that is set by more than 10 min is not believed: hall time goes on as time that only runs does. One that was far
behind the journal at the start is believed as soon as it is not: the network has set it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LEAP_MS: Final = 600_000
_RUNS: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while a machine sleeps


class Clock:
    """Milliseconds of the hall. Speed 1 is real time; `origin_ms` and `anchor_ms` then mean nothing.

    `leapt`: the machine's clock is set too far from where it was to be believed; a new start believes it.
    """

    __slots__ = ("_apart_ms", "_journal_ms", "anchor_ms", "leapt", "origin_ms", "speed")

    def __init__(self, speed: int = 1, origin_ms: int = 0, anchor_ms: int = 0) -> None:
        self.speed = speed
        self.anchor_ms = anchor_ms or utc_ms()
        self.origin_ms = origin_ms or self.anchor_ms
        self.leapt = False
        self._apart_ms = utc_ms() - _running_ms()
        self._journal_ms = 0  # where the journal ends, while the machine's clock is far behind it

    def now_ms(self) -> int:
        """UTC ms of the hall; each hall clamps it to never run back."""
        now_ms = utc_ms()
        if self.speed != 1:
            return self.origin_ms + (now_ms - self.anchor_ms) * self.speed
        running_ms = _running_ms()
        apart_ms = now_ms - running_ms
        if self._journal_ms and now_ms >= self._journal_ms:
            self._journal_ms, self._apart_ms = 0, apart_ms
        self.leapt = not -LEAP_MS <= apart_ms - self._apart_ms <= LEAP_MS
        if self.leapt:
            return running_ms + self._apart_ms
        self._apart_ms = apart_ms
        return now_ms

    def not_before(self, at_ms: int) -> None:
        """The journal goes on to `at_ms`: a clock far behind that is wrong, and time goes on from there."""
        if self.speed == 1 and utc_ms() < at_ms - LEAP_MS:
            self._journal_ms, self._apart_ms = at_ms, at_ms - _running_ms()


def utc_ms() -> int:
    """The machine's clock, UTC ms: the one place where workers read it."""
    return time.time_ns() // 1_000_000


def utc_s() -> float:
    """The same in seconds, as Prometheus wants it."""
    return utc_ms() / 1000


def _running_ms() -> int:
    return time.clock_gettime_ns(_RUNS) // 1_000_000


def monotonic_s() -> float:
    """Seconds that never run back, from no moment in particular."""
    return time.monotonic()


class Jumps:
    """How far the machine's clock was set, by the one that only runs."""

    def __init__(self) -> None:
        self._apart_ms = utc_ms() - _running_ms()

    def since_last(self) -> float:
        """Seconds since the last call; forward is above 0."""
        before, self._apart_ms = self._apart_ms, utc_ms() - _running_ms()
        return (self._apart_ms - before) / 1000


class LagMeter:
    """How late the loop is: the difference between when a timer should have fired and when it did, seconds."""

    def __init__(self, observe: Callable[[float], None], every_s: float) -> None:
        self._observe = observe
        self._every_s = every_s

    async def run(self, beat: Callable[[], None]) -> None:
        """Task `clock`: calls `beat` every so often, and measures the loop with the same timer."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._every_s
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._observe(max(0.0, loop.time() - due))
            due = max(due + self._every_s, loop.time())
            beat()
