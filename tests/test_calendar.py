"""core/calendar.py: business days, periods, make-up days, summer time; every instant belongs to one day that ends."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.calendar import business_day, works
from core.policy import Policy
from tests.halls import MIN, POLICY, changed, clock

HOUR = 60 * MIN
HOLIDAYS = changed(calendar={"off": ("2026-10-01/2026-10-07",), "work": ("2026-10-10",)})
BERLIN = changed(hall={"tz": "Europe/Berlin"})


def local(zone: str, text: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * 1000


def test_a_plain_monday() -> None:
    day = business_day(POLICY, clock("2026-11-23 08:30"))
    assert day.day == 20261123
    assert day.day_start_ms == clock("2026-11-23 00:00")
    assert day.next_cutover_ms == clock("2026-11-24 03:00")
    assert day.periods == ((clock("2026-11-23 08:30"), clock("2026-11-23 17:30")),)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-23 02:59", 20261122),
        ("2026-11-23 03:00", 20261123),
        ("2026-11-24 00:00", 20261123),
        ("2026-11-24 02:59", 20261123),
        ("2027-01-01 02:59", 20261231),
    ],
)
def test_the_day_turns_at_the_cut_over_not_at_midnight(at: str, day: int) -> None:
    assert business_day(POLICY, clock(at)).day == day


def test_one_ms_before_the_cut_over_is_the_day_before() -> None:
    assert business_day(POLICY, clock("2026-11-23 03:00") - 1).day == 20261122


@pytest.mark.parametrize(
    ("date", "open_"),
    [("2026-10-01", False), ("2026-10-07", False), ("2026-10-08", True), ("2026-10-10", True), ("2026-10-11", False)],
)
def test_holidays_and_make_up_days(date: str, open_: bool) -> None:
    assert works(HOLIDAYS, datetime.fromisoformat(date).date()) is open_
    assert bool(business_day(HOLIDAYS, clock(f"{date} 10:00")).periods) is open_


def test_midnight_ends_a_period() -> None:
    night = changed(calendar={"periods": ("08:00-24:00",)})
    assert business_day(night, clock("2026-11-23 10:00")).periods[0][1] == clock("2026-11-24 00:00")


def test_summer_time_makes_short_and_long_days() -> None:
    """2026-03-29: 23 hours; 2026-10-25: 25 hours."""
    spring = business_day(BERLIN, local("Europe/Berlin", "2026-03-28 12:00"))
    assert spring.next_cutover_ms - spring.day_start_ms == 26 * HOUR
    autumn = business_day(BERLIN, local("Europe/Berlin", "2026-10-24 12:00"))
    assert autumn.next_cutover_ms - autumn.day_start_ms == 28 * HOUR
    assert spring.next_cutover_ms == local("Europe/Berlin", "2026-03-29 03:00")


@pytest.mark.parametrize("cutover", ["02:30", "02:00", "03:00"])
def test_a_cut_over_in_the_repeated_hour_comes_once(cutover: str) -> None:
    """In the second 02:15 of the night the day that ended in the first 02:30 does not come back."""
    policy = changed(hall={"tz": "Europe/Berlin", "cutover": cutover})
    second = local("Europe/Berlin", "2026-10-25 02:15", fold=1)
    day = business_day(policy, second)
    assert day.next_cutover_ms > second
    assert day.day == (20261024 if cutover == "03:00" else 20261025)


ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    cutover=st.sampled_from(["00:00", "00:30", "01:30", "02:30", "03:00", "05:00"]),
    at=st.integers(0, 2 * 365 * 24 * 60),
)
@example("Europe/Berlin", "02:30", 60 * 24 * 297 + 75)
def test_every_instant_belongs_to_one_day_and_its_end_opens_the_next(zone: str, cutover: str, at: int) -> None:
    policy: Policy = changed(hall={"tz": zone, "cutover": cutover})
    at_ms = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1000 + at * MIN
    day = business_day(policy, at_ms)
    assert at_ms < day.next_cutover_ms <= at_ms + 26 * HOUR
    following = business_day(policy, day.next_cutover_ms)
    date = datetime.strptime(str(day.day), "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)
    assert following.day == int(f"{date:%Y%m%d}")
    assert business_day(policy, day.next_cutover_ms - 1).day == day.day
