"""core/window.py: which numbers of a device were seen, and the first answer to each (去重窗口).

One window per boot: every seq <= floor is settled, `above` holds what was seen beyond it, `skipped` what was given up.
A bare high-water mark would lose n when n + 1 came first. Part of the hall's state; changed by `evolve` alone.
"""

from bisect import bisect_left, insort
from typing import Final

from msgspec import Struct

from core.refusals import Refusal

REACH: Final = 1024
ANSWERS: Final = 64
BOOTS: Final = 4
RETIRED: Final = 64
SKIPPED: Final = 16
UNKNOWN: Final = -1  # instead of a CRC: settled before it came, so whatever its body is, it is that one


class TicketAnswer(Struct, frozen=True, tag="ticket", array_like=True, gc=False):
    """A ticket was taken."""

    ticket: int
    number: str
    ahead: int
    eta_s: int | None = None
    eta_p90_s: int | None = None


class CalledAnswer(Struct, frozen=True, tag="called", array_like=True, gc=False):
    """A ticket was called."""

    call: int
    ticket: int
    number: str
    counter: int


class DoneAnswer(Struct, frozen=True, tag="done", array_like=True, gc=False):
    """It was done."""


class SeenAnswer(Struct, frozen=True, tag="seen", array_like=True, gc=False):
    """It was settled before; the answer is no longer kept."""


class RefusedAnswer(Struct, frozen=True, tag="refused", array_like=True, gc=False):
    """The hall said no."""

    reason: Refusal


Answer = TicketAnswer | CalledAnswer | DoneAnswer | SeenAnswer | RefusedAnswer
DONE: Final[Answer] = DoneAnswer()
SEEN: Final = SeenAnswer()


class Window(Struct, array_like=True):
    """The numbers of one boot. `answers`: seq -> (CRC of the body, first answer), 64 of them."""

    floor: int = 0
    above: list[int] = []
    skipped: list[tuple[int, int]] = []
    answers: dict[int, tuple[int, Answer]] = {}

    def judge(self, seq: int, body: int) -> Answer | None:
        """None: fresh. Else the answer to give, nothing being applied."""
        kept = self.answers.get(seq)
        if kept is not None:
            return kept[1] if kept[0] in (body, UNKNOWN) else RefusedAnswer(Refusal.SEQ_REUSED)
        if seq > self.floor and not self.above:
            return None
        if self.skipped and any(first <= seq <= last for first, last in self.skipped):
            return RefusedAnswer(Refusal.SEQ_OLD)
        if seq <= self.floor or self._above(seq):
            return SEEN
        return None

    def settle(self, seq: int, body: int, answer: Answer) -> int:
        """Seen now; of its facts the last that tells more than DONE is the answer. Returns how many were given up."""
        answers, given_up = self.answers, 0
        if seq == self.floor + 1 and not self.above:
            self.floor = seq  # the next in order, as nearly always, and so without an answer
        elif seq in answers:
            if type(answer) is not DoneAnswer:
                answers[seq] = (body, answer)
            return 0
        else:
            given_up = self._see(seq)
        if len(answers) >= ANSWERS and answers.pop(seq - ANSWERS, None) is None:
            del answers[next(iter(answers))]  # out of order: the one settled first
        answers[seq] = (body, answer)
        return given_up

    def _see(self, seq: int) -> int:
        if seq == self.floor + 1:
            self.floor = seq
            if self.above:
                self._lower()
            return 0
        given_up = self._raise(seq - REACH) if seq > self.floor + REACH else 0
        if seq > self.floor:
            insort(self.above, seq)
            self._lower()
        return given_up

    def _lower(self) -> None:
        """Take what follows the floor without a gap into it."""
        taken = 0
        while taken < len(self.above) and self.above[taken] == self.floor + 1:
            self.floor += 1
            taken += 1
        del self.above[:taken]

    def _raise(self, floor: int) -> int:
        """Raise the floor; the unseen numbers it passes are given up, the oldest ranges of them forgotten beyond 16."""
        passed = self.above[: bisect_left(self.above, floor + 1)]
        ranges: list[tuple[int, int]] = []
        start = self.floor + 1
        for seen in [*passed, floor + 1]:
            if start < seen:
                ranges.append((start, seen - 1))
            start = seen + 1
        del self.above[: len(passed)]
        self.floor = floor
        self.skipped = [*self.skipped, *ranges][-SKIPPED:]
        self._lower()
        return sum(last - first + 1 for first, last in ranges)

    def _above(self, seq: int) -> bool:
        at = bisect_left(self.above, seq)
        return at < len(self.above) and self.above[at] == seq


class DeviceWindows(Struct, array_like=True):
    """The windows of the last 4 boots of a device by first sight, and the last 64 boots retired from them."""

    boots: dict[str, Window] = {}
    retired: list[str] = []

    def judge(self, boot: str, seq: int, body: int) -> Answer | None:
        """As `Window.judge`; a boot never seen is fresh, one retired is refused."""
        window = self.boots.get(boot)
        if window is not None:
            return window.judge(seq, body)
        return RefusedAnswer(Refusal.BOOT_RETIRED) if boot in self.retired else None

    def open(self, boot: str) -> Window:
        """The window of a boot never seen; the oldest beyond the last 4 is retired."""
        window = self.boots[boot] = Window()
        if len(self.boots) > BOOTS:
            oldest = next(iter(self.boots))
            del self.boots[oldest]
            self.retired = [*self.retired, oldest][-RETIRED:]
        return window
