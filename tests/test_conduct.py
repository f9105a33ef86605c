"""core/conduct.py: each ground at one below, at and above its number; void, order, half-days; warnings; findings."""

import pytest

from core.conduct import RULES, TRANSITIONS, Entry, Finding, grounds, months_between, warning
from tests.halls import off_the_table, table, written


def ledger(*kinds: str, half_days: int = 1) -> list[Entry]:
    return [Entry(i, "s", kind, 20260101 + i, half_days) for i, kind in enumerate(kinds, 1)]


def met(entries: list[Entry], mode: str = "sum") -> set[str]:
    return {rule for rule, ground in grounds(entries, "each" if mode == "each" else "sum").items() if ground.met}


LIMITS = [
    ("C1", "sanction", 1),
    ("C2a", "absent", 10),
    ("C2b", "late", 30),
    ("C2b", "early", 30),
    ("C4", "complaint", 2),
    ("C5", "error", 1),
    ("C6", "criticised", 1),
    ("C7", "media", 2),
    ("C8", "disobedience", 1),
    ("C9", "unfit", 1),
]


@pytest.mark.parametrize(("rule", "kind", "limit"), LIMITS)
def test_n26_each_condition_at_one_below_at_and_above_its_number(rule: str, kind: str, limit: int) -> None:
    for count in (limit - 1, limit, limit + 1):
        entries = ledger(*[kind] * count)
        assert met(entries) == ({rule} if count >= limit else set())
        assert grounds(entries, "sum")[rule][:2] == (count, limit)
        if count == limit:
            entries[0].void = True
            assert met(entries) == set()


def test_n26_absence_is_counted_in_half_days() -> None:
    assert met(ledger(*["absent"] * 4, half_days=2) + ledger("absent")) == set()
    assert met(ledger(*["absent"] * 5, half_days=2)) == {"C2a"}


def test_n26_late_and_early_count_together_or_each() -> None:
    entries = ledger(*["late"] * 15, *["early"] * 15)
    assert met(entries) == {"C2b"} and met(entries, "each") == set()
    assert met(ledger(*["late"] * 29, *["early"] * 29), "each") == set()
    assert met(ledger(*["early"] * 30, "late"), "each") == {"C2b"}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["admonished"] * 3, False),
        (["admonished"] * 4, False),
        (["admonished"] * 2 + ["noncompliance"] * 2, False),
        (["noncompliance"] + ["admonished"] * 3, False),
        (["admonished"] * 2 + ["noncompliance", "admonished"], False),
        (["admonished"] * 3 + ["noncompliance"], True),
        (["admonished"] * 4 + ["noncompliance"], True),
    ],
)
def test_n26_three_admonitions_and_then_one_thing_more(kinds: list[str], expected: bool) -> None:
    entries = ledger(*kinds)
    assert met(entries) == ({"C3"} if expected else set())
    assert met(list(reversed(entries))) == met(entries), "the day decides, not when it was written down"
    if expected:
        entries[-1].void = True
        assert met(entries) == set()


def test_n26_the_nine_conditions_are_all_there() -> None:
    assert {rule[:2] for rule in RULES} == {f"C{n}" for n in range(1, 10)}
    assert list(grounds([], "sum")) == list(RULES) and met([]) == set()


WARNINGS = {10: {6: 60, 8: 80}, 30: {18: 60, 24: 80}, 3: {1: 60, 2: 80}, 2: {1: 80}, 1: {}}


@pytest.mark.parametrize("limit", WARNINGS)
def test_warnings_come_at_60_and_80_percent_and_never_where_one_is_enough(limit: int) -> None:
    assert {n: w for n in range(1, limit + 2) if (w := warning(n - 1, n, limit))} == WARNINGS[limit]


def test_a_leap_over_both_warns_once_and_a_fall_not_at_all() -> None:
    assert (warning(5, 9, 10), warning(9, 5, 10), warning(0, 10, 10)) == (80, 0, 0)


def test_a_finding_follows_its_table() -> None:
    assert off_the_table(TRANSITIONS, lambda state: Finding(1, "C4", "s", 20260101, state)) == []


def test_the_table_of_findings() -> None:
    assert written(TRANSITIONS) == table(
        "raised: FindingReviewed reviewed, FindingWithdrawn withdrawn\nreviewed: FindingWithdrawn withdrawn\nwithdrawn:"
    )


@pytest.mark.parametrize(
    ("first", "last", "months"),
    [
        (20250101, 20261231, 23),
        (20250101, 20270101, 24),
        (20250131, 20250228, 0),
        (20251215, 20260114, 0),
        (20251215, 20260115, 1),
    ],
)
def test_months_between_days(first: int, last: int, months: int) -> None:
    assert months_between(first, last) == months
