"""workers/inbox.py: what the link has received and not yet acknowledged, in order of receipt.

read ─▶ inputs, ids ─▶ a batch: whatever gathered, ≤ batch_max ─▶ settled ─▶ the done prefix goes out as PUBACKs
"""

from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import Final

from workers.ports import Input

BATCH_BYTES: Final = 256 * 1024  # an array is one input and up to 64 events: no turn of the loop folds 64,000 of them
PROBE: Final = "jh/v1/_core/_link/event"  # the link to itself: acknowledged in its turn, shown to nobody


class Handed:
    """A batch in the dispatcher's hands. Of an older generation: acknowledged to nobody."""

    __slots__ = ("batch", "done", "generation", "ids")

    def __init__(self, batch: Sequence[Input], ids: Sequence[int], generation: int) -> None:
        self.batch = batch
        self.ids = ids
        self.generation = generation
        self.done = False


class Received(AsyncIterator[Sequence[Input]]):
    """Iterated by one dispatcher. No task a message, no timer: what gathered during a commit is the next batch."""

    def __init__(
        self, batch_max: int, acknowledge: Callable[[list[int]], None], ended: Callable[[], object] = bool
    ) -> None:
        self.probes = 0  # among the inputs
        self.inputs: list[Input] = []
        self.ids: list[int] = []  # beside each input its packet id; 0 = QoS 0, nothing to acknowledge
        self._batch_max = batch_max
        self._acknowledge = acknowledge
        self._ended = ended  # the reader has come back for the last time
        self._generation = 0  # packet ids are reused: a late PUBACK would confirm another message
        self._handed: deque[Handed] = deque()
        self._unsettled = 0
        self._waiter: Future[None] | None = None
        self._nudged = False
        self._closed = False
        self._busy = False

    def level(self) -> int:
        """Inputs in the house: waiting and handed out."""
        return len(self.inputs) + self._unsettled

    def finished(self) -> bool:
        """Closed, all settled, and the dispatcher has come back after its last batch (so its effects are emitted)."""
        return self._closed and not self.inputs and not self._handed and not self._busy

    def next_generation(self) -> None:
        """The connection is gone. What was not handed out is forgotten, if the broker will send it again."""
        self._generation += 1
        self.inputs = [one for one, packet_id in zip(self.inputs, self.ids, strict=True) if not packet_id]
        self.ids = [0] * len(self.inputs)
        self.probes = 0

    def close(self) -> None:
        """No more input: the iteration ends after what is here."""
        self._closed = True
        self.wake()

    def nudge(self) -> None:
        """Let the iteration yield once, with an empty batch if need be."""
        self._nudged = True
        self.wake()

    def wake(self) -> None:
        """Something is here."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> "Received":
        return self

    async def __anext__(self) -> Sequence[Input]:
        """What gathered; waits only when nothing did."""
        self._busy = False
        while True:
            if self.inputs and (batch := self._hand_out()):
                break
            if self._closed:
                self._ended()
                raise StopAsyncIteration
            if self._nudged:
                batch = ()
                break
            await self._wait(get_running_loop())
        self._nudged = False
        self._busy = True
        return batch

    async def _wait(self, loop: AbstractEventLoop) -> None:
        assert self._waiter is None, "the inbox has one reader"
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _cut(self) -> int:
        """How many go into the next batch: at most so many, and so many bytes; one at least."""
        room = BATCH_BYTES
        for at, one in enumerate(islice(self.inputs, self._batch_max)):
            room -= len(one.payload)
            if room < 0:
                return max(1, at)
        return self._batch_max

    def _hand_out(self) -> Sequence[Input]:
        batch, ids, cut = self.inputs, self.ids, self._cut()
        if len(batch) <= cut:
            self.inputs, self.ids = [], []
        else:
            self.inputs, self.ids = batch[cut:], ids[cut:]
            batch, ids = batch[:cut], ids[:cut]
        handed = Handed(batch, ids, self._generation)
        if self.probes:
            handed.batch = [one for one in batch if one.topic != PROBE]
            self.probes -= len(batch) - len(handed.batch)
            handed.done = not handed.batch
        self._handed.append(handed)
        self._unsettled += len(handed.batch)
        if handed.done:
            self._release()
        return handed.batch

    def settle(self, batch: Sequence[Input]) -> None:
        """Mark a batch done; acknowledges whatever is done now from the oldest on."""
        if batch:
            next(one for one in self._handed if one.batch is batch).done = True  # StopIteration: not a batch of ours
            self._release()

    def _release(self) -> None:
        ids: list[int] = []
        while self._handed and self._handed[0].done:
            first = self._handed.popleft()
            self._unsettled -= len(first.batch)
            if first.generation == self._generation:
                ids.extend(filter(None, first.ids))
        if ids:
            self._acknowledge(ids)
