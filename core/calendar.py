"""core/calendar.py: business days, opening periods and cut-over (工作日历), from local time to UTC ms.

Used by `decide` only; what it finds is written into the fact, so that replay needs no time zone.
"""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.policy import Policy


class BusinessDay(NamedTuple):
    """`day` yyyymmdd; the rest UTC ms. `periods`: when the hall is open that day, empty on a day off."""

    day: int
    day_start_ms: int
    next_cutover_ms: int
    periods: tuple[tuple[int, int], ...]


def business_day(policy: Policy, at_ms: int) -> BusinessDay:
    """The business day that `at_ms` belongs to: it ends at the cut-over of the next calendar day."""
    zone = ZoneInfo(policy.hall.tz)
    cutover = _minutes(policy.hall.cutover)
    today = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).date()
    if at_ms < utc_ms(zone, today, cutover):  # the same instant that ended the day before, whatever summer time does
        today -= timedelta(days=1)
    return BusinessDay(
        day=today.year * 10000 + today.month * 100 + today.day,
        day_start_ms=utc_ms(zone, today, 0),
        next_cutover_ms=utc_ms(zone, today + timedelta(days=1), cutover),
        periods=day_periods(policy, zone, today),
    )


def day_periods(policy: Policy, zone: ZoneInfo, day: date) -> tuple[tuple[int, int], ...]:
    """The opening periods of a calendar day, UTC ms; none on a day off."""
    if not works(policy, day):
        return ()
    spans = [span.split("-") for span in policy.calendar.periods]
    return tuple((utc_ms(zone, day, _minutes(a)), utc_ms(zone, day, _minutes(b))) for a, b in spans)


def works(policy: Policy, day: date) -> bool:
    """Whether the hall works on `day`: make-up days win over days off, these over the week."""
    if _listed(day, policy.calendar.work):
        return True
    return day.isoweekday() in policy.calendar.week and not _listed(day, policy.calendar.off)


def _listed(day: date, spans: tuple[str, ...]) -> bool:
    text = day.isoformat()
    return any(span.split("/")[0] <= text <= span.split("/")[-1] for span in spans)


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def utc_ms(zone: ZoneInfo, day: date, minutes: int) -> int:
    """UTC ms of a local wall-clock time, minutes after midnight (1440: the next midnight)."""
    wall = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(minutes=minutes)
    return int(wall.timestamp()) * 1000
