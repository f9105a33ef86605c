"""workers/rhythm.py: flags R4 and R5: the times at which one device was rated on one day.

R4, in step: of any 30 gaps in a row, a variation below .15, or ten that lie within +-100 ms. R5, a burst: in any
minute more than chance gives at the rate of the day, over devices at most a tenth of them false; or out of hours.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from core.statistics import discoveries, is_burst, poisson_at_least

MINUTE_MS: Final = 60_000
GRACE_MS: Final = 30 * MINUTE_MS  # whoever was let in is served after the doors close
RUN: Final = 30
CLOSE: Final = 10
CLOSE_MS: Final = 100
Periods = Sequence[tuple[int, int]]


class DayMark(NamedTuple):
    """What one day showed of one device."""

    day: int
    rule: str
    subject: str
    num: int
    den: int


def of_day(day: int, times: Mapping[str, Sequence[int]], periods: Periods) -> list[DayMark]:
    """Every mark of a day; `times` ascending by device, `periods` the opening hours, UTC ms."""
    found: list[DayMark] = []
    for device, at in times.items():
        num = in_step([later - earlier for earlier, later in pairwise(at)])
        if num:
            found.append(DayMark(day, "R4", device, num, RUN))
        after = sum(not any(begin <= one < end + GRACE_MS for begin, end in periods) for one in at) if periods else 0
        if is_burst(after, 0.0, open_hours=False):
            found.append(DayMark(day, "R5", device, after, len(at)))
    return found + _bursts(day, times, periods, {one.subject for one in found if one.rule == "R5"})


def in_step(gaps_ms: Sequence[int]) -> int:
    """How many gaps of a run were in step, 0: no run was. O(n log 30)."""
    run: list[int] = []
    total = squares = 0
    for at, gap in enumerate(gaps_ms):
        place = bisect_right(run, gap)
        run.insert(place, gap)
        total, squares = total + gap, squares + gap * gap
        if len(run) > RUN:
            old = gaps_ms[at - RUN]
            gone = bisect_left(run, old)
            del run[gone]
            place -= gone < place
            total, squares = total - old, squares - old * old
        firsts = range(max(0, place - CLOSE + 1), min(place, len(run) - CLOSE) + 1)
        if any(run[first + CLOSE - 1] - run[first] <= 2 * CLOSE_MS for first in firsts):
            return CLOSE
        if len(run) == RUN and 400 * RUN * (RUN * squares - total * total) < 9 * (RUN - 1) * total * total:
            return RUN  # the square of a variation < .15, in whole numbers: RUN * squares - total² is RUN (RUN - 1) s²
    return 0


def _bursts(day: int, times: Mapping[str, Sequence[int]], periods: Periods, known: set[str]) -> list[DayMark]:
    """A minute begins with each rating: how likely any of them holds so many is at most the sum of them."""
    minutes = max(1.0, sum(end - begin for begin, end in periods) / MINUTE_MS)
    tried = [(device, most_a_minute(at), len(at)) for device, at in times.items() if device not in known]
    chances = [min(1.0, count * poisson_at_least(most - 1, count / minutes)) for _, most, count in tried]
    kept = discoveries(chances) if chances else []
    return [
        DayMark(day, "R5", device, most, count)
        for (device, most, count), real in zip(tried, kept, strict=True)
        if real and is_burst(most, count / minutes, open_hours=True)
    ]


def most_a_minute(at_ms: Sequence[int]) -> int:
    """The most in any minute."""
    first = most = 0
    for last, one in enumerate(at_ms):
        while one - at_ms[first] >= MINUTE_MS:
            first += 1
        most = max(most, last - first + 1)
    return most


def forget(marks: list[DayMark], given: dict[str, dict[int, list[int]]], first_day: int) -> None:
    """What lies before a day goes."""
    marks[:] = [one for one in marks if one.day >= first_day]
    for days in given.values():
        for day in [day for day in days if day < first_day]:
            del days[day]
