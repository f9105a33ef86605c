"""workers/web/ring.py: two hours of samples of each hall in memory, for the operator's charts. Lost with the process.

Sampled between a commit and the next fold, one hall a turn; a sample is nine integers, 1,440 of them a hall. A process
of many halls keeps them for the first 32: a centre has Prometheus.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from core.counter import CounterState
from core.state import HallState
from core.ticket import State
from workers.web import drawings

EVERY_S: Final = 5.0
KEPT: Final = 1440
HALLS_MAX: Final = 32


class Sample(NamedTuple):
    """`taken`, `served`: since the start of the day. `at_ms` by the hall's clock."""

    at_ms: int
    waiting: int
    called: int
    serving: int
    idle: int
    oldest_s: int
    taken: int
    served: int
    facts: int


class Ring:
    """The last two hours. `sample` looks at the clock and mostly does nothing."""

    def __init__(self, now_s: Callable[[], float], now_ms: Callable[[], int]) -> None:
        self._now_s, self._now_ms = now_s, now_ms
        self._due = 0.0
        self._left: list[str] = []
        self._samples: dict[str, deque[Sample]] = {}

    def due(self) -> bool:
        """Whether a sample is due."""
        return bool(self._left) or self._now_s() >= self._due

    def sample(self, states: Mapping[str, HallState]) -> None:
        """The next hall of this round, if one is due."""
        if not self._left:
            if self._now_s() < self._due:
                return
            self._due = self._now_s() + EVERY_S
            self._left = list(islice(states, HALLS_MAX))
        state = states.get(self._left.pop()) if self._left else None
        if state is not None and state.policy is not None:
            kept = self._samples.setdefault(state.hall, deque(maxlen=KEPT))
            kept.append(sampled(state, self._now_ms()))

    def series(self, hall: str) -> list[Sample]:
        """All that is kept, oldest first."""
        return list(self._samples.get(hall, ()))


def sampled(state: HallState, at_ms: int) -> Sample:
    """One sample of a hall. O(tickets of the day)."""
    counts, oldest_ms = state.counted(), drawings.oldest_ms(state)
    return Sample(
        at_ms=at_ms,
        waiting=counts[State.WAITING],
        called=counts[State.CALLED],
        serving=counts[State.SERVING],
        idle=sum(one.state is CounterState.IDLE for one in state.counters.values()),
        oldest_s=max(0, at_ms - oldest_ms) // 1000 if oldest_ms else 0,
        taken=state.tally.taken,
        served=state.tally.served,
        facts=state.n,
    )
