"""core/worktime.py: when hours, working days and natural days end, over holidays, make-up days and short days."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.worktime import due_ms, is_day, local_day, working_ms
from tests.halls import MIN, changed, clock

CHINA = changed(
    calendar={
        "periods": ("08:30-12:00", "14:00-17:30"),
        "off": ("2026-10-01/2026-10-07",),
        "work": ("2026-09-20", "2026-10-10"),
    }
)
HOUR = 60 * MIN


@pytest.mark.parametrize(
    ("start", "duration", "due"),
    [
        ("2026-11-23 10:00", "1wd", "2026-11-24 17:30"),
        ("2026-11-23 23:59", "1wd", "2026-11-24 17:30"),
        ("2026-11-27 10:00", "1wd", "2026-11-30 17:30"),
        ("2026-11-28 10:00", "1wd", "2026-11-30 17:30"),
        ("2026-09-18 10:00", "1wd", "2026-09-20 17:30"),  # a Sunday that is worked
        ("2026-09-30 10:00", "1wd", "2026-10-08 17:30"),
        ("2026-09-30 10:00", "3wd", "2026-10-10 17:30"),  # a Saturday that is worked
        ("2026-09-30 10:00", "4wd", "2026-10-12 17:30"),
        ("2026-11-23 10:00", "15wd", "2026-12-14 17:30"),
        ("2026-11-23 10:00", "7d", "2026-12-01 00:00"),
        ("2026-11-23 00:00", "1d", "2026-11-25 00:00"),
        ("2026-11-23 10:00", "2wh", "2026-11-23 12:00"),
        ("2026-11-23 10:00", "3wh", "2026-11-23 15:00"),
        ("2026-11-23 12:30", "1wh", "2026-11-23 15:00"),
        ("2026-11-27 17:00", "1wh", "2026-11-30 09:00"),
        ("2026-09-30 17:30", "4wh", "2026-10-08 14:30"),
    ],
)
def test_a_duration_ends(start: str, duration: str, due: str) -> None:
    assert due_ms(CHINA, clock(start), duration) == clock(due)


def test_working_time_of_a_span() -> None:
    assert working_ms(CHINA, clock("2026-11-23 11:00"), clock("2026-11-23 15:00")) == 2 * HOUR
    assert working_ms(CHINA, clock("2026-09-30 17:00"), clock("2026-10-08 09:00")) == HOUR
    assert working_ms(CHINA, clock("2026-10-01 00:00"), clock("2026-10-08 00:00")) == 0


@settings(max_examples=200, derandomize=True)
@given(minute=st.integers(0, 60 * 24 * 365), hours=st.integers(1, 40))
def test_so_many_working_hours_lie_before_the_due_time(minute: int, hours: int) -> None:
    start = clock("2026-01-01 00:00") + minute * MIN
    assert working_ms(CHINA, start, due_ms(CHINA, start, f"{hours}wh")) == hours * HOUR


def test_a_calendar_that_never_works_ends_somewhere() -> None:
    never = changed(calendar={"week": ()})
    assert due_ms(never, clock("2026-11-23 10:00"), "1wd") > clock("2036-01-01 00:00")
    assert due_ms(never, clock("2026-11-23 10:00"), "1wh") > clock("2036-01-01 00:00")


def test_days_by_hall_time() -> None:
    assert local_day(CHINA, clock("2026-12-31 23:59")) == 20261231
    assert local_day(CHINA, clock("2027-01-01 00:00")) == 20270101
    assert [is_day(day) for day in (20260228, 20260229, 20240229, 0, 20261301)] == [True, False, True, False, False]
