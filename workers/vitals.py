"""workers/vitals.py: what the shell notices of a device beside the facts: its clock, and whether it is suspect (可疑).

clock: the smallest receipt − sent_ms of the last 8 messages. suspect: 20 rejections within a minute, or a grave one.
Not part of the state: nothing is refused for it, and a new process begins with a clean sheet.
"""

from collections import deque
from typing import Final

SKEW_MAX_MS: Final = 120_000
STAMPS: Final = 8
MISTAKES: Final = 20
MISTAKES_MS: Final = 60_000
SUSPECT_MS: Final = 3_600_000  # since the last cause


class Vitals:
    """Of the devices of one hall. Only registered ones are noted, so that no stranger fills the memory."""

    __slots__ = ("_mistakes", "_stamps", "_suspect_ms")

    def __init__(self) -> None:
        self._stamps: dict[str, deque[int]] = {}
        self._mistakes: dict[str, deque[int]] = {}
        self._suspect_ms: dict[str, int] = {}

    def stamped(self, device: str, late_ms: int) -> bool:
        """A message came so long after its own stamp. Whether its clock is off."""
        fine, stamps = -SKEW_MAX_MS <= late_ms <= SKEW_MAX_MS, self._stamps.get(device)
        if stamps is None:
            if fine:
                return False  # as nearly always; kept from the first that is off
            stamps = self._stamps[device] = deque(maxlen=STAMPS)
        stamps.append(late_ms)
        if fine and all(-SKEW_MAX_MS <= one <= SKEW_MAX_MS for one in stamps):
            del self._stamps[device]
        return not fine and bool(self.skew_ms(device))

    def skew_ms(self, device: str) -> int:
        """How far its clock is behind ours (ahead: negative) if that is beyond the limit, else 0. Ahead is plain from
        one message; one that comes late may have lain at the broker, so behind takes eight of eight."""
        stamps = self._stamps.get(device)
        if not stamps:
            return 0
        least = min(stamps)
        return least if least < -SKEW_MAX_MS or (least > SKEW_MAX_MS and len(stamps) == STAMPS) else 0

    def worst_skew_ms(self) -> int:
        """The largest of the hall, either way; 0: every clock is right."""
        return max((abs(self.skew_ms(device)) for device in self._stamps), default=0)

    def mistaken(self, device: str, at_ms: int, *, grave: bool) -> None:
        """A rejection. `grave`: one is enough."""
        mistakes = self._mistakes.get(device)
        if mistakes is None:
            mistakes = self._mistakes[device] = deque(maxlen=MISTAKES)
        mistakes.append(at_ms)
        if grave or (len(mistakes) == MISTAKES and at_ms - mistakes[0] < MISTAKES_MS):
            self._suspect_ms[device] = at_ms

    def suspects(self, at_ms: int) -> list[str]:
        """Who is suspect now."""
        return [device for device, since_ms in self._suspect_ms.items() if at_ms - since_ms < SUSPECT_MS]
