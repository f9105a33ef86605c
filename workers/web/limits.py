"""workers/web/limits.py: how often somebody may ask: a bucket that fills at a rate, one a token or address."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

KNOWN_MAX: Final = 10_000  # beyond, the one unused for longest is forgotten


class Rate(NamedTuple):
    """`a_second` on average, `burst` at once."""

    a_second: float
    burst: float


RATES: Final[dict[str, Rate]] = {
    "command": Rate(20, 40),
    "rating_token": Rate(1, 3),
    "rating_address": Rate(60, 60),
    "rating_forged": Rate(1, 5),  # each leaves a fact
    "login": Rate(5 / 60, 5),
    "look": Rate(20, 40),
    "stream": Rate(20, 200),
    "audit": Rate(1, 20),  # each reads the journal, and each opening of the overview asks: a login, reloads, colleagues
}


class Limits:
    """Who asked how often of late. `take` says how many seconds to wait; 0: go on."""

    def __init__(self, now_s: Callable[[], float], rates: dict[str, Rate] | None = None) -> None:
        self._now_s, self._rates = now_s, rates or RATES
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, kind: str, who: str) -> float:
        """One more by `who`. Nothing is taken where it is too many."""
        rate, now_s, key = self._rates[kind], self._now_s(), (kind, who)
        left, since_s = self._buckets.pop(key, (rate.burst, now_s))
        left = min(rate.burst, left + (now_s - since_s) * rate.a_second)
        wait_s = 0.0 if left >= 1 else (1 - left) / rate.a_second
        self._buckets[key] = (left if wait_s else left - 1, now_s)
        if len(self._buckets) > KNOWN_MAX:
            self._buckets.popitem(last=False)
        return wait_s
