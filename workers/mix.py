"""workers/mix.py: what is usual for a service: how long people wait and are handled, and how often they rate badly.

Histograms on a scale of eighths of an octave; what is usual is settled at the start of a day from all days before it,
so that a day is never compared with itself. A rating has a stratum: the tenth of waiting and the hour of its serving.
The share of bad ones to be expected of it is that of the stratum so far, drawn towards the service, which is drawn
towards 1 %: the observed number of a clerk then stands against what the same work brings others (case mix).
"""

from bisect import bisect_right
from itertools import accumulate
from math import log2
from typing import Final

import msgspec

TENTHS: Final = 10
HOURS: Final = 24
EDGES: Final = 128  # up to 16 hours
SETTLED: Final = 1000  # servings, until the shortest hundredth says something
DRAW: Final = 50
USUAL_BAD: Final = 0.01  # as the CUSUM's p0
PPM: Final = 1_000_000


def bucket(ms: int) -> int:
    """Its place on the scale."""
    return min(EDGES - 1, int(8 * log2(1 + max(0, ms) / 1000)))


def edge_ms(place: int) -> int:
    """Where a place begins."""
    return round((2 ** (place / 8) - 1) * 1000)


def _quantile_ms(below: list[int], rank: int) -> int:
    """Where so many lie below: inside a place they are taken to be spread evenly."""
    place = bisect_right(below, rank) - 1
    first, width = edge_ms(place), edge_ms(place + 1) - edge_ms(place)
    return first + width * (rank - below[place]) // (below[place + 1] - below[place])


class Mix(msgspec.Struct, array_like=True):
    """One service of a hall. `strata`: by (tenth * 24 + hour) ratings and bad ones in turn."""

    waits: list[int] = msgspec.field(default_factory=lambda: [0] * EDGES)
    handled: list[int] = msgspec.field(default_factory=lambda: [0] * EDGES)
    limits: list[int] = []
    early_ms: int = 0
    early_ppm: int = 0
    rated: int = 0
    bad: int = 0
    strata: list[int] = msgspec.field(default_factory=lambda: [0] * (2 * TENTHS * HOURS))

    def settle(self) -> None:
        """A day begins: the tenths of waiting, and below what a serving is among the shortest hundredth."""
        served = sum(self.waits)
        if not served:
            return
        below = list(accumulate(self.waits, initial=0))
        self.limits = [_quantile_ms(below, served * tenth // TENTHS) for tenth in range(1, TENTHS)]
        if served >= SETTLED:
            short = list(accumulate(self.handled, initial=0))
            place = bisect_right(short, served // 100) - 1
            self.early_ms, self.early_ppm = edge_ms(place), short[place] * PPM // served

    def serve(self, waited_ms: int, handling_ms: int) -> int:
        """Count a serving; the tenth of waiting that it falls in."""
        self.waits[bucket(waited_ms)] += 1
        self.handled[bucket(handling_ms)] += 1
        return bisect_right(self.limits, waited_ms)

    def rate(self, stratum: int, bad: bool) -> int:
        """Count a rating; how likely a bad one was before it, ppm."""
        expected = self._expected(stratum)
        self._add(stratum, 1, int(bad))
        return expected

    def take_back(self, stratum: int, bad: bool) -> int:
        """A rating that was excluded counts no more; how likely a bad one is without it, ppm."""
        self._add(stratum, -1, -int(bad))
        return self._expected(stratum)

    def _expected(self, stratum: int) -> int:
        usual = (self.bad + DRAW * USUAL_BAD) / (self.rated + DRAW)
        return round(PPM * (self.strata[2 * stratum + 1] + DRAW * usual) / (self.strata[2 * stratum] + DRAW))

    def _add(self, stratum: int, rated: int, bad: int) -> None:
        self.strata[2 * stratum] += rated
        self.strata[2 * stratum + 1] += bad
        self.rated += rated
        self.bad += bad
