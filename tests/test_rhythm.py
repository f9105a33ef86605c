"""workers/rhythm.py: R4 and R5 of one day, just below and at each limit; honest rhythms are not marked."""

from itertools import accumulate
from random import Random

import pytest

from core.statistics import is_regular, poisson_at_least
from workers.rhythm import GRACE_MS, MINUTE_MS, DayMark, forget, in_step, most_a_minute, of_day

SECOND = 1000
PERIODS = [(0, 8 * 60 * MINUTE_MS)]


def at(gaps: list[int], start_ms: int = SECOND) -> list[int]:
    return list(accumulate(gaps, initial=start_ms))


def rules(times: dict[str, list[int]], periods: list[tuple[int, int]] = PERIODS) -> list[tuple[str, str, int]]:
    return [(one.rule, one.subject, one.num) for one in of_day(20261123, times, periods)]


def loose(count: int, seed: int = 4) -> list[int]:
    rng = Random(seed)
    return [rng.randrange(20 * SECOND, 600 * SECOND) for _ in range(count)]


@pytest.mark.parametrize(("apart", "marked"), [(100, 10), (101, 0)])
def test_r4_ten_gaps_within_a_tenth_of_a_second_of_their_median(apart: int, marked: int) -> None:
    gaps = [60_000] * 6 + [60_000 - apart] * 2 + [60_000 + apart] * 2
    assert in_step(gaps) == marked == (10 if is_regular(gaps) else 0)
    assert in_step(gaps[:-1]) == 0, "nine are too few"


@pytest.mark.parametrize(("spread", "marked"), [(14_000, 30), (16_000, 0)])
def test_r4_thirty_gaps_of_little_variation(spread: int, marked: int) -> None:
    """Evenly spread over mean +- spread * sqrt 3: the standard deviation is the spread, .14 and .16 of the mean."""
    reach = spread * 3**0.5
    gaps = [round(100_000 - reach + 2 * reach * n / 29) for n in range(30)]
    assert in_step(gaps) == marked and is_regular(gaps) is bool(marked)
    assert in_step(gaps[:-1]) == 0, "twenty-nine are too few"


def test_r4_is_found_wherever_in_the_day_the_run_lies() -> None:
    step = [20_000 + 37 * n % 90 for n in range(12)]
    for before in (0, 1, 17, 29, 30, 31, 77):
        assert in_step([*loose(before), *step, *loose(40, 9)]) >= 10
    assert in_step(loose(400)) == 0


def test_r4_agrees_with_the_rule_over_any_window() -> None:
    rng = Random(8)
    for _ in range(300):
        spread = rng.choice([10_000, 20_000, 60_000])
        gaps = [rng.randrange(60_000, 60_000 + spread) for _ in range(rng.randrange(8, 45))]
        windows = [gaps[max(0, end - 30) : end] for end in range(1, len(gaps) + 1)]
        assert bool(in_step(gaps)) is any(is_regular(one) for one in windows)


def test_a_night_is_no_gap() -> None:
    """Days are apart: what was in step yesterday does not make today's five ratings so."""
    assert rules({"ev-1": at([60_000] * 5)}) == []


@pytest.mark.parametrize(("burst", "marked"), [(3, False), (4, True)])
def test_r5_a_minute_below_and_at_one_in_ten_thousand(burst: int, marked: bool) -> None:
    """One rating in ten minutes: three in a minute are 1.5 in ten thousand, four are 4 in a million."""
    spread = [n * 10 * MINUTE_MS + 7 * n * n * SECOND % (9 * MINUTE_MS) for n in range(1, 47)]
    times = sorted([*spread, *(47 * 10 * MINUTE_MS + n * 7001 for n in range(burst))])
    mean = (len(times) - burst) / 479
    assert (poisson_at_least(burst, mean) < 1e-4) is marked
    assert rules({"ev-1": times}) == ([("R5", "ev-1", burst)] if marked else [])


def test_r5_among_many_devices_only_what_is_no_false_discovery() -> None:
    """A minute of one in ten thousand happens by itself somewhere in ten thousand minutes of many devices."""
    rng = Random(1)
    honest = {f"ev-{n}": sorted(rng.randrange(480 * MINUTE_MS) for _ in range(100)) for n in range(300)}
    found = rules(honest)
    assert len([one for one in found if one[0] == "R5"]) <= 1
    honest["ev-300"] = sorted([*honest["ev-0"], *(9 * MINUTE_MS + n * 4000 for n in range(12))])
    assert ("R5", "ev-300") in [one[:2] for one in rules(honest)]


@pytest.mark.parametrize(("ms", "marked"), [(-1, False), (0, True)])
def test_r5_out_of_hours_is_half_an_hour_after_the_doors_close(ms: int, marked: bool) -> None:
    times = {"ev-1": [SECOND, PERIODS[0][1] + GRACE_MS + ms]}
    assert rules(times) == ([("R5", "ev-1", 1)] if marked else [])
    assert rules({"ev-1": [-1]}) == [("R5", "ev-1", 1)], "before they open"
    assert rules(times, []) == [], "hours that nobody knows are no reason"


def test_the_most_in_any_minute() -> None:
    assert most_a_minute([]) == 0
    assert most_a_minute([0, 59_999, 60_000]) == 2
    assert most_a_minute([0, 30_000, 59_999, 70_000]) == 3


def test_old_days_are_forgotten() -> None:
    marks = [DayMark(20261101, "R4", "a", 1, 30), DayMark(20261102, "R4", "a", 1, 30)]
    given = {"a": {20261101: [0] * 5, 20261102: [1] * 5}}
    forget(marks, given, 20261102)
    assert [one.day for one in marks] == list(given["a"]) == [20261102]
