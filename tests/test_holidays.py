"""workers/holidays.py: the days of a year from a file, the hall's own words first; the policy stays whole."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from core.calendar import works
from core.policy import PolicyError, document, from_document, parse, problems
from tests.halls import TEXT
from workers import holidays, settings

WITH = TEXT.replace("calendar = { ", 'calendar = { holidays = "cn", ')


def policy(text: str = WITH, beside: Path = Path("nowhere")) -> object:
    return holidays.filled(parse(text), beside)


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        ("2026-10-01", False),
        ("2026-10-07", False),
        ("2026-10-08", True),
        ("2026-10-10", True),
        ("2026-09-20", True),
        ("2026-02-16", False),
        ("2026-02-28", True),
        ("2025-01-26", True),
        ("2026-11-23", True),
        ("2026-11-22", False),
    ],
)
def test_n16_holidays_and_make_up_days_of_a_year(day: str, open_: bool) -> None:
    assert works(policy(), date.fromisoformat(day)) is open_


NOTICES = {
    2025: ("01-01 01-28/02-04 04-04/04-06 05-01/05-05 05-31/06-02 10-01/10-08", "01-26 02-08 04-27 09-28 10-11"),
    2026: (
        "01-01/01-03 02-15/02-23 04-04/04-06 05-01/05-05 06-19/06-21 09-25/09-27 10-01/10-07",
        "01-04 02-14 02-28 05-09 09-20 10-10",
    ),
}
"""Days off and make-up days, as the notices say them: 国办发明电〔2024〕12号, 国办发明电〔2025〕7号."""


@pytest.mark.parametrize("year", NOTICES)
def test_n16_every_day_of_the_years_is_as_the_notice_says(year: int) -> None:
    off: set[date] = set()
    for span in NOTICES[year][0].split():
        first, _, last = span.partition("/")
        begin, end = date.fromisoformat(f"{year}-{first}"), date.fromisoformat(f"{year}-{last or first}")
        off |= {begin + timedelta(n) for n in range((end - begin).days + 1)}
    work = {date.fromisoformat(f"{year}-{day}") for day in NOTICES[year][1].split()}
    assert all(day.isoweekday() > 5 for day in work) and not work & off
    found = policy()
    for n in range(365):
        day = date(year, 1, 1) + timedelta(n)
        assert works(found, day) is (day in work or (day.isoweekday() < 6 and day not in off)), day


def test_the_filled_policy_is_a_valid_document_and_one_without_a_calendar_is_left_alone() -> None:
    whole = policy()
    assert problems(whole) == [] and from_document(document(whole)) == whole
    assert policy(TEXT) == parse(TEXT)


def test_what_the_hall_itself_says_wins() -> None:
    own = policy(WITH.replace('["08:30-17:30"] }', '["08:30-17:30"], work = ["2026-10-01"], off = ["2026-10-10"] }'))
    assert works(own, date(2026, 10, 1)) and not works(own, date(2026, 10, 10))
    assert works(own, date(2026, 10, 2)), "the file's whole span goes: the hall says what it means"


def test_a_hall_replaces_the_file_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "calendar").mkdir()
    (tmp_path / "calendar" / "cn.toml").write_text('[years.2027]\noff = ["2027-02-05/2027-02-11"]\n')
    (tmp_path / "h1.toml").write_text(WITH)
    (found,) = settings.hall_files(str(tmp_path))
    assert not works(found, date(2027, 2, 8)) and works(found, date(2026, 10, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("years = 1", "years"),
        ("[years.2027]\nof = []", "unknown field"),
        ('[years.2027]\noff = ["1 May"]', "matching regex"),
        ('[years.2027]\noff = ["2027-05-02/2027-05-01"]', "ends before it begins"),
        ("[", "cn.toml"),
    ],
)
def test_a_calendar_that_is_wrong_is_said_to_be(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "calendar").mkdir()
    (tmp_path / "calendar" / "cn.toml").write_text(text)
    with pytest.raises(PolicyError, match=said):
        policy(beside=tmp_path)


def test_a_calendar_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no calendar 'mars'"):
        policy(WITH.replace('"cn"', '"mars"'), tmp_path)
