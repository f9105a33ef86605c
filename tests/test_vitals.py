"""workers/vitals.py: a clock is off when nothing else explains it; one grave mistake makes suspect, or twenty small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.vitals import MISTAKES, MISTAKES_MS, SKEW_MAX_MS, STAMPS, SUSPECT_MS, Vitals

HOUR = 3_600_000


def test_a_clock_ahead_is_plain_from_one_message() -> None:
    vitals = Vitals()
    assert not vitals.stamped("k1", -SKEW_MAX_MS) and vitals.skew_ms("k1") == 0
    assert vitals.stamped("k1", -SKEW_MAX_MS - 1) and vitals.skew_ms("k1") == -SKEW_MAX_MS - 1
    assert vitals.worst_skew_ms() == SKEW_MAX_MS + 1


def test_a_clock_behind_takes_eight_of_eight() -> None:
    vitals = Vitals()
    assert [vitals.stamped("k1", HOUR + at) for at in range(STAMPS)] == [False] * (STAMPS - 1) + [True]
    assert vitals.skew_ms("k1") == HOUR, "the smallest: what is above it is the way"


def test_messages_that_lay_at_the_broker_are_no_wrong_clock() -> None:
    vitals = Vitals()
    assert not any(vitals.stamped("k1", late_ms) for late_ms in [*[2 * HOUR] * (STAMPS - 1), 5, *[2 * HOUR] * 7])
    assert vitals.skew_ms("k1") == 0 == vitals.worst_skew_ms()


def test_a_clock_that_was_set_right_is_right_after_a_message_or_eight() -> None:
    vitals = Vitals()
    for _ in range(STAMPS):
        vitals.stamped("behind", HOUR)
    assert not vitals.stamped("behind", 3) and vitals.skew_ms("behind") == 0
    vitals.stamped("ahead", -HOUR)
    for _ in range(STAMPS):
        assert not vitals.stamped("ahead", 3)
    assert vitals.skew_ms("ahead") == 0


@given(st.lists(st.integers(-(2**64), 2**64), min_size=1, max_size=20))
def test_the_estimate_is_the_smallest_of_the_last_eight_or_nothing(late_ms: list[int]) -> None:
    vitals = Vitals()
    for one in late_ms:
        vitals.stamped("k1", one)
    least = min(late_ms[-STAMPS:])
    proved = least < -SKEW_MAX_MS or (least > SKEW_MAX_MS and len(late_ms) >= STAMPS)
    assert vitals.skew_ms("k1") == (least if proved else 0)


def test_one_grave_mistake_makes_suspect_for_an_hour() -> None:
    vitals = Vitals()
    vitals.mistaken("k1", 1000, grave=True)
    assert vitals.suspects(999 + SUSPECT_MS) == ["k1"] and vitals.suspects(1000 + SUSPECT_MS) == []
    vitals.mistaken("k1", 2000 + SUSPECT_MS, grave=True)
    assert vitals.suspects(3000 + SUSPECT_MS) == ["k1"]


@pytest.mark.parametrize(("every_ms", "suspect"), [(MISTAKES_MS // MISTAKES, True), (MISTAKES_MS // 19 + 1, False)])
def test_twenty_mistakes_within_a_minute_make_suspect(every_ms: int, suspect: bool) -> None:
    vitals = Vitals()
    for at in range(MISTAKES - 1):
        vitals.mistaken("k1", at * every_ms, grave=False)
    assert vitals.suspects(0) == []
    vitals.mistaken("k1", (MISTAKES - 1) * every_ms, grave=False)
    assert vitals.suspects(0) == (["k1"] if suspect else [])
    assert "k2" not in vitals.suspects(0), "of each device alone"
