"""core/effects.py: what the outside must do or show because of facts. Sent after the commit.

Pictures are named here, not drawn: whoever sends them draws the state as it is after the commit, newest wins.
"""

from msgspec import Struct


class Say(Struct, frozen=True, gc=False):
    """Speak a call in its zone (语音). `n`: the fact it comes from."""

    n: int
    at_ms: int
    call: int
    number: str
    counter: int
    zone: str
    lang: str


class Print(Struct, frozen=True, gc=False):
    """Print a slip again on the device that asked."""

    n: int
    at_ms: int
    device: str
    ticket: int


class Effects:
    """What gathered. `counters`: whose screens changed (an ordered set); `waiting`: pictures that only count people."""

    __slots__ = ("board", "counters", "kiosks", "orders", "waiting")

    def __init__(self) -> None:
        self.counters: dict[int, None] = {}
        self.orders: list[Say | Print] = []
        self.board = False
        self.kiosks = False
        self.waiting = False

    def all_screens(self, counters: list[int]) -> None:
        """Everything must be painted again."""
        self.counters.update(dict.fromkeys(counters))
        self.board = self.kiosks = self.waiting = True
