"""core/deadlines.py: what will be due and when. An index over the tables, rebuilt at a restart, not part of the state.

An entry that no longer holds (the ticket came back, the rating came) is dropped when it reaches the head.
"""

from collections.abc import Callable
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import Final

NEVER: Final = 1 << 62


class Due(IntEnum):
    """What becomes due; the order of value settles equal times: the day's end comes last."""

    ELIGIBLE = 1
    RETURN_OVER = 2
    HOLD_OVER = 3
    NO_ARRIVAL = 4
    BOOKING_LAPSE = 5
    EVALUATION_OVER = 6
    CASE_VERIFY = 7
    CASE_RECTIFY = 8
    CASE_REPLY = 9
    UNCOVERED = 10
    ALERT = 11
    POLICY = 12
    CUTOVER = 13


STAGE_DUE: Final = {"verify": Due.CASE_VERIFY, "rectify": Due.CASE_RECTIFY, "reply": Due.CASE_REPLY}
STAGE_OF: Final = {due: stage for stage, due in STAGE_DUE.items()}
Entry = tuple[int, Due, int]


class Deadlines:
    """A heap of (due_ms, what, id)."""

    __slots__ = ("_heap",)

    def __init__(self, entries: list[Entry]) -> None:
        self._heap = entries
        heapify(self._heap)

    def add(self, due_ms: int, what: Due, ident: int) -> None:
        """`what` about `ident` is due at `due_ms` (UTC)."""
        heappush(self._heap, (due_ms, what, ident))

    def first_ms(self) -> int:
        """When the next entry is due, dead or not: a cheap first look."""
        return self._heap[0][0] if self._heap else NEVER

    def next_ms(self, holds: Callable[[Entry], bool]) -> int:
        """When the next entry that still holds is due; NEVER if there is none. Drops dead heads."""
        heap = self._heap
        while heap and not holds(heap[0]):
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def head(self) -> Entry:
        """The next entry; call `next_ms` first."""
        return self._heap[0]
