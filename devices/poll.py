"""devices/poll.py: whose turn it is on a bus whose boxes speak when asked (轮询). Pure: times in, addresses out.

ask ─heard within ANSWER_MS▶ next ─every_ms▶ asked again        silence ▶ asked ever more rarely, until it is heard
One question at a time; a box that is switched off costs the others ANSWER_MS in half a minute.
"""

from typing import Final

ANSWER_MS: Final = 100  # a frame and its echo take 21 ms at 9600 baud
SILENT_AFTER: Final = 3  # questions without an answer
RARELY_MS: Final = 30_000
FOREVER: Final = 2**62


class Round:
    """The questions of one port. `every_ms`: how often an address is asked that answers; the first ones at once."""

    def __init__(self, addresses: list[int], every_ms: int) -> None:
        self._every_ms = every_ms
        self._due_ms = dict.fromkeys(addresses, 0)
        self._misses = dict.fromkeys(addresses, 0)
        self._asked: tuple[int, int] | None = None  # whom, and until when an answer is waited for

    def turn(self, now_ms: int) -> int | None:
        """Who is asked now, who was due longest first; None: nobody before `next_ms`."""
        self._expire(now_ms)
        if self._asked is not None or not self._due_ms:
            return None
        address = min(self._due_ms, key=self._due_ms.__getitem__)
        if self._due_ms[address] > now_ms:
            return None
        self._asked = address, now_ms + ANSWER_MS
        return address

    def _expire(self, now_ms: int) -> None:
        if self._asked is None or now_ms < self._asked[1]:
            return
        address, _ = self._asked
        self._asked = None
        self._misses[address] += 1
        wait_ms = self._every_ms << min(self._misses[address], 20)
        self._due_ms[address] = now_ms + max(self._every_ms, min(wait_ms, RARELY_MS))

    def heard(self, address: int, now_ms: int) -> None:
        """A whole frame of it, asked for or not. A stranger is nobody's."""
        if address not in self._due_ms:
            return
        self._misses[address] = 0
        self._due_ms[address] = now_ms + self._every_ms
        if self._asked is not None and self._asked[0] == address:
            self._asked = None

    def silent(self) -> list[int]:
        """Who has not answered three times running."""
        return [address for address, misses in self._misses.items() if misses >= SILENT_AFTER]

    @property
    def next_ms(self) -> int:
        """When `turn` is worth asking again, if nothing is heard before."""
        if self._asked is not None:
            return self._asked[1]
        return min(self._due_ms.values(), default=FOREVER)
