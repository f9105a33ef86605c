"""core/worktime.py: when a working time ends (工作时间): `4wh` hours, `1wd` working days, `7d` natural days.

Used by `decide` only; the due time is written into the fact. The first day is not counted: `wd` ends with the last
period of the n-th working day after it, `d` at 24:00 local time. `wh` runs inside the opening periods alone.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from core.calendar import day_periods, utc_ms, works
from core.policy import Policy

HOUR_MS: Final = 3_600_000
FURTHEST: Final = 4000  # days looked ahead: a calendar that never works is a mistake of the policy


def due_ms(policy: Policy, start_ms: int, duration: str) -> int:
    """The UTC ms at which `duration`, begun at `start_ms`, is over."""
    zone = ZoneInfo(policy.hall.tz)
    today = datetime.fromtimestamp(start_ms // 1000, UTC).astimezone(zone).date()
    if duration.endswith("wh"):
        return _after_hours(policy, zone, today, start_ms, int(duration[:-2]) * HOUR_MS)
    if duration.endswith("wd"):
        day = _working_day(policy, today, int(duration[:-2]))
        periods = day_periods(policy, zone, day)
        return periods[-1][1] if periods else utc_ms(zone, day, 1440)
    return utc_ms(zone, today + timedelta(days=int(duration[:-1])), 1440)


def _working_day(policy: Policy, today: date, count: int) -> date:
    """The `count`-th working day after `today`."""
    for ahead in range(1, FURTHEST):
        day = today + timedelta(days=ahead)
        count -= works(policy, day)
        if not count:
            return day
    return today + timedelta(days=FURTHEST)


def _after_hours(policy: Policy, zone: ZoneInfo, today: date, start_ms: int, left_ms: int) -> int:
    for ahead in range(FURTHEST):
        for begin_ms, end_ms in day_periods(policy, zone, today + timedelta(days=ahead)):
            begin_ms = max(begin_ms, start_ms)
            if end_ms - begin_ms >= left_ms:
                return begin_ms + left_ms
            left_ms -= max(0, end_ms - begin_ms)
    return utc_ms(zone, today + timedelta(days=FURTHEST), 1440)


def working_ms(policy: Policy, from_ms: int, to_ms: int) -> int:
    """How much of a span lies inside opening periods."""
    zone = ZoneInfo(policy.hall.tz)
    first = datetime.fromtimestamp(from_ms // 1000, UTC).astimezone(zone).date()
    last = datetime.fromtimestamp(to_ms // 1000, UTC).astimezone(zone).date()
    total = 0
    for ahead in range(min(FURTHEST, (last - first).days + 1)):
        for begin_ms, end_ms in day_periods(policy, zone, first + timedelta(days=ahead)):
            total += max(0, min(end_ms, to_ms) - max(begin_ms, from_ms))
    return total


def local_day(policy: Policy, at_ms: int) -> int:
    """The calendar day of an instant, yyyymmdd in hall time."""
    day = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(policy.hall.tz)).date()
    return day.year * 10000 + day.month * 100 + day.day


def is_day(day: int) -> bool:
    """Whether yyyymmdd names a day."""
    try:
        date(day // 10000, day // 100 % 100, day % 100)
    except ValueError:
        return False
    return True
