"""workers/holidays.py: the days of a year from a file, the hall's own words first; the policy stays whole."""

from datetime import date
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
