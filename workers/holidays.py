"""workers/holidays.py: days off and make-up days by year, from a file that a hall can replace, put into its policy.

A policy that says `calendar.holidays = "cn"` gets the days of `calendar/cn.toml` beside the hall files, or of the one
shipped here. What stands in the hall's own `off` and `work` wins. The policy stays a whole document.
"""

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from core.policy import Policy, PolicyError, problems
from core.policy_parts import Days

SHIPPED: Final = Path(__file__).parent / "calendars"


class Year(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The days of one year."""

    off: tuple[Days, ...] = ()
    work: tuple[Days, ...] = ()


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file: years by number."""

    years: dict[str, Year] = {}


def load(name: str, beside: Path) -> Calendar:
    """The calendar of that name, the hall's own first. PolicyError when there is none or it is wrong."""
    for path in (beside / "calendar" / f"{name}.toml", SHIPPED / f"{name}.toml"):
        if path.is_file():
            try:
                return msgspec.convert(tomllib.loads(path.read_text("utf-8")), Calendar)
            except (tomllib.TOMLDecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise PolicyError([f"{path}: {error}"]) from error
    raise PolicyError([f"no calendar {name!r} - at $.calendar.holidays"])


def filled(policy: Policy, beside: Path) -> Policy:
    """The policy with the days of its calendar. PolicyError when together they are wrong."""
    name = policy.calendar.holidays
    if not name:
        return policy
    own = (*policy.calendar.off, *policy.calendar.work)
    years = load(name, beside).years.values()
    off = tuple(days for year in years for days in year.off if not _touches(days, own))
    work = tuple(days for year in years for days in year.work if not _touches(days, own))
    part = msgspec.structs.replace(
        policy.calendar, off=(*policy.calendar.off, *off), work=(*policy.calendar.work, *work)
    )
    whole = msgspec.structs.replace(policy, calendar=part)
    found = problems(whole)
    if found:
        raise PolicyError(found)
    return whole


def _touches(days: str, own: tuple[str, ...]) -> bool:
    """Whether the hall has said something else about one of these days. ISO dates compare as text."""
    return any(days[:10] <= other[-10:] and other[:10] <= days[-10:] for other in own)
